"""The table of released losses in `docs/audit.md`, from audits that are kept as JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from arkd import grid as grids
from arkd.errors import ArkdError
from arkd.grid import Grid
from arkd.loss_audit.facts import Audit, Fact, slug
from arkd.paths import baselines_dir, benchmarks_dir
from arkd.storage.files import read_json
from arkd.storage.generated import fill

START, END = "<!-- audits -->", "<!-- /audits -->"
COLUMNS = ("divergence", "reduction", "temperature", "beta")
HEAD = ("loss", "version", *COLUMNS, "findings")


def kept() -> list[Audit]:
    """Return the audits that are kept, by name.

    Raises:
        ArkdError: a file is no audit.
    """
    audits = []
    for path in sorted((benchmarks_dir() / "audits").glob("*.json")):
        try:
            audits.append(Audit.from_json(read_json(path)))
        except (TypeError, KeyError) as error:
            raise ArkdError(f"{path}: no audit ({error}); run `arkd audit` anew") from None
    return audits


def write(path: Path | None = None) -> Path:
    """Write the table between its marks in the page; return the file.

    Raises:
        ArkdError: there is no such page, or it has no marks.
    """
    page = path or baselines_dir().parent / "docs" / "audit.md"
    return fill(page, [(START, text(kept()))], END)


def text(audits: Sequence[Audit]) -> str:
    """Return the table and the findings of each loss."""
    rows, lists = [], []
    for audit in audits:
        facts = {fact.property: fact for fact in audit.facts}
        cells = [facts[name].measured if name in facts else "–" for name in COLUMNS]
        cells[0] = _what(facts)
        found = ", ".join(fact.property for fact in audit.findings) or "none"
        page = f"../benchmarks/audits/{slug(audit.target)}.md"
        rows.append([f"[`{audit.target}`]({page})", audit.version, *cells, found])
        lines = [f"- {fact.property}: {fact.measured}" for fact in audit.findings]
        if lines:
            note = f" ({audit.note})" if audit.note else ""
            lists.append(f"**`{audit.target}`**{note}\n\n" + "\n".join(lines))
    table = grids.to_markdown(Grid(HEAD, rows, left=len(HEAD)))
    commands = " ".join(audit.target for audit in audits)
    made = f"Made by:\n\n```sh\narkd audit --out benchmarks/audits {commands}\narkd pages\n```"
    return "\n" + "\n\n".join([table, made, *lists]) + "\n\n"


def _what(facts: Mapping[str, Fact]) -> str:
    """Return what a loss is: a mixture or a truncation where it is one, else its divergence."""
    hard, tokens = facts.get("cross-entropy"), facts["support"].measured
    if hard is not None and hard.measured.endswith("· cross-entropy"):
        return hard.measured
    return tokens.partition(";")[0] if "most probable" in tokens else facts["divergence"].measured

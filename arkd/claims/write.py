"""Verdicts as files and in the terminal: `claims.csv`, `.md`, `.tex`, and every comparison."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from arkd.claims.decision import CONTRADICTED, EQUIVALENT, INCONCLUSIVE, SUPPORTED
from arkd.claims.judge import Judgement
from arkd.claims.registered import Claims
from arkd.claims.wording import (
    CLAIM_COLUMNS,
    COMPARISON_COLUMNS,
    EQUIVALENCE,
    HEAD,
    RATES,
    Line,
    claim_row,
    comparison_row,
    heads,
    lines,
)
from arkd.grid import Grid, Look, terminal, to_markdown
from arkd.grid import show as show_grid
from arkd.results.suite_results import observed
from arkd.storage.files import write_text
from arkd.storage.records import write_csv
from arkd.suite.suite import Suite
from arkd.tables.latex import to_long_latex
from arkd.tables.table import table_label

TITLE = "Verdicts on the paper's claims"
SHARES = (0.04, 0.2, 0.085, 0.13, 0.065, 0.145, 0.095, 0.06, 0.04, 0.065)  # of the line, in LaTeX
VERDICT = len(HEAD)  # the place of its column
COLOURS = {SUPPORTED: "green", CONTRADICTED: "red", EQUIVALENT: "cyan", INCONCLUSIVE: "yellow"}


def write(suite: Suite, claims: Claims, found: Sequence[Judgement], folder: Path) -> None:
    """Write `claims.csv`, `claims.md`, `claims.tex` and `comparisons.csv`.

    Args:
        suite: The judged suite, named in every row.
        claims: The registered claims; their version and paper stand in the caption.
        found: The verdicts, in the order in which they are shown.
        folder: Takes the four files.
    """
    axes = {"suite": suite.name, "suite_version": suite.version}
    rows = [axes | claim_row(suite, claims, judgement) for judgement in found]
    # The first registration knew no such word, and its files stay as they are.
    unknown = set() if EQUIVALENT in claims.rule.verdicts else {EQUIVALENT, EQUIVALENCE, RATES}
    known = [name for name in CLAIM_COLUMNS if name not in unknown]
    write_csv(folder / "claims.csv", known, rows)
    every = [axes | comparison_row(d) for j in found for d in (*j.primary, *j.secondary)]
    known = [name for name in COMPARISON_COLUMNS if name not in unknown]
    write_csv(folder / "comparisons.csv", known, every)
    made = lines(suite, found)
    texts, caption = _grid(suite, made), _caption(suite, claims)
    notes = _notes(suite, found)
    paragraphs = [f"## {TITLE}", caption, to_markdown(texts), *notes]
    write_text(folder / "claims.md", "\n\n".join(paragraphs) + "\n")
    plain = replace(texts, bold=frozenset())  # reasons are too long to be bold
    label = table_label(suite.name, "claims")
    latex = to_long_latex(plain, label, f"{TITLE}. {caption}", notes, SHARES)
    write_text(folder / "claims.tex", latex)


def show(suite: Suite, claims: Claims, found: Sequence[Judgement]) -> None:
    """Print the verdicts as a table in the terminal."""
    if len({judgement.reason for judgement in found}) == 1 and found[0].reason:
        print(f"{suite.name}: no claim has a verdict here: {found[0].reason}")
        return
    look = Look(
        left=len(SHARES),
        hidden=frozenset({HEAD.index("Decisive comparison")}),
        folded={column: 46 if column in (1, VERDICT) else 26 for column in range(len(SHARES))},
        styles={
            (place, VERDICT): COLOURS[judgement.verdict]
            for place, judgement in enumerate(found)
            if judgement.verdict in COLOURS
        },
    )
    console = terminal(least=160)
    show_grid(_grid(suite, lines(suite, found)), console, look)
    for note in _notes(suite, found):
        console.print(note, style="dim")


def _caption(suite: Suite, claims: Claims) -> str:
    seen = f"{observed(suite)}s"
    within = " One within the size that counts as an effect would be found equivalent."
    return (
        f"Suite {suite.name} {suite.version}, claims {claims.version} of {claims.paper}, "
        "registered before the runs. Each verdict follows from paired differences over "
        f"{suite.observation}s, corrected by Holm's rule within the claim. The interval is the "
        f"adjusted one of the decisive comparison; the smallest effect is what these {seen} would "
        f"have detected beyond the margin with power {claims.rule.power:g}."
        + (within if EQUIVALENT in claims.rule.verdicts else "")
    )


def _notes(suite: Suite, found: Sequence[Judgement]) -> list[str]:
    """Return what a reader must know beside the table."""
    notes = []
    for word in dict.fromkeys(
        judgement.provisional for judgement in found if judgement.provisional
    ):
        ids = dict.fromkeys(
            judgement.claim.id for judgement in found if judgement.provisional == word
        )
        notes.append(f"Provisional ({', '.join(ids)}): {word}.")
    if any(judgement.verdict == INCONCLUSIVE for judgement in found):
        notes.append(
            f"Inconclusive: the {observed(suite)}s decide neither way, which supports nothing."
        )
    if any(judgement.verdict == EQUIVALENT for judgement in found):
        notes.append(
            "Equivalent: of a comparison or more that the claim needs, an effect large enough to "
            "count is excluded in both directions; none is refuted. Others may hold or be open."
        )
    if any(judgement.primary for judgement in found):
        notes.append("Secondary tests decide nothing; comparisons.csv lists every comparison.")
    return notes


def _grid(suite: Suite, made: Sequence[Line]) -> Grid:
    bold = frozenset((place, VERDICT) for place in range(len(made)))
    return Grid(heads(suite), [line.texts for line in made], left=2, bold=bold)

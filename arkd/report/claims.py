"""The verdicts at the head of the report: each claim with its effect, power and comparisons."""

from __future__ import annotations

from collections import Counter
from collections.abc import Container, Sequence
from pathlib import Path
from typing import Any

from arkd.claims.decision import CONTRADICTED, EQUIVALENT, INCONCLUSIVE, SUPPORTED, UNTESTED
from arkd.claims.judge import WITHHELD
from arkd.claims.registered import Claims, load_claims
from arkd.claims.wording import DASH, EQUIVALENCE, describe, digits
from arkd.errors import ArkdError
from arkd.paths import claims_path
from arkd.report.comparisons import SYMBOLS as OF_COMPARISONS
from arkd.report.comparisons import (
    Line,
    comparison,
    drawing,
    interval,
    level,
    of_claims,
    rounded,
    view,
)
from arkd.report.origins import suite_command
from arkd.storage.records import read_csv
from arkd.suite.folders import Tree
from arkd.suite.load import load_suite, suite_names
from arkd.suite.suite import Suite
from arkd.templates import relative

# A verdict is told by its word and its mark; colour only repeats them.
SYMBOLS = {
    SUPPORTED: "✓",
    CONTRADICTED: "✗",
    EQUIVALENT: "≈",
    INCONCLUSIVE: "○",
    UNTESTED: DASH,
    WITHHELD: "⊘",
}
DECIDABLE = (SUPPORTED, CONTRADICTED, EQUIVALENT, INCONCLUSIVE)
FILES = ("claims.csv", "comparisons.csv", "claims.md", "claims.tex")


def claims_view(tree: Tree, out_file: Path, stale: Container[str] = ()) -> dict[str, Any] | None:
    """Return the verdicts that `arkd claims` wrote, or the registered claims without any.

    None if there is neither. Verdicts on other records than those that are shown are left out.
    """
    folder = tree.root / "claims"
    registered_file = claims_path(tree.suite.claims)
    if not registered_file.is_file():
        return None
    registered = load_claims(registered_file)
    if folder.name in stale:
        return _unjudged(tree, registered, "The saved verdicts are from other records or claims")
    if not (folder / "claims.csv").is_file():
        return _unjudged(tree, registered, "No claim has been judged yet")
    rows = read_csv(folder / "claims.csv")
    path = folder / "comparisons.csv"
    behind = [*of_claims(rows, read_csv(path) if path.is_file() else [])]
    views = [claim_view(row, lines) for row, lines in zip(rows, behind, strict=True)]
    counts = Counter(view["verdict"] for view in views)
    saved = [folder / name for name in FILES if (folder / name).is_file()]
    return {
        "lead": lead(tree.suite, registered, rows),
        "notes": _notes(rows),
        "listed": [],
        "claims": views,
        "counts": [(word, SYMBOLS[word], counts[word]) for word in SYMBOLS if counts[word]],
        "file": registered_file.name,
        "version": ", ".join(dict.fromkeys(row["claims_version"] for row in rows)),
        "power": f"{registered.rule.power * 100:g}\u00a0%",
        "several_pairs": len(tree.suite.pairs) > 1,
        "bands": any(line.get(EQUIVALENCE) for lines in behind for line in lines),
        "files": [(path.name, relative(path, out_file)) for path in saved],
    }


def _unjudged(tree: Tree, registered: Claims, why: str) -> dict[str, Any]:
    listed = [(claim.id, " ".join(claim.statement.split())) for claim in registered.claims]
    run = f"arkd claims --suite {tree.named or tree.suite.name} --results {tree.results}"
    text = f"{why}; to judge the claims, run `{run}`."
    return {"lead": text, "listed": listed, "claims": []}


def lead(suite: Suite, registered: Claims, rows: Sequence[Line]) -> str:
    """Say in a sentence or two what was found, what it is worth, and what to run for more."""
    judged = [row for row in rows if row["verdict"] in DECIDABLE]
    if not judged:
        reasons = list(dict.fromkeys(row["reason"] for row in rows if row["reason"]))
        why = f": {reasons[0].rstrip('.')}" if len(reasons) == 1 else ""
        return f"No claim is judged by this suite{why}{_instead(suite, registered, 'verdicts')}."
    counts = Counter(row["verdict"] for row in rows)
    verdicts = ", ".join(f"{counts[word]} {word}" for word in SYMBOLS if counts[word])
    found = f"Of {len(rows)} registered claims: {verdicts}."
    provisional = [row for row in judged if row["status"] == "provisional"]
    if not provisional:
        return found
    in_print = {claim.id for claim in registered.claims if claim.in_print}
    why = Counter(row["reason"] for row in provisional).most_common(1)[0][0]
    if all(row["status"] == "provisional" or row["claim"] in in_print for row in judged):
        scope = "Every verdict that rests on these runs is provisional"
    else:
        verb = "is" if len(provisional) == 1 else "are"
        scope = f"{len(provisional)} of the verdicts {verb} provisional"
    return f"{found} {scope}: {why}{_instead(suite, registered, 'final ones')}."


def _instead(suite: Suite, registered: Claims, what: str) -> str:
    """Say which suite of the same data to run for final verdicts, if there is another one."""
    found = [load_suite(name) for name in verdict_suites(registered) if name != suite.name]
    others = [other for other in found if other.data.source == suite.data.source]
    return f"; for {what}, run `{suite_command(others[0])}`" if others else ""


def verdict_suites(registered: Claims) -> list[str]:
    """Return the shipped suites whose verdicts are final, the one of most methods first.

    They have the registered training seeds and the registered world.
    """
    rule, found = registered.rule, {}
    for name in suite_names():
        try:
            suite = load_suite(name)
        except ArkdError:  # a suite that does not load is another command's concern
            continue
        world = getattr(suite.data, "world_seed", None)
        registered_world = suite.worlds == rule.registered_worlds
        if not rule.registered_worlds:
            registered_world = world == rule.registered_world_seed and not suite.worlds
        if suite.seeds == rule.registered_seeds and registered_world:
            found[name] = len(suite.entries)
    return sorted(found, key=lambda name: -found[name])


def _notes(rows: Sequence[Line]) -> list[str]:
    """Return why verdicts are provisional, with the claims for which each reason holds."""
    claims: dict[str, list[str]] = {}
    for row in rows:
        if row["status"] == "provisional":
            claims.setdefault(row["reason"], []).append(row["claim"])
    return [f"Provisional ({', '.join(dict.fromkeys(ids))}): {why}." for why, ids in claims.items()]


def claim_view(row: Line, behind: list[Line]) -> dict[str, Any]:
    """Return a claim's line of the table and what opens under it."""
    decisive = [
        line
        for line in behind
        if describe(comparison(line)) == row["decisive"] and line["effect"] == row["effect"]
    ]
    places = digits(comparison(decisive[0])) if decisive else 3
    return {
        "id": row["claim"],
        "pair": row["pair"],
        "statement": row["statement"],
        "source": row["source"],
        "paper": row["paper"],
        "verdict": row["verdict"],
        "symbol": SYMBOLS.get(row["verdict"], DASH),
        "status": row["status"],
        "reason": "" if row["status"] == "provisional" else row["reason"],
        "rule": row["rule"],
        "decisive": row["decisive"],
        "unit": row["unit"],
        "effect": rounded(row["effect"], places),
        "interval": interval(row, places),
        "level": level(row),
        "smallest": rounded(row["smallest_effect"], places),
        "value": row["effect"],
        "power": row["smallest_effect"],
        "seeds": row["seeds"] if row["seeds"] not in ("", "0") else DASH,
        "failed": int(row["failed"] or 0),
        "drawing": drawing(decisive[0], decisive[:1]) if decisive else "",
        "told": _told(row, len(behind)),
        "comparisons": [view(line, behind) for line in behind],
    }


def _told(row: Line, every: int) -> str:
    """Say how a claim's comparisons came out: 5 comparisons, of which 1 holds, 4 open."""
    primary = int(row["comparisons"] or 0)
    numbers = {word: row.get(word, "") for word in OF_COMPARISONS}  # older files lack a word
    counts = [f"{count} {word}" for word, count in numbers.items() if count not in ("", "0")]
    text = f"{primary} comparison{'' if primary == 1 else 's'}"
    text += f": {', '.join(counts)}" if counts else ""  # of too few seeds none is decided or open
    return f"{text}; {every - primary} secondary" if every > primary else text

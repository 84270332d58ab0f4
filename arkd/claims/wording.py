"""Verdicts as a reader and a spreadsheet see them: the texts and columns of each claim."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from arkd.claims.decision import EQUIVALENT, HOLDS, OPEN, REFUTED, Comparison, Decided
from arkd.claims.judge import Judgement
from arkd.claims.paper_numbers import paper_effect
from arkd.claims.registered import Claims
from arkd.results.suite_results import observed
from arkd.suite.suite import Suite
from arkd.tables.write import number

DASH = "–"
COUNTED = (HOLDS, REFUTED, OPEN)
HEAD = ("Claim", "Statement", "Paper", "Measured", "Holds/refuted/open", "Decisive comparison")
EQUIVALENCE = "equivalence"  # the registered size that counts as an effect
RATES = "rates"  # learning rates of a comparison's arms
CLAIM_COLUMNS = (
    *("suite", "suite_version", "pair", "claim", "statement", "source", "paper", "verdict"),
    *("status", "rule", "comparisons", "holds", "refuted", EQUIVALENT, "open"),
    *("decisive", "effect", "low", "high", "level", "unit", "smallest_effect", "seeds", "failed"),
    *("reason", "claims_version"),
)
COMPARISON_COLUMNS = (
    *("suite", "suite_version", "claim", "test", "role", "kind", "pair", "a", "b", "task"),
    *("metric", "group", "direction", "margin", EQUIVALENCE, "target", "unit", RATES, "n"),
    *("failed", "effect", "low", "high", "level", "p", "decision", "smallest_effect", "seeds"),
    "note",
)


@dataclass(frozen=True)
class Line:
    """One verdict as a reader sees it."""

    judgement: Judgement
    texts: tuple[str, ...]  # under `heads`


def heads(suite: Suite) -> tuple[str, ...]:
    """Return the heads of the columns, which name what is counted."""
    return (*HEAD, "Verdict", "Smallest effect", f"{observed(suite).capitalize()}s", "Status")


def lines(suite: Suite, found: Sequence[Judgement]) -> list[Line]:
    """Return the texts of each verdict."""
    return [Line(judgement, _texts(suite, judgement)) for judgement in found]


def _texts(suite: Suite, judgement: Judgement) -> tuple[str, ...]:
    decisive = judgement.decisive
    measured, smallest, what, seeds = DASH, DASH, DASH, DASH
    if decisive and decisive.effect is not None:
        places = digits(decisive.comparison)
        measured = number(decisive.effect, places)
        if decisive.low is not None and decisive.high is not None:
            measured += f" [{number(decisive.low, places)}, {number(decisive.high, places)}]"
        if decisive.smallest is not None:
            smallest = number(decisive.smallest, places)
        what = describe(decisive.comparison)
        seeds = _seeds(decisive.comparison)
    counts = "/".join(str(_count(judgement, word)) for word in COUNTED)
    if equivalent := _count(judgement, EQUIVALENT):
        counts += f" ({equivalent} {EQUIVALENT})"
    verdict = f"{judgement.verdict}: {judgement.reason}" if judgement.reason else judgement.verdict
    notes = dict.fromkeys(
        result.comparison.note for result in judgement.primary if result.comparison.note
    )
    verdict += "".join(f" ({note})" for note in notes)
    several = len(suite.pairs) > 1
    name = f"{judgement.claim.id} ({judgement.pair})" if several else judgement.claim.id
    paper = paper_effect(judgement.claim, _published_pair(suite, judgement.pair))
    statement = " ".join(judgement.claim.statement.split())
    head = (name, statement, paper, measured, counts if judgement.primary else DASH, what)
    return (*head, verdict, smallest, seeds, _status(judgement) or DASH)


def describe(comparison: Comparison) -> str:
    """Name a comparison for a reader: its test, arms, task and group."""
    arms = comparison.a
    if comparison.b:
        arms = (
            f"{comparison.a} / {comparison.b} − 1"
            if comparison.kind == "ratio"
            else f"{comparison.a} − {comparison.b}"
        )
    if comparison.kind == "identity":
        arms = f"{comparison.a} = {comparison.b}"
    where = " ".join(filter(None, (comparison.task, comparison.group)))
    return f"{comparison.test}: {arms}" + (f", {where}" if where else "")


def digits(comparison: Comparison) -> int:
    """Return the decimals that a comparison's effect is shown with."""
    if comparison.kind == "arithmetic":
        return 0
    nats = comparison.unit.startswith("nats") or comparison.metric == "bert_score"
    return 2 if comparison.unit.startswith("ROUGE-L") else 4 if nats else 3


def _seeds(comparison: Comparison) -> str:
    if not comparison.values:
        return DASH
    return f"{len(comparison.values)}" + (
        f" ({len(comparison.failed)} failed)" if comparison.failed else ""
    )


def _count(judgement: Judgement, word: str) -> int:
    return [decided.decision for decided in judgement.primary].count(word)


def _status(judgement: Judgement) -> str:
    """Return final or provisional; nothing where there is no verdict."""
    if not judgement.primary or judgement.reason:
        return ""
    return "provisional" if judgement.provisional else "final"


def _published_pair(suite: Suite, pair: str) -> str | None:
    return next((spec.published for spec in suite.pairs if spec.name == pair), None)


def claim_row(suite: Suite, claims: Claims, judgement: Judgement) -> dict[str, Any]:
    decisive = judgement.decisive
    row: dict[str, Any] = {
        "pair": judgement.pair,
        "claim": judgement.claim.id,
        "statement": " ".join(judgement.claim.statement.split()),
        "source": judgement.claim.source,
        "paper": paper_effect(judgement.claim, _published_pair(suite, judgement.pair)),
        "verdict": judgement.verdict,
        "status": _status(judgement),
        "rule": judgement.claim.rule,
        "comparisons": len(judgement.primary),
        **{word: _count(judgement, word) for word in (*COUNTED, EQUIVALENT)},
        "reason": judgement.reason or judgement.provisional,
        "claims_version": claims.version,
    }
    if decisive:
        cells = comparison_row(decisive)
        row |= {key: cells[key] for key in ("effect", "low", "high", "level", "unit", "failed")}
        row |= {"decisive": describe(decisive.comparison), "seeds": cells["n"]}
        row["smallest_effect"] = decisive.smallest
    return row


def comparison_row(decided: Decided) -> dict[str, Any]:
    comparison = decided.comparison
    names = ("claim", "test", "role", "kind", "pair", "a", "b", "task", "metric", "group")
    numbers = ("direction", "margin", "target", "unit")
    return {
        **{key: getattr(comparison, key) for key in (*names, *numbers)},
        EQUIVALENCE: comparison.equivalence or None,
        RATES: " ".join(f"{rate:g}" for rate in comparison.rates),
        "n": len(comparison.values),
        "failed": len(comparison.failed),
        "effect": decided.effect,
        "low": decided.low,
        "high": decided.high,
        "level": decided.level,
        "p": decided.p_value,
        "decision": decided.decision,
        "smallest_effect": decided.smallest,
        "seeds": " ".join(str(seed) for seed in comparison.values),
        "note": "; ".join(filter(None, (comparison.reason, comparison.note))),
    }

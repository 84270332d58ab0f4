"""Verdicts as a reader and a spreadsheet see them: the texts and columns of each claim."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from arkd.claims.decision import HOLDS, OPEN, REFUTED, Comparison, Decided
from arkd.claims.judge import Judgement
from arkd.claims.paper_numbers import paper_effect
from arkd.claims.registered import Claims
from arkd.suite.suite import Suite
from arkd.tables.write import number

DASH = "–"
HEAD = ("Claim", "Statement", "Paper", "Measured", "Holds/refuted/open", "Decisive comparison")
TAIL = ("Verdict", "Smallest effect", "Seeds", "Status")
CLAIM_COLUMNS = (
    *("suite", "suite_version", "pair", "claim", "statement", "source", "paper", "verdict"),
    *("status", "rule", "comparisons", "holds", "refuted", "open", "decisive", "effect", "low"),
    *("high", "level", "unit", "smallest_effect", "seeds", "failed", "reason", "claims_version"),
)
COMPARISON_COLUMNS = (
    *("suite", "suite_version", "claim", "test", "role", "kind", "pair", "a", "b", "task"),
    *("metric", "group", "direction", "margin", "target", "unit", "n", "failed", "effect", "low"),
    *("high", "level", "p", "decision", "smallest_effect", "seeds", "note"),
)


@dataclass(frozen=True)
class Line:
    """One verdict as a reader sees it."""

    judgement: Judgement
    texts: tuple[str, ...]  # under HEAD and TAIL


def lines(suite: Suite, found: Sequence[Judgement]) -> list[Line]:
    """Return the texts of each verdict."""
    return [Line(one, _texts(suite, one)) for one in found]


def _texts(suite: Suite, one: Judgement) -> tuple[str, ...]:
    decisive = one.decisive
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
    counts = "/".join(str(_count(one, word)) for word in (HOLDS, REFUTED, OPEN))
    verdict = f"{one.verdict}: {one.reason}" if one.reason else one.verdict
    told = dict.fromkeys(of.comparison.note for of in one.primary if of.comparison.note)
    verdict += "".join(f" ({note})" for note in told)
    several = len(suite.pairs) > 1
    name = f"{one.claim.id} ({one.pair})" if several else one.claim.id
    paper = paper_effect(one.claim, _published_pair(suite, one.pair))
    statement = " ".join(one.claim.statement.split())
    head = (name, statement, paper, measured, counts if one.primary else DASH, what)
    return (*head, verdict, smallest, seeds, _status(one) or DASH)


def describe(one: Comparison) -> str:
    """Name a comparison for a reader: its test, arms, task and group."""
    arms = one.a
    if one.b:
        arms = f"{one.a} / {one.b} − 1" if one.kind == "ratio" else f"{one.a} − {one.b}"
    if one.kind == "identity":
        arms = f"{one.a} = {one.b}"
    where = " ".join(filter(None, (one.task, one.group)))
    return f"{one.test}: {arms}" + (f", {where}" if where else "")


def digits(one: Comparison) -> int:
    """Return the decimals that a comparison's effect is shown with."""
    if one.kind == "arithmetic":
        return 0
    nats = one.unit.startswith("nats") or one.metric == "bert_score"
    return 2 if one.unit.startswith("ROUGE-L") else 4 if nats else 3


def _seeds(one: Comparison) -> str:
    if not one.values:
        return DASH
    return f"{len(one.values)}" + (f" ({len(one.failed)} failed)" if one.failed else "")


def _count(one: Judgement, word: str) -> int:
    return [decided.decision for decided in one.primary].count(word)


def _status(one: Judgement) -> str:
    """Return final or provisional; nothing where there is no verdict."""
    if not one.primary or one.reason:
        return ""
    return "provisional" if one.provisional else "final"


def _published_pair(suite: Suite, pair: str) -> str | None:
    return next((own.published for own in suite.pairs if own.name == pair), None)


def claim_row(suite: Suite, claims: Claims, one: Judgement) -> dict[str, Any]:
    decisive = one.decisive
    row: dict[str, Any] = {
        "pair": one.pair,
        "claim": one.claim.id,
        "statement": " ".join(one.claim.statement.split()),
        "source": one.claim.source,
        "paper": paper_effect(one.claim, _published_pair(suite, one.pair)),
        "verdict": one.verdict,
        "status": _status(one),
        "rule": one.claim.rule,
        "comparisons": len(one.primary),
        **{word: _count(one, word) for word in (HOLDS, REFUTED, OPEN)},
        "reason": one.reason or one.provisional,
        "claims_version": claims.version,
    }
    if decisive:
        of = comparison_row(decisive)
        row |= {key: of[key] for key in ("effect", "low", "high", "level", "unit", "failed")}
        row |= {"decisive": describe(decisive.comparison), "seeds": of["n"]}
        row["smallest_effect"] = decisive.smallest
    return row


def comparison_row(decided: Decided) -> dict[str, Any]:
    one = decided.comparison
    names = ("claim", "test", "role", "kind", "pair", "a", "b", "task", "metric", "group")
    numbers = ("direction", "margin", "target", "unit")
    return {
        **{key: getattr(one, key) for key in (*names, *numbers)},
        "n": len(one.values),
        "failed": len(one.failed),
        "effect": decided.effect,
        "low": decided.low,
        "high": decided.high,
        "level": decided.level,
        "p": decided.p_value,
        "decision": decided.decision,
        "smallest_effect": decided.smallest,
        "seeds": " ".join(str(seed) for seed in one.values),
        "note": "; ".join(filter(None, (one.reason, one.note))),
    }

"""What the paper prints: its own numbers as tests, and the effect that it reports for a claim."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from itertools import product

from arkd import exact
from arkd.claims.decision import Comparison, beyond
from arkd.claims.kinds import AnyTest, Arithmetic, Paired, Published, Trajectory
from arkd.claims.registered import Claim
from arkd.results.published import of_paper
from arkd.tables.write import number

INSIDE = "dolly"  # the paper's test set in distribution; its others lie outside
OUTSIDE = ("selfinst", "vicuna", "sni", "unni")
PRINTED = {"in_distribution": [{INSIDE}], "out_of_distribution": [{name} for name in OUTSIDE]}
PRINTED["mean_out_of_distribution"] = [{*OUTSIDE}]  # one mean over all of them
SFT, TEACHER = "sft", "teacher"  # between them lies the paper's gap
PAPER_TEMPERATURE = "@temperature=2.0"  # an arm that spells it out is the paper's plain arm
SILENT = "–"


@cache
def printed_numbers() -> dict[tuple[str, ...], float]:
    """Return the paper's numbers by (pair, metric, dataset, method)."""
    return {
        (printed.pair, printed.metric, printed.dataset, printed.method): printed.value
        for printed in of_paper()
    }


def in_print(template: Comparison, test: AnyTest) -> Iterator[Comparison]:
    """Yield the comparisons of a test of printed or derived numbers, decided without interval."""
    if isinstance(test, Arithmetic):
        effect = test.derived - test.stated
        holds = beyond(effect, test.direction, test.margin)
        yield replace(template, a="derived", b="stated", outcome=holds, printed=effect)
    elif isinstance(test, Published):
        numbers = printed_numbers()
        for dataset in test.datasets:
            comparison = replace(
                template, pair=test.pair, a=test.a, b=test.b, task=dataset, metric=test.metric
            )
            a = numbers.get((test.pair, test.metric, dataset, test.a))
            b = numbers.get((test.b_pair or test.pair, test.metric, dataset, test.b))
            if a is None or b is None:
                yield replace(comparison, reason="the paper prints no such number")
            else:
                effect = round(a - b, 9)
                holds = beyond(effect, test.direction, test.margin)
                yield replace(comparison, outcome=holds, printed=effect)


def paper_effect(claim: Claim, published_pair: str | None) -> str:
    """Return what the paper reports of a claim's own quantity, '–' where it reports none.

    For a ROUGE-L difference it is the range over its tables' cells, of one pair if the suite's pair
    stands beside it, as a share of the gap from SFT to teacher if the test has it so; for a
    trajectory the value read off the figure.
    """
    differences: list[float] = []
    shares = False
    figures: list[float] = []
    for test in claim.primary:
        if isinstance(test, Paired) and test.metric == "rouge_l" and _as_printed(test):
            shares = shares or test.transform == "gap_closed"
            differences += _printed_differences(test, published_pair)
        elif isinstance(test, Published):
            template = Comparison(claim.id, test.name, test.role, test.kind, test.pair, a="")
            found = [comparison.printed for comparison in in_print(template, test)]
            differences += [effect for effect in found if effect is not None]
        elif isinstance(test, Trajectory) and test.target:
            figures.append(test.target)
        elif isinstance(test, Arithmetic):
            figures.append(test.stated)
    if figures:
        return ", ".join(f"{value:g}" for value in figures)
    if not differences:
        return SILENT
    digits = 2 if shares else 3 if max(map(abs, differences)) < 0.1 else 1
    low, high = (number(value, digits) for value in (min(differences), max(differences)))
    cells = f"{len(differences)} cells" if len(differences) > 1 else "1 cell"
    return f"{low} to {high} ({cells})" if low != high else f"{low} ({cells})"


def _as_printed(test: Paired) -> bool:
    """Tell whether the paper's tables have what a test compares, or give it."""
    return test.transform == "none" or (test.transform == "gap_closed" and test.gap_from == SFT)


def _printed_differences(test: Paired, published_pair: str | None) -> list[float]:
    """Return a − b, or its share, of each printed cell, or mean of cells, that a test is about."""
    metric = test.metric
    pairs = dict.fromkeys(p.pair for p in of_paper() if published_pair in (None, p.pair))
    where = [datasets for role in test.tasks for datasets in PRINTED.get(role, ())]
    found = []
    for pair, datasets, b in product(pairs, where, test.b):
        arms = (name.removesuffix(PAPER_TEMPERATURE) for name in (test.a, b))
        ours, other = (_mean_printed(pair, metric, datasets, arm) for arm in arms)
        if ours is None or other is None:
            continue
        gap = 1.0
        if test.transform != "none":
            teacher, sft = (_mean_printed(pair, metric, datasets, arm) for arm in (TEACHER, SFT))
            assert teacher is not None
            assert sft is not None
            gap = teacher - sft
        found.append((ours - other) / gap)
    return found


def _mean_printed(pair: str, metric: str, datasets: set[str], method: str) -> float | None:
    """Return the mean over data sets of what is printed of a method; None if one is not."""
    numbers = printed_numbers()
    found = [numbers.get((pair, metric, dataset, method)) for dataset in sorted(datasets)]
    whole = [value for value in found if value is not None]
    return exact.mean(whole) if len(whole) == len(found) else None

"""What a test of records compares: an arm's values by seed on a task, and their transforms."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial

from arkd import exact
from arkd.claims.arms import Results
from arkd.claims.decision import Comparison
from arkd.claims.kinds import Measured
from arkd.metrics.declared import recorded
from arkd.results.records import SCORED, SeedValues
from arkd.results.suite_results import observed
from arkd.statistics.intervals import mean_interval


def measured(
    results: Results, template: Comparison, test: Measured, name: str, group: str
) -> Iterator[tuple[Comparison, Callable[[str], SeedValues]]]:
    """Yield each task that a test names, with what gives an arm's values by seed there.

    A comparison that cannot be made has the reason.

    Args:
        results: The finished suite.
        template: What all the test's comparisons share.
        test: The registered test.
        name: One of its roles or tasks.
        group: One of its groups.
    """
    tasks = results.tasks(name)
    if not tasks:
        reason = f"the suite has no task in the role '{name}'"
        yield replace(template, task=name, reason=reason), _nothing
    for task in tasks:
        comparison = replace(template, task=task, group=group)
        if name != task and test.metric in SCORED and results.records.without_references(task):
            continue  # a set of prompts alone, which the role's other sets stand for
        needed = [task, *([results.suite.test_sets[0]] if test.transform == "drop" else [])]
        lacking = [t for t in needed if not results.measured(t, test.metric, group)]
        if lacking:
            where = f" in group '{group}'" if group else ""
            reason = f"no {test.metric} was measured on {lacking[0]}{where}"
            yield replace(comparison, reason=reason), _nothing
            continue
        gap = 1.0
        if test.transform == "gap_closed":
            gaps, reason = _gap(results, comparison, test.gap_from)
            if reason:
                yield replace(comparison, reason=reason), _nothing
                continue
            gap, comparison = exact.mean([*gaps.values()]), replace(comparison, gaps=tuple(gaps))
        yield comparison, partial(_value, results, comparison, test=test, gap=gap)


def _nothing(arm: str) -> SeedValues:
    return {}


def _value(
    results: Results, comparison: Comparison, arm: str, *, test: Measured, gap: float
) -> SeedValues:
    """Return an arm's value by seed, transformed (`transforms`)."""
    quantity = (comparison.task, comparison.metric, comparison.group)
    values = results.values(comparison.pair, arm, *quantity)
    if test.transform == "abs":
        return {seed: abs(value) for seed, value in values.items()}
    if test.transform == "gap_closed":
        _, start = results.gap(comparison.pair, *quantity, results.arm(test.gap_from) or "")
        if results.one_model(arm):
            start = dict.fromkeys(values, exact.mean([*start.values()]))
        elif _cancels(results, comparison):  # so a world whose start failed keeps its difference
            start = dict.fromkeys(values, 0.0) | start
        return {s: (v - start[s]) / gap for s, v in values.items() if s in start}
    if test.transform in ("drop", "shift"):
        task = results.suite.test_sets[0] if test.transform == "drop" else comparison.task
        group = comparison.group if test.transform == "drop" else ""
        other = results.values(comparison.pair, arm, task, comparison.metric, group)
        sign = -1 if test.transform == "drop" else 1
        return {s: sign * (v - other[s]) for s, v in values.items() if s in other}
    return values


def _cancels(results: Results, comparison: Comparison) -> bool:
    """Tell whether the start leaves what is compared: a difference, or a ladder's slope.

    It does not where one arm is the only teacher, which counts from the mean of all starts.
    """
    arms = [results.arm(arm) or "" for arm in (comparison.a, comparison.b)]
    return comparison.kind != "ratio" and not any(map(results.one_model, arms))


def _gap(results: Results, comparison: Comparison, gap_from: str) -> tuple[SeedValues, str]:
    """Return teacher - start by seed, or why there is no gap: the teacher is not ahead, say."""
    label, where = results.arm(gap_from), "start" if gap_from == "init" else gap_from
    none = f"no gap between {where} and teacher on {comparison.task}"
    if label is None:
        return {}, none
    teacher, start = results.gap(
        comparison.pair, comparison.task, comparison.metric, comparison.group, label
    )
    gaps = {seed: teacher[seed] - value for seed, value in start.items() if seed in teacher}
    if len(gaps) < 2:
        what = observed(results.suite) + "s" * (len(gaps) != 1)
        return {}, f"{len(gaps)} {what} with {where} and teacher, 2 are needed for their gap"
    found = mean_interval([*gaps.values()])
    assert found.low is not None
    assert found.high is not None
    higher = recorded(comparison.metric).higher_is_better
    ahead = {True: found.low > 0, False: found.high < 0, None: not found.low <= 0 <= found.high}
    return (gaps, "") if ahead[higher] else ({}, none)

"""From a registered test to its comparisons: which there are, and the difference in each seed."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import partial
from itertools import pairwise, product
from typing import Any

from arkd.claims.arms import Results
from arkd.claims.decision import Comparison, beyond
from arkd.claims.kinds import AnyTest, Bounded, Identity, Order, Paired, Trajectory
from arkd.claims.paper_numbers import in_print
from arkd.claims.trajectory_statistic import too_short
from arkd.results.records import SCORED, SeedValues
from arkd.statistics.intervals import mean_interval
from arkd.suite.folders import TEACHER


def comparisons(results: Results, claim: str, test: AnyTest, pair: str) -> list[Comparison]:
    """Return every comparison of a test in a pair; one that cannot be made has the reason.

    Args:
        results: The finished suite's values by arm and seed.
        claim: Id of the claim, "" for a precondition; it is copied into each comparison.
        test: The registered test, whose tasks, groups and arms b are crossed.
        pair: Name of teacher and student in the suite; tests of printed numbers name the paper's.
    """
    bounds: dict[str, Any] = {}
    if isinstance(test, Bounded):
        bounds = {"direction": test.direction, "margin": test.margin, "unit": test.unit}
        bounds["equivalence"] = test.equivalence
    template = Comparison(claim, test.name, test.role, test.kind, pair, a="", **bounds)
    if isinstance(test, Paired):
        return list(_paired(results, replace(template, a=test.a, metric=test.metric), test))
    if isinstance(test, Trajectory):
        return list(_trajectories(results, replace(template, a=test.a, metric=test.metric), test))
    if isinstance(test, Identity):
        return [
            _identity(results, replace(template, a=test.a, b=b, metric=test.artefact))
            for b in test.b
        ]
    if isinstance(test, Order):
        return list(_orders(results, template, test))
    return list(in_print(template, test))


def _paired(results: Results, template: Comparison, test: Paired) -> Iterator[Comparison]:
    for name, group, b in product(test.tasks, test.groups, test.b):
        tasks = results.tasks(name)
        if not tasks:
            yield replace(
                template, b=b, task=name, reason=f"the suite has no task in the role '{name}'"
            )
        for task in tasks:
            comparison = replace(template, b=b, task=task, group=group)
            if name != task and test.metric in SCORED and results.records.without_references(task):
                continue  # a set of prompts alone, which the role's other sets stand for
            if not results.measured(task, test.metric, group):
                where = f" in group '{group}'" if group else ""
                yield replace(comparison, reason=f"no {test.metric} was measured on {task}{where}")
                continue
            gap = (0.0, 1.0)
            if test.transform == "gap_closed":
                gap = _gap(results, comparison)
                if math.isnan(gap[1]):
                    yield replace(comparison, reason=f"no gap between start and teacher on {task}")
                    continue
            value = partial(_value, results, comparison, transform=test.transform, gap=gap)
            yield _differences(results, comparison, value)


def _value(
    results: Results, comparison: Comparison, arm: str, *, transform: str, gap: tuple[float, float]
) -> SeedValues:
    """Return an arm's value by seed, transformed (`transforms`)."""
    values = results.values(
        comparison.pair, arm, comparison.task, comparison.metric, comparison.group
    )
    if transform == "abs":
        return {seed: abs(value) for seed, value in values.items()}
    if transform == "gap_closed":
        quantity = (comparison.task, comparison.metric, comparison.group)
        _, start = results.gap(comparison.pair, *quantity)
        start = start if arm != TEACHER else dict.fromkeys(values, gap[0])
        return {s: (v - start[s]) / gap[1] for s, v in values.items() if s in start}
    if transform == "drop":
        inside = results.values(
            comparison.pair, arm, results.suite.test_sets[0], comparison.metric, comparison.group
        )
        return {s: inside[s] - v for s, v in values.items() if s in inside}
    return values


def _gap(results: Results, comparison: Comparison) -> tuple[float, float]:
    """Return the mean start and teacher - mean of init; NaN where its 95 % interval holds 0."""
    teacher, start = results.gap(
        comparison.pair, comparison.task, comparison.metric, comparison.group
    )
    if len(start) < 2 or math.isnan(teacher):
        return math.nan, math.nan
    found = mean_interval([teacher - value for value in start.values()])
    assert found.low is not None
    assert found.high is not None
    closed = found.low <= 0 <= found.high
    return teacher - found.mean, math.nan if closed else found.mean


def _trajectories(results: Results, template: Comparison, test: Trajectory) -> Iterator[Comparison]:
    for b in test.b or ("",):
        comparison = replace(template, b=b, target=test.target)
        silent = [
            arm
            for arm in test.arms
            if (row := results.arm(arm)) and not results.logs(template.pair, row, test.metric)
        ]
        if too_short(test, results.steps):
            where = f"{test.window[0]:g} to {test.window[1]:g}"
            reason = f"too few steps ({results.steps}) for one within {where} of the run"
            yield replace(comparison, reason=reason)
        elif silent:
            yield replace(comparison, reason=f"{', '.join(silent)}: no {test.metric} was logged")
        else:
            yield _differences(
                results, comparison, partial(results.statistic, template.pair, test=test)
            )


def _differences(
    results: Results, comparison: Comparison, value: Callable[[str], SeedValues]
) -> Comparison:
    """Fill in the differences of two arms on the seeds both have, or one arm's own values."""
    arms = [arm for arm in (comparison.a, comparison.b) if arm]
    rows = [results.arm(arm) for arm in arms]
    if None in rows:
        lacking = ", ".join(arm for arm, row in zip(arms, rows, strict=True) if row is None)
        return replace(comparison, reason=f"the suite has no arm {lacking}")
    labels = [row for row in rows if row]
    comparison = replace(comparison, a=labels[0], b=labels[1] if comparison.b else "")
    planned = _shared(results, labels)
    lost = {seed for label in labels for seed in results.failed(comparison.pair, label)}
    comparison = replace(comparison, failed=tuple(seed for seed in planned if seed in lost))
    found = [_spread(value(label), label, planned) for label in labels]
    seeds = [s for s in planned if s not in lost and all(s in values for values in found)]
    if len(found) == 1:
        return replace(comparison, values={seed: found[0][seed] for seed in seeds})
    first, second = found
    if comparison.kind != "ratio":
        return replace(comparison, values={seed: first[seed] - second[seed] for seed in seeds})
    if any(first[seed] <= 0 or second[seed] <= 0 for seed in seeds):
        return replace(comparison, reason=f"a ratio needs {comparison.metric} above 0")
    return replace(
        comparison, values={seed: math.log(first[seed] / second[seed]) for seed in seeds}
    )


def _shared(results: Results, labels: list[str]) -> list[int]:
    """Return the seeds planned for all arms; the one teacher goes with every seed."""
    plans = [results.expected(label) for label in labels if label != TEACHER]
    return [seed for seed in plans[0] if all(seed in plan for plan in plans)] if plans else [0]


def _spread(values: Mapping[int, Any], label: str, planned: list[int]) -> dict[int, Any]:
    """Give the one teacher's value to every seed."""
    if label != TEACHER:
        return dict(values)
    return {seed: value for seed in planned for value in values.values()}


def _identity(results: Results, comparison: Comparison) -> Comparison:
    """Compare the bytes of the students; `values` are 1 where a seed's agree."""
    hashes = {}

    def value(label: str) -> SeedValues:
        hashes[label] = results.weights(comparison.pair, label)
        return dict.fromkeys(hashes[label], 0.0)

    comparison = _differences(results, comparison, value)
    if comparison.reason:
        return comparison
    same = {
        seed: float(hashes[comparison.a][seed] == hashes[comparison.b][seed])
        for seed in comparison.values
    }
    rates = {arm: results.suite.settings(results.suite.entry(arm)).lr for arm in hashes}
    note = ""
    if len({*rates.values()}) > 1:
        arm_rates = ", ".join(f"{arm} at {rate:g}" for arm, rate in rates.items())
        note = f"trained at different rates ({arm_rates}), so bytes could not agree"
    share = sum(same.values()) / max(1, len(same))
    return replace(comparison, values=same, outcome=all(same.values()), printed=share, note=note)


def _orders(results: Results, template: Comparison, test: Order) -> Iterator[Comparison]:
    """Compare each arm with the next one in every seed; '*' stands for every other arm."""
    others = [arm for arm in results.rows() if arm not in test.arms]
    steps = [others if arm == "*" else [arm] for arm in test.order]
    for name, group, metric in product(test.tasks, test.groups, test.metrics):
        for task in results.tasks(name):
            comparison = replace(
                template, a=", ".join(test.order), task=task, group=group, metric=metric
            )
            found: list[Comparison] = []
            for before, after in pairwise(steps):
                for a, b in product(before, after):
                    value = partial(_value, results, comparison, transform="none", gap=(0.0, 1.0))
                    found.append(_differences(results, replace(comparison, a=a, b=b), value))
            wrong = [
                f"{pair.a} and {pair.b} in seed {seed}"
                for pair in found
                for seed, difference in pair.values.items()
                if not beyond(difference, test.direction, test.margin)
            ]
            if any(pair.values for pair in found):
                yield replace(comparison, outcome=not wrong, note="; ".join(wrong[:3]))
            else:
                yield replace(comparison, reason=f"no {metric} was measured on {task}")

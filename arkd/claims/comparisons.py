"""From a registered test to its comparisons: which there are, and the difference in each seed."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from itertools import chain, pairwise, product
from typing import Any

from arkd import exact
from arkd.claims.arms import Results
from arkd.claims.decision import Comparison, beyond
from arkd.claims.kinds import AnyTest, Bounded, Identity, Order, Paired, Slope, Trajectory
from arkd.claims.measured import measured
from arkd.claims.paper_numbers import in_print
from arkd.claims.trajectory_statistic import too_short
from arkd.results.records import SeedValues


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
    if isinstance(test, Slope):
        return list(_slopes(results, replace(template, metric=test.metric), test))
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
    for name, group, b in product(test.tasks, test.groups, test.b or ("",)):
        for comparison, value in measured(results, replace(template, b=b), test, name, group):
            yield comparison if comparison.reason else _differences(results, comparison, value)


def _slopes(results: Results, template: Comparison, test: Slope) -> Iterator[Comparison]:
    """Fit a line over the ladder in every seed that all its arms have."""
    template = replace(template, a=f"slope in {test.setting}")
    wanted = product(test.tasks, test.groups)
    for comparison, value in chain.from_iterable(
        measured(results, template, test, name, group) for name, group in wanted
    ):
        if comparison.reason:
            yield comparison
            continue
        parts = {
            arm: _differences(results, replace(comparison, a=arm), value) for arm in test.ladder
        }
        reasons = [part.reason for part in parts.values() if part.reason]
        if reasons:
            yield replace(comparison, reason=reasons[0])
            continue
        failed = {seed for part in parts.values() for seed in part.failed}
        rates = tuple(rate for part in parts.values() for rate in part.rates)
        first, *rest = (part.values for part in parts.values())
        slopes = {
            seed: _slope([(x, parts[arm].values[seed]) for arm, x in test.ladder.items()])
            for seed in first
            if all(seed in values for values in rest)
        }
        yield replace(comparison, values=slopes, failed=tuple(sorted(failed)), rates=rates)


def _slope(points: Sequence[tuple[float, float]]) -> float:
    """Return the slope of the least-squares line through points (x, y)."""
    centre = exact.mean([x for x, _ in points])
    spread = math.fsum((x - centre) ** 2 for x, _ in points)
    return math.fsum((x - centre) * y for x, y in points) / spread


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
            reason = f"too few steps ({results.steps}): none is within {where} of the run"
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
    comparison = replace(comparison, rates=results.rates(labels))
    planned = _shared(results, labels)
    lost = {seed for label in labels for seed in results.failed(comparison.pair, label)}
    comparison = replace(comparison, failed=tuple(seed for seed in planned if seed in lost))
    found = [results.spread(value(label), label, planned) for label in labels]
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
    """Return the seeds planned for all arms; a teacher that is one model goes with every seed."""
    plans = [results.expected(label) for label in labels if not results.one_model(label)]
    return [seed for seed in plans[0] if all(seed in plan for plan in plans)] if plans else [0]


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
    note = ""
    if len({*comparison.rates}) > 1:
        rates = zip(hashes, comparison.rates, strict=True)
        arm_rates = ", ".join(f"{arm} at {rate:g}" for arm, rate in rates)
        note = f"trained at different rates ({arm_rates}), so bytes could not agree"
    share = sum(same.values()) / max(1, len(same))
    return replace(comparison, values=same, outcome=all(same.values()), printed=share, note=note)


def _plain(results: Results, comparison: Comparison, arm: str) -> SeedValues:
    quantity = (comparison.task, comparison.metric, comparison.group)
    return results.values(comparison.pair, arm, *quantity)


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
                    value = partial(_plain, results, comparison)
                    found.append(_differences(results, replace(comparison, a=a, b=b), value))
            # An arm that '*' stands for may have failed; those that are named are needed.
            measured = {arm for pair in found if pair.values for arm in (pair.a, pair.b)}
            unmeasured = [arm for arm in test.arms if arm not in measured]
            wrong = [
                f"{pair.a} and {pair.b} in seed {seed}"
                for pair in found
                for seed, difference in pair.values.items()
                if not beyond(difference, test.direction, test.margin)
            ]
            if not measured:
                yield replace(comparison, reason=f"no {metric} was measured on {task}")
            elif unmeasured:
                yield replace(comparison, reason=f"{unmeasured[0]} has no {metric} on {task}")
            else:
                yield replace(comparison, outcome=not wrong, note="; ".join(wrong[:3]))

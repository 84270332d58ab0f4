"""Whether a generated world can show what its suite is for, by marks set before its verdict run.

A world is chosen on development worlds alone. It is accepted by these marks: each divergence ends
lowest on its own training loss, so that students are limited by capacity and not by their steps;
plain fine-tuning stays behind the teacher, and every divergence leads nearer to it, so that there
is something to distil; the teacher's tails are heavy; students are worse than the teacher on what
is common, so that there is a head to trade; in distribution their tails overlap with the teacher's
neither hardly nor fully; reverse KL is the smaller divergence at most steps of the even mix, which
favours neither, as with real vocabularies; and twice the steps change a contrast among the arms by
no more than its standard error: the median one, since the largest of many exceeds it by chance
alone.
"""

from __future__ import annotations

import itertools
import math
import statistics
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from arkd import exact
from arkd.errors import ArkdError
from arkd.paths import benchmarks_dir
from arkd.results.suite_results import SuiteResults
from arkd.results.trajectories import Curves, last
from arkd.storage.records import write_csv
from arkd.suite.folders import TEACHER, Tree
from arkd.tables.builder import GOLD, Source
from arkd.tables.kinds.blocks import FIDELITY
from arkd.tables.quantities import FORWARD, LATE, MIX, REVERSE, SFT

# Half of a response's tokens are the most frequent ones (`arkd.evaluation.fidelity.BAND_ENDS`):
# stops and words of templates, which have no tail. Where there is a choice it is twice as much.
HEAVY = 0.025
GAP = 2.0  # points of ROUGE-L from fine-tuning to the teacher; the paper's pairs have 3.1 to 5.3
ARMS = (FORWARD, REVERSE, MIX)
COLUMNS = ("suite", "pair", "mark", "value", "least", "most", "met")


class Mark(NamedTuple):
    """One mark of a pair: a value, and between what it must lie."""

    pair: str
    name: str
    value: float
    least: float = -math.inf
    most: float = math.inf

    @property
    def met(self) -> bool:
        """Whether the value lies there; one that could not be measured does not."""
        return self.least <= self.value <= self.most


def marks(tree: Tree, doubled: Tree | None = None) -> list[Mark]:
    """Return the marks of a finished suite, pair by pair.

    Args:
        tree: A suite with rows `sft`, `forward_kl`, `reverse_kl` and `fixed_mix`, and
            `tail.overlap` set.
        doubled: The same suite at twice the steps, for the last mark; none: it is left out.

    Raises:
        ArkdError: the suite lacks one of these, or its results are not there.
    """
    suite = tree.suite
    lacks = {SFT, *ARMS} - {entry.label for entry in suite.entries}
    if lacks or not suite.tail.overlap:
        lacking = ", ".join(sorted(lacks)) or "tail.overlap"
        raise ArkdError(f"suite {suite.name}: calibration needs {lacking}")
    make = SuiteResults(tree)
    more = SuiteResults(doubled) if doubled else None
    if more and more.suite.distillation.steps != 2 * suite.distillation.steps:
        raise ArkdError(
            f"suite {more.suite.name}: {more.suite.distillation.steps} steps, twice the "
            f"{suite.distillation.steps} of {suite.name} are wanted"
        )
    found: list[Mark] = []
    for pair in suite.pairs:
        found += [Mark(pair.name, *rest) for rest in _of_training(make, pair.name)]
        found += [Mark(pair.name, *rest) for rest in _of_distillation(make, pair.name)]
        found += [Mark(pair.name, *rest) for rest in _of_models(make, pair.name)]
        if more:
            found.append(Mark(pair.name, *_of_steps(make, more, pair.name)))
    return found


def write(found: list[Mark], tree: Tree) -> Path:
    """Write marks to benchmarks/calibration, which is committed with the choice of a world."""
    path = benchmarks_dir() / "calibration" / f"{tree.suite.name}.csv"
    rows: list[dict[str, Any]] = [
        {
            **{"suite": tree.suite.name, "pair": mark.pair, "mark": mark.name},
            **{"value": mark.value, "met": mark.met},
            "least": None if math.isinf(mark.least) else mark.least,
            "most": None if math.isinf(mark.most) else mark.most,
        }
        for mark in found
    ]
    write_csv(path, COLUMNS, rows)
    return path


def _of_training(make: SuiteResults, pair: str) -> Iterator[tuple[str, float, float, float]]:
    """Yield the marks of the training losses: of each pure arm its own, and which is smaller."""
    curves = Curves(make)
    arms = [entry.label for entry in make.suite.entries]
    for pure, column in ((FORWARD, "fkl"), (REVERSE, "rkl")):
        ends = {}
        for arm in arms:
            series = curves.of(pair, arm, column)
            if series:
                ends[arm] = exact.mean([last(run, LATE) for run in series.values()])
        lowest = min((value for arm, value in ends.items() if arm != pure), default=math.nan)
        yield (
            f"{column} of {pure} over the lowest of the others",
            _ratio(ends.get(pure, math.nan), lowest),
            0.0,
            1.0,
        )
    forward, reverse = (curves.of(pair, MIX, column) for column in ("fkl", "rkl"))
    shares = [float((reverse[seed] < forward[seed]).mean()) for seed in forward]
    yield f"steps of {MIX} at which reverse KL is the smaller", _mean_of(shares), 0.5, 1.0


def _of_distillation(make: SuiteResults, pair: str) -> Iterator[tuple[str, float, float, float]]:
    """Yield the marks of what there is to distil: in distribution, over plain fine-tuning."""
    task, score = make.suite.test_sets[0], make.suite.rouge
    teacher, tuned = (_mean(make, pair, arm, task, score) for arm in (TEACHER, SFT))
    yield f"{score} of the teacher less that of {SFT}, points", teacher - tuned, GAP, 50.0
    far = _mean(make, pair, SFT, GOLD, "jsd", task)
    for arm in ARMS:
        near = _mean(make, pair, arm, GOLD, "jsd", task)
        yield f"JSD of {arm} over that of {SFT}", _ratio(near, far), 0.0, 1.0


def _of_models(make: SuiteResults, pair: str) -> Iterator[tuple[str, float, float, float]]:
    """Yield the marks of finished models: heavy tails, and students neither perfect nor lost."""
    teacher = _mean(make, pair, TEACHER, GOLD, "tail_mass")
    yield "teacher's mass beyond 0.9, mean of all tokens", teacher, HEAVY, 0.1
    known = _mean(make, pair, TEACHER, "truth", "truth_error", "certain_head")
    for arm in ARMS:
        error = _mean(make, pair, arm, "truth", "truth_error", "certain_head")
        yield f"error on head facts of {arm} over the teacher's", _ratio(error, known), 1.5, 5.0
        overlap = _mean(make, pair, arm, GOLD, "tail_overlap", make.suite.test_sets[0])
        yield f"tail overlap of {arm} in distribution", overlap, 0.2, 0.8


def _of_steps(make: SuiteResults, more: SuiteResults, pair: str) -> tuple[str, float, float, float]:
    """Return by how many standard errors twice the steps change a contrast, the median of all."""
    changes = []
    score = Source(make.suite.test_sets[0], make.suite.rouge, "ROUGE-L")
    for (a, b), source in itertools.product(itertools.combinations(ARMS, 2), (score, *FIDELITY)):
        gaps = []
        for results in (make, more):
            first, second = (
                results.records.values(pair, arm, source.task, source.metric, source.group)
                for arm in (a, b)
            )
            gaps.append([first[seed] - second[seed] for seed in first if seed in second])
        changes.append(_standardised(*gaps))
    name = "median change of a contrast by twice the steps, in standard errors"
    unknown = any(map(math.isnan, changes))
    return name, math.nan if unknown else statistics.median(changes), 0.0, 1.0


def _standardised(before: list[float], after: list[float]) -> float:
    """Return the change of a mean over seeds in standard errors; NaN without two seeds."""
    if min(len(before), len(after)) < 2:
        return math.nan
    change = abs(exact.mean(after) - exact.mean(before))
    error = math.sqrt(sum(exact.deviation(gap) ** 2 / len(gap) for gap in (before, after)))
    return 0.0 if change == 0 else change / error if error else math.inf


def _mean(
    make: SuiteResults, pair: str, arm: str, task: str, metric: str, group: str = ""
) -> float:
    return _mean_of([*make.records.values(pair, arm, task, metric, group).values()])


def _mean_of(values: list[float]) -> float:
    """Return the mean of what was measured; NaN if nothing was, as where every run failed."""
    return exact.mean(values) if values else math.nan


def _ratio(above: float, below: float) -> float:
    """Return a ratio; NaN to nothing, to which no share can be told."""
    return above / below if below else math.nan

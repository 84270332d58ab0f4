"""The table over all test sets, against the records' numbers put together by hand and by scipy."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats
from simulate import failed_row, laid_out, rows_of, save, suite_of

from arkd.errors import ArkdError
from arkd.seeding import derive_seed
from arkd.statistics.intervals import holm
from arkd.statistics.resampling import bootstrap, jackknife
from arkd.statistics.scores import iqm, probability_of_improvement
from arkd.suite.suite import Suite
from arkd.tables import build as tables
from arkd.tables.builder import Builder
from arkd.tables.kinds import aggregate
from arkd.tables.quantities import reference
from arkd.tables.table import Cell, Layout

METHODS = ("forward_kl", "fixed_mix", "arkd", "sft")
TEN = tuple(range(1, 11))
LEVELS = {"teacher": 80.0, "init": 40.0, "untrained": 2.0, "arkd": 72.0, "sft": 50.0}


def level(method: str, task: str, metric: str) -> float:
    """Start at 40, teacher at 80, `arkd` and `sft` to both sides of the others at 60."""
    return LEVELS.get(method.split("@")[0], 60.0) if metric == "rouge_l" else 0.5


def rouge(rows: list[dict[str, Any]], suite: Suite, method: str) -> np.ndarray:
    """Return a row's ROUGE-L, decodings averaged, shape [seeds, test sets]."""
    found: dict[tuple[int, str], list[float]] = {}
    for row in rows:
        if (row["method"], row["metric"]) == (method, "rouge_l"):
            found.setdefault((row["seed"], row["task"]), []).append(float(row["value"]))
    seeds = sorted({seed for seed, _ in found})
    return np.array([[np.mean(found[s, task]) for task in suite.test_sets] for s in seeds])


def closed(rows: list[dict[str, Any]], suite: Suite, method: str) -> np.ndarray:
    start, teacher = rouge(rows, suite, "init"), rouge(rows, suite, "teacher")
    own = rouge(rows, suite, method)
    return (own - start[: len(own)]) / (teacher - start[: len(own)])


def built(suite: Suite, root: Path, rows: list[dict[str, Any]]) -> Layout:
    save(suite, root, rows)
    table = laid_out(aggregate, Builder(suite, root))
    return table


def cells_of(table: Layout, method: str) -> dict[str, Cell]:
    (row,) = [row for row in table.rows if row.method == method]
    return dict(zip([column.key for column in table.columns], row.cells, strict=True))


def test_few_seeds_have_t_intervals(tmp_path: Path) -> None:
    suite = suite_of(METHODS)
    rows = rows_of(suite, level, sd=3.0)
    table = built(suite, tmp_path, rows)
    for method in METHODS:
        scores, cells = closed(rows, suite, method), cells_of(table, method)
        expected = stats.trim_mean(scores, 0.25, axis=None)
        assert cells["gap_closed iqm"].mean == pytest.approx(expected, rel=1e-9)
        ends = cells["gap_closed iqm low"].mean, cells["gap_closed iqm high"].mean
        assert ends == pytest.approx(jackknife(iqm, scores))
        by_seed = scores.mean(axis=1)
        low, high = stats.t.interval(0.95, 2, by_seed.mean(), stats.sem(by_seed))
        assert cells["gap_closed mean"].mean == pytest.approx((low + high) / 2)
        assert cells["gap_closed mean"].half == pytest.approx((high - low) / 2)


def test_ten_seeds_have_the_bootstrap_of_their_own_draws(tmp_path: Path) -> None:
    suite = suite_of(METHODS, seeds=TEN)
    rows = rows_of(suite, level, sd=12.0)  # so wide that students of both rows win
    table = built(suite, tmp_path, rows)
    cells, pair = cells_of(table, "arkd"), suite.pairs[0].name
    scores, reference = closed(rows, suite, "arkd"), closed(rows, suite, "fixed_mix")
    seed = derive_seed("bootstrap", suite.name, pair, "arkd", "iqm")
    ends = cells["gap_closed iqm low"].mean, cells["gap_closed iqm high"].mean
    assert ends == pytest.approx(bootstrap(iqm, scores, seed=seed))
    seed = derive_seed("bootstrap", suite.name, pair, "arkd", "better")
    low, high = bootstrap(probability_of_improvement, scores, reference, seed=seed)
    ends = cells["better probability low"].mean, cells["better probability high"].mean
    assert ends == pytest.approx((low, high))
    assert 0.5 < low < high < 1.0


def test_rows_are_compared_with_the_even_mix(tmp_path: Path) -> None:
    suite = suite_of(METHODS, seeds=TEN)
    rows = rows_of(suite, level, sd=12.0)
    table = built(suite, tmp_path, rows)
    base = closed(rows, suite, "fixed_mix")
    others = [method for method in METHODS if method != "fixed_mix"]
    tests = {}
    for method in others:
        scores, cells = closed(rows, suite, method), cells_of(table, method)
        tests[method] = stats.ttest_rel(scores.mean(axis=1), base.mean(axis=1))
        interval = tests[method].confidence_interval(0.95)
        found = cells["gap_closed difference"]
        assert found.mean == pytest.approx((interval.low + interval.high) / 2)
        assert found.half == pytest.approx((interval.high - interval.low) / 2)
        wins = [
            stats.mannwhitneyu(scores[:, t], base[:, t]).statistic / 100
            for t in range(len(suite.test_sets))
        ]
        assert cells["better probability"].mean == pytest.approx(np.mean(wins))
        gaps = (scores - base).mean(axis=1)
        spread = gaps.std(ddof=1) / 10**0.5
        least = spread * (stats.t.ppf(1 - 0.05 / 3 / 2, 9) + stats.t.ppf(0.8, 9))
        assert cells["difference detectable"].mean == pytest.approx(least)
    adjusted = dict(zip(others, holm([tests[m].pvalue for m in others]), strict=True))
    found = {method: cells_of(table, method)["difference p_holm"].mean for method in others}
    assert found == pytest.approx(adjusted)
    assert found["arkd"] < 0.05 < found["forward_kl"]


def test_the_reference_is_not_tested_against_itself(tmp_path: Path) -> None:
    suite = suite_of(METHODS)
    cells = cells_of(built(suite, tmp_path, rows_of(suite, level, sd=3.0)), "fixed_mix")
    assert (cells["gap_closed difference"].mean, cells["gap_closed difference"].half) == (0, 0)
    for key in ("difference p_holm", "difference detectable", "better probability"):
        assert cells[key].word == "–"


@pytest.mark.parametrize(
    ("methods", "expected"),
    [
        (("arkd", "forward_kl", "fixed_mix"), "fixed_mix"),
        (("arkd", "fixed_mix@alpha=0.5", "sft"), "fixed_mix@alpha=0.5"),
        (("arkd", "reverse_kl", "forward_kl"), "forward_kl"),
        (("arkd", "jsd"), "arkd"),
        (("arkd",), None),
    ],
)
def test_the_first_reference_there_is_serves(
    methods: tuple[str, ...], expected: str | None, tmp_path: Path
) -> None:
    suite = suite_of(methods)
    save(suite, tmp_path, rows_of(suite, level))
    make = Builder(suite, tmp_path)
    assert reference(make) == expected
    table = laid_out(aggregate, make)
    assert ("gap_closed difference" in [c.key for c in table.columns]) == (expected is not None)


def test_a_row_of_fewer_seeds_is_compared_on_those_it_has(tmp_path: Path) -> None:
    suite = suite_of(("fixed_mix", "arkd", "jsd@seeds=3"), seeds=TEN)
    rows = rows_of(suite, level, sd=3.0)
    cells = cells_of(built(suite, tmp_path, rows), "jsd")
    scores, base = closed(rows, suite, "jsd"), closed(rows, suite, "fixed_mix")
    assert cells["gap_closed difference"].n == cells["better probability"].n == 3
    assert cells["gap_closed difference"].mean == pytest.approx((scores - base[:3]).mean())
    own = stats.ttest_rel(scores.mean(axis=1), base[:3].mean(axis=1)).pvalue
    arkd = stats.ttest_rel(closed(rows, suite, "arkd").mean(axis=1), base.mean(axis=1)).pvalue
    assert cells["difference p_holm"].mean == pytest.approx(holm([own, arkd])[0])
    ends = cells["gap_closed iqm low"].mean, cells["gap_closed iqm high"].mean
    assert ends == pytest.approx(jackknife(iqm, scores))


def test_one_seed_is_marked_and_has_no_interval(tmp_path: Path) -> None:
    suite = suite_of(METHODS, seeds=(1,))
    table = built(suite, tmp_path, rows_of(suite, level, sd=3.0))
    cells = cells_of(table, "arkd")
    assert (cells["gap_closed iqm"].n, cells["gap_closed mean"].half) == (1, None)
    assert cells["gap_closed iqm low"].word == cells["difference p_holm"].word == "–"
    assert table.notes[0].startswith("† fewer than three seeds")
    assert table.notes[1].startswith("'–': ")


def test_a_test_set_without_a_gap_is_left_out_and_named(tmp_path: Path) -> None:
    suite = suite_of(METHODS)
    rows = rows_of(suite, level, sd=1.0)
    closed_set = suite.test_sets[2]
    for row in rows:
        if (row["method"], row["task"], row["metric"]) == ("teacher", closed_set, "rouge_l"):
            row["value"] = "40.0"  # among the starts
    table = built(suite, tmp_path, rows)
    assert table.notes[-1].endswith(f"every seed: {closed_set}.")
    kept = [task for task in suite.test_sets if task != closed_set]
    shares = closed(rows, suite, "arkd")[:, [suite.test_sets.index(task) for task in kept]]
    assert cells_of(table, "arkd")["gap_closed mean"].mean == pytest.approx(shares.mean())


def test_without_any_gap_there_is_no_table(tmp_path: Path) -> None:
    suite = suite_of(METHODS)
    save(suite, tmp_path, rows_of(suite, lambda *_: 50.0, sd=0.0))
    assert aggregate.build(Builder(suite, tmp_path)) is None


def test_a_failed_run_is_told_and_a_missing_one_is_refused(tmp_path: Path) -> None:
    suite = suite_of(METHODS)
    rows = rows_of(suite, level, sd=3.0)
    kept = [row for row in rows if (row["method"], row["seed"]) != ("arkd", 2)]
    table = built(suite, tmp_path / "failed", [*kept, failed_row(suite, "arkd", 2)])
    cells = cells_of(table, "arkd")
    assert (cells["gap_closed mean"].n, cells["gap_closed mean"].failed) == (2, 1)
    assert cells["gap_closed iqm"].failed == 1
    assert cells_of(built(suite, tmp_path / "partial", kept), "arkd")["gap_closed mean"].n == 2
    with pytest.raises(ArkdError, match="arkd/seed2"):
        tables.build(suite, tmp_path / "partial")


def test_the_table_has_the_same_bytes_twice(tmp_path: Path) -> None:
    suite = suite_of(METHODS, seeds=TEN)
    save(suite, tmp_path, rows_of(suite, level, sd=3.0))
    first, second = (tables.write(suite, tmp_path, tmp_path / name) for name in ("a", "b"))
    assert "aggregate.csv" in [path.name for path in first]
    for one, other in zip(first, second, strict=True):
        assert one.read_bytes() == other.read_bytes()

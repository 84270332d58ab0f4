"""What each strategy did with α, and what one setting changes, against numbers made by hand."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from conftest import ROOT
from scipy import stats
from simulate import (
    LOGGED,
    condense,
    failed_row,
    laid_out,
    lose_curves,
    rows_of,
    save,
    suite_of,
)

from arkd.errors import ArkdError
from arkd.results import trajectories as curves
from arkd.results.trajectories import Curves
from arkd.storage.records import write_csv
from arkd.suite.folders import Tree
from arkd.suite.load import load_suite
from arkd.suite.suite import Suite
from arkd.tables import build as tables
from arkd.tables import write as tabular
from arkd.tables.builder import Builder
from arkd.tables.kinds import ablation, alpha, temperature
from arkd.tables.table import Cell, Layout, Row

SEEDS = tuple(range(1, 6))


def write_alpha(root: Path, suite: Suite, method: str, **columns: list[float]) -> None:
    """Let every seed of a method log these columns, a value a step."""
    for seed in suite.seeds_of(method):
        folder = Tree(root, suite).training(suite.pairs[0].name, method, seed)
        lines = [
            {"step": step} | {k: v for k, v in zip(columns, values, strict=True) if v is not None}
            for step, values in enumerate(zip(*columns.values(), strict=True))
        ]
        write_csv(folder / "trajectory.csv", LOGGED, lines)
    condense(root, suite)


def write_weights(root: Path, suite: Suite, method: str, hashes: list[str]) -> None:
    for seed, text in zip(suite.seeds_of(method), hashes, strict=True):
        folder = Tree(root, suite).training(suite.pairs[0].name, method, seed)
        outputs = {"model/model.safetensors": text, "trajectory.csv": f"{method}{seed}"}
        (folder / "manifest.json").write_text(json.dumps({"outputs": outputs}), encoding="utf-8")


def cells_of(table: Layout, *labels: str) -> dict[str, Cell]:
    (row,) = [row for row in table.rows if row.labels == labels]
    return dict(zip([column.key for column in table.columns], row.cells, strict=True))


def labels_of(table: Layout) -> list[tuple[str, ...]]:
    return [row.labels for row in table.rows]


def by_seed(rows: list[dict], method: str, task: str, metric: str) -> list[float]:
    """Return the records' values of a method, a mean over decodings for each seed."""
    found: dict[int, list[float]] = {}
    for row in rows:
        if (row["method"], row["task"], row["metric"], row["group"]) == (method, task, metric, ""):
            found.setdefault(row["seed"], []).append(float(row["value"]))
    return [float(np.mean(found[seed])) for seed in sorted(found)]


def test_alpha_is_summed_up_at_the_start_and_the_end_and_between(tmp_path: Path) -> None:
    suite = suite_of(("arkd",))
    save(suite, tmp_path, rows_of(suite))
    values = [0.4] * 5 + [0.7] * 35 + [0.3] * 50 + [0.2] * 10  # a step a window
    write_alpha(tmp_path, suite, "arkd", alpha=values)
    table = laid_out(alpha, Builder(suite, tmp_path))
    cells = cells_of(table, "arkd")
    assert cells["alpha first"].mean == pytest.approx(0.4)
    assert cells["alpha last"].mean == pytest.approx(0.2)
    assert cells["alpha lowest"].mean == pytest.approx(0.2)
    assert cells["alpha highest"].mean == pytest.approx(0.7)
    assert cells["alpha above_half"].mean == pytest.approx(0.35)
    assert all(cell.n == 3 for key, cell in cells.items() if key.startswith("alpha"))


def test_extremes_are_those_of_the_smoothed_alpha(tmp_path: Path) -> None:
    suite = suite_of(("random_alpha",))
    save(suite, tmp_path, rows_of(suite))
    values = list(np.random.default_rng(3).random(100))
    write_alpha(tmp_path, suite, "random_alpha", alpha=values)
    table = laid_out(alpha, Builder(suite, tmp_path))
    cells = cells_of(table, "random_alpha")
    inner = np.convolve(values, np.full(5, 0.2), mode="valid")
    ends = [np.mean(values[:3]), np.mean(values[:4]), np.mean(values[-4:]), np.mean(values[-3:])]
    assert cells["alpha lowest"].mean == pytest.approx(min(*inner, *ends))
    assert cells["alpha highest"].mean == pytest.approx(max(*inner, *ends))
    share = np.mean(np.array(values) > 0.5)
    assert cells["alpha above_half"].mean == pytest.approx(share)


def test_the_share_above_half_is_exact_for_a_choice_between_two(tmp_path: Path) -> None:
    suite = suite_of(("greedy_min",))
    save(suite, tmp_path, rows_of(suite))
    values = [float(x) for x in np.random.default_rng(4).random(1003) < 0.3]  # uneven windows
    write_alpha(tmp_path, suite, "greedy_min", alpha=values)
    table = laid_out(alpha, Builder(suite, tmp_path))
    above = cells_of(table, "greedy_min")["alpha above_half"].mean
    assert above == pytest.approx(np.mean(values), abs=1e-9)


def test_alpha_has_an_interval_over_seeds(tmp_path: Path) -> None:
    suite = suite_of(("arkd",))
    save(suite, tmp_path, rows_of(suite))
    for seed, level in zip(suite.seeds, (0.1, 0.2, 0.6), strict=True):
        folder = Tree(tmp_path, suite).training(suite.pairs[0].name, "arkd", seed)
        lines = [{"step": step, "alpha": level} for step in range(20)]
        write_csv(folder / "trajectory.csv", LOGGED, lines)
    condense(tmp_path, suite)
    table = laid_out(alpha, Builder(suite, tmp_path))
    cell = cells_of(table, "arkd")["alpha last"]
    interval = stats.ttest_1samp([0.1, 0.2, 0.6], 0).confidence_interval(0.95)
    assert cell.mean == pytest.approx(0.3)
    assert cell.half == pytest.approx((interval.high - interval.low) / 2)


def test_a_policys_mean_stands_for_a_drawn_alpha(tmp_path: Path) -> None:
    suite = suite_of(("arkd_code",))
    save(suite, tmp_path, rows_of(suite))
    coin = [float(step % 2) for step in range(200)]
    policy = [0.6] * 100 + [0.3] * 100
    write_alpha(tmp_path, suite, "arkd_code", alpha=coin, policy_alpha=policy)
    table = laid_out(alpha, Builder(suite, tmp_path))
    cells = cells_of(table, "arkd_code")
    assert cells["alpha first"].mean == pytest.approx(0.6)
    assert cells["alpha last"].mean == pytest.approx(0.3)
    assert cells["alpha above_half"].mean == pytest.approx(0.5)


def test_rows_without_an_alpha_are_left_out(tmp_path: Path) -> None:
    suite = suite_of(("sft", "arkd", "tvd"))
    save(suite, tmp_path, rows_of(suite))
    table = laid_out(alpha, Builder(suite, tmp_path))
    assert labels_of(table) == [("arkd",)]
    alone = suite_of(("sft",))
    save(alone, tmp_path / "alone", rows_of(alone))
    assert alpha.build(Builder(alone, tmp_path / "alone")) is None


def test_weights_are_counted_by_seed(tmp_path: Path) -> None:
    suite = suite_of(("forward_kl", "fixed_mix", "greedy_min"))
    save(suite, tmp_path, rows_of(suite))
    write_weights(tmp_path, suite, "forward_kl", ["a", "b", "c"])
    write_weights(tmp_path, suite, "fixed_mix", ["x", "y", "z"])
    write_weights(tmp_path, suite, "greedy_min", ["a", "c", "c"])  # c is another seed's too
    table = laid_out(alpha, Builder(suite, tmp_path))
    found = {row.labels[0]: [cell.word for cell in row.cells[-2:]] for row in table.rows}
    assert found == {
        "forward_kl": ["–", "–"],  # itself; the suite has no reverse_kl
        "fixed_mix": ["0 of 3", "–"],
        "greedy_min": ["2 of 3", "–"],
    }
    assert table.notes[-1].startswith("'–': no such run")


def test_weights_are_compared_on_shared_seeds_under_the_same_settings(tmp_path: Path) -> None:
    suite = suite_of(
        ("forward_kl", "forward_kl@temperature=1.0,seeds=3", "greedy_min@temperature=1.0"),
        seeds=SEEDS,
    )
    save(suite, tmp_path, rows_of(suite))
    write_weights(tmp_path, suite, "forward_kl", list("abcde"))
    write_weights(tmp_path, suite, "forward_kl@temperature=1.0", list("klm"))
    write_weights(tmp_path, suite, "greedy_min@temperature=1.0", list("kbmde"))
    table = laid_out(alpha, Builder(suite, tmp_path))
    cells = cells_of(table, "greedy_min@temperature=1.0")
    assert cells["weights forward_kl"].word == "2 of 3"
    assert cells_of(table, "forward_kl@temperature=1.0")["weights forward_kl"].word == "–"


def test_rows_of_different_rates_are_told(tmp_path: Path) -> None:
    suite = suite_of(("reverse_kl", "greedy_min", "greedy_min@lr=0.006"))
    assert suite.settings(suite.entry("reverse_kl")).lr == 0.006  # as tuned
    assert suite.settings(suite.entry("greedy_min")).lr == 0.012
    save(suite, tmp_path, rows_of(suite))
    table = laid_out(alpha, Builder(suite, tmp_path))
    assert cells_of(table, "greedy_min")["weights reverse_kl"].word == "0 of 3 (other rate)"


def test_a_lost_curve_is_named_and_a_failed_run_is_not(tmp_path: Path) -> None:
    suite = suite_of(("arkd", "akl"))
    rows = [row for row in rows_of(suite) if (row["method"], row["seed"]) != ("akl", 1)]
    save(suite, tmp_path, [*rows, failed_row(suite, "akl", 1)])
    make = Builder(suite, tmp_path)
    table = laid_out(alpha, make)
    cell = cells_of(table, "akl")["alpha last"]
    assert (cell.n, cell.failed, make.gaps) == (2, 1, {})
    lose_curves(tmp_path, suite, "arkd", 3)
    with pytest.raises(ArkdError, match=r"arkd/seed3 \(trajectories.csv"):
        tables.write(suite, tmp_path, tmp_path / "out")
    partial = {table.name: table for table in tables.build(suite, tmp_path, partial=True)}
    assert cells_of(partial["alpha"], "arkd")["alpha last"].n == 2


def test_a_column_logged_at_some_steps_is_read_where_it_is(tmp_path: Path) -> None:
    suite = suite_of(("arkd",))
    save(suite, tmp_path, rows_of(suite))
    rewards = [float(s) if s % 25 == 24 else None for s in range(100)]
    write_alpha(tmp_path, suite, "arkd", alpha=[0.5] * 100, reward=rewards)
    logged = Curves(Builder(suite, tmp_path))
    found = logged.of(suite.pairs[0].name, "arkd", "reward")
    assert set(found) == set(suite.seeds)
    for series in found.values():
        assert list(series.items()) == [(24, 24), (49, 49), (74, 74), (99, 99)]


def test_windows_of_a_share_are_whole_and_never_empty() -> None:
    import pandas as pd

    series = pd.Series([1.0, 2.0, 3.0, 4.0])
    assert (curves.first(series, 0.05), curves.last(series, 0.05)) == (1.0, 4.0)
    assert (curves.first(series, 0.5), curves.last(series, 0.5)) == (1.5, 3.5)


TEMPERATURES = (
    *("forward_kl", "reverse_kl", "akl", "forward_kl@temperature=1.0,seeds=3"),
    *("forward_kl@temperature=4.0,seeds=3", "reverse_kl@temperature=1.0,seeds=3"),
    "fixed_mix@temperature=4.0",
)


def test_temperatures_stand_by_method_with_the_suites_own(tmp_path: Path) -> None:
    suite = suite_of(TEMPERATURES, seeds=SEEDS)
    rows = rows_of(suite, sd=1.0)
    save(suite, tmp_path, rows)
    table = laid_out(temperature, Builder(suite, tmp_path))
    assert labels_of(table) == [
        *(("forward_kl", t) for t in ("1", "2", "4")),
        *(("reverse_kl", t) for t in ("1", "2")),
        *(("forward_kl − reverse_kl", t) for t in ("1", "2")),
    ]
    inside, *outside = suite.test_sets
    cells = cells_of(table, "forward_kl", "4")
    values = by_seed(rows, "forward_kl@temperature=4.0", inside, "rouge_l")
    assert cells["rouge_l in_distribution"].mean == pytest.approx(np.mean(values))
    each = [by_seed(rows, "forward_kl@temperature=4.0", t, "rouge_l") for t in outside]
    assert cells["rouge_l out_of_distribution"].mean == pytest.approx(np.mean(each))
    assert cells["rouge_l out_of_distribution"].n == 3
    plain = by_seed(rows, "forward_kl", "fidelity_gold", "jsd")
    assert cells_of(table, "forward_kl", "2")["jsd"].mean == pytest.approx(np.mean(plain))


@pytest.mark.parametrize(("degree", "suffix", "n"), [("1", "@temperature=1.0", 3), ("2", "", 5)])
def test_the_two_divergences_are_paired_at_each_temperature(
    tmp_path: Path, degree: str, suffix: str, n: int
) -> None:
    suite = suite_of(TEMPERATURES, seeds=SEEDS)
    rows = rows_of(suite, sd=1.0)
    save(suite, tmp_path, rows)
    table = laid_out(temperature, Builder(suite, tmp_path))
    cell = cells_of(table, "forward_kl − reverse_kl", degree)["rouge_l in_distribution"]
    a, b = (
        by_seed(rows, f"{name}{suffix}", suite.test_sets[0], "rouge_l")
        for name in ("forward_kl", "reverse_kl")
    )
    interval = stats.ttest_rel(a, b).confidence_interval(0.95)
    assert cell.n == n
    assert cell.mean == pytest.approx(np.mean(a) - np.mean(b))
    assert cell.half == pytest.approx((interval.high - interval.low) / 2)


def test_one_test_set_has_no_column_out_of_distribution(tmp_path: Path) -> None:
    suite = suite_of(TEMPERATURES, test_sets=("longtail_id",))
    save(suite, tmp_path, rows_of(suite))
    table = laid_out(temperature, Builder(suite, tmp_path))
    assert [c.key for c in table.columns] == ["rouge_l in_distribution", "jsd"]


def test_an_ablation_is_paired_with_the_plain_row_on_shared_seeds(tmp_path: Path) -> None:
    changed = "arkd@lm_weight=0.0"
    suite = suite_of(("arkd", "tvd", f"{changed},seeds=3", "tvd@lm_weight=0.0"), seeds=SEEDS)
    rows = rows_of(suite, sd=1.0)
    save(suite, tmp_path, rows)
    write_alpha(tmp_path, suite, changed, alpha=[0.25] * 40)
    make = Builder(suite, tmp_path)
    table = laid_out(ablation, make)
    assert labels_of(table) == [("arkd", "lm_weight=0.0"), ("tvd", "lm_weight=0.0")]
    cells = cells_of(table, "arkd", "lm_weight=0.0")
    for key, task, metric in (
        ("rouge_l difference", suite.test_sets[0], "rouge_l"),
        ("jsd difference", "fidelity_gold", "jsd"),
    ):
        a, b = (by_seed(rows, method, task, metric)[:3] for method in (changed, "arkd"))
        interval = stats.ttest_rel(a, b).confidence_interval(0.95)
        assert cells[key].n == 3
        assert cells[key].mean == pytest.approx(np.mean(a) - np.mean(b))
        assert cells[key].half == pytest.approx((interval.high - interval.low) / 2)
    last = [0.5 + 0.2 * step / 59 for step in range(54, 60)]  # what simulate logs of arkd
    assert cells["alpha difference"].mean == pytest.approx(0.25 - np.mean(last))
    assert cells_of(table, "tvd", "lm_weight=0.0")["alpha difference"].word == "–"
    assert "without an α" in table.notes[-1]


def test_a_row_is_compared_with_the_row_that_lacks_one_setting(tmp_path: Path) -> None:
    suite = suite_of(
        (
            *("arkd@first_baseline=zero", "arkd", "akl@version=dskd", "arkd@temperature=1.0"),
            "arkd@first_baseline=zero,advantage=before",
            "arkd@temperature=1.0,baseline=teacher",
        )
    )
    save(suite, tmp_path, rows_of(suite))
    table = laid_out(ablation, Builder(suite, tmp_path))
    assert labels_of(table) == [
        ("arkd@first_baseline=zero", "advantage=before"),
        ("arkd", "first_baseline=zero"),
        ("arkd@temperature=1.0", "baseline=teacher"),
    ]


def test_a_difference_with_a_failed_run_says_so(tmp_path: Path) -> None:
    suite = suite_of(("arkd", "arkd@baseline=teacher"))
    rows = [row for row in rows_of(suite) if (row["method"], row["seed"]) != ("arkd", 1)]
    save(suite, tmp_path, [*rows, failed_row(suite, "arkd", 1)])
    table = laid_out(ablation, Builder(suite, tmp_path))
    cell = cells_of(table, "arkd", "baseline=teacher")["jsd difference"]
    assert (cell.n, cell.failed) == (2, 1)
    assert tabular.cell_text(cell, table.columns[1]).endswith("(1 failed)")


def test_suites_without_such_rows_have_no_such_tables(tmp_path: Path) -> None:
    suite = suite_of(("sft", "seqkd"))
    save(suite, tmp_path, rows_of(suite))
    names = {table.name for table in tables.build(suite, tmp_path)}
    assert not names & {"alpha", "temperature", "ablation"}


def test_the_full_suite_has_them_whole(tmp_path: Path) -> None:
    suite = load_suite("longtail-full")
    save(suite, tmp_path, rows_of(suite))
    found = {table.name: table for table in tables.build(suite, tmp_path)}
    first: Row = found["temperature"].rows[0]
    assert first.labels == ("forward_kl", "1")
    assert len(found["temperature"].rows) == 4 * 3 + 3
    assert ("arkd", "first_baseline=zero") in labels_of(found["ablation"])
    assert not any("temperature=" in row.labels[1] and "state" not in row.labels[1]
                   for row in found["ablation"].rows)  # fmt: skip
    assert {row.method for row in found["table5"].rows} >= {"random_alpha", "arkd_code"}
    assert not any("@temperature" in str(row.method) for row in found["table5"].rows)
    assert "3 to 10" in found["table1"].caption
    assert any(note.startswith("Rows differ in their number") for note in found["table1"].notes)


def test_the_collected_curves_have_the_columns_of_the_reference(tmp_path: Path) -> None:
    """What a later row logs must not change the bytes of suites that have none."""
    suite = suite_of(("forward_kl", "reverse_kl"))
    save(suite, tmp_path, rows_of(suite))
    kept = ROOT / "results" / "reference" / "1.0" / "longtail" / "trajectories.csv"
    heads = [
        file.read_text(encoding="utf-8").partition("\n")[0]
        for file in (tmp_path / suite.name / "trajectories.csv", kept)
    ]
    assert heads[0] == heads[1]

"""What a student is like: each table's numbers against the records' own, put together by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats
from simulate import COLUMNS, LOGGED, condense, flat, laid_out, lose_curves, rows_of, save, suite_of

from arkd.storage.records import write_csv
from arkd.suite.folders import CONTROLS, Tree, seeds
from arkd.suite.suite import Suite
from arkd.tables.builder import Builder
from arkd.tables.kinds import adaptation, generalisation, generation, weaknesses
from arkd.tables.table import Cell, Layout

METHODS = ("forward_kl", "fixed_mix", "arkd")
Rows = list[dict[str, Any]]


def cells_of(table: Layout, *labels: str) -> dict[str, Cell]:
    (row,) = [row for row in table.rows if row.labels == labels]
    return dict(zip([column.key for column in table.columns], row.cells, strict=True))


def by_seed(rows: Rows, method: str, task: str, metric: str, group: str = "") -> np.ndarray:
    """Return the records' values of a method, a mean over decodings for each seed."""
    found: dict[int, list[float]] = {}
    for row in rows:
        named = (row["method"], row["task"], row["metric"], row["group"])
        if named == (method, task, metric, group):
            found.setdefault(row["seed"], []).append(float(row["value"]))
    return np.array([np.mean(found[seed]) for seed in sorted(found)])


def added(
    suite: Suite, task: str, metric: str, group: str = "", *, higher: str = "true",
    decoded: bool = False, key: int = 0,
) -> Rows:  # fmt: skip
    """Return rows of a quantity that the shared simulation lacks, for every row and seed."""
    draw = np.random.default_rng([key, *f"{task}{metric}{group}".encode()])
    rows = []
    for method in (*CONTROLS, *(entry.label for entry in suite.entries)):
        for seed in seeds(suite, method):
            for decode in suite.decoding.seeds if decoded else ("",):
                head = (suite.name, suite.version, suite.pairs[0].name, method, seed, decode)
                value = repr(float(draw.normal(0.5, 0.1)))
                line = (*head, task, metric, group, value, 40, higher)
                rows.append(dict(zip(COLUMNS, line, strict=True)))
    return rows


def expect(cell: Cell, values: np.ndarray) -> None:
    """Assert that a cell is the mean of these values with scipy's t interval."""
    assert cell.n == len(values)
    assert cell.mean == pytest.approx(values.mean(), abs=1e-12)
    if len(values) > 1:
        low, high = stats.t.interval(0.95, len(values) - 1, values.mean(), stats.sem(values))
        assert cell.half == pytest.approx((high - low) / 2)
    else:
        assert cell.half is None


# --- generalisation -------------------------------------------------------------------------------


def test_the_drop_is_that_from_the_first_set_to_the_mean_of_the_others(tmp_path: Path) -> None:
    suite = suite_of(METHODS)
    rows = rows_of(suite, sd=4.0)
    save(suite, tmp_path, rows)
    make = Builder(suite, tmp_path)
    table = laid_out(generalisation, make)
    drops = {}
    for method in make.all_rows:
        inside = by_seed(rows, method, suite.test_sets[0], "rouge_l")
        outside = np.mean([by_seed(rows, method, t, "rouge_l") for t in suite.test_sets[1:]], 0)
        cells, drops[method] = cells_of(table, method), inside - outside
        expect(cells["rouge_l in_distribution"], inside)
        expect(cells["rouge_l out_of_distribution"], outside)
        expect(cells["rouge_l drop"], drops[method])
    for method in make.all_rows:
        cell = cells_of(table, method)["rouge_l drop_difference"]
        if method == "fixed_mix":
            assert (cell.mean, cell.half) == (0.0, 0.0)
        else:
            expect(cell, drops[method] - drops["fixed_mix"])  # the one teacher against every seed
    assert not make.gaps


def test_one_test_set_has_no_drop(tmp_path: Path) -> None:
    suite = suite_of(METHODS, test_sets=("longtail_id",))
    save(suite, tmp_path, rows_of(suite))
    make = Builder(suite, tmp_path)
    assert generalisation.build(make) is None


# --- weaknesses -----------------------------------------------------------------------------------


def weak_rows(suite: Suite) -> Rows:
    bands = ("certain_head", "certain_torso", "certain_tail")
    return [
        row for band in bands for row in added(suite, "truth", "truth_accuracy", band)
    ] + rows_of(suite, flat, sd=0.1)


def test_weaknesses_show_what_the_records_hold(tmp_path: Path) -> None:
    suite = suite_of(METHODS, open_tasks=("longtail_open",))
    rows = weak_rows(suite)
    for group in ("head", "torso", "tail", ""):
        rows += added(suite, "longtail_open", "factual_precision", group, decoded=True)
    rows += added(suite, "longtail_open", "facts_told", decoded=True)
    save(suite, tmp_path, rows)
    make = Builder(suite, tmp_path)
    table = laid_out(weaknesses, make)
    quantities = [
        *(("truth", "truth_accuracy", f"certain_{band}") for band in ("head", "torso", "tail")),
        ("truth", "truth_error", "ambiguous"),
        ("truth", "truth_entropy_gap", "ambiguous"),
        *(("longtail_open", "factual_precision", g) for g in ("head", "torso", "tail", "")),
        ("longtail_open", "facts_told", ""),
    ]
    assert [column.key for column in table.columns] == [" ".join(q).strip() for q in quantities]
    arrows = [column.title[-1] for column in table.columns]
    assert arrows == ["↑", "↑", "↑", "↓", "↓", "↑", "↑", "↑", "↑", "↑"]
    for method in make.all_rows:
        cells = cells_of(table, method)
        for task, metric, group in quantities:
            values = by_seed(rows, method, task, metric, group)
            expect(cells[f"{task} {metric} {group}".strip()], values)
    assert not make.gaps


def test_an_entropy_gap_to_either_side_counts(tmp_path: Path) -> None:
    suite = suite_of(METHODS)
    rows = rows_of(suite, sd=0.001)
    signs = {"forward_kl": (-0.3, -0.31, -0.29), "fixed_mix": (0.2, -0.2, 0.2)}
    signs["arkd"] = (-0.01, 0.012, -0.011)
    for row in rows:
        if (row["metric"], row["group"]) == ("truth_entropy_gap", "ambiguous"):
            planted = signs.get(row["method"])
            row["value"] = repr(planted[row["seed"] - 1] if planted else 0.5)
    save(suite, tmp_path, rows)
    make = Builder(suite, tmp_path)
    table = laid_out(weaknesses, make)
    key = "truth truth_entropy_gap ambiguous"
    for method, values in signs.items():
        expect(cells_of(table, method)[key], np.abs(values))
    bold = [method for method in make.methods if cells_of(table, method)[key].bold]
    assert bold == ["arkd"]  # the nearest to the truth, not the lowest


def test_columns_that_a_suite_has_not_measured_are_left_out(tmp_path: Path) -> None:
    suite = suite_of(METHODS, open_tasks=("longtail_open",))
    save(suite, tmp_path, rows_of(suite))  # without recall bands and open-ended answers
    make = Builder(suite, tmp_path)
    table = laid_out(weaknesses, make)
    assert [column.key for column in table.columns] == [
        "truth truth_error ambiguous",
        "truth truth_entropy_gap ambiguous",
    ]
    rows = [row for row in rows_of(suite) if row["task"] != "truth"]
    save(suite, tmp_path / "none", rows)
    make = Builder(suite, tmp_path / "none")
    assert weaknesses.build(make) is None


# --- generation -----------------------------------------------------------------------------------


def test_generation_shows_what_is_recorded_on_the_first_set(tmp_path: Path) -> None:
    suite = suite_of(METHODS, bertscore="minilm")
    task, other = suite.test_sets[:2]
    rows = rows_of(suite)
    metrics = ("distinct_1", "self_bleu", "eos_share", "bertscore_minilm", "mauve_minilm")
    for metric in metrics:
        higher = "true" if metric.endswith("minilm") else ""
        rows += added(suite, task, metric, higher=higher, decoded=True)
    rows += added(suite, other, "length_words", decoded=True)
    chance = added(suite, task, "bertscore_minilm_random_pairs")[0] | {"value": "0.1234"}
    save(suite, tmp_path, [*rows, chance])
    make = Builder(suite, tmp_path)
    table = laid_out(generation, make)
    assert [column.key for column in table.columns] == [f"{task} {metric}" for metric in metrics]
    assert [column.title.endswith("↑") for column in table.columns] == [False] * 3 + [True] * 2
    for method in make.all_rows:
        for metric in metrics:
            values = by_seed(rows, method, task, metric)
            expect(cells_of(table, method)[f"{task} {metric}"], values)
    assert table.notes[-1].endswith("different items: 0.123.")


def test_without_a_record_of_texts_there_is_no_table(tmp_path: Path) -> None:
    suite = suite_of(METHODS)
    save(suite, tmp_path, rows_of(suite))
    make = Builder(suite, tmp_path)
    assert generation.build(make) is None


# --- adaptation -----------------------------------------------------------------------------------

OWN = {half: f"arkd@split={half}" for half in ("first", "second")}
REPLAYED = {
    "first": "replay_alpha@split=first,fitted_on=second",
    "second": "replay_alpha@split=second,fitted_on=first",
}
ADAPTED = ("arkd", *OWN.values(), *REPLAYED.values())


def with_alpha(root: Path, suite: Suite, levels: dict[str, dict[int, float]]) -> None:
    """Let the runs of some rows log a constant α."""
    for method, of in levels.items():
        for seed, alpha in of.items():
            folder = Tree(root, suite).training(suite.pairs[0].name, method, seed)
            lines = [{"step": step, "alpha": alpha} for step in range(20)]
            write_csv(folder / "trajectory.csv", LOGGED, lines)
    condense(root, suite)


def adapted(root: Path, methods: tuple[str, ...] = ADAPTED) -> tuple[Suite, Rows, Builder, Layout]:
    suite = suite_of(methods)
    rows = rows_of(suite, sd=2.0)
    save(suite, root, rows)
    alphas = {
        method: {seed: 0.1 * place + 0.01 * seed for seed in suite.seeds}
        for place, method in enumerate(methods, 1)
    }
    with_alpha(root, suite, alphas)
    make = Builder(suite, root)
    table = laid_out(adaptation, make)
    return suite, rows, make, table


def quality(rows: Rows, suite: Suite, method: str) -> dict[str, np.ndarray]:
    outside = [by_seed(rows, method, task, "rouge_l") for task in suite.test_sets[1:]]
    return {
        "rouge_l in_distribution": by_seed(rows, method, suite.test_sets[0], "rouge_l"),
        "rouge_l out_of_distribution": np.mean(outside, axis=0),
        "jsd": by_seed(rows, method, "fidelity_gold", "jsd"),
    }


def test_a_policy_is_set_beside_the_replay_on_its_half(tmp_path: Path) -> None:
    suite, rows, make, table = adapted(tmp_path)
    gaps = {}
    for half in ("first", "second"):
        own, replayed = (quality(rows, suite, of[half]) for of in (OWN, REPLAYED))
        for key in own:
            expect(cells_of(table, f"{half} half", OWN[half])[key], own[key])
            expect(cells_of(table, f"{half} half", REPLAYED[half])[key], replayed[key])
            gaps[half, key] = own[key] - replayed[key]
            expect(cells_of(table, f"{half} half", "arkd − replay_alpha")[key], gaps[half, key])
    both = cells_of(table, "both halves", "arkd − replay_alpha")
    for key in quality(rows, suite, "arkd"):
        expect(both[key], (gaps["first", key] + gaps["second", key]) / 2)
    alpha = cells_of(table, "first half", OWN["first"])["alpha last"]
    assert alpha.mean == pytest.approx(0.2 + 0.02)
    shift = cells_of(table, "first half", "arkd − replay_alpha")["alpha last"]
    assert (shift.mean, shift.half) == pytest.approx((-0.2, 0.0), abs=1e-9)
    assert len(table.rows) == 7
    assert not make.gaps


def test_rows_are_known_by_what_they_change_and_not_by_their_place(tmp_path: Path) -> None:
    turned = tuple(reversed(ADAPTED))
    suite, rows, _, table = adapted(tmp_path, turned)
    gap = (
        quality(rows, suite, OWN["second"])["jsd"] - quality(rows, suite, REPLAYED["second"])["jsd"]
    )
    expect(cells_of(table, "second half", "arkd − replay_alpha")["jsd"], gap)


@pytest.mark.parametrize(
    "methods",
    [
        METHODS,
        ("arkd", *OWN.values()),  # nothing replayed
        ("arkd", *REPLAYED.values()),  # nothing fitted on the half
        ("arkd@split=first", "replay_alpha@split=first,fitted_on=first"),  # its own half's α
        ("arkd@split=first", "replay_alpha@split=second,fitted_on=first"),  # other halves
        ("arkd", "replay_alpha"),  # the α of the whole data
    ],
)
def test_without_both_rows_of_a_half_there_is_no_table(
    methods: tuple[str, ...], tmp_path: Path
) -> None:
    suite = suite_of(methods)
    save(suite, tmp_path, rows_of(suite))
    assert adaptation.build(Builder(suite, tmp_path)) is None


def test_one_half_alone_has_no_mean_over_halves(tmp_path: Path) -> None:
    _, _, _, table = adapted(tmp_path, ("arkd", OWN["first"], REPLAYED["first"]))
    assert [row.labels[0] for row in table.rows] == ["first half"] * 3


def test_a_lost_curve_of_a_half_is_named(tmp_path: Path) -> None:
    suite, *_ = adapted(tmp_path)
    lose_curves(tmp_path, suite, OWN["first"], 2)
    make = Builder(suite, tmp_path)
    adaptation.build(make)
    assert list(make.gaps) == [f"{suite.pairs[0].name}/{OWN['first']}/seed2"]


def test_the_halves_of_one_policy_do_not_cut_those_of_another(tmp_path: Path) -> None:
    """A second policy with one seed alone: the first one's mean is still over all three."""
    other = ["arkd_sampled@split=first,seeds=1", "arkd_sampled@split=second,seeds=1"]
    other += [f"{row},row=arkd_sampled,seeds=1" for row in REPLAYED.values()]
    *_, table = adapted(tmp_path, (*ADAPTED, *other))
    name = "{} − replay_alpha".format
    assert {cell.n for cell in cells_of(table, "both halves", name("arkd")).values()} == {3}
    assert cells_of(table, "both halves", name("arkd_sampled"))["jsd"].n == 1

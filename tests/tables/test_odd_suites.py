"""Suites of other shapes than the shipped ones have every table and figure, and no cell is NaN."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure
from matplotlib.text import Text
from simulate import Row, cost_rows, failed_row, flat, laid_out, rows_of, save, suite_of

from arkd.errors import ArkdError
from arkd.figures import build as figures
from arkd.figures.alpha import interval_series
from arkd.figures.chosen import Chosen
from arkd.figures.grid import _marks
from arkd.figures.marks import MARKERS
from arkd.results.item_scores import FILE
from arkd.results.trajectories import mean_series
from arkd.stages.blocks import JOINED, joined
from arkd.storage.files import write_text
from arkd.storage.records import ITEM_COLUMNS, write_csv
from arkd.suite.folders import Tree
from arkd.suite.load import load_suite
from arkd.suite.suite import Suite
from arkd.tables import build as tables
from arkd.tables.builder import Builder, short_name
from arkd.tables.kinds import cost
from arkd.tables.table import Cell, Table
from arkd.tables.write import formats

ITEMS = load_suite("longtail").data.test_items  # type: ignore[union-attr]
FIRST, *REST = load_suite("longtail").test_sets
PAIR = load_suite("longtail").pairs[0]
STORED = ("entries", "value_error", "gradient_error", "gradient_bias")
SPARSE = ("forward_kl@teacher_support=top_k", "forward_kl@teacher_support=sampled")
# What each table and figure is about: a ladder of α, temperatures, halves, a grid, stores.
LADDER = ("arkd", "forward_kl", "fixed_mix", "reverse_kl", "sft")
T = ("forward_kl@temperature=4.0", "reverse_kl@temperature=4.0")
HALVES = ("arkd@split=first", "arkd@split=second")
REPLAYED = tuple(
    f"replay_alpha@split={split},fitted_on={other},row=arkd"
    for split, other in (("first", "second"), ("second", "first"))
)
GRID = ("reverse_kl@prefixes=student", "gkd")
EVERY = (*LADDER, *T, *HALVES, *REPLAYED, *GRID, *SPARSE)
LONG = "a" * 60


def plain(*methods: str, **changes: Any) -> Suite:
    return suite_of(methods or EVERY, **{"seeds": (1, 2), **changes})


def recorded(suite: Suite, without: tuple[str, ...] = (), sd: float = 0.01) -> list[Row]:
    """Return what the pipeline records, of test sets `without` references no comparison."""
    drawn = rows_of(suite, flat, sd)
    rows = [r for r in drawn if not (r["task"] in without and r["metric"] == "rouge_l")]
    more: list[Row] = []
    for row in drawn:
        if row["metric"] == "rouge_l":
            more += [row | {"metric": name} for name in ("distinct_2", "length_tokens")]
        if (row["task"], row["metric"]) == ("fidelity_gold", "jsd"):
            more.append(row | {"metric": "tail_overlap"})
            if row["method"] in SPARSE:
                more += [row | {"metric": f"stored_{name}"} for name in STORED]
    return rows + more


def items(suite: Suite, rows: list[Row]) -> list[Row]:
    """Return `items.csv` of the rows' test sets."""
    draw = np.random.default_rng(2)
    heads = ("suite", "suite_version", "pair", "method", "seed", "decode_seed", "task", "metric")
    return [
        {name: row[name] for name in heads} | {"values": draw.uniform(0, 100, ITEMS).tolist()}
        for row in rows
        if row["metric"] == "rouge_l"
    ]


def without(rows: list[Row], method: str, seed: int) -> list[Row]:
    return [row for row in rows if (row["method"], row["seed"]) != (method, seed)]


def fail(suite: Suite, rows: list[Row], *runs: tuple[str, int]) -> list[Row]:
    """Let runs fail in every pair: what they cost stays."""
    for run in runs:
        rows = without(rows, *run)
        rows += [failed_row(suite, *run) | {"pair": pair.name} for pair in suite.pairs]
    return rows


SHAPES: dict[str, tuple[Suite, Callable[[Suite], list[Row]]]] = {
    "all at once": (plain(), recorded),
    "two pairs": (
        plain(pairs=(PAIR, PAIR.model_copy(update={"name": "another"}))),
        recorded,
    ),
    "one seed": (plain(seeds=(1,)), recorded),
    "ten seeds": (plain(*LADDER, seeds=tuple(range(1, 11))), recorded),
    "one test set": (plain(test_sets=(FIRST,)), recorded),
    "one decoding": (
        plain(decoding=load_suite("longtail").decoding.model_copy(update={"seeds": (1,)})),
        recorded,
    ),
    "no references": (plain(), lambda suite: recorded(suite, suite.test_sets)),
    "none in distribution": (plain(), lambda suite: recorded(suite, (FIRST,))),
    "none out of distribution": (plain(), lambda suite: recorded(suite, (*REST,))),
    "no choices": (plain(choice_tasks=(), perplexity_task=None), recorded),
    "a failed run of each kind": (
        plain(),
        lambda suite: fail(
            suite,
            recorded(suite),
            *(("arkd", 2), ("fixed_mix", 2), ("sft", 1), (HALVES[0], 2), (GRID[0], 1)),
            *((T[0], 1), (SPARSE[0], 1)),
        ),
    ),
    "rows that failed": (
        plain(),
        lambda suite: fail(
            suite,
            recorded(suite),
            *((row, seed) for row in ("fixed_mix", "forward_kl", "gkd") for seed in (1, 2)),
        ),
    ),
    "other seeds": (
        plain("fixed_mix@seeds=1", "forward_kl@seeds=1", "arkd", *HALVES, *REPLAYED, *GRID),
        recorded,
    ),
    "no forward KL": (plain("arkd", "reverse_kl", "sft"), recorded),
    "one row": (plain("arkd"), recorded),
    "one changed row": (plain("forward_kl@prefixes=student"), recorded),
    "a sweep": (
        plain("forward_kl", *(f"fixed_mix@alpha={a / 100:g}" for a in range(2, 34, 2))),
        recorded,
    ),
    "long names": (
        plain(
            *(*EVERY, "forward_kl@lm_weight=0.0,teacher_support=top_p,teacher_support_mass=0.95"),
            test_sets=(f"{LONG}_one", f"{LONG}_two"),
            pairs=(PAIR.model_copy(update={"name": "b" * 60}),),
        ),
        recorded,
    ),
    "all the same": (plain(), lambda suite: recorded(suite, sd=0.0)),
}


@pytest.fixture
def results(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Suite, Path]:
    """The results of a suite of a shape."""
    suite, rows_of_suite = SHAPES[request.param]
    rows = rows_of_suite(suite)
    save(suite, tmp_path, rows)
    write_csv(tmp_path / suite.name / FILE, ITEM_COLUMNS, items(suite, rows))
    return suite, tmp_path


def check(made: Iterable[Table]) -> None:
    """See that every cell is a number or a word, and no number NaN."""
    for table in made:
        for row in table.rows:
            for cell in row.cells:
                assert (cell.mean is None) != (cell.word is None), (table.name, row.labels)
                numbers = [number for number in (cell.mean, cell.half) if number is not None]
                assert all(map(math.isfinite, numbers)), (table.name, row.labels)
        assert not [text for text in formats(table).values() if re.search(r"\bnan\b", text)]


@pytest.mark.parametrize("results", SHAPES, indirect=True)
def test_every_table_is_there(results: tuple[Suite, Path]) -> None:
    made = tables.build(*results)
    assert {"summary", "table1", "tail", "cost"} <= {table.name for table in made}
    check(made)


DRAWN = ("none in distribution", "a failed run of each kind", "one row")  # the others take long


@pytest.mark.parametrize(
    "results",
    [s if s in DRAWN else pytest.param(s, marks=pytest.mark.heavy) for s in SHAPES],
    indirect=True,
)
def test_every_figure_is_drawn(results: tuple[Suite, Path]) -> None:
    for name, figure in figures.build(*results).items():
        for text in figure.findobj(Text):
            assert "nan" not in re.findall(r"\w+", text.get_text()), name


def test_a_world_with_a_failed_block_is_in_no_mean(tmp_path: Path) -> None:
    """A row that failed with one seed of one world: the others' means rest on two worlds."""
    worlds, failed = (11, 12, 13), 12
    suite = plain(*LADDER, worlds=worlds, seeds=(1, 2))
    blocks = Tree(tmp_path, suite).blocks
    for world, block in blocks.items():
        runs = [("fixed_mix", 2)] if world == failed else []
        save(block.suite, tmp_path, fail(block.suite, recorded(block.suite), *runs))
    roots = {world: block.root for world, block in blocks.items()}
    head = {"suite": suite.name, "suite_version": suite.version}
    for name in JOINED:
        write_text(Tree(tmp_path, suite).root / name, joined(name, roots, head))
    made = {table.name: table for table in tables.build(suite, tmp_path)}
    check(made.values())
    for table in (made["cost"], made["tail"]):
        rows = {row.method: row for row in table.rows}
        assert {(cell.n, cell.failed) for cell in rows["fixed_mix"].cells} == {(2, 1)}
    assert {cell.n for cell in rows["arkd"].cells} == {3}
    assert "Worlds" in formats(made["tail"])["md"]
    del made["tuning"]  # by seeds of one development world
    said = " ".join(" ".join((table.caption, *table.notes)) for table in made.values())
    assert not re.findall(r"(?:over|paired by|of the same|single) (?:training )?seeds?", said)


def costs(suite: Suite, root: Path, failed: str) -> dict[str, dict[str, Cell]]:
    """Return the cells of the cost table by row, a run having failed after a hundredth second."""
    spent = cost_rows(suite)
    for line in spent:
        if (line["method"], line["seed"], line["stage"]) == (failed, 2, "distill"):
            line |= {"train_s": 0.01, "wall_s": 5.01}
    save(suite, root, fail(suite, rows_of(suite), (failed, 2)), spent)
    table = laid_out(cost, Builder(suite, root))
    keys = [column.key for column in table.columns]
    return {str(row.method): dict(zip(keys, row.cells, strict=True)) for row in table.rows}


def test_what_a_failed_run_cost_is_in_no_mean(tmp_path: Path) -> None:
    suite = plain("fixed_mix", "forward_kl", "arkd", seeds=(1, 2, 3))
    # Trainings take 10 s, 11 s and 12 s, and a tenth more for each seed.
    own, base = (np.array([start + 0.1 * seed for seed in (1, 3)]) for start in (12, 10))
    row = costs(suite, tmp_path / "own", "arkd")["arkd"]
    assert (row["train_s"].mean, row["train_s"].n) == (pytest.approx(own.mean()), 2)
    extra = row["overhead_percent"]
    assert (extra.mean, extra.failed) == (pytest.approx(100 * (own / base - 1).mean()), 1)
    row = costs(suite, tmp_path / "base", "fixed_mix")["arkd"]
    assert (row["train_s"].n, row["train_s"].failed) == (3, 0)
    extra = row["overhead_percent"]
    assert (extra.mean, extra.n) == (pytest.approx(100 * (own / base - 1).mean()), 2)


@pytest.mark.parametrize(
    ("sets", "short"),
    [
        (("a_test", "a_other"), ["test", "other"]),
        (("my_test", "test"), ["my_test", "test"]),
        (("a_", "a_b"), ["a_", "a_b"]),
        (("my_test",), ["test"]),
    ],
)
def test_a_set_loses_only_what_all_begin_with(sets: tuple[str, ...], short: list[str]) -> None:
    suite = plain("arkd", test_sets=sets)
    assert [short_name(suite, name) for name in sets] == short


def test_seeds_of_other_windows_are_averaged_in_the_order_of_steps() -> None:
    a = pd.Series([1.0, 3.0, 4.0], index=[1.0, 3.0, 4.0])
    b = pd.Series([3.0, 5.0, 5.0, 6.0], index=[1.0, 2.0, 3.0, 4.0])
    mean = mean_series({1: a, 2: b})
    assert list(mean.items()) == [(1.0, 2.0), (2.0, 5.0), (3.0, 4.0), (4.0, 5.0)]
    assert list(interval_series({1: a, 2: b}).index) == [1.0, 3.0, 4.0]


def test_a_colour_with_more_kinds_than_shapes_repeats_one() -> None:
    kinds = [(f"teacher's top {size}", "reverse_kl") for size in range(len(MARKERS) + 2)]
    found = _marks(kinds)
    assert len({drawn.marker for drawn in found.values()}) == len(MARKERS)


def drawn_by(make: Builder, draw: Callable[[Builder], Figure | None]) -> str:
    figure = draw(make)
    return "" if figure is None else " ".join(t.get_text() for t in figure.findobj(Text))


def test_a_sweep_of_changed_rows_is_drawn_whole(tmp_path: Path) -> None:
    suite, rows_of_suite = SHAPES["a sweep"]
    make = Builder(suite, save(suite, tmp_path, rows_of_suite(suite)))
    assert "fixed_mix@alpha=0.32" in drawn_by(make, figures.effects)


def test_grid_and_stores_draw_the_rows_asked_for_and_name_their_pair(tmp_path: Path) -> None:
    suite, rows_of_suite = SHAPES["two pairs"]
    make = Builder(suite, save(suite, tmp_path, rows_of_suite(suite)))
    named = f"pair {PAIR.name}, one of 2"
    for draw in (figures.grid, figures.sparse):
        assert named in drawn_by(make, draw)
    Chosen(rows=("forward_kl", "sft")).narrow(make)
    text = drawn_by(make, figures.grid)
    assert "vocabulary, forward_kl" in text
    assert "reverse_kl" not in text
    Chosen(rows=("sft",)).narrow(make)
    assert not drawn_by(make, figures.grid)
    assert not drawn_by(make, figures.sparse)


def test_what_is_missing_names_the_command_of_ones_own_file(tmp_path: Path) -> None:
    again = f"arkd run mine.yaml --results {tmp_path}"
    with pytest.raises(ArkdError, match=re.escape(f"no such file; run `{again}` first")):
        tables.build(plain("arkd"), tmp_path, named="mine.yaml")
    assert Tree(Path("results"), plain("arkd")).command() == "arkd run longtail"

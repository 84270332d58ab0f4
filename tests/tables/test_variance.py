"""Items' scores are read as written, and the tables on chance follow from them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from scipy import stats
from simulate import failed_row, laid_out, rows_of, save, suite_of

from arkd.errors import ArkdError
from arkd.results.item_scores import FILE, ItemScores
from arkd.statistics.variance_components import (
    SOURCES,
    Design,
    components,
    one_more,
    variance_of_mean,
)
from arkd.storage.records import ITEM_COLUMNS, write_csv
from arkd.suite.folders import Tree, methods, seeds
from arkd.suite.suite import Suite
from arkd.tables import build as tables
from arkd.tables.builder import Builder
from arkd.tables.kinds import blocks, new_items, variance
from arkd.tables.table import Cell, Layout

METHODS = ("forward_kl", "fixed_mix", "arkd")
TEN = tuple(range(1, 11))
ITEMS = 60  # as many as the suite has
SDS = {"training_seed": 3.0, "decoding_seed": 1.0, "item": 20.0, "seed_item": 8.0, "rest": 12.0}
Scores = dict[tuple[str, str], np.ndarray]  # (method, task) → [seeds, decodings, items]


def drawn(suite: Suite, key: int = 0, **sds: float) -> Scores:
    """Draw scores with planted effects; items are the same for every method of a test set."""
    scale = SDS | sds
    draw = np.random.default_rng(key)
    found: Scores = {}
    for task in suite.test_sets:
        item = scale["item"] * draw.normal(size=ITEMS)
        for _, method in methods(suite):
            s, d = len(seeds(suite, method)), len(suite.decoding.seeds)
            y = 50 + item + scale["training_seed"] * draw.normal(size=(s, 1, 1))
            y = y + scale["decoding_seed"] * draw.normal(size=(s, d, 1))
            y = y + scale["seed_item"] * draw.normal(size=(s, 1, ITEMS))
            found[method, task] = y + scale["rest"] * draw.normal(size=(s, d, ITEMS))
    return found


def write_items(
    root: Path,
    suite: Suite,
    scores: Scores,
    keep: Callable[[str, int, int, str], bool] | None = None,
) -> Path:
    """Write `items.csv` as `arkd collect` does, a line a decoded test set."""
    lines = []
    for (method, task), values in scores.items():
        for seed, by_decoding in zip(seeds(suite, method), values, strict=True):
            for decode, items in zip(suite.decoding.seeds, by_decoding, strict=True):
                if keep is None or keep(method, seed, decode, task):
                    head = {"suite": suite.name, "suite_version": suite.version}
                    head |= {"pair": suite.pairs[0].name, "method": method, "seed": seed}
                    of = {"decode_seed": decode, "task": task, "metric": "rouge_l"}
                    lines.append(head | of | {"values": items.tolist()})
    path = root / suite.name / FILE
    write_csv(path, ITEM_COLUMNS, lines)
    return path


def prepared(root: Path, suite: Suite, scores: Scores, **options: object) -> Builder:
    save(suite, root, rows_of(suite))
    write_items(root, suite, scores, **options)  # type: ignore[arg-type]
    return Builder(suite, root)


def rows_by_label(table: Layout) -> dict[tuple[str, ...], dict[str, Cell]]:
    keys = [column.key for column in table.columns]
    return {row.labels: dict(zip(keys, row.cells, strict=True)) for row in table.rows}


def numbers(cells: dict[str, Cell]) -> list[float | None]:
    return [cell.mean for cell in cells.values()]


# --- reading --------------------------------------------------------------------------------------


def test_items_are_read_by_run_and_decoding(tmp_path: Path) -> None:
    suite = suite_of(METHODS)
    scores = drawn(suite)
    make = prepared(tmp_path, suite, scores)
    items = ItemScores(make)
    pair, tasks = suite.pairs[0].name, suite.test_sets[1:3]
    found = items.of(pair, "arkd", tasks[0])
    assert list(found) == list(suite.seeds)
    for seed, expected in zip(suite.seeds, scores["arkd", tasks[0]], strict=True):
        assert found[seed] == pytest.approx(expected, rel=1e-5)
    means = items.means(pair, "arkd", tasks)
    expected = np.concatenate([scores["arkd", task].mean(axis=1)[0] for task in tasks])
    assert means[suite.seeds[0]] == pytest.approx(expected, rel=1e-4)
    assert not make.gaps


def test_a_missing_decoding_is_named_and_a_failed_run_is_not(tmp_path: Path) -> None:
    suite = suite_of(METHODS)
    task = suite.test_sets[0]

    def keep(method: str, seed: int, decode: int, _: str) -> bool:
        return (method, seed, decode) != ("arkd", 2, 3) and (method, seed) != ("fixed_mix", 1)

    rows = [r for r in rows_of(suite) if (r["method"], r["seed"]) != ("fixed_mix", 1)]
    save(suite, tmp_path, [*rows, failed_row(suite, "fixed_mix", 1)])
    write_items(tmp_path, suite, drawn(suite), keep)
    make = Builder(suite, tmp_path)
    items, pair = ItemScores(make), suite.pairs[0].name
    assert list(items.of(pair, "arkd", task)) == [1, 3]
    assert list(items.of(pair, "fixed_mix", task)) == [2, 3]
    assert make.gaps == {f"{pair}/arkd/seed2": {f"items.csv {task}": None}}


def test_results_without_items_have_neither_table(tmp_path: Path) -> None:
    suite = suite_of(METHODS)
    save(suite, tmp_path, rows_of(suite))
    make = Builder(suite, tmp_path)
    assert make.items is None
    assert variance.build(make) is new_items.build(make) is None


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda text: text.replace(",values", ",scores"), "column values is missing"),
        (lambda text: text.replace(",1.0,", ",0.9,", 1), "never mix versions"),
        (lambda text: text + text.splitlines()[-1] + "\n", "stands twice"),
        (lambda text: text.rsplit(" ", 1)[0] + " nan\n", "no finite number"),
        (lambda text: text.rsplit(" ", 1)[0] + " high\n", "no finite number"),
        (lambda text: text.rsplit(" ", 1)[0] + "\n", "59 items where others have 60"),
    ],
    ids=["column", "version", "doubled", "nan", "word", "short"],
)
def test_a_malformed_file_is_refused_in_one_line(
    change: Callable[[str], str], message: str, tmp_path: Path
) -> None:
    suite = suite_of(METHODS)
    make = prepared(tmp_path, suite, drawn(suite))
    path = make.tree.root / FILE
    path.write_text(change(path.read_text(encoding="utf-8")), encoding="utf-8")
    with pytest.raises(ArkdError, match=message) as caught:
        ItemScores(make)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


# --- components -----------------------------------------------------------------------------------


def test_components_of_equal_rows_are_the_mean_over_methods(tmp_path: Path) -> None:
    suite = suite_of(METHODS)
    scores = drawn(suite, key=1)
    make = prepared(tmp_path, suite, scores)
    table = laid_out(variance, make)
    found = rows_by_label(table)
    assert [column.key for column in table.columns] == [*SOURCES, "total"]
    for task in suite.test_sets:
        parts = [components(scores[method, task]) for method in METHODS]
        estimates = {n: np.mean([getattr(part, n) for part in parts]) for n in SOURCES}
        variances = np.maximum(0.0, [*estimates.values()])
        name = task.removeprefix("longtail_")
        sds = numbers(found[name, "SD of one score (points)"])
        expected = [*variances**0.5, variances.sum() ** 0.5]
        assert sds == pytest.approx(expected, rel=1e-4, abs=1e-3)
        shares = numbers(found[name, "share of its variance (%)"])
        assert shares[:-1] == pytest.approx(100 * variances / variances.sum(), rel=1e-3, abs=1e-3)
        assert (sum(shares[:-1]), shares[-1]) == pytest.approx((100.0, 100.0))
        for source, value in estimates.items():
            told = any(
                f"{name} {variance.TITLES[source]} (" in note
                for note in table.notes
                if "below 0" in note
            )
            assert told == (value < 0), (name, source)
    assert not make.gaps


def test_the_error_of_the_mean_and_what_one_more_buys(tmp_path: Path) -> None:
    suite = suite_of(("fixed_mix", "arkd@seeds=4"), seeds=TEN)
    scores = drawn(suite, key=2)
    table = laid_out(variance, prepared(tmp_path, suite, scores))
    task = suite.test_sets[0]
    ten, four = (components(scores[method, task]) for method in ("fixed_mix", "arkd"))
    weighted = {n: (9 * getattr(ten, n) + 3 * getattr(four, n)) / 12 for n in SOURCES}
    parts = type(ten)(**weighted).cut()
    found, design = rows_by_label(table), Design(10, 3, ITEMS)
    errors = numbers(found["id", f"standard error of a mean of 10 × 3 × {ITEMS} (points)"])
    of_mean = variance_of_mean(parts, design)
    expected = [*(value**0.5 for value in of_mean), of_mean.total**0.5]
    assert errors == pytest.approx(expected, rel=1e-3, abs=1e-3)
    gains = found["id", "standard error reduction with one more (%)"]
    told = one_more(parts, design)
    assert gains["training_seed"].mean == pytest.approx(100 * told["seeds"], rel=1e-3, abs=1e-3)
    assert gains["decoding_seed"].mean == pytest.approx(100 * told["decodings"], rel=1e-3, abs=1e-3)
    assert gains["item"].mean == pytest.approx(100 * told["items"], rel=1e-3)
    assert [gains[key].word for key in ("seed_item", "rest", "total")] == ["–"] * 3


def test_planted_components_stand_in_the_table(tmp_path: Path) -> None:
    # Twenty-four methods of ten seeds: the spread of a pooled SD is a few per cent of it.
    labels = tuple(f"fixed_mix@alpha=0.{place:02d}" for place in range(11, 35))
    suite = suite_of(labels, seeds=TEN, test_sets=("longtail_id",))
    table = laid_out(variance, prepared(tmp_path, suite, drawn(suite, 3, decoding_seed=5.0)))
    found = rows_by_label(table)["id", "SD of one score (points)"]
    assert found["training_seed"].mean == pytest.approx(3.0, rel=0.2)
    assert found["seed_item"].mean == pytest.approx(8.0, rel=0.1)
    assert found["rest"].mean == pytest.approx(12.0, rel=0.05)
    assert found["decoding_seed"].mean == pytest.approx(5.0, rel=0.15)


def test_two_seeds_are_marked_and_one_has_no_table(tmp_path: Path) -> None:
    suite = suite_of(METHODS, seeds=(1, 2))
    table = laid_out(variance, prepared(tmp_path / "two", suite, drawn(suite)))
    assert {cell.n for row in table.rows for cell in row.cells if cell.word is None} == {2}
    assert table.notes[0].startswith("†")
    suite = suite_of(METHODS, seeds=(1,))
    assert variance.build(prepared(tmp_path / "one", suite, drawn(suite))) is None


def test_one_decoding_cannot_part_the_sources(tmp_path: Path) -> None:
    base = suite_of(METHODS)
    suite = base.model_copy(update={"decoding": base.decoding.model_copy(update={"seeds": (1,)})})
    assert variance.build(prepared(tmp_path, suite, drawn(suite))) is None


# --- new items ------------------------------------------------------------------------------------


def test_differences_have_both_intervals_from_ten_seeds_on(tmp_path: Path) -> None:
    suite = suite_of(("fixed_mix", "arkd", "jsd@seeds=3"), seeds=TEN)
    scores = drawn(suite, key=4)
    table = laid_out(new_items, prepared(tmp_path, suite, scores))
    assert [row.labels for row in table.rows] == [("arkd − fixed_mix",)]
    (cells,) = rows_by_label(table).values()
    sets = {"in_distribution": suite.test_sets[:1], "out_of_distribution": suite.test_sets[1:]}
    for kind, tasks in sets.items():
        gaps = [scores["arkd", task] - scores["fixed_mix", task] for task in tasks]
        by_item = np.concatenate([gap.mean(axis=1) for gap in gaps], axis=1)
        by_seed = by_item.mean(axis=1)
        interval = stats.ttest_1samp(by_seed, 0).confidence_interval(0.95)
        cell = cells[f"{kind} difference"]
        assert cell.mean == pytest.approx(by_seed.mean(), abs=1e-4)
        assert cell.half == pytest.approx((interval.high - interval.low) / 2, rel=1e-3)
        low, high = cells[f"{kind} low"].mean, cells[f"{kind} high"].mean
        assert low < cell.mean < high
        # Seeds and items both resampled: the sum of what each alone would make, and more.
        rows, columns = by_item.mean(axis=1), by_item.mean(axis=0)
        least = (rows.var() / len(rows) + columns.var() / len(columns)) ** 0.5
        assert (high - low) / 2 > 1.96 * least


def test_fewer_seeds_have_no_bootstrap_over_items(tmp_path: Path) -> None:
    suite = suite_of(METHODS, seeds=TEN[:9])
    assert new_items.build(prepared(tmp_path, suite, drawn(suite))) is None


def test_both_tables_are_written_with_the_others(tmp_path: Path) -> None:
    suite = suite_of(("fixed_mix", "arkd"), seeds=TEN)
    prepared(tmp_path, suite, drawn(suite))
    paths = tables.write(suite, tmp_path, tmp_path / "out")
    assert {"variance.md", "new_items.tex"} <= {path.name for path in paths}


# --- of several worlds ----------------------------------------------------------------------------


def test_the_parts_of_the_error_of_a_difference_between_worlds(tmp_path: Path) -> None:
    """The standard error is that of the worlds' means; each part is the mean over the rows."""
    suite = suite_of(METHODS, worlds=(11, 12, 13, 14), seeds=(1, 2, 3))
    save(suite, tmp_path, rows_of(suite))
    first = suite.test_sets[0]
    base, *others = "fixed_mix", "forward_kl", "arkd"
    gaps: dict[str, list[np.ndarray]] = {row: [] for row in others}
    jsd: dict[str, list[list[float]]] = {row: [] for row in others}
    for world, block in Tree(tmp_path, suite).blocks.items():
        scores, rows = drawn(block.suite, world), rows_of(block.suite, sd=0.1, seed=world)
        save(block.suite, tmp_path, rows)
        write_items(tmp_path, block.suite, scores)
        recorded = {
            (row["method"], row["seed"]): float(row["value"])
            for row in rows
            if (row["task"], row["metric"]) == ("fidelity_gold", "jsd")
        }
        for row in gaps:
            gaps[row].append(scores[row, first] - scores[base, first])
            pairs = [(recorded[row, s], recorded[base, s]) for s in block.suite.seeds]
            jsd[row].append([a - b for a, b in pairs])
    rows = rows_by_label(laid_out(blocks, Builder(suite, tmp_path)))
    rouge, divergence = rows[f"{suite.rouge}, {first}",], rows["JSD (nats)",]
    for cells, worlds in ((rouge, gaps), (divergence, jsd)):
        spread = [np.var([np.mean(one) for one in means], ddof=1) for means in worlds.values()]
        expected = (np.mean(spread) / 4) ** 0.5
        assert cells["standard_error"].mean == pytest.approx(expected, rel=1e-4)
    size = Design(3, len(suite.decoding.seeds), ITEMS)
    for source in SOURCES:
        parts = [
            getattr(variance_of_mean(components(gap), size), source)
            for of_row in gaps.values()
            for gap in of_row
        ]
        expected = (max(0.0, float(np.mean(parts))) / 4) ** 0.5
        assert rouge[source].mean == pytest.approx(expected, rel=1e-3, abs=1e-9), source
    within = np.mean([np.var(gap, ddof=1) / 3 for of_row in jsd.values() for gap in of_row])
    assert divergence["training_seed"].mean == pytest.approx((within / 4) ** 0.5)
    assert divergence["item"].mean is None
    assert "in that of the world" in divergence["item"].why

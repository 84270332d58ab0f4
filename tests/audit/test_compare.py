"""`arkd compare` against scipy's paired t test and Holm's rule by hand."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import ROOT
from scipy import stats
from simulate import COLUMNS, failed_row, rows_of, save, suite_of

from arkd.audit.compare import Filter, compare
from arkd.audit.compare_records import read
from arkd.cli import main as cli
from arkd.storage.records import write_csv

REFERENCE = ROOT / "results" / "reference" / "1.0"
METHODS = ("forward_kl", "reverse_kl", "arkd")
SEEDS = (1, 2, 3, 4, 5)
ROUGE = ("longtail_id", "rouge_l", "")


@pytest.fixture
def two(tmp_path: Path) -> tuple[Path, Path]:
    """Return two runs of one suite whose numbers were drawn apart."""
    suite = suite_of(METHODS, seeds=SEEDS)
    roots = []
    for number in (1, 2):
        root = tmp_path / f"run{number}"
        rows = rows_of(suite, lambda m, t, q, n=number: 30.0 + 0.02 * n * len(m), 0.05, number)
        save(suite, root, rows)
        roots.append(root / suite.name)
    return roots[0], roots[1]


def by_hand(root: Path, method: str, quantity: tuple[str, str, str]) -> np.ndarray:
    """Average the decodings of each seed: an own reading of the file."""
    found: dict[int, list[float]] = {}
    with (root / "records.csv").open(newline="") as lines:
        for row in csv.DictReader(lines):
            if (row["method"], row["task"], row["metric"], row["group"]) == (method, *quantity):
                found.setdefault(int(row["seed"]), []).append(float(row["value"]))
    return np.array([np.mean(found[seed]) for seed in sorted(found)])


def told(capsys: pytest.CaptureFixture[str], *words: object) -> list[dict[str, str]]:
    """Return the lines of the command's CSV."""
    assert cli.main(["compare", *map(str, words), "--format", "csv"]) == 0
    return list(csv.DictReader(io.StringIO(capsys.readouterr().out)))


def holm_by_hand(p_values: list[float]) -> list[float]:
    """Step down: the k-th smallest of m times m − k + 1, never below an earlier one, at most 1."""
    order = sorted(range(len(p_values)), key=lambda i: p_values[i])
    adjusted, floor = [0.0] * len(p_values), 0.0
    for rank, place in enumerate(order):
        floor = max(floor, min(1.0, p_values[place] * (len(p_values) - rank)))
        adjusted[place] = floor
    return adjusted


def test_two_runs_are_paired_by_seed_as_scipy_does_it(
    two: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    rows = told(capsys, *two)
    trained = [row for row in rows if row["seeds"] == "5"]
    assert len(trained) == 8 * (len(METHODS) + 2)
    for row in trained:
        quantity = (row["task"], row["metric"], row["group"])
        a, b = (by_hand(root, row["method_a"], quantity) for root in two)
        expected = stats.ttest_rel(a, b)
        interval = expected.confidence_interval(0.95)
        assert float(row["mean_a"]) == pytest.approx(a.mean(), rel=1e-9)
        assert float(row["mean_b"]) == pytest.approx(b.mean(), rel=1e-9)
        assert float(row["difference"]) == pytest.approx((a - b).mean(), rel=1e-9)
        assert float(row["p"]) == pytest.approx(expected.pvalue, rel=1e-8)
        assert float(row["low"]) == pytest.approx(interval.low, rel=1e-8)
        assert float(row["high"]) == pytest.approx(interval.high, rel=1e-8)


def test_holm_s_rule_is_over_all_comparisons_shown(
    two: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    for words in ((), ("--method", "arkd"), ("--metric", "rouge_l", "jsd")):
        rows = [row for row in told(capsys, *two, *words) if row["p"]]
        expected = holm_by_hand([float(row["p"]) for row in rows])
        assert [float(row["p_holm"]) for row in rows] == pytest.approx(expected, rel=1e-8)


def test_one_teacher_has_a_difference_and_no_interval(
    two: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    rows = told(capsys, *two, "--method", "teacher")
    assert rows
    for row in rows:
        assert row["seeds"] == "1"
        assert (row["low"], row["high"], row["p"], row["p_holm"]) == ("", "", "", "")


def test_two_rows_of_one_run(two: tuple[Path, Path], capsys: pytest.CaptureFixture[str]) -> None:
    rows = told(capsys, two[0], "--methods", "forward_kl", "arkd", "--metric", "rouge_l")
    assert [row["task"] for row in rows] == sorted({row["task"] for row in rows}, key=_place)
    for row in rows:
        a, b = (
            by_hand(two[0], method, (row["task"], "rouge_l", ""))
            for method in ("forward_kl", "arkd")
        )
        assert float(row["p"]) == pytest.approx(stats.ttest_rel(a, b).pvalue, rel=1e-8)
        assert float(row["difference"]) == pytest.approx((a - b).mean(), rel=1e-9)


def _place(task: str) -> int:
    return suite_of().test_sets.index(task)


def test_the_default_quantities_are_those_of_the_summary() -> None:
    for name in ("longtail", "longtail-full"):
        run = read(REFERENCE / name)
        shown = {one.quantity for one in compare(run, run)}
        with (REFERENCE / name / "tables" / "summary.csv").open(newline="") as lines:
            heading = next(csv.reader(lines))
        keys = [key for key in heading[1:] if not key.endswith((" half_width", " n"))]
        assert {" ".join(filter(None, quantity)) for quantity in shown} == set(keys)


def test_the_same_run_is_the_same_byte_for_byte(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    kept = REFERENCE / "longtail" / "records.csv"
    copy = tmp_path / "records.csv"
    copy.write_bytes(kept.read_bytes())
    assert cli.main(["compare", str(copy), str(kept.parent)]) == 0
    numbers = len(kept.read_text().splitlines()) - 1
    last = capsys.readouterr().out.splitlines()[-1]
    assert last == f"The same, byte for byte: {numbers} numbers."


def test_one_other_number_is_named_with_its_size(
    two: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = (two[0] / "records.csv").read_text().splitlines(keepends=True)
    place = next(i for i, line in enumerate(lines) if ",arkd,2,3,longtail_id,rouge_l," in line)
    cells = lines[place].split(",")
    old = float(cells[9])
    cells[9] = repr(old * 1.25)
    lines[place] = ",".join(cells)
    other = tmp_path / "other.csv"
    other.write_text("".join(lines))
    assert cli.main(["compare", str(two[0]), str(other)]) == 0
    text = capsys.readouterr().out
    assert f"1 of {len(lines) - 1} numbers differ" in text
    assert "is 0.2 of the value: longtail_id rouge_l" in text  # 0.25 / 1.25
    assert "/arkd, seed 2, decoding seed 3" in text
    assert f"{old:.10g} against {old * 1.25:.10g}" in text


def test_the_same_numbers_in_another_order_are_equal_and_not_the_same_file(
    two: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    head, *lines = (two[0] / "records.csv").read_text().splitlines(keepends=True)
    other = tmp_path / "other.csv"
    other.write_text("".join([head, *reversed(lines)]))
    assert cli.main(["compare", str(two[0]), str(other)]) == 0
    assert f"all {len(lines)} numbers that both have are equal" in capsys.readouterr().out


def test_seeds_methods_and_failures_of_one_side_are_listed_and_left_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first, second = suite_of(METHODS, seeds=(1, 2, 3, 4)), suite_of(METHODS[1:], seeds=(2, 3, 4, 5))
    save(first, tmp_path / "a", rows_of(first, seed=1))
    rows = [r for r in rows_of(second, seed=2) if (r["method"], r["seed"]) != ("arkd", 3)]
    save(second, tmp_path / "b", [*rows, failed_row(second, "arkd", 3)])
    a, b = tmp_path / "a" / "longtail", tmp_path / "b" / "longtail"
    assert cli.main(["compare", str(a), str(b)]) == 0
    text = capsys.readouterr().out
    pair = first.pairs[0].name
    assert f"Only in A: {pair}/forward_kl, seed 1, 2, 3, 4" in text
    assert f"Only in A: {pair}/reverse_kl, seed 1\n" in text
    assert f"Only in B: {pair}/reverse_kl, seed 5\n" in text
    assert f"Failed in B: {pair}/arkd, seed 3" in text
    shown = {(row["method_a"], row["seeds"]) for row in told(capsys, a, b)}
    assert shown == {
        *(("teacher", "1"), ("untrained", "3"), ("init", "3"), ("reverse_kl", "3"), ("arkd", "2"))
    }


def test_a_seed_decoded_otherwise_is_no_pair(tmp_path: Path, two: tuple[Path, Path]) -> None:
    lines = (two[1] / "records.csv").read_text().splitlines(keepends=True)
    other = tmp_path / "other.csv"
    other.write_text("".join(line for line in lines if ",arkd,2,3,longtail_id," not in line))
    found = compare(read(two[0]), read(other), chosen=Filter(methods=("arkd",)))
    counts = {one.quantity: one.difference.n for one in found}
    assert counts.pop(ROUGE) == len(SEEDS) - 1
    assert set(counts.values()) == {len(SEEDS)}


def test_other_suites_are_refused_unless_asked_for(
    two: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    suite = suite_of(METHODS, version="2.0")
    save(suite, tmp_path / "b", rows_of(suite))
    words = ["compare", str(two[0]), str(tmp_path / "b" / "longtail")]
    assert cli.main(words) == 2
    assert "longtail 2.0 against longtail 1.0" in capsys.readouterr().err
    assert cli.main([*words, "--across"]) == 0


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--method", "arkdd"], "no method 'arkdd' (did you mean 'arkd'?)"),
        (["--metric", "rouge"], "no metric 'rouge' (did you mean 'rouge_l'?)"),
        (["--task", "longtail_idd"], "no task 'longtail_idd' (did you mean 'longtail_id'?)"),
        (["--methods", "arkd", "forward"], "no method 'forward' (did you mean 'forward_kl'?)"),
        (["--methods", "arkd", "forward"], "error: {1}/records.csv: no method"),
        (["--methods", "forward", "arkd"], "error: {0}/records.csv: no method"),
        (["--task", "id"], "error: {0}/records.csv and {1}/records.csv: no task"),
    ],
)
def test_an_unknown_name_is_an_error_with_the_nearest(
    two: tuple[Path, Path], capsys: pytest.CaptureFixture[str], words: list[str], message: str
) -> None:
    assert cli.main(["compare", *map(str, two), *words]) == 2
    assert message.format(*two) in capsys.readouterr().err


def test_one_run_alone_needs_two_rows(
    two: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["compare", str(two[0])]) == 2
    assert "--methods" in capsys.readouterr().err


def _spoil(change: str) -> list[dict[str, Any]]:
    rows = rows_of(suite_of(METHODS))
    if change == "doubled":
        return [*rows, rows[0]]
    if change == "mixed":
        return [*rows, {**rows[0], "suite_version": "2.0", "task": "another"}]
    return [{**rows[0], "value": "nan"}, *rows[1:]]


@pytest.mark.parametrize(
    ("change", "message"),
    [("doubled", "stands twice"), ("mixed", "longtail 2.0"), ("nan", "no finite number")],
)
def test_malformed_records_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], change: str, message: str
) -> None:
    path = tmp_path / "records.csv"
    write_csv(path, COLUMNS, _spoil(change))
    assert cli.main(["compare", str(path), str(path)]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert str(path) in error


def test_markdown_has_what_the_csv_has(
    two: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    rows = told(capsys, *two, "--method", "arkd")
    words = [*map(str, two), "--method", "arkd", "--format", "markdown"]
    assert cli.main(["compare", *words]) == 0
    text = capsys.readouterr().out
    lines = [line.strip("| ").split(" | ") for line in text.splitlines() if line.startswith("| ")]
    assert len(lines) == len(rows) + 2
    for line, row in zip(lines[2:], rows, strict=True):
        assert line[1:4] == ["arkd", row["task"], row["metric"]]
        assert float(line[6]) == pytest.approx(float(row["mean_a"]), rel=1e-3)
        shown = float(line[8].split(" ± ")[0].replace("−", "-"))
        assert shown == pytest.approx(float(row["difference"]), rel=1e-3)


def test_the_first_test_set_is_that_of_the_manifest(tmp_path: Path) -> None:
    suite = suite_of(METHODS, name="mine")
    root = save(suite, tmp_path, rows_of(suite)) / "mine"
    config = {"config": {"test_sets": ["longtail_rare"]}}
    (root / "manifest.json").write_text(json.dumps(config))
    found = {one.quantity for one in compare(read(root), read(root))}
    assert ("longtail_rare", "rouge_l", "") in found
    assert ROUGE not in found

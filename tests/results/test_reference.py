"""The committed reference results are whole, sane, and give the committed tables."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest
from conftest import ROOT

from arkd.audit.tolerance import same_files
from arkd.storage.manifest import digest
from arkd.suite import folders
from arkd.suite.load import load_suite
from arkd.tables import build as tables

REFERENCE = ROOT / "results" / "reference"
RUNS = sorted(path.parent for path in REFERENCE.glob("*/*/records.csv"))
# Blocks have the numbers alone, and there are many of them: the first stands for the others.
BLOCKS = [run for run in RUNS if "@" in run.name]
EACH = [
    pytest.param(run, marks=[pytest.mark.heavy] * (run in BLOCKS[1:]), id=run.name) for run in RUNS
]
SMALL = [run for run in RUNS if run.name != "longtail-full" and run not in BLOCKS]
NEVER_NEGATIVE = ("fkl", "rkl", "jsd", "tvd")


def records(run: Path) -> list[dict[str, str]]:
    with (run / "records.csv").open(newline="") as lines:
        return list(csv.DictReader(lines))


def test_both_suites_are_there() -> None:
    assert {run.name for run in RUNS} >= {"longtail", "smollm2-quick"}


@pytest.mark.parametrize("run", EACH)
def test_every_row_of_the_tables_has_every_number(run: Path) -> None:
    suite = load_suite(run.name)
    rows = records(run)
    methods = [method for _, method in folders.methods(suite)]
    found = {m: {(r["seed"], r["metric"]) for r in rows if r["method"] == m} for m in methods}
    for method, measured in found.items():
        assert {int(seed) for seed, _ in measured} == set(folders.seeds(suite, method))
        metrics = {metric for _, metric in measured}
        # What random pairs of references score is a fact of the test sets, kept with the teacher;
        # what is stored of a teacher, one of the rows that read a sparse one.
        of_models = {m for _, m in found["teacher"] if not m.endswith("_random_pairs")}
        further = {m for m in metrics if m.endswith("_random_pairs") or m.startswith("stored_")}
        assert metrics - further == of_models, method
        assert ("stored_entries" in metrics) == ("teacher_support" in method)
    assert {row["suite_version"] for row in rows} == {suite.version}


@pytest.mark.parametrize("run", EACH)
def test_numbers_lie_where_they_must(run: Path) -> None:
    best: dict[tuple[str, str], dict[str, list[float]]] = {}
    for row in records(run):
        value, metric = float(row["value"]), row["metric"]
        if metric.split("_")[0] in NEVER_NEGATIVE:
            assert value >= 0, row
        if metric in ("tail_recall", "tail_precision", "acc", "truth_error", "truth_accuracy"):
            assert 0 <= value <= 1, row
        if metric in NEVER_NEGATIVE and not row["group"]:
            key = row["task"], metric
            best.setdefault(key, {}).setdefault(row["method"], []).append(value)
    assert best
    for key, values in best.items():
        means = {method: sum(of) / len(of) for method, of in values.items()}
        assert means["teacher"] == min(means.values()), key
        assert means["untrained"] == max(means.values()), key


@pytest.mark.parametrize("run", SMALL, ids=lambda run: run.name)  # `arkd verify` does so for all
def test_tables_follow_from_the_records(run: Path, tmp_path: Path) -> None:
    made = tables.write(load_suite(run.name), run.parent, tmp_path)
    assert {path.name for path in made} == {
        path.name for path in (run / "tables").iterdir() if path.name != "manifest.json"
    }
    for path in made:
        assert same_files(run / "tables" / path.name, path), path.name


@pytest.mark.parametrize("run", EACH)
def test_manifests_are_of_one_core_and_hash_what_is_there(run: Path) -> None:
    collected = json.loads((run / "manifest.json").read_text())
    for name, hashed in collected["outputs"].items():
        assert digest(run / name) == hashed
    suite = load_suite(run.name)
    tree = folders.Tree(run.parent, suite)
    for pair, method in folders.methods(suite):
        trained = [tree.training(pair, method, s) for s in folders.seeds(suite, method)]
        for folder in (*trained, tree.evaluation(pair, method)):
            manifest = json.loads((folder / "manifest.json").read_text())
            training = collected.get("training_core", collected["core"])
            expected = collected["core"] if manifest["stage"] == "evaluate" else training
            assert manifest["core"] == expected
            for name, hashed in manifest["outputs"].items():
                path = folder / name
                assert not path.is_file() or digest(path) == hashed


def test_the_longtail_teacher_knows_its_tail() -> None:
    (run,) = [run for run in RUNS if run.name == "longtail"]
    accuracy = {
        row["group"]: float(row["value"])
        for row in records(run)
        if (row["method"], row["metric"]) == ("teacher", "truth_accuracy")
    }
    assert accuracy["certain_tail"] >= 0.8
    assert accuracy["certain_head"] >= accuracy["certain_tail"] - 0.05

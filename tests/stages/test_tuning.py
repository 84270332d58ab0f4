"""A tuning run: the best rate of each row, and no rate at the edge of those tried."""

from __future__ import annotations

from pathlib import Path

import pytest

from arkd.cli.main import main
from arkd.errors import ArkdError
from arkd.paths import benchmarks_dir
from arkd.stages import tuning
from arkd.storage.records import COLUMNS, read_csv, write_csv
from arkd.suite.folders import Tree
from arkd.suite.load import load_suite
from arkd.suite.suite import Suite

SUITE = """
extends: smoke
name: tuned
lr_grid: [1.0e-3, 2.0e-3, 4.0e-3]
seeds: [1]
methods: [forward_kl, {name: forward_kl, prefixes: student}, {name: forward_kl, lr: 8.0e-3}]
distillation: {tuning: tuned, lr: 2.0e-3}
"""


@pytest.fixture
def suite(tmp_path: Path) -> Suite:
    path = tmp_path / "tuned.yaml"
    path.write_text(SUITE)
    return load_suite(str(path))


def records(suite: Suite, results: Path, jsd: dict[str, float]) -> Tree:
    """The suite's folder with a development JSD of each row."""
    rows = [
        dict.fromkeys(COLUMNS, "")
        | {"suite": suite.name, "method": label, "seed": 1, "task": "fidelity_dev"}
        | {"metric": "jsd", "value": value}
        for label, value in jsd.items()
    ]
    (results / suite.name).mkdir(parents=True)
    write_csv(results / suite.name / "records.csv", COLUMNS, rows)
    return Tree(results, suite)


@pytest.fixture
def values(suite: Suite, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, float]:
    """A development JSD of each row; choices are written below the test's own folder."""
    (tmp_path / "tuning").mkdir()
    monkeypatch.setattr(tuning, "benchmarks_dir", lambda: tmp_path)
    return dict(zip([e.label for e in suite.entries], (4, 3, 2, 4, 3, 5, 2.5), strict=True))


def test_a_row_that_names_a_rate_is_one_more_beside_the_grid(suite: Suite) -> None:
    assert [entry.label for entry in suite.entries] == [
        *(f"forward_kl@lr={lr}" for lr in (0.001, 0.002, 0.004)),
        *(f"forward_kl@lr={lr},prefixes=student" for lr in (0.001, 0.002, 0.004)),
        "forward_kl@lr=0.008",
    ]


def test_the_best_rate_of_each_row_is_written_and_an_edge_is_refused(
    suite: Suite, values: dict[str, float], tmp_path: Path
) -> None:
    path = tuning.write(records(suite, tmp_path / "inside", values))
    chosen = [(row["method"], row["lr"]) for row in read_csv(path) if row["chosen"] == "1"]
    assert chosen == [("forward_kl", "0.004"), ("forward_kl@prefixes=student", "0.002")]
    path.unlink()
    beyond = values | {"forward_kl@lr=0.008": 1.0, "forward_kl@lr=0.001,prefixes=student": 1.0}
    message = r"forward_kl at 0\.016, forward_kl@prefixes=student at 0\.0005"
    with pytest.raises(ArkdError, match=message):
        tuning.write(records(suite, tmp_path / "edge", beyond))
    assert not path.exists()


def test_a_rate_at_which_the_run_failed_is_none_to_choose(
    suite: Suite, values: dict[str, float], tmp_path: Path
) -> None:
    del values["forward_kl@lr=0.002"]
    tree = records(suite, tmp_path / "failed", values)
    with pytest.raises(ArkdError, match=r"records\.csv: no record of forward_kl@lr=0\.002"):
        tuning.write(tree)
    path = tree.root / "records.csv"
    failed = path.read_text().splitlines()[1].replace("fidelity_dev,jsd", "run,failed")
    path.write_text(path.read_text() + failed.replace("forward_kl@lr=0.001", "forward_kl@lr=0.002"))
    rows = read_csv(tuning.write(tree))
    (row,) = [r for r in rows if (r["method"], r["lr"]) == ("forward_kl", "0.002")]
    assert (row["dev_jsd"], row["chosen"]) == ("inf", "0")
    assert [r["lr"] for r in rows if (r["method"], r["chosen"]) == ("forward_kl", "1")] == ["0.004"]


def test_several_suites_fill_one_table_each_with_rows_of_its_own(
    suite: Suite, values: dict[str, float], tmp_path: Path
) -> None:
    path = tuning.write(records(suite, tmp_path / "first", values))
    before = read_csv(path)
    more = tmp_path / "more.yaml"
    more.write_text(SUITE.replace("name: tuned", "name: more").replace("forward_kl", "jsd"))
    others = load_suite(str(more))
    found = dict(zip([e.label for e in others.entries], values.values(), strict=True))
    for attempt in ("second", "again"):
        assert tuning.write(records(others, tmp_path / attempt, found)) == path
        rows = read_csv(path)
        assert rows[: len(before)] == before
        assert {row["suite"] for row in rows[len(before) :]} == {"more"}
        assert len(rows) == 2 * len(before)
    more.write_text(SUITE.replace("name: tuned", "name: more"))
    with pytest.raises(ArkdError, match="suite tuned has chosen a rate for forward_kl, and more"):
        tuning.write(records(load_suite(str(more)), tmp_path / "twice", values))
    assert read_csv(path) == rows


# Of version 1.0, whose rule was three rates for all; its caption says so.
BEFORE_THE_RULE = ("longtail",)


@pytest.mark.parametrize(
    "path",
    [
        p
        for p in sorted((benchmarks_dir() / "tuning").glob("*.csv"))
        if p.stem not in BEFORE_THE_RULE
    ],
    ids=lambda path: path.stem,
)
def test_no_committed_choice_lies_at_the_edge_of_the_rates_tried(path: Path) -> None:
    tried: dict[str, list[float]] = {}
    chosen: dict[str, float] = {}
    for row in read_csv(path):
        tried.setdefault(row["method"], []).append(float(row["lr"]))
        if row["chosen"] == "1":
            chosen[row["method"]] = float(row["lr"])
    assert chosen.keys() == tried.keys()
    assert all(min(tried[m]) < chosen[m] < max(tried[m]) for m in tried)


@pytest.mark.parametrize("command", ["tables", "claims", "figures", "report"])
def test_what_only_chooses_rates_is_not_shown(
    command: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([command, "--suite", "longtail-tuning", "--results", str(tmp_path)]) == 2
    said = capsys.readouterr().err
    assert "it only chooses learning rates" in said
    assert "`arkd tuning --suite longtail-tuning`" in said
    assert not [*tmp_path.iterdir()]

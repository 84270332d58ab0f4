"""A metric is declared once; what is recorded, claimed, compared and documented follows from it."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, get_args

import pytest
import yaml
from conftest import ROOT

from arkd.audit.compare import Filter, compare
from arkd.audit.compare_records import read
from arkd.claims.registered import claims_path, load_claims
from arkd.cli import main, metric_tables
from arkd.errors import ArkdError
from arkd.evaluation.value import Value
from arkd.metrics import declared
from arkd.metrics.declared import METRICS, RECORDED, Kind, Metric
from arkd.results import published
from arkd.suite.suite import Suite

REFERENCE = ROOT / "results" / "reference" / "1.0"
RUNS = sorted(path.parent for path in REFERENCE.parent.glob("*/*/records.csv"))
# Blocks are alike and long: the first stands for the others.
BLOCKS = [run for run in RUNS if "@" in run.name]
EACH = [
    pytest.param(run, marks=[pytest.mark.heavy] * (run in BLOCKS[1:]), id=run.name) for run in RUNS
]
WRITTEN = {True: "1", False: "0", None: ""}
PAGE = ROOT / "docs" / "metrics.md"
NEW = Metric("vowels", "share", None, (0.0, 1.0), "share of vowels among the answers' letters")


def rows(run: Path, file: str) -> Iterator[dict[str, str]]:
    with (run / file).open(encoding="utf-8", newline="") as lines:
        yield from csv.DictReader(lines)


def outside(metric: Metric, value: str) -> bool:
    """Whether a number lies outside the declared range by more than float32 rounds."""
    low, high = metric.range
    return not low - 1e-6 <= float(value) <= high + 1e-6


@pytest.mark.parametrize("run", EACH)
def test_every_record_is_as_declared(run: Path) -> None:
    for row in rows(run, "records.csv"):
        metric = declared.recorded(row["metric"])
        assert row["higher_is_better"] == WRITTEN[metric.higher_is_better], metric.name
        assert metric in declared.measured_on(row["task"]), (metric.name, row["task"])
        assert not outside(metric, row["value"]), row


@pytest.mark.parametrize("run", EACH)
@pytest.mark.parametrize(
    ("file", "kind", "others"),
    [
        (
            "trajectories.csv",
            "training",
            {"suite", "suite_version", "pair", "method", "seed"}
            | {"window", "first_step", "last_step"},
        ),
        (
            "cost.csv",
            "cost",
            {"suite", "suite_version", "pair", "method", "seed", "stage", "threads", "host"},
        ),
    ],
    ids=["trajectories", "cost"],
)
def test_every_column_is_as_declared(run: Path, file: str, kind: Kind, others: set[str]) -> None:
    metrics = {metric.name: metric for metric in METRICS[kind]}
    for row in rows(run, file):
        assert row.keys() - others <= metrics.keys()
        for name in row.keys() & metrics.keys():
            assert not row[name] or not outside(metrics[name], row[name]), (name, row[name])


def test_a_name_is_declared_once() -> None:
    names = [metric.name for kind in RECORDED for metric in METRICS[kind]]
    assert len(set(names)) == len(names)
    for kind, metrics in METRICS.items():
        assert len({metric.name for metric in metrics}) == len(metrics), kind


def test_a_task_s_definition_says_the_declared_direction() -> None:
    """lm-eval reads its own list, in the tasks' files."""
    found = 0
    for path in (ROOT / "benchmarks" / "tasks").rglob("*.yaml"):
        task = yaml.load(path.read_text(encoding="utf-8"), yaml.BaseLoader)
        for entry in task.get("metric_list", ()):
            better = {"true": True, "false": False}[entry["higher_is_better"]]
            assert declared.recorded(entry["metric"]).higher_is_better is better, path
            found += 1
    assert found >= 8


def test_every_encoder_has_its_metrics() -> None:
    encoders = get_args(get_args(Suite.model_fields["bertscore"].annotation)[0])
    for encoder in encoders:
        assert declared.recorded(f"bertscore_{encoder}").higher_is_better is True
        assert declared.recorded(f"bertscore_{encoder}_random_pairs").higher_is_better is None
    assert "minilm" in encoders


def test_what_the_paper_prints_is_declared() -> None:
    for name in published.RECORDED:
        declared.recorded(name)


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("agreement_top1", "agreement_top{k}"),
        ("agreement_top12", "agreement_top{k}"),
        ("agreement_top", None),
        ("agreement_top{k}", None),
        ("agreement_topmost", None),
        ("fkl", "fkl"),
        ("alpha", None),
    ],
)
def test_a_number_in_a_name_is_any_number(name: str, found: str | None) -> None:
    metric = declared.find(name)
    assert (metric.name if metric else None) == found


def test_a_value_has_the_declared_direction_and_an_undeclared_one_cannot_be() -> None:
    assert Value("fidelity_gold", "fkl", "", 0.5, 10).higher_is_better is False
    assert Value("fidelity_gold", "entropy_gap", "", 0.5, 10).higher_is_better is None
    with pytest.raises(ArkdError) as caught:
        Value("longtail_id", "distinct_3", "", 0.5, 10)
    assert str(caught.value) == (
        "metric 'distinct_3' is not declared (did you mean 'distinct_2'?); "
        "give it a line in METRICS of arkd/metrics/declared.py"
    )


# Claims


@pytest.fixture
def claiming(tmp_path: Path) -> Callable[..., None]:
    """Read the registered claims with one test's metric, or more of it, changed."""

    def load(claim: str, **changes: Any) -> None:
        data = yaml.safe_load(claims_path().read_text(encoding="utf-8"))
        tests = next(one["tests"] for one in data["claims"] if one["id"] == claim)
        tests[0].update(changes)
        path = tmp_path / "claims.yaml"
        path.write_text(json.dumps(data), encoding="utf-8")
        load_claims(path)

    return load


ON_ANSWERS = ("bertscore_minilm", "self_bleu", "eos_share", "length_tokens", "factual_precision")


@pytest.mark.parametrize(
    ("task", "metric"),
    [
        *(("in_distribution", metric) for metric in (*ON_ANSWERS, "facts_told", "acc_norm")),
        *(("fidelity_gold", metric) for metric in ("nll", "agreement_top1", "agreement_top20")),
        ("truth", "truth_accuracy"),
        ("cost", "padding_share"),
    ],
)
def test_what_is_recorded_can_be_claimed(
    claiming: Callable[..., None], task: str, metric: str
) -> None:
    claiming("C1", tasks=[task], metric=metric)


@pytest.mark.parametrize(
    ("task", "metric"),
    [
        ("in_distribution", "fkl"),
        ("in_distribution", "failed"),
        ("fidelity_gold", "rouge_l"),
        ("fidelity_gold", "agreement_top{k}"),
        ("fidelity_student", "nll"),
        ("truth", "tvd"),
        ("cost", "threads"),
    ],
)
def test_what_is_not_recorded_cannot_be_claimed(
    claiming: Callable[..., None], task: str, metric: str
) -> None:
    with pytest.raises(ArkdError, match=f"no metric '{metric}'.* is measured on {task}"):
        claiming("C1", tasks=[task], metric=metric)


@pytest.mark.parametrize("metric", ["grad_norm", "policy_loss", "entropy_teacher"])
def test_what_no_trajectory_keeps_cannot_be_claimed(
    claiming: Callable[..., None], metric: str
) -> None:
    with pytest.raises(ArkdError, match=f"no metric '{metric}'"):
        claiming("C6", metric=metric)


# The page


def test_the_page_is_that_of_the_declarations(tmp_path: Path) -> None:
    copy = tmp_path / "metrics.md"
    copy.write_text(PAGE.read_text(encoding="utf-8"), encoding="utf-8")
    metric_tables.write(copy)
    assert copy.read_text(encoding="utf-8") == PAGE.read_text(encoding="utf-8"), "run `arkd pages`"


def test_a_page_without_marks_is_refused(tmp_path: Path) -> None:
    page = tmp_path / "metrics.md"
    page.write_text("# Metrics\n", encoding="utf-8")
    with pytest.raises(ArkdError, match="put '<!-- metrics: answers -->'"):
        metric_tables.write(page)


# A new metric


def vowels(texts: list[str]) -> float:
    letters = [letter for text in texts for letter in text if letter.isalpha()]
    return sum(letter in "aeiou" for letter in letters) / max(1, len(letters))


def test_a_new_metric_is_a_declaration_and_a_function(
    monkeypatch: pytest.MonkeyPatch,
    claiming: Callable[..., None],
    tmp_path: Path,
) -> None:
    with pytest.raises(ArkdError, match="'vowels' is not declared"):
        Value("longtail_id", "vowels", "", vowels(["a bee"]), 1)
    monkeypatch.setitem(METRICS, "answers", (*METRICS["answers"], NEW))

    value = Value("longtail_id", "vowels", "", vowels(["a bee"]), 1)
    assert (value.value, value.higher_is_better) == (0.75, None)
    claiming("C1", metric="vowels")
    page = tmp_path / "metrics.md"
    page.write_text(PAGE.read_text(encoding="utf-8"), encoding="utf-8")
    assert f"| `vowels` | share | 0–1 |  | {NEW.definition} |" in (
        metric_tables.write(page).read_text(encoding="utf-8")
    )

    records = tmp_path / "records.csv"
    text = (REFERENCE / "longtail" / "records.csv").read_text(encoding="utf-8")
    records.write_text(text.replace(",eos_share,", ",vowels,"), encoding="utf-8")
    run = read(records)
    found = compare(run, run, ("arkd", "forward_kl"), Filter(metrics=["vowels"]))
    assert {one.quantity[1] for one in found} == {"vowels"}


def test_a_comparison_says_which_way_is_better(capsys: pytest.CaptureFixture[str]) -> None:
    run = str(REFERENCE / "longtail")
    words = ["compare", run, "--methods", "arkd", "forward_kl", "--format", "markdown"]
    assert main.main([*words, "--metric", "fkl", "acc", "entropy_gap"]) == 0
    caption = capsys.readouterr().out.splitlines()[-1]
    assert caption.endswith(" More is better: acc. Less is better: fkl.")

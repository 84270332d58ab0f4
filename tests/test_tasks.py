"""The lm-eval tasks: every YAML loads, and scores what it says it scores."""

from __future__ import annotations

from pathlib import Path

import pytest
from rouge_score.rouge_scorer import RougeScorer

from arkd import tasks
from arkd.errors import ArkdError
from arkd.evaluate import distinct
from arkd.paths import benchmarks_dir

SHIPPED = sorted(p.stem for p in (benchmarks_dir() / "tasks").glob("[!_]*.yaml"))


def test_every_shipped_task_loads_on_real_data(smoke: Path) -> None:
    from lm_eval.tasks import TaskManager

    manager = TaskManager(
        include_path=str(benchmarks_dir() / "tasks"),
        include_defaults=False,
        metadata={"data_dir": str(smoke / "smoke" / "data")},
    )
    assert set(SHIPPED) <= set(manager.all_tasks)  # one that does not parse is skipped silently
    longtail = [name for name in SHIPPED if name.startswith("longtail")]
    loaded = manager.load(longtail)["tasks"]
    assert set(loaded) == set(longtail)
    for name, task in loaded.items():
        docs = list(task.test_docs())
        assert docs, name
        if task.OUTPUT_TYPE == "multiple_choice":
            assert task.doc_to_choice(docs[0]) == docs[0]["choices"]


def test_the_best_reference_counts() -> None:
    doc = {"references": [" Ann lives in Tarn.", " Tarn."]}
    assert tasks.generated(doc, [" Tarn."])["rouge_l"] == 100.0
    score = RougeScorer(["rougeL"], use_stemmer=True).score("Ann lives in Tarn.", "Ann lived there")
    found = tasks.generated({"references": ["Ann lives in Tarn."]}, ["Ann lived there"])
    assert found["rouge_l"] == pytest.approx(100 * score["rougeL"].fmeasure)
    # "lives" and "lived" share a stem: 2 of 3 words and 2 of 4 words → F = 4/7.
    assert found["rouge_l"] == pytest.approx(100 * 4 / 7)


def test_a_missing_data_folder_is_named() -> None:
    with pytest.raises(ArkdError, match=r"--metadata"):
        tasks.load(file="test_longtail_id.jsonl")
    with pytest.raises(ArkdError, match=r"absent/x\.jsonl: no such file"):
        tasks.load(data_dir="absent", file="x.jsonl")


def test_distinct_n_counts_repeated_word_runs() -> None:
    assert distinct(["a b a b", "a b"], 1) == pytest.approx(2 / 6)
    assert distinct(["a b a b", "a b"], 2) == pytest.approx(2 / 4)
    assert distinct([""], 1) == 0.0

"""What generated texts are like as a whole, against NLTK, and how an answer was written."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from nltk.translate.bleu_score import SmoothingFunction, sentence_bleu

from arkd.evaluation import tasks
from arkd.metrics.text_statistics import Written, distinct, self_bleu, text_statistics
from arkd.storage.files import read_jsonl
from arkd.storage.records import read_csv
from arkd.suite.load import load_suite

SAME = ["the cat sat on the mat today"] * 3


def by_nltk(texts: list[str]) -> float:
    """Each text against all others, one by one."""
    words = [text.split() for text in texts]
    smooth = SmoothingFunction(epsilon=0.1).method1
    scores = [
        sentence_bleu([*words[:i], *words[i + 1 :]], own, smoothing_function=smooth)
        for i, own in enumerate(words)
    ]
    return 100 * sum(scores) / len(scores)


@pytest.mark.parametrize("seed", range(6))
def test_self_bleu_is_nltks_mean_over_all_pairs(seed: int) -> None:
    rng = random.Random(seed)
    vocabulary = ["a", "b", "c", "d", "e", "f"][: 2 + seed]
    texts = [" ".join(rng.choices(vocabulary, k=rng.randrange(1, 9))) for _ in range(12)]
    texts += ["", "zzz", texts[0]]  # nothing at all, nothing in common, the same again
    assert self_bleu(texts) == pytest.approx(by_nltk(texts), rel=1e-9)


def test_self_bleu_of_equal_texts_is_100_and_of_strangers_0() -> None:
    assert self_bleu(SAME) == pytest.approx(100.0)
    assert self_bleu(["a b c d", "e f g h"]) == 0.0
    assert self_bleu(["alone"]) == 0.0


def test_distinct_counts_n_grams() -> None:
    assert distinct(["a b a", "b a"], 1) == pytest.approx(2 / 5)
    assert distinct(["a b a", "b a"], 2) == pytest.approx(2 / 3)
    assert distinct([""], 2) == 0.0


def test_statistics_of_texts_are_means_over_answers() -> None:
    found = text_statistics(["a b c", "a"], [Written(5, True), Written(2, False)])
    assert found["length_words"] == 2.0
    assert found["length_tokens"] == 3.5
    assert found["eos_share"] == 0.5


def test_an_answers_tokens_are_those_that_were_drawn(smoke: Path) -> None:
    """The texts of a run, encoded anew, and the end that only an answer within the limit has."""
    from arkd.data.tokenizer import load_tokenizer

    pair = smoke / "smoke" / "fixture"
    tokenizer = load_tokenizer(pair / "tokens" / "tokenizer")
    rows = read_csv(pair / "teacher" / "evaluation" / "records.csv")
    samples = read_jsonl(pair / "teacher" / "evaluation" / "samples.jsonl")
    answered = {sample["task"] for sample in samples}
    assert answered == set(load_suite("smoke").test_sets)
    for task in answered:
        texts = [sample["text"] for sample in samples if sample["task"] == task]
        value = {r["metric"]: float(r["value"]) for r in rows if r["task"] == task}
        lengths = [len(tokenizer(text)["input_ids"]) for text in texts]
        # The fixture's tokenizer is lossless, so that text encodes into no more tokens than drawn.
        assert value["length_tokens"] >= sum(lengths) / len(texts) - 1e-7
        assert value["length_tokens"] <= 24  # max_new_tokens of the suite
        ended = [not text or text.rstrip().endswith(".") for text in texts]
        assert value["eos_share"] <= sum(ended) / len(texts) + 1e-7


def test_open_answers_are_scored_by_what_they_state() -> None:
    facts = {
        "home": ["Ann lives in Tarn.", "She lives in Tarn.", "Tarn is where she lives."],
        "job": ["Ann works as a cooper.", "She works as a cooper."],
    }
    doc = {"facts": facts}
    told = tasks.open_ended(doc, [" Ann lives in Tarn. She works as a cooper."])
    assert told == {"factual_precision": 1.0, "facts_told": 2.0}
    # A true sentence said twice is one fact; a false one, and one of someone else, are none.
    mixed = " Ann lives in Tarn. Tarn is where she lives. She works as a baker. Bob lives in Tarn."
    assert tasks.open_ended(doc, [mixed]) == {"factual_precision": 0.5, "facts_told": 1.0}
    assert tasks.open_ended(doc, [""]) == {"factual_precision": 0.0, "facts_told": 0.0}


def test_items_are_what_the_records_average(smoke: Path) -> None:
    """Every score of every item is kept, and its mean is the recorded number."""
    records = read_csv(smoke / "smoke" / "records.csv")
    means = {
        (r["method"], r["seed"], r["decode_seed"], r["task"]): float(r["value"])
        for r in records
        if r["metric"] == "rouge_l"
    }
    items = read_csv(smoke / "smoke" / "items.csv")
    assert len(items) == len(means) > 0
    for row in items:
        scores = [float(score) for score in row["values"].split()]
        key = (row["method"], row["seed"], row["decode_seed"], row["task"])
        assert sum(scores) / len(scores) == pytest.approx(means[key], rel=1e-5, abs=1e-4)

"""Belief against truth, with models whose probabilities are known in closed form."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch

from arkd.data.tokenizer import load_tokenizer
from arkd.evaluation.truth import text_log_probabilities, truth
from arkd.models import model as models
from arkd.suite.folders import Tree
from arkd.suite.load import load_suite


@pytest.fixture(scope="module")
def teacher(smoke: Path):
    folder = Tree(smoke, load_suite("smoke")).model("fixture", "teacher", 0)
    return models.load(folder, torch.device("cpu")), load_tokenizer(folder)


def test_log_probabilities_are_sums_over_tokens_with_eos(teacher) -> None:
    model, tokenizer = teacher
    pairs = [("Where was Ann born?", " Tarn."), ("Who?", " It is Ann of Tarn.")]
    found = text_log_probabilities(model, tokenizer, pairs)
    for (prompt, text), value in zip(pairs, found, strict=True):
        start = tokenizer(prompt, add_special_tokens=False)["input_ids"]
        answer = [*tokenizer(text, add_special_tokens=False)["input_ids"], tokenizer.eos_token_id]
        with torch.no_grad():
            log_q = model(torch.tensor([start + answer])).logits[0].double().log_softmax(-1)
        expected = sum(float(log_q[len(start) - 1 + i, t]) for i, t in enumerate(answer))
        assert value == pytest.approx(expected, abs=1e-4)


def test_error_gap_and_accuracy_follow_from_the_beliefs(teacher) -> None:
    model, tokenizer = teacher
    texts = [" Tarn.", " It is Tarn.", " Bex."]
    pairs = [("Where?", text) for text in texts]
    tarn, it_is_tarn, bex = map(math.exp, text_log_probabilities(model, tokenizer, pairs))
    probe = {
        "prompt": "Where?",
        "kind": "certain",
        "band": "tail",
        "answers": [
            {"answer": "Tarn", "truth": 0.7, "texts": texts[:2]},
            {"answer": "Bex", "truth": 0.3, "texts": texts[2:]},
        ],
    }
    found = {(v.metric, v.group): v.value for v in truth(model, tokenizer, [probe])}
    belief = [tarn + it_is_tarn, bex, 1 - tarn - it_is_tarn - bex]
    error = (abs(belief[0] - 0.7) + abs(belief[1] - 0.3) + belief[2]) / 2
    gap = -sum(q * math.log(q) for q in belief) + 0.7 * math.log(0.7) + 0.3 * math.log(0.3)
    for group in ("", "certain", "certain_tail"):
        assert found["truth_error", group] == pytest.approx(error, abs=1e-6)
        assert found["truth_entropy_gap", group] == pytest.approx(gap, abs=1e-6)
        assert found["truth_accuracy", group] == float(belief[0] > max(belief[1:]))

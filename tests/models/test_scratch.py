"""Models from random weights: of either family as large as planned, the same for the same seed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoTokenizer

from arkd.models.model import build, head
from arkd.paths import benchmarks_dir
from arkd.plan.resolve import shapes
from arkd.suite.folders import Tree
from arkd.suite.load import load_suite
from arkd.suite.settings import Scratch

TOKENIZER = AutoTokenizer.from_pretrained(benchmarks_dir() / "fixtures" / "smoke-teacher")
V = len(TOKENIZER)


def spec(family: str) -> Scratch:
    """Return a small model's sizes."""
    sizes: dict[str, Any] = {"hidden": 12, "layers": 2, "heads": 2, "intermediate": 40}
    return Scratch.model_validate(
        {"source": "scratch", "family": family, "vocabulary": V, "context": 16, **sizes}
    )


# Llama: embedding, per block four projections, three of the feed-forward and two norms, a norm.
# GPT-2: embeddings of tokens and positions, per block four layers with biases and two norms with
# shifts, a norm with a shift.
PARAMETERS = {
    "llama": V * 12 + 2 * (4 * 12 * 12 + 3 * 12 * 40 + 2 * 12) + 12,
    "gpt2": (V + 16) * 12
    + 2 * (12 * 36 + 36 + 12 * 12 + 12 + 12 * 40 + 40 + 40 * 12 + 12 + 4 * 12)
    + 2 * 12,
}


@pytest.mark.parametrize("family", PARAMETERS)
def test_it_is_as_large_as_the_plan_says(family: str, tmp_path: Path) -> None:
    suite = load_suite("longtail")
    pair = suite.pairs[0].model_copy(update={"student": spec(family)})
    tree = Tree(tmp_path, suite.model_copy(update={"pairs": (pair,)}))
    model = build(spec(family), TOKENIZER, "test", 1)
    assert model.config.model_type == family
    assert sum(p.numel() for p in model.parameters()) == PARAMETERS[family]
    _, planned = shapes(tree, pair.name, V, {})
    assert planned.parameters == PARAMETERS[family]
    assert not planned.dropout


@pytest.mark.parametrize("family", PARAMETERS)
def test_weights_follow_from_the_axes_and_no_layer_drops(family: str) -> None:
    first, again, other = (build(spec(family), TOKENIZER, "test", s) for s in (1, 1, 2))
    tokens = torch.tensor([[3, 4, 5]])
    with torch.no_grad():
        in_training, evaluated = first.train()(tokens).logits, again.eval()(tokens).logits
    assert torch.equal(in_training, evaluated)
    assert not torch.equal(head(first).weight_VH, head(other).weight_VH)


@pytest.mark.parametrize("family", PARAMETERS)
def test_weights_have_the_deviation_that_the_suite_says(family: str) -> None:
    model = build(spec(family), TOKENIZER, "test", 1)
    weights = model.get_input_embeddings().weight
    assert weights.std().item() == pytest.approx(12**-0.5, rel=0.05)

"""The exact teacher cache equals the live teacher."""

from __future__ import annotations

import itertools
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from arkd import cache, models
from arkd.data.tokens import TokenSet
from arkd.errors import ArkdError
from arkd.suite import load_suite
from arkd.workflow import Tree


@pytest.fixture(scope="module")
def tree(smoke: Path) -> Tree:
    return Tree(smoke, load_suite("smoke"))


def test_cached_logits_equal_the_live_teachers(tree: Tree) -> None:
    folder = tree.cache("fixture", "gold")
    evidence, head = (
        cache.load(folder, "train"),
        cache.load_head(tree.training("fixture", "teacher", 0)),
    )
    teacher = models.load(tree.model("fixture", "teacher", 0), torch.device("cpu"))
    tokens = evidence.tokens
    assert evidence.hidden is not None
    for sample in (0, 7, 123):
        ids = tokens.ids[tokens.starts[sample] : tokens.starts[sample + 1]].long()
        prompt = int(tokens.prompt_lengths[sample])
        with torch.no_grad():
            live = teacher(ids[None]).logits[0, prompt - 1 : -1]
        rows = slice(int(tokens.response_starts[sample]), int(tokens.response_starts[sample + 1]))
        cached = head.logits(evidence.hidden[rows])
        difference = cached.log_softmax(-1) - live.log_softmax(-1)
        assert difference.abs().max() < 1e-4


def test_values_do_not_depend_on_the_order_of_the_samples(tree: Tree) -> None:
    teacher = models.load(tree.model("fixture", "teacher", 0), torch.device("cpu"))
    tokens = cache.load(tree.cache("fixture", "prefixes"), "dev").tokens
    samples = [
        (tokens.prompt(i), tokens.ids[tokens.starts[i] : tokens.starts[i + 1]].tolist())
        for i in range(10)
    ]
    pairs = [(prompt, ids[len(prompt) :]) for prompt, ids in samples]
    forward = cache.hidden_responses(teacher, TokenSet.of(pairs), "")
    backward = cache.hidden_responses(teacher, TokenSet.of(pairs[::-1]), "")
    starts = TokenSet.of(pairs[::-1]).response_starts.tolist()
    turned = [backward[a:b] for a, b in itertools.pairwise(starts)]
    assert torch.equal(forward, torch.cat(turned[::-1]))


def test_states_of_other_tokens_are_refused(tree: Tree, tmp_path: Path) -> None:
    folder = tmp_path / "gold"
    shutil.copytree(tree.cache("fixture", "gold"), folder)
    hidden = load_file(folder / "train_hidden.safetensors")["hidden"]
    save_file({"hidden": hidden[:-1].contiguous()}, folder / "train_hidden.safetensors")
    with pytest.raises(ArkdError, match=r"states for \d+ response tokens; delete the folder"):
        cache.load(folder, "train")


def test_the_cache_takes_four_bytes_a_hidden_unit(tree: Tree) -> None:
    folder = tree.cache("fixture", "gold")
    evidence = cache.load(folder, "train")
    assert evidence.hidden is not None
    rows, hidden = evidence.hidden.shape
    size = (folder / "train_hidden.safetensors").stat().st_size
    assert rows * hidden * 4 <= size < rows * hidden * 4 + 1024

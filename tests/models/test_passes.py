"""Micro-batches, checkpointed blocks, bfloat16 and adapters: other costs, the same training."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import (
    GPT2Config,
    GPT2LMHeadModel,
    LlamaConfig,
    LlamaForCausalLM,
    Qwen2Config,
    Qwen2ForCausalLM,
)

from arkd.conformance.toy_models import SETTINGS, usual
from arkd.data.tokens import TokenSet
from arkd.divergence.losses import cross_entropy
from arkd.errors import ArkdError
from arkd.models import model as models
from arkd.models.forward import set_training
from arkd.models.lora import add_adapters, merge_adapters
from arkd.suite import registry
from arkd.suite.protocol import MethodEntry
from arkd.suite.rows import build
from arkd.suite.settings import Lora, Training
from arkd.training.distill import Step

V, PAD = 67, 1
SHARED = {"vocab_size": V, "eos_token_id": PAD, "pad_token_id": PAD, "bos_token_id": None}
SIZES = {
    "hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 2, "num_attention_heads": 2,
    "num_key_value_heads": 1, "max_position_embeddings": 32,
}  # fmt: skip
FAMILIES = {
    "gpt2": lambda: GPT2LMHeadModel(
        GPT2Config(n_embd=16, n_layer=2, n_head=2, n_positions=32, **SHARED)
    ),
    "llama": lambda: LlamaForCausalLM(LlamaConfig(**SIZES, **SHARED)),
    "qwen2": lambda: Qwen2ForCausalLM(Qwen2Config(**SIZES, **SHARED, tie_word_embeddings=True)),
}
WAYS = {
    "one row at a time": Training(micro_batch=1),
    "three rows at a time": Training(micro_batch=3),
    "checkpointed blocks": Training(checkpoint_layers=True),
    "both": Training(micro_batch=2, checkpoint_layers=True),
}


def model_of(family: str) -> Any:
    """A small model of a family; GPT-2 with its dropout."""
    torch.manual_seed(0)
    return FAMILIES[family]().train()


def rows() -> TokenSet:
    """Eight samples of unlike lengths, no two of whose gradients weigh the same."""
    draw = torch.Generator().manual_seed(0)

    def ids(n: int) -> list[int]:
        return torch.randint(2, V, (n,), generator=draw).tolist()

    return TokenSet.of([(ids(2 + i % 3), ids(2 + 2 * (i % 5))) for i in range(8)])


def gradients(model: Any, training: Training, dropout: float = 0.0) -> dict[str, Tensor]:
    """The gradient of a batch's cross-entropy on everything that is trained."""
    for module in model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = dropout
    set_training(model, training)
    torch.manual_seed(5)
    batch = rows().batch(range(8), PAD)
    states = models.response_states(model, batch)
    cross_entropy(states, models.head(model), batch.labels_N).backward()
    return {n: p.grad for n, p in model.named_parameters() if p.grad is not None}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("family", FAMILIES)
def test_the_gradient_is_that_of_the_whole_batch(family: str, way: str) -> None:
    whole = gradients(model_of(family), Training())
    parted = gradients(model_of(family), WAYS[way])
    assert parted.keys() == whole.keys()
    for name, expected in whole.items():
        torch.testing.assert_close(parted[name], expected, rtol=1e-4, atol=1e-7, msg=name)


@pytest.mark.parametrize("way", WAYS)
def test_dropout_falls_the_same_when_a_micro_batch_is_run_again(way: str) -> None:
    """The gradient is the slope of the very loss that was returned, by a finite difference."""
    model = model_of("gpt2").double()
    found = gradients(model, WAYS[way], dropout=0.3)
    name, weight = "transformer.h.1.mlp.c_fc.weight", model.transformer.h[1].mlp.c_fc.weight

    def loss(shift: float) -> float:
        with torch.no_grad():
            weight[3, 4] += shift
        torch.manual_seed(5)
        batch = rows().batch(range(8), PAD)
        states = models.response_states(model, batch)
        value = cross_entropy(states, models.head(model), batch.labels_N).item()
        with torch.no_grad():
            weight[3, 4] -= shift
        return value

    slope = (loss(1e-5) - loss(-1e-5)) / 2e-5
    assert found[name][3, 4].item() == pytest.approx(slope, rel=1e-4, abs=1e-9)


@pytest.mark.parametrize("name", registry.names())
def test_every_method_takes_the_same_step_in_micro_batches(name: str) -> None:
    """The weights of a batch's divergences, α above all, are of the batch and not of its parts."""
    method = build(MethodEntry(name=name))
    steps = []
    for training in (Training(), Training(micro_batch=3)):
        model = usual().fresh()
        set_training(model, training)
        step = Step(model, method, usual().sources(method), SETTINGS, 1)
        loss, log = step(0, list(range(8)))
        loss.backward()
        steps.append((loss.item(), log, {n: p.grad for n, p in model.named_parameters()}))
    (whole, log, grads), (parted, parted_log, parted_grads) = steps
    assert parted == pytest.approx(whole, rel=1e-5)
    assert parted_log.get("alpha", 0.0) == pytest.approx(log.get("alpha", 0.0), rel=1e-5)
    for at, expected in grads.items():
        if expected is not None:
            torch.testing.assert_close(parted_grads[at], expected, rtol=1e-3, atol=1e-6, msg=at)


def test_micro_batches_keep_the_activations_of_one() -> None:
    """Bytes that autograd keeps for the backward pass, at eight rows and at one."""
    kept = {}
    for size in (None, 1):
        model = model_of("llama")
        set_training(model, Training(micro_batch=size))
        bytes_: list[int] = []

        def note(tensor: Tensor, into: list[int] = bytes_) -> Tensor:
            into.append(tensor.nbytes)
            return tensor

        batch = rows().batch(range(8), PAD)
        with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
            models.response_states(model, batch)
        kept[size] = sum(bytes_)
    assert kept[1] < kept[None] / 8


@pytest.mark.parametrize("family", FAMILIES)
def test_bfloat16_bodies_train_float32_weights(family: str) -> None:
    exact = gradients(model_of(family), Training())
    found = gradients(model_of(family), Training(precision="bfloat16", micro_batch=4))
    for name, expected in exact.items():
        assert found[name].dtype == torch.float32
        off = (found[name] - expected).norm() / expected.norm()
        assert 0 < off < 0.03, name  # 8 bits of mantissa, and not none of it


@pytest.mark.parametrize("family", FAMILIES)
def test_adapters_start_as_nothing_train_alone_and_merge(family: str) -> None:
    plain, adapted = model_of(family).eval(), model_of(family).eval()
    tuner = add_adapters(adapted, Lora(rank=3, alpha=6), "student", 1)
    batch = rows().batch(range(8), PAD)
    before = models.response_states(plain, batch)
    torch.testing.assert_close(models.response_states(adapted, batch), before)
    found = gradients(adapted, Training())
    assert found, "nothing is trained"
    assert all("lora_" in name for name in found)
    with torch.no_grad():
        for name, parameter in adapted.named_parameters():
            if "lora_B" in name:
                parameter.normal_(std=0.1, generator=torch.Generator().manual_seed(1))
    trained = models.response_states(adapted.eval(), batch).detach()
    assert not torch.allclose(trained, before)
    merged = merge_adapters(tuner)
    assert [name for name, _ in merged.named_parameters()] == [
        name for name, _ in plain.named_parameters()
    ]
    torch.testing.assert_close(models.response_states(merged, batch), trained, rtol=1e-4, atol=1e-5)


def test_a_merged_model_is_saved_as_if_it_never_had_adapters(tmp_path: Any) -> None:
    model = model_of("llama")
    merged = merge_adapters(add_adapters(model, Lora(rank=2), "student", 1))
    merged.save_pretrained(tmp_path)
    assert not list(tmp_path.glob("adapter*"))
    again = models.load(tmp_path, torch.device("cpu"))
    assert models.parameters(again) == models.parameters(model_of("llama"))


def test_adapters_of_one_seed_are_the_same_and_in_float32_on_a_bfloat16_base() -> None:
    one, same, other = (
        copy.deepcopy(dict(adapted.named_parameters()))
        for adapted in (_adapted(1), _adapted(1), _adapted(2))
    )
    of_a = [name for name in one if "lora_A" in name]
    assert all(torch.equal(one[name], same[name]) for name in of_a)
    assert not any(torch.equal(one[name], other[name]) for name in of_a)
    assert {one[name].dtype for name in of_a} == {torch.float32}
    assert one["model.embed_tokens.weight"].dtype == torch.bfloat16


def _adapted(seed: int) -> Any:
    model = model_of("llama").bfloat16()
    add_adapters(model, Lora(rank=2), "student", seed)
    return model


def test_a_target_that_no_layer_has_is_one_line() -> None:
    with pytest.raises(ArkdError, match=r"^lora\.targets: .*nowhere"):
        add_adapters(model_of("llama"), Lora(targets=("nowhere",)), "student", 1)


def test_a_frozen_head_costs_no_gradient_and_changes_none() -> None:
    """The states' gradient is the same whether or not the head has one."""
    found = []
    for trained in (True, False):
        model = model_of("llama")
        model.lm_head.weight.requires_grad_(trained)
        grads = gradients(model, Training())
        assert ("lm_head.weight" in grads) == trained
        found.append(grads["model.layers.0.mlp.up_proj.weight"])
    assert torch.equal(*found)

"""Heads of real model families: states and head give the model's own logits."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from transformers import CONFIG_MAPPING, AutoModelForCausalLM

from arkd.data.tokens import TokenSet
from arkd.errors import ArkdError
from arkd.models import model as models

SMALL = {
    "vocab_size": 40,
    "hidden_size": 16,
    "intermediate_size": 24,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "num_key_value_heads": 2,
    "head_dim": 8,
    "pad_token_id": 0,
}
FAMILIES: dict[str, dict[str, Any]] = {
    "llama": {},
    "qwen2": {},
    "gpt2": {"n_embd": 16, "n_layer": 1, "n_head": 2},
    "gemma2": {"final_logit_softcapping": 0.3, "query_pre_attn_scalar": 8},  # caps
    "cohere": {"logit_scale": 0.125},
    "granite": {"logits_scaling": 8.0},
    "phi": {},  # has a bias
    "gptj": {"n_embd": 16, "n_layer": 1, "n_head": 2, "rotary_dim": 4},  # has a bias
}
UNPACKED: dict[str, dict[str, Any]] = {  # samples of one row would see each other
    "opt": {"ffn_dim": 24, "word_embed_proj_dim": 16},
    "bloom": {"n_layer": 1, "n_head": 2},
    "mamba": {"state_size": 4},
}


def family(name: str) -> Any:
    """A model with random weights, biases too."""
    torch.manual_seed(0)
    config = CONFIG_MAPPING[name](**(SMALL | (FAMILIES | UNPACKED)[name]))
    model = AutoModelForCausalLM.from_config(config).eval()
    bias = getattr(model.get_output_embeddings(), "bias", None)
    if bias is not None:
        torch.nn.init.normal_(bias)
    return model


@pytest.mark.parametrize("name", FAMILIES)
def test_states_and_head_give_a_models_own_logits(name: str) -> None:
    model = family(name)
    head = models.head(model)
    ids = torch.randint(1, 40, (3, 7), generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        own = model(input_ids=ids).logits.flatten(0, 1)
        ours = head.logits(models.hidden_states(model, ids))
    assert torch.allclose(ours, own, atol=1e-5 * float(own.abs().max()))
    models.check_head(model)
    assert (head.bias_V is not None) == (name in ("phi", "gptj"))
    assert (head.scale != 1) == (name in ("cohere", "granite"))
    assert (head.soft_cap is not None) == (name == "gemma2")


def test_a_family_that_does_something_else_to_its_logits_is_refused() -> None:
    class Shifted(type(family("llama"))):  # type: ignore[misc]
        def forward(self, *args: Any, **kwargs: Any) -> Any:
            output = super().forward(*args, **kwargs)
            output.logits = output.logits * 3
            return output

    model = family("llama")
    model.__class__ = Shifted
    with pytest.raises(ArkdError, match="Shifted: its logits are not those"):
        models.check_head(model)


def test_a_cut_head_is_the_head_of_the_first_tokens() -> None:
    model = family("phi")
    head, states = models.head(model).detach(), torch.randn(4, 16)
    assert torch.equal(head.cut(9).weight_VH, head.weight_VH[:9])
    assert torch.allclose(head.cut(9).logits(states), head.logits(states)[:, :9], atol=1e-6)


@pytest.mark.parametrize("name", [*FAMILIES, *UNPACKED])
def test_packed_samples_have_the_states_and_gradients_that_they_have_alone(name: str) -> None:
    lengths = [(1, 8), (2, 1), (1, 2), (3, 3)]
    rows = [([5 + i] * p, [9 + i + j for j in range(r)]) for i, (p, r) in enumerate(lengths)]
    batch = TokenSet.of(rows).batch(range(4), pad_id=0)
    model = family(name)
    found = []
    for packed in (None, batch.packed):
        states = models.hidden_states(model, batch.ids_BT, packed)[batch.positions_N]
        model.zero_grad()
        states.square().sum().backward()
        gradients = [p.grad for p in model.base_model.parameters() if p.grad is not None]
        found.append([states.detach(), *gradients])
    for own, alone in zip(*found, strict=True):
        torch.testing.assert_close(own, alone, rtol=1e-4, atol=1e-4)
    assert models.packs(model) == (name in FAMILIES)
    assert models.padding(model, batch) == (27 if name in FAMILIES else 36) - batch.tokens

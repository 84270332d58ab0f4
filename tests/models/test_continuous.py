"""The continuous engine: what it draws, by whose numbers, and what it leaves as it was."""

from __future__ import annotations

import threading
from typing import Any

import pytest
import torch
from pydantic import ValidationError
from scipy.stats import chi2
from transformers import (
    BloomConfig,
    BloomForCausalLM,
    Gemma2Config,
    Gemma2ForCausalLM,
    GPT2Config,
    GPT2LMHeadModel,
    GPTJConfig,
    GPTJForCausalLM,
    LlamaConfig,
    LlamaForCausalLM,
    MambaConfig,
    MambaForCausalLM,
    MistralConfig,
    MistralForCausalLM,
)

from arkd.errors import ArkdError
from arkd.models import continuous, paged
from arkd.models.generate import sample
from arkd.suite import jobs
from arkd.suite.load import load_suite
from arkd.suite.settings import Decoding
from arkd.suite.suite import Suite

ENDS = [3, 5]
V = 24  # tokens; the head has 8 rows more
TOKENS = {"vocab_size": V + 8, "eos_token_id": ENDS, "pad_token_id": 0, "bos_token_id": None}
SIZES = {
    **{"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2},
    **{"num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": 512},
}
GPT = {"n_embd": 32, "n_inner": 64, "n_layer": 2, "n_head": 4, "n_positions": 512}
# Of many lengths, two of them beyond what a pass reads at once.
LENGTHS = (5, 2, 7, 2, 3, 5, 9, 2, 300, 40, 3, 290)
PROMPTS = [[7 + (row * place) % 15 for place in range(n)] for row, n in enumerate(LENGTHS)]


def llama(**options: Any) -> Any:
    torch.manual_seed(1)
    config = LlamaConfig(**TOKENS, **SIZES, initializer_range=0.4, **options)
    return LlamaForCausalLM(config).eval()


def gpt2() -> Any:
    torch.manual_seed(1)
    return GPT2LMHeadModel(GPT2Config(**TOKENS, **GPT, initializer_range=0.3)).eval()


def mistral() -> Any:
    torch.manual_seed(1)
    config = MistralConfig(**TOKENS, **SIZES, sliding_window=8, initializer_range=0.4)
    return MistralForCausalLM(config).eval()


def eager() -> Any:
    model = llama()
    model.set_attn_implementation("eager")
    return model


def drawn(model: Any, prompts: list[list[int]], at_once: int = 4, **options: Any) -> Any:
    given = {"seed": 1, "max_new_tokens": 20, "label": "", "engine": "continuous", **options}
    return sample(model, prompts, batch_size=at_once, **given)


@pytest.mark.parametrize("make", [llama, gpt2, mistral, eager])
def test_the_most_probable_tokens_are_those_of_generate(make: Any) -> None:
    model = make()
    found = drawn(model, PROMPTS, top_k=1)
    for prompt, answer in zip(PROMPTS, found, strict=True):
        greedy = model.generate(
            input_ids=torch.tensor([prompt]),
            attention_mask=torch.ones(1, len(prompt), dtype=torch.int64),
            do_sample=False,
            max_new_tokens=20,
            eos_token_id=ENDS,
            pad_token_id=0,
        )
        assert answer == greedy[0, len(prompt) :].tolist()


@pytest.mark.parametrize(
    "options", [{}, {"temperature": 0.5, "top_p": 0.8}, {"top_k": 3}, {"vocabulary": V}]
)
@pytest.mark.parametrize("make", [llama, pytest.param(gpt2, marks=pytest.mark.heavy)])
def test_the_answers_are_those_of_batches(make: Any, options: dict[str, Any]) -> None:
    model = make()
    found = drawn(model, PROMPTS, **options)
    assert found == drawn(model, PROMPTS, engine="batched", **options)  # by the same numbers
    assert len({len(answer) for answer in found}) > 3 or make is gpt2
    for answer in found:
        assert 0 < len(answer) <= 20
        assert not set(answer[:-1]) & set(ENDS)
        assert len(answer) == 20 or answer[-1] in ENDS


def test_rows_of_the_head_that_are_no_tokens_are_never_drawn() -> None:
    model, many = llama(), [[7 + row % 15] for row in range(100)]
    assert max(max(answer) for answer in drawn(model, many)) >= V
    assert max(max(answer) for answer in drawn(model, many, vocabulary=V)) < V


@pytest.mark.heavy
def test_an_answer_is_the_same_alone_and_in_any_company() -> None:
    model = llama()
    numbers = torch.rand(
        len(PROMPTS), 20, dtype=torch.float64, generator=torch.Generator().manual_seed(2)
    )

    def answers(rows: list[int], at_once: int) -> list[list[int]]:
        prompts = [PROMPTS[row] for row in rows]
        return continuous.answers(model, prompts, numbers[rows], ends=ENDS, at_once=at_once)

    every = [*range(len(PROMPTS))]
    together = answers(every, 12)
    assert answers(every[::-1], 3)[::-1] == together
    assert [answers([row], 1)[0] for row in (1, 6, 8)] == [together[row] for row in (1, 6, 8)]


HEAVY = pytest.mark.heavy  # each draws thousands of answers


@pytest.mark.parametrize(
    ("top_p", "top_k"),
    [pytest.param(1.0, 0, marks=HEAVY), pytest.param(0.8, 0, marks=HEAVY), (1.0, 5)],
)
def test_tokens_are_drawn_as_often_as_the_exact_distribution_says(top_p: float, top_k: int) -> None:
    """The first token, and the second after the first that is drawn most; against float64."""
    model, prompt, n = llama(), PROMPTS[2], 3000
    others = [PROMPTS[row % 7] for row in range(n)]
    mixed = [text for pair in zip([prompt] * n, others, strict=True) for text in pair]
    settings = {"temperature": 3.0, "top_p": top_p, "top_k": top_k, "vocabulary": V}
    found = drawn(model, mixed, at_once=64, max_new_tokens=2, **settings)[::2]
    firsts = [answer[0] for answer in found]
    often = max({*firsts} - {*ENDS}, key=firsts.count)
    seconds = [answer[1] for answer in found if answer[0] == often]
    exact = model.double()
    for after, tokens in ((prompt, firsts), ([*prompt, often], seconds)):
        logits_V = exact(input_ids=torch.tensor([after])).logits[0, -1, :V].detach()
        p_V = (logits_V / 3.0).softmax(-1)
        order = p_V.argsort(descending=True)[: top_k or V].tolist()
        mass = [0.0, *p_V[order].cumsum(0).tolist()]
        left = [token for token, before in zip(order, mass, strict=False) if before < top_p]
        due_V = torch.zeros(V, dtype=torch.float64)
        due_V[left] = p_V[left] / p_V[left].sum() * len(tokens)
        counts_V = torch.bincount(torch.tensor(tokens), minlength=V).double()
        assert counts_V[due_V == 0].sum() == 0
        usual_V = due_V >= 5  # the others are one outcome together
        counts = torch.cat([counts_V[usual_V], counts_V[~usual_V].sum()[None]])
        due = torch.cat([due_V[usual_V], due_V[~usual_V].sum()[None]])
        counts, due = counts[due > 0], due[due > 0]
        assert len(due) > 3
        distance = float(((counts - due) ** 2 / due).sum())
        assert chi2.sf(distance, len(due) - 1) > 1e-3


@pytest.mark.parametrize("make", [llama, eager])
def test_model_generators_and_threads_are_left_as_they_were(make: Any) -> None:
    model = make().train()
    before = model.config.to_dict(), model.generation_config.to_dict(), {*vars(model)}
    weights = {name: weight.clone() for name, weight in model.state_dict().items()}
    random, attention = torch.random.get_rng_state(), model.config._attn_implementation
    threads = {*threading.enumerate()}
    drawn(model, PROMPTS[:3])
    assert (model.config.to_dict(), model.generation_config.to_dict(), {*vars(model)}) == before
    assert model.training
    assert all(module.training for module in model.modules())
    assert model.config._attn_implementation == attention
    assert torch.equal(torch.random.get_rng_state(), random)
    assert not {*threading.enumerate()} - threads
    assert all(torch.equal(weights[name], weight) for name, weight in model.state_dict().items())
    assert model(input_ids=torch.tensor([[7, 8]])).logits.requires_grad


def test_half_precision_runs_and_keeps_its_type() -> None:
    model = llama().bfloat16()
    found = drawn(model, PROMPTS)
    assert all(len(answer) == 20 or answer[-1] in ENDS for answer in found)
    assert model.dtype == torch.bfloat16


def test_no_prompts_get_no_answers() -> None:
    assert drawn(llama(), []) == []


def test_scores_that_are_no_numbers_end_it_as_they_end_batches() -> None:
    model, threads = llama(), {*threading.enumerate()}
    with torch.no_grad():
        model.lm_head.weight[9] = torch.nan
    with pytest.raises(FloatingPointError, match="nothing can be sampled"):
        drawn(model, PROMPTS[:3])
    assert not {*threading.enumerate()} - threads


def gptj() -> Any:
    return GPTJForCausalLM(GPTJConfig(**TOKENS, **GPT, rotary_dim=4))


def bloom() -> Any:
    return BloomForCausalLM(BloomConfig(**TOKENS, hidden_size=32, n_layer=2, n_head=4))


def mamba() -> Any:
    sizes = {"hidden_size": 32, "num_hidden_layers": 2, "state_size": 8}
    return MambaForCausalLM(MambaConfig(**TOKENS, **sizes))


def gemma2() -> Any:
    return Gemma2ForCausalLM(Gemma2Config(**TOKENS, **SIZES, head_dim=8))


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (gptj, "its scores would be off"),
        (bloom, "its scores would be off"),
        (mamba, "Invalid layer type"),
        (gemma2, "caps the scores"),
    ],
)
def test_a_family_that_would_be_wrong_is_refused(make: Any, reason: str) -> None:
    torch.manual_seed(1)
    model, threads = make().eval(), {*threading.enumerate()}
    with pytest.raises(ArkdError, match=f"continuous does not run a .*{reason}.*; set it to bat"):
        drawn(model, PROMPTS[:4])
    assert not {*threading.enumerate()} - threads


def test_a_model_is_tried_out_once(monkeypatch: pytest.MonkeyPatch) -> None:
    runs, run = [], paged.run

    def count(*given: Any, **options: Any) -> list[list[int]]:
        runs.append(len(given[1]))
        return run(*given, **options)

    monkeypatch.setattr(paged, "run", count)
    model = llama()
    drawn(model, PROMPTS[:5])
    drawn(model, PROMPTS[:5])
    assert runs == [3, 5, 5]


def test_two_models_are_not_mixed_so() -> None:
    with pytest.raises(ArkdError, match="continuous runs one model, in one process"):
        drawn(llama(), PROMPTS, mixed_with=llama(), share=0.5)


def changed(**sections: dict[str, Any]) -> Suite:
    suite = load_suite("smoke").model_dump()
    for key, values in sections.items():
        suite[key] |= values
    return Suite.model_validate(suite)


def test_what_it_cannot_do_is_refused_as_a_suite_is_read() -> None:
    engine = {"engine": "continuous"}
    with pytest.raises(ValidationError, match="in one process; set it to batched, or train"):
        changed(decoding=engine, training={"devices": 2})
    for repeats in ({"no_repeat_ngram": 2}, {"variants": [{"no_repeat_ngram": 2}]}):
        with pytest.raises(ValidationError, match="or no_repeat_ngram to 0"):
            changed(decoding=engine | repeats)
    with pytest.raises(ValidationError, match="batched"):
        changed(decoding={"engine": "vllm"})


def test_slices_name_the_engine_where_it_is_not_the_first() -> None:
    assert "engine" not in Decoding().model_dump()  # as in manifests of before it
    plain, other = load_suite("smoke"), changed(decoding={"engine": "continuous"})
    for stage in ("cache", "evaluate"):
        slices = [
            jobs.config_slice(suite, stage, pair=suite.pairs[0].name) for suite in (plain, other)
        ]
        assert slices[0] != slices[1]
        assert "engine" not in str(slices[0])
        assert "continuous" in str(slices[1])


@pytest.mark.gpu
@pytest.mark.parametrize("make", [llama, gpt2])
def test_a_gpu_draws_what_batches_draw(make: Any) -> None:
    model = make().cuda()
    random = torch.cuda.get_rng_state()
    for options in ({"top_k": 1}, {"top_p": 0.9}):
        found = drawn(model, PROMPTS, **options)
        same = zip(found, drawn(model, PROMPTS, engine="batched", **options), strict=True)
        assert sum(a == b for a, b in same) >= len(PROMPTS) - 1  # rounding may turn one token
    assert torch.equal(torch.cuda.get_rng_state(), random)

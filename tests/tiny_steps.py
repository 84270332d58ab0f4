"""The step of a method on random tiny models, and the same step in float64, densely."""

from __future__ import annotations

import copy
import random
from typing import Any

import oracles
import pytest
import torch
from torch import Tensor
from transformers import GPT2Config, GPT2LMHeadModel, LlamaConfig, LlamaForCausalLM

from arkd.data.tokens import TokenSet
from arkd.method import Responses
from arkd.models.model import head
from arkd.suite import rows
from arkd.suite.load import load_suite
from arkd.suite.protocol import MethodEntry
from arkd.teacher.cache import Evidence, hidden_responses
from arkd.training.distill import Step
from arkd.training.sources import Sources
from arkd.training.step_tools import StepTools

PAD, EOS, V = 0, 1, 11
ROWS = [0, 1, 2, 3]
SETTINGS = load_suite("smoke").distillation


def llama(seed: int, hidden: int) -> Any:
    """A random model of some hundred parameters, far from uniform."""
    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=V,
        hidden_size=hidden,
        intermediate_size=2 * hidden,
        num_hidden_layers=1,
        num_attention_heads=2,
        num_key_value_heads=2,
        max_position_embeddings=32,
        initializer_range=0.6,
        pad_token_id=PAD,
        eos_token_id=EOS,
        bos_token_id=None,
    )
    return LlamaForCausalLM(config)


def gpt2(seed: int, hidden: int) -> Any:
    """The same with absolute positions, which a wrong padding shows."""
    torch.manual_seed(seed)
    config = GPT2Config(
        vocab_size=V,
        n_positions=32,
        n_embd=hidden,
        n_layer=1,
        n_head=2,
        initializer_range=0.6,
        pad_token_id=PAD,
        eos_token_id=EOS,
        bos_token_id=None,
    )
    return GPT2LMHeadModel(config)


def token_set(seed: int) -> TokenSet:
    """Eight prompts, the same for every seed, with one response each."""
    prompts, answers = random.Random(0), random.Random(seed)

    def words(source: random.Random, low: int, high: int) -> list[int]:
        return [source.randrange(2, V) for _ in range(source.randint(low, high))]

    return TokenSet.of([(words(prompts, 2, 6), [*words(answers, 1, 6), EOS]) for _ in range(8)])


def make_step(
    name: str, params: dict[str, Any] | None = None, seed: int = 1, **settings: Any
) -> Step:
    """The step of a method on random models and tokens; λ·L_pt is left out."""
    teacher = llama(1, 12).eval()
    tokens = {"gold": token_set(1), "teacher": token_set(2), "student": token_set(3)}
    sets = {
        source: Evidence(rows, hidden_responses(teacher, rows, ""))
        for source, rows in tokens.items()
    }
    return Step(
        llama(2, 8),
        rows.build(MethodEntry(name=name, params=params or {})),
        Sources(sets, head(teacher).detach(), lambda: teacher, token_set(4), None, 6),  # type: ignore[arg-type]
        SETTINGS.model_copy(update={"lm_weight": 0.0, **settings}),
        seed,
    )


def tools_of(step: Step, at: int = 0, rows: list[int] = ROWS) -> StepTools:
    return StepTools(step.model, step.method, step.sources, step.settings, step.seed, at, rows)


class Dense:
    """Float64 logits of both models at the response positions, by one forward pass a sequence."""

    def __init__(self, step: Step, samples: list[int], answers: list[list[int]]) -> None:
        self.model = copy.deepcopy(step.model).double()
        teacher = copy.deepcopy(step.sources.teacher).double()
        tokens = step.sources.sets["gold"].tokens
        student_, teacher_, self.lengths = [], [], [len(answer) for answer in answers]
        for sample, answer in zip(samples, answers, strict=True):
            prompt = tokens.prompt(sample)
            ids = torch.tensor([[*prompt, *answer]])
            student_.append(self.model(ids).logits[0, len(prompt) - 1 : -1])
            teacher_.append(teacher(ids).logits[0, len(prompt) - 1 : -1].detach())
        self.student, self.teacher = torch.cat(student_), torch.cat(teacher_)
        self.labels = torch.tensor([token for answer in answers for token in answer])

    def of_labels(self, logits: Tensor) -> Tensor:
        """Probability of each label at temperature 1."""
        return oracles.probabilities(logits).gather(1, self.labels[:, None]).squeeze(1)

    def both(self, temperature: float = 2.0) -> tuple[Tensor, Tensor]:
        """p and q."""
        return (
            oracles.probabilities(self.teacher, temperature),
            oracles.probabilities(self.student, temperature),
        )


def of_responses(step: Step, responses: Responses) -> Dense:
    return Dense(step, responses.samples, responses.answers)


def of_gold(step: Step, samples: list[int]) -> Dense:
    """The gold responses of some samples."""
    tokens = step.sources.sets["gold"].tokens
    return Dense(step, samples, [list(tokens.response(sample)) for sample in samples])


def assert_same(loss: Tensor, step: Step, expected: Tensor, dense: Dense) -> None:
    """Value and every parameter's gradient."""
    assert loss.item() == pytest.approx(expected.item(), abs=1e-5)
    loss.backward()
    expected.backward()
    for own, other in zip(step.model.parameters(), dense.model.parameters(), strict=True):
        assert torch.allclose(own.grad.double(), other.grad, atol=2e-5)

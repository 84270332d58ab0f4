"""The settings that methods are checked in: tiny models and response sets from fixed seeds.

The two models differ in hidden size and in vocabulary (the teacher's is padded, as real ones are),
the three response sets in length. Most checks work in `usual`; `large` has what is too slow for all
of them. Nothing is read from disk and nothing is downloaded.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import torch
from torch import Tensor
from transformers import LlamaConfig, LlamaForCausalLM

from arkd.data.tokens import TokenSet
from arkd.method import Method, Source
from arkd.models.model import head
from arkd.suite.protocol import Distillation
from arkd.teacher.cache import Evidence, hidden_responses
from arkd.training.sources import Sources

VOCABULARY, PADDED_VOCABULARY = 61, 64
PAD, EOS = 0, 1
PROMPTS, BATCH = 32, 8
# Response lengths, EOS included, by set; samples 2i and 2i + 1 have as many tokens in all.
LENGTHS: dict[str, tuple[int, ...]] = {
    "gold": (3, 9, 5, 7, 8, 4, 6, 6),
    "teacher": (7, 3, 2, 8, 4, 6, 5, 5),
    "student": (6, 8, 4, 10, 9, 5, 7, 7),
    "dev": (5, 4, 6, 5, 4, 6, 5, 5),
}
MAX_NEW_TOKENS = 12
LARGE_VOCABULARY, LARGE_MAX_NEW_TOKENS = 2048, 40
LARGE_LENGTHS = dict.fromkeys(LENGTHS, (41, 230, 48, 75))
REPLAYED = tuple(0.5 + 0.4 * math.sin(step) for step in range(60))  # α of another run
SETTINGS = Distillation(
    steps=10, batch_size=BATCH, lr=5e-3, temperature=2.0, lm_weight=0.1, square_temperature=False
)


class Words:
    """A tokenizer's decoder: token 7 is the word `w7`."""

    def batch_decode(self, rows: list[list[int]], skip_special_tokens: bool = True) -> list[str]:
        """Return the text of each row of token ids."""
        lowest = EOS + 1 if skip_special_tokens else 0
        return [" ".join(f"w{token}" for token in row if token >= lowest) for row in rows]


@dataclass(frozen=True)
class Setting:
    """Both models, and every response set with the teacher's states."""

    student: Any  # never trained itself: `fresh` returns copies
    teacher: Any
    sets: dict[Source, Evidence]
    dev: TokenSet
    max_new_tokens: int = MAX_NEW_TOKENS

    @property
    def vocabulary(self) -> int:
        """How many tokens both models know: all of the student's."""
        return len(head(self.student))

    def fresh(self) -> Any:
        """Return a copy of the untrained student."""
        return copy.deepcopy(self.student)

    def sources(self, method: Method) -> Sources:
        """Return what a run of the method reads: the sets that it declares, and no other."""
        reads_teacher = method.reads_teacher
        sets = {
            source: evidence if reads_teacher else Evidence(evidence.tokens)
            for source, evidence in self.sets.items()
            if source in method.responses
        }
        sets.setdefault("gold", Evidence(self.sets["gold"].tokens))
        found = Sources(
            sets,
            copy.deepcopy(head(self.teacher).detach()) if reads_teacher else None,
            lambda: copy.deepcopy(self.teacher),
            self.dev,
            max_new_tokens=self.max_new_tokens,
            replayed=REPLAYED if method.replays else (),
        )
        found.decoder = Words()
        return found


@cache
def usual() -> Setting:
    """Return the setting of most checks: two different models."""
    teacher = llama(2, PADDED_VOCABULARY, hidden=24, tied=False)
    with torch.no_grad():
        head(teacher).weight_VH.mul_(1.5)  # a teacher is more certain than an untrained student
    return setting(llama(1, VOCABULARY, hidden=16, tied=True), teacher)


@cache
def large() -> Setting:
    """Return a setting with the sizes and the extremes of real ones.

    2,048 tokens, responses of 41 to 230, some probabilities below 1e-12, and dropout in both models
    while they train. The tokens of the responses are drawn evenly, so that most are improbable.
    """
    student = llama(1, LARGE_VOCABULARY, hidden=16, tied=False, dropout=0.2)
    teacher = llama(2, LARGE_VOCABULARY + 64, hidden=24, tied=False, dropout=0.2)
    g = torch.Generator().manual_seed(9)
    with torch.no_grad():
        for model in (student, teacher):  # a few tokens of every position are extreme
            scale_V = torch.where(torch.rand(len(head(model)), generator=g) < 0.1, 12.0, 3.0)
            head(model).weight_VH.mul_(scale_V[:, None])
    prompts = torch.randint(EOS + 1, LARGE_VOCABULARY, (4, 6), generator=g).tolist()
    sets = {}
    for name, lengths in LARGE_LENGTHS.items():
        bodies = [torch.randint(2, LARGE_VOCABULARY, (n - 1,), generator=g) for n in lengths]
        answers = [[*body.tolist(), EOS] for body in bodies]
        sets[name] = TokenSet.of(zip(prompts, answers, strict=True))
    return of_sets(student, teacher, sets, LARGE_MAX_NEW_TOKENS)


@cache
def agreeing() -> Setting:
    """Return a setting whose teacher gives the student's own logits."""
    student = llama(1, VOCABULARY, hidden=16, tied=True)
    teacher = llama(3, PADDED_VOCABULARY, hidden=16, tied=False)
    weights = student.state_dict()
    with torch.no_grad():
        for name, values in teacher.state_dict().items():
            values[: len(weights[name])].copy_(weights[name])
    return setting(student, teacher)


@cache
def handmade() -> Setting:
    """Return a setting with the same p and q everywhere: p has two modes, q covers one of them."""
    rest = torch.linspace(0, -2, VOCABULARY)
    p, q = rest.clone(), rest.flip(0).clone()
    p[5], p[9], q[5], q[20] = 6.0, 5.5, 7.0, 3.0
    return everywhere(p, q)


@cache
def beside_agreement() -> Setting:
    """Return a setting whose p is a little beside q: no entry as near as rounding would matter."""
    q = torch.linspace(0, -2, VOCABULARY)
    p = q + 0.01
    p[1::2] -= 0.02
    return everywhere(p, q)


def everywhere(p_V: Tensor, q_V: Tensor) -> Setting:
    """Return a setting with the same logits of teacher and student at every position."""
    p_V = torch.cat([p_V, torch.full((PADDED_VOCABULARY - VOCABULARY,), 4.0)])
    return setting(_constant(4, q_V, hidden=16), _constant(5, p_V, hidden=24))


def llama(
    seed: int,
    vocabulary: int,
    *,
    hidden: int,
    tied: bool,
    dropout: float = 0.0,
    layers: int = 1,
) -> Any:
    """Return a Llama with random weights; other draws are left alone.

    Args:
        seed: Of the weights.
        vocabulary: Rows of its embedding and head.
        hidden: Hidden size; the feed-forward layer has twice as much.
        tied: Whether embedding and head are one matrix.
        dropout: Of its attention, while it trains.
        layers: How many blocks.
    """
    config = LlamaConfig(
        vocab_size=vocabulary,
        hidden_size=hidden,
        intermediate_size=2 * hidden,
        num_hidden_layers=layers,
        num_attention_heads=2,
        num_key_value_heads=2,
        max_position_embeddings=256,
        attention_dropout=dropout,
        initializer_range=hidden**-0.5,
        tie_word_embeddings=tied,
        bos_token_id=None,
        eos_token_id=EOS,
        pad_token_id=PAD,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return LlamaForCausalLM(config).eval()


def _constant(seed: int, logits_V: Tensor, *, hidden: int) -> Any:
    """Return a Llama whose logits are the same at every position, and still trainable."""
    model = llama(seed, len(logits_V), hidden=hidden, tied=False)
    with torch.no_grad():
        for layer in model.base_model.layers:
            layer.self_attn.o_proj.weight.zero_()
            layer.mlp.down_proj.weight.zero_()
        model.get_input_embeddings().weight.fill_(1.0)
        head(model).weight_VH.copy_((logits_V / hidden)[:, None].expand(-1, hidden))
    return model


def setting(student: Any, teacher: Any) -> Setting:
    """Return the setting of two models; the teacher answers but for the student's set."""
    g = torch.Generator().manual_seed(7)
    prompts = [
        torch.randint(EOS + 1, VOCABULARY, (3 + 2 * row % 5,), generator=g).tolist()
        for row in range(PROMPTS)
    ]
    sets: dict[str, TokenSet] = {}
    for name, lengths in LENGTHS.items():
        sampler = student if name == "student" else teacher
        wanted = [lengths[row % len(lengths)] for row in range(PROMPTS)]
        sets[name] = TokenSet.of(zip(prompts, answers(sampler, prompts, wanted, g), strict=True))
    return of_sets(student, teacher, sets, MAX_NEW_TOKENS)


def of_sets(
    student: Any, teacher: Any, sets: Mapping[str, TokenSet], max_new_tokens: int
) -> Setting:
    """Return the setting of two models and their response sets.

    Args:
        student: In evaluation mode, as it is left.
        teacher: Likewise.
        sets: Gold, teacher's and student's responses to the same prompts, and `dev`.
        max_new_tokens: Of what is sampled during training.
    """
    evidence: Any = {
        name: Evidence(tokens, hidden_responses(teacher, tokens, ""))
        for name, tokens in sets.items()
        if name != "dev"
    }
    return Setting(student, teacher, evidence, sets["dev"], max_new_tokens)


@torch.no_grad()
def answers(
    model: Any, prompts: list[list[int]], lengths: list[int], generator: torch.Generator
) -> list[list[int]]:
    """Sample responses of given lengths, the last token EOS.

    Args:
        model: What draws, at temperature 1.
        prompts: Token ids of each prompt.
        lengths: Tokens of each response, EOS included.
        generator: Of the draws.
    """
    found = []
    for prompt, length in zip(prompts, lengths, strict=True):
        ids = list(prompt)
        for _ in range(length - 1):
            logits_V = model(torch.tensor([ids])).logits[0, -1, :VOCABULARY]
            logits_V[: EOS + 1] = -torch.inf
            ids.append(int(torch.multinomial(logits_V.softmax(-1), 1, generator=generator)))
        found.append([*ids[len(prompt) :], EOS])
    return found

"""Sampling in which no answer waits for another: a finished one's place goes to the next prompt.

N prompts, T new tokens, B rows of a pass, V vocabulary.
"""

from __future__ import annotations

from typing import Any
from weakref import WeakSet

import torch
from torch import Tensor

from arkd.errors import ArkdError
from arkd.models import paged
from arkd.models.draw import drawn
from arkd.models.model import text_config

PROBES = 3  # prompts, and at most tokens of each, by which a model is tried out
ROUNDING, COARSE = 1e-4, 5e-2  # of scores, as a share of the largest; of bfloat16 and TF32

_tried: WeakSet[Any] = WeakSet()


def answers(
    model: Any,
    prompts: list[list[int]],
    draws_NT: Tensor,
    *,
    ends: list[int],
    at_once: int,
    temperature: float = 1.0,
    top_p: float = 1.0,
    top_k: int = 0,
    vocabulary: int | None = None,
    label: str = "",
) -> list[list[int]]:
    """Return one answer a prompt, up to and with an end token, drawn by the prompt's own numbers.

    Args:
        model: A causal language model in evaluation mode.
        prompts: Token ids.
        draws_NT: A number in [0, 1) for each prompt and each new token, float64.
        ends: Tokens that end an answer.
        at_once: Prompts that are answered at once.
        temperature: Of the sampling.
        top_p: Nucleus; 1 for all.
        top_k: 0 for all.
        vocabulary: Rows of the head beyond it are never drawn; none: it has no such rows.
        label: Of the progress bar; none without one.

    Raises:
        ArkdError: the model does not run so, or not to the same scores.
        FloatingPointError: the model's scores are not finite.
    """
    if not prompts:
        return []
    check(model, prompts, draws_NT.shape[1])
    numbers = draws_NT.flatten().to(model.device)

    def choose(scores_BV: Tensor, place_B: Tensor) -> Tensor:
        if vocabulary is not None:
            scores_BV[:, vocabulary:] = -torch.inf
        return drawn(scores_BV, numbers[place_B, None], temperature, top_p, top_k)

    return paged.run(
        model,
        prompts,
        new_tokens=draws_NT.shape[1],
        ends=ends,
        at_once=at_once,
        choose=choose,
        label=label,
    )


@torch.no_grad()
def check(model: Any, prompts: list[list[int]], new_tokens: int) -> None:
    """Make sure, once for a model, that its scores are those of a pass over one sequence alone.

    Of the prompts the longest are tried, one more of them than run at once. Families whose
    attention is not the library's to replace would run, read all requests as one text, and be
    wrong: GPT-J, Bloom, MPT.

    Raises:
        ArkdError: the model does not run so, or not to the same scores.
    """
    if model in _tried:
        return
    if getattr(text_config(model), "attn_logit_softcapping", None):
        raise _refusal(model, "it caps the scores of its attention, which would be left out")
    whole = torch.get_float32_matmul_precision() == "highest"
    exact = model.dtype == torch.float32 and whole
    off = ROUNDING if exact else COARSE
    probes, new = sorted(prompts, key=len)[-PROBES:], min(PROBES, new_tokens)
    found: dict[int, Tensor] = {}

    def choose(scores_BV: Tensor, place_B: Tensor) -> Tensor:
        found.update(zip(place_B.tolist(), scores_BV.clone(), strict=True))
        return scores_BV

    try:
        probed = paged.run(model, probes, new_tokens=new, ends=[], at_once=2, choose=choose)
    except torch.OutOfMemoryError:
        raise
    except Exception as error:  # of whatever kind: the library does not check what it can run
        raise _refusal(model, " ".join(str(error).split())[:200]) from error
    for row, (prompt, tokens) in enumerate(zip(probes, probed, strict=True)):
        ids_1T = torch.tensor([prompt + tokens], device=model.device)
        alone_TV = model(input_ids=ids_1T, use_cache=False).logits[0, len(prompt) - 1 : -1].float()
        both_TV = torch.stack([found[row * new + place] for place in range(new)])
        if bool(alone_TV.isfinite().all()):  # else the draws will say so
            gap = float((both_TV - alone_TV).abs().max() / alone_TV.abs().max())
            if not gap <= off:
                raise _refusal(model, f"its scores would be off by {gap:.1g} of the largest")
    _tried.add(model)


def _refusal(model: Any, why: str) -> ArkdError:
    return ArkdError(
        f"decoding.engine: continuous does not run a {type(model).__name__}: {why}; "
        "set it to batched"
    )

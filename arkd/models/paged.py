"""Transformers' continuous batching, with every token chosen by ours.

The requests of a pass stand in one sequence without padding, kept apart by a mask; their keys and
values lie in pages. B requests of a pass, V vocabulary.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from math import ceil
from typing import Any, ClassVar

import torch
from torch import Tensor
from transformers import ContinuousBatchingConfig, GenerationConfig, LogitsProcessorList
from transformers.generation.continuous_batching.cb_logits_processors import (
    ContinuousBatchingLogitsProcessor,
    ContinuousBatchingLogitsProcessorList,
)

from arkd.progress import progress

PAGE = 16  # tokens of the cache that are given out at once
PASS_TOKENS = 256  # of a pass at most, if there are fewer requests: its mask grows with them
# Scores [B, V] and, of each row, the place of its token among those of all requests, which have
# `new_tokens` each: scores that leave the chosen token the highest.
Choose = Callable[[Tensor, Tensor], Tensor]


class Chosen(ContinuousBatchingLogitsProcessor):
    """Has tokens chosen by the request that a row is of, and by how many that has already.

    Args:
        prompts: Token ids; a request is named by its number.
        new_tokens: The most that a request gets.
        choose: See `Choose`.
    """

    supported_kwargs: ClassVar[dict[str, type]] = {}
    ignored_kwargs: ClassVar[tuple[str, ...]] = ()

    def __init__(self, prompts: list[list[int]], new_tokens: int, choose: Choose) -> None:
        self.prompts = prompts
        self.new_tokens = new_tokens
        self.choose = choose
        self.rows = 0  # of the pass that comes next

    def fill_defaults(self, int32_tensor: Tensor) -> None:
        """Write what stands where no request does."""
        int32_tensor.zero_()

    def prepare_tensor_args(self, requests_with_new_token: list[Any]) -> Tensor:
        """Return the place of each request's next token [B], in the type that the library keeps."""
        places = []
        for state in (request.state for request in requests_with_new_token):
            number = int(state.request_id)
            # One that is put off and taken up again has its tokens so far in its prompt.
            there = len(state.initial_tokens) + len(state.generated_tokens)
            places.append(number * self.new_tokens + there - len(self.prompts[number]))
        self.rows = len(places)
        return torch.tensor(places, dtype=torch.int32)

    def __call__(self, scores: Tensor, tensor_arg: Tensor) -> Tensor:
        """Return scores [B, V] that leave the chosen token of a row the highest.

        Behind the rows that get a token stands one for each prompt that is not yet read to its end.
        """
        chosen_BV = self.choose(scores[: self.rows], tensor_arg[: self.rows].long())
        return torch.cat([chosen_BV, scores[self.rows :]])


def run(
    model: Any,
    prompts: list[list[int]],
    *,
    new_tokens: int,
    ends: list[int],
    at_once: int,
    choose: Choose,
    label: str = "",
) -> list[list[int]]:
    """Return what follows each prompt, up to and with an end token.

    Args:
        model: A causal language model in evaluation mode; it is left as it was.
        prompts: Token ids, one list at least.
        new_tokens: The most that a request gets.
        ends: Tokens that end a request.
        at_once: Requests that are answered at once.
        choose: See `Choose`; it runs in a thread of its own.
        label: Of the progress bar; none without one.

    Raises:
        Exception: what the library, the model or `choose` raised.
    """
    limits = {"max_new_tokens": new_tokens, "eos_token_id": ends or -1}
    at_once = min(at_once, len(prompts))
    longest = max(map(len, prompts)) + new_tokens
    settings = ContinuousBatchingConfig(
        page_size=PAGE,
        num_blocks=at_once * ceil(longest / PAGE),  # enough: no request is ever put off
        max_batch_tokens=max(at_once, PASS_TOKENS),
        max_requests_per_batch=at_once,
        max_blocks_per_request=0,
        safety_margin=0.0,
        allow_block_sharing=False,
        use_async_batching=False,  # a pass would be prepared before its last tokens are known
        use_cuda_graph=False,  # a draw looks at its scores
        auto_switch_to_flash=False,
        seed=0,
    )
    found: dict[int, list[int]] = {}
    with _left_as_it_was(model):
        manager = model.init_continuous_batching(
            GenerationConfig(do_sample=False, **limits), settings
        )
        # Its thread has not begun: what chooses the tokens can still be put in.
        chosen = LogitsProcessorList([Chosen(prompts, new_tokens, choose)])
        manager.logit_processor = ContinuousBatchingLogitsProcessorList(chosen)
        manager.logit_processor.tensors_required = 1
        manager.start()
        try:
            for number, prompt in enumerate(prompts):
                manager.add_request(prompt, str(number), **limits)
            for _ in progress(range(len(prompts)), label):
                result = _next(manager)
                found[int(result.request_id)] = result.generated_tokens
        finally:
            manager.stop(hard_stop=True)
            manager.destroy()
    return [found[number] for number in range(len(prompts))]


def _next(manager: Any) -> Any:
    """Wait for one more finished request.

    Raises:
        Exception: what ended the manager's thread.
    """
    while True:
        result = manager.get_result(timeout=1)
        if manager.background_thread_status.fatal_error is not None:
            raise manager.background_thread_status.fatal_error
        if result is not None and result.error is None:
            return result
        if result is not None or not manager.is_running():
            raise RuntimeError(f"continuous batching ended early: {result and result.error}")


@contextmanager
def _left_as_it_was(model: Any) -> Iterator[None]:
    """Undo what the library sets: the generators, how attention is computed; and silence it."""
    notes = logging.getLogger("ContinuousBatchingLogger")
    level, attention = notes.level, model.config._attn_implementation
    notes.setLevel(logging.CRITICAL)  # its errors are raised here, and would be told twice
    devices = [model.device] if model.device.type == "cuda" else []
    try:
        with torch.random.fork_rng(devices=devices):
            yield
    finally:
        notes.setLevel(level)
        if model.config._attn_implementation != attention:
            model.set_attn_implementation(attention)

"""lm-eval's model, made to read, draw and write as training, caches and our own sampler do.

Shapes: B prompts of a batch, T positions.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from lm_eval.models.huggingface import HFLM
from torch import Tensor

from arkd.data.tokenizer import end_ids, load_tokenizer, opening, text_ids, until_end
from arkd.errors import ArkdError
from arkd.metrics.text_statistics import Written
from arkd.models import model as models
from arkd.models import room
from arkd.models.draw import Draw, uniforms
from arkd.models.generate import tokens_beyond
from arkd.suite.settings import Engine, Rows


class Writer(HFLM):
    """A model folder as lm-eval's tasks ask it, which also remembers how each answer was written.

    The harness by itself would load model and tokenizer anew and tie what is not tied, read the
    name of a special token as the token, stop at the text `</s>` and at one end token of several,
    and draw rows of a padded head. And it hands on text alone, which encoded anew need not give the
    tokens that it was decoded from.

    Args:
        folder: A Hugging Face folder with tokenizer.
        device: Where the model runs.
        precision: float32 or bfloat16.
        batch_size: Prompts a batch; `auto`: as many as fit, of answers and of scored texts each.
        engine: Of sampled answers; see `Decoding.engine`.
    """

    def __init__(
        self,
        folder: Path,
        device: str,
        precision: str,
        batch_size: Rows,
        engine: Engine = "batched",
    ) -> None:
        tokenizer = load_tokenizer(folder)
        model = models.load(folder, torch.device(device), precision)
        # Before the rest, which asks for them.
        self.opening, self.ends = opening(tokenizer), end_ids(tokenizer)
        self.beyond = tokens_beyond(model, len(tokenizer))
        self.rolling = False
        self.wanted, self.engine = batch_size, engine
        # Logarithms of bfloat16 would be rounded to 8 bits: choices a hundredth apart would tie.
        super().__init__(
            pretrained=model,
            tokenizer=tokenizer,
            batch_size=1 if batch_size == "auto" else batch_size,
            softmax_dtype="float32",
        )
        self.written: dict[tuple[str, str], Written] = {}  # by prompt and answer
        self._decoded: list[int] = []
        self.cache_hook = self  # told of each answer as soon as it is decoded
        self.generator = torch.Generator()  # of the uniform numbers behind each sampled token

    @property
    def prefix_token_id(self) -> int:
        """What a text without a prompt is conditioned on: what opens all texts, if anything.

        The harness knows one such token. Of several, a text that is scored whole has the others at
        its own beginning.
        """
        if not self.opening:
            return int(super().prefix_token_id)
        return self.opening[0 if self.rolling else -1]

    def tok_encode(
        self, string: str, add_special_tokens: bool | None = None, **_: Any
    ) -> list[int]:
        """Encode a text; opened, unless it is to follow another or the harness itself opens it."""
        opened = self.opening if add_special_tokens is not False else []
        return [*opened[self.rolling :], *text_ids(self.tokenizer, [string])[0]]

    def tok_batch_encode(
        self,
        strings: list[str],
        padding_side: str = "left",
        left_truncate_len: int | None = None,
        truncation: bool = False,
    ) -> tuple[Tensor, Tensor]:
        """Encode prompts and pad them on the left; return ids and mask, each [B, T].

        Args:
            strings: The prompts.
            padding_side: Left, as for all that is continued.
            left_truncate_len: The most tokens that leave room for an answer; none for no limit.
            truncation: Not used: a prompt is never cut.

        Raises:
            ArkdError: one is too long to be answered.
        """
        ids = [self.tok_encode(string) for string in strings]
        width = max(map(len, ids))
        if left_truncate_len and width > left_truncate_len:
            raise ArkdError(
                f"a prompt of {width:,} tokens leaves no room for its answer in the model's "
                f"context of {self.max_length:,}; shorten it, or lower decoding.max_new_tokens"
            )
        pad = self.tokenizer.pad_token_id
        ids_BT = torch.tensor([[pad] * (width - len(row)) + row for row in ids])
        mask_BT = torch.tensor([[0] * (width - len(row)) + [1] * len(row) for row in ids])
        return ids_BT, mask_BT

    def _loglikelihood_tokens(self, requests: Any, **options: Any) -> list[tuple[float, bool]]:
        """Score continuations, none of which is cut, as the harness would do with a warning.

        Raises:
            ArkdError: one is too long to be read whole.
        """
        # The last token is predicted and not read.
        read = max((len(before) + len(scored) - 1 for _, before, scored in requests), default=0)
        if read > self.max_length:
            raise ArkdError(
                f"a question with its answer takes {read:,} tokens, and the model's context has "
                f"{self.max_length:,}; shorten it, or leave its task out of the suite"
            )
        self._fit(room.scored_row(self.model, max(1, read)))
        found: list[tuple[float, bool]] = super()._loglikelihood_tokens(requests, **options)
        return found

    def generate_until(self, requests: Any, disable_tqdm: bool = False) -> list[str]:
        """Answer prompts, as many at once as fit.

        The continuous engine is given all of them, and takes as many at once itself.
        """
        if self.wanted == "auto":
            wanted = [request.args for request in requests]
            longest = max(len(self.tok_encode(text)) for text, _ in wanted)
            new = max(options["max_gen_toks"] for _, options in wanted)
            self._fit(room.decoded_row(self.model, longest + new))
        self.at_once = int(self.batch_size)
        drawn = all(request.args[1].get("do_sample") for request in requests)
        if self.engine == "continuous" and drawn:
            self.batch_size_per_gpu = max(1, len(requests))
        try:
            found: list[str] = super().generate_until(requests, disable_tqdm=disable_tqdm)
        finally:
            self.batch_size_per_gpu = self.at_once
        return found

    def _fit(self, row_bytes: int) -> None:
        """Settle how many rows the harness runs at once, given what one takes."""
        self.batch_size_per_gpu = room.fitting(self.wanted, row_bytes, self.model.device)

    def loglikelihood_rolling(self, requests: Any, disable_tqdm: bool = False) -> list[float]:
        """Score whole texts, before which the harness puts the prefix itself."""
        self.rolling = True
        try:
            found: list[float] = super().loglikelihood_rolling(requests, disable_tqdm=disable_tqdm)
        finally:
            self.rolling = False
        if len(self.opening) < 2:
            return found
        # What opens a text is no part of it: log P(text | opening) alone is its score.
        opened = (None, self.opening[:1], self.opening[1:])
        ((of_opening, _),) = self._loglikelihood_tokens([opened], disable_tqdm=True)
        return [log_q - of_opening for log_q in found]

    def _model_generate(
        self, context: Tensor, max_length: int, stop: list[str], **options: Any
    ) -> Tensor:
        """Draw answers that end at an end token and hold none but tokens of the vocabulary."""
        options |= {"eos_token_id": self.ends, "suppress_tokens": self.beyond or None}
        if options.pop("do_sample", False):  # by `Draw`, where transformers would sample itself
            draws = uniforms(len(context), max_length - context.shape[1], self.generator)
            sampling = {key: options.pop(key) for key in ("temperature", "top_p", "top_k")}
            if self.engine == "continuous":
                if any(stop):
                    raise ArkdError(
                        "decoding.engine: continuous stops at no text; set it to batched"
                    )
                return self._continuous(context, options["attention_mask"], draws, sampling)
            options |= {"do_sample": False, "logits_processor": [Draw(draws, **sampling)]}
        stop = [text for text in stop if text]
        drawn: Tensor = super()._model_generate(context, max_length, stop, **options)
        return drawn

    def _continuous(
        self, context: Tensor, mask: Tensor, draws: Tensor, sampling: dict[str, Any]
    ) -> Tensor:
        """Draw answers to prompts [B, T] that are padded on the left, and append them."""
        from arkd.models import continuous  # which loads what the other engine has no need of

        rows = zip(context.tolist(), mask.sum(-1).tolist(), strict=True)
        prompts = [row[len(row) - length :] for row, length in rows]
        found = continuous.answers(
            self.model,
            prompts,
            draws,
            ends=self.ends,
            at_once=self.at_once,
            vocabulary=len(self.tokenizer),
            **sampling,
        )
        pad, width = self.tokenizer.pad_token_id, max(map(len, found))
        padded = torch.tensor([answer + [pad] * (width - len(answer)) for answer in found])
        return torch.cat([context, padded.to(context.device)], dim=1)

    def tok_decode(self, tokens: Any, skip_special_tokens: bool = True) -> str:
        """Decode an answer up to its end, and keep it until `add_partial` says whose it is.

        Asked for the end token's text, which the harness would stop at, it knows none: a model may
        write it out letter by letter.
        """
        if not isinstance(tokens, list):
            return ""
        self._decoded = until_end(tokens, self.ends)
        text: str = super().tok_decode(self._decoded, skip_special_tokens=skip_special_tokens)
        return text

    def add_partial(self, kind: str, request: tuple[Any, ...], answer: Any) -> None:
        """Note how the answer to a request was written, in the place of lm-eval's own cache."""
        if kind == "generate_until":
            ended = bool(self._decoded) and self._decoded[-1] in self.ends
            self.written[request[0], answer] = Written(len(self._decoded) - ended, ended)

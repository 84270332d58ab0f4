"""What a training reads beside the student: response sets, teacher, development rows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from arkd.data.tokenizer import load_tokenizer
from arkd.data.tokens import TokenSet
from arkd.divergence.head import Head
from arkd.method import Source
from arkd.rouge import Rouge
from arkd.teacher.cache import Evidence


@dataclass
class Sources:
    """What a run reads: response sets row for row over the same prompts, and the teacher."""

    sets: dict[Source, Evidence]
    teacher_head: Head | None = None
    load_teacher: Callable[[], Any] | None = None  # only some methods ask the teacher anew
    dev: TokenSet | None = None
    tokenizer: Path | None = None
    max_new_tokens: int = 0
    replayed: tuple[float, ...] = ()  # α of another run, step by step
    corpus: TokenSet | None = None  # D_p of L_pt, where it is not the gold rows
    vocabulary: int | None = None  # of the tokenizer; heads may have more rows
    rouge: Rouge = "rouge_l"  # of which kind rewards are

    @cached_property
    def teacher(self) -> Any:
        """The teacher itself, loaded when it is first asked."""
        assert self.load_teacher is not None
        return self.load_teacher().eval()

    @cached_property
    def decoder(self) -> Any:
        """The tokenizer, loaded when text is first asked for."""
        assert self.tokenizer is not None
        return load_tokenizer(self.tokenizer)

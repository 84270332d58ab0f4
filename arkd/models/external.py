"""Models that are given, as a folder or by the hub, and what the two of a pair must share."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from arkd.data.tokens import load_tokenizer
from arkd.errors import ArkdError
from arkd.models import model as models
from arkd.suite.settings import Folder, Hub

# Text on which two tokenizers with one vocabulary would still part: merges, digits, spaces, bytes.
PROBE = "The year 1984 wasn't  over:\n\tnaïve 東京 cafés cost €3,50 — or 10**7 bits.\n"


def folder_of(spec: Folder | Hub) -> Path:
    """Return where a given model lies, placed; one of the hub is fetched unless it is here."""
    if isinstance(spec, Hub):
        from arkd.storage import hub

        return hub.fetch(spec.repo, spec.revision, kind="model")
    return Path(spec.path)


def shared_tokenizer(teacher: Folder | Hub, student: Folder | Hub | None, out_dir: Path) -> None:
    """Write the tokenizer of a pair; one without a padding token pads with its end token.

    Raises:
        ArkdError: a tokenizer cannot be read or has no end token, or the two are not the same.
    """
    where = folder_of(teacher)
    tokenizer = _tokenizer(where)
    if student is not None:
        other = folder_of(student)
        _must_agree(where, tokenizer, other, _tokenizer(other))
    if tokenizer.eos_token_id is None:
        raise ArkdError(f"{where}: its tokenizer has no end token; set eos_token in its config")
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token  # padding is told by length everywhere
    tokenizer.save_pretrained(out_dir)


def load_given(spec: Folder | Hub, tokenizer_dir: Path, device: torch.device, dtype: str) -> Any:
    """Load a given model and tell it the pair's end and padding tokens.

    Raises:
        ArkdError: it cannot be read, or its vocabulary has not all of the tokenizer's tokens.
    """
    folder, tokenizer = folder_of(spec), load_tokenizer(tokenizer_dir)
    model = models.load(folder, device, dtype)
    rows = len(models.head(model))
    if rows < len(tokenizer):
        raise ArkdError(
            f"{folder}: its head has {rows:,} rows and the pair's tokenizer {len(tokenizer):,} "
            "tokens; teacher and student need one vocabulary"
        )
    model.config.eos_token_id = tokenizer.eos_token_id
    model.config.pad_token_id = tokenizer.pad_token_id
    return model


def _tokenizer(folder: Path) -> Any:
    try:
        return load_tokenizer(folder)
    except (OSError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise ArkdError(f"{folder}: no tokenizer that can be read: {reason}") from error


def _must_agree(teacher_dir: Path, teacher: Any, student_dir: Path, student: Any) -> None:
    """Refuse two tokenizers by which a token of one would be another token of the other."""
    ours, theirs = teacher.get_vocab(), student.get_vocab()
    apart = sorted(
        (token for token in ours.keys() | theirs.keys() if ours.get(token) != theirs.get(token)),
        key=lambda token: min(ours.get(token, 10**9), theirs.get(token, 10**9)),
    )
    what = ""
    if apart:
        token = apart[0]
        what = (
            f"{len(apart):,} tokens differ, the first '{token}': {ours.get(token, 'absent')} in "
            f"the teacher's, {theirs.get(token, 'absent')} in the student's"
        )
    elif teacher.encode(PROBE) != student.encode(PROBE):
        what = "they have the same tokens and cut a text differently"
    elif teacher.eos_token_id != student.eos_token_id:
        what = f"their end tokens are {teacher.eos_token} and {student.eos_token}"
    if what:
        raise ArkdError(
            f"{student_dir}: not the vocabulary of the teacher {teacher_dir}: {what}; token-level "
            "distillation needs one vocabulary, so choose a student of the teacher's family"
        )

"""Models that are given, as a folder or by the hub, and what the two of a pair must share."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from arkd.data.tokenizer import end_ids, keep_ends, load_tokenizer, opening
from arkd.errors import ArkdError
from arkd.models import model as models
from arkd.storage.files import parse_json
from arkd.suite.settings import Folder, Hub

# What makes ids of a text, in the order of tokenizer.json; the rest is about ids alone.
CUTTING = ("normalizer", "pre_tokenizer", "model")
IDLE = "trim_offsets"  # a setting of the splitting that changes no id


def folder_of(spec: Folder | Hub) -> Path:
    """Return where a given model lies, placed; one of the hub is fetched unless it is here."""
    if isinstance(spec, Hub):
        from arkd.storage import hub

        return hub.fetch(spec.repo, spec.revision, kind="model")
    return Path(spec.path)


def shared_tokenizer(teacher: Folder | Hub, student: Folder | Hub | None, out_dir: Path) -> None:
    """Write the tokenizer of a pair; one without a padding token pads with its end token.

    Of two that differ by special tokens added at the end, such as a [PAD], it is the smaller one:
    the other model's further rows are padding of its head.

    Raises:
        ArkdError: a tokenizer cannot be read or has no end token, or the two are not the same.
    """
    where = folder_of(teacher)
    folders, tokenizer = [where], load_tokenizer(where)
    if student is not None:
        other = folder_of(student)
        folders.append(other)
        theirs = load_tokenizer(other)
        _must_agree(where, tokenizer, other, theirs)
        tokenizer = min(tokenizer, theirs, key=len)
    if tokenizer.eos_token_id is None:
        raise ArkdError(f"{where}: its tokenizer has no end token; set eos_token in its config")
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token  # padding is told by length everywhere
    keep_ends(tokenizer, folders)
    tokenizer.save_pretrained(out_dir)


def load_given(spec: Folder | Hub, tokenizer_dir: Path, device: torch.device, dtype: str) -> Any:
    """Load a given model and tell it the pair's end and padding tokens.

    Args:
        spec: A folder, or a repository of the hub at a commit.
        tokenizer_dir: The pair's tokenizer, of teacher and student alike.
        device: Where the model goes.
        dtype: `float32` or `bfloat16`.

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
    models.tell_tokens(model, end_ids(tokenizer), tokenizer.pad_token_id)
    return model


def _must_agree(teacher_dir: Path, teacher: Any, student_dir: Path, student: Any) -> None:
    """Refuse two tokenizers by which a text would be other tokens of the other's."""
    if what := _difference(teacher, student):
        raise ArkdError(
            f"{student_dir}: not the vocabulary of the teacher {teacher_dir}: {what}; token-level "
            "distillation needs one vocabulary, so choose a student of the teacher's family"
        )


def _difference(teacher: Any, student: Any) -> str:
    """Say the first thing in which two tokenizers differ; nothing of tokens added at the end."""
    ours, theirs = teacher.get_vocab(), student.get_vocab()
    common = min(len(ours), len(theirs))
    added = {
        token.content
        for tokenizer in (teacher, student)
        for token_id, token in tokenizer.added_tokens_decoder.items()
        if token_id >= common and token.special
    }
    apart = sorted(
        (
            token
            for token in ours.keys() | theirs.keys()
            if ours.get(token) != theirs.get(token) and token not in added
        ),
        key=lambda token: min(ours.get(token, 10**9), theirs.get(token, 10**9)),
    )
    if apart:
        token = apart[0]
        return (
            f"{len(apart):,} tokens differ, the first '{token}': {ours.get(token, 'absent')} in "
            f"the teacher's, {theirs.get(token, 'absent')} in the student's"
        )
    rules, other = (parse_json(t.backend_tokenizer.to_str()) for t in (teacher, student))
    merges = [
        pair
        for pair in zip(*(r["model"].get("merges") or [] for r in (rules, other)), strict=False)
        if pair[0] != pair[1]
    ]
    if merges:
        joined = [" ".join(merge) for merge in merges[0]]
        return (
            f"they have the same tokens and cut a text differently: {len(merges):,} merges differ, "
            f"the first '{joined[0]}' in the teacher's, '{joined[1]}' in the student's"
        )
    for part in CUTTING:
        if _busy(rules[part]) != _busy(other[part]):
            return f"they have the same tokens and cut a text differently: another {part}"
    if opening(teacher) != opening(student):
        found = [t.convert_ids_to_tokens(opening(t)) or "nothing" for t in (teacher, student)]
        return f"a text opens with {found[0]} in the teacher's, with {found[1]} in the student's"
    if teacher.eos_token_id != student.eos_token_id:
        return f"their end tokens are {teacher.eos_token} and {student.eos_token}"
    return ""


def _busy(rules: Any) -> Any:
    """Return rules without what changes no id."""
    if isinstance(rules, dict):
        return {key: _busy(value) for key, value in rules.items() if key != IDLE}
    return [_busy(value) for value in rules] if isinstance(rules, list) else rules

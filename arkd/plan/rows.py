"""How much text a suite has: counted where it has been made, else as its data say, else assumed."""

from __future__ import annotations

import array
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from arkd.data import source as sources
from arkd.errors import ArkdError
from arkd.storage import manifest
from arkd.storage.files import parse_json
from arkd.suite.folders import Tree

# Mean tokens of a prompt and of its answer where the source knows none: a guess for instructions
# in the Alpaca template.
GUESSED = (110.0, 80.0)
# Items of each public task, and requests an item, of which one token string is scored.
PUBLIC = {
    "lambada_openai": (5153, 1),
    "hellaswag": (10042, 4),
    "arc_easy": (2376, 4),
    "piqa": (1838, 2),
    "winogrande": (1267, 2),
    "popqa": (14267, 4),
}
PUBLIC_TOKENS, LONGEST_PUBLIC = 60, 256  # of a request: mean, most


@dataclass(frozen=True)
class Rows:
    """Rows of each file, and the mean tokens of a prompt and of its answer."""

    files: dict[str, int]
    prompt: float
    response: float
    choices: int  # of a multiple-choice item
    vocabulary: int | None = None  # of a tokenizer that has been trained
    longest: Mapping[str, int] = field(default_factory=dict)  # tokens of texts, by what they are
    notes: tuple[str, ...] = field(default=())  # what is assumed, or where it was counted

    @property
    def train(self) -> int:
        """Rows that students train on."""
        return self.files["train"]

    @property
    def teacher_train(self) -> int:
        """Rows that the teacher trains on: its own, else the students'."""
        return self.files.get("teacher_train") or self.train

    def test(self, name: str) -> int:
        """Rows of a test set."""
        return self.files.get(f"test_{name}", 0)


def rows(tree: Tree, pair: str, prompt: float | None, response: float | None) -> Rows:
    """Return the rows of a suite and the lengths of a pair's tokens.

    Args:
        tree: The suite's folders; what stands there is counted.
        pair: Whose tokenizer it is.
        prompt: Mean tokens of a prompt that the user gives.
        response: Of an answer, end token included.
    """
    source = sources.find(tree.suite.data.source)
    planned = source.planned_rows(tree.placed_data, tree.suite.test_sets)
    files, notes = dict(planned.files), list(planned.notes)
    made = tree.data / "manifest.json"
    if made.is_file():
        summary = manifest.read(tree.data, ["notes"])["notes"].get("summary", {})
        files |= {name: int(count) for name, count in summary.get("rows", {}).items()}
        notes = [f"rows are counted in {tree.data}"]
    lengths, vocabulary = source.mean_tokens or GUESSED, None
    counted = _counted(tree.tokens(pair))
    if counted:
        train, lengths, vocabulary = counted
        files["train"] = train
        notes.append(f"tokens are counted in {tree.tokens(pair)}")
    else:
        # No row is longer than the suite allows.
        most = tree.suite.max_tokens
        scale = min(1.0, most / sum(lengths))
        lengths = lengths[0] * scale, lengths[1] * scale
    lengths = prompt or lengths[0], response or lengths[1]
    if not counted:
        origin = "as counted in the shipped suite" if source.mean_tokens else "a guess"
        origin = "as given" if prompt or response else origin
        notes.append(
            f"a mean prompt of {lengths[0]:.0f} tokens, and answer of {lengths[1]:.0f}: {origin}"
        )
    # Of what has not been made, one thing is known: an answer, and a token before it.
    longest = {"an answer": tree.suite.decoding.max_new_tokens + 1}
    if counted:
        longest |= manifest.read(tree.tokens(pair), ["notes"])["notes"].get("longest", {})
    return Rows(files, *lengths, planned.choices, vocabulary, longest, tuple(notes))


def _counted(tokens: Path) -> tuple[int, tuple[float, float], int] | None:
    """Return training rows, mean lengths and vocabulary of tokens that have been made."""
    made, path = tokens / "manifest.json", tokens / "train.safetensors"
    if not (made.is_file() and path.is_file()):
        return None
    try:
        with path.open("rb") as stream:
            size = int.from_bytes(stream.read(8), "little")
            parts: Mapping[str, Any] = parse_json(stream.read(size).decode("utf-8"))
            first, last = parts["prompt_lengths"]["data_offsets"]
            stream.seek(8 + size + first)
            prompts = array.array("q", stream.read(last - first))
        total, count = parts["ids"]["shape"][0], max(1, len(prompts))
        vocabulary = int(manifest.read(tokens, ["notes"])["notes"]["vocabulary"])
    except (ValueError, LookupError, TypeError, OverflowError, MemoryError):
        raise ArkdError(
            f"{path}: not as its stage wrote it; delete {tokens} and run again"
        ) from None
    return count, (sum(prompts) / count, (total - sum(prompts)) / count), vocabulary


def requests(tree: Tree, rows: Rows) -> tuple[float, int]:
    """Return the tokens of all likelihood requests of an evaluation, and those of the longest."""
    suite, longest = tree.suite, int(rows.prompt + rows.response)
    tokens, most = 0.0, 0
    if suite.choice_tasks:
        items = sum(
            rows.files.get(f"mc_{task.rsplit('_', 1)[-1]}", 0) for task in suite.choice_tasks
        )
        tokens += items * rows.choices * longest
        most = longest
    if suite.perplexity_task:
        tokens += rows.files.get("ppl", 0) * suite.max_tokens
        most = suite.max_tokens
    for task in suite.public_tasks:
        items, each = PUBLIC[task]
        tokens += min(items, suite.public_items or items) * each * PUBLIC_TOKENS
        most = max(most, LONGEST_PUBLIC)
    return tokens, most

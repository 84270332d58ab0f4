"""How much text a suite has: counted where it has been made, else as its data say, else assumed."""

from __future__ import annotations

import array
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from arkd.data.bands import BANDS
from arkd.data.instructions.filters import PUBLISHED
from arkd.data.instructions.source import InstructionsSpec
from arkd.data.own_files import FilesSpec
from arkd.storage.files import read_json
from arkd.suite.folders import Tree

# Mean tokens of a prompt and of its answer. The first two are counted on those suites; the last is
# a guess for instructions in the Alpaca template, and for files of one's own.
LENGTHS = {"longtail": (10.0, 7.0), "smollm2": (23.0, 14.0)}
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
    vocabulary: int | None = None  # of a tokenizer that has been trained
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
    files, notes = _declared(tree)
    made = tree.data / "manifest.json"
    if made.is_file():
        summary = read_json(made)["notes"].get("summary", {})
        files |= {name: int(count) for name, count in summary.get("rows", {}).items()}
        notes = [f"rows are counted in {tree.data}"]
    known = LENGTHS.get(tree.suite.data.source, GUESSED)
    lengths, vocabulary = known, None
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
    own = prompt or lengths[0], response or lengths[1]
    if not counted:
        source = "a guess" if known is GUESSED else "as counted in the shipped suite"
        source = "as given" if prompt or response else source
        notes.append(f"a mean prompt of {own[0]:.0f} tokens, and answer of {own[1]:.0f}: {source}")
    return Rows(files, *own, vocabulary, tuple(notes))


def _declared(tree: Tree) -> tuple[dict[str, int], list[str]]:
    """Return the rows that the data's own settings promise."""
    spec, suite = tree.placed_data, tree.suite
    if isinstance(spec, InstructionsSpec):
        published = PUBLISHED[spec.protocol]
        left = PUBLISHED["arkd"]["dolly read"] - spec.dev_rows - spec.test_rows
        train = min(left, spec.train_rows or published.get("train", left))
        files = {name: count for name, count in published.items() if name.startswith("test_")}
        files |= {"train": train, "dev": spec.dev_rows, "test_dolly": spec.test_rows}
        return files, [f"at most {train:,} training rows; filters may leave fewer"]
    if isinstance(spec, FilesSpec):
        files = {role: _lines(path) for role, path in spec.inputs.items()}
        if spec.max_rows:
            files = {role: min(count, spec.max_rows) for role, count in files.items()}
        if "dev" not in files:
            files["dev"] = spec.dev_examples
            files["train"] -= spec.dev_examples
        return files, []
    bands = [f"mc_{band}" for band in BANDS]
    files = {"train": spec.train_examples, "dev": spec.dev_examples, "ppl": spec.ppl_items}
    files |= {f"test_{name}": spec.test_items for name in suite.test_sets}
    files |= dict.fromkeys(bands, spec.mc_items)
    files["teacher_train"] = getattr(spec, "teacher_examples", 0)
    files["open"] = len(BANDS) * getattr(spec, "open_items", 0)
    return files, ["rows are as many as the data's settings ask for"]


def _lines(path: Path) -> int:
    if not path.is_file():
        return 0
    with path.open("rb") as lines:
        return sum(bool(line.strip()) for line in lines)


def _counted(tokens: Path) -> tuple[int, tuple[float, float], int] | None:
    """Return training rows, mean lengths and vocabulary of tokens that have been made."""
    made, path = tokens / "manifest.json", tokens / "train.safetensors"
    if not (made.is_file() and path.is_file()):
        return None
    with path.open("rb") as stream:
        size = int.from_bytes(stream.read(8), "little")
        parts: Mapping[str, Any] = json.loads(stream.read(size))
        first, last = parts["prompt_lengths"]["data_offsets"]
        stream.seek(8 + size + first)
        prompts = array.array("q", stream.read(last - first))
    total, count = parts["ids"]["shape"][0], max(1, len(prompts))
    lengths = sum(prompts) / count, (total - sum(prompts)) / count
    return count, lengths, int(read_json(made)["notes"]["vocabulary"])


def requests(tree: Tree, own: Rows) -> tuple[float, int]:
    """Return the tokens of all likelihood requests of an evaluation, and those of the longest."""
    suite, longest = tree.suite, int(own.prompt + own.response)
    tokens, most = 0.0, 0
    if suite.choice_tasks:
        asked = sum(
            own.files.get(f"mc_{task.rsplit('_', 1)[-1]}", 0) for task in suite.choice_tasks
        )
        tokens += asked * getattr(suite.data, "mc_choices", 4) * longest
        most = longest
    if suite.perplexity_task:
        tokens += own.files.get("ppl", 0) * suite.max_tokens
        most = suite.max_tokens
    for task in suite.public_tasks:
        items, each = PUBLIC[task]
        tokens += min(items, suite.public_items or items) * each * PUBLIC_TOKENS
        most = max(most, LONGEST_PUBLIC)
    return tokens, most

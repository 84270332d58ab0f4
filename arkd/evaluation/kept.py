"""An evaluation that is killed goes on where it stood: what is measured stays, part by part.

A part is of one model: the answers of one decoding seed, the likelihood tasks, the fidelity on one
set of prefixes. It is kept as JSON, which gives every number back to the bit.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from arkd.evaluation.value import Value
from arkd.storage.files import read_json, remove_dir, write_json


@dataclass
class Measured:
    """What was measured of one model, whole or in part."""

    values: list[tuple[Value, int | None]] = field(default_factory=list)  # with the decoding seed
    texts: list[dict[str, Any]] = field(default_factory=list)
    # Task, decoding seed, ROUGE-L of each item.
    items: list[tuple[str, int, list[float]]] = field(default_factory=list)
    versions: dict[str, str] = field(default_factory=dict)  # of the public tasks

    def add(self, part: Measured) -> None:
        """Append what a part has measured."""
        self.values += part.values
        self.texts += part.texts
        self.items += part.items
        self.versions |= part.versions

    def to_json(self) -> dict[str, Any]:
        """Return it as plain values."""
        names = ("task", "metric", "group", "value", "n")
        values = [[*(getattr(value, name) for name in names), d] for value, d in self.values]
        return {**vars(self), "values": values}

    @classmethod
    def from_json(cls, found: dict[str, Any]) -> Measured:
        """Return what `to_json` made plain."""
        values = [(Value(*value), d) for *value, d in found["values"]]
        items = [(task, d, scores) for task, d, scores in found["items"]]
        return cls(values, found["texts"], items, found["versions"])


@dataclass(frozen=True)
class Kept:
    """The folder of the finished parts of an evaluation.

    Args:
        folder: Beside that of the evaluation, at whose end it is removed.
        made_for: Settings, inputs and code of the evaluation; parts of another are thrown away.
    """

    folder: Path
    made_for: dict[str, Any]

    def __post_init__(self) -> None:
        """Throw away what was measured for another evaluation."""
        mark = self.folder / "made_for.json"
        if self.folder.exists() and (not mark.is_file() or read_json(mark) != self.made_for):
            remove_dir(self.folder)
        if not mark.is_file():
            write_json(mark, self.made_for)

    def part(self, name: str, measure: Callable[[], Measured]) -> Measured:
        """Return a part, measured unless it is there."""
        path = self.folder / f"{name}.json"
        if path.is_file():
            return Measured.from_json(read_json(path))
        found = measure()
        write_json(path, found.to_json())
        return found

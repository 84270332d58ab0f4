"""Sets of instructions in the formats that their authors publish, one line at a time.

A line's format is told from its keys, so that a set may be given as its authors have it or as
MiniLLM repackaged it:

| keys | set |
|---|---|
| `instruction`, `context`, `response`, `category` | databricks-dolly-15k |
| `instruction`, `instances` with `input`, `output` | Self-Instruct, user-oriented |
| `instruction`, `instances` with `constraints` besides | Unnatural Instructions, core |
| `question_id`, `turns` | Vicuna's questions: prompts alone |
| `task_name`, `definition`, `inputs`, `targets` | Super-NaturalInstructions, one line an item |
| `Definition`, `Instances` | Super-NaturalInstructions, one file a task |
| `output` with `instruction` or `prompt` | MiniLLM's files; `output` may be a list |
"""

from __future__ import annotations

import io
import json
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from arkd.errors import ArkdError
from arkd.storage.files import parse_json

# What reading a text or an archive raises; the last two for a member that is locked or torn.
UNREADABLE = (UnicodeDecodeError, zipfile.BadZipFile, RuntimeError, zlib.error)
SNI_INSTANCES = 100  # its authors test on the first 100 of each task and put them there for it
Row = dict[str, Any]


@dataclass(frozen=True)
class Item:
    """One instruction.

    `given` is what it is applied to, `kind` its category or task, `prompt` the ready-made prompt
    of a line that has no instruction, and `key` what the line calls itself.
    """

    instruction: str
    given: str
    references: tuple[str, ...]
    kind: str
    prompt: str = ""
    key: str = ""


def read_items(path: Path, name: str) -> list[Item]:
    """Return the items of a file: `.jsonl`, `.json`, or a `.zip` with one such file.

    Args:
        path: The file.
        name: The set's name, the kind of items that have none.

    Raises:
        ArkdError: no such file, a line that is not JSON or in no known format.
    """
    return merged(item for place, row in read_rows(path) for item in _items(place, row, name, path))


def read_answers(path: Path) -> dict[str, tuple[str, ...]]:
    """Return the reference answers to Vicuna's questions by question.

    A line has `question_id`, and the answers in `references`, in `text`, or in FastChat's
    `choices`, of which the first turns count.

    Raises:
        ArkdError: no such file, a line that is not JSON or lacks these keys.
    """
    found: dict[str, tuple[str, ...]] = {}
    for place, row in read_rows(path):
        if "choices" in row:
            choices = _objects(place, "choices", row["choices"])
            answers: Any = [_texts(place, "turns", c.get("turns", ""))[0] for c in choices]
        else:
            answers = row.get("references", row.get("text"))
        if "question_id" not in row or answers is None:
            raise ArkdError(
                f"{place}: a reference answer has question_id and references, text or choices"
            )
        found[str(row["question_id"])] = _texts(place, "references", answers)
    return found


def answered(item: Item, references: tuple[str, ...]) -> Item:
    """Return the item with references."""
    return replace(item, references=references)


def merged(items: Iterable[Item]) -> list[Item]:
    """Join the lines of one question that carry one reference each, as some S-NI files do."""
    joined: dict[tuple[str, str, str, str], Item] = {}
    for place, item in enumerate(items):
        name = (item.key or f"line {place}", item.instruction, item.given, item.prompt)
        if name in joined:
            both = dict.fromkeys((*joined[name].references, *item.references))
            item = replace(item, references=tuple(both))
        joined[name] = item
    return list(joined.values())


def read_rows(path: Path) -> Iterator[tuple[str, Row]]:
    """Yield the objects of a file, each with the place to name in an error.

    Raises:
        ArkdError: no such file, or one that cannot be read or is not JSON.
    """
    try:
        text = _text(path)
    except FileNotFoundError:
        raise ArkdError(f"{path}: no such file; correct the path") from None
    except UNREADABLE as error:
        raise ArkdError(f"{path}: cannot be read ({error}); fetch it again") from None
    whole = path.suffix == ".json"
    for number, line in enumerate([text] if whole else io.StringIO(text), start=1):
        place = f"{path}" if whole else f"{path}: line {number}"
        if not line.strip():
            continue
        if whole and line.lstrip().startswith("["):
            yield from ((place, row) for row in _objects(place, "file", _json(line, place)))
        else:
            yield place, read_object(line, place)


def read_object(text: str, place: str) -> Row:
    """Return the object that a text is, a line of a file.

    Raises:
        ArkdError: it is none.
    """
    row = _json(text, place)
    if not isinstance(row, dict):
        raise ArkdError(f"{place}: an object with keys is wanted, not {row!r:.40}")
    return row


def _json(text: str, place: str) -> Any:
    try:
        return parse_json(text)
    except json.JSONDecodeError as error:
        what = f"{error.msg}, column {error.colno}"
        raise ArkdError(f"{place}: not valid JSON ({what}); correct it") from None
    except ValueError as error:
        raise ArkdError(f"{place}: {error}; correct it") from None


def _text(path: Path) -> str:
    if path.suffix != ".zip":
        return path.read_text(encoding="utf-8")
    with zipfile.ZipFile(path) as archive:
        members = [m for m in archive.namelist() if m.endswith(".jsonl") and "__MACOSX" not in m]
        if len(members) != 1:
            raise ArkdError(f"{path}: holds {len(members)} .jsonl files where one is wanted")
        return archive.read(members[0]).decode("utf-8")


def _items(place: str, row: Row, name: str, path: Path) -> Iterator[Item]:
    """Yield the items of one line, or of one S-NI task."""

    def text(key: str, part: Row = row) -> str:
        value = part.get(key)
        if value is None:
            return ""
        if not isinstance(value, str):
            raise ArkdError(f"{place}: {key}: text is wanted, not {value!r:.40}")
        return value.strip()

    def id_of(part: Row) -> str:
        return str(part.get("id", ""))

    keys = row.keys()
    if {"Definition", "Instances"} <= keys:
        definition = next(iter(_texts(place, "Definition", row["Definition"])), "")
        for instance in _objects(place, "Instances", row["Instances"])[:SNI_INSTANCES]:
            outputs = _texts(place, "output", instance.get("output", ""))
            given = text("input", instance)
            yield Item(definition, given, outputs, path.stem, key=id_of(instance))
    elif {"definition", "inputs", "targets"} <= keys:
        targets = _texts(place, "targets", row["targets"])
        kind = text("task_name") or name
        yield Item(text("definition"), text("inputs"), targets, kind, key=id_of(row))
    elif {"question_id", "turns"} <= keys:
        turns = _texts(place, "turns", row["turns"])
        kind = text("category") or name
        yield Item(turns[0] if turns else "", "", (), kind, key=str(row["question_id"]))
    elif {"instruction", "instances"} <= keys:
        for number, instance in enumerate(_objects(place, "instances", row["instances"])):
            outputs = _texts(place, "output", instance.get("output", ""))
            key = f"{row['id']}/{number}" if "id" in row else ""
            yield Item(text("instruction"), text("input", instance), outputs, name, key=key)
    elif {"instruction", "response"} <= keys:
        answer = _texts(place, "response", row["response"])
        kind = text("category") or name
        yield Item(text("instruction"), text("context"), answer, kind)
    elif "output" in keys and keys & {"instruction", "prompt"}:
        outputs = _texts(place, "output", row["output"])
        # A ready-made prompt stands as it is, white space and all, where there is no instruction.
        ready = row["prompt"] if text("prompt") and not text("instruction") else ""
        ready = ready.replace("<n>", "\n")
        yield Item(text("instruction"), text("input"), outputs, name, prompt=ready)
    else:
        raise ArkdError(
            f"{place}: keys {', '.join(sorted(keys)) or 'none'} are those of no known format; "
            "the task's README lists them"
        )


def _objects(place: str, key: str, value: Any) -> list[Row]:
    """Return the objects of a value that is a list of them."""
    if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
        raise ArkdError(f"{place}: {key}: a list of objects is wanted, not {value!r:.40}")
    return value


def _texts(place: str, key: str, value: Any) -> tuple[str, ...]:
    """Return the texts of a value that is one text or a list of them, empty ones left out."""
    values = value if isinstance(value, list) else [value]
    for text in values:
        if not isinstance(text, str):
            raise ArkdError(f"{place}: {key}: text is wanted, not {text!r:.40}")
    return tuple(dict.fromkeys(text.strip() for text in values if text.strip()))

"""Small files in the formats of Dolly and the four other sets of instructions, for stand-in runs.

`python tests/instruction_files.py FOLDER` writes them; `data_dir: FOLDER` reads them.
"""

from __future__ import annotations

import json
import random
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

ROWS = {"dolly": 120, "selfinst": 12, "vicuna": 8, "sni": 12, "unni": 12}
CATEGORIES = ("open_qa", "closed_qa", "brainstorming", "summarization", "general_qa")
SUBJECTS = (
    "river",
    "harbour",
    "orchard",
    "lantern",
    "glacier",
    "market",
    "violin",
    "bakery",
    "comet",
    "forest",
)
QUALITIES = (
    "old",
    "quiet",
    "bright",
    "narrow",
    "famous",
    "northern",
    "wooden",
    "distant",
    "gentle",
    "busy",
)
VERBS = (
    "holds",
    "follows",
    "feeds",
    "crosses",
    "shelters",
    "guides",
    "mirrors",
    "warms",
    "joins",
    "remembers",
)
PLACES = (
    "valley",
    "island",
    "town",
    "coast",
    "meadow",
    "square",
    "castle",
    "garden",
    "bridge",
    "mill",
)


def write(folder: Path, seed: int = 0) -> dict[str, list[dict[str, Any]]]:
    """Write one file a set, named as `data_dir` wants them, and return their rows."""
    rng = random.Random(seed)
    made = {
        "dolly": [_dolly(rng, number) for number in range(ROWS["dolly"])],
        "selfinst": [_selfinst(rng, number) for number in range(ROWS["selfinst"])],
        "vicuna": [_vicuna(rng, number) for number in range(ROWS["vicuna"])],
        "sni": [_sni(rng, number) for number in range(ROWS["sni"])],
        "unni": [_unni(rng, number) for number in range(ROWS["unni"])],
    }
    folder.mkdir(parents=True, exist_ok=True)
    for name, rows in made.items():
        write_lines(folder / f"{name}.jsonl", rows)
    return made


def write_lines(path: Path, rows: Iterable[dict[str, Any]]) -> Path:
    """Write one JSON object a line and return the path."""
    lines = [json.dumps(row, ensure_ascii=False) + "\n" for row in rows]
    path.write_text("".join(lines), encoding="utf-8")
    return path


def _phrase(rng: random.Random) -> str:
    return f"the {rng.choice(QUALITIES)} {rng.choice(SUBJECTS)}"


def _fact(rng: random.Random) -> str:
    """Return a sentence of ten or more words."""
    subject, other = _phrase(rng), _phrase(rng)
    text = f"{subject} {rng.choice(VERBS)} {other} near a {rng.choice(PLACES)}"
    return f"{text.capitalize()} in the {rng.choice(QUALITIES)} part."


def _dolly(rng: random.Random, number: int) -> dict[str, Any]:
    category = CATEGORIES[number % len(CATEGORIES)]
    fact = _fact(rng)
    closed = category in ("closed_qa", "summarization")
    return {
        "instruction": f"Tell me about {_phrase(rng)}, number {number}.",
        "context": f"{fact} {_fact(rng)}" if closed else "",
        "response": fact,
        "category": category,
    }


def _selfinst(rng: random.Random, number: int) -> dict[str, Any]:
    given = _fact(rng) if number % 2 else ""
    return {
        "id": f"user_oriented_task_{number}",
        "motivation_app": rng.choice(["Notebook", "Letters", "Maps"]),
        "instruction": f"Write a note on {_phrase(rng)}.",
        "instances": [{"input": given, "output": _fact(rng)}],
    }


def _vicuna(rng: random.Random, number: int) -> dict[str, Any]:
    return {
        "question_id": number + 1,
        "category": ("generic", "writing")[number % 2],
        "turns": [f"How would you describe {_phrase(rng)}?"],
    }


def _sni(rng: random.Random, number: int) -> dict[str, Any]:
    task = f"task{900 + number % 3}_stand_in"
    return {
        "task_name": task,
        "id": f"{task}-{number}",
        "definition": "Given a phrase, write one sentence that uses it.",
        "inputs": _phrase(rng),
        "targets": _fact(rng),
    }


def _unni(rng: random.Random, number: int) -> dict[str, Any]:
    instruction, given = f"Describe the scene, version {number}.", _phrase(rng)
    instance = {
        "instruction_with_input": f"{instruction}\n{given}",
        "input": given,
        "constraints": "None.",
        "output": _fact(rng),
    }
    return {"instruction": instruction, "instances": [instance]}


if __name__ == "__main__":
    write(Path(sys.argv[1]))

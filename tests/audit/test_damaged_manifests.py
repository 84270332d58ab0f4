"""Manifests with any key replaced or removed: what reads them says so in one line, or reads on."""

from __future__ import annotations

import copy
import json
import random
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import ROOT

from arkd.audit.compare_records import read
from arkd.audit.merge import merge
from arkd.audit.verify import verify
from arkd.errors import ArkdError
from arkd.storage import checksums
from arkd.storage.files import read_json

SMOKE = ROOT / "results" / "reference" / "1.0" / "smoke"
TRAINING = "fixture/arkd/seed1/training/manifest.json"
EVALUATION = "fixture/arkd/evaluation/manifest.json"
NAMES = (
    *("manifest.json", "data.manifest.json", "tables/manifest.json", "claims/manifest.json"),
    *("figures/manifest.json", "fixture/tokens/manifest.json", "fixture/cache/gold/manifest.json"),
    *("fixture/teacher/seed0/training/manifest.json", TRAINING, EVALUATION),
)
ABSENT = object()
ODD = (
    ABSENT,
    None,
    7,
    -0.5,
    "x",
    "/x",
    "**",
    "a@1",
    [],
    {},
    [{}],
    {"a": 1},
    {"a": ["b"]},
    "\ud800",
)
SHA = "0" * 64


@pytest.fixture
def two(tmp_path: Path) -> tuple[Path, Path]:
    """Two copies of the reference, the first of them to be spoilt."""
    folders = (tmp_path / "a" / "smoke", tmp_path / "b" / "smoke")
    for folder in folders:
        shutil.copytree(SMOKE, folder, ignore=shutil.ignore_patterns(checksums.NAME))
    return folders


def put(made: Any, keys: tuple[str, ...], value: Any) -> Any:
    """Return a manifest with one of its parts replaced or removed."""
    changed = copy.deepcopy(made)
    parent = changed
    for key in keys[:-1]:
        parent = parent[key]
    if value is ABSENT:
        parent.pop(keys[-1])
    else:
        parent[keys[-1]] = value
    return changed


def places(made: dict[str, Any], depth: int = 2) -> Iterator[tuple[str, ...]]:
    for key, value in made.items():
        yield (key,)
        if depth and isinstance(value, dict):
            yield from ((key, *rest) for rest in places(value, depth - 1))


def answers(two: tuple[Path, Path], out: Path) -> list[str]:
    """Return what each reader says of the first folder: its problems, or a refusal."""
    said = [f"{path}: {what}" for path, what in verify(two[0], again=False).problems.items()]
    for ask in (lambda: merge(out, two), lambda: read(two[0])):
        try:
            ask()
        except ArkdError as error:
            said.append(str(error))
    shutil.rmtree(out, ignore_errors=True)
    return said


LACKING = [
    ("manifest.json", ("inputs", "arkd"), SHA, "an input 'arkd'"),
    (EVALUATION, ("inputs", "seedx"), SHA, "an input 'seedx'"),
    (EVALUATION, ("inputs", "seed"), SHA, "an input 'seed'"),
    (TRAINING, ("pair",), "/x", "pair: "),
    (TRAINING, ("seed",), "**", "seed: "),
    ("manifest.json", ("host",), ABSENT, "host is not as stages write it"),
    ("manifest.json", ("versions",), ABSENT, "versions"),
    (TRAINING, ("wall_s",), ABSENT, "wall_s is not as stages write it"),
    (TRAINING, ("wall_s",), "long", "wall_s: "),
    (TRAINING, ("notes", "train_s"), ["x"], "notes.train_s: "),
    ("manifest.json", ("host", "system"), "\ud800", "half a character"),
]


@pytest.mark.parametrize(("name", "keys", "value", "says"), LACKING)
def test_what_a_manifest_lacks_is_said_with_its_file_and_key(
    two: tuple[Path, Path], tmp_path: Path, name: str, keys: tuple[str, ...], value: Any, says: str
) -> None:
    made = read_json(two[0] / name)
    (two[0] / name).write_text(json.dumps(put(made, keys, value)))
    lines = answers(two, tmp_path / "out")
    assert any(str(two[0] / name) in line and says in line for line in lines)


@pytest.mark.parametrize("value", [ABSENT, None])
def test_a_replayed_training_of_no_pair_and_a_top_of_no_commit_are_read(
    two: tuple[Path, Path], tmp_path: Path, value: Any
) -> None:
    top = two[0] / "manifest.json"
    top.write_text(json.dumps(put(read_json(top), ("git",), value)))
    assert answers(two, tmp_path / "out") == []
    made = put(read_json(two[0] / TRAINING), ("pair",), ABSENT)
    (two[0] / TRAINING).write_text(json.dumps(put(made, ("inputs", "replayed"), SHA)))
    assert answers(two, tmp_path / "out") == []


@pytest.mark.parametrize("cases", [20, pytest.param(1_000, marks=pytest.mark.heavy)])
def test_any_other_manifest_is_read_or_refused_in_a_line(
    two: tuple[Path, Path], tmp_path: Path, cases: int
) -> None:
    draw = random.Random(1)
    refused = 0
    for case in range(cases):
        file = two[0] / NAMES[case % len(NAMES)]
        whole = file.read_text()
        made = json.loads(whole)
        changed = put(made, draw.choice(list(places(made))), draw.choice(ODD))
        file.write_text(json.dumps(changed))
        lines = answers(two, tmp_path / "out")
        for line in lines:
            assert len(line.splitlines()) == 1
            line.encode()
        refused += bool(lines)
        file.write_text(whole)
    assert refused > cases / 4
    assert answers(two, tmp_path / "out") == []

"""Whatever is read: it is read, or refused in one line that can be printed. Never a traceback.

Half of the cases are sound files with something changed in them, which reach further than noise.
"""

from __future__ import annotations

import copy
import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from conftest import ROOT
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from arkd.audit import compare_records
from arkd.claims.registered import load_claims
from arkd.data.files.source import build as build_files
from arkd.data.files.spec import FilesSpec
from arkd.data.instructions import formats
from arkd.errors import LONGEST, ArkdError
from arkd.results.records import read_records
from arkd.storage.files import read_json, read_jsonl
from arkd.suite import trees
from arkd.suite.load import load_suite, suite_path

SMOKE = yaml.safe_load(suite_path("smoke").read_text(encoding="utf-8")) | {"name": "mine"}
RECORDS = (ROOT / "results" / "reference" / "1.0" / "smoke" / "records.csv").read_bytes()
SOUND = b"\n".join(RECORDS.split(b"\n")[:40]) + b"\n"
REGISTERED = yaml.safe_load((ROOT / "benchmarks" / "claims.yaml").read_text(encoding="utf-8"))
REGISTERED["claims"] = REGISTERED["claims"][:2]  # all of them take half a second to read
ROW = {"prompt": "Q?", "response": " A.", "references": [" A."], "band": "head", "kind": "k"}
ITEM = {"instruction": "I", "context": "C", "response": "R", "category": "c"}
TASK = {"Definition": ["D"], "Instances": [{"input": "i", "output": ["o"]}]}

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
ODD = st.sampled_from(
    [
        "",
        " ",
        "..",
        "/",
        "nan",
        "1_000",
        "１",
        "1e999",
        "-0",
        "\x00",
        "\x85",
        "\u2028",
        "a\nb",
        "{x}",
    ]
)
SCALAR = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), TEXT, ODD, st.just(10**400), st.just(-1)
)
VALUE = st.recursive(
    SCALAR,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT | ODD, inner, max_size=3),
    max_leaves=6,
)


@st.composite
def changed(draw: Any, sound: Any) -> Any:
    """A sound value with one to three of its parts replaced, removed, doubled or added."""
    value = copy.deepcopy(sound)
    for _ in range(draw(st.integers(1, 3))):
        parent = value
        while True:
            keys = list(parent) if isinstance(parent, dict) else list(range(len(parent)))
            key = draw(st.sampled_from(keys)) if keys else None
            inner = None if key is None else parent[key]
            if not (isinstance(inner, dict | list) and inner and draw(st.booleans())):
                break
            parent = inner
        how = draw(st.sampled_from(["replace", "remove", "add"]))
        if key is None or how == "add":
            if isinstance(parent, dict):
                parent[draw(TEXT | ODD)] = draw(VALUE)
            else:
                parent.append(draw(VALUE) if draw(st.booleans()) else copy.deepcopy(inner))
        elif how == "replace":
            parent[key] = draw(VALUE)
        else:
            del parent[key]
    return value


@st.composite
def spoilt(draw: Any, sound: bytes) -> bytes:
    """Sound bytes of which a piece is replaced by others."""
    start = draw(st.integers(0, len(sound)))
    end = draw(st.integers(start, min(len(sound), start + 40)))
    piece = draw(st.binary(max_size=20) | (TEXT | ODD).map(lambda text: text.encode()))
    return sound[:start] + piece + sound[end:]


def as_yaml(value: Any) -> bytes:
    return yaml.safe_dump(value, allow_unicode=True).encode()


def as_json(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False).encode()


def lines(sound: Any) -> st.SearchStrategy[bytes]:
    """Lines of JSON: sound ones, changed ones, spoilt ones."""
    whole = as_json(sound)
    one = st.one_of(st.just(whole), changed(sound).map(as_json), VALUE.map(as_json), spoilt(whole))
    return st.lists(one, max_size=4).map(b"\n".join)


def zipped(members: dict[str, bytes]) -> bytes:
    """Return an archive as its authors would make it."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(zipfile.ZipInfo(name), content, zipfile.ZIP_DEFLATED)
    return file.getvalue()


@st.composite
def archives(draw: Any) -> bytes:
    """An archive with the one member that is wanted, or with others."""
    names = st.lists(st.sampled_from(MEMBERS), max_size=3, unique=True)
    chosen = draw(st.just(MEMBERS[:1]) | names)
    return zipped({name: draw(ITEMS) for name in chosen})


def build(path: Path) -> None:
    """Build the data of a user's own file."""
    spec = {"train": str(path), "tests": {"own": str(path)}, "dev_examples": 1}
    build_files(FilesSpec.model_validate({"source": "files", **spec}), path.parent / "out")


SUITES = st.one_of(changed(SMOKE).map(as_yaml), spoilt(as_yaml(SMOKE)), VALUE.map(as_yaml))
TABLES = st.one_of(spoilt(SOUND), spoilt(RECORDS.split(b"\n")[0]), st.binary(max_size=200))
ITEMS = st.one_of(lines(ROW), lines(ITEM), lines(TASK), st.binary(max_size=60))
MEMBERS = ["core_data.jsonl", "more/rows.jsonl", "__MACOSX/._core_data.jsonl", "README.md", ""]
ARCHIVES = st.one_of(archives(), ITEMS)
CLAIMS = st.one_of(
    *(st.just(as_yaml(REGISTERED)), changed(REGISTERED).map(as_yaml)),
    *(spoilt(as_yaml(REGISTERED)), VALUE.map(as_yaml), st.binary(max_size=60)),
)
READERS: dict[str, tuple[str, st.SearchStrategy[bytes], Callable[[Path], object]]] = {
    "suite": ("mine.yaml", SUITES, lambda path: trees.trees(str(path), str(path.parent))),
    "claims": ("claims.yaml", CLAIMS, load_claims),
    "records": ("records.csv", TABLES, lambda path: read_records(path, load_suite("smoke"))),
    "compared records": ("records.csv", TABLES, compare_records.read),
    "own data": ("rows.jsonl", ITEMS, build),
    "instructions": ("rows.jsonl", ITEMS, lambda path: formats.read_items(path, "dolly")),
    "a task's file": ("task.json", ITEMS, lambda path: formats.read_items(path, "sni")),
    "a zip": ("rows.zip", ARCHIVES, lambda path: formats.read_items(path, "unni")),
    "an object": ("manifest.json", ITEMS, read_json),
    "rows": ("rows.jsonl", ITEMS, read_jsonl),
}


@pytest.mark.parametrize("cases", [200, pytest.param(10_000, marks=pytest.mark.heavy)])
@pytest.mark.parametrize("reader", READERS)
def test_a_reader_reads_or_refuses_in_one_line(reader: str, cases: int, tmp_path: Path) -> None:
    name, contents, read = READERS[reader]
    path = tmp_path / name
    counts = {"read": 0, "refused": 0}

    @settings(
        max_examples=cases,
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(contents)
    def check(content: bytes) -> None:
        path.write_bytes(content)
        try:
            read(path)
        except ArkdError as error:
            counts["refused"] += 1
            message = str(error)
            assert len(message.splitlines()) == 1
            assert len(message) < LONGEST + 10
            message.encode()
        else:
            counts["read"] += 1

    check()
    print(f"{reader}: {counts['read']:,} read, {counts['refused']:,} refused")
    assert counts["read"]
    assert counts["refused"]

"""YAML and JSON that lie about their size or say things twice: refused in one line, at once."""

from __future__ import annotations

import json
import re
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import ROOT

from arkd.claims.registered import load_claims
from arkd.cli import main as cli
from arkd.data.instructions.formats import read_object
from arkd.errors import LONGEST, ArkdError
from arkd.storage import manifest, stage_writer
from arkd.storage.files import parse_json, read_json, read_jsonl
from arkd.storage.yaml_text import parse_yaml
from arkd.suite.load import load_suite
from arkd.teacher.shards import Index, index_path

BOMB = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{one}: &{one} [{', '.join(['*' + other] * 9)}]\n"
    for other, one in zip("abcdefgh", "bcdefghi", strict=True)
)
YAML: dict[str, tuple[bytes, str]] = {
    "a key twice": (b"name: a\nname: b\n", "line 2: key 'name' stands twice"),
    "a key twice, inside": (b"name: a\ntail: {top_k: 1, top_k: 2}\n", "key 'top_k' stands twice"),
    "keys that are equal": (b"1: a\ntrue: b\n", "key 'True' stands twice"),
    "two merges": (b"a: &a {x: 1}\nb: {<<: *a, <<: *a}\n", "key '<<' stands twice"),
    "an alias bomb": (BOMB.encode(), "its aliases multiply"),
    "a list in itself": (b"a: &a [*a]\n", "its aliases multiply"),
    "no such alias": (b"a: *b\n", "undefined alias"),
    "a list as a key": (b"? [a]\n: b\n", "unhashable key"),
    "a tag of Python's": (b"a: !!python/object/apply:os.system [true]\n", "could not determine a"),
    "two documents": (b"a: 1\n---\nb: 2\n", "but found another document"),
    "nested deep": (b"[" * 100_000, "nested too deep"),
    "a number of 5,000 digits": (b"a: " + b"1" * 5_000, "not valid YAML"),
    "a date that is none": (b"a: 2020-13-45\n", "not valid YAML"),
    "a control character": (b"a: \x07\n", "special characters are not allowed"),
    "NUL": (b"a: \0\n", "special characters are not allowed"),
    "Latin-1": ("a: é\n".encode("latin-1"), "not UTF-8 text"),
    "UTF-16": ("a: é\n".encode("utf-16"), "not UTF-8 text"),
    "a tab": (b"a:\n\tb: 1\n", "line 2: found character"),
}
READERS: dict[str, Callable[[Path], object]] = {
    "suite": lambda path: load_suite(str(path)),
    "claims": load_claims,
}


@pytest.mark.parametrize("read", READERS.values(), ids=READERS.keys())
@pytest.mark.parametrize(("content", "said"), YAML.values(), ids=YAML.keys())
def test_yaml_is_refused_in_one_line(
    content: bytes, said: str, read: Callable[[Path], object], tmp_path: Path
) -> None:
    path = tmp_path / "mine.yaml"
    path.write_bytes(content)
    with pytest.raises(ArkdError) as caught:
        read(path)
    message = str(caught.value)
    assert message.startswith(f"{path}: ")
    assert said in message
    assert "\n" not in message
    assert len(message) < 400
    assert path.read_bytes() == content


@pytest.mark.parametrize("text", ["", "[]", "text", "1", "null", "{1: 2}", "? {a: b}", "- name: x"])
def test_yaml_that_is_no_suite_is_refused(text: str, tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    for read in READERS.values():
        with pytest.raises(ArkdError) as caught:
            read(path)
        assert str(caught.value).startswith(f"{path}: ")


def test_a_mistake_does_not_show_the_whole_mapping(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    secret = {f"key{n}": f"value{n}" for n in range(50)}
    for value, told in (
        ({"seeds": secret}, "found a mapping of 50"),
        ({"description": [1] * 99}, "found a list of 99"),
        ({"k" * 900: 1}, "k: unknown key"),
        ({"version": "n" * 10_000}, r"nnn\.\.\."),
    ):
        path.write_text("extends: smoke\nname: mine\n" + json.dumps(value)[1:-1] + "\n")
        with pytest.raises(ArkdError, match=told) as caught:
            load_suite(str(path))
        assert "value7" not in str(caught.value)
        assert len(str(caught.value)) < 500
    path.write_text(f"extends: smoke\nname: mine\nseeds: [0x{'f' * 9_999}, x]\n")
    with pytest.raises(ArkdError) as caught:
        load_suite(str(path))
    assert len(str(caught.value)) < 500


def test_shared_parts_are_read_as_ever() -> None:
    text = "a: &a {x: 1, y: [2]}\nb: {<<: *a, x: 3}\nc: *a\n"
    shared = {"x": 1, "y": [2]}
    assert parse_yaml(text, "here") == {"a": shared, "b": {"x": 3, "y": [2]}, "c": shared}


JSON: dict[str, tuple[bytes, str]] = {
    "nested deep": (b'{"a": ' + b"[" * 100_000, "nested too deep"),
    "closed again": (b'{"a": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", "nested too deep"),
    "5,000 digits": (b'{"a": ' + b"1" * 5_000 + b"}", "limit (4300 digits)"),
    "a key twice": (b'{"a": 1, "a": 2}', "'a' stands twice"),
    "Latin-1": ('{"a": "é"}'.encode("latin-1"), "can't decode byte"),
    "a list": (b"[1]", "not a JSON object"),
    "a number": (b"1", "not a JSON object"),
    "nothing": (b"", "not valid JSON"),
    "a cut object": (b'{"a": ', "not valid JSON"),
    "NUL": (b"\0" * 9, "not valid JSON"),
}


OBJECTS: dict[str, Callable[[Path], object]] = {
    "an object": read_json,
    "a manifest": lambda path: manifest.read(path.parent),
    "a stage's digest": lambda path: manifest.digest(path.parent),
}


@pytest.mark.parametrize("read", OBJECTS.values(), ids=OBJECTS.keys())
@pytest.mark.parametrize(("content", "said"), JSON.values(), ids=JSON.keys())
def test_json_is_refused_in_one_line(
    content: bytes, said: str, read: Callable[[Path], object], tmp_path: Path
) -> None:
    path = tmp_path / manifest.NAME
    path.write_bytes(content)
    with pytest.raises(ArkdError) as caught:
        read(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("content", "said"), JSON.values(), ids=JSON.keys())
def test_lines_and_indexes_too(content: bytes, said: str, tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_bytes(content)
    if content:  # a file of no lines is one
        with pytest.raises(ArkdError, match=r"rows\.jsonl: line 1: .*" + re.escape(said)):
            read_jsonl(path)
    index = index_path(tmp_path, "train")
    index.write_bytes(content)
    with pytest.raises(ArkdError, match=re.escape(said)) as caught:
        Index.load(tmp_path, "train")
    assert str(caught.value).startswith(f"{index}: ")
    if "decode" not in said:
        with pytest.raises(ArkdError, match="place: "):
            read_object(content.decode(), "place")


@pytest.mark.parametrize("change", [{"shards": 1}, {"shards": [1]}, {"made_of": []}, {"key": 1}])
def test_an_index_of_another_form_is_refused(change: dict[str, object], tmp_path: Path) -> None:
    Index({"dtype": "float32"}).save(tmp_path, "train")
    path = index_path(tmp_path, "train")
    path.write_text(json.dumps(read_json(path) | change))
    with pytest.raises(ArkdError, match=r"train_index\.json: .*; delete the folder"):
        Index.load(tmp_path, "train")


FORMS = {
    "no mapping of outputs": {"outputs": []},
    "outputs of numbers": {"outputs": {"a": 1}},
    "inputs of lists": {"inputs": {"a": []}},
    "no notes": {"notes": None},
    "no stage": {"stage": 7},
    "a time of text": {"wall_s": "long"},
}


@pytest.mark.parametrize("change", FORMS.values(), ids=FORMS.keys())
def test_a_manifest_of_another_form_is_refused_by_collect(
    change: dict[str, object], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "smoke" / "data"
    with stage_writer.stage(
        "data", folder, inputs={}, config={}, suite="smoke", suite_version="1.0"
    ):
        pass
    made = read_json(folder / manifest.NAME)
    (folder / manifest.NAME).write_text(json.dumps(made | change))
    with pytest.raises(ArkdError, match=rf"manifest\.json: .*{next(iter(change))} is not as"):
        manifest.read(folder)
    assert cli.main(["collect", "--suite", "smoke", "--results", str(tmp_path), "--partial"]) == 2
    assert capsys.readouterr().err.count("\n") == 1
    assert not (tmp_path / "smoke" / "records.csv").exists()


@pytest.mark.parametrize("name", ["a\nb", "a\r\n b", "\x1b[31mred", "a\0b", "\ud800", "a\u2028b"])
def test_a_message_is_one_line_that_can_be_printed(name: str) -> None:
    told = str(ArkdError(f"{name}: no such file"))
    assert len(told.splitlines()) == 1
    assert not {c for c in told if ord(c) < 32 or 0xD800 <= ord(c) < 0xE000}
    assert len(str(ArkdError("x" * 10**6))) < LONGEST + 10


# A pinned wheel's texts must stay texts, which only another loader leaves them.
OWN_LOADERS = {"storage/files.py", "storage/yaml_text.py", "data/smollm2/chatterbot.py"}


def test_no_other_module_has_a_loader_of_its_own() -> None:
    for path in (ROOT / "arkd").rglob("*.py"):
        text, name = path.read_text(encoding="utf-8"), path.relative_to(ROOT / "arkd").as_posix()
        for loader in ("json.load(", "json.loads(", "yaml.safe_load(", "yaml.load("):
            copies = text.count(f"{loader}json.dumps(")  # of what the package itself holds
            if name not in OWN_LOADERS:
                assert text.count(loader) == copies, f"{name}: read it by arkd.storage"


def test_the_limits_hold_on_this_python() -> None:
    assert sys.get_int_max_str_digits() == 4300
    with pytest.raises(ValueError, match="nested too deep"):
        parse_json("[" * 100_000)


def test_of_many_keys_the_one_that_stands_twice_is_found_at_once() -> None:
    keys = [f'"k{n}": 0' for n in range(40_000)]
    started = time.process_time()
    with pytest.raises(ValueError, match="'k39999' stands twice"):
        parse_json("{" + ", ".join([*keys, keys[-1]]) + "}")
    assert time.process_time() - started < 2

"""Records that somebody spoilt: one line that names the file, and nothing is written."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import ROOT

from arkd.cli import main as cli
from arkd.errors import ArkdError
from arkd.results.records import read_records
from arkd.storage.records import number, read_rows, whole
from arkd.suite.load import load_suite

SMOKE = ROOT / "results" / "reference" / "1.0" / "smoke"
HEAD, *ROWS = read_rows(SMOKE / "records.csv")
LINE = next(n for n, row in enumerate(ROWS) if row[HEAD.index("metric")] == "rouge_l")


def cell(column: str, value: str) -> Callable[[bytes], bytes]:
    """Change one cell of one record."""

    def change(_: bytes) -> bytes:
        rows = [list(row) for row in (HEAD, *ROWS)]
        rows[LINE + 1][HEAD.index(column)] = value
        return "".join(",".join(row) + "\n" for row in rows).encode()

    return change


CASES: dict[str, tuple[Callable[[bytes], bytes], str]] = {
    "n = -1": (cell("n", "-1"), "n '-1' is not a whole number"),
    "n = 1.5": (cell("n", "1.5"), "n '1.5' is not a whole number"),
    "a direction of 7": (cell("higher_is_better", "7"), "'7' is not 0, 1 or nothing"),
    "another suite": (cell("suite", "longtail"), "results of suite longtail, read as"),
    "another version": (cell("suite_version", "9.9"), "version 9.9 of suite smoke"),
    "a seed of text": (cell("seed", "one"), "seed 'one' is not a whole number"),
    "a seed below 0": (cell("seed", "-1"), "seed '-1' is not a whole number"),
    "a long seed": (cell("seed", "1" * 5000), "is not a whole number"),
    "a decoding seed of text": (cell("decode_seed", "x"), "decode_seed 'x' is not a whole"),
    "1_000": (cell("value", "1_000"), "value '1_000' is not a finite number"),
    "full-width digits": (cell("value", "１２"), "value '１２' is not a finite number"),
    "Arabic digits": (cell("seed", "١"), "seed '١' is not a whole number"),
    "NaN": (cell("value", "nan"), "value 'nan' is not a finite number"),
    "an infinite number": (cell("value", "1e999"), "value '1e999' is not a finite number"),
    "no value": (cell("value", ""), "empty or doubled value"),
    "a line break in a name": (cell("seed", '"a\nb"'), "seed 'a b' is not a whole number"),
    "an empty file": (lambda _: b"", "empty"),
    "blank lines": (lambda _: b"\n\n\n", "empty"),
    "a binary file": (lambda _: bytes(range(256)), "not UTF-8 text"),
    "UTF-16": (lambda text: text.decode().encode("utf-16"), "not UTF-8 text"),
    "NUL": (lambda text: text + b"\0" * 40, "holds NUL"),
    "a short line": (lambda text: text + b"smoke,1.0\n", "has 2 cells under 12 columns"),
    "a long line": (lambda text: text + b"," * 30 + b"\n", "has 31 cells under 12 columns"),
    "cut in the middle": (lambda text: text[: len(text) // 2], "cells under 12 columns"),
    "a huge cell": (lambda text: text + b"x" * (2**24 + 1) + b"\n", "not CSV"),
    "an open quote": (lambda text: text + b'"' + b"x,\n" * 9, "not CSV"),
    "no heading": (lambda text: text.partition(b"\n")[2], "is missing"),
    "a column twice": (lambda text: text.replace(b"task", b"pair", 1), "stands twice"),
    "a column lost": (lambda text: text.replace(b"group", b"gruop", 1), "is missing"),
}


@pytest.mark.parametrize(("change", "said"), CASES.values(), ids=CASES.keys())
def test_spoilt_records_are_refused_in_one_line(
    change: Callable[[bytes], bytes], said: str, tmp_path: Path
) -> None:
    path = tmp_path / "records.csv"
    path.write_bytes(change((SMOKE / "records.csv").read_bytes()))
    with pytest.raises(ArkdError) as caught:
        read_records(path, load_suite("smoke"))
    message = str(caught.value)
    assert message.startswith(f"{path}: ")
    assert said in message
    assert "\n" not in message
    assert len(message) < 400


COMMANDS = {
    "tables": ["tables", "--suite", "smoke", "--results", "{results}"],
    "figures": ["figures", "--suite", "smoke", "--results", "{results}"],
    "compare": ["compare", "{results}/smoke", str(SMOKE)],
}
# One number that Python reads and the records never have, and a file that is none.
SHOWN = ("1_000", "full-width digits", "Arabic digits", "a short line", "a binary file", "NUL")


@pytest.mark.parametrize("command", COMMANDS.values(), ids=COMMANDS.keys())
@pytest.mark.parametrize("case", SHOWN)
def test_a_command_over_them_ends_in_one_line_and_writes_nothing(
    case: str, command: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = tmp_path / "smoke"
    root.mkdir()
    for name in ("cost.csv", "items.csv", "trajectories.csv", "records.csv"):
        shutil.copyfile(SMOKE / name, root / name)
    change, _ = CASES[case]
    (root / "records.csv").write_bytes(change((SMOKE / "records.csv").read_bytes()))
    before = sorted(tmp_path.rglob("*"))
    assert cli.main([word.format(results=tmp_path) for word in command]) == 2
    told = capsys.readouterr().err
    assert told.startswith(f"arkd: error: {root / 'records.csv'}: ")
    assert told.count("\n") == 1
    assert [path for path in sorted(tmp_path.rglob("*")) if ".lock" not in path.name] == before


@pytest.mark.parametrize("text", ["1", "-1.5", "+2.", ".5", "1e-5", "0.1E+3", "-0"])
def test_what_is_a_number(text: str) -> None:
    assert number(text) == float(text)


@pytest.mark.parametrize(
    "text", ["", " 1", "1_0", "１", "0x1", "1e", "nan", "inf", "1e999", "--1", "1,5", "1\n"]
)
def test_what_is_none(text: str) -> None:
    with pytest.raises(ValueError, match="is no finite number"):
        number(text)
    if text != "１":
        return
    with pytest.raises(ValueError, match="is not a whole number"):
        whole(text)


def test_a_reader_may_change_what_it_was_given() -> None:
    records = read_records(SMOKE / "records.csv", load_suite("smoke"))
    wanted = ("fixture", "arkd", "longtail_id", "rouge_l")
    before = records.values(*wanted)
    assert before
    records.values(*wanted).clear()
    records.failed(*wanted[:2]).add(1)
    assert records.values(*wanted) == before
    assert not records.failed(*wanted[:2])

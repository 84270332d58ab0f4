"""A suite's folder is used if a run of it made it, or nobody did; nothing else is replaced."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from arkd.cli import main as cli
from arkd.errors import ArkdError
from arkd.exchange import submit
from arkd.leaderboard import page as leaderboard
from arkd.report import page as report
from arkd.storage.files import MARK, staged_dir
from arkd.storage.roots import claim
from arkd.suite.load import load_suite

OF_MINE, OF_OTHER = json.dumps({"suite": "mine"}), json.dumps({"suite": "other"})
Files = dict[str, str]
STRANGE: dict[str, Files] = {
    "a folder of text": {"thesis.tex": "x"},
    "its own records": {"records.csv": "a,b\n"},
    "a report": {"report/chapter.tex": "x", "report.html": "x"},
    "a manifest of an app": {"manifest.json": '{"name": "app"}', "index.html": "x"},
    "a manifest that is none": {"manifest.json": "{"},
    "another suite": {"data/manifest.json": OF_OTHER, MARK: "suite other\n"},
}
KNOWN: dict[str, Files] = {
    "nothing": {},
    "logs of a run that did nothing": {"logs/data.log": "x", ".data.lock": ""},
    "a mark": {MARK: "suite mine\n", "fixture/row/seed1/checkpoint/x": "x"},
    "a run of an earlier version": {"data/manifest.json": OF_MINE},
    "a merged run": {"manifest.json": OF_MINE, "records.csv": "a\n"},
    "further rows": {"fixture/row/seed1/training/manifest.json": OF_MINE},
}


def write(root: Path, files: Files) -> dict[Path, str]:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return {root / name: text for name, text in files.items()}


@pytest.mark.parametrize("files", STRANGE.values(), ids=STRANGE.keys())
def test_what_somebody_else_left_is_refused_and_stays(files: Files, tmp_path: Path) -> None:
    there = write(tmp_path / "mine", files)
    with pytest.raises(ArkdError, match="which no run of suite mine left there") as caught:
        claim(tmp_path / "mine", "mine")
    assert str(caught.value).startswith(f"{tmp_path / 'mine'}: holds ")
    assert "\n" not in str(caught.value)
    found = {path: path.read_text() for path in (tmp_path / "mine").rglob("*") if path.is_file()}
    assert found == there


@pytest.mark.parametrize("files", KNOWN.values(), ids=KNOWN.keys())
def test_a_suites_own_folder_is_marked(files: Files, tmp_path: Path) -> None:
    there = write(tmp_path / "mine", files)
    claim(tmp_path / "mine", "mine")
    claim(tmp_path / "mine", "mine")
    assert (tmp_path / "mine" / MARK).read_text() == "suite mine\n"
    assert all(path.read_text() == text for path, text in there.items())


def test_a_file_in_its_place_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("x")
    with pytest.raises(ArkdError, match="a file, where the suite has its folder"):
        claim(tmp_path / "mine", "mine")


@pytest.mark.parametrize("stage", ["collect", "report", "tables"])
def test_a_stage_by_hand_is_refused_too(
    stage: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    there = write(tmp_path / "smoke", {"report/thesis.tex": "x", "records.csv": "x"})
    assert cli.main([stage, "--suite", "smoke", "--results", str(tmp_path)]) == 2
    assert capsys.readouterr().err.count("\n") == 1
    assert all(path.read_text() == text for path, text in there.items())


PAGES: dict[str, tuple[Files, str]] = {
    "a page of another kind": ({"report.html": "<html>mine"}, "report.html: would be replaced"),
    "a folder for the page": ({"report.html/x": "x"}, "report.html: would be replaced"),
    "a folder of other parts": ({"report/thesis.tex": "x"}, "report: holds thesis.tex"),
    "a file for the parts": ({"report": "x"}, "report: is no folder"),
}


@pytest.mark.parametrize(("files", "said"), PAGES.values(), ids=PAGES.keys())
def test_a_report_replaces_reports_alone(files: Files, said: str, tmp_path: Path) -> None:
    there = write(tmp_path, files)
    with pytest.raises(ArkdError, match=said):
        report.write(load_suite("smoke"), tmp_path, tmp_path / "report.html")
    assert all(path.read_text() == text for path, text in there.items())


def test_a_leaderboard_replaces_leaderboards_alone(tmp_path: Path) -> None:
    there = write(tmp_path, {"index.html": "<html>mine"})
    with pytest.raises(ArkdError, match=r"index\.html: would be replaced"):
        leaderboard.write(tmp_path, tmp_path)
    assert all(path.read_text() == text for path, text in there.items())


def test_an_archive_that_is_no_submission_is_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "x.tar.gz").write_text("mine")
    with pytest.raises(ArkdError, match=r"x\.tar\.gz: there already, and no submission"):
        submit.refuse_other(tmp_path / "x.tar.gz")


def test_errors_name_where_a_file_would_be(tmp_path: Path) -> None:
    with pytest.raises(ArkdError) as caught, staged_dir(tmp_path / "data") as folder:
        raise ArkdError(f"{folder / 'test.jsonl'}: no row")
    assert str(caught.value) == f"{tmp_path / 'data' / 'test.jsonl'}: no row"

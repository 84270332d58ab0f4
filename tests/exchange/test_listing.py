"""What lies among submissions is checked, or it is not on the leaderboard either."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from conftest import ROOT
from run_folders import filled_form, rows_for, write_run
from simulate import suite_of

from arkd.cli import main as cli
from arkd.exchange import submit
from arkd.exchange.held import kept
from arkd.leaderboard import runs
from arkd.storage import checksums

PAIR = "llama-0.5M-0.1M"


@pytest.fixture(scope="module")
def packed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of results with the submissions `good` and `other`; treat it as read-only."""
    folder = tmp_path_factory.mktemp("packed")
    suite = suite_of(("forward_kl", "reverse_kl"), name="mine")
    run = write_run(suite, folder / "runs", rows_for(suite))
    for name in ("good", "other"):
        (folder / "form.yaml").write_text(yaml.safe_dump(filled_form(name=name)))
        submit.pack(run, folder / "form.yaml", folder / "results" / "submissions" / name)
    return folder / "results"


@pytest.fixture
def results(packed: Path, tmp_path: Path) -> Path:
    return shutil.copytree(packed, tmp_path / "results")


def shown(results: Path) -> tuple[set[str], dict[str, str]]:
    entries, broken = runs.find(results)
    return {entry.id for entry in entries}, broken


def test_all_submissions_are_checked_at_once(
    results: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = results / "submissions"
    assert cli.main(["submit", "--check", str(folder)]) == 0
    assert f"{folder}: ready to be submitted" in capsys.readouterr().out
    assert shown(results) == ({"submissions/good/mine", "submissions/other/mine"}, {})
    (folder / "other" / "mine" / "SHA256SUMS").unlink()
    assert cli.main(["submit", "--check", str(folder)]) == 1


def test_the_checks_of_a_pull_request_are_of_all_submissions() -> None:
    command = "arkd submit --check results/submissions"
    assert command in (ROOT / ".ci" / "run").read_text(encoding="utf-8").splitlines()[-1]
    assert f"`{command}`" in (ROOT / "docs" / "submit.md").read_text(encoding="utf-8")


def test_what_is_packed_is_what_the_packed_folder_may_hold(results: Path) -> None:
    folder = results / "submissions" / "good" / "mine"
    names = {p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()}
    assert names == {*kept(folder), "submission.yaml", "SHA256SUMS", ".arkd"}


def written(name: str) -> Callable[[Path], None]:
    def write(run: Path) -> None:
        (run / name).parent.mkdir(parents=True, exist_ok=True)
        (run / name).write_text("<script>alert(1)</script>")

    return write


def linked(name: str) -> Callable[[Path], None]:
    """Return what moves a file or a folder out of a run, and leaves a link to it."""

    def link(run: Path) -> None:
        target = run.parents[3] / "outside"
        if (run / name).exists():
            (run / name).replace(target)
        else:
            target.write_text("secret")
        (run / name).symlink_to(target, target_is_directory=target.is_dir())

    return link


STRANGE: dict[str, Callable[[Path], None]] = {
    "report.html": written("report.html"),
    "notes.md": written("notes.md"),
    "figures/effects.svg": written("figures/effects.svg"),
    "tables/manifest.json": written("tables/manifest.json"),
    "logs/a.html": written("logs/a.html"),
    ".hidden/manifest.json": written(".hidden/manifest.json"),
    f"{PAIR}/forward_kl/evaluation/records.csv": written(
        f"{PAIR}/forward_kl/evaluation/records.csv"
    ),
    "leak.md": linked("leak.md"),
    "records.csv": linked("records.csv"),
    "submission.yaml": linked("submission.yaml"),
    PAIR: linked(PAIR),
    "pipe": lambda run: os.mkfifo(run / "pipe"),
    "a" * 200 + "/" + "b" * 200 + "/" + "c" * 200 + "/manifest.json": written(
        "a" * 200 + "/" + "b" * 200 + "/" + "c" * 200 + "/manifest.json"
    ),
}


@pytest.mark.parametrize("name", STRANGE, ids=[name[:40] for name in STRANGE])
def test_a_link_or_a_file_of_no_submission_is_refused_and_not_shown(
    name: str, results: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = results / "submissions" / "good" / "mine"
    STRANGE[name](run)
    checksums.write(run)
    for folder in (run, run.parent, run.parent.parent):
        assert cli.main(["submit", "--check", str(folder)]) == 1
        told = [line for line in capsys.readouterr().out.splitlines() if "missing:" in line]
        assert len(told) == 1
        assert told[0].startswith(f"missing: {run}: '{name[:150]}")
    ids, broken = shown(results)
    assert ids == {"submissions/other/mine"}
    assert broken.keys() == {"submissions/good/mine"}


def hidden(folder: Path) -> None:
    shutil.copytree(folder / "good", folder / ".hidden")


def second(folder: Path) -> None:
    (folder / "good" / "second").symlink_to(folder / "other" / "mine", target_is_directory=True)


def whole(folder: Path) -> None:
    (folder / "third").symlink_to(folder / "good", target_is_directory=True)


def formless(folder: Path) -> None:
    shutil.copytree(folder / "good", folder / "third")
    (folder / "third" / "mine" / "submission.yaml").unlink()


def renamed(folder: Path) -> None:
    shutil.copytree(folder / "good", folder / "third")


def block(folder: Path) -> None:
    shutil.copytree(folder / "good" / "mine", folder / "good" / "mine@7")
    (folder / "good" / "mine@7" / "submission.yaml").unlink()


def broken_line(folder: Path) -> None:
    (folder / "a\n::error::b").mkdir()


AMONG: dict[str, Callable[[Path], object]] = {
    ".hidden": hidden,
    "good/second": second,
    "third": whole,
    "third/mine": formless,
    "good/mine@7": block,
    "a\\n::error::b": broken_line,
    "README.md": lambda folder: (folder / "README.md").write_text("x"),
    "good/README.md": lambda folder: (folder / "good" / "README.md").write_text("x"),
    "empty": lambda folder: (folder / "empty").mkdir(),
}


@pytest.mark.parametrize("name", AMONG)
def test_what_is_no_submission_among_them_is_refused_and_not_shown(
    name: str, results: Path
) -> None:
    folder = results / "submissions"
    AMONG[name](folder)
    missing = submit.check(folder).missing
    assert [text.partition(": ")[0] for text in missing] == [f"{folder}/{name}"]
    ids, broken = shown(results)
    assert ids == {"submissions/good/mine", "submissions/other/mine"}
    assert broken.keys() == {f"submissions/{name}"}


def test_a_form_has_the_name_of_its_folder(results: Path) -> None:
    folder = results / "submissions"
    renamed(folder)
    said = "its form's name is good, its folder's third; rename one"
    assert submit.check(folder).missing == [f"{folder}/third/mine: {said}"]
    assert shown(results)[1] == {"submissions/third/mine": said}
    notes = submit.check(folder / "third").notes  # its place may be elsewhere yet
    assert "results/submissions/good is its place, by its form" in notes


def test_a_merger_that_leads_back_to_itself_is_not_followed(results: Path) -> None:
    run = results / "submissions" / "good" / "mine"
    made = json.loads((run / "manifest.json").read_text())
    made |= {"stage": "merge", "inputs": {"sources/1": "0", "sources/2": "0"}}
    (run / "manifest.json").write_text(json.dumps(made))
    (run / "sources").mkdir()
    for name in ("1", "2"):
        (run / "sources" / name).symlink_to("..", target_is_directory=True)
    checksums.write(run)
    (text,) = submit.check(run.parent).missing
    assert text.startswith(f"{run}: 'sources/1' and 1 more: a link")

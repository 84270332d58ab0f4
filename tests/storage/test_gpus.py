"""One GPU for each process, on machines whose `nvidia-smi` is a script of the test."""

from __future__ import annotations

import os
import select
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import PATIENCE_S, ROOT

from arkd.storage import gpus
from arkd.suite.folders import Tree
from arkd.suite.load import load_suite
from arkd.suite.workflow import Suites

# Takes a GPU, says what CUDA will see, and stays until it is told to end.
HOLDER = "from arkd.storage import gpus; import os; gpus.POLL_S = 0.05; gpus.take()\n"
HOLDER += "print(os.environ.get('CUDA_VISIBLE_DEVICES'), flush=True); input()"


def uuid(number: int) -> str:
    return f"GPU-{number:08x}-1111-2222-3333-444444444444"


def lists(bin_dir: Path, text: str) -> None:
    """Let `nvidia-smi -L` print a text."""
    script = bin_dir / "nvidia-smi"
    script.write_text(f"#!/bin/sh\n[ \"$1\" = -L ] && cat <<'END'\n{text}END\n")
    script.chmod(0o755)


@pytest.fixture
def eight(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine of eight GPUs, whose locks lie in a folder of the test."""
    return machine(tmp_path, monkeypatch, 8)


@pytest.fixture
def three(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine of three."""
    return machine(tmp_path, monkeypatch, 3)


def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int) -> Path:
    """Let this be a machine of so many GPUs."""
    lines = [f"GPU {i}: NVIDIA A100-SXM4-40GB (UUID: {uuid(i)})\n" for i in range(number)]
    lists(tmp_path, "".join(lines))
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    for name in (gpus.VISIBLE, *gpus.SCHEDULERS):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


class Holders:
    """Processes that each hold a GPU."""

    def __init__(self) -> None:
        self.started: list[subprocess.Popen[str]] = []

    def start(self, code: str = HOLDER, **environment: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-c", code],
            env={**os.environ, **environment},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.started.append(process)
        return process


def line(stream: object) -> str:
    """Return the next line that a process says."""
    return stream.readline().strip()  # type: ignore[attr-defined]


@pytest.fixture
def holders() -> Iterator[Holders]:
    made = Holders()
    yield made
    for process in made.started:
        process.kill()
        process.communicate()


def test_eight_processes_take_eight_gpus_and_a_ninth_gets_that_of_a_killed_one(
    eight: Path, holders: Holders
) -> None:
    first = [holders.start() for _ in range(8)]
    held = {line(process.stdout): process for process in first}
    assert set(held) == {uuid(i) for i in range(8)}
    ninth = holders.start()
    assert line(ninth.stderr) == (
        "arkd: waiting for a free GPU: other processes have all 8; with CUDA_VISIBLE_DEVICES=0 a "
        "job shares that one"
    )
    assert ninth.poll() is None
    held[uuid(5)].kill()
    assert line(ninth.stdout) == uuid(5)


PAIR_HOLDER = HOLDER.replace("gpus.take()", "gpus.take(2)")


def test_two_jobs_of_two_gpus_on_a_machine_of_three_never_share_one_and_never_block(
    three: Path, holders: Holders
) -> None:
    """Both ask at once, so each may hold the one that the other lacks; a killed one leaves both."""
    for kill in (True, False, True):
        started = [holders.start(PAIR_HOLDER) for _ in range(2)]
        first, second = first_of(started)
        held = set(line(first.stdout).split(","))
        assert len(held) == 2
        assert line(second.stderr).startswith("arkd: waiting for 2 free GPUs")
        third = holders.start()  # what is left over is nobody's while the second waits
        assert line(third.stdout) not in held
        third.kill()
        assert second.poll() is None
        if kill:
            first.kill()
        else:
            first.communicate("\n")
        assert len({*line(second.stdout).split(",")}) == 2
        second.communicate("\n")


def test_a_machine_of_eight_serves_jobs_of_several_gpus_as_they_come(
    eight: Path, holders: Holders
) -> None:
    started = [holders.start(PAIR_HOLDER) for _ in range(4)]
    held = [name for process in started for name in line(process.stdout).split(",")]
    assert sorted(held) == [uuid(i) for i in range(8)]
    waiting = holders.start(PAIR_HOLDER)
    assert line(waiting.stderr).startswith("arkd: waiting for 2 free GPUs")
    started[1].kill()
    assert line(waiting.stdout) == ",".join(held[2:4])


def first_of(started: list[subprocess.Popen[str]]) -> list[subprocess.Popen[str]]:
    """Return processes, the one first that has something to say."""
    streams = {process.stdout: process for process in started}
    ready, _, _ = select.select(list(streams), [], [], PATIENCE_S)
    return sorted(started, key=lambda process: process.stdout not in ready)


def test_of_those_that_the_user_lists_a_free_one_is_taken(eight: Path, holders: Holders) -> None:
    found = [line(holders.start(CUDA_VISIBLE_DEVICES="2, 5").stdout) for _ in range(2)]
    assert found == ["2", "5"]
    # The same two are held from who names them otherwise, or sees all.
    assert line(holders.start(CUDA_VISIBLE_DEVICES=f"GPU-00000002,{uuid(3)}").stdout) == uuid(3)
    assert line(holders.start().stdout) == uuid(0)


@pytest.mark.parametrize(
    ("environment", "left"),
    [
        ({"CUDA_VISIBLE_DEVICES": "3"}, "3"),
        ({"CUDA_VISIBLE_DEVICES": ""}, ""),
        ({"CUDA_VISIBLE_DEVICES": "-1"}, "-1"),
        ({"SLURM_JOB_GPUS": "4"}, "None"),
        ({"SLURM_STEP_GPUS": "4,5"}, "None"),
    ],
)
def test_where_the_user_or_the_batch_system_says_which_it_is_left_at_that(
    eight: Path, holders: Holders, environment: dict[str, str], left: str
) -> None:
    assert [line(holders.start(**environment).stdout) for _ in range(2)] == [left, left]
    assert not list(eight.glob("*.lock"))


def test_gpus_are_counted_as_cuda_sees_them(eight: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert gpus.visible() == [uuid(i) for i in range(8)]
    for listed, seen in (("1,0", ["1", "0"]), ("0,-1,2", ["0"]), ("", []), ("NoDevFiles,", None)):
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", listed)
        assert gpus.visible() == (["NoDevFiles"] if seen is None else seen)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
    parts = "  MIG 1g.5gb     Device  {}: (UUID: MIG-{}a-b)\n"
    cut = f"GPU 0: A100 (UUID: {uuid(0)})\nGPU 1: A100 (UUID: {uuid(1)})\n"
    lists(eight, cut + parts.format(0, 7) + parts.format(1, 8))
    assert gpus.visible() == [uuid(0), "MIG-7a-b", "MIG-8a-b"]


def test_without_nvidia_smi_the_drivers_files_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in (gpus.VISIBLE, *gpus.SCHEDULERS):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(gpus, "DRIVER", tmp_path / "gpus")
    assert gpus.visible() == []
    assert gpus.take() is None
    for bus, number in (("0000:01:00.0", 0), ("0000:41:00.0", 1)):
        folder = tmp_path / "gpus" / bus
        folder.mkdir(parents=True)
        text = f"Model: \t\t NVIDIA H100\nIRQ:   \t\t 60\nGPU UUID: \t {uuid(number)}\n"
        (folder / "information").write_text(text)
    assert gpus.visible() == [uuid(0), uuid(1)]


def test_a_link_in_the_place_of_a_lock_is_refused_in_one_line(eight: Path) -> None:
    (eight / f"arkd-gpu-{uuid(0)}.lock").symlink_to(eight / "nvidia-smi")
    code = "from arkd.errors import ArkdError\nfrom arkd.storage import gpus\n"
    code += "try: gpus.take()\nexcept ArkdError as error: print(error)"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.count("\n") == 1
    assert "the lock of a GPU cannot be opened" in ran.stdout


def test_a_stage_takes_its_gpu_before_cuda_starts(eight: Path) -> None:
    """Torch built for CUDA is played by its version; that asks for GPUs sees the choice."""
    code = """
import os, sys, torch
torch.version.cuda = "13.0"
seen = []
torch.cuda.is_available = lambda: seen.append(os.environ.get("CUDA_VISIBLE_DEVICES"))
from arkd.models.device import prepare
import arkd.training.trainee, arkd.evaluation.measure_model, arkd.teacher.build_cache
prepare(sys.argv[1])
print(*seen)
"""
    for device, seen in (("auto", uuid(0)), ("cpu", "")):
        command = [sys.executable, "-c", code, device]
        ran = subprocess.run(command, capture_output=True, text=True, check=False)
        assert (ran.returncode, ran.stdout.strip()) == (0, seen), ran.stderr


def test_a_suite_runs_as_many_jobs_as_the_machine_has_gpus(
    eight: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def jobs(suite: str) -> int:
        return Suites({suite: Tree(eight, load_suite(suite))}, (suite,), str(eight)).gpu_jobs()

    assert (jobs("gpt2-dolly"), jobs("smoke")) == (8, 1)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert jobs("gpt2-dolly") == 1


def test_counting_gpus_imports_no_torch() -> None:
    code = "import sys; from arkd.suite import workflow; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)

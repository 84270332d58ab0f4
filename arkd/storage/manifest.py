"""What made a stage's files: written beside them, as the stage's declared output."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import resource
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import psutil

from arkd import kernels
from arkd.errors import ArkdError
from arkd.storage import hub, seen
from arkd.storage.files import MARK, read_json, refuse_foreign, sha256_file, staged_dir, write_json
from arkd.storage.locks import sole_writer

NAME = "manifest.json"
PACKAGES = ("arkd", "torch", "transformers", "tokenizers", "lm-eval", "rouge-score", "numpy")
# The code whose change can change a number, by folder; tables, figures and the report only show
# numbers. A model does not depend on how it is measured: a new metric needs no new training.
TRAINING_CORE = (
    *("kernels.py", "method.py", "objectives.py", "rouge.py", "seeding.py"),
    *("storage/records.py", "data/**/*.py", "suite/registry.py", "suite/settings.py"),
    *("suite/suite.py", "methods/_policy.py", "divergence/*.py", "models/*.py", "teacher/*.py"),
    *("training/*.py", "stages/stage.py", "stages/prepare.py", "stages/distill.py"),
)
CORE = (
    *TRAINING_CORE,
    *("tasks.py", "metrics/*.py", "evaluation/*.py", "stages/evaluate.py"),
)
TRAINING_STAGES = ("data", "tokens", "teacher", "init", "cache", "distill")


class Stopwatch:
    """Adds up the seconds of the blocks it is held over."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def __enter__(self) -> None:
        self._started = time.monotonic()

    def __exit__(self, *_: object) -> None:
        self.seconds += time.monotonic() - self._started


@dataclass
class Stage:
    """A running stage: the folder it writes to and what it notes for its manifest.

    `proper` is held over training, sampling, teacher passes and evaluation: what a stage is for,
    beside starting, loading, writing and hashing.
    """

    folder: Path
    made_of: dict[str, Any] = field(default_factory=dict)  # settings, inputs and code
    notes: dict[str, Any] = field(default_factory=dict)
    proper: Stopwatch = field(default_factory=Stopwatch)


@contextmanager
def stage(
    name: str,
    out_dir: Path,
    *,
    inputs: dict[str, Path],
    config: dict[str, Any],
    given: Mapping[str, str] | None = None,
    **axes: Any,
) -> Iterator[Stage]:
    """Run a stage: all its files and its manifest appear at `out_dir` at once, or none do.

    Args:
        name: The stage's name.
        out_dir: Where its folder will stand.
        inputs: Folders of earlier stages, or single files, by role.
        config: The slice of the suite that the stage depends on.
        given: Hashes of what the user gave, by role; inputs as well.
        **axes: What the stage was run for: suite, pair, method, seed.

    Raises:
        ArkdError: what stands at `out_dir` is not of this stage and suite, or an input is missing.
    """
    mark = f"stage {name} of suite {axes.get('suite')}"
    old = out_dir / NAME
    if old.is_file() and not (out_dir / MARK).exists():  # by a version that left no marks
        before = read_json(old)
        if (before.get("stage"), before.get("suite")) == (name, axes.get("suite")):
            (out_dir / MARK).write_text(mark + "\n", encoding="utf-8")
    refuse_foreign(out_dir, mark)  # before anything is computed
    startup_s = _since_last_stage_s()
    started = time.monotonic()
    # What the stage is made of is taken before it runs: an edit meanwhile is no part of it.
    digests = {role: digest(path) for role, path in sorted(inputs.items())}
    made_of = {
        "stage": name,
        **axes,
        "config": config,
        "inputs": digests | dict(given or {}),
        "core": core_hash(name),
        "versions": versions(),
        "kernels": kernels.facts(),
        "git": git_state(),
    }
    with sole_writer(out_dir), staged_dir(out_dir, mark) as folder:
        current = Stage(folder, made_of)
        yield current
        made = {
            "outputs": hash_tree(folder),
            "notes": current.notes,
            **({"unpinned": unpinned} if (unpinned := hub.take_unpinned()) else {}),
            "host": host(),
            "startup_s": round(startup_s, 3),
            "wall_s": round(time.monotonic() - started, 3),
            "proper_s": round(current.proper.seconds, 3),
            "peak_mib": peak_mib(),
        }
        write_json(folder / NAME, made_of | made)
    _ended.append(time.time())


_ended: list[float] = []  # when this process ended its stages, in seconds since the epoch


def _since_last_stage_s() -> float:
    """Return the seconds since this process ended its last stage, or since it was started."""
    return time.time() - (_ended[-1] if _ended else psutil.Process().create_time())


def read(folder: Path, keys: Iterable[str] = ()) -> dict[str, Any]:
    """Return the manifest of a stage's folder; `keys` are what is read of it, or else all.

    Raises:
        ArkdError: there is none, or it is not what a stage writes.
    """
    path = folder / NAME
    made = read_json(path)
    wanted = tuple(keys) or tuple(FORM)
    wrong = [key for key in wanted if not isinstance(made.get(key), FORM[key])]
    wrong += [
        key
        for key in ("inputs", "outputs")
        if key in wanted
        and key not in wrong
        and not all(isinstance(sha, str) for sha in made[key].values())
    ]
    if wrong:
        raise ArkdError(
            f"{path}: not a stage's manifest ({wrong[0]} is not as stages write it); delete "
            f"{folder} and run again"
        )
    return made


FORM: dict[str, type | tuple[type, ...]] = {  # what others read of a stage's manifest
    **dict.fromkeys(("stage", "suite", "suite_version", "core"), str),
    **dict.fromkeys(("inputs", "outputs", "notes", "versions", "host", "config"), dict),
    **dict.fromkeys(("wall_s", "peak_mib"), (int, float)),
}


def weights(training: Path) -> str:
    """Return the hashes of a training's model, as its manifest tells; empty where there is none."""
    made = training / NAME
    outputs = read(training, ["outputs"])["outputs"] if made.is_file() else {}
    files = sorted(outputs.items())
    return " ".join(f"{name} {sha}" for name, sha in files if name.endswith(".safetensors"))


def hash_tree(folder: Path) -> dict[str, str]:
    """Return the SHA-256 of each file below a folder, its manifest left out."""
    passed = (NAME, MARK, seen.NAME)
    files = sorted(p for p in folder.rglob("*") if p.is_file() and p.name not in passed)
    return {path.relative_to(folder).as_posix(): sha256_file(path) for path in files}


def digest_of(outputs: dict[str, str]) -> str:
    """Return one hash of the hashes of a stage's files."""
    return hashlib.sha256(json.dumps(outputs, sort_keys=True).encode()).hexdigest()


def check_outputs(folder: Path, outputs: Mapping[str, str]) -> None:
    """Make sure that a stage's files are still the ones it wrote.

    A large file is hashed once, and again when its size or time has changed.

    Args:
        folder: The stage's folder.
        outputs: Hashes by name, as its manifest has them.

    Raises:
        ArkdError: one is not there or not as it was written.
    """
    for name, sha in outputs.items():
        file = folder / name
        if not file.is_file():
            raise ArkdError(f"{file}: lost since its stage wrote it; delete {folder} and run again")
        if seen.sha256(file, folder, name) != sha:
            raise ArkdError(
                f"{file}: not as its stage wrote it ({NAME} has another hash); delete {folder} and "
                "run again"
            )


def check_collected(root: Path) -> None:
    """Make sure that a suite's records are those that `arkd collect` wrote.

    Raises:
        ArkdError: they were edited since.
    """
    made = root / NAME
    outputs = read_json(made).get("outputs", {}) if made.is_file() else {}
    if not isinstance(outputs, dict):
        raise ArkdError(f"{made}: not as `arkd collect` wrote it; run `arkd collect` again")
    for name, sha in outputs.items():
        file = root / name
        if file.is_file() and sha256_file(file) != sha:
            raise ArkdError(
                f"{file}: not as `arkd collect` wrote it; restore it, or run `arkd collect` again"
            )


def digest(path: Path) -> str:
    """Return one hash of a stage's outputs (times and hosts left out), or of a folder or file.

    Raises:
        ArkdError: there is nothing there, or a stage's files are not those it wrote.
    """
    if path.is_dir():
        made = path / NAME
        if not made.is_file():
            return digest_of(hash_tree(path))
        outputs = read(path, ["outputs"])["outputs"]
        check_outputs(path, outputs)
        return digest_of(outputs)
    if not path.exists():
        raise ArkdError(f"{path}: no such file; run the stage that writes it first")
    return sha256_file(path)


@cache
def core_hash(stage: str = "evaluate") -> str:
    """Return a hash of the code on which the numbers of a stage depend: of a training, or all."""
    root = Path(__file__).parent.parent
    total = hashlib.sha256()
    core = TRAINING_CORE if stage in TRAINING_STAGES else CORE
    for path in sorted({path for pattern in core for path in root.glob(pattern)}):
        total.update(path.relative_to(root).as_posix().encode() + path.read_bytes())
    return total.hexdigest()[:16]


@cache
def versions() -> dict[str, str]:
    """Return the versions of Python and of the packages that numbers depend on."""
    found = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "absent"
    return found


@cache
def git_state() -> dict[str, Any]:
    """Return the commit of the code and whether the work tree differs from it."""
    root = Path(__file__).parents[2]
    try:
        commit, status = (
            subprocess.run(
                ["git", *command], cwd=root, capture_output=True, text=True, check=True
            ).stdout.strip()
            for command in (("rev-parse", "HEAD"), ("status", "--porcelain", "-uno"))
        )
    except (OSError, subprocess.CalledProcessError):
        return {"commit": None, "dirty": None}
    return {"commit": commit, "dirty": bool(status)}


def host() -> dict[str, Any]:
    """Return what the machine is and how many threads this process may use."""
    torch = sys.modules.get("torch")
    threads = torch.get_num_threads() if torch else kernels.threads()
    return {
        "system": platform.system(),
        "machine": platform.machine(),
        "processor": _processor(),
        "cores": os.cpu_count(),
        "threads": threads,
    }


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    if info.is_file():
        for line in info.read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor()


def peak_mib() -> float:
    """Return the largest resident memory of this process so far, in MiB."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(peak / (2**20 if sys.platform == "darwin" else 2**10), 1)

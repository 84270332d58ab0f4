"""What a running stage writes: its files, and the manifest of what made them as declared output."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from arkd import kernels, processes
from arkd.storage import hub, manifest, provenance
from arkd.storage.files import MARK, read_json, refuse_foreign, staged_dir, write_json
from arkd.storage.locks import sole_writer


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
    old = out_dir / manifest.NAME
    if old.is_file() and not (out_dir / MARK).exists():  # by a version that left no marks
        before = read_json(old)
        if (before.get("stage"), before.get("suite")) == (name, axes.get("suite")):
            (out_dir / MARK).write_text(mark + "\n", encoding="utf-8")
    refuse_foreign(out_dir, mark)  # before anything is computed
    startup_s = _since_last_stage_s()
    started = time.monotonic()
    # What the stage is made of is taken before it runs: an edit meanwhile is no part of it.
    digests = {role: manifest.digest(path) for role, path in sorted(inputs.items())}
    made_of = {
        "stage": name,
        **axes,
        "config": config,
        "inputs": digests | dict(given or {}),
        "core": provenance.core_hash(name),
        "versions": provenance.versions(),
        "kernels": kernels.facts(),
        "git": provenance.git_state(),
    }
    if processes.number() > 0:  # the first process writes for all
        yield Stage(out_dir, made_of)
        return
    with sole_writer(out_dir), staged_dir(out_dir, mark) as folder:
        current = Stage(folder, made_of)
        yield current
        made = {
            "outputs": manifest.hash_tree(folder),
            "notes": current.notes,
            **({"unpinned": unpinned} if (unpinned := hub.take_unpinned()) else {}),
            "host": provenance.host(),
            "startup_s": round(startup_s, 3),
            "wall_s": round(time.monotonic() - started, 3),
            "proper_s": round(current.proper.seconds, 3),
            "peak_mib": provenance.peak_mib(),
        }
        write_json(folder / manifest.NAME, made_of | made)
    _ended.append(time.time())


_ended: list[float] = []  # when this process ended its stages, in seconds since the epoch


def _since_last_stage_s() -> float:
    """Return the seconds since this process ended its last stage, or since it was started."""
    return time.time() - (_ended[-1] if _ended else psutil.Process().create_time())

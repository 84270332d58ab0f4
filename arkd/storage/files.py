"""Files that are either whole or absent: written under a temporary name, then renamed."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from arkd.errors import ArkdError


@contextmanager
def staged_file(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path` that replaces it when the block succeeds.

    Raises:
        ArkdError: the disk is full.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with _full_disk_named(path):
            yield temporary
            temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def staged_dir(path: Path) -> Iterator[Path]:
    """Yield a temporary folder beside `path` that replaces it when the block succeeds.

    Raises:
        ArkdError: the disk is full.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    for killed in path.parent.glob(f".{path.name}.*.part"):  # what a killed process left behind
        shutil.rmtree(killed, ignore_errors=True)
    temporary = Path(tempfile.mkdtemp(".part", f".{path.name}.", path.parent))
    temporary.chmod(0o755)
    try:
        with _full_disk_named(path):
            yield temporary
            shutil.rmtree(path, ignore_errors=True)
            temporary.replace(path)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


@contextmanager
def _full_disk_named(path: Path) -> Iterator[None]:
    """Turn a full disk into one line that names the file; other errors pass."""
    try:
        yield
    except Exception as error:
        # safetensors reports a full disk as an error of its own, with the system's text inside.
        full = isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)
        if full or os.strerror(errno.ENOSPC) in str(error):
            raise ArkdError(
                f"{path}: the disk is full; nothing was left half-written: "
                "free some space and run the same command again"
            ) from error
        raise


def write_text(path: Path, text: str) -> None:
    """Write `text` to `path` as UTF-8 with Unix line ends."""
    with staged_file(path) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="\n")


def write_json(path: Path, value: Any) -> None:
    """Write `value` to `path` as indented JSON."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False) + "\n")


def read_json(path: Path) -> Any:
    """Return the value of a JSON file.

    Raises:
        ArkdError: the file is missing or is not JSON.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ArkdError(f"{path}: no such file; run the stage that writes it first") from None
    except json.JSONDecodeError as error:
        raise ArkdError(f"{path}: not valid JSON ({error}); delete it and run again") from None


def write_jsonl(path: Path, rows: Iterable[dict[str, Any]]) -> None:
    """Write one JSON object a line."""
    write_text(path, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))


def read_jsonl(path: Path) -> list[dict[str, Any]]:
    """Return the rows of a JSONL file.

    Raises:
        ArkdError: the file is missing or a line is not JSON.
    """
    if not path.is_file():
        raise ArkdError(f"{path}: no such file; run the stage that writes it first")
    rows = []
    with path.open(encoding="utf-8") as lines:
        for number, line in enumerate(lines, start=1):
            try:
                rows.append(json.loads(line))
            except json.JSONDecodeError as error:
                raise ArkdError(f"{path}: line {number} is not valid JSON ({error})") from None
    return rows


def sha256_file(path: Path) -> str:
    """Return the SHA-256 of a file's bytes in hexadecimal."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()

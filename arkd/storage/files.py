"""Files that are either whole or absent: written under a temporary name, then renamed."""

from __future__ import annotations

import glob
import hashlib
import json
import os
import platform
import re
import shutil
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from arkd.errors import ArkdError, no_room


@contextmanager
def staged_file(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path` that replaces it when the block succeeds.

    What killed processes of this machine left of the same file is removed.

    Raises:
        ArkdError: the disk is full.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}@{platform.node()}.part")
    _in_use.add(temporary)
    for killed in _left_by_the_dead(path, ""):
        killed.unlink(missing_ok=True)
    try:
        with _full_disk_named(path):
            yield temporary
            temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
        _in_use.discard(temporary)


MARK = ".arkd"  # the file by which a folder that may be replaced says what it is


@contextmanager
def staged_dir(path: Path, mark: str | None = None) -> Iterator[Path]:
    """Yield a temporary folder beside `path` that replaces it when the block succeeds.

    Args:
        path: Where the folder will stand.
        mark: What the folder is. One that stands there, or was set aside by a kill, is then
            replaced only if it is marked as the same; none is for folders whose place no user
            chooses.

    Raises:
        ArkdError: something else stands at `path`, or the disk is full.
    """
    if mark is not None:
        refuse_foreign(path, mark)
        refuse_foreign(_aside(path), mark)
    path.parent.mkdir(parents=True, exist_ok=True)
    recover(path)
    for killed in _left_by_the_dead(path, RANDOM):
        shutil.rmtree(killed, ignore_errors=True)
    temporary = _temporary(path)
    temporary.chmod(0o755)
    try:
        with _full_disk_named(path), _named(temporary, path):
            yield temporary
            if mark is not None:
                (temporary / MARK).write_text(mark + "\n", encoding="utf-8")
            # By renames, so that a kill at any moment leaves the old folder or the new one, whole.
            if path.exists():
                path.replace(_aside(path))
            temporary.replace(path)
            _discard(_aside(path), path)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
        _in_use.discard(temporary)


def recover(path: Path) -> None:
    """Put a folder back whose replacement was killed between its two renames."""
    aside = _aside(path)
    if aside.exists():
        if path.exists():
            _discard(aside, path)
        else:
            aside.replace(path)


def remove_dir(path: Path) -> None:
    """Remove a folder and all temporary ones of it; a kill leaves the whole of it or nothing."""
    for folder in (_aside(path), path):
        _discard(folder, path)
    for killed in _left_by_the_dead(path, RANDOM):
        shutil.rmtree(killed, ignore_errors=True)


def _discard(folder: Path, path: Path) -> None:
    """Remove `folder`, which is `path` or was, under a temporary name: half of it is never read."""
    if folder.exists():
        temporary = _temporary(path)
        folder.replace(temporary)
        shutil.rmtree(temporary, ignore_errors=True)
        _in_use.discard(temporary)


def _aside(path: Path) -> Path:
    return path.with_name(f".{path.name}.old")


_in_use: set[Path] = set()  # temporary files and folders of this process


def _temporary(path: Path) -> Path:
    """Make an empty folder beside `path` whose name says whose it is: process and machine."""
    prefix = f".{path.name}.{os.getpid()}@{platform.node()}."
    made = Path(tempfile.mkdtemp(".part", prefix, path.parent))
    _in_use.add(made)
    return made


RANDOM = r"\.[a-z0-9_]{8}"  # what `mkdtemp` puts into the name of a temporary folder


def _left_by_the_dead(path: Path, random: str) -> list[Path]:
    """Return what `path` was being written to by processes of this machine that live no more.

    Whether those of another machine live, nobody here knows.

    Args:
        path: Where the whole file or folder was to stand.
        random: Pattern of what temporary names of its kind have behind the machine's.
    """
    name = re.escape(path.name), re.escape(platform.node())
    temporary = re.compile(r"\.{}\.(\d{{1,9}})@{}".format(*name) + random + r"\.part")
    left = []
    for found in path.parent.glob(f".{glob.escape(path.name)}.*.part"):
        parsed = temporary.fullmatch(found.name)
        if not parsed:
            continue  # of another machine, or of what has a name that begins with this one's
        process = int(parsed[1])
        if found not in _in_use if process == os.getpid() else not _runs(process):
            left.append(found)
    return left


def _runs(process: int) -> bool:
    """Tell whether a process of this machine is alive."""
    import psutil  # readers of files, such as listings, need none

    return psutil.pid_exists(process)


def refuse_foreign(path: Path, mark: str) -> None:
    """Refuse to replace what this project did not make, or made as something else.

    Raises:
        ArkdError: a file, or a folder with files that is not marked as `mark`, stands at `path`.
    """
    if path.name in ("", ".."):
        raise ArkdError(f"{path}: {mark} has a folder of its own; give it a name")
    if path.is_dir() and not path.is_symlink():
        found = path / MARK
        marked = found.read_text(encoding="utf-8", errors="replace") if found.is_file() else ""
        if marked == mark + "\n" or not any(path.iterdir()):
            return
        what = f"it is marked as {marked.strip()!r}" if marked else f"it has no {MARK}"
    elif path.exists() or path.is_symlink():
        what = "it is no folder"
    else:
        return
    raise ArkdError(
        f"{path}: would be replaced by {mark}, and is not known to be that ({what}); move it "
        "away, or give other --results"
    )


def refuse_unlike(path: Path, sign: str) -> None:
    """Refuse to replace a file that does not hold what each of ours holds near its beginning.

    Args:
        path: Where the file will be.
        sign: A text that every file of the kind has in its first kilobytes.

    Raises:
        ArkdError: another file stands there, or a folder.
    """
    if not path.exists():
        return
    if path.is_file():
        with path.open("rb") as stream:
            if sign.encode() in stream.read(SIGN_BYTES):
                return
    raise ArkdError(f"{path}: would be replaced, and is not known to be ours; move it away")


SIGN_BYTES = 2**14


@contextmanager
def _named(temporary: Path, path: Path) -> Iterator[None]:
    """Let errors name a file by where it would be, since the temporary folder goes with them."""
    try:
        yield
    except ArkdError as error:
        if str(temporary) not in str(error):
            raise
        raise ArkdError(str(error).replace(str(temporary), str(path))) from error


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Let an error of the system while a file is read name the file; Python names opened ones."""
    try:
        yield
    except OSError as error:
        if error.filename is None and error.errno is not None:
            error.filename = str(path)
        raise


@contextmanager
def _full_disk_named(path: Path) -> Iterator[None]:
    """Turn a full disk into one line that names the file; other errors pass."""
    try:
        yield
    except Exception as error:
        if full := no_room(error):
            raise ArkdError(
                f"{path}: {full}; nothing was left half-written: make room and run the same "
                "command again"
            ) from error
        raise


def write_text(path: Path, text: str) -> None:
    """Write `text` to `path` as UTF-8 with Unix line ends."""
    with staged_file(path) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="\n")


def write_json(path: Path, value: Any) -> None:
    """Write `value` to `path` as indented JSON."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False) + "\n")


def read_json(path: Path) -> dict[str, Any]:
    """Return the object of a JSON file.

    Raises:
        ArkdError: the file is missing or is no JSON object.
    """
    if not path.is_file():  # a pipe or a device might never end
        raise ArkdError(f"{path}: no such file; run the stage that writes it first")
    try:
        with reading(path):
            return json_object(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ArkdError(f"{path}: {error}; delete it and run again") from None


def json_object(text: str) -> dict[str, Any]:
    """Return the JSON object that a text is.

    Raises:
        ValueError: it is none, or `parse_json` refuses it.
    """
    try:
        value = parse_json(text)
    except json.JSONDecodeError as error:
        raise ValueError(f"not valid JSON ({error})") from None
    if not isinstance(value, dict):
        raise ValueError("not a JSON object, in braces")
    return value


def parse_json(text: str) -> Any:
    """Return the value of a JSON text.

    Raises:
        ValueError: it is no JSON (`JSONDecodeError`), says a key twice, is nested too deep, or
            holds a number of thousands of digits or half a character, which no file can say.
    """
    try:
        value = json.loads(text, object_pairs_hook=_each_once)
        if "\\ud" in text.lower():  # whole ones are written as two such halves
            json.dumps(value, ensure_ascii=False).encode()
    except RecursionError:
        raise ValueError("JSON nested too deep") from None
    except UnicodeEncodeError:
        raise ValueError("not UTF-8: half a character, such as \\ud800") from None
    return value


def _each_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        counts = Counter(key for key, _ in pairs)
        twice = next(key for key, count in counts.items() if count > 1)
        raise ValueError(f"the key {twice!r} stands twice in one JSON object")
    return found


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
    with reading(path), path.open("rb") as lines:
        for number, line in enumerate(lines, start=1):
            try:
                rows.append(json_object(line.decode("utf-8")))
            except ValueError as error:
                raise ArkdError(f"{path}: line {number}: {error}") from None
    return rows


def sha256_file(path: Path) -> str:
    """Return the SHA-256 of a file's bytes in hexadecimal."""
    with reading(path), path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()

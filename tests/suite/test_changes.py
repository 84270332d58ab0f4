"""What a user's own data are told by: their hashes, and the template of their tasks."""

from __future__ import annotations

import os
from pathlib import Path

import own_files
import pytest
import yaml

from arkd.stages.prepare import data
from arkd.storage import manifest
from arkd.suite.changes import change, settle
from arkd.suite.folders import Tree, tree
from arkd.suite.jobs import data_inputs

LATER = 4e9  # seconds since the epoch: the year 2096


@pytest.fixture
def made(tmp_path: Path) -> Tree:
    """A suite over files, its data written."""
    rows = [{"prompt": f"Q{n}?", "response": f" A{n}."} for n in range(4)]
    own_files.write_lines(tmp_path / "train.jsonl", rows)
    own_files.write_lines(tmp_path / "test.jsonl", rows[:2])
    settings = {
        "extends": "smoke",
        "name": "mine",
        "data": {
            "source": "files",
            "train": "train.jsonl",
            "dev_examples": 1,
            "tests": {"own": "test.jsonl"},
        },
        "test_sets": ["own"],
        "choice_tasks": [],
        "perplexity_task": None,
        "open_tasks": [],
    }
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(settings))
    found = tree(str(tmp_path / "mine.yaml"), tmp_path / "results")
    data(found)
    return found


def test_files_that_are_newer_and_the_same_have_not_changed(made: Tree) -> None:
    read = [Path(path) for path in data_inputs(made)]
    assert {path.name for path in read} == {"train.jsonl", "test.jsonl", "_generate.yaml"}
    os.utime(made.results.parent / "test.jsonl", (LATER, LATER))
    assert settle(made) == set()
    assert (made.data / "manifest.json").stat().st_mtime == LATER


def test_another_file_of_an_older_date_has_changed(made: Tree) -> None:
    file = made.results.parent / "test.jsonl"
    file.write_text(file.read_text().replace("A1", "B1"))
    os.utime(file, (0, 0))
    assert settle(made) == {str(made.data / "manifest.json")}
    assert change(made, manifest.read(made.data)) == "given data.tests.own has"


def test_tasks_of_another_template_have_changed(made: Tree) -> None:
    task = made.data / "tasks" / "own.yaml"
    task.write_text(task.read_text().replace("until", "till", 1))
    said = change(made, manifest.read(made.data))
    assert said.endswith("tasks/_generate.yaml has")

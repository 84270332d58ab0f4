"""Data sources are found by their place: a new one is one new file."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from conftest import ROOT

import arkd.data
from arkd.cli import main as cli
from arkd.data import source as sources
from arkd.errors import ArkdError
from arkd.stages import prepare
from arkd.storage.files import read_json, read_jsonl
from arkd.suite.jobs import config_slice, data_inputs
from arkd.suite.load import load_suite
from arkd.suite.trees import trees

SHIPPED = ["files", "instructions", "longtail", "smollm2"]
SUMS = '''
"""Sums of two numbers below a bound."""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from arkd.data.source import DataSource, DataSpec, PlannedRows, Row, write_task
from arkd.storage.files import write_jsonl


class SumsSpec(DataSpec):
    source: Literal["sums"] = "sums"
    bound: int = 5
    tests: tuple[str, ...] = ("sums",)


def build(spec: SumsSpec, folder: Path) -> Row:
    rows = [
        {"id": n, "prompt": f"{n} + {n} =", "response": f" {n + n}", "references": [f" {n + n}"],
         "band": "none", "kind": "sum"}
        for n in range(spec.bound)
    ]
    stems = ["train", "dev", *(f"test_{name}" for name in spec.tests)]
    for stem in stems:
        write_jsonl(folder / f"{stem}.jsonl", rows)
    for name in spec.tests:
        write_task(folder, name)
    return {"rows": dict.fromkeys(stems, len(rows))}


def planned_rows(spec: SumsSpec, test_sets: Sequence[str]) -> PlannedRows:
    stems = ["train", "dev", *(f"test_{name}" for name in test_sets)]
    return PlannedRows(dict.fromkeys(stems, spec.bound))


SOURCE = DataSource(SumsSpec, build, planned_rows, tests="tests")
'''


@pytest.fixture
def own_sources(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder in which sources are found as in the package's own."""
    folder = tmp_path / "data"
    monkeypatch.setattr(arkd.data, "__path__", [*arkd.data.__path__, str(folder)])
    yield folder
    for name in set(sys.modules):
        if name.startswith("arkd.data.") and name.split(".")[2] not in PACKAGED:
            del sys.modules[name]
            vars(arkd.data).pop(name.split(".")[2], None)


PACKAGED = {path.stem for path in (ROOT / "arkd" / "data").iterdir()}


def add(folder: Path, name: str, text: str) -> None:
    path = folder / name / "source.py"
    path.parent.mkdir(parents=True)
    path.write_text(text)


def sums_suite(folder: Path, **data: object) -> str:
    """Write a suite over sums: smoke with other data, and the test sets that these bring along."""
    suite = yaml.safe_load((ROOT / "benchmarks" / "suites" / "smoke.yaml").read_text())
    for key in ("test_sets", "open_tasks", "choice_tasks", "perplexity_task"):
        suite.pop(key, None)
    path = folder / "sums.yaml"
    path.write_text(yaml.safe_dump(suite | {"name": "sums", "data": {"source": "sums", **data}}))
    return str(path)


@pytest.mark.parametrize("name", SHIPPED)
def test_a_shipped_source_is_found_by_the_name_of_its_folder(name: str) -> None:
    spec = sources.find(name).spec
    assert spec.model_fields["source"].default == name


def test_the_sources_are_the_folders_with_a_source(own_sources: Path) -> None:
    assert sources.names() == SHIPPED
    add(own_sources, "sums", SUMS)
    assert sources.names() == [*SHIPPED, "sums"]


def test_one_file_makes_a_source(own_sources: Path, tmp_path: Path) -> None:
    add(own_sources, "sums", SUMS)
    path = sums_suite(tmp_path, bound=4)
    (made,) = trees(path, str(tmp_path / "results")).values()
    assert made.suite.test_sets == ("sums",)
    assert config_slice(made.suite, "data")["data"] == {
        "source": "sums",
        "bound": 4,
        "tests": ["sums"],
    }
    assert [Path(file).name for file in data_inputs(made)] == ["_generate.yaml"]
    prepare.data(made)
    assert [row["response"] for row in read_jsonl(made.data / "train.jsonl")] == [
        " 0",
        " 2",
        " 4",
        " 6",
    ]
    task = (made.data / "tasks" / "sums.yaml").read_text()
    assert "task: sums\ndataset_kwargs:\n  file: test_sums.jsonl\n" in task
    summary = read_json(made.data / "manifest.json")["notes"]["summary"]
    assert summary == {"rows": {"train": 4, "dev": 4, "test_sums": 4}}


def test_a_new_source_is_planned(
    own_sources: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    add(own_sources, "sums", SUMS)
    path = sums_suite(tmp_path)
    assert cli.main(["plan", path, "--results", str(tmp_path / "results")]) == 0
    assert "a mean prompt of" in " ".join(capsys.readouterr().out.split())


def test_an_unknown_source_is_one_line_with_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(ArkdError) as caught:
        load_suite(sums_suite(tmp_path, source="longtial"))
    assert str(caught.value).endswith(
        "sums.yaml: data.source: no such data source (did you mean 'longtail'?); "
        "there are files, instructions, longtail, smollm2 (found 'longtial')"
    )


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"bond": 3}, r"data\.bond: unknown key \(did you mean 'bound'\?\)"),
        # A key of another source is no suggestion.
        ({"dev_row": 3}, r"data\.dev_row: unknown key$"),
        ({"bound": "many"}, r"data\.bound: .*integer.*'many'"),
    ],
)
def test_a_wrong_setting_is_named_with_the_nearest_of_its_source(
    own_sources: Path, tmp_path: Path, data: dict[str, object], message: str
) -> None:
    add(own_sources, "sums", SUMS)
    with pytest.raises(ArkdError, match=message):
        load_suite(sums_suite(tmp_path, **data))


def test_data_without_a_source_lack_it(tmp_path: Path) -> None:
    path = tmp_path / "none.yaml"
    suite = yaml.safe_load((ROOT / "benchmarks" / "suites" / "smoke.yaml").read_text())
    path.write_text(yaml.safe_dump(suite | {"name": "none", "data": {"entities": 40}}))
    with pytest.raises(ArkdError, match=r"data\.source: this key is required"):
        load_suite(str(path))


def test_a_file_without_a_source_is_named(own_sources: Path) -> None:
    add(own_sources, "empty", "")
    with pytest.raises(ArkdError, match=r"empty.source\.py: must define SOURCE"):
        sources.find("empty")


def test_a_suite_loads_its_own_source_alone() -> None:
    code = (
        "import sys; from arkd.suite.load import load_suite; load_suite('smollm2')\n"
        "print(*(name for name in sys.modules if name.startswith('arkd.data.')))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    loaded = {name.split(".")[2] for name in done.stdout.split()}
    assert loaded & set(SHIPPED) == {"smollm2"}

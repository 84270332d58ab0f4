"""The contract of a data source, and how one is found: by its place, as a method is.

A suite says `data: {source: NAME, ...}`, and `arkd/data/NAME/source.py` defines `SOURCE`, a
`DataSource`: its settings, what writes its files and what is known of them beforehand. Nothing else
lists the sources, so a new one is a new folder.

A source writes JSON lines, one file a purpose. Every source has `train.jsonl`, `dev.jsonl` and a
`test_SET.jsonl` for each test set; the rest are wanted only by the suites that use them:

| file | read by |
|---|---|
| `teacher_train.jsonl` | the teacher's tokenizer and training, in place of `train.jsonl` |
| `mc_BAND.jsonl`, `ppl.jsonl`, `open.jsonl` | the suite's choice, perplexity and open tasks |
| `truth.jsonl` | the comparison with known answer distributions |
| `corpus.jsonl` | the language-modelling loss on plain text |
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, Generic, TypeVar

from pydantic import field_validator

import arkd.data
from arkd.errors import ArkdError, nearest
from arkd.paths import benchmarks_dir
from arkd.storage.files import write_text
from arkd.validated import Frozen

Row = dict[str, Any]
Place = Callable[[str], Path]  # where a path that a suite names leads
TASK_TEMPLATE = "_generate.yaml"  # of all generation tasks


class DataSpec(Frozen):
    """The settings of a data source, as a suite's `data:` gives them; unknown keys are refused.

    Those of one source are a subclass, whose field `source` is the literal name of its folder.
    """

    source: str

    @field_validator("source")
    @classmethod
    def _exists(cls, name: str) -> str:
        if name not in (known := names()):
            raise ValueError(
                f"no such data source{nearest(name, known)}; there are {', '.join(known)}"
            )
        return name


Spec = TypeVar("Spec", bound=DataSpec)


@dataclass(frozen=True)
class PlannedRows:
    """How many rows the files will have, as far as the settings tell before they are made."""

    files: dict[str, int]  # by the file's stem
    notes: tuple[str, ...] = ()  # what is assumed
    choices: int = 4  # of a multiple-choice item


def _unchanged(spec: Spec, place: Place) -> Spec:
    return spec


def _undeclared(spec: DataSpec) -> Mapping[str, str]:
    return {"the data": "not declared"}


def _no_files(spec: DataSpec) -> Mapping[str, Path]:
    return {}


@dataclass(frozen=True)
class DataSource(Generic[Spec]):
    """What the stages, the plan and the checks ask of a data source.

    Attributes:
        spec: Its settings.
        build: Writes the files into a folder and returns a summary for the manifest, which has
            the rows of each file under `rows`.
        planned_rows: Tells `arkd plan` the rows of each file from the settings and the names of
            the suite's test sets.
        mean_tokens: Of a prompt and of its answer, as counted once; none: `arkd plan` guesses.
        placed: Returns the settings with their paths led from the folder of the suite's file.
        inputs: Returns the files that the data are made anew for, by the setting that names them;
            they must be there before anything runs.
        licences: Returns the licence of each thing that the texts come from, by what it is.
        tests: The setting that names test sets whose tasks `build` writes with `write_task`; none:
            the project ships their tasks.
    """

    spec: type[Spec]
    build: Callable[[Spec, Path], Row]
    planned_rows: Callable[[Spec, Sequence[str]], PlannedRows]
    mean_tokens: tuple[float, float] | None = None
    placed: Callable[[Spec, Place], Spec] = _unchanged
    inputs: Callable[[Spec], Mapping[str, Path]] = _no_files
    licences: Callable[[Spec], Mapping[str, str]] = _undeclared
    tests: str | None = None

    def own_tests(self, spec: Spec) -> list[str]:
        """Return the names of the test sets whose tasks stand beside the data."""
        return list(getattr(spec, self.tests)) if self.tests else []


def names() -> list[str]:
    """Return the names of the data sources; none of them is imported."""
    files = (file for root in arkd.data.__path__ for file in Path(root).glob("[!_]*/source.py"))
    return sorted(file.parent.name for file in files)


def find(name: str) -> DataSource[Any]:
    """Import a data source.

    Raises:
        ArkdError: there is no such source, or its file defines none.
    """
    if name not in (known := names()):
        raise ArkdError(f"no data source '{name}'{nearest(name, known)}; known: {', '.join(known)}")
    module = import_module(f"arkd.data.{name}.source")
    source = getattr(module, "SOURCE", None)
    if not isinstance(source, DataSource):
        raise ArkdError(f"{module.__file__}: must define SOURCE, a DataSource")
    return source


def task_template() -> Path:
    """Return the file of which `write_task` makes a task."""
    return benchmarks_dir() / "tasks" / TASK_TEMPLATE


def write_task(folder: Path, test_set: str) -> None:
    """Write the lm-eval task of a test set: the template of generation tasks, over its file.

    It stands beside the data, so that the stock `lm_eval` finds it there, too.
    """
    task = (
        f"task: {test_set}\n"
        f"dataset_kwargs:\n  file: test_{test_set}.jsonl\n"
        "metadata:\n  version: 1.0\n"
    )
    template = task_template().read_text(encoding="utf-8")
    write_text(folder / "tasks" / f"{test_set}.yaml", template + task)

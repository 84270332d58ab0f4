"""What a suite of a user's own names: its files, its models and its test sets, checked at once."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from arkd.data import source as sources
from arkd.data.public_tasks import SOURCES
from arkd.errors import ArkdError, nearest
from arkd.paths import benchmarks_dir, claims_path, expanded
from arkd.storage import given
from arkd.suite.settings import Folder
from arkd.suite.suite import Suite

# What records and tables call other things by; a test set of that name could not be told from them.
TAKEN = ("dev", "head", "none", "run", "tail", "torso", "train", "truth")
TAKEN_STARTS = ("arkd_", "fidelity_", "rank_", "token_")


def place(suite_file: Path | None, path: str) -> Path:
    """Return where a path in a suite leads: from the folder of its file, else `benchmarks/`."""
    relative = expanded(path)
    beside_suite = suite_file.parent / relative if suite_file else relative
    shipped = benchmarks_dir() / relative
    return shipped if shipped.exists() and not beside_suite.exists() else beside_suite


def check_places(suite: Suite, where: Callable[[str], Path]) -> None:
    """Refuse a suite whose files or models are not there, before anything runs.

    Raises:
        ArkdError: the first of them, with its key.
    """
    for key, path in _files(suite, where):
        if not path.is_file():
            what = "is a folder" if path.is_dir() else "no such file"
            raise ArkdError(f"suite {suite.name}: {key}: {path}: {what}; correct the path")
    for pair in suite.pairs:
        for role, spec in (("teacher", pair.teacher), ("student", pair.student)):
            if not isinstance(spec, Folder):
                continue
            if not (where(spec.path) / "config.json").is_file():
                raise ArkdError(
                    f"suite {suite.name}: pairs.{pair.name}.{role}: {where(spec.path)}: no Hugging "
                    "Face model there (a folder with config.json); correct the path"
                )
            given.check_model(where(spec.path))


def check_tasks(suite: Suite) -> None:
    """Refuse a task that is neither shipped nor a test set that the data bring along, and claims.

    Raises:
        ArkdError: there is no such task or version of the claims, or a test set has the name of
            something else.
    """
    if not claims_path(suite.claims).is_file():
        raise ArkdError(
            f"suite {suite.name}: claims: no version {suite.claims} is registered; leave it out"
        )
    known = _shipped()
    source = sources.find(suite.data.source)
    if source.tests:
        known = source.own_tests(suite.data)
        check_names(known, f"suite {suite.name}: data.{source.tests}")
    perplexity = [suite.perplexity_task] if suite.perplexity_task else []
    tasks = [*suite.test_sets, *suite.open_tasks, *suite.choice_tasks, *perplexity]
    for task in tasks:
        if task not in known:
            raise ArkdError(f"suite {suite.name}: no task '{task}'{nearest(task, known)}")


def check_names(names: Iterable[str], where: str) -> None:
    """Refuse the name of a test set that something else has.

    Raises:
        ArkdError: it is that of a shipped task, or of what tables call by it.
    """
    taken = (*_shipped(), *SOURCES, *TAKEN)
    for name in names:
        if name in taken or name.startswith(TAKEN_STARTS):
            raise ArkdError(f"{where}: the name '{name}' is taken; use another, such as my_{name}")


def check_written(suite: Suite, data: Path) -> None:
    """Refuse tasks beside a suite's data other than those that are written there with the data.

    A task's file can name code for lm-eval to run, and a folder of data may come from anyone.

    Raises:
        ArkdError: one is not as `arkd data` writes it.
    """
    source = sources.find(suite.data.source)
    with tempfile.TemporaryDirectory() as scratch:
        for name in source.own_tests(suite.data):
            sources.write_task(Path(scratch), name)
        written = {path.name: path.read_bytes() for path in Path(scratch).glob("tasks/*")}
    for path in sorted(data.glob("tasks/*")):
        if not path.is_file() or path.read_bytes() != written.get(path.name):
            raise ArkdError(
                f"{path}: not as `arkd data` writes it, and lm-eval would run code that it names; "
                f"delete {data} and run again"
            )


def _shipped() -> list[str]:
    """Return the names of the tasks that the project ships."""
    return [path.stem for path in (benchmarks_dir() / "tasks").rglob("[!_]*.yaml")]


def _files(suite: Suite, where: Callable[[str], Path]) -> Iterator[tuple[str, Path]]:
    """Yield the user's files with the keys that name them."""
    source = sources.find(suite.data.source)
    for setting, path in source.inputs(source.placed(suite.data, where)).items():
        yield f"data.{setting}", path

"""`arkd new-suite`: the commented file of a user's own suite, over his own models and data."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml

from arkd.errors import ArkdError
from arkd.paths import expanded
from arkd.storage.files import write_text
from arkd.suite.checks import check_names
from arkd.suite.load import suite_names
from arkd.suite.names import RULE, usable
from arkd.templates import environment

TEST = re.compile(r"[A-Za-z][A-Za-z0-9_-]*")


@dataclass(frozen=True)
class Given:
    """The user's models and files, as typed; a default stands for what he has yet to name."""

    teacher: str = "models/teacher"
    student: str = "models/student"
    train: str = "data/train.jsonl"
    dev: str | None = None
    tests: Sequence[str] = ("data/test.jsonl",)
    corpus: str | None = None


def create(name: str, given: Given, out: str | None = None) -> str:
    """Write a suite and return what was written and what to do with it.

    Paths are typed from the working folder and written from the suite's own.

    Args:
        name: Of the suite.
        given: Its models and files; a test is `NAME=FILE`, or a file whose name is the test's.
        out: The file, `./NAME.yaml` unless another is given.

    Raises:
        ArkdError: a name cannot be used, or the file is there already.
    """
    _check_name(name)
    path = expanded(out or f"{name}.yaml")
    if path.suffix not in (".yaml", ".yml"):
        raise ArkdError(f"new-suite: --out {path}: a suite's file ends in .yaml")
    if path.exists():
        raise ArkdError(f"{path}: exists already; remove it or give another with --out")
    write_text(path, text(name, given, path))
    return (
        f"wrote {path}, which computes in float32; on a GPU set training.precision: bfloat16\n"
        f"read it, then:\n"
        f"  arkd plan {path}\n"
        f"  arkd run {path} --dry-run\n"
        f"  arkd run {path}\n"
        f"or, in Snakemake's own words:\n"
        f"  snakemake -n --config suites='[{path}]'\n"
        f"  snakemake --cores all --config suites='[{path}]'"
    )


def text(name: str, given: Given, path: Path) -> str:
    """Return the file of a suite that is to stand at a path."""

    def from_there(typed: str | None) -> str | None:
        """Return a path as the suite's file has it."""
        if typed is None or typed.startswith("~") or Path(typed).is_absolute():
            return typed
        return Path(os.path.relpath(typed, path.parent)).as_posix()

    tests = _tests(given.tests)
    templates = environment("arkd.cli")
    templates.filters["scalar"] = _scalar
    return templates.get_template("suite.yaml.j2").render(
        name=name,
        file=path.name,
        pair="own",
        teacher=from_there(given.teacher),
        student=from_there(given.student),
        train=from_there(given.train),
        dev=from_there(given.dev),
        tests={test: from_there(file) for test, file in tests.items()},
        corpus=from_there(given.corpus),
    )


def _check_name(name: str) -> None:
    if not usable(name):
        raise ArkdError(f"new-suite: '{name:.100}' cannot be a suite's name: use {RULE}")
    if name in suite_names():
        raise ArkdError(f"new-suite: there is a suite '{name}' already; use another name")


def _tests(typed: Sequence[str]) -> dict[str, str]:
    """Return the files of the test sets by name.

    Raises:
        ArkdError: a name cannot be used, or stands twice.
    """
    found: dict[str, str] = {}
    for spec in typed:
        name, given, file = spec.partition("=")
        name, file = (name, file) if given else (Path(spec).stem, spec)
        if not TEST.fullmatch(name) or not file:
            raise ArkdError(
                f"new-suite: --test {spec}: '{name}' cannot be a test's name; give one, of "
                f"letters, digits, '_' and '-': --test my_test={file or 'FILE'}"
            )
        if name in found:
            raise ArkdError(f"new-suite: --test {spec}: '{name}' stands twice; --test NAME=FILE")
        found[name] = file
    check_names(found, "new-suite: --test")
    return found


def _scalar(value: str) -> str:
    """Return a text as YAML has it within a line, quoted where it must be."""
    listed = yaml.safe_dump([value], default_flow_style=True, allow_unicode=True, width=10**9)
    return listed.strip()[1:-1]

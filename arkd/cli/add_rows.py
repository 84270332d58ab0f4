"""`arkd add`: a further row beside a finished run, by the file of a suite of such rows."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from arkd.errors import ArkdError
from arkd.storage.yaml_text import parse_yaml, read_yaml
from arkd.suite import registry
from arkd.suite.load import load_suite, suite_names, suite_path
from arkd.suite.names import RULE, usable
from arkd.suite.protocol import MethodEntry
from arkd.suite.trees import trees
from arkd.validated import problem

HEAD = """\
# Added rows beside the finished run of {base}, which is only read and stays unchanged.
#   arkd run {file}      trains only these rows; its tables show all
beside: {base}
name: {name}
description: {base} with further rows
methods:
"""


def add(method: str, typed: Sequence[str], to: str, results: str, name: str | None = None) -> Path:
    """Write a row into the file of a suite's further rows, and return that file.

    A row that stands there already is left as it is, so that the same command goes on with a run
    that was interrupted. Nothing is written unless the rows can be run.

    Args:
        method: Its name, or its file.
        typed: Parameters and settings of the row, as `KEY=VALUE`.
        to: The suite, or the file of its further rows.
        results: The folder that has the suite's finished run.
        name: Of the suite of further rows; none: that of the suite, with `-plus`.

    Raises:
        ArkdError: no such suite, method or parameter, no finished run, or the suite has the row.
    """
    row: dict[str, Any] = {"name": _method(method)}
    for key, value in map(_setting, typed):
        if key in row:
            what = "is the method's, which comes first" if key == "name" else "stands twice"
            raise ArkdError(f"add: {key} {what}; leave {key}={value} out")
        row[key] = value
    try:
        label = MethodEntry.model_validate(row).label
    except ValidationError as error:
        raise ArkdError(f"add: {problem(error, row)}") from None
    path = _file(to, name)
    before = path.read_text(encoding="utf-8") if path.is_file() else _head(to, path)
    if path.is_file() and label in load_suite(str(path)).rows_by_label:
        trees(str(path), results)
        return path
    line = yaml.safe_dump(row, default_flow_style=True, sort_keys=False, width=10**9).strip()
    _write_checked(path, f"{before.rstrip()}\n  - {line}\n", label, results)
    return path


def _file(to: str, name: str | None) -> Path:
    """Return the file of the further rows: the one that is named, or the one of a suite."""
    if name is not None and not usable(name):
        raise ArkdError(f"add: --name {name:.100}: a suite's name is wanted: {RULE}")
    base = suite_path(to)
    stated = read_yaml(base)
    if "beside" in stated:
        if name not in (None, stated.get("name")):
            raise ArkdError(
                f"add: --name {name}: {base} has a name, {stated.get('name')}, under which its "
                "rows lie; leave --name out, or name the suite beside which they stand"
            )
        return base
    folder = Path() if to in suite_names() else base.parent
    return folder / f"{name or load_suite(to).name + '-plus'}.yaml"


def _head(to: str, path: Path) -> str:
    base = to if to in suite_names() else suite_path(to).name
    return HEAD.format(base=base, file=path, name=path.stem)


def _method(typed: str) -> str:
    """Return the name of a method, of which the file may be typed.

    Raises:
        ArkdError: the file is not one that methods are found by.
    """
    if not typed.endswith(".py"):
        return typed
    for plugin in registry.plugins().values():
        if plugin.file and plugin.file == Path(typed).resolve():
            return plugin.name
    raise ArkdError(f"add: {typed}: not the file of a method; `arkd list` shows what there is")


def _setting(typed: str) -> tuple[str, Any]:
    key, equals, value = typed.partition("=")
    try:
        found = parse_yaml(value, typed)
    except ArkdError:
        found = None
    if not (key and equals) or found is None:
        raise ArkdError(f"add: {typed}: KEY=VALUE is wanted, such as alpha=0.2")
    return key, found


def _write_checked(path: Path, text: str, label: str, results: str) -> None:
    """Write a suite once all that a run would refuse is checked.

    The trial lies beside it under a suite's suffix: that is how it is read, and paths count from
    there.

    Args:
        path: Its file.
        text: What it will be.
        label: Of the row that is added.
        results: The folder of results.

    Raises:
        ArkdError: it could not be run, or the row cannot be written at its end.
    """
    trial = path.with_name(f".{path.stem}.{os.getpid()}.yaml")
    try:
        trial.write_text(text, encoding="utf-8")
        (made,) = trees(str(trial), results).values()
        if label not in made.suite.rows_by_label:
            raise ArkdError(f"{path}: does not end in its methods; add the row by hand: {label}")
        trial.replace(path)
    except ArkdError as error:
        raise ArkdError(str(error).replace(str(trial), str(path))) from None
    finally:
        trial.unlink(missing_ok=True)

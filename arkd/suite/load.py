"""From a name or a file of YAML to a checked suite."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from arkd.errors import ArkdError, nearest
from arkd.paths import benchmarks_dir
from arkd.storage.yaml_text import read_yaml
from arkd.suite.settings import BESIDE_SUITES
from arkd.suite.suite import Suite
from arkd.suite.tuned import tuned_rates
from arkd.validated import problem

WORLD = re.compile(r"[0-9]{1,18}")
OF_ITS_OWN = ("beside", "name", "description", "methods")  # of a suite of further rows


def suite_names() -> list[str]:
    """Return the names of the shipped suites."""
    return sorted(_shipped())


def _shipped() -> dict[str, Path]:
    """Return the files of the shipped suites by name; those of variants lie in a folder below."""
    return {path.stem: path for path in (benchmarks_dir() / "suites").rglob("*.yaml")}


def suite_path(name: str) -> Path:
    """Return the file of a shipped suite, or of a user's own given as a path to YAML.

    Raises:
        ArkdError: there is no such suite.
    """
    name, _ = _parts(name)
    path = Path(name) if name.endswith((".yaml", ".yml")) else None
    path = path or _shipped().get(name)
    if path is None or not path.is_file():
        known = suite_names()
        raise ArkdError(
            f"no suite '{name:.200}'{nearest(name, known)}; shipped: {', '.join(known)}, "
            "or give the path of a YAML file"
        )
    return path


def load_suite(name: str) -> Suite:
    """Read and check a suite; `NAME@WORLD` is the block of a suite's world.

    Raises:
        ArkdError: no such suite or world, malformed YAML, an unknown or invalid key.
    """
    path, world = suite_path(name), _parts(name)[1]
    value = _read_yaml(path)
    try:
        suite = Suite.model_validate(value)
    except ValidationError as error:
        raise ArkdError(f"{path}: {problem(error, value)}") from None
    _check_name(suite.name, path)
    if not suite.lr_grid:  # it names a committed run, or is refused here
        tuned_rates(suite.distillation.tuning)
    if world is None:
        return suite
    if world not in suite.worlds:
        worlds = ", ".join(map(str, suite.worlds)) or "none"
        raise ArkdError(f"suite {suite.name}: no world {world}; worlds: {worlds}")
    return suite.block(world)


def _parts(name: str) -> tuple[str, int | None]:
    """Return what the command line calls a suite as its name or file, and the block's world."""
    whole, at, world = name.rpartition("@")
    return (whole, int(world)) if at and WORLD.fullmatch(world) else (name, None)


def _check_name(name: str, path: Path) -> None:
    """Refuse the name of a suite whose folder would be that of something else.

    A shipped suite's name is its own, and that of the copy which merged results hold of it.

    Raises:
        ArkdError: the name is taken.
    """
    shipped = {known.casefold(): file for known, file in _shipped().items()}
    namesake = shipped.get(name.casefold())
    copied = path.name == "suite.yaml" and path.resolve().parent.name == name
    if namesake and path.resolve() != namesake.resolve() and not copied:
        raise ArkdError(f"{path}: name: '{name}' is a shipped suite's; give yours another")
    if "@" in name and not copied:
        raise ArkdError(f"{path}: name: '{name}' is that of a block of another; leave out the '@'")
    if name.casefold() in BESIDE_SUITES:
        raise ArkdError(f"{path}: name: '{name}' is taken by a folder of the results")


def _read_yaml(path: Path, readers: tuple[Path, ...] = ()) -> dict[str, Any]:
    """Return a suite's mapping, laid over the one it extends."""
    if path in readers:
        raise ArkdError(f"{path}: extends: the suite extends itself")
    value = read_yaml(path)
    if not isinstance(value, dict):
        raise ArkdError(f"{path}: a suite is a mapping of keys to values")
    key = "beside" if "beside" in value else "extends"
    base = value.pop(key, None)
    if base is None:
        return value
    if not isinstance(base, str):
        raise ArkdError(f"{path}: {key}: the name or the file of a suite is wanted")
    if "name" not in value:
        verb = "extends" if key == "extends" else "stands beside"
        raise ArkdError(f"{path}: name: a suite that {verb} another needs a name of its own")
    read = _read_yaml(_base_path(base, path), (*readers, path))
    return _with_further_rows(path, read, value) if key == "beside" else _merge(read, value)


def _base_path(base: str, path: Path) -> Path:
    """Return the file of a suite that another names: from that one's folder, else as any suite."""
    from_there = path.parent / base
    return (
        from_there
        if base.endswith((".yaml", ".yml")) and from_there.is_file()
        else suite_path(base)
    )


def base_name(named: str) -> str:
    """Return what the command line calls the suite that a file's further rows stand beside."""
    path = suite_path(named)
    value = read_yaml(path)
    while "beside" not in value:  # the file that it extends says so
        path = _base_path(value["extends"], path)
        value = read_yaml(path)
    base = _base_path(value["beside"], path)
    return base.stem if _shipped().get(base.stem) == base else str(base)


def _with_further_rows(path: Path, base: dict[str, Any], value: dict[str, Any]) -> dict[str, Any]:
    """Return a suite with another's rows and its own at their end; all else is the other's."""
    further = [key for key in value if key not in OF_ITS_OWN]
    if further:
        raise ArkdError(
            f"{path}: {further[0]}: a suite beside another has it from there; leave it out, or "
            "write `extends` in the place of `beside`, which runs all rows anew"
        )
    if "beside" in base:
        raise ArkdError(
            f"{path}: beside: {base['name']} has its rows beside {base['beside']}; add them there"
        )
    rows = value.get("methods")
    if not isinstance(rows, list) or not rows or not isinstance(base.get("methods"), list):
        raise ArkdError(f"{path}: methods: a list of further rows is wanted")
    return {**base, **value, "methods": [*base["methods"], *rows], "beside": base.get("name")}


def _merge(base: dict[str, Any], change: dict[str, Any]) -> dict[str, Any]:
    """Lay `change` over `base`; a mapping that names another `source` replaces the old one."""
    merged = dict(base)
    for key, value in change.items():
        old: Any = merged.get(key)
        both = isinstance(old, dict) and isinstance(value, dict)
        same_kind = both and value.get("source", old.get("source")) == old.get("source")
        merged[key] = _merge(old, value) if same_kind else value
    return merged

"""Where the benchmark's own definitions lie, in a checkout as in an installed package."""

from __future__ import annotations

import os
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from arkd.errors import ArkdError


def claims_path(version: str = "1.0") -> Path:
    """Return the shipped file of registered claims of a version."""
    return benchmarks_dir() / f"claims{'' if version == '1.0' else f'-{version}'}.yaml"


def benchmarks_dir() -> Path:
    """Return the folder of suites, tasks, published numbers and claims.

    Raises:
        ArkdError: see `_package_dir`.
    """
    return _package_dir("arkd_benchmarks")


def baselines_dir() -> Path:
    """Return the folder in which one file is one baseline.

    Raises:
        ArkdError: see `_package_dir`.
    """
    return _package_dir("arkd_baselines")


def snakefile() -> Path:
    """Return the workflow that belongs to this code: of the same checkout, or of the same install.

    Raises:
        FileNotFoundError: there is none beside the package.
    """
    beside = Path(__file__).parents[1]
    for name in ("arkd_workflow", "workflow"):
        if (path := beside / name / "Snakefile").is_file():
            return path
    raise FileNotFoundError(f"{beside}: no workflow lies beside the package; install arkd again")


def expanded(typed: str) -> Path:
    """Return the path that a user typed, a leading `~` or `~name` put out.

    Raises:
        ArkdError: there is no such user.
    """
    try:
        return Path(typed).expanduser()
    except RuntimeError:
        raise ArkdError(
            f"{typed:.200}: there is no home of that name on this machine; write the path out"
        ) from None


def from_here(typed: str) -> str:
    """Return a path in the form that all its spellings have: from the working folder, if inside it.

    What lies elsewhere is absolute, and so is the working folder itself. A link on the way stays.

    Raises:
        ArkdError: see `expanded`.
    """
    here = Path.cwd()
    path = here / expanded(typed)
    short = os.path.normpath(path)
    if os.path.realpath(short) != os.path.realpath(path):  # a `..` behind a link
        short = os.path.realpath(path)
    whole = Path("/", short.lstrip("/"))  # two slashes at the start may stay, and mean one
    real = os.path.realpath(here)
    inside = (whole.relative_to(p) for p in whole.parents if os.path.realpath(p) == real)
    found = str(next(inside, whole))
    return str(whole) if found.startswith("~") else found  # a `~` is put out where it is read next


@cache
def _package_dir(name: str) -> Path:
    """Return where a package lies that is installed with this code.

    Raises:
        ImportError: it is not installed.
        ArkdError: another copy of arkd has it; its suites would be run by this code.
    """
    spec = find_spec(name)
    if spec is None or not spec.submodule_search_locations:
        raise ImportError(
            f"package {name} is not installed: run `pip install -e .` in the checkout"
        )
    folder = Path(next(iter(spec.submodule_search_locations)))
    here = Path(__file__).resolve().parents[1]
    if folder.resolve().parent != here:
        raise ArkdError(
            f"{folder}: belongs to another copy of arkd than {here / 'arkd'}; run "
            "`pip install -e .` in the copy that is to run, and unset PYTHONPATH"
        )
    return folder

"""`arkd new`: the file of a method that already passes `arkd check`, to be filled in."""

from __future__ import annotations

import keyword
import re
from pathlib import Path
from typing import Literal

from arkd import __version__
from arkd.errors import ArkdError
from arkd.paths import baselines_dir
from arkd.storage.files import staged_dir, write_text
from arkd.suite import registry
from arkd.templates import rendered

Kind = Literal["weights", "tokens", "step"]


def create(name: str, kind: Kind, *, package: bool = False, here: Path | None = None) -> str:
    """Write a method and return what was written and what to do with it.

    In a checkout it is `baselines/NAME.py`; elsewhere, or with `package`, a folder with a package
    that brings the method by an entry point.

    Args:
        name: Of the method.
        kind: Which part of the contract it fills in.
        package: Write a package in any case.
        here: The current folder, unless another is given.

    Raises:
        ArkdError: the name is taken or no identifier, or the file is there already.
    """
    check_name(name)
    here = here or Path.cwd()
    checkout = None if package else find_checkout(here)
    if checkout is not None:
        path = checkout / "baselines" / f"{name}.py"
        _refuse(path)
        write_text(path, method_file(name, kind))
        return f"wrote {_shown(path, here)}; next: `arkd check {name}`, then fill it in"
    folder = here / f"arkd-method-{name.replace('_', '-')}"
    _refuse(folder)
    with staged_dir(folder) as staged:
        write_package(staged, name, kind)
    shown = _shown(folder, here)
    return (
        f"wrote {shown}/; next: `pip install -e {shown}` and `arkd check {name}`, then fill it in"
    )


def check_name(name: str) -> None:
    """Refuse a name that a method cannot have.

    Raises:
        ArkdError: it is no lower-case identifier, or taken.
    """
    if not re.fullmatch(r"[a-z][a-z0-9_]*", name) or keyword.iskeyword(name):
        raise ArkdError(
            f"new: '{name}' cannot be a method's name: use a Python identifier of lower-case "
            "letters, digits and underscores, such as my_method"
        )
    if name in registry.RESERVED:
        raise ArkdError(f"new: the name '{name}' is taken by a folder of the results; use another")
    known = registry.plugins()
    if name in registry.problems():
        raise ArkdError(f"new: {registry.problems()[name]}")
    if name in known:
        raise ArkdError(
            f"new: there is a method '{name}' already ({known[name].module}); use another name"
        )


def find_checkout(here: Path) -> Path | None:
    """Return the checkout that a folder lies in, if its `baselines/` is the one that is read."""
    root = baselines_dir().parent.resolve()
    is_checkout = (root / "pyproject.toml").is_file() and (root / "arkd" / "method.py").is_file()
    return root if is_checkout and here.resolve().is_relative_to(root) else None


def method_file(name: str, kind: Kind, module: str | None = None) -> str:
    """Return the code of a new method.

    Args:
        name: Of the method.
        kind: Which part of the contract it fills in.
        module: The module of a package of its own; none for a file in `baselines/`.
    """
    return _render(f"method_{kind}.py.j2", name, kind, module)


def write_package(folder: Path, name: str, kind: Kind) -> None:
    """Write a package that brings one method."""
    module = f"arkd_method_{name}"
    write_text(folder / f"{module}.py", method_file(name, kind, module))
    for file in ("pyproject.toml", "README.md"):
        write_text(folder / file, _render(f"plugin_{file}.j2", name, kind, module))


def _render(template: str, name: str, kind: Kind, module: str | None) -> str:
    words = [word.capitalize() for word in name.split("_") if word]
    named = {"name": name, "cls": "".join(words), "module": module}
    return rendered("arkd.cli", template, **named, kind=kind, version=__version__)


def _refuse(path: Path) -> None:
    if path.exists():
        raise ArkdError(f"{path}: exists already; remove it or use another name")


def _shown(path: Path, here: Path) -> str:
    """Return a path as short as it may be typed."""
    path, here = path.resolve(), here.resolve()
    return str(path.relative_to(here)) if path.is_relative_to(here) else str(path)

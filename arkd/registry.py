"""The methods that exist: files of `arkd/methods` and `baselines`, and third parties' plugins."""

from __future__ import annotations

import importlib
import inspect
from dataclasses import dataclass, fields
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from arkd.errors import ArkdError, nearest
from arkd.method import Method
from arkd.paths import baselines_dir
from arkd.settings import MethodEntry

ENTRY_POINTS = "arkd.methods"
RESERVED = ("teacher", "init", "untrained", "shared", "cache", "tokens")  # folders beside methods
METHODS_DIR = Path(__file__).parent / "methods"


@dataclass(frozen=True)
class Plugin:
    """Where a method's code lies, known without importing it."""

    name: str
    module: str
    origin: str  # "arkd", "baselines" or the distribution's name
    file: Path | None = None
    entry_point: EntryPoint | None = None


@cache
def plugins() -> dict[str, Plugin]:
    """Return all methods by name.

    Raises:
        ArkdError: two methods share a name.
    """
    found: dict[str, Plugin] = {}
    for folder, package, origin in (
        (METHODS_DIR, "arkd.methods", "arkd"),
        (baselines_dir(), "arkd_baselines", "baselines"),
    ):
        for file in sorted(folder.glob("[!_]*.py")):
            _add(found, Plugin(file.stem, f"{package}.{file.stem}", origin, file))
    for point in sorted(entry_points(group=ENTRY_POINTS), key=lambda point: point.name):
        origin = point.dist.name if point.dist else point.value
        _add(found, Plugin(point.name, point.module, origin, _source(point.module), point))
    return found


def _source(module: str) -> Path | None:
    """Return the file of an installed module, so that its edit is noticed; none if it has none."""
    try:
        spec = find_spec(module)
    except ImportError:
        return None  # said when the method is asked for
    return Path(spec.origin) if spec and spec.origin and spec.has_location else None


def _add(found: dict[str, Plugin], plugin: Plugin) -> None:
    if plugin.name in RESERVED:
        raise ArkdError(f"method '{plugin.name}' ({plugin.module}): the name is taken; rename it")
    if plugin.name in found:
        other = found[plugin.name]
        raise ArkdError(
            f"method '{plugin.name}' exists twice: in {other.origin} ({other.module}) and in "
            f"{plugin.origin} ({plugin.module}); rename one of them or uninstall its package"
        )
    found[plugin.name] = plugin


def plugin(name: str) -> Plugin:
    """Return the place of a method.

    Raises:
        ArkdError: there is no such method.
    """
    known = plugins()
    if name not in known:
        raise ArkdError(
            f"no method '{name}'{nearest(name, known)}; `arkd list` shows the {len(known)} known"
        )
    return known[name]


def method_class(name: str) -> type[Method]:
    """Import a method's file and return its class.

    Raises:
        ArkdError: no such method, its import fails, or it holds no single method.
    """
    place = plugin(name)
    try:
        module = importlib.import_module(place.module)
    except Exception as error:
        raise ArkdError(
            f"method '{name}': importing {place.module} failed: {type(error).__name__}: {error}"
        ) from error
    classes = [
        value
        for value in vars(module).values()
        if inspect.isclass(value)
        and issubclass(value, Method)
        and value.__module__ == place.module
        and not inspect.isabstract(value)
    ]
    if len(classes) != 1:
        raise ArkdError(
            f"method '{name}': {place.file or place.module} must define exactly one subclass of "
            f"WeightedDivergences, TokenDivergence or FullStep, found {len(classes)}"
        )
    return classes[0]


def build(entry: MethodEntry) -> Method:
    """Return the method of a suite's entry with its parameters set.

    Raises:
        ArkdError: no such method, or a parameter that it does not have or does not accept.
    """
    cls = method_class(entry.name)
    known = [field.name for field in fields(cls)]
    for key in entry.params:
        if key not in known:
            has = f"it has {', '.join(known)}" if known else "it has none"
            raise ArkdError(
                f"method '{entry.name}': unknown parameter '{key}'{nearest(key, known)}; {has}"
            )
    try:
        return TypeAdapter(cls).validate_python(entry.params, strict=False)
    except ValidationError as error:
        problem = error.errors()[0]
        where = ".".join(str(part) for part in problem["loc"])
        message = problem["msg"].removeprefix("Value error, ")
        raise ArkdError(
            f"method '{entry.name}': {where + ': ' if where else ''}{message} "
            f"(found {problem['input']!r})"
        ) from None


def describe(name: str) -> dict[str, Any]:
    """Return what a listing shows of a method."""
    cls = method_class(name)
    return {
        "name": name,
        "origin": plugin(name).origin,
        "summary": cls.summary,
        "responses": cls.responses,
        "needs": cls.needs,
        "reference": cls.reference,
    }

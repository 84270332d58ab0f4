"""The methods that exist: files of `arkd/methods` and `baselines`, and third parties' plugins."""

from __future__ import annotations

import importlib
import inspect
from dataclasses import dataclass
from functools import cache
from importlib.machinery import PathFinder
from importlib.metadata import EntryPoint, entry_points
from importlib.util import find_spec
from pathlib import Path

from arkd.errors import ArkdError, nearest
from arkd.method import Method
from arkd.paths import baselines_dir
from arkd.time_limit import Late, within

ENTRY_POINTS = "arkd.methods"
BESIDE_ROWS = ("tokens", "cache", "teacher", "init", "untrained")  # folders
RESERVED = (*BESIDE_ROWS, "shared")  # the last is what costs are filed under
METHODS_DIR = Path(__file__).parent.parent / "methods"
IMPORT_LIMIT_S = 120.0  # of one method; a library that it needs may be read from a slow disk


@dataclass(frozen=True)
class Plugin:
    """Where a method's code lies, known without importing it."""

    name: str
    module: str
    origin: str  # "arkd", "baselines" or the distribution's name
    file: Path | None = None
    entry_point: EntryPoint | None = None


def plugins() -> dict[str, Plugin]:
    """Return all methods by name; those of `problems` are left out."""
    return _found()[0]


def names() -> list[str]:
    """Return every name, usable or not, for listings that say what is wrong."""
    return [*plugins(), *problems()]


def problems() -> dict[str, str]:
    """Return what is wrong with the names that cannot be used, one line each."""
    return _found()[1]


@cache
def _found() -> tuple[dict[str, Plugin], dict[str, str]]:
    found: dict[str, Plugin] = {}
    wrong: dict[str, str] = {}
    for folder, package, origin in (
        (METHODS_DIR, "arkd.methods", "arkd"),
        (baselines_dir(), "arkd_baselines", "baselines"),
    ):
        for file in sorted(folder.glob("[!_]*.py")):
            _add(found, wrong, Plugin(file.stem, f"{package}.{file.stem}", origin, file))
    for point in sorted(entry_points(group=ENTRY_POINTS), key=lambda point: point.name):
        origin = point.dist.name if point.dist else point.value
        _add(found, wrong, Plugin(point.name, point.module, origin, _source(point.module), point))
    return found, wrong


def _source(module: str) -> Path | None:
    """Return the file of an installed module, so that its edit is noticed; none if it has none."""
    top, *inner = module.split(".")
    try:
        spec = find_spec(top)
        for part in inner:  # by its place: to import the packages around it would run their code
            places = spec.submodule_search_locations if spec else None
            spec = PathFinder.find_spec(part, list(places)) if places else None
    except (ImportError, ValueError, OSError):  # said when the method is asked for
        return None
    return Path(spec.origin) if spec and spec.origin and spec.has_location else None


def _add(found: dict[str, Plugin], wrong: dict[str, str], plugin: Plugin) -> None:
    """Add a plugin, or say why its name cannot be used; of two that share one, neither is."""
    if plugin.name in RESERVED:
        wrong[plugin.name] = (
            f"method '{plugin.name}' ({plugin.module}): a folder of the results has that name; "
            "rename the method"
        )
    elif plugin.name in found:
        other = found.pop(plugin.name)
        wrong[plugin.name] = (
            f"method '{plugin.name}' exists twice: in {other.origin} ({other.module}) and in "
            f"{plugin.origin} ({plugin.module}); rename one of them or uninstall its package"
        )
    elif plugin.name not in wrong:
        found[plugin.name] = plugin


def plugin(name: str) -> Plugin:
    """Return the place of a method.

    Raises:
        ArkdError: there is no such method, or its name is taken twice.
    """
    known = plugins()
    if name in problems():
        raise ArkdError(problems()[name])
    if name not in known:
        raise ArkdError(
            f"no method '{name}'{nearest(name, known)}; `arkd list` shows the {len(known)} known"
        )
    return known[name]


def method_class(name: str) -> type[Method]:
    """Import a method's file and return its class.

    Raises:
        ArkdError: no such method, its import fails or hangs, or it holds no single method.
    """
    place = plugin(name)
    try:
        with within(IMPORT_LIMIT_S):
            module = importlib.import_module(place.module)
    except Late:
        raise ArkdError(
            f"method '{name}': importing {place.file or place.module} was not done after "
            f"{IMPORT_LIMIT_S:g} s; it hangs, or does there what belongs into its methods"
        ) from None
    except (Exception, SystemExit) as error:
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

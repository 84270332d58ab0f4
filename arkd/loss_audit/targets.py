"""From what is typed, `trl:gkd`, `my_loss.py:loss` or `package.module:name`, to a loss to call."""

from __future__ import annotations

import importlib.util
import inspect
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass, field
from importlib import import_module, metadata
from pathlib import Path
from typing import Any

from arkd.errors import ArkdError, nearest
from arkd.loss_audit.declared import Declared, declared
from arkd.time_limit import Late, within

ADAPTERS = Path(__file__).parent / "adapters"
# Names under which released losses take what the audit hands over.
SYNONYMS = {
    "student": ("student", "student_logits", "logits_student", "logits_s", "s_logits", "logits"),
    "teacher": ("teacher", "teacher_logits", "logits_teacher", "logits_t", "t_logits", "target"),
    "labels": ("labels", "label", "targets", "label_ids"),
    "mask": ("mask", "loss_mask", "response_mask", "labels_mask"),
    "temperature": ("temperature", "tau", "temp"),
    "beta": ("beta",),
}
NEEDED = ("student", "teacher")
LIMIT_S = 120.0  # of loading one; a library that it needs may be read from a slow disk
WRITE = "write an adapter with `arkd audit --new FILE.py`"
TYPED = "PACKAGE:LOSS (`arkd audit --list`), FILE.py:NAME or package.module:NAME"


@dataclass(frozen=True)
class Target:
    """A loss, and how to call it.

    Attributes:
        name: As it was typed.
        loss: What is called.
        declared: What it says of itself.
        parameters: Its own name of each thing that it is given.
        version: Of the package that it comes from, such as `trl 1.16.0`; "" for a file.
    """

    name: str
    loss: Callable[..., Any]
    declared: Declared
    parameters: Mapping[str, str] = field(default_factory=dict)
    version: str = ""

    def takes(self, name: str) -> bool:
        """Say whether it has a parameter, such as `beta`."""
        return name in self.parameters

    def call(self, given: Mapping[str, Any]) -> Any:
        """Call the loss with what it takes of the things that are given."""
        return self.loss(**{self.parameters[key]: given[key] for key in given if self.takes(key)})


def resolve(name: str) -> Target:
    """Return the loss that is named. Its module runs: it is code that the user trusts.

    Raises:
        ArkdError: there is no such file, module or loss, its package is not installed, or its
            parameters are not understood.
    """
    place, colon, attribute = name.rpartition(":")
    if not colon or not place or not attribute:
        raise ArkdError(f"{name}: not a loss; name it as {TYPED}")
    package, version = "", ""
    if place.endswith(".py"):
        module = _file(name, Path(place))
    elif place in shipped():
        module = _module(name, f"arkd.loss_audit.adapters.{place}")
        package = module.PACKAGE
        version = _version(name, package, getattr(module, "INSTALL", f"pip install {package}"))
    else:
        module = _module(name, place)
        version = _version_of(place)
    loss = _attribute(name, module, attribute)
    says = declared(name, module, attribute)
    if inspect.isclass(loss):
        loss = _instance(name, loss)
    return Target(name, loss, says, _parameters(name, loss), version)


def shipped() -> tuple[str, ...]:
    """Return the packages that adapters are shipped for, by the name that is typed."""
    return tuple(sorted(path.stem for path in ADAPTERS.glob("[a-z]*.py")))


def shipped_losses() -> list[str]:
    """Return every shipped loss as it is typed; reads the adapters' text and imports none."""
    import ast

    found = []
    for name in shipped():
        tree = ast.parse((ADAPTERS / f"{name}.py").read_text(encoding="utf-8"))
        functions = [node.name for node in tree.body if isinstance(node, ast.FunctionDef)]
        found += [f"{name}:{function}" for function in functions if not function.startswith("_")]
    return found


def _file(name: str, path: Path) -> Any:
    if not path.is_file():
        raise ArkdError(f"{name}: {path}: no such file; `arkd audit --new {path}` writes one")
    spec = importlib.util.spec_from_file_location(f"arkd_audited_{path.stem}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # where its dataclasses look for their module
    sys.path.insert(0, str(path.parent.resolve()))  # what lies beside it can be imported
    try:
        with _loading(name):
            spec.loader.exec_module(module)
    finally:
        sys.path.pop(0)
    return module


def _module(name: str, module: str) -> Any:
    with _loading(name, module):
        return import_module(module)


@contextmanager
def _loading(name: str, module: str = "") -> Iterator[None]:
    """Say in one line why a target's code cannot be loaded; it may do whatever code does.

    Args:
        name: As it was typed.
        module: That is imported, if it is one.

    Raises:
        ArkdError: it raises, ends the process, or is not done in time.
    """
    try:
        with within(LIMIT_S), redirect_stdout(sys.stderr):  # stdout is the audit's alone
            yield
    except ModuleNotFoundError as error:
        misspelt = bool(module) and error.name == module
        hint = nearest(name.partition(":")[0], shipped()) if misspelt else ""
        raise ArkdError(f"{name}: {_missing(error)}{hint}") from None
    except Late:
        raise ArkdError(f"{name}: cannot be loaded: not done after {LIMIT_S:g} s") from None
    except (Exception, SystemExit) as error:
        raise ArkdError(f"{name}: cannot be loaded: {_said(error)}") from error


def _attribute(name: str, module: Any, attribute: str) -> Any:
    found = module
    for part in attribute.split("."):
        try:
            found = getattr(found, part)
        except AttributeError:
            public = [key for key in vars(module) if not key.startswith("_")]
            raise ArkdError(f"{name}: no '{attribute}' in it{nearest(attribute, public)}") from None
        except ModuleNotFoundError as error:  # a module may load its parts when they are named
            raise ArkdError(f"{name}: {_missing(error)}") from None
        except (Exception, SystemExit) as error:
            raise ArkdError(f"{name}: cannot be loaded: {_said(error)}") from error
    if not callable(found):
        raise ArkdError(f"{name}: a function or class is wanted, found {type(found).__name__}")
    return found


def _instance(name: str, loss: Any) -> Any:
    """Return an instance of a class with its defaults; a torch module is called by `forward`."""
    try:
        made = loss()
    except TypeError as error:
        raise ArkdError(f"{name}: the class needs arguments ({error}); {WRITE}") from None
    except (Exception, SystemExit) as error:
        raise ArkdError(f"{name}: cannot be made: {_said(error)}; {WRITE}") from error
    return getattr(made, "forward", made)


def _parameters(name: str, loss: Any) -> dict[str, str]:
    """Return the loss's own name of each thing it can be given.

    Raises:
        ArkdError: logits of student and teacher are not found, or something else is needed.
    """
    try:
        taken = inspect.signature(loss).parameters
    except (ValueError, TypeError):  # of what is written in C
        raise ArkdError(f"{name}: does not tell its parameters; {WRITE}") from None
    found = {
        thing: next(synonym for synonym in names if synonym in taken)
        for thing, names in SYNONYMS.items()
        if taken.keys() & {*names}
    }
    empty = inspect.Parameter.empty
    variadic = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    unknown = [
        key
        for key, parameter in taken.items()
        if parameter.default is empty
        and parameter.kind not in variadic
        and key not in found.values()
    ]
    if unknown or any(thing not in found for thing in NEEDED):
        what = f"its parameters ({', '.join(taken)}) are not understood"
        raise ArkdError(f"{name}: {what}; {WRITE}")
    return found


def _missing(error: ModuleNotFoundError) -> str:
    if not error.name:
        return f"cannot be loaded: {_said(error)}"
    package = error.name.partition(".")[0]
    return f"module '{error.name}' is not installed; install the package that brings '{package}'"


def _said(error: BaseException) -> str:
    lines = str(error).strip().splitlines() or [""]
    return f"{type(error).__name__}: {lines[0]}"


def _version(name: str, package: str, install: str) -> str:
    try:
        return f"{package} {metadata.version(package)}"
    except metadata.PackageNotFoundError:
        raise ArkdError(f"{name}: the package {package} is not installed; `{install}`") from None


def _version_of(module: str) -> str:
    """Return name and version of the distributions that bring a module, "" if none does."""
    names = metadata.packages_distributions().get(module.partition(".")[0], [])
    return ", ".join(f"{name} {metadata.version(name)}" for name in sorted(set(names)))

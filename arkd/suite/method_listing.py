"""What listings say of the methods, derived from what they declare; a broken one stops no other."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any, get_args

from arkd.errors import ArkdError
from arkd.method import Axis, FullStep, Method, Reference, TokenDivergence, WeightedDivergences
from arkd.suite import registry, trial

KINDS = {"weights": WeightedDivergences, "tokens": TokenDivergence, "step": FullStep}


@dataclass(frozen=True)
class Row:
    """A method in a listing."""

    name: str
    origin: str  # "arkd", "baselines" or the distribution that brings it
    kind: str
    varies: Axis
    needs: tuple[str, ...]
    cost: str
    reference: Reference
    summary: str


def shipped() -> list[str]:
    """Return the methods that the project ships, by name."""
    return sorted(n for n, plugin in registry.plugins().items() if plugin.entry_point is None)


def rows(names: Iterable[str]) -> tuple[list[Row], list[ArkdError]]:
    """Return the methods that can be listed, and one error for each that cannot.

    The files are imported in a process of its own: one that hangs or ends it is named, like others.
    """
    found: list[Row] = []
    broken: list[ArkdError] = []
    for name, outcome in trial.each(_row_or_error, list(names), LIMIT_S):
        if outcome.failure:
            module = registry.plugin(name).module
            broken.append(ArkdError(f"method '{name}': importing {module}: {outcome.failure}"))
        elif "error" in outcome.value:
            broken.append(ArkdError(outcome.value["error"]))
        else:
            found.append(_of_fields(outcome.value))
    return found, broken


LIMIT_S = 20.0  # for the import of one method; the slowest of ours takes milliseconds


def _row_or_error(name: str) -> dict[str, Any]:
    """Return the fields of a method's row, or what is wrong with it."""
    try:
        return asdict(row(name))
    except ArkdError as error:
        return {"error": str(error)}
    except BaseException as error:  # of a file that raises what is no Exception
        return {"error": f"method '{name}': {type(error).__name__}: {error}"}


def _of_fields(fields: dict[str, Any]) -> Row:
    """Return a row of its fields, as JSON has them."""
    reference = Reference(**fields["reference"])
    return Row(**{**fields, "needs": tuple(fields["needs"]), "reference": reference})


def row(name: str) -> Row:
    """Return a method's row.

    Raises:
        ArkdError: there is no such method, or it breaks the contract.
    """
    cls = registry.method_class(name)
    missing = [key for key in ("summary", "equation", "reference") if not hasattr(cls, key)]
    if missing:
        raise ArkdError(f"method '{name}': {cls.__name__} does not state its {missing[0]}")
    try:
        method = cls()
        summary, required = cls.summary, method.required
        price = cost(method)
    except (Exception, SystemExit) as error:
        raise ArkdError(
            f"method '{name}': {cls.__name__}() failed: {type(error).__name__}: {error}; "
            "every parameter needs a default"
        ) from error
    if cls.varies is not None and cls.varies not in get_args(Axis):
        raise ArkdError(
            f"method '{name}': its `varies` must be one of {', '.join(get_args(Axis))}, "
            f"found {cls.varies!r}"
        )
    declared = {"summary": (summary, str), "reference": (cls.reference, Reference)}
    for key, (value, kind) in declared.items():
        if not isinstance(value, kind):
            raise ArkdError(f"method '{name}': its {key} must be of the type {kind.__name__}")
    return Row(
        name,
        registry.plugin(name).origin,
        next(kind for kind, base in KINDS.items() if issubclass(cls, base)),
        varies(method),
        tuple(map(str, required)),
        price,
        cls.reference,
        str(summary),
    )


def varies(method: Method) -> Axis:
    """Return what a method is grouped by: what it says, else what its declarations tell.

    Without the teacher's values it learns whole sequences; with responses of its own, prefixes.
    """
    if method.varies is not None:
        return method.varies
    if not method.reads_teacher:
        return "sequence level"
    drawn = any(f"{model}_samples" in method.required for model in MODELS)
    return "prefix" if drawn or method.responses != ("gold",) else "divergence"


def grouped(found: Iterable[Row]) -> list[Row]:
    """Return rows in the order of what they vary, then by name."""
    axes = get_args(Axis)
    return sorted(found, key=lambda row: (axes.index(row.varies), row.name))


def cost(method: Method) -> str:
    """Return what a step costs beside the student itself, as far as the declarations tell."""
    needs, beforehand = method.required, method.responses
    anew = any(f"{model}_samples" in needs and model not in beforehand for model in MODELS)
    if anew:
        price = "samples while training"
    elif any(model in beforehand for model in MODELS):
        price = "sampled beforehand"
    else:
        price = "cached teacher" if method.reads_teacher else "no teacher"
    return f"{price}, rewards" if "rewards" in needs else price


MODELS = ("teacher", "student")


def entries(found: Iterable[Row]) -> list[str]:
    """Return the BibTeX of methods, each key once."""
    by_key: dict[str, str] = {}
    for row in found:
        entry = row.reference.bibtex.strip()
        by_key.setdefault(entry.partition(",")[0], entry)
    return list(by_key.values())

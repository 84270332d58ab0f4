"""A row's method, and what the row reads and draws: as declared, and as its settings change it."""

from __future__ import annotations

from dataclasses import fields
from functools import cache

from pydantic import TypeAdapter, ValidationError

from arkd.errors import ArkdError, nearest
from arkd.method import FullStep, Method, Source
from arkd.suite import registry
from arkd.suite.protocol import Distillation, MethodEntry, finite
from arkd.validated import problem

DRAWN = ("student", "mixed")  # prefixes that the student writes at the step
WITH_ZEROS = ("top_k", "top_p", "sampled")  # sparse teachers that give most tokens no probability
SIZED = ("top_k", "top_k_bucket", "sampled")  # those with a number of entries


def build(entry: MethodEntry) -> Method:
    """Return the method of a suite's entry with its parameters set.

    Raises:
        ArkdError: no such method, or a parameter that it does not have or does not accept.
    """
    cls = registry.method_class(entry.name)
    known = [field.name for field in fields(cls)]
    for key in entry.params:
        if key not in known:
            has = f"it has {', '.join(known)}" if known else "it has none"
            raise ArkdError(
                f"method '{entry.name}': unknown parameter '{key}'{nearest(key, known)}; {has}"
            )
    try:
        method = _adapter(cls).validate_python(entry.params, strict=False)
    except ValidationError as error:
        raise ArkdError(f"method '{entry.name}': {problem(error, entry.params)}") from None
    for key, value in method.params.items():
        if not finite(value):  # text that became a number: YAML's own are .nan and .inf
            raise ArkdError(f"method '{entry.name}': {key}: a finite number is wanted, not {value}")
    return method


@cache
def _adapter(cls: type[Method]) -> TypeAdapter[Method]:
    """Return what checks a method's parameters; to make one is a millisecond, and jobs are many."""
    return TypeAdapter(cls)


def check_row(entry: MethodEntry, method: Method, settings: Distillation) -> None:
    """Refuse settings of prefixes and of both supports that the row's method cannot follow.

    Args:
        entry: The row as the suite states it.
        method: Its method, with its parameters set.
        settings: The suite's, with the row's changes.

    Raises:
        ArkdError: the method composes its loss itself, has sets of its own, reads no teacher or
            looks at labels; or its loss is infinite on a sparse teacher; or a setting has no
            effect on this row.
    """
    support = None if settings.support == "vocabulary" else settings.support
    stored = None if settings.teacher_support == "exact" else settings.teacher_support
    for key, chosen, fixed in (
        ("prefixes", settings.prefixes, method.responses != ("gold",)),
        ("support", support, False),
        ("teacher_support", stored, False),
    ):
        if chosen is None:
            continue
        why = ""
        if not method.reads_teacher:
            why = "reads no teacher, so that it has no divergence to take there"
        elif isinstance(method, FullStep):
            why = "composes its loss itself"
        elif "labels" in method.required:
            why = "looks at the gold tokens"
        elif fixed:
            why = f"has responses of its own ({', '.join(method.responses)})"
        if why:
            raise ArkdError(
                f"{entry.label}: {key}: {chosen} cannot be set, since {entry.name} {why}; "
                f"leave `{key}` out"
            )
    if stored in WITH_ZEROS and not method.allows_zeros:
        raise ArkdError(
            f"{entry.label}: teacher_support: {stored} cannot be set, since {entry.name} asks for "
            "log p of tokens to which this target gives no probability; take top_k_bucket"
        )
    if stored and support:
        raise ArkdError(
            f"{entry.label}: teacher_support: {stored} and support: {support} exclude each other; "
            "leave one out"
        )
    mixed, drawn = settings.prefixes == "mixed", settings.prefixes in DRAWN
    for key, works, needs in (
        ("prefix_share", mixed, "prefixes: mixed"),
        ("prefix_temperature", drawn, "prefixes: student or mixed"),
        ("prefix_top_p", drawn, "prefixes: student or mixed"),
        ("support_size", support, "a support such as teacher_top_k"),
        ("support_tail", support, "a support such as teacher_top_k"),
        ("teacher_support_size", stored in SIZED, f"teacher_support: {', '.join(SIZED)}"),
        ("teacher_support_mass", stored == "top_p", "teacher_support: top_p"),
    ):
        if key in entry.changes and not works:
            raise ArkdError(f"{entry.label}: {key}: has no effect without {needs}; leave it out")


def sources(method: Method, settings: Distillation) -> tuple[Source, ...]:
    """Return the response sets, drawn before the training, that a row's loss is taken on."""
    if settings.prefixes is None:
        return method.responses
    return ("teacher",) if settings.prefixes == "teacher" else ("gold",)


def draws(method: Method, settings: Distillation, model: str) -> bool:
    """Tell whether a row samples from `student` or `teacher` while it trains."""
    if model == "student" and settings.prefixes in DRAWN:
        return True
    return f"{model}_samples" in method.required and model not in method.responses


def drawing_share(method: Method, settings: Distillation) -> float:
    """Return the share of steps that draw: GKD throws a coin, MiniLLM's draw serves some epochs."""
    if settings.prefixes in DRAWN:
        return settings.prefix_share if settings.prefixes == "mixed" else 1.0
    if "on_policy_share" in method.params:
        return float(method.params["on_policy_share"])
    return 1 / int(method.params.get("epochs", 1))

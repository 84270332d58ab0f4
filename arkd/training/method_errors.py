"""What a method did wrong while it trained, as one line with its name, file and line."""

from __future__ import annotations

import inspect
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from torch import Tensor

from arkd.errors import ArkdError, out_of_memory
from arkd.method import Method, Weights
from arkd.training.checkpoint import flatten

LOGGED_BY_THE_LOOP = {"step", "loss", "distil", "lm", "entries", "tokens", "padding", "grad_norm"}


@contextmanager
def named(method: Method, label: str) -> Iterator[None]:
    """Turn an error out of a method's own file into one line; others pass.

    Raises:
        ArkdError: the method raised something, or called something that did.
    """
    try:
        yield
    except ArkdError:
        raise
    except Exception as error:
        if out_of_memory(error):  # the fault of no method
            raise
        file = inspect.getsourcefile(type(method))
        frames = [f for f in traceback.extract_tb(error.__traceback__) if f.filename == file]
        if not frames:
            raise
        place = f"{frames[-1].filename}:{frames[-1].lineno}"
        what = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
        raise ArkdError(f"method '{label}': {place}: {what:.500}") from error


def check_losses(method: Method, losses: Any, log_q_CV: Tensor) -> None:
    """Refuse losses that are not one number a token: anything else would be spread over them.

    Raises:
        ArkdError: they are not.
    """
    if not isinstance(losses, Tensor):
        raise _wrong(method, f"a tensor of losses is wanted, not {_kind(losses)}")
    if losses.shape != log_q_CV.shape[:1]:
        raise _wrong(
            method,
            f"one loss a token is wanted, shape [{len(log_q_CV)}], not {list(losses.shape)}",
        )
    if not (losses.is_floating_point() and losses.requires_grad):
        raise _wrong(method, "the losses do not depend on the student: no gradient leads to it")


def check_state(method: Method, state: Any) -> None:
    """Refuse a state that a checkpoint could not hold, before the first step and not at a save.

    Raises:
        ArkdError: it cannot be saved or taken up.
    """
    if state is None:
        return
    for name in ("state_dict", "load_state_dict"):
        if not callable(getattr(state, name, None)):
            raise _wrong(
                method,
                f"the state needs `state_dict` and `load_state_dict`, not {_kind(state)}; "
                "`arkd.method.Memory` has both",
                "start",
            )
    try:
        flatten(state.state_dict(), {})
    except TypeError as error:
        raise _wrong(method, str(error), "start") from None


def check_weights(method: Method, weights: Any, tokens: int) -> dict[str, float]:
    """Return what to log; refuse weights that are neither one number for all tokens nor one each.

    Raises:
        ArkdError: they are not.
    """
    if not isinstance(weights, Weights):
        raise _wrong(method, f"`Weights` are wanted, not {_kind(weights)}")
    for name in ("fkl", "rkl"):
        value = getattr(weights, name)
        shape = list(value.shape) if isinstance(value, Tensor) else []
        if isinstance(value, bool) or not isinstance(value, int | float | Tensor):
            raise _wrong(method, f"weight {name}: a number or a tensor is wanted, {_kind(value)}")
        if shape not in ([], [1], [tokens]):
            raise _wrong(
                method, f"weight {name}: one number, or one a token, [{tokens}], not {shape}"
            )
    log = _log(method, weights.log)
    if measured := {"fkl", "rkl"} & log.keys():
        raise _wrong(method, f"log {min(measured)}: it is measured and logged anyway")
    return log


def check_step(method: Method, result: Any) -> tuple[Tensor, dict[str, float]]:
    """Return the loss of a whole step and what to log, as a method returned them.

    Raises:
        ArkdError: it is no pair of one number with a gradient and a mapping of numbers.
    """
    if not isinstance(result, tuple) or len(result) != 2:
        raise _wrong(method, f"a pair of loss and log is wanted, not {_kind(result)}")
    loss, log = result
    if not isinstance(loss, Tensor) or loss.ndim:
        shape = f"shape {list(loss.shape)}" if isinstance(loss, Tensor) else _kind(loss)
        raise _wrong(method, f"the loss of a step is one number, a tensor of shape [], not {shape}")
    if not loss.requires_grad:
        raise _wrong(method, "the loss does not depend on the student: no gradient leads to it")
    return loss, _log(method, log)


def _log(method: Method, log: Any) -> dict[str, float]:
    """Return what a method logs as numbers."""
    if not isinstance(log, dict):
        raise _wrong(method, f"what to log is a mapping of numbers, not {_kind(log)}")
    if taken := LOGGED_BY_THE_LOOP & log.keys():
        raise _wrong(method, f"log {min(taken)}: the loop logs that itself; take another name")
    for key, value in log.items():
        single = isinstance(value, int | float) or (
            isinstance(value, Tensor) and value.numel() == 1
        )
        if not isinstance(key, str) or not single:
            raise _wrong(method, f"log {key!s:.40}: one number is wanted, not {_kind(value)}")
    return {k: float(v.detach() if isinstance(v, Tensor) else v) for k, v in log.items()}


def _wrong(method: Method, what: str, name: str = "") -> ArkdError:
    """Return the error on what a method returned, with the place of the function that did."""
    name = name or next(n for n in ("token_loss", "weights", "loss") if hasattr(type(method), n))
    function = inspect.unwrap(getattr(type(method), name))
    code = function.__code__
    place = f"{code.co_filename}:{code.co_firstlineno}"
    module = Path(code.co_filename).stem
    return ArkdError(f"method '{module}': {place}: {type(method).__name__}.{name}: {what}")


def _kind(value: Any) -> str:
    if value is None:
        return "None"
    if isinstance(value, tuple | list):
        return f"a {type(value).__name__} of {len(value)}"
    return f"{type(value).__name__}"

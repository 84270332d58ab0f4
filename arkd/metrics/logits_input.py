"""Logits and labels as a user has them, checked and made into arrays; N tokens, V vocabulary."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from torch import Tensor

from arkd.errors import ArkdError

ROW_SUM = 1e-3  # rows this near to 1 that are nowhere negative are probabilities, not logits


def _numpy(values: Any) -> npt.NDArray[Any]:
    """Return a tensor, or what numpy takes, as an array; those know no bfloat16."""
    if not isinstance(values, Tensor):
        return np.asarray(values)
    tensor = values.detach().cpu()
    return (tensor.float() if tensor.is_floating_point() else tensor).numpy()


def _array(values: Any, where: str) -> npt.NDArray[Any]:
    """Return lists, arrays or tensors as one array."""
    if values is None:
        raise ArkdError(f"{where}: missing")
    if isinstance(values, (list, tuple)) and any(isinstance(row, Tensor) for row in values):
        values = [_numpy(row) for row in values]
    if isinstance(values, Tensor):
        values = _numpy(values)
    try:
        array = np.asarray(values)
    except ValueError:
        raise ArkdError(f"{where}: rows of different lengths; a token has V numbers") from None
    if array.dtype.kind not in "fiu":
        raise ArkdError(f"{where}: {array.dtype} where numbers are expected")
    return array


def logits(values: Any, where: str) -> npt.NDArray[np.float32]:
    """Return a model's logits at some tokens as float32 [N, V].

    Raises:
        ArkdError: `values` are no such rows, not finite, or probabilities.
    """
    array = _array(values, where)
    if array.ndim != 2:
        raise ArkdError(
            f"{where}: {array.ndim} dimensions of shape {array.shape}; pass [tokens, vocabulary], "
            "padding and prompts left out"
        )
    if array.shape[1] < 2:
        raise ArkdError(f"{where}: a vocabulary of {array.shape[1]}; pass a row for each token")
    with np.errstate(over="ignore"):  # what float32 cannot hold is named below
        array = array.astype(np.float32)
    finite = np.isfinite(array).all(axis=1)
    if not finite.all():
        raise ArkdError(
            f"{where}: row {int(finite.argmin())} is not finite; leave masked tokens out, and "
            "columns that a model never predicts"
        )
    if len(array) and (array >= 0).all() and (abs(array.sum(axis=1) - 1) < ROW_SUM).all():
        raise ArkdError(f"{where}: all rows sum to 1: pass logits or log-probabilities")
    return array


def labels(values: Any, shape: tuple[int, ...], where: str) -> npt.NDArray[np.int64]:
    """Return the labels of N tokens [N], given the logits' shape [N, V].

    Raises:
        ArkdError: `values` are not one whole number below V for each token.
    """
    array = _array(values, where)
    if array.dtype.kind == "f" or array.shape != shape[:1]:
        raise ArkdError(
            f"{where}: {array.dtype} of shape {array.shape}; pass one label, a whole number, for "
            f"each of the {shape[0]} tokens"
        )
    outside = (array < 0) | (array >= shape[1])
    if outside.any():
        raise ArkdError(
            f"{where}: label {int(array[outside.argmax()])} is not in the vocabulary of {shape[1]};"
            " leave padding out"
        )
    return array.astype(np.int64)


def arrow(array: npt.NDArray[Any]) -> pa.Array:
    """Return rows, or numbers, as an Arrow column, without a look at each number in Python.

    Raises:
        ArkdError: the rows hold more numbers than one Arrow list can.
    """
    if array.ndim == 1:
        return pa.array(array)
    offsets = np.arange(len(array) + 1, dtype=np.int64) * array.shape[1]
    if offsets[-1] > np.iinfo(np.int32).max:
        raise ArkdError(
            f"{len(array)} tokens of {array.shape[1]} logits at once: add them in smaller batches"
        )
    return pa.ListArray.from_arrays(pa.array(offsets.astype(np.int32)), pa.array(array.ravel()))

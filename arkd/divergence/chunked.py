"""Sweeps over tokens in chunks: losses whose gradient is formed while their logits are at hand.

Shapes: N valid tokens, C of them in a chunk, V vocabulary, H hidden size, K losses of one sweep.
Where several processes train together, N are the tokens of all of them, and hidden states are those
of a process's own; see `arkd.ranks`.

Logits are projected a chunk at a time, in buffers used again and again, and worked on in blocks of
a chunk that fit a processor's cache. No [N, V]-sized tensor ever exists; a loss keeps its gradients
on hidden states and head, of [N, H] and [V, H], instead of the graph behind them. Sweeps compute in
the head's precision within `torch.autocast`, too, and are run as they stand by `torch.compile`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, TypeVar, cast

import torch
from torch import Tensor

from arkd import ranks
from arkd.divergence.head import Head
from arkd.ranks import Place

CHUNK_BYTES = 32 * 2**20  # of one [C, V] float32 tensor: large enough for a fast product
ACCELERATOR_CHUNK_BYTES = 256 * 2**20  # the same, where each kernel costs a start
BLOCK_BYTES = 2 * 2**20  # of one tensor of element-wise work, on a CPU: small enough for its cache

# K losses of each row [C], and the gradient of each on the student's logits [C, V].
Formed = tuple[tuple[Tensor, ...], tuple[Tensor, ...]]
# Of some rows: both models' logits [C, V], which may be overwritten, and the rows.
Kernel = Callable[[Tensor, Tensor | None, slice], Formed]
Function = TypeVar("Function", bound=Callable[..., Any])
Wanted = tuple[bool, bool]  # whether weight and bias of the head take a gradient


class Projection:
    """A head over the hidden states of N tokens: logits, a chunk at a time, in one buffer."""

    def __init__(self, hidden_NH: Tensor, head: Head) -> None:
        self.hidden_NH = hidden_NH.detach()
        self.head = head.detach().to(head.dtype)  # once, not once a chunk
        self._buffer: Tensor | None = None

    def chunk(self, rows: slice) -> Tensor:
        """Return the logits [C, V] of some rows; they last until the next call."""
        size = rows.stop - rows.start
        if self._buffer is None:
            shape = size, len(self.head)
            self._buffer = self.hidden_NH.new_empty(shape, dtype=self.head.dtype)
        return self.head.logits(self.hidden_NH[rows], out=self._buffer[:size])


def chunks(n_tokens: int, vocabulary: int, on_cpu: bool = True) -> Iterator[slice]:
    """Yield slices of rows whose float32 logits take at most a chunk (at least one row)."""
    most = CHUNK_BYTES if on_cpu else ACCELERATOR_CHUNK_BYTES
    return _slices(n_tokens, most // (4 * vocabulary))


def _blocks(start: int, logits_CV: Tensor) -> Iterator[tuple[slice, slice]]:
    """Yield the parts of a chunk to work on at once: their rows of N, and those of the chunk.

    On a GPU it is the chunk as a whole.
    """
    fitting = BLOCK_BYTES // (4 * logits_CV.shape[1])
    for block in _slices(len(logits_CV), fitting if logits_CV.is_cpu else len(logits_CV)):
        yield slice(start + block.start, start + block.stop), block


def _slices(n: int, size: int) -> Iterator[slice]:
    for start in range(0, n, max(1, size)):
        yield slice(start, min(start + max(1, size), n))


@torch.no_grad()
def sweep(place: Place, *models: Projection) -> Iterator[tuple[slice, list[Tensor]]]:
    """Yield rows of N, block by block, with the logits [C, V] of each model over them."""
    first = models[0]
    with outside_autocast(first.hidden_NH):
        for rows in chunks(len(first.hidden_NH), len(first.head), first.hidden_NH.is_cpu):
            logits = [model.chunk(rows) for model in models]
            for at, block in _blocks(place.first + rows.start, logits[0]):
                yield at, [logits_CV[block] for logits_CV in logits]


def outside_autocast(tensor: Tensor) -> torch.autocast:
    """Return the context in which operators on a tensor's device compute in their own precision."""
    return torch.autocast(tensor.device.type, enabled=False)


def _as_it_stands(function: Function) -> Function:
    """Return a function that `torch.compile` leaves alone: buffers and loops are all its own."""
    return cast("Function", torch.compiler.disable(function))


class _Gradients:
    """The gradients of one loss on hidden states, head and bias, summed up chunk by chunk.

    What is frozen has none, and a frozen head's product is saved.
    """

    def __init__(self, student: Projection, dtype: torch.dtype, wanted: Wanted) -> None:
        self.student = student
        self.hidden_NH = torch.empty_like(student.hidden_NH, dtype=dtype)
        weight_VH, bias_V = student.head.weight_VH, student.head.bias_V
        of_weight, of_bias = wanted
        self.weight_VH = torch.zeros_like(weight_VH) if of_weight else None
        self.bias_V = torch.zeros_like(bias_V) if of_bias and bias_V is not None else None

    def add(self, rows: slice, grad_CV: Tensor) -> None:
        """Add a chunk's gradient on W·h + b, the scale left out."""
        head, hidden_CH = self.student.head, self.student.hidden_NH[rows]
        self.hidden_NH[rows] = (grad_CV @ head.weight_VH).mul_(head.scale)
        if self.weight_VH is not None:
            self.weight_VH.addmm_(grad_CV.T, hidden_CH.to(head.dtype), alpha=head.scale)
        if self.bias_V is not None:
            self.bias_V.add_(grad_CV.sum(0), alpha=head.scale)


@dataclass(frozen=True)
class _Pair:
    """The models of a sweep, without the tensors of the student that autograd has to see."""

    scale: float
    soft_cap: float | None
    other: Projection | None
    place: Place

    def student(self, hidden_NH: Tensor, weight_VH: Tensor, bias_V: Tensor | None) -> Projection:
        """Return the student's logits, given its tensors."""
        return Projection(hidden_NH, Head(weight_VH, bias_V, self.scale, self.soft_cap))


def _gradient_sweep(
    pair: _Pair, student: Projection, kernel: Kernel, count: int, wanted: Wanted
) -> tuple[list[Tensor], list[_Gradients]]:
    """Return K losses of each row [N], and the gradients of their sums."""
    place, other, cap = pair.place, pair.other, pair.soft_cap
    shape, kind = (count, place.total), student.head.dtype
    losses = list(student.hidden_NH.new_zeros(shape, dtype=kind))
    # One gradient is rounded to the states' precision as it is; several are when they are joined.
    dtype = student.hidden_NH.dtype if count == 1 else student.head.dtype
    found = [_Gradients(student, dtype, wanted) for _ in range(count)]
    further: list[Tensor] = []  # buffers; the first gradient takes the logits' place
    with outside_autocast(student.hidden_NH):
        for rows in chunks(len(student.hidden_NH), len(student.head), student.hidden_NH.is_cpu):
            logits_CV = student.chunk(rows)
            other_CV = other.chunk(rows) if other else None
            further = further or [torch.empty_like(logits_CV) for _ in range(count - 1)]
            grads = [logits_CV, *(buffer[: len(logits_CV)] for buffer in further)]
            for at, block in _blocks(place.first + rows.start, logits_CV):
                block_CV = logits_CV[block]
                slope_CV = None if cap is None else 1 - (block_CV / cap).square()
                values, formed = kernel(block_CV, None if other_CV is None else other_CV[block], at)
                for loss_N, value_C in zip(losses, values, strict=True):
                    loss_N[at] = value_C
                for grad_CV, own_CV in zip(grads, formed, strict=True):
                    grad_CV[block] = own_CV if slope_CV is None else own_CV.mul_(slope_CV)
            for gradients, grad_CV in zip(found, grads, strict=True):
                gradients.add(rows, grad_CV)
    return losses, found


class _Swept(torch.autograd.Function):
    """K sums over rows of a kernel's losses; the gradients are formed in the forward sweep."""

    @staticmethod
    def forward(ctx: Any, pair: _Pair, kernel: Kernel, count: int, *student: Any) -> Any:
        projection = pair.student(*student)
        losses, found = _gradient_sweep(pair, projection, kernel, count, _wanted(ctx))
        ranks.complete(*losses)
        hidden_NH, weight_VH, _ = student
        ctx.count, ctx.dtypes = count, (hidden_NH.dtype, weight_VH.dtype, weight_VH.dtype)
        kept = weight_VH.dtype if count == 1 else projection.head.dtype
        ctx.save_for_backward(*(part for gradients in found for part in _like(gradients, kept)))
        ctx.mark_non_differentiable(*losses)
        return *(loss_N.sum() for loss_N in losses), *losses

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        joined: list[Tensor | None] = []
        saved = (
            ctx.saved_tensors
        )  # once: a hook on them, as a checkpoint's, is called anew each time
        for place, dtype in enumerate(ctx.dtypes):  # hidden states, weight, bias
            parts = saved[place::3]
            if parts[0] is None or not ctx.needs_input_grad[3 + place]:
                joined.append(None)
                continue
            total = grads[0] * parts[0]
            for grad, part in zip(grads[1 : ctx.count], parts[1:], strict=True):
                total.add_(grad * part)
            joined.append(total.to(dtype))
        return None, None, None, *joined


class _Recomputed(torch.autograd.Function):
    """Losses of each row that were measured before; their weights arrive in the backward pass."""

    @staticmethod
    def forward(
        ctx: Any,
        pair: _Pair,
        weighted: Callable[..., Kernel],
        measured: tuple[Tensor, ...],
        *student: Any,
    ) -> Any:
        ctx.save_for_backward(*student)
        ctx.rest = pair, weighted
        return tuple(loss_N.clone() for loss_N in measured)

    @staticmethod
    def backward(ctx: Any, *weights_N: Any) -> Any:
        (pair, weighted), student = ctx.rest, ctx.saved_tensors
        kernel = weighted(*weights_N)
        _, (found,) = _gradient_sweep(pair, pair.student(*student), kernel, 1, _wanted(ctx))
        return None, None, None, *_like(found, student[1].dtype)


def _wanted(ctx: Any) -> Wanted:
    return ctx.needs_input_grad[4], ctx.needs_input_grad[5]


def _like(found: _Gradients, dtype: torch.dtype) -> tuple[Tensor | None, ...]:
    """Return gradients on states, weight and bias, the latter two in a dtype."""
    of_head = (None if part is None else part.to(dtype) for part in (found.weight_VH, found.bias_V))
    return found.hidden_NH, *of_head


@_as_it_stands
def swept(
    place: Place,
    hidden_NH: Tensor,
    head: Head,
    other: Projection | None,
    kernel: Kernel,
    count: int = 1,
) -> tuple[Tensor, ...]:
    """Return the sums of a kernel's K losses, differentiable, and then the losses, each [N].

    The gradients on hidden states, head and bias are formed in the forward sweep, and are all that
    is kept for the backward pass.

    Args:
        place: Where the tokens of the hidden states stand among N.
        hidden_NH: The student's hidden states, differentiable.
        head: The student's, differentiable unless frozen.
        other: The other model's logits, which get no gradient; None if the kernel reads none.
        kernel: Forms the K losses of some rows and their gradients on the logits.
        count: K.
    """
    pair = _Pair(head.scale, head.soft_cap, other, place)
    student = head.weight_VH, head.bias_V
    found: tuple[Tensor, ...] = _Swept.apply(pair, kernel, count, hidden_NH, *student)
    return found


@_as_it_stands
def recomputed(
    place: Place,
    hidden_NH: Tensor,
    head: Head,
    other: Projection | None,
    weighted: Callable[..., Kernel],
    *measured: Tensor,
) -> tuple[Tensor, ...]:
    """Return losses of each row [N] that were measured before, now differentiable.

    The backward pass sweeps once more, with the kernel `weighted(*weights_N)` of their weighted
    sum; the weights are the gradients that arrive at each loss. The inputs are all that is kept.

    Args:
        place: Where the tokens of the hidden states stand among N.
        hidden_NH: The student's hidden states, differentiable.
        head: The student's, differentiable unless frozen.
        other: The other model's logits, which get no gradient; None if the kernel reads none.
        weighted: Makes the kernel of the weighted sum from the weights of each loss [N].
        *measured: The losses, each [N], as an earlier sweep found them.
    """
    pair = _Pair(head.scale, head.soft_cap, other, place)
    student = head.weight_VH, head.bias_V
    found: tuple[Tensor, ...] = _Recomputed.apply(pair, weighted, measured, hidden_NH, *student)
    return found

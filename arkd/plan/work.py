"""What a job computes: tokens, operations and passes, and how long a GPU takes over them.

Shapes: V vocabulary, H and G the hidden sizes of student and teacher.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields, replace

from arkd.plan.gpus import BANDWIDTH_SHARE, LAYER_S, UTILISATION, Gpu
from arkd.plan.gpus import USABLE as GPU_USABLE
from arkd.sizes.fitting import fitting
from arkd.sizes.memory import BATCH_TOKENS, Held, Objective
from arkd.sizes.shapes import BYTES, Shape
from arkd.suite.settings import Training

# Arrays of [tokens, vocabulary] in float32 that every measure of fidelity, calibration among them,
# reads and writes; a test counts them.
MEASURED_PASSES = 160
AUTO_MICRO = 8  # rows at once that `training.micro_batch: auto` is taken to find room for


@dataclass(frozen=True)
class Room:
    """What tells how many rows fit a GPU: the bytes of a row, and those that stand beside."""

    row: int
    held: int


@dataclass(frozen=True)
class Fitted:
    """Answers that are drawn by as many rows at once as a GPU has the memory for."""

    rows: float  # prompts
    layers: float  # passes through one block, of a batch
    read: float  # bytes of weights that a batch reads
    room: Room
    count: float = 1

    def batches(self, gpu: Gpu) -> int:
        """Return how many batches there are on a GPU."""
        free = GPU_USABLE * gpu.gib * 2**30 - self.room.held
        return math.ceil(self.rows / fitting(free, self.room.row))


@dataclass(frozen=True)
class Work:
    """Sums over a job; they add up over jobs."""

    trained_tokens: float = 0  # that models are trained on, each pass counted once
    teacher_tokens: float = 0  # that a teacher reads
    drawn_tokens: float = 0
    body_flops: float = 0  # of the blocks, in the suite's precision
    head_flops: float = 0  # of heads and losses, in float32 or TF32
    launched_layers: float = 0  # passes through one block
    decoded_layers: float = 0  # the same, one token a row
    decoded_bytes: float = 0  # weights, keys and values that decoding reads
    measured_bytes: float = 0  # that element-wise work on logits reads and writes
    fitted: tuple[Fitted, ...] = ()  # decoding by as many rows at once as fit a GPU

    def __add__(self, other: Work) -> Work:
        return Work(*(getattr(self, f.name) + getattr(other, f.name) for f in fields(self)))

    def times(self, count: float) -> Work:
        """Return the work of so many."""
        numbers = {f.name: getattr(self, f.name) * count for f in fields(self)[:-1]}
        fitted = tuple(replace(draws, count=draws.count * count) for draws in self.fitted)
        return Work(**numbers, fitted=fitted)

    @property
    def flops(self) -> float:
        """All operations."""
        return self.body_flops + self.head_flops

    def hours(self, gpu: Gpu, training: Training) -> float:
        """Return the hours that one GPU takes."""
        products = "tf32" if training.tf32 else "float32"
        bodies = products if training.precision == "float32" else training.precision
        body = self.body_flops / (UTILISATION * gpu.rate(bodies))
        head = self.head_flops / (UTILISATION * gpu.rate(products))
        passes = max(body + head, LAYER_S * self.launched_layers)
        batches = [(draws, draws.count * draws.batches(gpu)) for draws in self.fitted]
        decoded = self.decoded_bytes + sum(count * draws.read for draws, count in batches)
        layers = self.decoded_layers + sum(count * draws.layers for draws, count in batches)
        read, measured = (
            count / (BANDWIDTH_SHARE * 1e9 * gpu.gb_s) for count in (decoded, self.measured_bytes)
        )
        return (passes + max(read, LAYER_S * layers) + measured) / 3600


def training(
    held: Held,
    objective: Objective,
    steps: int,
    rows: int,
    lengths: tuple[float, float],
) -> Work:
    """Return the work of a training.

    Args:
        held: The model.
        objective: Its loss.
        steps: Of the optimiser.
        rows: Of a batch.
        lengths: Mean tokens of a prompt and of its answer.
    """
    shape, length = held.shape, sum(lengths)
    tokens, answered = rows * length, rows * lengths[1]
    micro = held.training.micro_batch or rows
    if micro == "auto":
        micro = AUTO_MICRO
    split = micro < rows
    # Forward, and twice as much backward; frozen weights have no gradient of their own. What is
    # not kept is computed again.
    passes = (2 if held.lora else 3) + split + held.training.checkpoint_layers
    body = objective.passes * passes * tokens * shape.flops(length)
    launched = objective.passes * passes * math.ceil(rows / min(micro, rows)) * shape.layers
    frozen = held.lora is not None
    products = _products(shape, objective, frozen) * objective.sweeps * answered
    if objective.lm:
        products += tokens * shape.hidden * (2 if frozen else 3)
    step = Work(
        trained_tokens=objective.passes * tokens,
        body_flops=body,
        head_flops=2 * shape.vocabulary * products,
        launched_layers=launched,
    )
    if objective.live:
        step += states(objective.live, rows, length)
    if objective.sampled:
        prompt, new = lengths[0], objective.sampled
        drawn = drawing(shape, rows, prompt, new, rows, held.training.precision)
        if objective.live and objective.mixed:
            drawn += drawing(objective.live, rows, prompt, new, rows, held.training.precision)
        step += drawn.times(objective.drawing_share)
    return step.times(steps)


def _products(shape: Shape, objective: Objective, frozen: bool) -> int:
    """Return the widths of a sweep's matrix products of V, for one token: see docs/performance."""
    h = shape.hidden
    g = objective.teacher.hidden if objective.teacher else 0
    of_weights = 0 if frozen else 1
    if objective.late:
        return (3 + of_weights) * h + 2 * g
    return h + g + objective.gradients * (1 + of_weights) * h


def states(shape: Shape, rows: float, length: float, read: bool = True) -> Work:
    """Return the work of running a model once over rows; a teacher's, unless it is none.

    Args:
        shape: Of the model.
        rows: Sequences; a fraction where only their tokens are known.
        length: Mean tokens of a sequence, prompt and response.
        read: Whether it is the teacher, whose tokens are counted apart.
    """
    passes = math.ceil(rows * length / BATCH_TOKENS)
    return Work(
        teacher_tokens=rows * length if read else 0,
        body_flops=rows * length * shape.flops(length),
        launched_layers=passes * shape.layers,
    )


def fidelity(student: Shape, teacher: Shape, tokens: float) -> Work:
    """Return the work of comparing both models' logits at some tokens, their states being known."""
    return Work(
        head_flops=2 * tokens * (student.head + teacher.head),
        measured_bytes=4 * MEASURED_PASSES * tokens * student.vocabulary,
    )


def drawing(
    shape: Shape,
    rows: float,
    prompt: float,
    new: int,
    batch: int | Room,
    precision: str,
    alike: bool = False,
) -> Work:
    """Return the work of sampling an answer to each prompt, all as long as they may be.

    Args:
        shape: What draws.
        rows: Prompts.
        prompt: Mean tokens of one.
        new: Tokens of an answer.
        batch: Prompts that are answered at once, or what tells how many fit a GPU.
        precision: Of weights, keys and values.
        alike: Whether only prompts of one length share a batch, which makes more batches.
    """
    wide = BYTES[precision]
    weights = new * wide * (shape.products + shape.head)
    cache = new * rows * (prompt + new / 2) * shape.cached(wide)
    done = Work(
        drawn_tokens=rows * new,
        body_flops=rows * (prompt + new) * shape.flops(prompt + new),
        head_flops=2 * rows * new * shape.head,
        decoded_bytes=cache,
    )
    layers = new * shape.layers
    if isinstance(batch, Room):
        return replace(done, fitted=(Fitted(rows, layers, weights, batch),))
    batches = math.ceil(rows / batch) + (min(rows, 2 * prompt) if alike else 0)
    return done + Work(decoded_layers=batches * layers, decoded_bytes=batches * weights)

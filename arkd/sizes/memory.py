"""What a job holds at its peak, from the shapes of its models.

A training step has a few moments at which the most can be held; the largest counts. Where several
processes share out a model, each has its part of it, and whole what runs: the root, which is
embeddings and head, a block, and the next one, which is gathered meanwhile. Shapes: N tokens of a
batch, V vocabulary, H and G the hidden sizes of student and teacher.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from arkd.errors import ArkdError
from arkd.sizes.shapes import BYTES, Shape
from arkd.suite.settings import Lora, Training

# As in `arkd.divergence.chunked` and `arkd.teacher.cache`, which load torch; a test compares them.
CHUNK_BYTES = 32 * 2**20
ACCELERATOR_CHUNK_BYTES = 256 * 2**20
BLOCK_BYTES = 2 * 2**20
BATCH_TOKENS = 4096

SAMPLING = 36  # bytes a logit at once: scores, their sorted copies and places, probabilities
MEASURED = 15  # chunk-sized tensors at once where fidelity is measured


@dataclass(frozen=True)
class Memory:
    """Bytes at the peak of a job, on its device; and in RAM beside it."""

    weights: int = 0
    optimiser: int = 0  # AdamW's moments and the gradients of what is trained
    activations: int = 0  # states, keys and values of the passes
    loss: int = 0  # logits, the teacher's head and states, gradients on head and states
    host: int = 0

    @property
    def peak(self) -> int:
        """All of it on the device."""
        return self.weights + self.optimiser + self.activations + self.loss


@dataclass(frozen=True)
class Objective:
    """What a step's loss needs beside one pass of the model."""

    teacher: Shape | None = None  # whose cached states and head it reads
    passes: int = 1  # over batches whose states are held together
    sweeps: int = 1  # sums of token losses, each with its own gradient on the head
    gradients: int = 1  # of a sweep; two where both divergences' are formed before the weights
    late: bool = False  # weights follow from what is measured, by a second sweep
    tensors: int = 7  # block-sized, at once
    lm: bool = False  # λ·L_pt, a cross-entropy over every token
    live: Shape | None = None  # a teacher that is run in the step
    sampled: int = 0  # new tokens of each row that are drawn in the step
    drawing_share: float = 1.0  # of the steps, that draw
    mixed: bool = False  # the live teacher draws along


# A cross-entropy of the responses, by which teachers and starts are trained.
CROSS_ENTROPY = Objective(tensors=3)


@dataclass(frozen=True)
class Held:
    """How a model that is trained lies and runs, and what is selected."""

    shape: Shape
    training: Training
    gpu: bool
    lora: Lora | None = None
    selects: bool = False
    draws: bool = False  # answers, by which a state is selected
    processes: int = 1  # that train it together

    @property
    def micro_batch(self) -> int | None:
        """Rows at once; of `auto`, which is for `largest_micro_batch` to settle, one."""
        return 1 if self.training.micro_batch == "auto" else self.training.micro_batch

    @property
    def trained(self) -> int:
        """Parameters that are trained."""
        return self.shape.adapters(self.lora) if self.lora else self.shape.parameters

    @property
    def shards(self) -> int:
        """Processes that share out the model; 1 where each has all of it."""
        return self.processes if self.training.sharding == "full" else 1

    @property
    def wide(self) -> int:
        """Bytes of a weight of the model: what is trained lies in float32."""
        return BYTES[self.training.precision] if self.lora else 4

    @property
    def whole(self) -> int:
        """Bytes of all weights."""
        return self.wide * self.shape.parameters + (4 * self.trained if self.lora else 0)

    @property
    def weights(self) -> int:
        """Bytes of a process's weights, and of those that are gathered while a step runs."""
        if self.shards == 1:
            return self.whole
        adapters = 4 * self.trained // self.shape.layers if self.lora else 0
        return share(self.whole, self.shards) + gathered(self.shape, self.wide) + 2 * adapters

    @property
    def unsummed(self) -> tuple[int, int]:
        """Bytes of gradients before they are summed and shared out: of two blocks, of the root."""
        if self.shards == 1:
            return 0, 0
        root = 0 if self.lora else self.shape.root
        return 2 * 4 * (self.trained - root) // self.shape.layers, 4 * root

    def kept(self, tokens: int) -> tuple[int, int]:
        """Return what passes keep for the backward one, and what a block's own one needs then."""
        shape = self.shape
        half = self.training.precision == "bfloat16"
        block = tokens * shape.kept(self.training, self.lora is not None, self.gpu)
        ends = 12 * shape.hidden * tokens  # embedding, final norm, states
        copies = 2 * shape.products if half and not self.lora else 0  # autocast's, of the weights
        if self.training.checkpoint_layers:
            states = tokens * shape.hidden * (2 if half and self.lora else 4)
            if self.shards > 1:  # autocast keeps none beyond the layer
                return shape.layers * states + ends, 2 * block + copies // shape.layers
            # The copies are gone before a block is run again, in its own backward pass.
            return shape.layers * states + ends, max(copies, 2 * block)
        return shape.layers * block + ends + copies, block


def share(count: int, shards: int) -> int:
    """Return the most that one of several processes has of so many bytes."""
    return -(-count // shards)


def gathered(shape: Shape, wide: int) -> int:
    """Return the bytes of a sharded model's weights that are whole while it runs."""
    return wide * (shape.root + 2 * shape.block)


def chunk_bytes(gpu: bool) -> int:
    """Return the bytes of a chunk of logits."""
    return ACCELERATOR_CHUNK_BYTES if gpu else CHUNK_BYTES


def training(held: Held, rows: int, length: int, objective: Objective) -> Memory:
    """Return what training takes, with rows all as long as they may be.

    Args:
        held: The model.
        rows: Of a batch, or of a process's share of it.
        length: Tokens of a row.
        objective: The loss.
    """
    shape, tokens, wide = held.shape, rows * length, BYTES[held.training.precision]
    states, gradients = 4 * tokens * shape.hidden, share(4 * held.trained, held.shards)
    weights, moments = held.weights, (3 if held.selects else 2) * gradients
    drawing = share(held.whole, held.shards) + held.whole if held.shards > 1 else weights
    if live := objective.live:
        of_teacher = wide * live.parameters
        if held.shards > 1:
            whole = of_teacher if objective.mixed else 0
            of_teacher = share(of_teacher, held.shards)
            drawing += of_teacher + whole
            weights += of_teacher + gathered(live, wide)
        else:
            weights, drawing = weights + of_teacher, drawing + of_teacher
    micro = held.micro_batch or rows
    at_once = min(micro, rows) * length
    kept, block = held.kept(at_once)
    split = micro < rows
    standing, formed, loss, again = _loss(held, tokens, objective)
    of_blocks, of_root = held.unsummed
    joined = objective.passes * 2 * states if split else 0  # of the parts, and as a whole
    all_kept = joined or objective.passes * kept
    # The step's forward pass finds the gradients of the step before; the backward pass begins
    # without, and has all of them while a second micro-batch adds to those of the first. Last is
    # the embedding's, which the head's is added to. Of a sharded model the root's are whole until
    # then, and there once more to be summed over the processes.
    kept_then = (joined + kept if split else all_kept) + block
    last = Memory(weights, moments + gradients, 0, standing + formed)
    if held.shards > 1:
        last = Memory(weights, moments + gradients + 2 * of_root, 0, standing)
    moments_of_step = [
        Memory(weights, moments + gradients, all_kept, standing + loss),
        Memory(weights, moments + of_blocks, kept_then, standing + again),
        last,
    ]
    if split:
        with_gradients = moments + gradients + of_blocks + of_root
        moments_of_step.append(Memory(weights, with_gradients, joined + kept + block, standing))
    if held.shards > 1 and held.draws:
        moments_of_step.append(Memory(drawing, moments + gradients))
    if objective.sampled:
        drawn = decoding(shape, rows, length, held.training)
        if objective.live and objective.mixed:
            drawn += decoding(objective.live, rows, length, held.training)
        moments_of_step.append(Memory(drawing, moments + gradients, drawn, standing))
    most = max(moments_of_step, key=lambda moment: moment.peak)
    # A checkpoint is written from a copy in RAM.
    copy = gradients + moments
    return Memory(most.weights, most.optimiser, most.activations, most.loss, copy)


def largest_micro_batch(held: Held, rows: int, length: int, objective: Objective, room: int) -> int:
    """Return how many rows of a batch may run at once: all, or a half, a quarter and so on of them.

    Args:
        held: The model.
        rows: Of a batch.
        length: Tokens of a row.
        objective: The loss.
        room: The bytes that there are, those included which the model has already.

    Raises:
        ArkdError: not one row fits.
    """
    micro = rows
    while True:
        training_ = held.training.model_copy(update={"micro_batch": micro})
        peak = training(replace(held, training=training_), rows, length, objective).peak
        if peak <= room:
            return micro
        if micro == 1:
            raise ArkdError(
                f"training.micro_batch: one row takes {peak / 2**30:.1f} GiB by the plan, and "
                f"there are {room / 2**30:.1f}; set checkpoint_layers: true, or take a larger GPU"
            )
        micro = -(-micro // 2)


def _loss(held: Held, tokens: int, objective: Objective) -> tuple[int, int, int, int]:
    """Return what a loss holds: always, as one gradient on the head, at its most, and backward."""
    shape, teacher = held.shape, objective.teacher
    chunk = min(chunk_bytes(held.gpu), 4 * shape.vocabulary * tokens)
    block = chunk if held.gpu else min(BLOCK_BYTES, chunk)
    states = 4 * tokens * shape.hidden
    of_head = 0 if held.lora else 4 * shape.head
    # A head that lies in bfloat16 is read in float32.
    copied = 4 * shape.head if held.lora and held.training.precision == "bfloat16" else 0
    standing = 4 * teacher.head if teacher else 0
    read = 4 * tokens * teacher.hidden if teacher else 0
    buffers = chunk * (objective.gradients + (teacher is not None)) + objective.tensors * block
    sums = objective.sweeps * objective.gradients
    kept = 0 if objective.late else sums * (of_head + states)
    most = kept + buffers
    if objective.lm:  # after the divergence, whose buffers are gone
        kept += of_head + states
        most = max(most, kept + chunk + 3 * block)
    second = of_head + states + buffers + copied + read
    again = kept + (second if objective.late else of_head)
    return standing, of_head, read + states + copied + most, again


def decoding(shape: Shape, rows: int, length: int, training: Training) -> int:
    """Return what sampling takes beside the weights, with sequences that grow so long.

    Args:
        shape: Of the model.
        rows: Sequences sampled at once.
        length: Of the longest sequence, prompt and response, in tokens.
        training: Whose precision the model runs in.
    """
    wide = BYTES[training.precision]
    cache = rows * length * shape.cached(wide)
    grown = cache // shape.layers  # a block's keys and values are copied as they grow
    return cache + grown + rows * shape.vocabulary * SAMPLING


def passing(shape: Shape, training: Training, tokens: int = BATCH_TOKENS) -> int:
    """Return what a pass that keeps nothing takes beside the weights."""
    return tokens * shape.passing(BYTES[training.precision])


def evaluating(
    student: Shape,
    teacher: Shape,
    training: Training,
    gpu: bool,
    *,
    rows: int,
    length: int,
    scored: int,
    positions: int,
) -> Memory:
    """Return what the evaluation of a model takes.

    Args:
        student: What is evaluated.
        teacher: What it is compared with.
        training: The precision.
        gpu: Whether it runs on one.
        rows: Of a batch.
        length: Of a prompt and its answer, in tokens.
        scored: Of the rows whose likelihood is asked, in tokens; their logits are dense.
        positions: Tokens whose fidelity is measured, in the largest set.
    """
    wide = BYTES[training.precision]
    student_bytes, both = (
        wide * student.parameters,
        wide * (student.parameters + teacher.parameters),
    )
    chunk = min(chunk_bytes(gpu), 4 * student.vocabulary * positions)
    copied = 4 * (student.head + teacher.head) if wide == 2 else 0  # before a chunk is measured
    measured = max(MEASURED * chunk, copied + 2 * chunk)
    states = 4 * positions * (student.hidden + teacher.hidden)
    # The states of all positions are gathered in RAM.
    beside = 0 if gpu else 2 * states
    logits = (wide + 4) * rows * scored * student.vocabulary  # and their logarithms in float32
    moments = [
        Memory(student_bytes, 0, decoding(student, rows, length, training), 0),
        Memory(student_bytes, 0, rows * scored * student.passing(wide), logits),
        Memory(both, 0, passing(teacher, training) + beside, 0),
        Memory(both, 0, states + beside, measured),
    ]
    most = max(moments, key=lambda moment: moment.peak)
    host = 2 * states if gpu else 0
    return Memory(most.weights, 0, most.activations, most.loss, host)

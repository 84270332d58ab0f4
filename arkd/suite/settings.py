"""The parts of a suite: its models, its decoding and its tails, each checked key by key."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import Field, SerializerFunctionWrapHandler, model_serializer, model_validator

from arkd.storage.names import NAME
from arkd.suite.protocol import Optimisation, Seed, Temperature
from arkd.validated import Frozen

# Rows that run at once: a number, or as many as an accelerator has the memory for.
Rows = Annotated[int, Field(gt=0)] | Literal["auto"]

# How answers share a model's passes; see `Decoding.engine`.
Engine = Literal["batched", "continuous"]


class Grown(Frozen):
    """Settings that got keys after results were kept: at their defaults these are not written.

    Manifests of before have no such key.
    """

    LATER: ClassVar[tuple[str, ...]]

    @model_serializer(mode="wrap")
    def _without_defaults(self, dump: SerializerFunctionWrapHandler) -> dict[str, Any]:
        found: dict[str, Any] = dump(self)
        fields = type(self).model_fields
        return {
            key: value
            for key, value in found.items()
            if key not in self.LATER or getattr(self, key) != fields[key].default
        }


# What stands beside the pairs in a suite's folder, and beside the rows in a pair's.
BESIDE_PAIRS = (
    *("data", "tables", "claims", "figures", "report", "report.html", "logs", "manifest.json"),
    *("records.csv", "items.csv", "trajectories.csv", "cost.csv", "suite.yaml", "sha256sums"),
    "foreign",
)
BESIDE_SUITES = ("reference", "performance", "readme.md", "packs", "submissions", "leaderboard")


class Scratch(Frozen):
    """A small model that starts from random weights."""

    source: Literal["scratch"]
    family: Literal["llama", "gpt2"] = Field("llama", description="whose blocks it has")
    hidden: int = Field(gt=0, description="width of the residual stream")
    layers: int = Field(gt=0, description="blocks")
    heads: int = Field(gt=0, description="attention heads of a block")
    intermediate: int = Field(gt=0, description="width of the feed-forward layer, gated in Llama")
    context: int = Field(128, gt=1, description="longest sequence, in tokens")
    vocabulary: int = Field(
        1024, gt=257, description="size of the BPE vocabulary trained in the run"
    )
    init_std: float | None = Field(
        None, gt=0, description="of the random weights; none: hidden ** -0.5, for narrow models"
    )

    @model_validator(mode="after")
    def _heads_divide(self) -> Scratch:
        if self.hidden % (2 * self.heads):
            raise ValueError(f"hidden must be an even multiple of heads ({self.heads})")
        return self

    @property
    def gpt2(self) -> dict[str, Any]:
        """The sizes as GPT-2's configuration names them, without dropout: Llama has none."""
        sizes = {"n_embd": self.hidden, "n_inner": self.intermediate, "n_layer": self.layers}
        sizes |= {"n_head": self.heads, "n_positions": self.context}
        return sizes | dict.fromkeys(("embd_pdrop", "attn_pdrop", "resid_pdrop"), 0.0)


class Pretrained(Frozen):
    """A model that a pinned package ships."""

    source: Literal["smollm2"]


class Folder(Frozen):
    """A Hugging Face folder, from the suite's own folder, else from `benchmarks/`."""

    source: Literal["folder"]
    path: str = Field(description="from the suite's own folder, else from `benchmarks/`")


class Hub(Frozen):
    """A model of the Hugging Face hub, as one commit has it."""

    source: Literal["hub"]
    repo: str = Field(pattern=r"^[\w.-]+/[\w.-]+$", description="owner/name")
    revision: str = Field(pattern=r"^[0-9a-f]{40}$", description="full hash of a commit")


class Cut(Frozen):
    """A student made of some of the teacher's own layers."""

    source: Literal["cut"]
    layers: int = Field(gt=1, description="how many, evenly spaced, first and last among them")


class Lora(Frozen):
    """Low-rank adapters that are trained in the place of the weights, and merged at the end."""

    rank: int = Field(16, gt=0, description="of the product that is added to a weight")
    alpha: int = Field(32, gt=0, description="the adapters' scale is alpha / rank")
    dropout: float = Field(0.0, ge=0, lt=1, description="of the adapters' inputs, in training")
    targets: tuple[str, ...] = Field(
        (), description="names of the layers that get one; none: every linear layer of the blocks"
    )


class DecodingChange(Frozen):
    """Another way to decode the same students: what differs from the suite's own."""

    temperature: Temperature | None = None
    top_p: float | None = Field(None, gt=0, le=1)
    top_k: int | None = Field(None, ge=0)
    no_repeat_ngram: int | None = Field(None, ge=0)

    @property
    def changes(self) -> dict[str, Any]:
        """The settings that differ."""
        return self.model_dump(exclude_none=True)

    @property
    def label(self) -> str:
        """The name of its columns and records, such as `top_p=1.0`."""
        return ",".join(f"{key}={value}" for key, value in self.changes.items())


class Decoding(Grown):
    """Sampling of evaluated text."""

    LATER = ("engine",)

    seeds: tuple[Seed, ...] = Field((1, 2, 3), description="each prompt is answered once by each")
    temperature: Temperature = Field(1.0, description="softens the student that is sampled")
    top_p: float = Field(
        0.9, gt=0, le=1, description="nucleus: the fewest tokens with that mass; 1: all tokens"
    )
    top_k: int = Field(0, ge=0, description="0 means no limit")
    no_repeat_ngram: int = Field(
        0, ge=0, description="length of the n-grams that an answer holds once; 0: it may repeat"
    )
    max_new_tokens: int = Field(48, gt=0, description="of an answer, its end token included")
    batch_size: Rows = Field(
        256,
        description="texts drawn or scored at once; auto: of either kind as many as a GPU has the "
        "memory for, and 64 on a CPU",
    )
    engine: Engine = Field(
        "batched",
        description="batched: the answers of a batch wait for its longest; continuous: a finished "
        "one's place goes to the next prompt, with the same draws; what a training draws at each "
        "step, a batch at once, is always batched",
    )
    variants: tuple[DecodingChange, ...] = Field(
        (), description="decode once more so, for ROUGE-L alone: what decoding does to it"
    )

    @model_validator(mode="after")
    def _distinct(self) -> Self:
        if len({*self.seeds}) < len(self.seeds):
            raise ValueError("seeds: one stands twice; its draws would be counted twice")
        labels = [variant.label for variant in self.variants]
        if len({*labels}) < len(labels) or "" in labels:
            raise ValueError("variants: one stands twice, or changes nothing")
        repeats = [self.no_repeat_ngram, *(v.no_repeat_ngram for v in self.variants)]
        if self.engine == "continuous" and any(repeats):
            raise ValueError(
                "engine: continuous does not know what a text holds already; set it to batched, or "
                "no_repeat_ngram to 0"
            )
        return self


class TailSettings(Frozen):
    """Settings of the tail-probability metrics."""

    tail_mass: float = Field(0.9, gt=0, lt=1, description="μ: the tail lies beyond it")
    epsilon_scale: float = Field(0.1, gt=0, description="ε = scale / vocabulary")
    recall_ratio: float = Field(0.5, gt=0, description="c: a tail token is recalled if q ≥ c·p")
    top_k: int = Field(5, gt=1, description="k of the agreement of both models' first tokens")
    ece_bins: int = Field(15, gt=0, description="of the calibration errors, equal in width")
    prefixes: tuple[Literal["gold", "teacher", "student"], ...] = Field(
        ("gold", "teacher", "student"), description="on whose responses both models are compared"
    )
    items_per_set: int = Field(100, gt=0, description="test items whose positions are measured")
    overlap: bool = Field(
        False, description="also record how far the tails of student and teacher overlap"
    )


class Pair(Frozen):
    """A teacher and the student distilled from it."""

    name: str = Field(pattern=NAME, max_length=100, description="of its folder in the results")
    teacher: Annotated[Scratch | Pretrained | Folder | Hub, Field(discriminator="source")] = Field(
        description="the model that is learnt from"
    )
    student: Annotated[Scratch | Cut | Folder | Hub, Field(discriminator="source")] = Field(
        description="the model that learns"
    )
    teacher_lora: Lora | None = Field(None, description="adapters of a teacher that is trained")
    lora: Lora | None = Field(None, description="adapters of every student; none: all weights")
    teacher_training: Optimisation | None = Field(
        None, description="how the teacher is trained on the suite's data; none: used as it is"
    )
    published: str | None = Field(None, description="pair of benchmarks/published to stand beside")

    @model_validator(mode="after")
    def _teacher_can_be_made(self) -> Pair:
        if isinstance(self.teacher, Scratch) and self.teacher_training is None:
            raise ValueError("a teacher from scratch needs teacher_training")
        if self.name.casefold() in BESIDE_PAIRS:
            raise ValueError(f"the name '{self.name}' is taken by what stands beside the pairs")
        return self


class Training(Grown):
    """How models are held and run: memory against time, and the precision of their bodies."""

    LATER = ("sharding",)

    precision: Literal["float32", "bfloat16"] = Field(
        "float32",
        description="bfloat16: bodies run, and frozen weights lie, in it; what is trained, logits "
        "and losses stay in float32",
    )
    micro_batch: Rows | None = Field(
        None,
        description="rows of a batch that run at once, the others before and after them; the loss "
        "is of the whole batch; auto: as many as a GPU has the memory for by the plan; none, and "
        "auto on a CPU: all at once",
    )
    devices: int = Field(
        1,
        gt=0,
        description="processes that train one student, each on its share of every batch and, where "
        "there are any, on a GPU of its own; the batch and its loss stay what they are",
    )
    sharding: Literal["none", "full"] = Field(
        "none",
        description="full: the processes share out weights, gradients and the optimiser's moments, "
        "as FSDP does, for students that one GPU does not hold; a teacher that is run beside the "
        "student as well; none: each holds all of them",
    )
    checkpoint_layers: bool = Field(
        False, description="keep no activations within a block, compute them again"
    )
    tf32: bool = Field(
        False,
        description="on a GPU, round the factors of float32 matrix products to TF32: faster, and "
        "off by 1e-3 where float32 is off by 1e-7",
    )

    @model_validator(mode="after")
    def _shards_have_holders(self) -> Self:
        if self.sharding == "full" and self.devices == 1:
            raise ValueError("sharding: full needs several processes to share a model: set devices")
        return self

"""The parts of a suite: data, models, protocol, decoding and methods, each checked key by key."""

from __future__ import annotations

import math
import re
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from arkd.errors import ArkdError
from arkd.validated import Frozen

# A name of a folder, and softening that float32 can still tell from the greedy choice.
NAME = r"^[A-Za-z0-9_-][A-Za-z0-9._-]*$"
Temperature = Annotated[float, Field(ge=0.01, le=100)]
Share = Annotated[float, Field(ge=0, lt=1)]
Split = Literal["all", "first", "second"]
Prefixes = Literal["gold", "teacher", "student", "mixed"]
Support = Literal["vocabulary", "teacher_top_k", "student_top_k"]
SupportTail = Literal["bucket", "renormalised", "dropped"]
FOLDER = re.compile(r"(?!\.)[^/\x00-\x1f\x7f]{1,200}")  # the label of a row
# What stands beside the pairs in a suite's folder, and beside the rows in a pair's.
BESIDE_PAIRS = (
    *("data", "tables", "claims", "figures", "report", "report.html", "logs", "manifest.json"),
    *("records.csv", "items.csv", "trajectories.csv", "cost.csv", "suite.yaml", "sha256sums"),
)
BESIDE_SUITES = ("reference", "performance", "readme.md")
BESIDE_ROWS = ("tokens", "cache", "teacher", "init", "untrained")


class Scratch(Frozen):
    """A small Llama that starts from random weights."""

    source: Literal["scratch"]
    hidden: int = Field(gt=0, description="width of the residual stream")
    layers: int = Field(gt=0)
    heads: int = Field(gt=0)
    intermediate: int = Field(gt=0, description="width of the gated feed-forward layer")
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


class Pretrained(Frozen):
    """A model that a pinned package ships."""

    source: Literal["smollm2"]


class Folder(Frozen):
    """A Hugging Face folder, from the suite's own folder, else from `benchmarks/`."""

    source: Literal["folder"]
    path: str


class Hub(Frozen):
    """A model of the Hugging Face hub, as one commit has it."""

    source: Literal["hub"]
    repo: str = Field(pattern=r"^[\w.-]+/[\w.-]+$", description="owner/name")
    revision: str = Field(pattern=r"^[0-9a-f]{40}$", description="full hash of a commit")


class Cut(Frozen):
    """A student made of some of the teacher's own layers."""

    source: Literal["cut"]
    layers: int = Field(gt=1)


class Lora(Frozen):
    """Low-rank adapters that are trained in the place of the weights, and merged at the end."""

    rank: int = Field(16, gt=0)
    alpha: int = Field(32, gt=0, description="the adapters' scale is alpha / rank")
    dropout: float = Field(0.0, ge=0, lt=1)
    targets: tuple[str, ...] = Field(
        (), description="names of the layers that get one; none: every linear layer of the blocks"
    )


class Selection(Frozen):
    """Which of a run's states is kept: the best on development data, of evenly spaced ones."""

    metric: Literal["rouge_l", "nll"] = Field(
        "rouge_l", description="of sampled answers, or −log q of the gold ones"
    )
    points: int = Field(gt=0, description="states that are compared; the last step is one of them")
    items: int = Field(500, gt=0, description="development rows, from the first on")


class Optimisation(Frozen):
    """One run of AdamW: batches, steps, rate and schedule."""

    steps: int = Field(0, ge=0, description="optimiser steps; or give `epochs`")
    epochs: int | None = Field(None, gt=0, description="passes over the rows, whole batches only")
    batch_size: int = Field(gt=0, description="rows a step, however many run at once")
    lr: float = Field(gt=0, description="peak learning rate")
    warmup_share: float = Field(0.05, ge=0, lt=1, description="share of steps with a rising rate")
    schedule: Literal["cosine", "linear", "constant"] = "cosine"
    min_lr: float = Field(0.0, ge=0, description="where the cosine ends")
    weight_decay: float = Field(0.01, ge=0)
    clip_norm: float = Field(1.0, gt=0)
    betas: tuple[Share, Share] = (0.9, 0.999)
    selection: Selection | None = Field(None, description="none: the last step's state is kept")

    @model_validator(mode="after")
    def _one_length(self) -> Self:
        if (self.steps > 0) if self.epochs else ("steps" not in self.model_fields_set):
            raise ValueError("give either steps or epochs, and set one that is extended to null")
        return self

    def over(self, rows: int) -> Self:
        """Return the settings with their number of steps, given how many rows there are.

        Raises:
            ArkdError: an epoch over so few rows has not one batch.
        """
        if self.epochs is None:
            return self
        if rows < self.batch_size:
            raise ArkdError(
                f"batch_size: {self.batch_size} rows a step, and there are {rows}; lower it, or "
                "give steps in place of epochs"
            )
        steps = self.epochs * (rows // self.batch_size)
        return self.model_copy(update={"steps": steps, "epochs": None})


class Distillation(Optimisation):
    """What every method of the suite shares: the matched protocol."""

    temperature: Temperature = Field(2.0, description="softens both models in every divergence")
    square_temperature: bool = Field(
        False, description="multiply divergences by T²; the ARKD paper does not mention it"
    )
    reduction: Literal["tokens", "sequences", "sums"] = Field(
        "tokens",
        description="of a batch's token losses: their mean; the mean over sequences of each one's "
        "mean; or, as eq 1 of the paper reads, of each one's sum",
    )
    lm_weight: float = Field(
        0.1, ge=0, description="λ of L_pt, the same for every method that reads the teacher"
    )
    lm_corpus: Literal["gold", "corpus"] = Field(
        "gold",
        description="D_p of L_pt, which the paper does not name: the batch's own gold sequences, "
        "prompt included, or the data's `corpus`",
    )
    split: Split = Field(
        "all", description="half of the training rows to train on; rows are independent draws"
    )
    head_mass: float = Field(0.5, gt=0, lt=1, description="μ that splits head from tail (AKL)")
    variance: Literal["probabilities", "logits"] = Field(
        "probabilities", description="what σ² of ARKD's state runs over, undefined in the paper"
    )
    prefixes: Prefixes | None = Field(
        None,
        description="on whose responses a divergence is taken: the gold ones; the teacher's, drawn "
        "once; the student's, drawn anew at each step; or, mixed, gold or the student's by a coin "
        "a step; none: as the method has it",
    )
    prefix_share: float = Field(
        0.5, ge=0, le=1, description="of mixed prefixes: how many steps are on the student's"
    )
    prefix_temperature: Temperature = Field(
        1.0, description="at which the student's prefixes are drawn"
    )
    prefix_top_p: float = Field(
        1.0, gt=0, le=1, description="nucleus of the student's prefixes; 1: all tokens"
    )
    support: Support = Field(
        "vocabulary",
        description="the tokens that a divergence runs over: all, or the most probable of a model",
    )
    support_size: int = Field(64, gt=0, description="k of a support that is not the vocabulary")
    support_tail: SupportTail = Field(
        "bucket",
        description="what becomes of the mass outside of the support: one more outcome, shared out "
        "among the k, or left out, which makes it no divergence",
    )
    tuning: str | None = Field(
        None, description="name of the committed tuning run that sets each method's rate"
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


class Decoding(Frozen):
    """Sampling of evaluated text."""

    seeds: tuple[int, ...] = (1, 2, 3)
    temperature: Temperature = 1.0
    top_p: float = Field(0.9, gt=0, le=1)
    top_k: int = Field(0, ge=0, description="0 means no limit")
    no_repeat_ngram: int = Field(0, ge=0)
    max_new_tokens: int = Field(48, gt=0)
    batch_size: int = Field(256, gt=0)
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
        return self


class TailSettings(Frozen):
    """Settings of the tail-probability metrics."""

    tail_mass: float = Field(0.9, gt=0, lt=1, description="μ: the tail lies beyond it")
    epsilon_scale: float = Field(0.1, gt=0, description="ε = scale / vocabulary")
    recall_ratio: float = Field(0.5, gt=0, description="c: a tail token is recalled if q ≥ c·p")
    top_k: int = Field(5, gt=1)
    ece_bins: int = Field(15, gt=0)
    prefixes: tuple[Literal["gold", "teacher", "student"], ...] = ("gold", "teacher", "student")
    items_per_set: int = Field(100, gt=0, description="test items whose positions are measured")


class Pair(Frozen):
    """A teacher and the student distilled from it."""

    name: str = Field(pattern=NAME, max_length=100)
    teacher: Annotated[Scratch | Pretrained | Folder | Hub, Field(discriminator="source")]
    student: Annotated[Scratch | Cut | Folder | Hub, Field(discriminator="source")]
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


class Training(Frozen):
    """How models are held and run: memory against time, and the precision of their bodies."""

    precision: Literal["float32", "bfloat16"] = Field(
        "float32",
        description="bfloat16: bodies run, and frozen weights lie, in it; what is trained, logits "
        "and losses stay in float32",
    )
    micro_batch: int | None = Field(
        None,
        gt=0,
        description="rows of a batch that run at once, the others before and after them; the loss "
        "is of the whole batch; none: all at once",
    )
    checkpoint_layers: bool = Field(
        False, description="keep no activations within a block, compute them again"
    )


# Settings of the suite that a row may change for itself.
ROW_SETTINGS = (
    *("lr", "temperature", "lm_weight", "split"),
    *("prefixes", "prefix_share", "prefix_temperature", "prefix_top_p"),
    *("support", "support_size", "support_tail"),
)


def _finite(value: Any) -> bool:
    """Tell whether a parameter holds no NaN and no infinity, itself or in a list."""
    if isinstance(value, dict):
        return all(map(_finite, value.values()))
    if isinstance(value, list | tuple):
        return all(map(_finite, value))
    return not isinstance(value, float) or math.isfinite(value)


class MethodEntry(Frozen):
    """A method with its parameters, as a row of every table names it.

    What stands between `name` and `seeds` are the suite's settings, changed for this row alone.
    """

    name: str
    lr: float | None = Field(None, gt=0)
    temperature: Temperature | None = None
    lm_weight: float | None = Field(None, ge=0)
    split: Split | None = None
    prefixes: Prefixes | None = None
    prefix_share: float | None = Field(None, ge=0, le=1)
    prefix_temperature: Temperature | None = None
    prefix_top_p: float | None = Field(None, gt=0, le=1)
    support: Support | None = None
    support_size: int | None = Field(None, gt=0)
    support_tail: SupportTail | None = None
    seeds: int | None = Field(None, gt=0, description="only the first so many of the suite's seeds")
    params: dict[str, Any] = Field({})

    @model_validator(mode="after")
    def _own_folder(self) -> Self:
        if self.name.casefold() in BESIDE_ROWS:
            raise ValueError(f"the name '{self.name}' is taken by a folder beside the rows")
        for key, value in self.params.items():
            if not _finite(value):
                raise ValueError(f"{key}: a finite number is wanted, not {value!s:.40}")
        if not FOLDER.fullmatch(self.label):
            raise ValueError(
                f"the row's label '{self.label:.80}' cannot name a folder: at most 200 characters, "
                "none of them '/' or a line break"
            )
        return self

    @property
    def changes(self) -> dict[str, Any]:
        """The settings of the suite that this row changes."""
        values = {key: getattr(self, key) for key in ROW_SETTINGS}
        return {key: value for key, value in values.items() if value is not None}

    @property
    def label(self) -> str:
        """The row's name: `fixed_mix`, or `fixed_mix@alpha=0.25` where something is set."""
        text = ",".join(f"{key}={value}" for key, value in (self.changes | self.params).items())
        return f"{self.name}@{text}" if text else self.name

    @model_validator(mode="before")
    @classmethod
    def _from_yaml(cls, value: Any) -> Any:
        if isinstance(value, str):
            return {"name": value}
        if isinstance(value, dict) and "params" not in value:
            fields = {key: value[key] for key in cls.model_fields if key in value}
            return {**fields, "params": {k: v for k, v in value.items() if k not in fields}}
        return value

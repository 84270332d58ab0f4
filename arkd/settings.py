"""The parts of a suite: data, models, protocol, decoding and methods, each checked key by key."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator


class Frozen(BaseModel):
    """A part of the configuration: immutable, unknown keys refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Scratch(Frozen):
    """A small Llama that starts from random weights."""

    source: Literal["scratch"]
    hidden: int = Field(gt=0, description="width of the residual stream")
    layers: int = Field(gt=0)
    heads: int = Field(gt=0)
    intermediate: int = Field(gt=0, description="width of the gated feed-forward layer")
    context: int = Field(128, description="longest sequence, in tokens")
    vocabulary: int = Field(1024, description="size of the BPE vocabulary trained in the run")
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
    """A Hugging Face folder, relative to `benchmarks/` unless absolute."""

    source: Literal["folder"]
    path: str


class Cut(Frozen):
    """A student made of some of the teacher's own layers."""

    source: Literal["cut"]
    layers: int = Field(gt=1)


class Optimisation(Frozen):
    """One run of AdamW: batches, steps, rate and schedule."""

    steps: int = Field(ge=0)
    batch_size: int = Field(gt=0)
    lr: float = Field(gt=0, description="peak learning rate")
    warmup_share: float = Field(0.05, ge=0, lt=1, description="share of steps with a rising rate")
    schedule: Literal["cosine", "constant"] = "cosine"
    weight_decay: float = Field(0.01, ge=0)
    clip_norm: float = Field(1.0, gt=0)
    betas: tuple[float, float] = (0.9, 0.999)


class Distillation(Optimisation):
    """What every method of the suite shares: the matched protocol."""

    temperature: float = Field(2.0, gt=0, description="softens both models in every divergence")
    square_temperature: bool = Field(
        False, description="multiply divergences by T²; the ARKD paper does not mention it"
    )
    lm_weight: float = Field(
        0.1,
        ge=0,
        description="λ of L_pt, the same for every method that reads the teacher. Its corpus D_p, "
        "which the paper does not name, is the batch's own gold sequences, prompt included",
    )
    split: Literal["all", "first", "second"] = Field(
        "all", description="half of the training rows to train on; rows are independent draws"
    )
    head_mass: float = Field(0.5, gt=0, lt=1, description="μ that splits head from tail (AKL)")
    variance: Literal["probabilities", "logits"] = Field(
        "probabilities", description="what σ² of ARKD's state runs over, undefined in the paper"
    )
    tuning: str | None = Field(
        None, description="name of the committed tuning run that sets each method's rate"
    )


class Decoding(Frozen):
    """Sampling of evaluated text."""

    seeds: tuple[int, ...] = (1, 2, 3)
    temperature: float = Field(1.0, gt=0)
    top_p: float = Field(0.9, gt=0, le=1)
    top_k: int = Field(0, ge=0, description="0 means no limit")
    no_repeat_ngram: int = Field(0, ge=0)
    max_new_tokens: int = Field(48, gt=0)
    batch_size: int = Field(256, gt=0)


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

    name: str = Field(pattern=r"^[A-Za-z0-9._-]+$")
    teacher: Annotated[Scratch | Pretrained | Folder, Field(discriminator="source")]
    student: Annotated[Scratch | Cut, Field(discriminator="source")]
    teacher_training: Optimisation | None = Field(
        None, description="how the teacher is trained on the suite's data; none: used as it is"
    )
    published: str | None = Field(None, description="pair of benchmarks/published to stand beside")

    @model_validator(mode="after")
    def _teacher_can_be_made(self) -> Pair:
        if isinstance(self.teacher, Scratch) and self.teacher_training is None:
            raise ValueError("a teacher from scratch needs teacher_training")
        if self.name in ("data", "tables", "figures", "logs"):
            raise ValueError(f"the name '{self.name}' is taken by a folder of the results")
        return self


ROW_SETTINGS = ("lr", "temperature", "lm_weight", "split")  # of the suite, that a row may change


class MethodEntry(Frozen):
    """A method with its parameters, as a row of every table names it.

    `lr`, `temperature`, `lm_weight` and `split` are the suite's settings, changed for this row
    alone.
    """

    name: str
    lr: float | None = Field(None, gt=0)
    temperature: float | None = Field(None, gt=0)
    lm_weight: float | None = Field(None, ge=0)
    split: Literal["all", "first", "second"] | None = None
    seeds: int | None = Field(None, gt=0, description="only the first so many of the suite's seeds")
    params: dict[str, Any] = {}

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
            own = {key: value[key] for key in cls.model_fields if key in value}
            return {**own, "params": {k: v for k, v in value.items() if k not in own}}
        return value

"""How students are trained, as a suite shares it and as a row changes it, each key checked."""

from __future__ import annotations

import math
from functools import cached_property
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from arkd.errors import ArkdError
from arkd.storage.names import LABEL
from arkd.suite.registry import BESIDE_ROWS
from arkd.validated import Frozen

Temperature = Annotated[float, Field(ge=0.01, le=100)]
# As records can hold one: a whole number of at most 18 digits.
Seed = Annotated[int, Field(strict=True, ge=0, lt=10**18)]
Share = Annotated[float, Field(ge=0, lt=1)]
Split = Literal["all", "first", "second"]
Prefixes = Literal["gold", "teacher", "student", "mixed"]
Support = Literal["vocabulary", "teacher_top_k", "student_top_k"]
SupportTail = Literal["bucket", "renormalised", "dropped"]
TeacherSupport = Literal["exact", "top_k", "top_k_bucket", "top_p", "sampled"]
MOST_ENTRIES = 10**6  # of a token's stored teacher; no vocabulary is larger


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
    schedule: Literal["cosine", "linear", "constant"] = Field(
        "cosine", description="of the rate after its rise; a linear one ends at 0"
    )
    min_lr: float = Field(0.0, ge=0, description="where the cosine ends")
    weight_decay: float = Field(
        0.01, ge=0, description="AdamW's, of weight matrices; norms and biases have none"
    )
    clip_norm: float = Field(1.0, gt=0, description="the gradient is shortened to this norm")
    betas: tuple[Share, Share] = Field((0.9, 0.999), description="AdamW's shares of old moments")
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
    teacher_support: TeacherSupport = Field(
        "exact",
        description="what is stored of the teacher's distribution: all of it; its k most probable "
        "tokens, renormalised or with one more outcome for the rest; the fewest that have a mass, "
        "renormalised; or the shares of so many draws from it",
    )
    teacher_support_size: int = Field(
        64, gt=0, le=MOST_ENTRIES, description="k of a stored top-k, or the number of draws"
    )
    teacher_support_mass: float = Field(
        0.9, gt=0, lt=1, description="of the teacher that a stored top-p reaches"
    )
    tuning: str | None = Field(
        None, description="name of the committed tuning run that sets each method's rate"
    )

    @model_validator(mode="after")
    def _trains(self) -> Self:
        if not (self.steps or self.epochs):
            raise ValueError("steps: 0 would distil nothing; give one at least")
        return self

    @property
    def narrowed(self) -> bool:
        """Whether divergences see less than two distributions over the whole vocabulary."""
        return self.support != "vocabulary" or self.teacher_support != "exact"


# Settings of the suite that a row may change for itself.
ROW_SETTINGS = (
    *("lr", "temperature", "lm_weight", "split"),
    *("prefixes", "prefix_share", "prefix_temperature", "prefix_top_p"),
    *("support", "support_size", "support_tail"),
    *("teacher_support", "teacher_support_size", "teacher_support_mass"),
)


def finite(value: Any) -> bool:
    """Tell whether a parameter holds no NaN and no infinity, itself or in a list."""
    if isinstance(value, dict):
        return all(map(finite, value.values()))
    if isinstance(value, list | tuple):
        return all(map(finite, value))
    return not isinstance(value, float) or math.isfinite(value)


class MethodEntry(Frozen):
    """A method with its parameters, as a row of every table names it.

    What stands between `name` and `seeds` are the suite's settings, changed for this row alone.
    """

    name: str = Field(description="as `arkd list` has it")
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
    teacher_support: TeacherSupport | None = None
    teacher_support_size: int | None = Field(None, gt=0, le=MOST_ENTRIES)
    teacher_support_mass: float | None = Field(None, gt=0, lt=1)
    seeds: int | None = Field(None, gt=0, description="only the first so many of the suite's seeds")
    worlds: int | None = Field(
        None, gt=0, description="only in the first so many of the suite's worlds"
    )
    params: dict[str, Any] = Field({}, description="of the method; may stand beside its name")

    @model_validator(mode="after")
    def _own_folder(self) -> Self:
        if self.name.casefold() in BESIDE_ROWS:
            raise ValueError(f"the name '{self.name}' is taken by a folder beside the rows")
        for key, value in self.params.items():
            if not finite(value):
                raise ValueError(f"{key}: a finite number is wanted, not {value!s:.40}")
        if not LABEL.fullmatch(self.label):
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

    @cached_property
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

"""A suite: the frozen description of one benchmark, read from YAML and checked key by key."""

from __future__ import annotations

from collections import Counter
from functools import cached_property
from typing import Annotated, Any, Literal

from pydantic import (
    BeforeValidator,
    Field,
    SerializeAsAny,
    ValidationError,
    model_validator,
)

from arkd.data import source as sources
from arkd.data.public_tasks import PublicTask
from arkd.data.source import DataSpec
from arkd.errors import ArkdError, nearest
from arkd.kernels import Kernels
from arkd.rouge import Rouge
from arkd.seeding import derive_seed
from arkd.storage.names import SUITE_NAME
from arkd.suite.protocol import Distillation, MethodEntry, Optimisation, Seed
from arkd.suite.settings import Decoding, Pair, Scratch, TailSettings, Training
from arkd.suite.tuned import tuned_rates
from arkd.validated import Frozen


def _of_its_source(value: Any) -> Any:
    """Read `data:` with the settings of the source it names; without one, only that is said."""
    if not isinstance(value, dict):
        return value
    name = value.get("source")
    if name in sources.names():
        return sources.find(name).spec.model_validate(value)
    return {key: name for key in value if key == "source"}


class Suite(Frozen):
    """One benchmark."""

    name: str = Field(pattern=SUITE_NAME, max_length=100, description="of the results folder")
    version: str = Field(pattern=r"^\d+\.\d+$", description="Major.Minor; tables never mix two")
    description: str = Field(description="what it is for, in a sentence")
    data: Annotated[SerializeAsAny[DataSpec], BeforeValidator(_of_its_source)] = Field(
        description="where rows and test sets come from"
    )
    test_sets: tuple[str, ...] = Field(
        min_length=1,
        description="the first is in distribution, the rest are not; own files: all, as listed",
    )
    open_tasks: tuple[str, ...] = Field(
        (), description="further prompts to answer, scored by what the answers state"
    )
    choice_tasks: tuple[str, ...] = Field(
        (), description="multiple choice by log-likelihood, scored as lm-eval does"
    )
    perplexity_task: str | None = Field(
        None, min_length=1, description="text whose perplexity is measured"
    )
    public_tasks: tuple[PublicTask, ...] = Field(
        (), description="lm-eval's own tasks on public data, fetched from the hub or from data_dir"
    )
    public_items: int | None = Field(
        None, gt=0, description="of each public task, evenly spaced; none: all"
    )
    pairs: tuple[Pair, ...] = Field(
        min_length=1, description="each a teacher and the student distilled from it"
    )
    methods: tuple[MethodEntry, ...] = Field(
        min_length=1, description="the rows: a name, or a name with parameters and settings"
    )
    lr_grid: tuple[Annotated[float, Field(gt=0)], ...] = Field(
        (), description="run every method at each of these rates; one that names a rate, at that"
    )
    seeds: tuple[Seed, ...] = Field(
        min_length=1, description="of start, data order and draws; every row is trained with each"
    )
    worlds: tuple[Seed, ...] = Field(
        (),
        description="run the suite once in each of these generated worlds, a block with its own "
        "teacher; intervals are then over worlds",
    )
    student_start: Optimisation = Field(description="the SFT start shared by a seed's methods")
    distillation: Distillation = Field(description="what all methods share")
    training: Training = Field(Training(), description="memory against time, and precision")
    decoding: Decoding = Field(Decoding(), description="how evaluated text is sampled")
    tail: TailSettings = Field(TailSettings(), description="of the tail-probability metrics")
    bertscore: Literal["minilm", "deberta-xlarge-mnli"] | None = Field(
        None, description="encoder of BERTScore: minilm from a pinned wheel, deberta from the hub"
    )
    mauve: bool = Field(
        False, description="MAUVE of each test set with at least 1,000 items; needs `arkd[mauve]`"
    )
    rouge: Rouge = Field(
        "rouge_l",
        description="by what answers are compared with references, everywhere; rouge_l_unicode for "
        "other scripts than a-z",
    )
    max_tokens: int = Field(
        96, gt=1, description="prompt and response together; longer rows are dropped"
    )
    claims: str = Field(
        "1.0",
        pattern=r"^\d+\.\d+$",
        description="which registered claims judge the suite: the version of their file",
    )
    beside: str | None = Field(
        None,
        pattern=SUITE_NAME,
        exclude_if=lambda beside: beside is None,  # so other suites' manifests stay as they were
        description="a suite whose finished run is read where it lies: `methods` are further rows "
        "beside its own, and all else is that suite's",
    )
    device: Literal["auto", "cpu", "cuda"] = Field(
        "cpu", description="auto: a GPU where there is one"
    )
    kernels: Kernels = Field(
        "portable",
        description="of the CPU: the same bytes on every x86-64 processor with AVX2, or `fast`, "
        "which on a GPU has Triton fuse the divergences' element-wise work",
    )
    tracking: Literal["tensorboard"] | None = Field(
        None,
        description="show trainings while they run; needs `arkd[tracking]`. Each has a line of "
        "JSON a step in any case",
    )
    cache_dtype: Literal["float32", "bfloat16"] = Field(
        "float32", description="of the teacher's cached states; bfloat16 halves the disk they take"
    )

    @property
    def shown(self) -> bool:
        """Whether there is anything to show: a suite that only chooses rates draws no text."""
        return bool(self.decoding.seeds)

    @cached_property
    def entries(self) -> tuple[MethodEntry, ...]:
        """The methods of the tables: as listed, or each at every rate of `lr_grid`.

        A row that names a rate is run at that one: one more beside the grid.
        """
        if not self.lr_grid:
            return self.methods
        return tuple(
            m.model_copy(update={"lr": lr})
            for m in self.methods
            for lr in ((m.lr,) if m.lr else self.lr_grid)
        )

    def entry(self, label: str) -> MethodEntry:
        """Return the method of a label.

        Raises:
            ArkdError: the suite has no such method.
        """
        if label in self.rows_by_label:
            return self.rows_by_label[label]
        raise ArkdError(
            f"suite {self.name}: no method '{label}'{nearest(label, self.rows_by_label)}; "
            f"it has {', '.join(self.rows_by_label)}"
        )

    @cached_property
    def rows_by_label(self) -> dict[str, MethodEntry]:
        """The rows of the tables by the name of their folder."""
        return {entry.label: entry for entry in self.entries}

    def pair(self, name: str) -> Pair:
        """Return a pair by name.

        Raises:
            ArkdError: the suite has no such pair.
        """
        for pair in self.pairs:
            if pair.name == name:
                return pair
        names = [pair.name for pair in self.pairs]
        raise ArkdError(
            f"suite {self.name}: no pair '{name}'{nearest(name, names)}; it has {', '.join(names)}"
        )

    @property
    def observation(self) -> str:
        """What intervals run over, in words."""
        return "world" if self.worlds else "training seed"

    def seeds_of(self, label: str) -> tuple[int, ...]:
        """Return the observations of a method or control: its training seeds.

        Those of a suite of several worlds are the worlds, each of which has trainings of its own.
        """
        entry = self.rows_by_label.get(label)
        if entry is None:
            return self.worlds or self.seeds
        return self.worlds[: entry.worlds] or self.seeds[: entry.seeds]

    def block(self, world: int) -> Suite:
        """Return the suite in one of its worlds, with the rows that are trained there."""
        methods = tuple(
            entry.model_copy(update={"worlds": None})
            for entry in self.methods
            if world in self.worlds[: entry.worlds]
        )
        return self.model_copy(
            update={
                "name": f"{self.name}@{world}",
                "worlds": (),
                "methods": methods,
                "data": self.data.model_copy(update={"world_seed": world}),
                "beside": self.beside and f"{self.beside}@{world}",
            }
        )

    @property
    def world_axes(self) -> tuple[int, ...]:
        """The axis that a block's draws have before others': its world."""
        _, block, world = self.name.partition("@")
        return (int(world),) if block else ()

    def draws(self, seed: int) -> int:
        """Return what the draws of a training seed derive from; in each block it is another.

        So worlds share no network, no order of batches and no sample of a response.
        """
        return derive_seed("block", *self.world_axes, seed) if self.world_axes else seed

    @cached_property
    def tuned(self) -> dict[str, float]:
        """The rates of the suite's tuning run, by method."""
        return tuned_rates(self.distillation.tuning)

    def settings(self, entry: MethodEntry) -> Distillation:
        """Return the protocol of a row: the suite's, with the row's own changes and tuned rate.

        A row takes the rate that was tuned for it, else the one tuned for its method; a method that
        was not tuned, such as a user's own, takes the shared rate.
        """
        changes = entry.changes
        if "lr" not in changes and not self.lr_grid:
            rate = self.tuned.get(entry.label, self.tuned.get(entry.name))
            changes |= {"lr": rate} if rate else {}
        return self.distillation.model_copy(update=changes)

    def check_vocabulary(self, tokens: int, whose: str) -> None:
        """Refuse to look at more tokens than there are.

        Raises:
            ValueError: a `top_k` of the suite is above the vocabulary.
        """
        limits = {"tail.top_k": self.tail.top_k, "decoding.top_k": self.decoding.top_k}
        limits |= {
            f"decoding.variants.{place}.top_k": variant.top_k or 0
            for place, variant in enumerate(self.decoding.variants)
        }
        for key, top_k in limits.items():
            if top_k > tokens:
                raise ValueError(
                    f"{key}: {top_k:,} is above the vocabulary of {tokens:,} ({whose})"
                )

    @model_validator(mode="before")
    @classmethod
    def _own_tests(cls, value: Any) -> Any:
        """Let a suite without `test_sets` have those that its data bring along."""
        if not isinstance(value, dict) or "test_sets" in value:
            return value
        try:
            spec = _of_its_source(value.get("data"))
        except ValidationError:  # said of the field, with its place
            return value
        tests = sources.find(spec.source).own_tests(spec) if isinstance(spec, DataSpec) else []
        return {**value, "test_sets": tests} if tests else value

    @model_validator(mode="after")
    def _distinct(self) -> Suite:
        for what, names in (
            ("test_sets", list(self.test_sets)),
            ("tasks", [*self.test_sets, *self.open_tasks, *self.choice_tasks]),
            ("tail.prefixes", list(self.tail.prefixes)),
            ("public_tasks", list(self.public_tasks)),
            ("methods", [entry.label for entry in self.entries]),
            ("pairs", [pair.name.casefold() for pair in self.pairs]),  # on any file system
            ("seeds", list(self.seeds)),
            ("worlds", list(self.worlds)),
        ):
            twice = {str(name) for name, count in Counter(names).items() if count > 1}
            if twice:
                raise ValueError(f"{what}: {', '.join(sorted(twice))} stands twice")
        for pair in self.pairs:
            if isinstance(pair.teacher, Scratch):
                self.check_vocabulary(pair.teacher.vocabulary, f"pair {pair.name}")
        if self.worlds and "world_seed" not in type(self.data).model_fields:
            raise ValueError(f"worlds: data of source {self.data.source} have no world_seed")
        for entry in self.methods:
            if entry.worlds and entry.worlds > len(self.worlds):
                raise ValueError(f"methods.{entry.name}.worlds: there are {len(self.worlds)}")
        if not (self.shown or self.lr_grid):
            raise ValueError("decoding.seeds: none; only a tuning suite, with lr_grid, has no text")
        if self.decoding.engine == "continuous" and self.training.devices > 1:
            raise ValueError(
                "decoding.engine: continuous runs in one process; set it to batched, or "
                "training.devices to 1"
            )
        return self

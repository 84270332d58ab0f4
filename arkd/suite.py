"""A suite: the frozen description of one benchmark, read from YAML and checked key by key."""

from __future__ import annotations

import csv
from collections import Counter
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from arkd.data.longtail import LongtailSpec
from arkd.data.smollm2 import Smollm2Spec
from arkd.errors import ArkdError, nearest
from arkd.paths import benchmarks_dir


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
        0.1, ge=0, description="λ of L_pt, the same for every method that reads the teacher"
    )
    lm_corpus: Literal["train"] = Field(
        "train",
        description="D_p, which the paper does not name: the batch's own gold sequences, "
        "prompt included, as plain language modelling",
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
        None, description="how the teacher is trained in the run; none: used as it is"
    )
    published: str | None = Field(None, description="pair of benchmarks/published to stand beside")

    @model_validator(mode="after")
    def _teacher_can_be_made(self) -> Pair:
        if isinstance(self.teacher, Scratch) != (self.teacher_training is not None):
            raise ValueError("teacher_training goes with a teacher from scratch, and only with one")
        if self.name in ("data", "tables", "figures", "logs"):
            raise ValueError(f"the name '{self.name}' is taken by a folder of the results")
        return self


class MethodEntry(Frozen):
    """A method with its parameters, as a row of every table names it."""

    name: str
    lr: float | None = None
    params: dict[str, Any] = {}

    @property
    def label(self) -> str:
        """The row's name: `fixed_mix`, or `fixed_mix@alpha=0.25` where a parameter is set."""
        params = {**({"lr": self.lr} if self.lr is not None else {}), **self.params}
        text = ",".join(f"{key}={value}" for key, value in params.items())
        return f"{self.name}@{text}" if text else self.name

    @model_validator(mode="before")
    @classmethod
    def _from_yaml(cls, value: Any) -> Any:
        if isinstance(value, str):
            return {"name": value}
        if isinstance(value, dict) and "params" not in value:
            own = {key: value[key] for key in ("name", "lr") if key in value}
            return {**own, "params": {k: v for k, v in value.items() if k not in own}}
        return value


class Suite(Frozen):
    """One benchmark."""

    name: str = Field(pattern=r"^[A-Za-z0-9._-]+$", description="of the results folder")
    version: str = Field(pattern=r"^\d+\.\d+$", description="Major.Minor; tables never mix two")
    description: str
    data: Annotated[LongtailSpec | Smollm2Spec, Field(discriminator="source")]
    test_sets: tuple[str, ...] = Field(
        min_length=1, description="the first is in distribution, the rest are not"
    )
    choice_tasks: tuple[str, ...] = ()
    perplexity_task: str | None = None
    pairs: tuple[Pair, ...] = Field(min_length=1)
    methods: tuple[MethodEntry, ...]
    lr_grid: tuple[float, ...] = Field((), description="run every method at each of these rates")
    seeds: tuple[int, ...] = Field(min_length=1)
    student_start: Optimisation = Field(description="the SFT start shared by a seed's methods")
    distillation: Distillation
    decoding: Decoding = Decoding()
    tail: TailSettings = TailSettings()
    max_tokens: int = Field(96, description="prompt and response together; longer rows are dropped")
    device: Literal["auto", "cpu", "cuda"] = "cpu"

    @property
    def entries(self) -> tuple[MethodEntry, ...]:
        """The methods of the tables: as listed, or each at every rate of `lr_grid`."""
        if not self.lr_grid:
            return self.methods
        return tuple(m.model_copy(update={"lr": lr}) for m in self.methods for lr in self.lr_grid)

    def entry(self, label: str) -> MethodEntry:
        """Return the method of a label.

        Raises:
            ArkdError: the suite has no such method.
        """
        for entry in self.entries:
            if entry.label == label:
                return entry
        labels = [entry.label for entry in self.entries]
        raise ArkdError(
            f"suite {self.name}: no method '{label}'{nearest(label, labels)}; "
            f"it has {', '.join(labels)}"
        )

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

    def learning_rate(self, entry: MethodEntry) -> float:
        """Return a method's rate: its own, else the tuned one, else the suite's shared one.

        A method that was not tuned, such as a user's own, takes the shared rate.
        """
        if entry.lr is not None or self.lr_grid:
            return entry.lr or self.distillation.lr
        return tuned_rates(self.distillation.tuning).get(entry.label, self.distillation.lr)

    @model_validator(mode="after")
    def _distinct(self) -> Suite:
        for what, names in (
            ("test_sets", list(self.test_sets)),
            ("methods", [entry.label for entry in self.entries]),
            ("pairs", [pair.name for pair in self.pairs]),
            ("seeds", list(self.seeds)),
        ):
            twice = {str(name) for name, count in Counter(names).items() if count > 1}
            if twice:
                raise ValueError(f"{what}: {', '.join(sorted(twice))} stands twice")
        return self


def tuned_rates(tuning: str | None) -> dict[str, float]:
    """Return the rate that a committed tuning run chose for each method.

    Raises:
        ArkdError: there is no such tuning run.
    """
    if tuning is None:
        return {}
    path = benchmarks_dir() / "tuning" / f"{tuning}.csv"
    if not path.is_file():
        raise ArkdError(
            f"{path}: no such tuning run; correct distillation.tuning or set it to null"
        )
    with path.open(encoding="utf-8", newline="") as lines:
        return {r["method"]: float(r["lr"]) for r in csv.DictReader(lines) if r["chosen"] == "1"}


def suite_names() -> list[str]:
    """Return the names of the shipped suites."""
    return sorted(path.stem for path in (benchmarks_dir() / "suites").glob("*.yaml"))


def suite_path(name: str) -> Path:
    """Return the file of a shipped suite, or of a user's own given as a path to YAML.

    Raises:
        ArkdError: there is no such suite.
    """
    path = Path(name) if name.endswith((".yaml", ".yml")) else None
    path = path or benchmarks_dir() / "suites" / f"{name}.yaml"
    if not path.is_file():
        known = suite_names()
        raise ArkdError(
            f"no suite '{name}'{nearest(name, known)}; shipped: {', '.join(known)}, "
            "or give the path of a YAML file"
        )
    return path


def load_suite(name: str) -> Suite:
    """Read and check a suite.

    Raises:
        ArkdError: no such suite, malformed YAML, an unknown or invalid key.
    """
    path = suite_path(name)
    try:
        return Suite.model_validate(_read_yaml(path))
    except ValidationError as error:
        raise ArkdError(f"{path}: {_first_problem(error)}") from None


def _read_yaml(path: Path, readers: tuple[Path, ...] = ()) -> dict[str, Any]:
    """Return a suite's mapping, laid over the one it extends."""
    if path in readers:
        raise ArkdError(f"{path}: extends: the suite extends itself")
    try:
        value = yaml.safe_load(path.read_text(encoding="utf-8"))
    except UnicodeDecodeError:
        raise ArkdError(f"{path}: not UTF-8 text") from None
    except yaml.YAMLError as error:
        where = getattr(error, "problem_mark", None)
        line = f" at line {where.line + 1}" if where else ""
        raise ArkdError(
            f"{path}: not valid YAML{line}: {getattr(error, 'problem', error)}"
        ) from None
    if not isinstance(value, dict):
        raise ArkdError(f"{path}: a suite is a mapping of keys to values")
    base = value.pop("extends", None)
    if base is None:
        return value
    if "name" not in value:
        raise ArkdError(f"{path}: name: a suite that extends another needs a name of its own")
    return _merge(_read_yaml(suite_path(str(base)), (*readers, path)), value)


def _merge(base: dict[str, Any], change: dict[str, Any]) -> dict[str, Any]:
    """Lay `change` over `base`; a mapping that names another `source` replaces the old one."""
    merged = dict(base)
    for key, value in change.items():
        old: Any = merged.get(key)
        both = isinstance(old, dict) and isinstance(value, dict)
        same_kind = both and value.get("source", old.get("source")) == old.get("source")
        merged[key] = _merge(old, value) if same_kind else value
    return merged


def _first_problem(error: ValidationError) -> str:
    """Say the first problem of a file as `key: what is wrong, what to do`."""
    problem = error.errors()[0]
    where = ".".join(str(part) for part in problem["loc"]) or "suite"
    if problem["type"] == "extra_forbidden":
        key = str(problem["loc"][-1])
        return f"{where}: unknown key{nearest(key, _known_keys(problem['loc'][:-1]))}"
    if problem["type"] == "missing":
        return f"{where}: this key is required"
    message = problem["msg"].removeprefix("Value error, ")
    return f"{where}: {message} (found {problem['input']!r})" if problem["loc"] else message


def _known_keys(loc: tuple[int | str, ...]) -> list[str]:
    """Return the keys that the model at a location of the suite has."""
    models: list[Any] = [Suite]
    for part in loc:
        found: list[Any] = []
        for model in models:
            field = model.model_fields.get(part) if isinstance(part, str) else None
            found += _models_in(field.annotation) if field else []
        models = found or models
    return [key for model in models for key in model.model_fields]


def _models_in(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [m for arg in getattr(annotation, "__args__", ()) for m in _models_in(arg)]

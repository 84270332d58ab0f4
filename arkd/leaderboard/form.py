"""What `leaderboard.json` holds, key by key; its JSON Schema is `benchmarks/schema/`'s."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from arkd.validated import Frozen, json_schema

FORM = "1.0"
Origin = Literal["reference", "submission"]
Unit = Literal["seed", "world"]


class Measure(Frozen):
    """A headline measure, in which rows are ranked."""

    key: str
    title: str
    unit: str
    higher_is_better: bool


class Run(Frozen):
    """One run that rows are of, and what made it."""

    id: str = Field(description="folder below results/, or below the folder that was named")
    origin: Origin
    suite: str
    version: str
    who: str = Field(description="names, each with the affiliation in brackets if one is given")
    what: str | None = Field(None, description="what a submission says of its method")
    note: str | None = Field(None, description="what a submission says beside it")
    paper: str | None = Field(None, description="its address, of a submission")
    hardware: str | None = Field(None, description="what a submission's students were trained on")
    licence: str | None = None
    code: str | None = Field(None, description="address of a submission's code, with the commit")
    commit: str | None = Field(None, description="of arkd, when the run was collected")
    dirty: bool | None = None
    core: str | None = Field(None, description="hash of the code that measured")
    training_core: str | None = Field(None, description="hash of the code that trained")
    core_differs: bool = Field(
        description="from that of the board's first run: effects are comparable, values may not be"
    )
    kernels: str | None = Field(None, description="of the processor: portable, fast or unknown")
    processor: str | None = None
    versions: dict[str, str] = Field(default_factory=dict)
    link: str = Field(description="of the run's folder, from the page")
    report: str | None = Field(None, description="of its report, from the page")


class Cost(Frozen):
    """What the training of one student took, the mean over seeds."""

    seconds: float
    kind: Literal["processor", "gpu"]
    declared: bool = Field(description="said by the author; else training time × threads")


class Effect(Frozen):
    """A row less forward KL of its own run, paired by training seed, or by world."""

    mean: float
    low: float | None = Field(None, description="of the 95 % t interval; null: a single seed")
    high: float | None = None
    seeds: int = Field(description="or worlds: the board's unit")
    value: float = Field(description="the row's own mean over these seeds")
    base: float = Field(description="that of its run's forward KL")
    group: int | None = Field(
        None,
        description="1: no row of the board is shown to be better; 2: only rows of group 1 are, "
        "and so on; null: no interval, hence no place",
    )


class Row(Frozen):
    """One method of one run."""

    method: str = Field(description="label in the records")
    run: str
    foreign: bool = Field(description="trained elsewhere, measured here")
    variant: bool = Field(description="a method with settings of its own")
    prefixes: str | None = Field(None, description="on whose responses its loss is taken")
    family: str | None = Field(None, description="what it varies, as `arkd list` groups methods")
    failed: int = Field(0, description="seeds that left the finite numbers")
    cost: Cost | None = None
    effects: dict[str, Effect]


class Board(Frozen):
    """The rows of one suite's version and one pair of models."""

    suite: str
    version: str
    pair: str
    description: str
    unit: Unit = Field(description="what is paired: training seeds, or worlds with a teacher each")
    runs: tuple[str, ...]
    rows: tuple[Row, ...]


class Leaderboard(Frozen):
    """All boards, and the runs behind them."""

    form: Literal["1.0"] = "1.0"
    base: str
    made_by: dict[str, str | None]
    measures: tuple[Measure, ...]
    runs: tuple[Run, ...]
    boards: tuple[Board, ...]
    left_out: dict[str, str] = Field(description="runs that have no place, and why")


def schema() -> str:
    """Return the JSON Schema of `leaderboard.json` as text, as `benchmarks/schema/` holds it."""
    return json_schema(Leaderboard)

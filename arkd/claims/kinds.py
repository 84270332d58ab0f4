"""The kinds of test a registered claim may state, and the names they may use.

A test compares arms, each named by its label in the records (`forward_kl`,
`fixed_mix@alpha=0.25`). What its numbers decide is fixed by the rule in `benchmarks/claims.yaml`.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from arkd.validated import Frozen

# Not `fidelity_dev`: learning rates are chosen on it.
TASKS: tuple[str, ...] = ("fidelity_gold", "fidelity_teacher", "fidelity_student", "truth", "cost")

Direction = Literal["greater", "less", "equal"]
Share = Annotated[float, Field(ge=0, le=1)]
Arm = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*(@[a-z_]+=[\w.]+(,[a-z_]+=[\w.]+)*)?$")]


class Test(Frozen):
    """What every test states. Its comparisons are all combinations of the names it lists."""

    __test__ = False  # not a class for pytest to collect
    name: str = Field(pattern=r"^[a-z][a-z0-9_]*$")
    role: Literal["primary", "secondary"] = Field(
        "primary", description="only primary tests decide; secondary ones are reported"
    )

    @property
    def arms(self) -> tuple[str, ...]:
        """The arms that must have been run for this test."""
        return ()


class Bounded(Test):
    """A test of a number against a margin."""

    direction: Direction
    margin: float = Field(description="in `unit`; negative: may be worse by that much at most")
    unit: str = Field(min_length=3)
    equivalence: float = Field(
        0.0,
        ge=0,
        description="in `unit`: the smallest effect that counts as one; an effect shown to lie "
        "within ± this is a finding of its own, equivalent; 0: not asked",
    )

    @model_validator(mode="after")
    def _width(self) -> Bounded:
        if self.direction == "equal":
            if self.margin <= 0:
                raise ValueError("direction 'equal' needs a margin above 0")
            if self.equivalence:
                raise ValueError("direction 'equal' claims an equivalence: leave out the key")
        return self


class Measured(Bounded):
    """A test of final records or costs."""

    tasks: tuple[str, ...] = Field(min_length=1, description="roles or task names")
    groups: tuple[str, ...] = ("",)
    metric: str
    transform: Literal["none", "abs", "gap_closed", "drop", "shift"] = "none"
    gap_from: Arm = Field("init", description="arm from which `gap_closed` counts")

    @property
    def start(self) -> tuple[str, ...]:
        """The arm from which a gap counts, where that is a row of the suite."""
        return (self.gap_from,) if self.gap_from != "init" else ()

    @model_validator(mode="after")
    def _gap(self) -> Measured:
        if self.start and self.transform != "gap_closed":
            raise ValueError("the key 'gap_from' goes with transform 'gap_closed'")
        return self


class Paired(Measured):
    """Arm `a` against each arm of `b`, paired by observation; `shift` is of `a` alone."""

    kind: Literal["paired_difference", "ratio"]
    a: Arm
    b: tuple[Arm, ...] = ()

    @property
    def arms(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys((self.a, *self.b, *self.start)))

    @model_validator(mode="after")
    def _alone(self) -> Paired:
        if bool(self.b) == (self.transform == "shift"):
            raise ValueError("give 'b', the arms to compare with; 'shift', and no other, has none")
        return self


class Slope(Measured):
    """The least-squares slope of a value over a setting that a ladder of arms varies."""

    kind: Literal["slope"]
    ladder: dict[Arm, float] = Field(min_length=3, description="each arm's value of the setting")
    setting: str = Field(min_length=1, description="its name")

    @property
    def arms(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys((*self.ladder, *self.start)))

    @model_validator(mode="after")
    def _spread(self) -> Slope:
        if len(set(self.ladder.values())) < 2:
            raise ValueError("a slope needs arms of two values or more")
        return self


class Trajectory(Bounded):
    """A statistic of a logged column of `a` (less that of `b`, if given) against a target."""

    kind: Literal["trajectory"]
    a: Arm
    b: tuple[Arm, ...] = ()
    metric: str
    statistic: Literal["mean", "min", "max", "slope", "change"]
    window: tuple[Share, Share] = Field(description="shares of the run's steps")
    earlier: tuple[Share, Share] | None = Field(None, description="what `change` starts from")
    target: float = 0.0

    @property
    def arms(self) -> tuple[str, ...]:
        return (self.a, *self.b)

    @model_validator(mode="after")
    def _windows(self) -> Trajectory:
        if (self.statistic == "change") != (self.earlier is not None):
            raise ValueError("statistic 'change', and no other, needs the key 'earlier'")
        for window in filter(None, (self.window, self.earlier)):
            if window[0] >= window[1]:
                raise ValueError(f"window {list(window)} does not run forward")
        return self


class Identity(Test):
    """The students of `a` and of each of `b` have the same bytes, seed by seed."""

    kind: Literal["identity"]
    a: Arm
    b: tuple[Arm, ...] = Field(min_length=1)
    artefact: Literal["student_weights"]

    @property
    def arms(self) -> tuple[str, ...]:
        return (self.a, *self.b)


class Order(Bounded):
    """Each arm stands in `direction` to the next one, in every seed; '*' is every other arm."""

    kind: Literal["order"]
    order: tuple[Annotated[str, Field(pattern=r"^(\*|[a-z].*)$")], ...] = Field(min_length=2)
    tasks: tuple[str, ...] = Field(min_length=1)
    groups: tuple[str, ...] = ("",)
    metrics: tuple[str, ...] = Field(min_length=1)

    @property
    def arms(self) -> tuple[str, ...]:
        return tuple(arm for arm in self.order if arm != "*")


class Published(Bounded):
    """`a` against `b` in the numbers that the paper prints."""

    kind: Literal["published"]
    a: Arm
    b: Arm
    pair: str
    b_pair: str | None = Field(None, description="the pair of `b`, where it is another one")
    datasets: tuple[str, ...] = Field(min_length=1)
    metric: str


class Arithmetic(Bounded):
    """A number derived from the paper's settings against the one it states."""

    kind: Literal["arithmetic"]
    derived: float
    stated: float
    derivation: str


IN_PRINT = ("published", "arithmetic")  # kinds that the paper's own numbers decide
AnyTest = Annotated[
    Paired | Slope | Trajectory | Identity | Order | Published | Arithmetic,
    Field(discriminator="kind"),
]

"""Registered claims: what each test compares, in which direction, beyond which margin.

`benchmarks/claims.yaml` is written before the runs that decide it. This module reads and checks it;
a typing error in it must never turn into a test that silently compares nothing.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Literal

from pydantic import Field, ValidationError, model_validator

from arkd.claims.kinds import (
    IN_PRINT,
    TASKS,
    AnyTest,
    Arm,
    Measured,
    Order,
    Published,
    Share,
    Trajectory,
)
from arkd.errors import ArkdError, nearest
from arkd.metrics import declared
from arkd.paths import claims_path
from arkd.results import published
from arkd.storage.yaml_text import read_yaml
from arkd.validated import Frozen, json_schema, problem


class Claim(Frozen):
    """One claim with the tests that decide it in a suite."""

    id: str = Field(pattern=r"^[CEFX]\d+$")
    statement: str
    source: str = Field(description="where it is made: section, table or figure")
    expectation: str = Field(description="what theory predicts, said before the runs")
    note: str = ""
    tests: tuple[AnyTest, ...] = ()
    rule: Literal["all", "any", "majority"] = "all"
    needs: tuple[Arm, ...] = Field((), description="arms of the primary tests")
    min_seeds: int = Field(3, ge=2)
    min_steps: int = Field(0, ge=0)
    min_pairs: int = Field(1, ge=1, description="above 1: one verdict over all pairs of a suite")
    suites: dict[str, str] = Field({}, description="suite or family: why it cannot test this")
    not_testable: str | None = Field(None, description="why no run can decide this")

    @property
    def primary(self) -> tuple[AnyTest, ...]:
        """The tests that decide."""
        return tuple(test for test in self.tests if test.role == "primary")

    @property
    def in_print(self) -> bool:
        """Whether the paper's print alone decides it, whatever a suite ran."""
        return all(test.kind in IN_PRINT for test in self.primary)

    @model_validator(mode="after")
    def _complete(self) -> Claim:
        if bool(self.primary) == (self.not_testable is not None):
            raise ValueError("give either a primary test or 'not_testable' with the reason")
        names = [test.name for test in self.tests]
        if len(set(names)) < len(names):
            raise ValueError("two tests have one name")
        used = {arm for test in self.primary for arm in test.arms}
        if used != set(self.needs):
            odd = ", ".join(sorted(used ^ set(self.needs)))
            raise ValueError(f"'needs' must list the arms of the primary tests: {odd}")
        return self


class Role(Frozen):
    """How a suite's own tasks are picked: the first test set, the rest, or by their ending."""

    select: Literal["first", "rest", "suffix"]
    suffix: str | None = None
    mean: bool = Field(False, description="one comparison on the mean of all, not one on each")
    meaning: str


class Rule(Frozen):
    """The general rule of decision; texts explain what the names fix."""

    observation: Literal["training_seed", "world"]
    seed_value: str
    effect: Literal["mean_of_paired_differences"]
    ratio: str
    transforms: dict[str, str]
    interval: Literal["student_t"]
    level: float = Field(gt=0.5, lt=1)
    correction: Literal["holm"]
    family: Literal["primary_comparisons_of_a_claim"]
    p_value: str
    step_down: str
    comparison: dict[Literal["holds", "refuted", "equivalent", "open"], str]
    verdicts: dict[
        Literal["supported", "contradicted", "equivalent", "inconclusive", "not_testable"], str
    ]
    rules: dict[Literal["all", "any", "majority"], str]
    without_interval: str
    power: Share
    smallest_effect: str
    failed_runs: str
    registered_seeds: tuple[int, ...]
    registered_world_seed: int | None = None
    registered_worlds: tuple[int, ...] = ()
    provisional: str
    excluded_suites: dict[str, str]

    @model_validator(mode="after")
    def _one_kind_of_world(self) -> Rule:
        blocks = self.observation == "world"
        if blocks == (self.registered_world_seed is not None) or blocks != bool(
            self.registered_worlds
        ):
            raise ValueError(
                "an observation that is a world needs 'registered_worlds', one that is a training "
                "seed needs 'registered_world_seed'"
            )
        return self


class Change(Frozen):
    """What a version of this file changed, and why."""

    version: str
    what: str


class Claims(Frozen):
    """The whole file."""

    version: str = Field(pattern=r"^\d+\.\d+$")
    paper: str
    changes: tuple[Change, ...] = Field(min_length=1)
    known_beforehand: tuple[str, ...]
    rule: Rule
    roles: dict[str, Role]
    suite_families: dict[str, tuple[str, ...]]
    preconditions: tuple[Order, ...]
    claims: tuple[Claim, ...]

    @model_validator(mode="after")
    def _names_exist(self) -> Claims:
        ids = [claim.id for claim in self.claims]
        if len(set(ids)) < len(ids):
            raise ValueError("two claims have one id")
        if self.changes[-1].version != self.version:
            raise ValueError(f"'changes' must end with version {self.version}")
        suites = {*self.suite_families, *(s for many in self.suite_families.values() for s in many)}
        for claim in self.claims:
            for suite in claim.suites:
                _known("suite", suite, suites, claim.id)
            for test in claim.tests:
                _check_names(test, self.roles, f"{claim.id}.{test.name}")
        for test in self.preconditions:
            _check_names(test, self.roles, f"preconditions.{test.name}")
        return self


def _check_names(test: AnyTest, roles: Iterable[str], where: str) -> None:
    """Refuse a metric or a task that nothing records."""
    if isinstance(test, Measured | Order):
        metrics = test.metrics if isinstance(test, Order) else (test.metric,)
        for task in test.tasks:
            _known("task or role", task, {*TASKS, *roles}, where)
            measured = declared.measured_on(task)
            for name in metrics:
                if not any(metric.covers(name) for metric in measured):
                    known = nearest(name, [metric.name for metric in measured])
                    raise ValueError(f"{where}: no metric '{name}'{known} is measured on {task}")
    elif isinstance(test, Trajectory):
        _known("metric", test.metric, declared.CONDENSED, where)
    elif isinstance(test, Published):
        _known("metric", test.metric, published.RECORDED.values(), where)


def _known(what: str, name: str, names: Iterable[str], where: str) -> None:
    if name not in names:
        raise ValueError(f"{where}: no {what} '{name}'{nearest(name, names)}")


def load_claims(path: Path | None = None) -> Claims:
    """Read and check a claims file (default: the shipped one).

    Raises:
        ArkdError: no such file, malformed YAML, an unknown key or name, a rule broken.
    """
    path = path or claims_path()
    data = read_yaml(path)
    try:
        return Claims.model_validate(data)
    except ValidationError as error:
        raise ArkdError(f"{path}: {problem(error, data, names=('id', 'name'))}") from None


def claims_schema() -> str:
    """Return the JSON Schema of the claims file as text, as `benchmarks/schema/` holds it."""
    return json_schema(Claims)

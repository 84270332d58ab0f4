"""One method under test, its formula, and both values of a step: its own and the formula's."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from inspect import signature
from typing import Any

from torch import Tensor

from arkd.conformance.case import Case, Oracle
from arkd.conformance.oracles import ORACLES
from arkd.conformance.toy_models import BATCH
from arkd.method import Method
from arkd.suite.protocol import Distillation

SAMPLES = list(range(BATCH, 2 * BATCH))  # of most checks; a row's number is not its place

NOT_COMPARED = "formula not compared"
GIVEN = "given its own weights"


class Failure(Exception):
    """A check that fails; the message says what was expected and what came."""


class NotApplicable(Exception):
    """A check that says nothing about this method; the message says why."""


@dataclass(frozen=True, eq=False)
class Subject:
    """A method as its users get it, and the formula that it is held to."""

    name: str
    method: Method
    oracle: Oracle | None = None
    module: str | None = None  # that defines it
    own_oracle: bool = False  # it brings its formula itself
    steps: int = 60  # of the run that is held to the formula: what changes late shows
    known: dict[Any, Any] = field(default_factory=dict, repr=False)  # comparisons made before

    @classmethod
    def of(cls, name: str, method: Method, module: str | None = None) -> Subject:
        """Return a method with its own oracle, or the one that the suite holds for its name."""
        formula = getattr(method, "oracle", None)
        oracle = partial(_asked, formula) if formula is not None else ORACLES.get(name)
        return cls(name, method, oracle, module, formula is not None)

    @property
    def formula(self) -> Oracle:
        """What it is held to.

        Raises:
            NotApplicable: there is no formula.
        """
        if self.oracle is None:
            raise NotApplicable(f"{NOT_COMPARED}: the method has no `oracle`")
        return self.oracle

    @property
    def has_aim(self) -> bool:
        """Whether it learns from the teacher's values or from responses that are there before."""
        return self.reads_teacher or bool(self.method.responses)

    @property
    def reads_teacher(self) -> bool:
        """Whether its loss looks at the teacher's values."""
        return self.method.reads_teacher

    def t_squared(self, settings: Distillation) -> float:
        """Return what its loss is multiplied by: T² if the suite says so and T softens it."""
        squared = settings.square_temperature and self.reads_teacher and self.method.softened
        return settings.temperature**2 if squared else 1.0


def _asked(oracle: Any, case: Case) -> Tensor:
    """Ask a method's own oracle; one with a fourth argument is told the whole case."""
    more = (case,) if len(signature(oracle).parameters) > 3 else ()
    losses: Tensor = oracle(case.p_NV, case.q_NV, case.labels_N, *more)
    return losses


def expect_close(
    what: str, found: float, expected: float, *, rel: float = 1e-5, absolute: float = 1e-6
) -> None:
    """Refuse a value that is not the expected one.

    Args:
        what: The value, as the failure names it.
        found: What the method gives.
        expected: What its formula gives.
        rel: Allowed distance as a share of the expected value.
        absolute: Allowed distance in any case, in the value's unit.

    Raises:
        Failure: it is not.
    """
    if not abs(found - expected) <= max(absolute, rel * abs(expected)):
        raise Failure(f"{what}: expected {expected:.7g}, got {found:.7g}")


def expect_same_direction(what: str, found: Tensor, expected: Tensor, rel: float = 1e-4) -> None:
    """Refuse a gradient that is not the expected one.

    Args:
        what: The gradient, as the failure names it.
        found: The method's.
        expected: That of its formula, of the same shape.
        rel: Allowed distance as a share of the expected one's length; 1e-6 is always allowed.

    Raises:
        Failure: the distance between the two is more than `rel` of the expected one's length.
    """
    distance, length = float((found - expected).norm()), float(expected.norm())
    if not distance <= max(1e-6, rel * length):
        cosine = float((found * expected).sum()) / max(1e-30, float(found.norm()) * length)
        raise Failure(
            f"{what}: expected norm {length:.6g}, got {float(found.norm()):.6g} "
            f"(cosine {cosine:.6f}, distance {distance:.3g})"
        )

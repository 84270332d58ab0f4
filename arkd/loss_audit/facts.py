"""What an audit found: one fact a property, and which of them are findings."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True)
class Fact:
    """One property of a loss.

    Attributes:
        property: Its name, such as `shift`.
        measured: What was found, in words.
        declared: What the loss says of it, "" if nothing.
        finding: Whether it differs from what is declared, or from what holds of every loss.
        numbers: What the words rest on.
    """

    property: str
    measured: str
    declared: str = ""
    finding: bool = False
    numbers: Mapping[str, float | str] = field(default_factory=dict)


@dataclass(frozen=True)
class Audit:
    """All that was measured of one loss.

    Attributes:
        target: As it was typed.
        version: Of its package, "" for a file.
        environment: Versions of what it ran on.
        note: How the adapter calls it.
        facts: In the order of the page.
    """

    target: str
    version: str
    environment: str
    note: str
    facts: tuple[Fact, ...]

    @property
    def findings(self) -> tuple[Fact, ...]:
        """The facts that are findings."""
        return tuple(fact for fact in self.facts if fact.finding)

    def to_json(self) -> dict[str, Any]:
        """Return all of it as JSON holds it, numbers that are none as words."""
        value = asdict(self)
        for fact in value["facts"]:
            for key, found in fact["numbers"].items():
                if isinstance(found, float) and not math.isfinite(found):
                    fact["numbers"][key] = str(found)
        return value

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Audit:
        """Return what `to_json` gave.

        Raises:
            TypeError: a key is missing or unknown.
        """
        facts = tuple(Fact(**fact) for fact in value["facts"])
        return cls(**{**value, "facts": facts})


def slug(target: str) -> str:
    """Return a target as the name of a file."""
    return re.sub(r"[^\w.-]+", "-", target).strip("-.")


def percent(share: float) -> str:
    """Return a share as a table shows it."""
    if share >= 0.1:
        return f"{100 * share:.0f} %"
    return f"{100 * share:.2g} %" if share >= 1e-3 else f"{share:.0e}"


def number(value: float) -> str:
    """Return a number as a table shows it."""
    return f"{value:.3g}".replace("-", "−")

"""Which figures of a suite are drawn, of which rows, and how wide: for a paper of one's own."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from matplotlib.figure import Figure

from arkd.errors import ArkdError, nearest
from arkd.tables.builder import Builder

NARROWEST, WIDEST = 1.0, 40.0  # inches


@dataclass(frozen=True)
class Chosen:
    """What a user asks of the figures.

    Attributes:
        only: Names of figures; none: all.
        rows: Rows of the tables, in the order in which they are shown; none: the suite's.
        width: Of each figure, in inches; its letters keep their size.
    """

    only: tuple[str, ...] = ()
    rows: tuple[str, ...] = ()
    width: float | None = None

    def __post_init__(self) -> None:
        if self.width is not None and not NARROWEST <= self.width <= WIDEST:
            raise ArkdError(
                f"--width: from {NARROWEST:g} to {WIDEST:g} inches, found {self.width:g}"
            )

    def __bool__(self) -> bool:
        return bool(self.only or self.rows or self.width is not None)

    def names(self, known: Sequence[str]) -> list[str]:
        """Return the figures to draw, in their own order.

        Raises:
            ArkdError: a name is not a figure's.
        """
        _check("--only", "figure", self.only, known)
        return [name for name in known if name in self.only or not self.only]

    def narrow(self, make: Builder) -> None:
        """Leave a builder the rows asked for.

        Raises:
            ArkdError: one is not a row of the suite.
        """
        _check("--rows", "row", self.rows, make.methods)
        if self.rows:
            make.methods = list(self.rows)

    def fit(self, figures: Mapping[str, Figure]) -> None:
        """Give figures the width asked for; their height follows from their rows and is kept."""
        if self.width is not None:
            for figure in figures.values():
                figure.set_figwidth(self.width)


def _check(option: str, what: str, given: Iterable[str], known: Sequence[str]) -> None:
    for name in given:
        if name not in known:
            raise ArkdError(
                f"{option}: no {what} '{name}'{nearest(name, known)}; known: {', '.join(known)}"
            )

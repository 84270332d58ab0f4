"""Which figures of a suite are drawn, of which rows, and how wide: for a paper of one's own."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

from matplotlib.figure import Figure
from matplotlib.text import Text

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

    def check_drawn(self, figures: Mapping[str, Figure], suite: str) -> None:
        """Refuse a figure that is asked for by its name and has nothing to show.

        Args:
            figures: Those that are drawn, by name.
            suite: The suite's name.

        Raises:
            ArkdError: there is one.
        """
        if empty := [name for name in self.only if name not in figures]:
            raise ArkdError(
                f"--only: suite {suite} has nothing that {', '.join(empty)} would show; of those "
                f"asked for it has: {', '.join(figures) or 'none'}"
            )

    def narrow(self, make: Builder) -> None:
        """Leave a builder the rows asked for.

        Raises:
            ArkdError: one is not a row of the suite.
        """
        _check("--rows", "row", self.rows, make.methods)
        if self.rows:
            make.methods = list(self.rows)

    def fit(self, figures: Mapping[str, Figure]) -> None:
        """Lay figures out in the width asked for; their height follows from their rows and is kept.

        Raises:
            ArkdError: it leaves the words of one no room.
        """
        narrow = [name for name, figure in figures.items() if not self._fits(figure)]
        if narrow:
            fitting = [name for name in figures if name not in narrow]
            raise ArkdError(
                f"--width: {self.width:g} inches are too few for the words of {', '.join(narrow)}; "
                + (f"they are enough for --only {' '.join(fitting)}" if fitting else "give it more")
            )

    def _fits(self, figure: Figure) -> bool:
        """Lay a figure out; tell whether its words have room, if a width is asked for."""
        if self.width is None:
            figure.draw_without_rendering()
            return True
        before = overprinted(figure)
        figure.set_figwidth(self.width)
        for text in figure.texts:
            text.set_wrap(True)
        with warnings.catch_warnings():
            warnings.filterwarnings("error", "constrained_layout not applied")
            try:
                return overprinted(figure) <= before
            except UserWarning:
                return False


def overprinted(figure: Figure) -> int:
    """Lay a figure out, and count its words that lie over others or leave it.

    Words are titles, the names and numbers of axes, legends and the line below; what names a point
    lies where its point is.
    """
    figure.draw_without_rendering()
    words = [word for word in _words(figure) if word.get_visible() and word.get_text().strip()]
    boxes = [word.get_window_extent() for word in words]
    width = figure.get_figwidth() * figure.dpi
    out = sum(box.x0 < -1 or box.x1 > width + 1 for box in boxes)
    return out + sum(first.overlaps(second) for first, second in combinations(boxes, 2))


def _words(figure: Figure) -> Iterator[Text]:
    yield from figure.texts
    for legend in (*figure.legends, *filter(None, (axes.get_legend() for axes in figure.axes))):
        yield from legend.get_texts()
    for axes in figure.axes:
        if not axes.axison:
            continue
        for axis in (axes.xaxis, axes.yaxis):
            low, high = sorted(axis.get_view_interval())
            shown = [tick for tick in axis.get_major_ticks() if low <= tick.get_loc() <= high]
            yield from (label for tick in shown for label in (tick.label1, tick.label2))
            yield axis.label
        titles = (each for each in axes.get_children() if isinstance(each, Text))
        yield from (title for title in titles if title not in axes.texts)


def _check(option: str, what: str, given: Iterable[str], known: Sequence[str]) -> None:
    for name in given:
        if name not in known:
            raise ArkdError(
                f"{option}: no {what} '{name}'{nearest(name, known)}; known: {', '.join(known)}"
            )

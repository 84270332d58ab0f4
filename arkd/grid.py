"""A table of finished texts, and the one way to write it: as CSV, as Markdown, in the terminal."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console

UNCUT = 200  # columns of an output that is no terminal, so that no text is cut


@dataclass(frozen=True)
class Grid:
    """Texts under headings.

    Attributes:
        head: The headings.
        rows: The rows; one that is shorter than the head ends in empty cells.
        left: How many columns are words, set to the left; those after them are numbers.
        bold: The cells in bold, as (row, column).
    """

    head: Sequence[str]
    rows: Sequence[Sequence[str]]
    left: int = 1
    bold: frozenset[tuple[int, int]] = frozenset()

    @property
    def numbers(self) -> int:
        """How many columns are numbers."""
        return len(self.head) - self.left


@dataclass(frozen=True)
class Look:
    """How a terminal shows a grid beyond its texts.

    Attributes:
        title: Stands above it.
        left: How many columns are set to the left, if not as many as in files.
        hidden: Columns that are left out.
        folded: The most characters of a line in columns of words that may fold; the others
            never do.
        gap: Spaces between columns.
        styles: Rich's style of single cells, as (row, column).
    """

    title: str = ""
    left: int | None = None
    hidden: frozenset[int] = frozenset()
    folded: Mapping[int, int] = field(default_factory=dict)
    gap: int = 2
    styles: Mapping[tuple[int, int], str] = field(default_factory=dict)


def to_csv(lines: Iterable[Sequence[object]]) -> str:
    """Return lines, the heading first, as CSV."""
    stream = io.StringIO()
    csv.writer(stream, lineterminator="\n").writerows(lines)
    return stream.getvalue()


def to_markdown(grid: Grid) -> str:
    """Return a GitHub table, without a line end behind it."""
    lines = [list(grid.head), ["---"] * grid.left + ["---:"] * grid.numbers]
    for place, row in enumerate(grid.rows):
        texts = [*row, *[""] * (len(grid.head) - len(row))]
        lines.append([f"**{t}**" if (place, c) in grid.bold else t for c, t in enumerate(texts)])
    return "\n".join(
        "| " + " | ".join(t.replace("|", "\\|") for t in line) + " |" for line in lines
    )


def terminal(least: int = 140) -> Console:
    """Return a console that is at least so wide, and wide enough for any table in a pipe."""
    from rich.console import Console

    console = Console()
    width = max(least, console.width) if console.is_terminal else UNCUT
    return Console(width=width, highlight=False, markup=False)  # brackets are brackets


def show(grid: Grid, console: Console, look: Look | None = None) -> None:
    """Print a grid, numbers to the right."""
    from rich.table import Table
    from rich.text import Text

    look = look or Look()
    left = grid.left if look.left is None else look.left
    shown = [column for column in range(len(grid.head)) if column not in look.hidden]
    table = Table(
        title=look.title or None,
        title_justify="left",
        title_style="bold",
        header_style="bold",
        box=None,
        pad_edge=False,
        padding=(0, look.gap, 0, 0),
    )
    for column in shown:
        table.add_column(
            grid.head[column],
            justify="left" if column < left else "right",
            max_width=look.folded.get(column),
            no_wrap=column < left and column not in look.folded,
        )
    for place, row in enumerate(grid.rows):
        texts = [*row, *[""] * (len(grid.head) - len(row))]
        table.add_row(*(Text(texts[c], look.styles.get((place, c), "")) for c in shown))
    console.print(table)

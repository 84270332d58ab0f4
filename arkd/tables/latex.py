"""Tables as LaTeX that fits a page: sizes, orientation, page breaks and panels follow from widths.

A table is set as large as it fits a conference's page of one column. One that is too wide even in
the smallest type stands sideways, and if that is too narrow as well, its columns are dealt to
panels. One with many rows breaks over pages. Nothing is scaled, so that no text is smaller than
`scriptsize`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from arkd.tables.latex_text import ems, escape

# Width and height of the text of NeurIPS and ICLR, 5.5 by 9 inches; one-inch margins leave more.
PORTRAIT_PT, LANDSCAPE_PT = 397.0, 650.0
FLOAT_ROWS = 30  # a table with more rows breaks over pages
LARGEST_PT = 9.0


@dataclass(frozen=True)
class Size:
    """A type size: its command, points, how much wider than LARGEST_PT its letters are drawn."""

    command: str
    points: float
    width: float  # of a letter, relative to what its points alone would give
    separation_pt: float  # on each side of a column


SIZES = (
    Size("small", 9, 1.03, 6),
    Size("footnotesize", 8, 1.06, 4),
    Size("scriptsize", 7, 1.14, 3),
)


@dataclass(frozen=True)
class Grid:
    """A table as texts: `labels` columns at the left, repeated in each panel; then numbers.

    `bold` has cells as (row, column), `ruled` the rows before which a group begins.
    """

    name: str
    caption: str
    head: Sequence[str]
    rows: Sequence[Sequence[str]]
    labels: int
    left: int  # how many of them are set to the left
    bold: frozenset[tuple[int, int]] = frozenset()
    ruled: frozenset[int] = frozenset()
    notes: Sequence[str] = ()


def render(grid: Grid) -> str:
    """Return a table that a paper can input, with the packages it needs in its first line."""
    widths = [_column_ems(grid, column) for column in range(len(grid.head))]
    everything = list(range(len(grid.head)))
    for sideways, limit in ((False, PORTRAIT_PT), (True, LANDSCAPE_PT)):
        for size in SIZES:
            if _width_pt(widths, size) <= limit:
                return _page(grid, [everything], size, sideways)
    return _page(grid, _panels(grid.labels, widths), SIZES[-1], sideways=True)


def _page(grid: Grid, panels: list[list[int]], size: Size, sideways: bool) -> str:
    floats = not sideways and len(grid.rows) <= FLOAT_ROWS
    set_size = rf"\{size.command}\setlength{{\tabcolsep}}{{{size.separation_pt:g}pt}}"
    notes = [rf"\par\footnotesize {escape(note)}" for note in grid.notes]
    if floats:
        above = r"\centering\setlength{\belowcaptionskip}{6pt}"
        inner = [above, rf"\caption{{{escape(grid.caption)}}}", _label(grid), set_size]
        lines = [r"\begin{table}[t]", *inner, *_tabular(grid), *notes, r"\end{table}"]
        return "\n".join(["% needs the package booktabs", *lines, ""])
    begin, end = (r"\begin{landscape}", r"\end{landscape}") if sideways else ("{", "}")
    lines = [begin, rf"{set_size}\setlength{{\LTcapwidth}}{{\linewidth}}"]
    for number, columns in enumerate(panels):
        lines += _longtable(grid, columns, number, len(panels))
    needs = "booktabs, longtable and pdflscape" if sideways else "booktabs and longtable"
    return "\n".join([f"% needs the packages {needs}", *lines, *notes, end, ""])


def _tabular(grid: Grid) -> list[str]:
    columns = range(len(grid.head))
    head = [r"\toprule", _head(grid, columns), r"\midrule"]
    begin = rf"\begin{{tabular}}{{{_spec(grid, columns)}}}"
    return [begin, *head, *_body(grid, columns), r"\bottomrule", r"\end{tabular}"]


def _longtable(grid: Grid, columns: Sequence[int], number: int, panels: int) -> list[str]:
    """Return one panel; panels after the first keep the table's number."""
    head = [r"\toprule", _head(grid, columns), r"\midrule"]
    part = f" (panel {number + 1} of {panels})" if panels > 1 else ""
    if number:
        caption = [r"\addtocounter{table}{-1}"]
        first = [rf"\caption[]{{{escape(grid.caption.partition('.')[0] + part)}}} \\"]
    else:
        caption = []
        first = [rf"\caption{{{escape(grid.caption + part)}}} {_label(grid)} \\"]
    return [
        *caption,
        rf"\begin{{longtable}}{{{_spec(grid, columns)}}}",
        *[*first, *head, r"\endfirsthead"],
        *[*head, r"\endhead"],
        *[r"\bottomrule", r"\endfoot"],
        *_body(grid, columns),
        r"\end{longtable}",
    ]


def _head(grid: Grid, columns: Iterable[int]) -> str:
    cells = []
    for column in columns:
        place = "l" if column < grid.left else "r"
        lines = [escape(line) for line in _heading(grid, column)]
        text = r" \\ ".join(lines)
        cells.append(rf"\shortstack[{place}]{{{text}}}" if lines[1:] else text)
    return _line(cells)


def _body(grid: Grid, columns: Sequence[int]) -> list[str]:
    lines = []
    for number, row in enumerate(grid.rows):
        if number in grid.ruled:
            lines.append(r"\midrule")
        texts = [(column, escape(row[column])) for column in columns]
        lines.append(
            _line([rf"\textbf{{{t}}}" if (number, c) in grid.bold else t for c, t in texts])
        )
    return lines


def _line(cells: Iterable[str]) -> str:
    return " & ".join(cells) + r" \\"


def _label(grid: Grid) -> str:
    return rf"\label{{tab:arkd-{grid.name}}}"


def _spec(grid: Grid, columns: Iterable[int]) -> str:
    return "".join("l" if column < grid.left else "r" for column in columns)


def _heading(grid: Grid, column: int) -> list[str]:
    """Return a heading in lines that are no wider than the column's cells, if its words let it."""
    cells = max((ems(row[column]) for row in grid.rows), default=0.0)
    # An arrow stays with the word before it.
    words = re.sub(r" (?=[↑↓])", "\u00a0", grid.head[column]).split(" ")
    widest = max(cells, *map(ems, words))
    lines = [words[0]]
    for word in words[1:]:
        if ems(f"{lines[-1]} {word}") <= widest:
            lines[-1] += f" {word}"
        else:
            lines.append(word)
    return [line.replace("\u00a0", " ") for line in lines]


def _column_ems(grid: Grid, column: int) -> float:
    bold = 1.15 if any(c == column for _, c in grid.bold) else 1.0
    cells = max((ems(row[column]) for row in grid.rows), default=0.0)
    return max(bold * cells, *(ems(line) for line in _heading(grid, column)))


def _width_pt(widths: Sequence[float], size: Size) -> float:
    letters = sum(widths) * size.points * size.width
    return letters + 2 * len(widths) * size.separation_pt


def _panels(labels: int, widths: Sequence[float]) -> list[list[int]]:
    """Deal the columns of numbers to the fewest panels that fit, of about equal size."""
    size, numbers = SIZES[-1], range(labels, len(widths))
    for panels in range(2, len(numbers) + 1):
        each = math.ceil(len(numbers) / panels)
        dealt = [list(numbers[at : at + each]) for at in range(0, len(numbers), each)]
        whole = [[*range(labels), *part] for part in dealt]
        if all(_width_pt([widths[c] for c in part], size) <= LANDSCAPE_PT for part in whole):
            return whole
    return [[*range(labels), column] for column in numbers]

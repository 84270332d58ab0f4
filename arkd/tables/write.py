"""A table as CSV, Markdown and LaTeX.

CSV is for machines: means, half widths and numbers of seeds in columns of their own, to
`records.DIGITS` significant digits. Markdown and LaTeX are for readers: one rounded text a cell.
"""

from __future__ import annotations

from arkd import grid as grids
from arkd.grid import Grid
from arkd.storage.records import significant
from arkd.tables import latex
from arkd.tables.table import FEW_SEEDS, NOT_REPORTED, Cell, Column, Row, Table

MILLION = 1e6


def formats(table: Table) -> dict[str, str]:
    """Return a table's text by file suffix."""
    return {"csv": to_csv(table), "md": to_markdown(table), "tex": to_latex(table)}


def number(value: float, digits: int) -> str:
    """Return a rounded number; zero carries no sign, thousands no separator.

    Of a million and more, three significant digits are left.
    """
    text = f"{value:.{digits}f}" if abs(value) < MILLION else f"{value:.2e}"
    return text.lstrip("-") if float(text) == 0 else text.replace("-", "−")


def cell_text(cell: Cell, column: Column) -> str:
    """Return a cell for a reader: `24.5 ± 0.3`, few seeds and failed runs marked."""
    if cell.word is not None or cell.mean is None:
        return cell.word or NOT_REPORTED
    text = number(cell.mean, column.digits)
    if column.least and float(text) == 0:
        text = f"< {10**-column.digits:.{column.digits}f}"
    if cell.half is not None:
        text += f" ± {number(cell.half, column.digits)}"
    if cell.n and cell.n < FEW_SEEDS:
        text += "†"
    text += cell.mark
    return f"{text} ({cell.failed} failed)" if cell.failed else text


def seeds_text(row: Row) -> str:
    """Return the number of seeds behind a row, as a range where its cells differ."""
    counts = sorted({cell.n for cell in row.cells if cell.word is None and cell.n})
    if not counts:
        return "0"
    return str(counts[0]) if len(counts) == 1 else f"{counts[0]}–{counts[-1]}"


def has_seeds(table: Table) -> bool:
    """Return whether any column of the table is measured over seeds."""
    return any(column.measured for column in table.columns)


def headings(table: Table) -> list[str]:
    """Return the headings a reader sees, the number of seeds among them."""
    seeds = [table.counted] if has_seeds(table) else []
    return [*table.label_columns, *seeds, *(column.title for column in table.columns)]


def row_texts(table: Table, row: Row) -> list[str]:
    """Return a row's labels, number of seeds and cells as a reader sees them."""
    seeds = [seeds_text(row)] if has_seeds(table) else []
    cells = [cell_text(cell, c) for cell, c in zip(row.cells, table.columns, strict=True)]
    return [*row.labels, *seeds, *cells]


def grid(table: Table) -> Grid:
    """Return a table as a reader sees it."""
    head = headings(table)
    offset = len(head) - len(table.columns)  # labels and, where there is one, the number of seeds
    return Grid(
        head=head,
        rows=[row_texts(table, row) for row in table.rows],
        left=len(table.label_columns),
        bold=frozenset(
            (place, offset + column)
            for place, row in enumerate(table.rows)
            for column, cell in enumerate(row.cells)
            if cell.bold
        ),
    )


def to_csv(table: Table) -> str:
    """Return `significant` numbers; 'n/a' stands where one seed gives no interval."""
    head = [label.lower().replace(" ", "_") for label in table.label_columns]
    for column in table.columns:
        head.append(column.key)
        if column.measured:
            head += [f"{column.key} half_width", f"{column.key} n"]
    lines = [head]
    for row in table.rows:
        line = list(row.labels)
        for cell, column in zip(row.cells, table.columns, strict=True):
            line.append(cell.word or NOT_REPORTED if cell.mean is None else significant(cell.mean))
            if column.measured:
                line += [NOT_REPORTED if cell.half is None else significant(cell.half), str(cell.n)]
        lines.append(line)
    return grids.to_csv(lines)


def to_markdown(table: Table) -> str:
    """Return a GitHub table under its title and caption."""
    notes = "".join(f"\n{note}\n" for note in table.notes)
    return f"## {table.title}\n\n{table.caption}\n\n{grids.to_markdown(grid(table))}\n{notes}"


def to_latex(table: Table) -> str:
    """Return a booktabs table that a paper can input."""
    caption = f"{table.title}. {table.caption}"
    return latex.to_latex(grid(table), table.label, caption, table.notes)

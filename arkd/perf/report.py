"""The benchmark's tables on the terminal, as Markdown, and as one long CSV."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from arkd import grid as grids
from arkd.grid import Grid, Look
from arkd.perf.tables import Table, number, tables
from arkd.storage.files import write_text
from arkd.storage.records import write_csv

CSV_COLUMNS = ("table", "row", "quantity", "value")


def markdown(measured: dict[str, Any]) -> str:
    """Return all tables as Markdown, with the machine they were measured on."""
    facts = "; ".join(f"{key} {value}" for key, value in measured["machine"].items())
    texts = [f"# Performance\n\nMade by `{measured['command']}`: {facts}.\n"]
    for table in tables(measured):
        texts.append(f"## {table.title}\n\n{table.note}\n\n{grids.to_markdown(_grid(table))}\n")
    return "\n".join(texts)


def write(measured: dict[str, Any], out: Path) -> None:
    """Write performance.md, and performance.csv with one number or text a line."""
    rows = [
        dict(zip(CSV_COLUMNS, (table.title, row[0], column, cell), strict=True))
        for table in tables(measured)
        for row in table.rows
        for column, cell in zip(table.columns[1:], row[1:], strict=True)
        if cell is not None
    ]
    write_csv(out / "performance.csv", CSV_COLUMNS, rows)
    write_text(out / "performance.md", markdown(measured))


def show(measured: dict[str, Any]) -> None:
    """Print all tables, wide enough for their columns."""
    console = grids.terminal()
    for table in tables(measured):
        grids.show(_grid(table), console, Look(table.title))
        console.print(table.note, style="dim")
        console.print()


def _grid(table: Table) -> Grid:
    return Grid(table.columns, [[*map(number, row)] for row in table.rows])

"""The benchmark's tables on the terminal, as Markdown, and as one long CSV."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table as RichTable

from arkd.perf.tables import number, tables
from arkd.storage.files import write_text
from arkd.storage.records import write_csv

CSV_COLUMNS = ("table", "row", "quantity", "value")


def markdown(measured: dict[str, Any]) -> str:
    """Return all tables as Markdown, with the machine they were measured on."""
    facts = "; ".join(f"{key} {value}" for key, value in measured["machine"].items())
    texts = [f"# Performance\n\nMade by `{measured['command']}`: {facts}.\n"]
    for table in tables(measured):
        lines = [f"## {table.title}", "", table.note, ""]
        lines += ["| " + " | ".join(table.columns) + " |"]
        lines += ["| --- " + "| ---: " * (len(table.columns) - 1) + "|"]
        lines += ["| " + " | ".join(map(number, row)) + " |" for row in table.rows]
        texts.append("\n".join(lines) + "\n")
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


def show(measured: dict[str, Any], console: Console) -> None:
    """Print all tables, wide enough for their columns."""
    width = max(140, console.width) if console.is_terminal else 160
    console = Console(width=width, markup=False, highlight=False)  # brackets are brackets
    for table in tables(measured):
        shown = RichTable(title=table.title, caption=table.note, title_justify="left")
        for place, column in enumerate(table.columns):
            shown.add_column(column, justify="right" if place else "left")
        for row in table.rows:
            shown.add_row(*map(number, row))
        console.print(shown)

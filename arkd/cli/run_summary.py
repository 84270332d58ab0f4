"""What `arkd run` ends with: the first columns of the summary, and where the report lies."""

from __future__ import annotations

from pathlib import Path

from arkd.grid import Grid, show
from arkd.suite.folders import tree

WIDTH = 80
GAP = 2


def show_summary(suite: str, results: str) -> None:
    """Print as many columns of a finished suite's summary as a terminal has room for.

    After a suite that only chooses rates, print the command that does.
    """
    from rich.console import Console

    found = tree(suite, results)
    root = found.root
    if not found.suite.shown:
        print(f"\narkd tuning --suite {suite} --results {results}   writes the rates that it chose")
        return
    table = root / "tables" / "summary.md"
    grid, hidden = fitting(read_grid(table))
    print()
    show(grid, Console(width=WIDTH, highlight=False, markup=False))
    if hidden:
        print(f"\n{hidden} more columns: {table}")
    print(f"report: {root / 'report.html'}")


def read_grid(path: Path) -> Grid:
    """Return the grid of a table's Markdown file."""
    lines = path.read_text(encoding="utf-8").splitlines()
    rows = [line.strip("|").split(" | ") for line in lines if line.startswith("| ")]
    head, _, *body = [[cell.strip().replace("**", "") for cell in row] for row in rows]
    return Grid(head, body)


def fitting(grid: Grid) -> tuple[Grid, int]:
    """Return the columns that a terminal has room for, and how many it has none for."""
    sizes = [max(map(len, column)) for column in zip(grid.head, *grid.rows, strict=True)]
    used, kept = 0, 0
    for size in sizes:
        used += size + GAP
        if used - GAP > WIDTH:
            break
        kept += 1
    head, rows = grid.head[:kept], [row[:kept] for row in grid.rows]
    return Grid(head, rows), len(sizes) - kept

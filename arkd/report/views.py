"""Tables and runs as the report's templates draw them: sections, sortable values, links."""

from __future__ import annotations

from collections.abc import Container, Iterable, Sequence
from pathlib import Path
from typing import Any

from arkd.storage.records import significant
from arkd.suite.folders import CONTROLS, Tree, methods, seeds
from arkd.tables import write as tabular
from arkd.tables.table import FAILED, MISSING, NOT_REPORTED, Cell, Column, Row, Table
from arkd.templates import relative

EMPTY = (MISSING, FAILED, NOT_REPORTED)
FORMATS = {
    "tables": {"csv": "CSV", "md": "Markdown", "tex": "LaTeX"},
    "figures": {"svg": "SVG", "png": "PNG", "pdf": "PDF"},
}


def sections(tables: Sequence[Table]) -> list[tuple[str, list[Table]]]:
    """Return the tables, which are in the order of the report, by their section."""
    found: dict[str, list[Table]] = {}
    for table in tables:
        found.setdefault(table.section, []).append(table)
    return [*found.items()]


def table_view(
    table: Table, tree: Tree, out_file: Path, stale: Container[str] = ()
) -> dict[str, Any]:
    """Return a table as the template draws it.

    The labels before the method (pair, metric) become headings over groups of rows, whose values
    have another scale or meaning than the next group's; sorting stays within a group.

    Args:
        table: What is drawn.
        tree: The suite's folders.
        out_file: The page, to which links are relative.
        stale: The folders of which no file is shown (`stale_parts`).
    """
    lead = table.label_columns.index("Method") if "Method" in table.label_columns else 0
    groups: dict[tuple[str, ...], list[dict[str, Any]]] = {}
    known = {label for _, label in methods(tree.suite)}
    for place, row in enumerate(table.rows):
        view = _row_view(table, row, lead) | {"place": place, "link": row.method in known}
        groups.setdefault(row.labels[:lead], []).append(view)
    labels = table.label_columns[lead:]
    return {
        "table": table,
        "labels": labels,
        "headings": tabular.headings(table)[len(table.label_columns) :],
        "width": len(tabular.headings(table)) - lead,
        "groups": [(" · ".join(name), rows) for name, rows in groups.items()],
        "files": files_of(tree, "tables", table.name, out_file, stale),
    }


def files_of(
    tree: Tree, kind: str, name: str, out_file: Path, stale: Container[str]
) -> list[tuple[str, str]]:
    """Return the formats in which a table or figure was saved, each with its link.

    Args:
        tree: The suite's folders.
        kind: Of them, the one where the files lie: `tables` or `figures`.
        name: Of the table or figure: its files' name without suffix.
        out_file: The page, to which the links are relative.
        stale: The folders of which no file is shown.
    """
    return [
        (title, relative(path, out_file))
        for suffix, title in FORMATS[kind].items()
        if kind not in stale and (path := tree.root / kind / f"{name}.{suffix}").is_file()
    ]


def _row_view(table: Table, row: Row, lead: int) -> dict[str, Any]:
    texts = tabular.row_texts(table, row)
    seeds_column = texts[len(row.labels) : len(texts) - len(row.cells)]
    cells = [{"text": t, "margin": "", "value": t, "bold": False} for t in seeds_column]
    pairs = zip(row.cells, table.columns, strict=True)
    return {
        "labels": row.labels[lead:],
        "method": row.method,
        "control": row.method in CONTROLS,
        "variant": "@" in (row.method or ""),
        "fixed": len(seeds_column),  # cells before the first measured one
        "cells": cells + [_cell_view(cell, column) for cell, column in pairs],
    }


def _cell_view(cell: Cell, column: Column) -> dict[str, Any]:
    """Return a cell's text, its margin of error apart, and the value it is sorted by."""
    text, margin = tabular.cell_text(cell, column), ""
    if cell.mean is not None and cell.word is None:
        value = significant(cell.mean)
        text, mark, rest = text.partition(" ± ")
        margin = f"± {rest}" if mark else ""
    else:
        value = "" if text in EMPTY else text
    return {"text": text, "margin": margin, "value": value, "bold": cell.bold}


def run_manifests(tree: Tree, pair: str, method: str) -> dict[int, Path]:
    """Return the manifests of a method's or control's runs that are there.

    They are those of its trainings by seed or, where the suite has several worlds, those of its
    evaluations by world, each of which names the trainings that it measured.
    """
    suite, blocks = tree.suite, tree.blocks
    folders = {
        n: blocks[n].evaluation(pair, method) if blocks else tree.training(pair, method, n)
        for n in seeds(suite, method)
    }
    paths = {n: folder / "manifest.json" for n, folder in folders.items()}
    return {n: path for n, path in paths.items() if path.is_file()}


def span(values: Iterable[int]) -> str:
    """Return whole numbers as a short list: runs of three or more as a range."""
    parts: list[list[int]] = []
    for value in sorted(set(values)):
        if parts and value == parts[-1][-1] + 1:
            parts[-1].append(value)
        else:
            parts.append([value])
    texts = [
        f"{part[0]}–{part[-1]}" if len(part) > 2 else ", ".join(map(str, part)) for part in parts
    ]
    return ", ".join(texts)

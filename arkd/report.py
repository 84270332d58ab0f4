"""One self-contained HTML page of a suite's results: no file beside it, no outside request."""

from __future__ import annotations

import os
import re
from importlib.resources import files
from pathlib import Path
from typing import Any
from urllib.parse import quote

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

from arkd import figures, tables, tabular
from arkd.cells import Row, Table, read_csv
from arkd.claims import claims_path, load_claims
from arkd.files import read_json, write_text
from arkd.layout import captions
from arkd.records import read_csv as read_rows
from arkd.suite import Suite
from arkd.tabular import number
from arkd.workflow import TEACHER, Tree, methods, seeds


def write(suite: Suite, results_dir: Path, out_file: Path, partial: bool = False) -> Path:
    """Write the report of a suite and return its path.

    Args:
        suite: The suite whose results are shown.
        results_dir: The folder of all suites' results.
        out_file: The page; links to manifests and tables are relative to it.
        partial: Show missing cells as '–' instead of refusing them.

    Raises:
        ArkdError: If results are missing and `partial` is not set, or a file is malformed.
    """
    tree = Tree(results_dir, suite)
    template = files("arkd.templates").joinpath("report.html.j2").read_text(encoding="utf-8")
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    page = environment.from_string(template).render(
        suite=suite,
        partial=partial,
        facts=facts(tree),
        tables=[
            table_view(table, tree, out_file) for table in tables.build(suite, results_dir, partial)
        ],
        figures=figure_views(suite, results_dir, partial),
        claims=claim_views(tree.root),
        runs=run_views(tree, out_file),
    )
    write_text(out_file, page)
    return out_file


def facts(tree: Tree) -> list[tuple[str, str]]:
    """Return what was run, on what and with what, as names and values."""
    suite = tree.suite
    manifest: dict[str, Any] = read_json(tree.root / "manifest.json")
    host, git = manifest.get("host", {}), manifest.get("git", {})
    wall_s = float(read_csv(tree.root / "cost.csv", suite, ["wall_s"])["wall_s"].sum())
    commit = str(git.get("commit") or "")[:12] + (" with changes" if git.get("dirty") else "")
    machine = [str(host[k]) for k in ("processor", "system", "machine") if host.get(k)]
    if host.get("cores"):
        machine.append(f"{host['cores']} cores")
    known = {
        "Suite": f"{suite.name}, version {suite.version}",
        "Command": f"snakemake --cores all --config suites='[{suite.name}]'",
        "Training seeds": ", ".join(map(str, suite.seeds)),
        "Decoding seeds": ", ".join(map(str, suite.decoding.seeds)),
        "Host": ", ".join(machine),
        "Run time, all stages added": duration(wall_s),
        "Versions": ", ".join(f"{k} {v}" for k, v in manifest.get("versions", {}).items()),
        "Hash of the core": str(manifest.get("core", "")),
        "Commit": commit,
    }
    return [(name, value) for name, value in known.items() if value]


def duration(seconds: float) -> str:
    """Return a time in the largest sensible units."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"


def table_view(table: Table, tree: Tree, out_file: Path) -> dict[str, Any]:
    """Return a table as the template draws it: rows in groups, cells with sortable values."""
    groups: list[tuple[tuple[str, ...], list[dict[str, Any]]]] = []
    labels = len(table.label_columns)
    for row in table.rows:
        if not groups or groups[-1][0] != row.labels[:-1]:
            groups.append((row.labels[:-1], []))
        texts = tabular.row_texts(table, row)
        offset = len(texts) - len(row.cells)
        cells = [{"text": t, "value": t, "bold": False} for t in texts[labels:offset]]
        for text, cell in zip(texts[offset:], row.cells, strict=True):
            value = "" if cell.mean is None else repr(cell.mean)
            cells.append({"text": text, "value": value, "bold": cell.bold})
        link = row_link(row, tree, out_file)
        groups[-1][1].append(
            {"labels": row.labels, "method": row.method, "link": link, "cells": cells}
        )
    saved = [(s, tree.root / "tables" / f"{table.name}.{s}") for s in ("csv", "md", "tex")]
    return {
        "table": table,
        "headings": tabular.headings(table),
        "labels": labels,
        "groups": [rows for _, rows in groups],
        "files": [(s, relative(path, out_file)) for s, path in saved if path.is_file()],
    }


def row_link(row: Row, tree: Tree, out_file: Path) -> str | None:
    """Return the relative address of the first manifest behind a row, if it is there."""
    pair = row.pair or tree.suite.pairs[0].name
    manifests = run_manifests(tree, pair, row.method or "")
    return relative(next(iter(manifests.values())), out_file) if manifests else None


def run_manifests(tree: Tree, pair: str, method: str) -> dict[int, Path]:
    """Return the manifests of a method's or control's runs that are there, by seed."""
    paths = {
        seed: tree.training(pair, method, seed) / "manifest.json"
        for seed in seeds(tree.suite, method)
    }
    return {seed: path for seed, path in paths.items() if path.is_file()}


def relative(path: Path, out_file: Path) -> str:
    """Return a path as a link from the page."""
    return quote(Path(os.path.relpath(path, out_file.parent)).as_posix())


def run_views(tree: Tree, out_file: Path) -> list[dict[str, Any]]:
    """Return the manifests of every run that are there, a line for each pair and method."""
    lines = []
    for pair, method in methods(tree.suite):
        links = [
            ("model" if method == TEACHER else f"seed {seed}", relative(path, out_file))
            for seed, path in run_manifests(tree, pair, method).items()
        ]
        if links:
            lines.append({"pair": pair, "method": method, "links": links})
    return lines


def claim_views(root: Path) -> list[dict[str, str]]:
    """Return the verdicts that `arkd claims` wrote, or the registered claims without any."""
    path = root / "claims" / "claims.csv"
    if path.is_file():
        return [
            {"id": row["claim"], "statement": row["statement"], "verdict": verdict_text(row)}
            for row in read_rows(path)
        ]
    if not claims_path().is_file():
        return []
    words = "none yet: run `arkd claims`"
    return [
        {"id": claim.id, "statement": claim.statement, "verdict": words}
        for claim in load_claims().claims
    ]


def verdict_text(row: dict[str, str]) -> str:
    """Say a verdict of `claims.csv` in a line: what was found, in how much, and how sure."""
    status = f" ({row['status']})" if row["status"] else ""
    text = row["verdict"] + status + (f": {row['reason']}" if row["reason"] else "")
    if not int(row["comparisons"]):
        return text
    text += f"; {row['holds']} hold, {row['refuted']} refuted, {row['open']} open"
    if row["decisive"] and row["effect"]:
        shown = {key: number(float(row[key]), 3) for key in ("effect", "low", "high") if row[key]}
        interval = f" [{shown['low']}, {shown['high']}]" if "low" in shown else ""
        text += f"; {row['decisive']}: {shown['effect']}{interval} {row['unit']}"
    return text


def figure_views(suite: Suite, results_dir: Path, partial: bool) -> list[dict[str, Any]]:
    """Return the figures with title, caption and drawing."""
    text = captions(suite)["figures"]
    drawn = figures.render(suite, results_dir, partial)
    return [
        {"name": name, **text[name], "svg": inline(name, files["svg"], text[name]["alt"])}
        for name, files in drawn.items()
    ]


def inline(name: str, svg: bytes, alt: str) -> Markup:
    """Return an SVG file as an element of the page.

    Ids get the figure's name, so that they stay unique in the page; backgrounds become
    transparent, so that the page's own shows in light and dark.
    """
    text = svg.decode("utf-8")
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>\s*", "", text, flags=re.DOTALL)
    text = re.sub(r'\bid="', f'id="{name}-', text)
    text = re.sub(r'xlink:href="#', f'href="#{name}-', text)
    text = re.sub(r"url\(#", f"url(#{name}-", text)
    text = re.sub(
        r'(id="[\w-]*patch_\d+">\s*<path[^>]*style=")fill: #ffffff', r"\1fill: none", text
    )
    opening = text.index(">")
    size = re.search(r'viewBox="[^"]*"', text[:opening])
    width = re.search(r'width="([\d.]+)pt"', text[:opening])
    points = float(width[1]) if width else 400.0
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" {size[0] if size else ""} role="img" '
        f'aria-label="{Markup.escape(alt)}" style="width:{points * 4 / 3:.0f}px"'
    )
    return Markup(head + text[opening:])

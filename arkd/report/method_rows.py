"""What the report says of each row's method: what it is, its paper, its page and its runs."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, metadata
from pathlib import Path
from typing import Any

from arkd.errors import ArkdError
from arkd.report.views import run_manifests
from arkd.suite import method_listing, registry
from arkd.suite.folders import INIT, TEACHER, UNTRAINED, Tree, methods
from arkd.templates import relative, slug

CONTROLS = {
    TEACHER: "the model that students learn from",
    UNTRAINED: "the student before any training",
    INIT: "the start of every student, after a short supervised training on gold responses",
}
PAGES = "baselines/pages"
PLACEHOLDER = "example.org"  # the host of addresses that are not known yet


def method_rows(tree: Tree, out_file: Path) -> list[dict[str, Any]]:
    """Return a line for each pair and row; the first of a row is where its name leads."""
    lines, named = [], set[str]()
    for pair, label in methods(tree.suite):
        links = [
            ("model" if label == TEACHER and not tree.blocks else str(n), relative(path, out_file))
            for n, path in run_manifests(tree, pair, label).items()
        ]
        evaluation = tree.evaluation(pair, label) / "manifest.json"
        link = relative(evaluation, out_file) if evaluation.is_file() else None
        line = {"pair": pair, "method": label, "links": links, "evaluation": link}
        lines.append(line | about(tree, label) | {"id": "" if label in named else anchor(label)})
        named.add(label)
    return lines


def anchor(label: str) -> str:
    """Return the id of the line that says what a row is."""
    return f"method-{slug(label)}"


def about(tree: Tree, label: str) -> dict[str, Any]:
    """Return what a row's method is, its paper and its page; empty where its file is not here."""
    found = {"what": CONTROLS.get(label, ""), "paper": "", "url": "", "page": "", "page_url": ""}
    if label in CONTROLS:
        return found
    name = tree.suite.entry(label).name
    try:
        row, plugin = method_listing.row(name), registry.plugin(name)
    except ArkdError:
        return found
    paper = row.reference
    found |= {"what": row.summary, "paper": f"{paper.title} ({paper.year})", "url": paper.url}
    if plugin.entry_point is None:  # those of the project have pages
        found["page"] = f"{PAGES}/{name}.md"
        found["page_url"] = f"{base}/blob/main/{found['page']}" if (base := repository()) else ""
    return found


def repository() -> str:
    """Return the address of the project's repository, or "" while it is not known."""
    try:
        urls = metadata("arkd").get_all("Project-URL") or []
    except PackageNotFoundError:
        return ""
    known = dict(url.split(", ", 1) for url in urls)
    address = str(known.get("Repository", ""))
    return "" if PLACEHOLDER in address else address

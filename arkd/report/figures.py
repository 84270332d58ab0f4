"""The figures in the report: drawings as elements of the page, small and readable on its ground."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from markupsafe import Markup, escape

from arkd.errors import ArkdError
from arkd.figures import build as figures
from arkd.paths import benchmarks_dir
from arkd.report.drawing import strange
from arkd.report.views import files_of
from arkd.storage import manifest
from arkd.storage.yaml_text import read_yaml
from arkd.suite.folders import Tree
from arkd.suite.suite import Suite
from arkd.tables.kind import facts


def figure_views(
    tree: Tree, out_file: Path, partial: bool, stale: Sequence[str]
) -> list[dict[str, Any]]:
    """Return the figures with title, caption, drawing and the files to download.

    Args:
        tree: The suite's folders.
        out_file: The page, to which links are relative.
        partial: Draw what is there.
        stale: The folders of which no file is shown (`stale_parts`).
    """
    text = captions(tree.suite)
    views = []
    for name, svg in drawings(tree, partial, stale).items():
        entry = text.get(name, {})
        title, caption = entry.get("title", name), entry.get("caption", "")
        views.append(
            {
                "name": name,
                "title": title,
                "caption": caption,
                "svg": inline(name, svg, entry.get("alt") or f"{title}. {caption}".strip()),
                "files": files_of(tree, "figures", name, out_file, stale),
            }
        )
    return views


def drawings(tree: Tree, partial: bool, stale: Sequence[str]) -> dict[str, bytes]:
    """Return each figure's SVG: as `arkd figures` drew it from these records, else drawn now.

    Raises:
        ArkdError: a file holds what no drawing does.
    """
    folder = tree.root / "figures"
    if folder.name not in stale:
        files = {name: folder / f"{name}.svg" for name in (*figures.FIGURES, figures.FOREST)}
        found = {name: file.read_bytes() for name, file in files.items() if file.is_file()}
        for name, svg in found.items():  # shown here, or copied for another page
            if wrong := strange(svg):
                again = f"draw it again: {tree.command('figures')}"
                raise ArkdError(f"{files[name]}: {wrong}, which no drawing of arkd has; {again}")
        if (folder / manifest.NAME).is_file():
            return found
    drawn = figures.render(tree.suite, tree.results, partial, named=tree.named)
    return {name: made["svg"] for name, made in drawn.items()}


def captions(suite: Suite) -> dict[str, dict[str, str]]:
    """Return each figure's title, caption and description, the suite's settings filled in."""
    settings = facts(suite)
    return {
        name: {key: value.format(**settings) for key, value in entry.items()}
        for name, entry in read_yaml(benchmarks_dir() / "captions.yaml").items()
    }


def inline(name: str, svg: bytes, alt: str) -> Markup:
    """Return an SVG file as an element of the page.

    Ids get the figure's name, so that they stay unique in the page; backgrounds become
    transparent, so that the page's own shows in light and dark.
    """
    text = svg.decode("utf-8")
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>\s*", "", text, flags=re.DOTALL)
    text = re.sub(
        r'(id="[\w-]*patch_\d+">\s*<path[^>]*style=")fill: #ffffff', r"\1fill: none", text
    )
    text = _own_ids(name, text)
    text = re.sub(r' (d|x|y)="[^"]*"', lambda part: _rounded(part[0]), text)
    text = re.sub(r"translate\([^)]*\)", lambda part: _rounded(part[0]), text)
    text = re.sub(r">\s*\n\s*<", "><", text)
    opening = text.index(">")
    size = re.search(r'viewBox="[^"]*"', text[:opening])
    width = re.search(r'width="([\d.]+)pt"', text[:opening])
    points = float(width[1]) if width else 400.0
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" {size[0] if size else ""} role="img" '
        f'class="drawing" aria-label="{escape(alt)}" style="width:{points * 4 / 3:.0f}px"'
    )
    return Markup(head + _styled(name, text[opening:]))


def _own_ids(name: str, text: str) -> str:
    """Give the ids that are referred to the figure's name, and drop the others."""
    used = set(re.findall(r'xlink:href="#([^"]+)"|url\(#([^)]+)\)', text))
    kept = {reference for pair in used for reference in pair if reference}

    def renamed(match: re.Match[str]) -> str:
        return f' id="{name}-{match[1]}"' if match[1] in kept else ""

    text = re.sub(r'\s\bid="([^"]*)"', renamed, text)
    text = re.sub(r'xlink:href="#', f'href="#{name}-', text)
    return re.sub(r"url\(#", f"url(#{name}-", text)


def _rounded(text: str) -> str:
    """Return coordinates to a hundredth of a point, finer than any screen."""
    return re.sub(r"\d+\.\d{3,}", lambda value: f"{float(value[0]):.2f}", text)


def _styled(name: str, text: str) -> str:
    """Return a drawing whose repeated styles are rules of one sheet: half the size."""
    found = re.findall(r' style="([^"]*)"', text)
    repeated = [style for style in dict.fromkeys(found) if found.count(style) > 2]
    classes = {style: f"{name}-{place}" for place, style in enumerate(repeated)}

    def named(match: re.Match[str]) -> str:
        return f' class="{classes[match[1]]}"' if match[1] in classes else match[0]

    rules = "".join(f".{label}{{{style}}}" for style, label in classes.items())
    text = re.sub(r' style="([^"]*)"', named, text)
    return text.replace(">", f"><style>{rules}</style>", 1) if rules else text

"""Stage the repository's pages for the documentation site, every link followed.

A link between pages stays as it is; one to a file that is no page leads to the repository, or,
while the address of that is not known, to a copy of the file. Pages that are made from code are
written here: commands, settings, the API, and the list of reports.
"""

from __future__ import annotations

import argparse
import posixpath
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, get_args, get_origin
from urllib.parse import unquote

import yaml
from pydantic import BaseModel

from arkd.cli.parser import parser
from arkd.leaderboard import page as board
from arkd.suite import protocol, settings
from arkd.suite.suite import Suite

ROOT = Path(__file__).parent.parent
PAGES = ROOT / "build" / "pages"
STYLE = ROOT / "site" / "site.css"
BOARD = ROOT / "results" / "leaderboard"  # where `arkd leaderboard` writes it
SUBMITTED = "results/submissions/"  # of which nothing is published but numbers on the leaderboard
PUBLIC = {  # what authors of methods import, and what measures
    "The contract of a method": ["arkd.method", "arkd.objectives", "arkd.papers"],
    "Divergences": [
        *("arkd.divergence.losses", "arkd.divergence.head"),
        *("arkd.divergence.support", "arkd.divergence.sparse"),
    ],
    "Metrics": ["arkd.metrics.declared", "arkd.metrics.token_fidelity"],
    "Statistics": ["arkd.statistics.intervals", "arkd.statistics.resampling"],
    "Results": ["arkd.results.suite_results", "arkd.results.records", "arkd.suite.folders"],
    "Errors": ["arkd.errors"],
}
SETTINGS = {
    "A suite": Suite,
    "`pairs`": settings.Pair,
    "A model from scratch": settings.Scratch,
    "`lora`, `teacher_lora`": settings.Lora,
    "`student_start`, `teacher_training`": protocol.Optimisation,
    "`selection`": protocol.Selection,
    "`distillation`, beyond the keys of `student_start`": protocol.Distillation,
    "`training`": settings.Training,
    "`decoding`": settings.Decoding,
    "`tail`": settings.TailSettings,
}
QUOTED = re.compile(r'"([^":#<>\s]+\.(?:csv|jsonl?|tex|pdf|svg|png))"')  # by a report, or its data
MARKDOWN = re.compile(r'href="([^":#]+\.md)"( download)?')
FOLDER = re.compile(r' href="([^":#]+/)"')
PAGE = re.compile(r"(?<=[>\s])(?:docs|baselines/pages)/[\w-]+\.md\b(?!</a>)")  # named, not linked
LINK = re.compile(
    r"(?P<text>\[[^\[\]]*)?(?P<before>\]\(|src=\")(?P<link>[^)\s\"]+)(?P<after>\)|\")"
)
FENCE = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)
PLACEHOLDER = "example.org"  # the host of addresses that are not known yet


@dataclass
class Links:
    """What links may lead to, and what following them found."""

    files: set[str]  # those of the repository
    pages: set[str]  # of them, those that are pages
    repository: str
    copied: set[str] = field(default_factory=set)  # files that the site needs beside its pages
    broken: list[str] = field(default_factory=list)


def main() -> None:
    """Write build/pages anew; exit with the links that lead nowhere, if there are any."""
    shutil.rmtree(PAGES, ignore_errors=True)
    files = set(published())
    pages = {name for name in files if name.endswith(".md") and not name.startswith(".")}
    reports = sorted(name for name in files if name.endswith("/report.html"))
    links = Links(files, pages, repository())
    for name in sorted(pages):
        text = (ROOT / name).read_text(encoding="utf-8")
        _write("index.md" if name == "README.md" else name, "".join(_linked(name, text, links)))
    links.copied |= {f for f in files if f.endswith((".svg", ".png")) and "/figures/" in f}
    for name in reports:
        text = (ROOT / name).read_text(encoding="utf-8")
        links.copied |= files & {_beside(name, link) for link in QUOTED.findall(text)}
        _write(name, _report(name, text, links))
    for name in links.copied:
        _copy(name, name)
    _write("docs/commands.md", commands())
    _write("docs/api.md", api())
    _write("docs/settings.md", suite_settings())
    for path in (BOARD / name for name in (board.PAGE, board.JSON, board.CSV)):
        if path.is_file() and not (path.is_symlink() or BOARD.is_symlink()):
            name, text = f"results/{BOARD.name}/{path.name}", path.read_text(encoding="utf-8")
            # Its links lead to the reports, from where it stands.
            _write(name, _board(name, text, links) if path.name == board.PAGE else text)
    _write("results/reports.md", listed(reports))
    shutil.copyfile(STYLE, PAGES / STYLE.name)
    if links.broken:
        sys.exit("links that lead nowhere:\n" + "\n".join(links.broken))


def published() -> Iterator[str]:
    """Yield the files of the repository that the site may show: plain ones, and nothing sent in."""
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.split("\0")
    for name in filter(None, listed):
        if not name.startswith(SUBMITTED) and not (ROOT / name).is_symlink():
            yield name


def _write(name: str, text: str) -> None:
    path = PAGES / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def _copy(name: str, to: str) -> None:
    (PAGES / to).parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(ROOT / name, PAGES / to)


def _linked(name: str, text: str, links: Links) -> Iterator[str]:
    """Yield a page with its links set right; what stands in code blocks is left alone."""
    at = 0
    for fence in FENCE.finditer(text):
        yield LINK.sub(lambda m: _target(name, m, links), text[at : fence.start()])
        yield fence[0]
        at = fence.end()
    yield LINK.sub(lambda m: _target(name, m, links), text[at:])


def _target(name: str, match: re.Match[str], links: Links) -> str:
    """Return a link as the site has it; of one to a folder that it cannot show, the text."""
    text, link = match["text"] or "", match["link"]
    path, mark, anchor = link.partition("#")
    if re.match(r"[a-z]+:", link) or not path:
        if PLACEHOLDER in link:
            links.broken.append(f"{name}: {link}")
        return match[0]

    def to(target: str) -> str:
        return f"{text}{match['before']}{target}{mark}{anchor}{match['after']}"

    place = (ROOT / name).parent.joinpath(path).resolve()
    relative = place.relative_to(ROOT).as_posix() if place.is_relative_to(ROOT) else ""
    if relative == "README.md":
        return to(f"{path.removesuffix('README.md')}index.md")
    if relative in links.files:
        if relative in links.pages or relative.endswith(("/report.html", ".svg", ".png")):
            return match[0]
        if links.repository:
            return to(f"{links.repository}/blob/main/{relative}")
        links.copied.add(relative)
        return match[0]
    if relative and any(file.startswith(f"{relative}/") for file in links.files):
        if f"{relative}/README.md" in links.pages:
            return to(f"{path.rstrip('/')}/README.md")
        return to(f"{links.repository}/tree/main/{relative}") if links.repository else text[1:]
    links.broken.append(f"{name}: {link}")
    return match[0]


def _report(name: str, text: str, links: Links) -> str:
    """Return a report for the site, which makes pages of Markdown: its files have another name."""

    def download(match: re.Match[str]) -> str:
        file = _beside(name, match[1])
        if file not in links.files:
            links.broken.append(f"{name}: {match[1]}")
            return match[0]
        _copy(file, f"{file}.txt")
        return f'href="{match[1]}.txt" download="{posixpath.basename(file)}"'

    return _in_site(name, MARKDOWN.sub(download, text), links)


def _board(name: str, text: str, links: Links) -> str:
    """Return the leaderboard for the site, which shows a run's report and none of its folder."""

    def run(match: re.Match[str]) -> str:
        link = f"{match[1]}report.html"
        return f' href="{link}"' if _beside(name, link) in links.files else ""

    return _in_site(name, FOLDER.sub(run, text), links)


def _in_site(name: str, text: str, links: Links) -> str:
    """Return a page that stands alone with a link to the site, and to the pages that it names."""
    hrefs = re.findall(r'href="([^"]+)', text)
    links.broken += [f"{name}: {href}" for href in hrefs if PLACEHOLDER in href]
    up = "../" * name.count("/")
    shown, script, rest = text.partition("<script")

    def page(match: re.Match[str]) -> str:
        target = f"{up}{match[0].removesuffix('.md')}.html"
        return f'<a href="{target}">{match[0]}</a>' if match[0] in links.pages else match[0]

    home = f'<header class="bar">\n<a href="{up}index.html">← Documentation</a>'
    shown = PAGE.sub(page, shown).replace('<header class="bar">', home, 1)
    return f"{shown}{script}{rest}"


def _beside(name: str, link: str) -> str:
    """Return the file that a report's link leads to, from the repository's root."""
    return posixpath.normpath(f"{posixpath.dirname(name)}/{unquote(link)}")


def repository() -> str:
    """Return where the project lies on the web, as CITATION.cff says, or "" if not known yet."""
    cited = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    address = str(cited.get("repository-code") or "").rstrip("/")
    return "" if PLACEHOLDER in address else address


def commands() -> str:
    """Return the page of every command, as `--help` shows it."""
    top = parser()
    (added,) = (a for a in top._actions if isinstance(a, argparse._SubParsersAction))
    parts = ["# Commands", "", "```text", top.format_help().rstrip(), "```"]
    for name, command in added.choices.items():
        text = command.format_help().rstrip()
        parts += ["", f"## arkd {name}", "", "```text", text, "```"]
    return "\n".join(parts) + "\n"


def api() -> str:
    """Return the page of the API, which mkdocstrings fills in."""
    parts = ["# API", "", "What a method, a plugin or an analysis of your own may import."]
    for title, modules in PUBLIC.items():
        parts += ["", f"## {title}", *(f"\n::: {module}" for module in modules)]
    return "\n".join(parts) + "\n"


def suite_settings() -> str:
    """Return the page of a suite's settings: each key, its default, what its field says of it."""
    parts = ["# Settings of a suite", "", "`arkd new-suite` writes a file with these, commented."]
    parts += ["", "<style>td:first-child code { white-space: nowrap }</style>"]
    for title, model in SETTINGS.items():
        parts += ["", f"## {title}", "", "| key | default | meaning |", "|---|---|---|"]
        shared = protocol.Optimisation.model_fields if model is protocol.Distillation else {}
        for name, setting in model.model_fields.items():
            if name not in shared:
                default = (
                    "required" if setting.is_required() else f"`{_plain(setting.get_default())}`"
                )
                words = (
                    get_args(setting.annotation)
                    if get_origin(setting.annotation) is Literal
                    else ()
                )
                choice = " or ".join(f"`{word}`" for word in words)
                meaning = "; ".join(filter(None, (choice, setting.description)))
                parts.append(f"| `{name}` | {default} | {meaning} |")
    return "\n".join(parts) + "\n"


def _plain(value: object) -> str:
    """Return a default as YAML has it, a part of the suite as an empty mapping."""
    shown = list(value) if isinstance(value, tuple) else value
    text = yaml.safe_dump({} if isinstance(value, BaseModel) else shown, default_flow_style=True)
    return text.removesuffix("...\n").strip()


def listed(reports: list[str]) -> str:
    """Return the page that leads to the reports of the reference results."""
    lines = ["# Reports", "", "The reports of the committed reference results, each one page.", ""]
    for name in reports:
        version, suite = Path(name).parts[-3:-1]
        lines.append(f"- [{suite}, results {version}]({Path(name).relative_to('results')})")
    if BOARD.is_dir():
        lines += ["", f"The [leaderboard]({BOARD.name}/index.html) ranks them."]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()

"""Stage the repository's pages for the documentation site, every link followed.

A link between pages stays as it is; one to a file that is no page leads to the repository. Pages
that are made from code are written here: commands, settings, the API, and the list of reports.
"""

from __future__ import annotations

import argparse
import posixpath
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Literal, get_args, get_origin
from urllib.parse import quote, unquote

import yaml
from pydantic import BaseModel

from arkd.cli.parser import parser
from arkd.suite import protocol, settings
from arkd.suite.suite import Suite

ROOT = Path(__file__).parent.parent
PAGES = ROOT / "build" / "pages"
STYLE = ROOT / "site" / "site.css"
BOARD = ROOT / "results" / "leaderboard"  # where `arkd leaderboard` writes it
PUBLIC = {  # what authors of methods import, and what measures
    "The contract of a method": ["arkd.method", "arkd.objectives", "arkd.papers"],
    "Divergences": ["arkd.divergence.losses", "arkd.divergence.support", "arkd.divergence.sparse"],
    "Metrics": ["arkd.metrics.declared", "arkd.metrics.token_fidelity"],
    "Statistics": ["arkd.statistics.intervals", "arkd.statistics.resampling"],
    "Results": ["arkd.results.suite_results", "arkd.results.records"],
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
UNSAID = {  # of keys whose field says nothing, as their name says most of it
    "description": "a line for listings and pages",
    "data": "the source of the texts, and its settings",
    "choice_tasks": "tasks of multiple choice",
    "perplexity_task": "the task of whole texts",
    "methods": "the rows: names, or mappings of a name and settings",
    "seeds": "training seeds",
    **dict.fromkeys(("pairs", "distillation", "training", "decoding", "tail"), "see below"),
    "name": "of its folder",
    "teacher": "the model that is learnt from",
    "student": "the model that learns",
    "layers": "blocks",
    "heads": "attention heads of each",
    "rank": "of the adapters' matrices",
    "dropout": "of the adapters",
    "weight_decay": "AdamW's",
    "clip_norm": "largest norm of a step's gradient",
    "betas": "AdamW's",
    "`decoding` seeds": "of the draws of each student",
    "temperature": "of sampling",
    "top_p": "of nucleus sampling; 1: the whole vocabulary",
    "no_repeat_ngram": "length of n-grams that no answer repeats; 0: none",
    "max_new_tokens": "of an answer",
    "top_k": "of the agreement of the k likeliest tokens",
    "ece_bins": "bins of the calibration error",
    "prefixes": "on which fidelity is measured",
}
QUOTED = re.compile(r'"([^":#<>\s]+\.(?:csv|jsonl?|tex|pdf|svg|png))"')  # by a report, or its data
MARKDOWN = re.compile(r'(?<=href=")([^":#]+\.md)(?=")')
LINK = re.compile(r"(\]\()([^)\s]+)(\))|(src=\")([^\"]+)(\")")
FENCE = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)


def main() -> None:
    """Write build/pages anew; exit with the links that lead nowhere, if there are any."""
    shutil.rmtree(PAGES, ignore_errors=True)
    tracked = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.split("\0")
    files = {name for name in tracked if name}
    pages = {name for name in files if name.endswith(".md") and not name.startswith(".")}
    reports = sorted(name for name in files if name.endswith("/report.html"))
    broken: list[str] = []
    for name in sorted(pages):
        text = (ROOT / name).read_text(encoding="utf-8")
        linked = "".join(_linked(name, text, files, pages, broken))
        _write("index.md" if name == "README.md" else name, linked)
    shown = {name for name in files if name.endswith((".svg", ".png")) and "/figures/" in name}
    for name in reports:
        text = (ROOT / name).read_text(encoding="utf-8")
        shown |= files & {_beside(name, link) for link in QUOTED.findall(text)}
        _write(name, _report(name, text))
    for name in shown:
        (PAGES / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / name, PAGES / name)
    _write("docs/commands.md", commands())
    _write("docs/api.md", api())
    _write("docs/settings.md", suite_settings())
    if BOARD.is_dir():  # whose links lead to the reports, from where it stands
        shutil.copytree(BOARD, PAGES / "results" / BOARD.name)
    _write("results/reports.md", listed(reports))
    shutil.copyfile(STYLE, PAGES / STYLE.name)
    if broken:
        sys.exit("links that lead nowhere:\n" + "\n".join(broken))


def _write(name: str, text: str) -> None:
    path = PAGES / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def _linked(
    name: str, text: str, files: set[str], pages: set[str], broken: list[str]
) -> Iterator[str]:
    """Yield a page with its links set right; what stands in code blocks is left alone."""
    at = 0
    for fence in FENCE.finditer(text):
        yield LINK.sub(lambda m: _target(name, m, files, pages, broken), text[at : fence.start()])
        yield fence[0]
        at = fence.end()
    yield LINK.sub(lambda m: _target(name, m, files, pages, broken), text[at:])


def _target(
    name: str, match: re.Match[str], files: set[str], pages: set[str], broken: list[str]
) -> str:
    before, link, after = (part for part in match.groups() if part is not None)
    path, mark, anchor = link.partition("#")
    if re.match(r"[a-z]+:", link) or not path:
        return match[0]
    place = (ROOT / name).parent.joinpath(path).resolve()
    relative = place.relative_to(ROOT).as_posix() if place.is_relative_to(ROOT) else ""
    if relative in files or (relative and any(f.startswith(f"{relative}/") for f in files)):
        if relative == "README.md":
            return f"{before}{path.removesuffix('README.md')}index.md{mark}{anchor}{after}"
        if relative in pages or relative.endswith(("/report.html", ".svg", ".png")):
            return match[0]
        kind = "blob" if relative in files else "tree"
        return f"{before}{repository()}/{kind}/main/{relative}{mark}{anchor}{after}"
    broken.append(f"{name}: {link}")
    return match[0]


def _report(name: str, text: str) -> str:
    """Return a report whose Markdown is that of the repository: the site makes pages of its own."""
    base = f"{repository()}/blob/main"
    return MARKDOWN.sub(lambda m: f"{base}/{quote(_beside(name, m[1]))}", text)


def _beside(name: str, link: str) -> str:
    """Return the file that a report's link leads to, from the repository's root."""
    return posixpath.normpath(f"{posixpath.dirname(name)}/{unquote(link)}")


def repository() -> str:
    """Return where the project lies on the web, as CITATION.cff says."""
    cited = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    return str(cited.get("repository-code") or "https://example.org/arkd").rstrip("/")


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
        for name, field in model.model_fields.items():
            if name not in shared:
                default = "required" if field.is_required() else f"`{_plain(field.get_default())}`"
                words = (
                    get_args(field.annotation) if get_origin(field.annotation) is Literal else ()
                )
                choice = " or ".join(f"`{word}`" for word in words)
                said = field.description or UNSAID.get(f"{title} {name}", UNSAID.get(name, ""))
                meaning = "; ".join(filter(None, (choice, said)))
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

"""One self-contained HTML page of a suite's results: no file beside it, no outside request.

Beside it lies a folder of the same name with the files that `snakemake --report` lists.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from jinja2 import Environment
from markupsafe import Markup, escape

from arkd.errors import ArkdError
from arkd.report import parts
from arkd.report.claims import claims_view
from arkd.report.figures import figure_views
from arkd.report.method_rows import anchor, method_rows
from arkd.report.origins import panel_data, suite_command
from arkd.report.stale import stale_parts
from arkd.report.views import sections, span, table_view
from arkd.results.records import read_frame
from arkd.results.trajectories import read_windows, trained_steps
from arkd.storage import manifest as manifests
from arkd.storage.files import refuse_unlike, staged_dir, write_text
from arkd.suite.folders import Tree, methods, seeds
from arkd.suite.suite import Suite
from arkd.tables import build as tables
from arkd.tables import kind
from arkd.tables.table import Table
from arkd.templates import environment, label, policy, slug

STYLE = "report.css.j2"
SIGN = ": distillation benchmark</title>"  # in the head of every page
SCRIPTS = {"script": ("theme.js.j2", "report.js.j2"), "panel": ("report_panel.js.j2",)}


def write(
    suite: Suite, results_dir: Path, out_file: Path, partial: bool = False, named: str = ""
) -> Path:
    """Write the report of a suite and return its path.

    Args:
        suite: The suite whose results are shown.
        results_dir: The folder of all suites' results.
        out_file: The page; links to manifests and tables are relative to it. Its parts go into the
            folder beside it that has its name.
        partial: Show missing cells as '–' instead of refusing them.
        named: What the command line calls the suite, if not by its name.

    Raises:
        ArkdError: If results are missing and `partial` is not set, or a file is malformed; nothing
            is written then.
    """
    tree = Tree(results_dir, suite, named)
    refuse_unlike(out_file, SIGN)
    _refuse_other_parts(out_file.with_suffix(""))
    made = tables.build(suite, results_dir, partial, named)
    stale = stale_parts(tree)
    by_section = sections(made)
    views = [
        (section, [table_view(table, tree, out_file, stale) for table in tables_])
        for section, tables_ in by_section
    ]
    drawn = figure_views(tree, out_file, partial, stale)
    claims = claims_view(tree, out_file, stale)
    made_of, page = templates()
    text = made_of.get_template("report.html.j2").render(
        **page,
        suite=suite,
        partial=partial,
        stale=[name for name in stale if name != "claims"],  # of which its section speaks
        several_pairs=len(suite.pairs) > 1,
        strip=strip(tree, made),
        facts=facts(tree),
        scope=scope(tree.suite),
        observations=f"{suite.observation}s",
        counted=f"{suite.observation.split()[-1]}s",
        sections=views,
        figures=drawn,
        claims=claims,
        runs=method_rows(tree, out_file),
        data=panel_data(made, tree, out_file),
    )
    with staged_dir(out_file.with_suffix("")) as folder:
        parts.write(folder, tree.root, by_section, drawn, claims, stale)
        write_text(out_file, text)
    return out_file


def _refuse_other_parts(folder: Path) -> None:
    """Refuse to replace a folder that holds more than a report's parts.

    Raises:
        ArkdError: it does, or it is no folder.
    """
    there = sorted(p.name for p in folder.iterdir()) if folder.is_dir() else []
    strange = [name for name in there if name not in parts.KINDS and name[0] != "."]
    if strange or (folder.exists() and not folder.is_dir()):
        what = f"holds {strange[0]}" if strange else "is no folder"
        raise ArkdError(f"{folder}: {what}, and would be replaced by the report's parts; move it")


def templates() -> tuple[Environment, dict[str, Any]]:
    """Return the templates and what every page has: style, scripts and the policy they fall under.

    The policy lets a page load nothing and run nothing but its own scripts.
    """
    made = environment("arkd.report", html=True)
    made.filters |= {"codes": codes, "slug": slug, "heading": heading, "label": label}
    made.filters["anchor"] = anchor
    scripts = {
        key: "".join(made.get_template(name).render() for name in names)
        for key, names in SCRIPTS.items()
    }
    page = {key: Markup(text) for key, text in scripts.items()}
    page["css"] = Markup(made.get_template(STYLE).render())
    return made, {**page, "policy": policy(*scripts.values())}


def codes(text: str) -> Markup:
    """Return text in which what stands in backticks is code."""
    return Markup(re.sub(r"`([^`]+)`", r"<code>\1</code>", str(escape(text))))


def heading(text: str) -> Markup:
    """Return a column's title that breaks between words only, never before its arrow."""
    whole = str(escape(text)).replace("ROUGE-L", '<span class="whole">ROUGE-L</span>')
    return Markup(re.sub(r" ([↑↓])", "\u00a0\\1", whole))


def strip(tree: Tree, made: Sequence[Table]) -> list[tuple[str, str]]:
    """Return what was run in a few numbers."""
    suite = tree.suite
    runs = list(tree.blocks.values()) or [tree]
    spent = [_job_s(run) for run in runs if (run.root / "cost.csv").is_file()]
    pairs = len(suite.pairs)
    steps = trained_steps(suite, read_windows(tree).values())
    known = {
        "Rows": str(len({method for _, method in methods(suite)})),
        "Pairs": ", ".join(pair.name for pair in suite.pairs) if pairs < 3 else str(pairs),
        "Students": f"{sum(map(_students, runs)):,}",
        f"{suite.observation.capitalize()}s per row": str(kind.facts(suite)["seeds"]),
        "Decoding seeds": str(len(suite.decoding.seeds)),
        "Steps": f"{steps:,}",
        "Time of all jobs, summed": duration(math.fsum(spent)) if len(spent) == len(runs) else "",
        "Tables": str(len(made)),
    }
    return [(name, value) for name, value in known.items() if value]


def _students(tree: Tree) -> int:
    suite = tree.suite
    return sum(len(seeds(suite, entry.label)) for entry in suite.entries) * len(suite.pairs)


def _job_s(tree: Tree) -> float:
    found = read_frame(tree.root / "cost.csv", tree.suite, ["wall_s"], newer=["startup_s"])
    parts = found.columns.intersection(["startup_s", "wall_s"])
    return math.fsum(found[parts].fillna(0.0).to_numpy().ravel())


def facts(tree: Tree) -> list[tuple[str, str]]:
    """Return what was run, on what and with what, as names and values."""
    suite = tree.suite
    there = (tree.root / manifests.NAME).is_file()  # files alone make tables, and a page
    manifest = manifests.read_foreign(tree.root) if there else {}
    host, git = (manifest.get(key) or {} for key in ("host", "git"))
    commit = str(git.get("commit") or "")[:12] + (" with changes" if git.get("dirty") else "")
    machine = [str(host[k]) for k in ("processor", "system", "machine") if host.get(k)]
    if host.get("cores"):
        machine.append(f"{host['cores']} cores")
    known = {
        "Suite": f"{suite.name}, version {suite.version}",
        "Command": suite_command(suite, tree.named),
        "Worlds": span(suite.worlds),
        "Training seeds": span(suite.seeds),
        "Decoding seeds": span(suite.decoding.seeds),
        "Host": ", ".join(machine),
        "Versions": ", ".join(f"{k} {v}" for k, v in (manifest.get("versions") or {}).items()),
        "Hash of the core": str(manifest.get("core", "")),
        "Commit": commit,
    }
    return [(name, value) for name, value in known.items() if value]


def scope(suite: Suite) -> str:
    """Say what the intervals of a suite speak of beside its training seeds."""
    if suite.worlds:
        return "Each world has its own teacher."
    return "One world, one teacher." if hasattr(suite.data, "world_seed") else "One teacher."


def duration(seconds: float) -> str:
    """Return a time in the largest sensible units."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"

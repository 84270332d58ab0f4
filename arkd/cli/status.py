"""`arkd status`: which jobs of a suite are done, which run, which failed and what is left."""

from __future__ import annotations

import re
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil

from arkd.cli.options import SUITE
from arkd.cli.run_log import WIDTH, duration, failure, last_line
from arkd.errors import ArkdError
from arkd.grid import Grid, show
from arkd.plan.processor import seconds_by_rule
from arkd.storage import manifest
from arkd.suite.changes import change
from arkd.suite.folders import RESULTS, Tree
from arkd.suite.job_list import SHOWN, Job, job_list
from arkd.suite.upstream import folders

ERROR = re.compile("[Ee]rror")
STATES = ("done", "running", "failed", "left")


@dataclass(frozen=True)
class State:
    """Where a job stands.

    Attributes:
        word: One of `STATES`.
        note: Since when it runs, why it failed, that its training diverged, or what has changed
            since it was done.
    """

    word: str
    note: str = ""


DONE = State("done")


def states(tree: Tree) -> list[tuple[Job, State]]:
    """Return every job of a suite with where it stands.

    A job is done if its manifest is there, of the present settings and method's file or of another
    core, and nothing that it was made from is still to be done; it runs if a process of this
    machine has its command, and has failed if its log ends in an error or its manifest cannot be
    read.
    """
    runs = dict(_processes(tree))
    trees = {each.named or each.suite.name: each for each in (tree, *tree.blocks.values())}
    found, undone = [], set[Path]()
    for job in job_list(tree):
        since = runs.get((job.suite, job.command, frozenset(job.axes.items())))
        if since is not None:
            state = State("running", f"for {duration(time.time() - since)}")
        elif job.made.is_file():
            state = _made(trees[job.suite], job, undone)
        elif job.log.is_file() and ERROR.search(last_line(job.log)):
            state = State("failed", failure([job.log]))
        else:
            state = State("left")
        found.append((job, state))
        if state.word != "done":
            undone.add(job.made.parent)
    return found


def run(tree: Tree) -> int:
    """Print where a suite stands; 1 if a job has failed."""
    from rich.console import Console

    suite, console = tree.suite, Console(width=WIDTH, highlight=False, markup=False)
    if manifest.merged(tree.root):
        console.print(f"{suite.name} {suite.version} in {tree.root}: merged runs; no job is left")
        return 0
    found = states(tree)
    counts = Counter(state.word for _, state in found)
    parts = [f"{counts['done']} of {len(found)} jobs done"]
    parts += [f"{counts[word]} {word}" for word in STATES[1:] if counts[word]]
    console.print(f"{suite.name} {suite.version} in {tree.root}: {', '.join(parts)}")
    show(_by_rule(found), console)
    noted: dict[State, list[str]] = {}
    for job, state in found:
        if state.note:
            noted.setdefault(state, []).append(job.name)
    for state, (name, *others) in noted.items():
        more = f" and {len(others)} more" if others else ""
        console.print(f"{state.word}: {name}{more}: {state.note}")
    if counts["done"] == len(found):
        if suite.shown:
            console.print(f"report: {tree.root / 'report.html'}")
        return 0
    console.print(f"{_rest(tree, found)}`{tree.command()}` runs what is left", soft_wrap=True)
    return 1 if counts["failed"] else 0


def _by_rule(found: list[tuple[Job, State]]) -> Grid:
    """Return how many jobs of each rule stand where."""
    counts: dict[str, Counter[str]] = {}
    for job, state in found:
        counts.setdefault(job.rule.replace("_", " "), Counter())[state.word] += 1
    rows = [
        [rule, str(number.total()), *(str(number[word] or "") for word in STATES)]
        for rule, number in counts.items()
    ]
    return Grid(["job", "all", *STATES], rows)


def _rest(tree: Tree, found: list[tuple[Job, State]]) -> str:
    """Say how long a core takes over what is left, if the suite runs on one."""
    if tree.suite.device != "cpu" or not (weights := seconds_by_rule(tree)):
        return ""
    left = sum(weights.get(job.rule, 0.0) for job, state in found if state.word != "done")
    return f"about {duration(left)} on one core; "


def _made(tree: Tree, job: Job, undone: set[Path]) -> State:
    """Return where a job stands that was done once: Snakemake does it again after such a change."""
    again = State("left", "done before; it follows from what is not done")
    if job.rule in SHOWN:
        roots = [tree.root, *(block.root for block in tree.blocks.values())]
        beside = set() if job.rule == "report" else {tree.root / name for name in SHOWN}
        behind = undone - beside  # tables, claims and figures do not follow from each other
        return again if any(folder.is_relative_to(r) for folder in behind for r in roots) else DONE
    try:
        made = manifest.read(job.made.parent, ["stage", "core", "config", "inputs", "notes"])
    except ArkdError as error:
        return State("failed", str(error))
    if said := change(tree, made):
        return State("left", f"{said} changed since it was done")
    if any(folder in undone for role in made["inputs"] for folder in folders(tree, made, role)):
        return again
    return State("done", "its training diverged" if made["notes"].get("failed") else "")


def _processes(tree: Tree) -> Iterator[tuple[tuple[str, str, frozenset[tuple[str, str]]], float]]:
    """Yield suite, command and axes of what makes the suite here, and when it was started.

    Times are in seconds since the epoch.
    """
    root = tree.root.absolute()
    suites = [each.named for each in (tree, *tree.blocks.values())]
    names = {typed_suite(named, Path.cwd()): named for named in suites}
    for process in psutil.process_iter(["cmdline", "create_time"]):
        words = process.info["cmdline"] or []
        place = next((n for n, word in enumerate(words[:3]) if Path(word).name == "arkd"), None)
        if place is None or len(words) < place + 2:
            continue
        axes = typed_options(words[place + 2 :])
        results, typed = axes.pop("results", RESULTS), axes.pop("suite", SUITE["default"])
        try:
            here = Path(process.cwd())
        except psutil.Error:  # it has ended, or is another user's
            continue
        named = names.get(typed_suite(typed, here))
        if named and (here / results).resolve() == root.parent.resolve():
            command = words[place + 1]
            yield (named, command, frozenset(axes.items())), process.info["create_time"]


def typed_suite(typed: str, here: Path) -> str:
    """Return a suite as it is typed in a folder, the path of its file whole."""
    file, at, world = typed.partition("@")
    path = file.endswith((".yaml", ".yml"))
    return f"{(here / file).resolve()}{at}{world}" if path else typed


def typed_options(words: list[str]) -> dict[str, str]:
    """Return the values of `--key value` and `--key=value`."""
    found, left = {}, iter(words)
    for word in left:
        if word.startswith("--"):
            key, equals, value = word[2:].partition("=")
            found[key] = value if equals else next(left, "")
    return found

"""The suites that a command or the workflow names, each checked before anything runs."""

from __future__ import annotations

from typing import Any

from arkd.errors import ArkdError
from arkd.paths import from_here
from arkd.storage import manifest
from arkd.suite import beside, rows
from arkd.suite import checks as own_suite
from arkd.suite.folders import RESULTS, Tree, tree
from arkd.suite.suite import Suite
from arkd.validated import shown


def results_folder(given: Any) -> str:
    """Return the folder of results that a workflow is given, as a text or as a list of one.

    All spellings of a folder give one (`from_here`): Snakemake compares paths as they are written.

    Raises:
        ArkdError: it is none, or a name in it is the workflow's own language.
    """
    folder = given[0] if isinstance(given, list) and len(given) == 1 else given
    if folder is None:
        return RESULTS
    if isinstance(folder, dict | list) or not str(folder):
        raise ArkdError(f"results: a folder is wanted, found {shown(given)}")
    found = from_here(str(folder))
    if set(found) & set("{}\n"):
        raise ArkdError(f"results: {found}: a path without braces and line breaks is wanted")
    return found


def trees(suites: str | list[str], results: str) -> dict[str, Tree]:
    """Return the folders of one or several suites, each checked down to its methods' parameters.

    Raises:
        ArkdError: a suite or a method is unknown or malformed, or two suites share a name.
    """
    found: dict[str, Tree] = {}
    for named in map(str, suites if isinstance(suites, list) else [suites]):
        made = tree(named, results)
        if made.suite.name in found:
            raise ArkdError(f"two suites are called '{made.suite.name}': rename one of them")
        own_suite.check_tasks(made.suite)
        own_suite.check_places(made.suite, made.place)
        for entry in made.suite.entries:
            method = rows.build(entry)
            rows.check_row(entry, method, made.suite.settings(entry))
            _check_replayed(made.suite, entry.label, method.replays)
        beside.check(made)
        found[made.suite.name] = made
    return found


def to_run(suites: str | list[str], results: str) -> dict[str, Tree]:
    """Return the folders of suites of which jobs are to be run, each checked.

    Raises:
        ArkdError: see `trees`; or a folder holds merged runs, whose records a run would replace.
    """
    found = trees(suites, results)
    for made in with_blocks(found).values():
        if manifest.merged(made.root):
            raise ArkdError(
                f"{made.root}: merged runs, of which nothing is left to run; give other --results "
                "to run the suite itself, and merge again"
            )
    return found


def with_blocks(wanted: dict[str, Tree]) -> dict[str, Tree]:
    """Return the folders of suites and of every block of theirs."""
    blocks = [block for made in wanted.values() for block in made.blocks.values()]
    return wanted | {block.suite.name: block for block in blocks}


def _check_replayed(suite: Suite, row: str, replayed: str | None) -> None:
    """Refuse a row that replays one which the suite does not train from the same seeds."""
    if replayed is None:
        return
    lacks = set(suite.seeds_of(row)) - set(suite.seeds_of(suite.entry(replayed).label))
    if lacks:
        raise ArkdError(
            f"suite {suite.name}: {row} replays {replayed}, which has no seed {min(lacks)}; "
            "give both rows the same seeds"
        )

"""Where submissions lie: results/submissions/NAME/SUITE, and nothing else there.

What is checked and what the leaderboard shows are listed by the same functions.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from arkd.errors import ArkdError
from arkd.exchange import form, held, worlds
from arkd.storage.names import FOLDER, SUITE


@dataclass
class Listing:
    """The suites' folders with a form of their own, and what is wrong with all else."""

    runs: list[Path] = field(default_factory=list)
    wrong: dict[Path, str] = field(default_factory=dict)


def find(path: Path) -> Listing:
    """Return what is submitted: one suite's run, those of a submission, or of every submission.

    Raises:
        ArkdError: there is no form.
    """
    for depth, of_folder in enumerate((_of_run, _of_submission, of_all)):
        if any(path.glob("*/" * depth + form.FILE)):
            return of_folder(path)
    raise ArkdError(f"{path}: no {form.FILE} here; `arkd submit RUN --form FILE` packs one")


def of_all(folder: Path) -> Listing:
    """Return the runs of every submission below the folder of all.

    A submission's form has the name of its folder.
    """
    found = Listing()
    for path in _folders(folder, FOLDER, found):
        inside = _of_submission(path)
        found.wrong |= inside.wrong
        for run in inside.runs:
            if wrong := _other_name(run):
                found.wrong[run] = wrong
            else:
                found.runs.append(run)
    return found


def _of_submission(folder: Path) -> Listing:
    """Return the runs of one submission, beside which lie the blocks of several worlds."""
    found = Listing()
    children = [*_folders(folder, SUITE, found)]
    runs = {path: _parts(path) for path in children if (path / form.FILE).is_file()}
    known = {part for parts in runs.values() for part in parts}
    for path in children:
        if path not in known:
            found.wrong[path] = f"no {form.FILE}, and no block of a run beside it; remove it"
    _divide(runs.values(), found)
    if not children and not found.wrong:
        found.wrong[folder] = "empty; remove it"
    return found


def _of_run(run: Path) -> Listing:
    found = Listing()
    _divide([_parts(run)], found)
    return found


def _divide(runs: Iterable[list[Path]], found: Listing) -> None:
    """Put runs, each with its blocks, to those that may be read or to those with a strange file."""
    for parts in runs:
        for part in parts:
            if part.is_dir() and part not in found.wrong and (names := held.strange(part)):
                more = f" and {len(names) - 1} more" if len(names) > 1 else ""
                found.wrong[part] = (
                    f"{names[0]!r:.200}{more}: a link, or no file of a submission; remove it, or "
                    "pack the run anew"
                )
        if not found.wrong.keys() & set(parts):
            found.runs.append(parts[0])


def _folders(folder: Path, pattern: re.Pattern[str], found: Listing) -> Iterator[Path]:
    """Yield the folders in one; what is none or has no name of one is noted as wrong."""
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        shown = folder / ascii(path.name)[1:-1]  # a name may have line breaks, or be no UTF-8
        if path.is_symlink() or not path.is_dir():
            found.wrong[shown] = "a link or a file where a submission has only folders; remove it"
        elif not pattern.fullmatch(path.name):
            found.wrong[shown] = "no name of a folder that `arkd submit` writes; remove it"
        else:
            yield path


def _parts(run: Path) -> list[Path]:
    """Return a run's folder and its blocks'; itself alone where its manifest cannot be read."""
    try:
        return [run] if held.strange(run) else worlds.folders(run)
    except ArkdError:  # of which the check tells
        return [run]


def _other_name(run: Path) -> str:
    """Say that a form has another name than its folder; "" if not, or if it cannot be read."""
    try:
        name = form.read(run / form.FILE).name
    except ArkdError:
        return ""
    there = run.parent.name
    return "" if name == there else f"its form's name is {name}, its folder's {there}; rename one"

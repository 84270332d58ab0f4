"""The files of a run that a submission holds, and what else lies in one that somebody sends."""

from __future__ import annotations

from pathlib import Path

from arkd.audit import recompute
from arkd.audit.manifest_chain import DATA
from arkd.exchange import form
from arkd.storage import checksums, manifest
from arkd.storage.files import MARK
from arkd.suite.folders import FOREIGN

TOP = (*recompute.COLLECTED, manifest.NAME, "suite.yaml", DATA)
DATA_OF_RUN = f"data/{manifest.NAME}"  # as a run has what a submission has as `DATA`
ADDED = (form.FILE, checksums.NAME, MARK)  # beside what is of the run
SHOWN = ("data", "tables", "claims", "figures", "report", checksums.LOGS)  # made again, or text
LONGEST = 500  # characters of a path in a submission; ours have some sixty


def kept(run: Path) -> dict[str, Path]:
    """Return the files of a run that a submission holds, by where they lie there.

    The collected files, every manifest, the samples of every evaluation, and the records of
    students that were trained elsewhere, which are collected nowhere. Of rows beside another run,
    what they stand beside as well: a submission is whole.
    """
    found = {}
    config = manifest.read_foreign(run).get("config") or {}
    if beside := config.get("beside"):
        of_run = kept(run.parent / beside).items()
        passed = {*TOP, FOREIGN} - {DATA}
        found = {name: path for name, path in of_run if name.partition("/")[0] not in passed}
    for path in sorted(run.rglob("*")):
        name = path.relative_to(run).as_posix()
        if path.is_file() and (name == DATA_OF_RUN or _holds(name)):
            found[DATA if name == DATA_OF_RUN else name] = path
    return found


def strange(folder: Path) -> list[str]:
    """Return the paths below a submission's folder that are no plain files, or not of one.

    Nothing is read, and no link followed.
    """
    if folder.is_symlink():
        return ["."]
    found, below = [], [folder]
    while below:
        for path in sorted(below.pop().iterdir()):
            name = path.relative_to(folder).as_posix()
            if path.is_symlink() or len(name) > LONGEST:
                found.append(name)
            elif path.is_dir():
                below.append(path)
            elif not path.is_file() or not (name in ADDED or _holds(name)):
                found.append(name)
    return sorted(found)


def _holds(name: str) -> bool:
    """Tell whether a submission holds the file of a name, relative to the suite's folder."""
    parts = name.split("/")
    if len(parts) == 1:
        return name in TOP
    if any(part.startswith(".") for part in parts) or parts[0] in SHOWN:
        return False
    scored = ("samples.jsonl", *(recompute.SORTED if parts[0] == FOREIGN else ()))
    return parts[-1] == manifest.NAME or (parts[-2] == "evaluation" and parts[-1] in scored)

"""A run as a submission: its numbers, manifests, samples and form in one folder, with sums.

Models, text and caches stay behind, as hashes; what is left is a few MB and can be checked.
"""

from __future__ import annotations

import shutil
import tarfile
import tempfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from arkd.audit import recompute, verify
from arkd.audit.manifest_chain import DATA
from arkd.errors import ArkdError
from arkd.exchange import form, lacks, worlds
from arkd.storage import checksums, manifest
from arkd.storage.files import staged_dir, staged_file
from arkd.suite.folders import FOREIGN

SHOWN = ("data", "tables", "claims", "figures", "report", checksums.LOGS)  # made again, or text
ARCHIVE = ".tar.gz"
MOST_BYTES, MOST_FILES = 2 * 2**30, 100_000  # of an archive unpacked: ten times a large suite


def pack(run: Path, form_file: Path, out: Path) -> list[str]:
    """Write a run as a submission and return what a reader of it should know.

    Args:
        run: A suite's folder of a finished run.
        form_file: The filled-in form.
        out: A folder that the suite's folder goes into, or an archive, by its name `.tar.gz`.

    Raises:
        ArkdError: the form is not filled in, something is missing, or a file of the run is not the
            one that its stage wrote.
    """
    submission = form.read(form_file)
    found = lacks.of_run(run, submission)
    if found.missing:
        raise ArkdError(f"{run}: {'; '.join(found.missing)}")
    for part in worlds.folders(run):
        if damage := verify.verify(part, anchored=False, again=False).problems:
            path, what = next(iter(sorted(damage.items())))
            raise ArkdError(f"{path}: {what}; `arkd verify {part}` has all that is wrong")
    if out.name.endswith(ARCHIVE):
        refuse_other(out)
        with tempfile.TemporaryDirectory() as scratch:
            folder = Path(scratch) / submission.name
            for part in worlds.folders(run):
                _write(part, form_file if part == run else None, folder / part.name)
            with staged_file(out) as staged, tarfile.open(staged, "w:gz") as archive:
                archive.add(folder, submission.name)
    else:
        for part in worlds.folders(run):
            with staged_dir(out / part.name, f"submission {submission.name}") as folder:
                _write(part, form_file if part == run else None, folder)
    return found.notes


def refuse_other(out: Path) -> None:
    """Refuse to replace an archive that is no submission.

    Raises:
        ArkdError: such a file stands at the path, or a folder.
    """
    if out.exists():
        try:
            with tarfile.open(out) as archive:
                ours = any(Path(name).name == form.FILE for name in archive.getnames())
        except (tarfile.TarError, EOFError, OSError, zlib.error):
            ours = False
        if not ours:
            raise ArkdError(f"{out}: there already, and no submission; give another --out")


def _write(run: Path, form_file: Path | None, out: Path) -> None:
    """Copy what a submission holds of a run or a block, and write the sums of it."""
    for name, path in kept(run).items():
        target = out / (DATA if name == f"data/{manifest.NAME}" else name)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, target)
    if form_file:
        shutil.copyfile(form_file, out / form.FILE)
    checksums.write(out)


def kept(run: Path) -> dict[str, Path]:
    """Return the files of a run that a submission holds, by where they lie there.

    The collected files, every manifest, the samples of every evaluation, and the records of
    students that were trained elsewhere, which are collected nowhere. Of rows beside another run,
    what they stand beside as well: a submission is whole.
    """
    collected = (*recompute.COLLECTED, manifest.NAME, "suite.yaml", DATA, f"data/{manifest.NAME}")
    found = {name: run / name for name in collected if (run / name).is_file()}
    config = manifest.read_foreign(run).get("config") or {}
    if beside := config.get("beside"):
        passed = (*collected[:-1], FOREIGN)
        of_run = kept(run.parent / beside).items()
        found |= {name: path for name, path in of_run if name.partition("/")[0] not in passed}
    return found | {path.relative_to(run).as_posix(): path for path in _of_stages(run)}


def _of_stages(run: Path) -> Iterator[Path]:
    """Yield the files below a run's folder that a submission holds."""
    for path in sorted(run.rglob("*")):
        parts = path.relative_to(run).parts
        hidden = any(part.startswith(".") for part in parts)
        if hidden or len(parts) < 2 or parts[0] in SHOWN or not path.is_file():
            continue
        wanted = {manifest.NAME}
        if parts[-2] == "evaluation":
            foreign = recompute.SORTED.keys() if parts[0] == FOREIGN else ()
            wanted |= {"samples.jsonl", *foreign}
        if path.name in wanted:
            yield path


def check(path: Path) -> lacks.Lacks:
    """Return what is missing of a submission, a folder or an archive, and what to know of it.

    Raises:
        ArkdError: there is nothing of the kind.
    """
    if path.name.endswith(ARCHIVE) and path.is_file():
        with tempfile.TemporaryDirectory() as scratch:
            try:
                with tarfile.open(path) as archive:
                    _unpack(archive, Path(scratch))
            except (tarfile.TarError, EOFError, OSError, zlib.error) as error:
                raise ArkdError(f"{path}: no archive that can be read ({error})") from None
            try:
                found = check(Path(scratch))
            except ArkdError as error:
                raise ArkdError(str(error).replace(scratch, str(path))) from None
            return lacks.Lacks(
                [text.replace(f"{scratch}/", "") for text in found.missing],
                [text.replace(f"{scratch}/", "") for text in found.notes],
            )
    folders = sorted({file.parent for file in path.rglob(form.FILE)}) if path.is_dir() else []
    if not folders:
        raise ArkdError(f"{path}: no {form.FILE} here; `arkd submit RUN --form FILE` packs one")
    total = lacks.Lacks([], [])
    for folder in folders:
        lead = f"{folder}: " if len(folders) > 1 else ""
        found = _check_one(folder)
        total.missing.extend(lead + text for text in found.missing)
        total.notes.extend(lead + text for text in found.notes)
    return total


def _unpack(archive: tarfile.TarFile, folder: Path) -> None:
    """Unpack files and folders, and nothing outside of a folder that is empty.

    Python has a filter for that from 3.11.4 on; Debian 12 has 3.11.2.

    Raises:
        tarfile.TarError: there is something else in the archive, or it leads elsewhere.
    """
    filtered: dict[str, Any] = {"filter": "data"} if hasattr(tarfile, "data_filter") else {}
    size = count = 0
    for member in archive:
        inside = (folder / member.name).resolve().is_relative_to(folder.resolve())
        if not inside or not (member.isfile() or member.isdir()):
            raise tarfile.TarError(f"{member.name!r} is no file or folder inside it")
        size, count = size + member.size, count + 1
        if size > MOST_BYTES or count > MOST_FILES:
            raise tarfile.TarError(
                f"more than {MOST_FILES:,} files or {MOST_BYTES // 2**30} GiB unpacked: unpack it "
                "yourself and name the folder"
            )
        archive.extract(member, folder, set_attrs=False, **filtered)


def _check_one(folder: Path) -> lacks.Lacks:
    try:
        found = lacks.of_run(folder, form.read(folder / form.FILE))
        parts = worlds.folders(folder)
    except ArkdError as error:
        found, parts = lacks.Lacks([str(error)], []), [folder]
    for part in parts:
        if not (part / checksums.NAME).is_file():
            found.missing.append(
                f"no {checksums.NAME} in {part.name}: pack it with `arkd submit RUN --form FILE`"
            )
        checked = verify.verify(part, again=False)
        found.missing.extend(f"{path}: {what}" for path, what in sorted(checked.problems.items()))
    return found

"""A run as a submission: its numbers, manifests, samples and form in one folder, with sums.

Models, text and caches stay behind, as hashes; what is left is a few MB and can be checked.
"""

from __future__ import annotations

import shutil
import tarfile
import tempfile
from pathlib import Path

from arkd.audit import verify
from arkd.errors import ArkdError
from arkd.exchange import archive, form, lacks, listing, worlds
from arkd.exchange.held import kept
from arkd.storage import checksums
from arkd.storage.files import staged_dir, staged_file


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
    if out.name.endswith(archive.ENDING):
        refuse_other(out)
        with tempfile.TemporaryDirectory() as scratch:
            folder = Path(scratch) / submission.name
            for part in worlds.folders(run):
                _write(part, form_file if part == run else None, folder / part.name)
            with staged_file(out) as staged, tarfile.open(staged, "w:gz") as packed:
                packed.add(folder, submission.name)
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
            with archive.opened(out) as packed:
                ours = any(Path(name).name == form.FILE for name in packed.getnames())
        except ArkdError:
            ours = False
        if not ours:
            raise ArkdError(f"{out}: there already, and no submission; give another --out")


def _write(run: Path, form_file: Path | None, out: Path) -> None:
    """Copy what a submission holds of a run or a block, and write the sums of it."""
    for name, path in kept(run).items():
        target = out / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, target)
    if form_file:
        shutil.copyfile(form_file, out / form.FILE)
    checksums.write(out)


def check(path: Path) -> lacks.Lacks:
    """Return what is missing of a submission, a folder or an archive, and what to know of it.

    A folder may be a suite's, a submission's or that of all submissions. Where a link or a strange
    file lies in one, nothing of it is read.

    Raises:
        ArkdError: there is nothing of the kind.
    """
    if path.name.endswith(archive.ENDING) and path.is_file():
        with tempfile.TemporaryDirectory() as scratch:
            archive.unpack(path, Path(scratch))
            try:
                found = check(Path(scratch))
            except ArkdError as error:
                raise ArkdError(str(error).replace(scratch, str(path))) from None
            return lacks.Lacks(
                [text.replace(f"{scratch}/", "") for text in found.missing],
                [text.replace(f"{scratch}/", "") for text in found.notes],
            )
    listed = listing.find(path)
    total = lacks.Lacks([f"{where}: {what}" for where, what in sorted(listed.wrong.items())], [])
    for folder in listed.runs:
        lead = f"{folder}: " if len(listed.runs) > 1 else ""
        found = _check_one(folder)
        total.missing.extend(lead + text for text in found.missing)
        total.notes.extend(lead + text for text in found.notes)
    return total


def _check_one(folder: Path) -> lacks.Lacks:
    try:
        submission = form.read(folder / form.FILE)
        found = lacks.of_run(folder, submission)
        parts = worlds.folders(folder)
        if folder.resolve().parent.name != submission.name:
            found.notes.append(f"results/submissions/{submission.name} is its place, by its form")
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

"""Verification of results: every byte against the hashes that name it, every table against records.

Three questions, each of which finds what the others may not: are the files those of `SHA256SUMS`,
does the chain of manifests hold, and do tables and verdicts follow from the records.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from pydantic import ValidationError

from arkd.audit import recompute
from arkd.audit.manifest_chain import DATA, Chain, Findings
from arkd.audit.tolerance import RELATIVE
from arkd.errors import ArkdError, printable
from arkd.storage import checksums
from arkd.storage.manifest import NAME
from arkd.storage.provenance import core_hash
from arkd.suite.load import load_suite, suite_names
from arkd.suite.suite import Suite
from arkd.validated import place

DEPTH = 3  # how far below a path suites are looked for: results/reference/VERSION/SUITE
UNANCHORED = (
    f"no {checksums.NAME}: nothing vouches for the suite's manifest.json, for report.html and for "
    "what manifests say beside hashes; `arkd verify --write` anchors them"
)


def suite_folders(paths: Iterable[Path]) -> list[Path]:
    """Return the suites' folders that paths are, or are parents of.

    Raises:
        ArkdError: there are no results at a path.
    """
    found: dict[Path, None] = {}
    for path in paths:
        below = list(_below(path, DEPTH))
        if not below:
            raise ArkdError(
                f"{path}: no results here; give a suite's folder, or a folder that holds some"
            )
        found |= dict.fromkeys(below)
    return list(found)


def verify(root: Path, *, anchored: bool = True, again: bool = True) -> Findings:
    """Check a suite's folder, or any that has `SHA256SUMS`.

    Args:
        root: The folder of a run, a reference or a merger.
        anchored: Compare with `SHA256SUMS`; not, when they are about to be written.
        again: Form tables and verdicts again from the records.
    """
    findings = Findings(root)
    if _is_suite(root):
        chain = Chain(root, findings)
        chain.check()
        suite = _suite(chain)
        vital = {root / name for name in (NAME, *recompute.COLLECTED)}
        if suite and not findings.problems.keys() & vital:
            recompute.join(chain)
            if again:
                recompute.results(chain, suite)
        elif again:
            findings.notes.append("tables were not made again: see what is said of their sources")
    if anchored:
        _sums(findings)
    return findings


def run(paths: Sequence[Path], *, write: bool = False) -> int:
    """Check folders, print what was found, and return the exit code: 1 if anything is wrong.

    Args:
        paths: Suites' folders, or parents of some.
        write: Write the `SHA256SUMS` of each folder in which nothing is wrong.

    Raises:
        ArkdError: there are no results, or sums are to be written into what is no suite's folder.
    """
    from rich.console import Console

    console = Console(soft_wrap=True, highlight=False, markup=False, emoji=False)
    folders = suite_folders(paths)
    bad = 0
    for folder in folders if write else ():
        if not _is_suite(folder):
            raise ArkdError(
                f"{folder}: no suite's folder, so its {checksums.NAME} is not ours to write; "
                "leave --write out to check it"
            )
    for folder in folders:
        findings = verify(folder, anchored=not write)
        for text, style in report(findings):
            console.print(printable(text), style=style)
        bad += bool(findings.problems)
        if write and not findings.problems:
            console.print(f"  wrote {checksums.write(folder, findings.sha256)}")
        elif write:
            console.print(f"  {checksums.NAME} not written: settle these first", style="bold red")
    if len(folders) > 1:
        console.print(f"{len(folders) - bad} of {len(folders)} folders verify")
    return 1 if bad else 0


def report(findings: Findings) -> Iterator[tuple[str, str]]:
    """Yield the lines that say what was checked, each with its style; problems last, one a file."""
    yield f"{findings.root}" + (f"  ({findings.suite})" if findings.suite else ""), "bold"
    anchor = f", anchored by {checksums.NAME}" if findings.anchored else ""
    made = f", {findings.manifests} manifests followed" if findings.manifests else ""
    yield f"  {len(findings.checked)} files hashed{made}{anchor}", ""
    if findings.remade:
        yield f"  formed again, the same to the byte: {', '.join(findings.remade)}", ""
    if findings.close:
        yield f"  formed again, the same within {RELATIVE:g}: {', '.join(findings.close)}", ""
    absent = findings.absent()
    if absent:
        parts = ", ".join(f"{count} of {stage}" for stage, count in absent.most_common())
        yield f"  not kept, hence not checked: {absent.total()} files ({parts})", ""
    if findings.outside:
        roles = ", ".join(sorted(findings.outside))
        yield f"  inputs outside of the folder, named by hash and not checked: {roles}", ""
    for note in findings.notes:
        yield f"  note: {note}", "dim"
    for path, what in sorted(findings.problems.items()):
        yield f"  {path}: {what}", "red"
    count = len(findings.problems)
    yield (
        (f"  {count} problem{'s' * (count > 1)}", "bold red") if count else ("  verified", "green")
    )


def _below(path: Path, depth: int) -> Iterator[Path]:
    """Yield the nearest folders at or below a path that hold results."""
    if not path.is_dir():
        return
    if _is_suite(path) or any((path / n).is_file() for n in (checksums.NAME, recompute.RECORDS)):
        yield path
    elif depth:
        for child in sorted(path.iterdir()):
            if not child.name.startswith("."):
                yield from _below(child, depth - 1)


def _is_suite(root: Path) -> bool:
    """Tell whether a folder is a suite's, finished or not."""
    return any((root / name).is_file() for name in (NAME, DATA, f"data/{NAME}", recompute.RECORDS))


def _sums(findings: Findings) -> None:
    """Compare every file with `SHA256SUMS`, and every line of it with the files."""
    root = findings.root
    if not (root / checksums.NAME).is_file():
        findings.notes.append(UNANCHORED)
        return
    try:
        named = checksums.read(root)
    except ArkdError as error:
        findings.blame(root / checksums.NAME, str(error).partition(": ")[2])
        return
    there = {path.relative_to(root).as_posix(): path for path in checksums.files(root)}
    for name, sha in named.items():
        if name not in there:
            findings.blame(root / name, f"not here, and {checksums.NAME} names it; restore it")
        elif findings.sha256(there[name]) != sha:
            findings.blame(root / name, f"not the file that {checksums.NAME} names; restore it")
    for name in there.keys() - named.keys():
        findings.blame(root / name, f"{checksums.NAME} does not name this file; remove it")
    findings.checked |= {there[name] for name in there.keys() & named.keys()}
    findings.anchored = True


def _suite(chain: Chain) -> Suite | None:
    """Return the suite that the folder's own manifest describes; note how it differs from ours.

    A config that another version of the code wrote may have keys which this one does not read: then
    the shipped suite of that name and version stands in.
    """
    findings, top = chain.findings, chain.top
    if not top:
        return None
    config = top.get("config")
    try:
        suite = Suite.model_validate(config)
    except ValidationError as error:
        where = place(error, config) or "config"
        if core_hash() in str(top.get("core")):  # this very code wrote it, and must read it
            findings.blame(chain.root / NAME, f"{where}: not as it was written; restore it")
            return None
        findings.notes.append(f"another version of arkd wrote the suite's config ({where})")
        return _shipped(str(top.get("suite")), str(top.get("suite_version")))
    findings.suite = f"{suite.name} {suite.version}"
    shipped = _shipped(suite.name, suite.version)
    if shipped and shipped != suite:
        keys = [k for k in Suite.model_fields if getattr(shipped, k) != getattr(suite, k)]
        findings.notes.append(
            f"the shipped suite {findings.suite} differs in {', '.join(keys)}; checked as the "
            "manifest describes it"
        )
    return suite


def _shipped(name: str, version: str) -> Suite | None:
    """Return the shipped suite of a name and version, if there is one."""
    if name.partition("@")[0] not in suite_names():
        return None
    try:
        suite = load_suite(name)
    except ArkdError:  # the block of a world that the suite no longer has
        return None
    return suite if suite.version == version else None

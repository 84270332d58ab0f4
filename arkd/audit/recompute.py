"""Results formed again from what they follow from, and compared with those kept.

Hashes say that a file is the one that was written. This says that it is what it claims to be: the
records are those of the evaluations, to the byte; tables and verdicts are those of the records, but
for the rounding of another processor or version of arkd (`arkd.audit.tolerance`).
"""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from arkd.audit.manifest_chain import COLLECT, Chain
from arkd.audit.tolerance import same_files
from arkd.errors import ArkdError
from arkd.grid import to_csv
from arkd.paths import claims_path
from arkd.stages import blocks
from arkd.storage.manifest import NAME, digest
from arkd.storage.records import COLUMNS, ITEM_COLUMNS, read_rows
from arkd.suite.folders import Tree
from arkd.suite.suite import Suite

RECORDS, COST = "records.csv", "cost.csv"
JOINED = (RECORDS, "trajectories.csv", "items.csv")  # have the runs of all sources of a merger
COLLECTED = (*JOINED, COST)
# What `arkd collect` joins of the evaluations, and by how many of its first columns it sorts.
SORTED = {RECORDS: COLUMNS.index("value"), "items.csv": ITEM_COLUMNS.index("metric")}
AGAIN = "not what the records give by this version of arkd; restore it, or run `arkd {}` again"


def join(chain: Chain) -> None:
    """Form the collected records again from the parts they were joined of, where those are kept."""
    if chain.merged:
        known = chain.top.get("sources", [])
        if len(known) != len(chain.sources):
            what = f"names {len(known)} sources and keeps {len(chain.sources)}; merge again"
            chain.findings.blame(chain.root / NAME, what)
            return
        for source, facts in zip(chain.sources, known, strict=True):
            try:
                _joined_source(chain, source, facts)
            except (ArkdError, ValueError) as error:
                what = f"cannot be compared with source {source.root.name}: {error}"
                chain.findings.blame(chain.root / RECORDS, what)
        return
    if chain.top["stage"] == blocks.STAGE:
        _joined_blocks(chain)
        return
    of_rows = chain.top["inputs"] if chain.top["stage"] == COLLECT else ()
    parts = [chain.tree.evaluation(*role.split("/", 1)) for role in of_rows]
    for name in SORTED:
        path, texts = chain.root / name, [part / name for part in parts]
        if not path.is_file() or not texts or not all(text.is_file() for text in texts):
            continue
        try:
            suite = str(chain.top.get("suite"))  # rows read beside another run have its name
            rows = [[suite, *row[1:]] for text in texts for row in read_rows(text)[1:]]
            head = read_rows(texts[0])[0]
        except ArkdError as error:
            chain.findings.blame(path, f"cannot be joined again: {error}")
            continue
        _compare_text(chain, name, to_csv([head, *ordered(name, rows)]), "evaluations", len(texts))


def _compare_text(chain: Chain, name: str, text: str, parts: str, count: int) -> None:
    """Compare a joined file with what its parts give, byte for byte."""
    path = chain.root / name
    if text.encode() == path.read_bytes():
        chain.findings.remade.append(f"{name} from {count} {parts}")
    else:
        what = f"not what the {parts} hold; restore it, or run `arkd collect` again"
        chain.findings.blame(path, what)


def _joined_blocks(chain: Chain) -> None:
    """Average the blocks' files over seeds again, where the blocks lie beside the suite."""
    folders = {
        int(role.rpartition("@")[2]): chain.root.parent / role for role in chain.top["inputs"]
    }
    named = {key: str(chain.top.get(key)) for key in ("suite", "suite_version")}
    for name in blocks.JOINED:
        path, parts = chain.root / name, [folder / name for folder in folders.values()]
        if not path.is_file() or not all(part.is_file() for part in parts):
            continue
        try:
            text = blocks.joined(name, folders, named)
        except (ArkdError, ValueError, KeyError) as error:
            chain.findings.blame(path, f"cannot be joined again: {error}")
            continue
        _compare_text(chain, name, text, "blocks", len(parts))


def ordered(name: str, rows: list[list[str]]) -> list[list[str]]:
    """Return the lines of a file that is sorted as text, as `arkd collect` sorts them."""
    return sorted(rows, key=lambda row: row[: SORTED[name]])


def _joined_source(chain: Chain, source: Chain, facts: Mapping[str, Any]) -> None:
    """Cut merged files down to the runs of one source: that must be the source's file."""
    for name in JOINED:
        path, sha = chain.root / name, source.top.get("outputs", {}).get(name)
        if not sha or not path.is_file():
            continue
        head, *rows = read_rows(path)
        place = {run: number for number, run in enumerate(runs_of(facts))}
        columns = [head.index(column) for column in ("pair", "method", "seed")]
        keyed = [(tuple(row[c] for c in columns), row) for row in rows]
        source_rows = [(run, row) for run, row in keyed if run in place]
        if name not in SORTED:  # the order of the source's suite, which the merged one may not have
            source_rows.sort(key=lambda pair: place[pair[0]])
        text = to_csv([head, *(row for _, row in source_rows)])
        if hashlib.sha256(text.encode()).hexdigest() != sha:
            what = f"does not hold {name} of {source.root.name} as it was; restore or merge again"
            chain.findings.blame(path, what)
        else:
            chain.findings.remade.append(f"{name} of source {source.root.name}")


def runs_of(facts: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """Return (pair, method, seed) of every run of a source, in the order of its suite."""
    return [
        (*role.split("/", 1), str(seed))
        for role, seeds in facts.get("runs", {}).items()
        for seed in seeds
    ]


def results(chain: Chain, suite: Suite) -> None:
    """Make tables and verdicts again from the records, and compare them with those kept."""
    root, findings = chain.root, chain.findings
    with tempfile.TemporaryDirectory(prefix="arkd-verify-") as scratch:
        # The folder may have another name than its suite, by which the tables look for it.
        (Path(scratch) / "results").mkdir()
        tree = Tree(Path(scratch) / "results", suite)
        tree.root.symlink_to(root.resolve(), target_is_directory=True)
        blocks_ = [block.suite for block in tree.blocks.values()]  # of which some tables are made
        bases = [each.beside for each in (suite, *blocks_) if each.beside]
        for name in (*(block.name for block in blocks_), *bases):
            if (beside := root.resolve().parent / name).is_dir():
                (tree.results / name).symlink_to(beside, target_is_directory=True)
        for name, make in (("tables", _tables), ("claims", _claims)):
            out = Path(scratch) / name
            if not (root / name / NAME).is_file():
                findings.notes.append(f"no {name} here to compare with the records")
                continue
            try:
                made = make(chain, tree, out)
            except (ArkdError, ValueError, KeyError) as error:
                text = str(error).replace(str(tree.root), str(root))
                findings.blame(root / name, f"cannot be made from the records: {text}")
                continue
            if made:
                _compare(chain, name, out)


def _tables(_: Chain, tree: Tree, out: Path) -> bool:
    from arkd.tables import build as tables

    tables.write(tree.suite, tree.results, out, partial=True)
    return True


def _claims(chain: Chain, tree: Tree, out: Path) -> bool:
    """Judge again, unless it was by other registered claims than those of this checkout."""
    from arkd.claims import judge as judgement
    from arkd.claims import write as verdict_table
    from arkd.claims.registered import load_claims

    named = chain.manifests.get(chain.root / "claims", {}).get("inputs", {}).get("claims")
    path = claims_path(tree.suite.claims)
    if named != digest(path):
        chain.findings.notes.append(
            f"claims were judged by a {path.name} other than this checkout's "
            f"(SHA-256 {str(named)[:12]}…); the verdicts were hashed, not formed again"
        )
        return False
    registered = load_claims(path)
    found = judgement.judge(tree, registered, partial=True)
    verdict_table.write(tree.suite, registered, found, out)
    return True


def _compare(chain: Chain, name: str, out: Path) -> None:
    """Compare a folder with the one made again, file by file.

    A file that its manifest does not name, such as a table that later versions of arkd have, is
    told and is nobody's fault; one that is named and absent was counted as not kept.
    """
    folder, findings = chain.root / name, chain.findings
    there = [path for path in folder.iterdir() if path.is_file()]
    kept = {p.name: p for p in there if p.name != NAME and not p.name.startswith(".")}
    made = {path.name: path for path in out.iterdir()}
    both = kept.keys() & made.keys()
    same = {file for file in both if kept[file].read_bytes() == made[file].read_bytes()}
    close = {file for file in both - same if same_files(kept[file], made[file])}
    for file in kept.keys() - same - close:
        findings.blame(folder / file, AGAIN.format(name))
    for files, notes in ((same, findings.remade), (close, findings.close)):
        if files:
            notes.append(f"{len(files)} files of {name}")
    further = made.keys() - kept.keys() - chain.manifests.get(folder, {}).get("outputs", {}).keys()
    if further:
        stems = ", ".join(sorted({Path(file).stem for file in further}))
        findings.notes.append(f"this version of arkd makes further {name}: {stems}")

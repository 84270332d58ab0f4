"""Which of a suite's saved tables, figures and verdicts are of other records than those there."""

from __future__ import annotations

from arkd.paths import claims_path
from arkd.storage import manifest
from arkd.suite.folders import Tree

PARTS = ("tables", "claims", "figures")


def stale_parts(tree: Tree) -> tuple[str, ...]:
    """Return the folders whose manifests name other records, or other claims, than are there.

    Raises:
        ArkdError: a manifest is not as stages write it, or a file of a folder that is not stale is
            not the one that was written.
    """
    stale = tuple(name for name in PARTS if _stale(tree, name))
    for folder in (tree.root / name for name in PARTS if name not in stale):
        if (folder / manifest.NAME).is_file():
            manifest.check_outputs(folder, manifest.read(folder, ["outputs"])["outputs"])
    return stale


def _stale(tree: Tree, name: str) -> bool:
    folder = tree.root / name
    if not (folder / manifest.NAME).is_file():
        return False  # of whose making nothing is known
    read = manifest.read(folder, ["inputs"])["inputs"]
    paths = {kind: tree.root / f"{kind}.csv" for kind in read}
    paths |= {"claims": claims_path(tree.suite.claims)} if "claims" in read else {}
    return any(
        not path.is_file() or manifest.digest(path) != read[kind] for kind, path in paths.items()
    )

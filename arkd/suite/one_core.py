"""That a run goes on with the code that began it: asked before its next job, not after its last."""

from __future__ import annotations

from arkd.errors import ArkdError
from arkd.storage import manifest, provenance
from arkd.suite.command_line import again_command
from arkd.suite.folders import Tree, stages


def check(tree: Tree) -> None:
    """Refuse to go on with a run of which other code made a part; collecting would refuse it.

    A run that is finished stays what it is: its tables and its report may be made by any code.

    Raises:
        ArkdError: jobs are left, and a stage was made by another core.
    """
    if tree.suite.worlds:  # its blocks are asked, each for itself
        return
    folders = [*stages(tree)]
    there = [folder for folder in folders if (folder / manifest.NAME).is_file()]
    if len(there) == len(folders):
        return
    for folder in there:
        made = manifest.read(folder, ["stage", "core"])
        now = provenance.core_hash(made["stage"])
        if made["core"] != now:
            commit = made.get("git", {}).get("commit") or "an unknown commit"
            raise ArkdError(
                f"{folder}: made by core {made['core']} ({commit[:12]}), and this is core {now}; "
                "results of different code are never mixed: go on with that commit, or run anew: "
                f"with another --results, or by: {again_command(tree, ['--forceall'])}"
            )

"""That a run goes on with the code that began it: asked before its next job, not after its last."""

from __future__ import annotations

from arkd.errors import ArkdError
from arkd.storage import manifest, provenance
from arkd.suite.command_line import again_command
from arkd.suite.folders import Tree, methods, stages


def check(tree: Tree) -> None:
    """Refuse to go on with a run of which other code made a part; collecting would refuse it.

    A run that is finished stays what it is: its tables and its report may be made by any code.

    Raises:
        ArkdError: jobs are left, and a stage was made by another core or version of a library.
    """
    if tree.suite.worlds:  # its blocks are asked, each for itself
        return
    folders = [*stages(tree)]
    there = [folder for folder in folders if (folder / manifest.NAME).is_file()]
    measured = {tree.evaluation(pair, method) for pair, method in methods(tree.suite)}
    left = {folder in measured for folder in folders if folder not in there}
    if not left:
        return
    here = provenance.libraries(provenance.versions())
    for folder in there:
        made = manifest.read(folder, ["stage", "core", "versions"])
        now, then = provenance.core_hash(made["stage"]), provenance.libraries(made["versions"])
        if then != here and (folder in measured) in left:  # trained by one, measured by one
            name = next(key for key in sorted(then | here) if then.get(key) != here.get(key))
            raise ArkdError(
                f"{folder}: made with {name} {then.get(name, 'absent')}, and here it is "
                f"{here.get(name, 'absent')}; results of different versions are never mixed: "
                "install that one, or run anew with another --results"
            )
        if made["core"] != now:
            commit = made.get("git", {}).get("commit") or "an unknown commit"
            raise ArkdError(
                f"{folder}: made by core {made['core']} ({commit[:12]}), and this is core {now}; "
                "results of different code are never mixed: go on with that commit, or run anew: "
                f"with another --results, or by: {again_command(tree, ['--forceall'])}"
            )

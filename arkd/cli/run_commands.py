"""The commands that run a suite, whole or one stage of it; imports are each command's own."""

from __future__ import annotations

import argparse
import os
import sys
from functools import partial
from pathlib import Path
from tempfile import TemporaryFile
from typing import TYPE_CHECKING, Any

from arkd import processes
from arkd.errors import ArkdError

if TYPE_CHECKING:
    from arkd.suite.folders import Tree


def run(options: argparse.Namespace) -> None:
    """Run a suite from data to report: this process becomes the project's workflow.

    So whatever is sent to it, such as a batch system's SIGTERM, gets to Snakemake.

    Raises:
        ArkdError: a suite is not valid, or a folder cannot be written to.
    """
    import json

    from arkd.paths import snakefile
    from arkd.suite.trees import results_folder, to_run, with_blocks

    found = to_run(options.suite, results_folder(options.results))
    (tree,) = found.values()
    suite, results = tree.named, str(tree.results)
    _make_writable(Path(".snakemake"), "Snakemake keeps its state there: run from another folder")
    if not options.dry_run:
        there = [each.root for each in with_blocks(found).values() if each.root.exists()]
        for folder in (tree.results, *there):
            _make_writable(folder, "give other --results")
    plain = options.verbose or options.dry_run
    command = [
        *(sys.executable, "-P", "-m", "arkd.cli.run_workflow"),
        *(suite, results, "plain" if plain else "lines"),
        "--snakefile",
        str(snakefile()),
        "--cores",
        options.cores,
        *(["--dry-run"] if options.dry_run else []),
        "--config",
        # As lists in JSON, which is YAML as well: a path may hold what YAML reads as its own.
        f"suites={json.dumps([suite], ensure_ascii=False)}",
        f"results={json.dumps([results], ensure_ascii=False)}",
    ]
    # The rules call `arkd` by name: the one that was called, activated environment or not.
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    os.execve(sys.executable, command, {**os.environ, "PATH": path})


def _make_writable(folder: Path, remedy: str) -> None:
    """Make a folder and write to it, or say what hinders that: Snakemake would in a traceback.

    Raises:
        ArkdError: the folder or one above it cannot be written to, or is a file.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise ArkdError(f"{folder.absolute()}: {error.strerror}; {remedy}") from error


def add(options: argparse.Namespace) -> None:
    """Add a row to those beside a suite's finished run, and run it.

    Raises:
        ArkdError: the row or the suite will not do, or the suite has no finished run.
    """
    from arkd.cli import add_rows
    from arkd.suite.folders import plain_name

    typed, to = options.settings, plain_name(options.to)
    path = add_rows.add(options.method, typed, to, options.results, options.name)
    print(f"arkd: {path} lists the rows beside {to}", file=sys.stderr, flush=True)
    options.suite = str(path)
    run(options)


def status(options: argparse.Namespace) -> int:
    """Show which jobs of a suite are done, run, failed or are left; 1 if one has failed."""
    from arkd.cli import status as states
    from arkd.suite.trees import trees

    return states.run(trees(options.suite, options.results).popitem()[1])


def stage(options: argparse.Namespace) -> None:
    """Run one stage of the pipeline.

    Raises:
        ArkdError: `--seed` without `--source student` or the reverse, or none of the suite's; a
            suite of several worlds, of which each has such stages; or the stage refuses.
    """
    from arkd import kernels
    from arkd.suite import folders

    tree = folders.tree(options.suite, options.results)
    name: str = options.stage
    if name in ("collect", "tables", "figures", "report", "tuning"):
        kernels.choose("portable")  # the rest choose their suite's
    else:
        tree.refuse_worlds()
    if "pair" in options:
        tree.suite.pair(options.pair)
    if "method" in options and options.method not in folders.CONTROLS:
        tree.suite.entry(options.method)
    if getattr(options, "seed", None) not in (None, *tree.suite.seeds):
        known = ", ".join(map(str, tree.suite.seeds))
        raise ArkdError(f"--seed: {options.seed} is no training seed of the suite: {known}")
    if name in ("tables", "figures", "report"):
        _check_shown(tree)
        if name != "figures" or not _drawn_for_a_paper(tree, options):
            _show(name, tree, options.partial)
    elif name == "tuning":
        from arkd.stages.tuning import write

        print(write(tree))
    elif name == "cache":
        if (options.source == "student") != (options.seed is not None):
            raise ArkdError("--seed: goes with --source student, and only with it")
        from arkd.stages.cache import cache

        cache(tree, options.pair, options.source, options.seed)
    elif name == "collect":
        from arkd.stages import blocks, collect

        (blocks.pool if tree.suite.worlds else collect.collect)(tree, options.partial)
    else:
        from arkd.cli import together
        from arkd.stages import build_models, distill, evaluate, prepare
        from arkd.suite.checks import check_written

        if name == "evaluate":
            check_written(tree.suite, tree.data)
        axes = {a: getattr(options, a) for a in ("pair", "method", "seed") if a in options}
        rooms = {"data": prepare, "tokens": prepare, "teacher": build_models, "init": build_models}
        rooms |= {"distill": distill, "evaluate": evaluate}
        run = partial(getattr(rooms[name], name), tree, *axes.values())
        devices = tree.suite.training.devices if name == "distill" else 1
        if devices == 1:
            run()
        elif processes.together():
            with together.one_of_several():
                run()
        else:
            named = {"suite": options.suite, "results": options.results, **axes}
            together.start(name, named, devices, tree.suite.device)


def _drawn_for_a_paper(tree: Tree, options: argparse.Namespace) -> bool:
    """Draw the figures that are asked for beside the suite's own, and tell whether any are.

    Raises:
        ArkdError: `--out` without a choice, which would be the suite's own figures.
    """
    from arkd.figures import build
    from arkd.figures.chosen import Chosen
    from arkd.storage import manifest

    chosen = Chosen(tuple(options.only), tuple(options.rows), options.width)
    if not chosen:
        if options.out:
            raise ArkdError("--out: goes with --only, --rows or --width; a suite has its own place")
        return False
    manifest.check_collected(tree.root)
    folder = Path(options.out or f"{tree.suite.name}-figures")
    partial = options.partial
    for path in build.write(tree.suite, tree.results, folder, partial, chosen, tree.named):
        print(path)
    return True


def _check_shown(tree: Tree) -> None:
    """Refuse to show a suite that only chooses rates.

    Raises:
        ArkdError: it is one.
    """
    if not tree.suite.shown:
        raise ArkdError(
            f"suite {tree.suite.name}: it only chooses learning rates, without text to show "
            f"(decoding.seeds); see `arkd tuning --suite {tree.named or tree.suite.name}`"
        )


def _show(name: str, tree: Tree, partial: bool) -> None:
    from arkd.paths import claims_path
    from arkd.storage import manifest, stage_writer

    root = tree.root
    read = {kind: root / f"{kind}.csv" for kind in ("records", "items", "cost", "trajectories")}
    inputs = {kind: path for kind, path in read.items() if path.is_file()}
    claims_file = claims_path(tree.suite.claims)
    if name == "figures" and claims_file.is_file():  # one of them draws the verdicts
        inputs["claims"] = claims_file
    manifest.check_collected(root)
    if name == "report":
        from arkd.report import page as report

        report.write(tree.suite, tree.results, root / "report.html", partial, tree.named)
        return
    axes: dict[str, Any] = {"suite": tree.suite.name, "suite_version": tree.suite.version}
    with stage_writer.stage(name, root / name, inputs=inputs, config={}, **axes) as made:
        if name == "tables":
            from arkd.tables import build as tables

            tables.write(tree.suite, tree.results, made.folder, partial, tree.named)
        else:
            from arkd.figures import build as figures

            figures.write(tree.suite, tree.results, made.folder, partial, named=tree.named)


def claims(options: argparse.Namespace) -> None:
    """Judge the registered claims by a suite."""
    from arkd.claims import judge as judgement
    from arkd.claims import write as verdict_table
    from arkd.claims.registered import load_claims
    from arkd.paths import claims_path
    from arkd.storage import manifest, stage_writer
    from arkd.suite import folders

    tree = folders.tree(options.suite, options.results)
    _check_shown(tree)
    suite, root = tree.suite, tree.root
    path = claims_path(suite.claims)
    registered = load_claims(path)
    manifest.check_collected(root)
    found = judgement.judge(tree, registered, options.partial)
    names = ("records", "cost", "trajectories")
    inputs = {"claims": path, **{name: root / f"{name}.csv" for name in names}}
    axes: dict[str, Any] = {"suite": suite.name, "suite_version": suite.version}
    with stage_writer.stage("claims", root / "claims", inputs=inputs, config={}, **axes) as made:
        verdict_table.write(suite, registered, found, made.folder)
    verdict_table.show(suite, registered, found)

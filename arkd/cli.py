"""The command `arkd`: each stage of the pipeline, and what a user asks of the benchmark."""

from __future__ import annotations

import argparse
import errno
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from arkd import __version__
from arkd.errors import ArkdError

if TYPE_CHECKING:
    from arkd.workflow import Tree

EPILOG = """examples:
  arkd run longtail                      the whole suite: data to report
  arkd run smoke --results /tmp/try      the one-minute suite, elsewhere
  arkd list                              the methods, their papers and what they need
  arkd new my_method                     a method of your own, to fill in
  arkd check my_method                   test it against its formula, in seconds
  arkd distill --suite longtail --pair tiny --method arkd --seed 1
                                         one stage, by hand
"""

LIST_EXAMPLES = """examples:
  arkd list             the methods: kind, needs, cost, paper
  arkd list suites      the suites and their sizes
"""
CHECKS = """examples:
  arkd check arkd                 one method, a line a check
  arkd check jsd tvd --verbose    two of them, every line
  arkd check --all                every method, a line each; exit code 1 if one fails
"""
NEW = """examples:
  arkd new my_method                    in a checkout: baselines/my_method.py
  arkd new my_method --kind weights     a method that weighs forward and reverse KL
  arkd new my_method --package          a package of your own: arkd-method-my_method/
"""
CLAIMS_EXAMPLES = """examples:
  arkd claims                                  the verdicts of the suite longtail
  arkd claims --suite longtail-full            of the run that the claims were registered for
  arkd claims --suite longtail-full --partial  by the runs that are there: provisional verdicts
"""
CITE_EXAMPLES = """examples:
  arkd cite arkd akl    the entries of two methods
  arkd cite             all of them
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command; an error that the user can act on is one line and exit code 2."""
    # Read when torch is loaded: one instruction set, so that processors round alike where they can.
    os.environ.setdefault("MKL_CBWR", "AVX2")
    os.environ.setdefault("ATEN_CPU_CAPABILITY", "avx2")
    os.environ.setdefault("ONEDNN_MAX_CPU_ISA", "AVX2")
    for library in ("HF_HUB", "HF_DATASETS", "TRANSFORMERS", "HF_EVALUATE"):
        os.environ.setdefault(f"{library}_OFFLINE", "1")  # nothing here is fetched from a hub
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    options = parser().parse_args(argv)
    try:
        status: int | None = options.command(options)
        return status or 0
    except ArkdError as error:
        print(f"arkd: error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("arkd: interrupted; nothing was left half-written", file=sys.stderr)
        return 130
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EROFS):
            raise
        print(f"arkd: error: {error.filename or 'output'}: {error.strerror}", file=sys.stderr)
        return 2


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    top = argparse.ArgumentParser(
        prog="arkd",
        description="A reproducibility benchmark for white-box distillation of language models.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    top.add_argument("--version", action="version", version=f"arkd {__version__}")
    commands = top.add_subparsers(required=True, metavar="COMMAND")

    run = commands.add_parser("run", help="run a suite from data to report")
    run.add_argument("suite", nargs="?", default="longtail")
    run.add_argument("--results", default="results", help="folder of all results")
    run.add_argument("--cores", default="all")
    run.add_argument("--dry-run", action="store_true", help="show what would run")
    run.set_defaults(command=_run)

    listing = _add(commands, "list", "list the methods, or the suites", LIST_EXAMPLES)
    listing.add_argument("what", nargs="?", choices=["methods", "suites"], default="methods")
    listing.set_defaults(command=_list)

    check = _add(commands, "check", "test methods against their formulas and the contract", CHECKS)
    check.add_argument("methods", nargs="*", metavar="METHOD")
    check.add_argument("--all", action="store_true", help="every method there is")
    check.add_argument("--verbose", action="store_true", help="a line a check for several, too")
    check.set_defaults(command=_check)

    new = _add(commands, "new", "write the file of a new method, which passes `arkd check`", NEW)
    new.add_argument("name", help="the method's name, in lower_case")
    new.add_argument(
        "--kind",
        choices=["weights", "tokens", "step"],
        default="tokens",
        help="what it says: weights of both KLs, a loss per token (default), or the whole step",
    )
    new.add_argument("--package", action="store_true", help="as a package of its own, here")
    new.set_defaults(command=_new)

    cite = _add(commands, "cite", "print BibTeX of methods, each entry once", CITE_EXAMPLES)
    cite.add_argument("methods", nargs="*", metavar="METHOD", help="all if none is named")
    cite.set_defaults(command=_cite)

    claims = _add(commands, "claims", "judge the paper's claims by a suite", CLAIMS_EXAMPLES)
    claims.add_argument("--suite", default="longtail", help="name or YAML file")
    claims.add_argument("--results", default="results", help="folder of all results")
    claims.add_argument("--partial", action="store_true", help="judge by what is there")
    claims.set_defaults(command=_claims)

    for name, axes, text in (
        ("data", "", "write a suite's text"),
        ("tokens", "pair", "make the tokenizer and encode the text"),
        ("teacher", "pair", "train or fetch the teacher"),
        ("init", "pair seed", "make the untrained student and the SFT start"),
        ("cache", "pair source seed?", "run the teacher over a response set"),
        ("distill", "pair method seed", "train one student"),
        ("evaluate", "pair method", "evaluate every seed of a method or control"),
        ("collect", "", "join records and costs"),
        ("tables", "", "write the tables"),
        ("figures", "", "draw the figures"),
        ("report", "", "write the HTML report"),
        ("tuning", "", "choose each method's rate from a tuning suite"),
    ):
        stage = commands.add_parser(name, help=text, description=text)
        stage.add_argument("--suite", default="longtail", help="name or YAML file")
        stage.add_argument("--results", default="results", help="folder of all results")
        for axis in axes.split():
            kind = int if axis.startswith("seed") else str
            choices = ["gold", "teacher", "student", "prefixes"] if axis == "source" else None
            flag = f"--{axis.removesuffix('?')}"
            stage.add_argument(flag, type=kind, required=not axis.endswith("?"), choices=choices)
        if name in ("collect", "tables", "figures", "report"):
            stage.add_argument("--partial", action="store_true", help="show gaps, do not refuse")
        stage.set_defaults(command=_stage, stage=name)
    return top


def _add(commands: Any, name: str, text: str, examples: str) -> argparse.ArgumentParser:
    """Add a command whose help ends in examples."""
    added: argparse.ArgumentParser = commands.add_parser(
        name,
        help=text,
        description=text,
        epilog=examples,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    return added


def _stage(options: argparse.Namespace) -> None:
    from arkd import stages, workflow

    tree = workflow.tree(options.suite, options.results)
    name: str = options.stage
    if name in ("tables", "figures", "report"):
        _show(name, tree, options.partial)
    elif name == "tuning":
        from arkd.tuning import write

        print(write(tree))
    elif name == "cache":
        if (options.source == "student") != (options.seed is not None):
            raise ArkdError("--seed: goes with --source student, and only with it")
        stages.cache(tree, options.pair, options.source, options.seed)
    elif name == "collect":
        from arkd.collect import collect

        collect(tree, options.partial)
    else:
        axes = [getattr(options, axis) for axis in ("pair", "method", "seed") if axis in options]
        getattr(stages, name)(tree, *axes)


def _show(name: str, tree: Tree, partial: bool) -> None:
    from arkd import manifest

    root = tree.root
    inputs = {"records": root / "records.csv", "cost": root / "cost.csv"}
    if name == "report":
        from arkd import report

        report.write(tree.suite, tree.results, root / "report.html", partial)
        return
    axes = {"suite": tree.suite.name, "suite_version": tree.suite.version}
    with manifest.stage(name, root / name, inputs=inputs, config={}, **axes) as stage:
        if name == "tables":
            from arkd import tables

            tables.write(tree.suite, tree.results, stage.folder, partial)
        else:
            from arkd import figures

            figures.write(tree.suite, tree.results, stage.folder, partial)


def _claims(options: argparse.Namespace) -> None:
    from arkd import judgement, manifest, verdict_table, workflow
    from arkd.claims import claims_path, load_claims

    tree, claims = workflow.tree(options.suite, options.results), load_claims()
    suite, root = tree.suite, tree.root
    found = judgement.judge(tree, claims, options.partial)
    names = ("records", "cost", "trajectories")
    inputs = {"claims": claims_path(), **{name: root / f"{name}.csv" for name in names}}
    axes = {"suite": suite.name, "suite_version": suite.version}
    with manifest.stage("claims", root / "claims", inputs=inputs, config={}, **axes) as stage:
        verdict_table.write(suite, claims, found, stage.folder)
    verdict_table.show(suite, claims, found)


def _run(options: argparse.Namespace) -> int:
    import subprocess

    from arkd.suite import load_suite

    load_suite(options.suite)
    snakefile = Path(__file__).parent.parent / "Snakefile"
    if not snakefile.is_file():
        raise ArkdError(f"{snakefile}: no such file; `arkd run` needs a checkout of the project")
    command = [
        sys.executable,
        "-m",
        "snakemake",
        "--snakefile",
        str(snakefile),
        "--cores",
        options.cores,
        *(["--dry-run"] if options.dry_run else []),
        "--config",
        f"suites=[{options.suite}]",
        f"results={options.results}",
    ]
    return subprocess.run(command, check=False).returncode


def _list(options: argparse.Namespace) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold")
    if options.what == "suites":
        from arkd.suite import load_suite, suite_names

        for heading in ("suite", "version", "methods", "seeds", "what it is"):
            table.add_column(heading)
        for name in suite_names():
            suite = load_suite(name)
            sizes = str(len(suite.entries)), str(len(suite.seeds))
            table.add_row(name, suite.version, *sizes, suite.description)
    else:
        from arkd import catalogue, registry

        for heading in ("method", "from", "kind", "needs", "cost", "paper", "what it is"):
            folds = heading in ("needs", "what it is")
            table.add_column(heading, no_wrap=not folds, max_width=32 if folds else None)
        found, broken = catalogue.rows(registry.names())
        for row in found:
            needs, paper = ", ".join(row.needs), row.reference.url.removeprefix("https://")
            paper = paper.replace("arxiv.org/abs/", "arXiv ")
            table.add_row(row.name, row.origin, row.kind, needs, row.cost, paper, row.summary)
        _warn(broken)
    console = Console()
    Console(width=max(140, console.width) if console.is_terminal else 200).print(table)


def _check(options: argparse.Namespace) -> int:
    from arkd import registry

    if bool(options.methods) == options.all:
        raise ArkdError("check: name the methods to check, or give --all")
    names = registry.names() if options.all else options.methods
    for name in names:
        registry.plugin(name)  # an unknown name is known before anything is loaded

    from arkd.conformance import check

    every_line = options.verbose or len(names) == 1
    return 0 if check.report(names, every_line=every_line) else 1


def _new(options: argparse.Namespace) -> None:
    from arkd import scaffold

    print(scaffold.create(options.name, options.kind, package=options.package))


def _cite(options: argparse.Namespace) -> None:
    from arkd import catalogue, registry

    if options.methods:
        found = [catalogue.row(name) for name in options.methods]
    else:
        found, broken = catalogue.rows(registry.names())
        _warn(broken)
    for entry in catalogue.entries(found):
        print(entry, end="\n\n")


def _warn(broken: list[ArkdError]) -> None:
    """Say what is left out of a listing, one line each."""
    for error in broken:
        print(f"arkd: left out: {error}", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())

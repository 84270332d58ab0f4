"""The command `arkd`: each stage of the pipeline, and what a user asks of the benchmark."""

from __future__ import annotations

import argparse
import errno
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from arkd import __version__
from arkd.errors import ArkdError

if TYPE_CHECKING:
    from arkd.workflow import Tree

EPILOG = """examples:
  arkd run longtail                      the whole suite: data to report
  arkd run smoke --results /tmp/try      the one-minute suite, elsewhere
  arkd list                              the methods, their papers and what they need
  arkd distill --suite longtail --pair tiny --method arkd --seed 1
                                         one stage, by hand
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

    listing = commands.add_parser("list", help="list the methods, or the suites")
    listing.add_argument("what", nargs="?", choices=["methods", "suites"], default="methods")
    listing.set_defaults(command=_list)

    cite = commands.add_parser("cite", help="print BibTeX of methods")
    cite.add_argument("methods", nargs="*", help="all if none is named")
    cite.set_defaults(command=_cite)

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

    from arkd import registry
    from arkd.suite import load_suite, suite_names

    table = Table(box=None, pad_edge=False, header_style="bold")
    if options.what == "suites":
        for heading in ("suite", "version", "methods", "seeds", "what it is"):
            table.add_column(heading)
        for name in suite_names():
            suite = load_suite(name)
            sizes = str(len(suite.entries)), str(len(suite.seeds))
            table.add_row(name, suite.version, *sizes, suite.description)
    else:
        for heading in ("method", "from", "responses", "teacher", "paper", "what it is"):
            table.add_column(heading, overflow="fold")
        for name in registry.plugins():
            about = registry.describe(name)
            table.add_row(
                name,
                about["origin"],
                ", ".join(about["responses"]),
                "values" if "teacher_logits" in about["needs"] else "–",
                about["reference"].url.removeprefix("https://"),
                about["summary"],
            )
    console = Console()
    console.print(table, width=console.width if console.is_terminal else 200)


def _cite(options: argparse.Namespace) -> None:
    from arkd import registry

    for name in options.methods or registry.plugins():
        print(registry.method_class(name).reference.bibtex, end="\n\n")


if __name__ == "__main__":
    sys.exit(main())

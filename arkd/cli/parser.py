"""The parser of the command line: each command, its options and their help.

What a command calls is named, as MODULE.FUNCTION of `arkd.cli`, and imported once it is chosen.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from functools import partial
from typing import Any

from arkd import __version__
from arkd.cli import examples
from arkd.cli.options import AXES, CORES, RESULTS, SUITE, at_least_one
from arkd.cli.suggestions import Deferred, Parser

Options = Callable[[Parser], None]  # gives a command its options
COMMANDS: list[dict[str, Any]] = []  # what each is added with, in the order of `arkd --help`


def parser() -> Parser:
    """Return the parser of the command line; a command has its options once it is chosen."""
    top = Parser(
        prog="arkd",
        description="A reproducibility benchmark for white-box distillation of language models.",
        epilog=examples.EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    top.add_argument("--version", action="version", version=f"arkd {__version__}")
    top.set_defaults(command=None)  # of `arkd` alone
    added: Any = top.add_subparsers(metavar="COMMAND", parser_class=Deferred)
    for command in COMMANDS:
        added.add_parser(**command, formatter_class=argparse.RawDescriptionHelpFormatter)
    return top


def _command(name: str, text: str, ending: str = "") -> Callable[[Options], Options]:
    """Add what gives a command its options to the commands."""

    def add(options: Options) -> Options:
        about = {"help": text, "description": text, "epilog": ending}
        COMMANDS.append({"name": name, **about, "options": options})
        return options

    return add


@_command("run", "run a suite from data to report", examples.RUN)
def _run(command: Parser) -> None:
    command.add_argument("suite", nargs="?", **SUITE)
    command.add_argument("--results", **RESULTS)
    command.add_argument("--cores", **CORES)
    command.add_argument("--dry-run", action="store_true", help="show what would run")
    command.add_argument("--verbose", action="store_true", help="Snakemake's own output")
    command.set_defaults(command="run_commands.run")


@_command(
    "add",
    "train another row beside a suite's finished run, which stays unchanged",
    examples.ADD,
)
def _add(command: Parser) -> None:
    command.add_argument("method", metavar="METHOD", help="a method's name, or its file")
    command.add_argument(
        "settings", nargs="*", metavar="KEY=VALUE", help="its parameters, as in a suite's row"
    )
    command.add_argument("--to", required=True, metavar="SUITE", help="name or YAML file")
    command.add_argument("--name", help="name of the suite of added rows (default: SUITE-plus)")
    command.add_argument("--results", **RESULTS)
    command.add_argument("--cores", **CORES)
    command.set_defaults(command="run_commands.add", dry_run=False, verbose=False)


@_command("status", "show which jobs of a suite are done", examples.STATUS)
def _status(command: Parser) -> None:
    command.add_argument("suite", nargs="?", **SUITE)
    command.add_argument("--results", **RESULTS)
    command.set_defaults(command="run_commands.status")


@_command("plan", "estimate what a suite needs: memory, hours, disk", examples.PLAN)
def _plan(command: Parser) -> None:
    command.add_argument("suite", nargs="?", **SUITE)
    command.add_argument("--gpu", nargs="+", default=[], metavar="NAME", help="default: all known")
    command.add_argument("--format", choices=["text", "markdown", "csv", "json"], default="text")
    command.add_argument("--results", default="results", help="finished work here is counted")
    command.add_argument("--prompt-tokens", type=float, metavar="N", help="mean prompt length")
    command.add_argument("--response-tokens", type=float, metavar="N", help="mean response length")
    command.add_argument(
        "--config",
        action="append",
        default=[],
        metavar="REPO=FILE",
        help="config.json of a model on the hub; may be repeated",
    )
    command.set_defaults(command="commands.plan")


@_command("fetch", "fetch a suite's models in advance, for jobs without a network", examples.FETCH)
def _fetch(command: Parser) -> None:
    command.add_argument("suite", help="name or YAML file")
    command.set_defaults(command="commands.fetch")


@_command("list", "list the methods, or the suites", examples.LIST_EXAMPLES)
def _list(command: Parser) -> None:
    command.add_argument("what", nargs="?", choices=["methods", "suites"], default="methods")
    command.set_defaults(command="commands.list_methods")


@_command("check", "test methods against their formulas and the contract", examples.CHECKS)
def _check(command: Parser) -> None:
    command.add_argument("methods", nargs="*", metavar="METHOD")
    command.add_argument("--all", action="store_true", help="every method")
    command.add_argument("--verbose", action="store_true", help="a line per check for several too")
    command.set_defaults(command="commands.check")


@_command("audit", "measure what any distillation loss computes", examples.AUDIT)
def _audit(command: Parser) -> None:
    command.add_argument("targets", nargs="*", metavar="TARGET", help="PACKAGE:LOSS, FILE.py:NAME")
    command.add_argument("--list", action="store_true", help="losses with a shipped adapter")
    command.add_argument("--new", metavar="FILE", help="write an adapter for a loss of your own")
    command.add_argument("--json", action="store_true", help="print JSON instead of pages")
    command.add_argument(
        "--out", metavar="DIR", help="also write a Markdown page and JSON per target"
    )
    command.set_defaults(command="commands.audit")


@_command("new", "write the file of a new method that passes `arkd check`", examples.NEW)
def _new(command: Parser) -> None:
    command.add_argument("name", help="the method's name, in lower_case")
    command.add_argument(
        "--kind",
        choices=["weights", "tokens", "step"],
        default="tokens",
        help="what it defines: weights of both KLs, a loss per token (default), or the whole step",
    )
    command.add_argument("--package", action="store_true", help="as a separate package, here")
    command.set_defaults(command="commands.new")


@_command(
    "new-suite",
    "write a commented suite file for your own models and data",
    examples.NEW_SUITE,
)
def _new_suite(command: Parser) -> None:
    command.add_argument("name", help="name of the suite and of its results folder")
    command.add_argument("--teacher", metavar="DIR", help="folder of a Hugging Face model")
    command.add_argument("--student", metavar="DIR", help="another, with the same vocabulary")
    command.add_argument("--train", metavar="FILE", help="JSONL: prompt and response")
    command.add_argument("--dev", metavar="FILE", help="the same; default: split off from --train")
    command.add_argument(
        "--test",
        metavar="[NAME=]FILE",
        action="append",
        help="JSONL: prompt, response or references; the first is in distribution; may be repeated",
    )
    command.add_argument(
        "--corpus", metavar="FILE", help="JSONL: text, for the language-modelling term L_pt"
    )
    command.add_argument("--out", metavar="FILE", help="default: ./NAME.yaml")
    command.set_defaults(command="commands.new_suite")


@_command("cite", "print BibTeX entries of the benchmark and of methods", examples.CITE_EXAMPLES)
def _cite(command: Parser) -> None:
    command.add_argument("methods", nargs="*", metavar="METHOD", help="default: all")
    command.add_argument(
        "--benchmark", action="store_true", help="the entry of the benchmark itself"
    )
    command.add_argument(
        "--licences", nargs="?", const="longtail", metavar="SUITE", help="print licences instead"
    )
    command.set_defaults(command="commands.cite")


@_command(
    "published",
    "show what papers report for a method, and how far apart they are",
    examples.PUBLISHED,
)
def _published(command: Parser) -> None:
    command.add_argument(
        "methods", nargs="*", metavar="METHOD", help="default: those with several sources"
    )
    command.add_argument("--pair", default="gpt2-1.5B-120M", help="default: gpt2-1.5B-120M")
    command.add_argument("--format", choices=["text", "markdown", "csv"], default="text")
    command.set_defaults(command="commands.published")


@_command("pages", "write the pages, tables and schemas that are made from code")
def _pages(command: Parser) -> None:
    command.set_defaults(command="commands.pages")


@_command("claims", "judge the paper's claims by a suite", examples.CLAIMS_EXAMPLES)
def _claims(command: Parser) -> None:
    command.add_argument("--suite", **SUITE)
    command.add_argument("--results", **RESULTS)
    command.add_argument("--partial", action="store_true", help="judge by the runs that are there")
    command.set_defaults(command="run_commands.claims")


@_command("verify", "check results against their hashes and records", examples.VERIFY)
def _verify(command: Parser) -> None:
    command.add_argument("folders", nargs="+", metavar="FOLDER", help="a suite's, or one above")
    command.add_argument("--write", action="store_true", help="write SHA256SUMS if all is well")
    command.set_defaults(command="commands.verify")


@_command("compare", "compare two runs, or two rows, paired by seed", examples.COMPARE)
def _compare(command: Parser) -> None:
    command.add_argument("runs", nargs="+", metavar="RUN", help="a suite's folder or records.csv")
    names = ("A", "B")
    command.add_argument(
        "--methods", nargs=2, metavar=names, help="a row of each, or two of one run"
    )
    command.add_argument("--method", nargs="+", default=[], help="only these rows")
    command.add_argument("--task", nargs="+", default=[], help="only these tasks")
    command.add_argument("--metric", nargs="+", default=[], help="default: those of the summary")
    command.add_argument("--format", choices=["text", "markdown", "csv"], default="text")
    command.add_argument("--across", action="store_true", help="allow other suites or versions")
    command.set_defaults(command="commands.compare")


@_command("merge", "merge several people's runs of one suite", examples.MERGE)
def _merge(command: Parser) -> None:
    command.add_argument(
        "out", metavar="OUT", help="folder of results to write the merged suite to"
    )
    command.add_argument(
        "folders", nargs="+", metavar="FOLDER", help="suites' folders, two or more"
    )
    command.add_argument("--partial", action="store_true", help="allow methods that lack seeds")
    command.set_defaults(command="commands.merge")


@_command("pack", "write a frozen pack of a suite, for training students elsewhere", examples.PACK)
def _pack(command: Parser) -> None:
    command.add_argument("suite", nargs="?", help="name or YAML file")
    command.add_argument("--results", **RESULTS)
    command.add_argument("--out", metavar="FOLDER", help="default: RESULTS/packs/SUITE-VERSION")
    command.add_argument("--check", metavar="FOLDER", help="compare a pack with its manifest")
    command.set_defaults(command="exchange_commands.pack")


@_command("score", "score students trained elsewhere on every metric of a suite", examples.SCORE)
def _score(command: Parser) -> None:
    command.add_argument(
        "folders", nargs="+", metavar="FOLDER", help="a Hugging Face model per seed"
    )
    command.add_argument("--suite", required=True, help="name or YAML file")
    command.add_argument("--name", help="name of the method (default: the first folder's)")
    command.add_argument("--pair", help="default: the suite's first")
    command.add_argument(
        "--seeds",
        nargs="+",
        type=int,
        default=[],
        help="seeds of the starts (default: the suite's first)",
    )
    command.add_argument(
        "--declare",
        nargs="+",
        default=[],
        metavar="KEY=VALUE",
        help="what training took: processor_s, gpu_s, steps, tokens, prefixes, family, hardware, "
        "software, code, note",
    )
    command.add_argument("--results", **RESULTS)
    command.set_defaults(command="exchange_commands.score")


@_command(
    "submit",
    "pack a run as a submission to the leaderboard, or check one",
    examples.SUBMIT,
)
def _submit(command: Parser) -> None:
    command.add_argument("run", nargs="?", help="a suite's folder of a finished run")
    command.add_argument("--form", metavar="FILE", help="the filled-in submission.yaml")
    command.add_argument(
        "--out", metavar="PATH", help="folder, or X.tar.gz (default: results/submissions/NAME)"
    )
    command.add_argument(
        "--check", metavar="PATH", help="say what a submission lacks, or any of a folder"
    )
    command.add_argument("--new", metavar="FILE", help="write a form to fill in")
    command.set_defaults(command="exchange_commands.submit")


@_command(
    "leaderboard",
    "write the page that ranks every reference and submission, with JSON and CSV",
    examples.LEADERBOARD,
)
def _leaderboard(command: Parser) -> None:
    command.add_argument("--results", default="results", help="has reference/ and submissions/")
    command.add_argument("--out", metavar="FOLDER", help="default: RESULTS/leaderboard")
    command.set_defaults(command="exchange_commands.leaderboard")


@_command("perf", "time the code: divergences, sampling, steps, the whole suite", examples.PERF)
def _perf(command: Parser) -> None:
    parts = ["divergence", "sampling", "step", "suite"]
    command.add_argument("--only", choices=parts, help="only this part")
    command.add_argument("--quick", action="store_true", help="small shapes, without time limits")
    command.add_argument("--again", action="store_true", help="also measure finished parts again")
    repeats, threads = (partial(at_least_one, name) for name in ("repeats", "threads"))
    command.add_argument("--repeats", type=repeats, default=5, help="measured rounds (default: 5)")
    command.add_argument("--threads", type=threads, help="threads of each run (default: all cores)")
    command.add_argument("--results", **RESULTS)
    command.add_argument(
        "--out", default="results/performance", help="where the tables are written"
    )
    command.set_defaults(command="commands.perf")


@_command(
    "calibrate",
    "check a development world against the marks by which worlds are chosen",
    examples.CALIBRATE,
)
def _calibrate(command: Parser) -> None:
    command.add_argument("suite", help="name or YAML file of a finished suite")
    command.add_argument("--doubled", metavar="SUITE", help="the same suite at twice the steps")
    command.add_argument("--results", **RESULTS)
    command.add_argument(
        "--write", action="store_true", help="keep the marks in benchmarks/calibration"
    )
    command.set_defaults(command="commands.calibrate")


@_command("env", "show what numbers depend on: code, libraries, kernels, machine", examples.ENV)
def _env(command: Parser) -> None:
    command.set_defaults(command="commands.env")


@_command("completion", "print a shell's completion script", examples.COMPLETION)
def _completion(command: Parser) -> None:
    command.add_argument("shell", choices=["bash", "zsh", "tcsh"])
    command.set_defaults(command="commands.completion")


def _stage(command: Parser, name: str, axes: str) -> None:
    command.add_argument("--suite", **SUITE)
    command.add_argument("--results", **RESULTS)
    for axis in axes.split():
        kind = int if axis.startswith("seed") else str
        choices = ["gold", "teacher", "student", "prefixes"] if axis == "source" else None
        flag = f"--{axis.removesuffix('?')}"
        must = not axis.endswith("?")
        about = AXES[axis.removesuffix("?")]
        command.add_argument(flag, type=kind, required=must, choices=choices, help=about)
    if name == "figures":
        command.add_argument(
            "--only", nargs="+", default=[], metavar="NAME", help="these figures only"
        )
        command.add_argument(
            "--rows", nargs="+", default=[], metavar="ROW", help="show these rows only"
        )
        command.add_argument(
            "--width", type=float, metavar="INCHES", help="width of each; font size stays"
        )
        command.add_argument(
            "--out", metavar="DIR", help="folder for such figures (default: ./SUITE-figures)"
        )
    if name in ("collect", "tables", "figures", "report"):
        command.add_argument("--partial", action="store_true", help="show gaps instead of refusing")
    command.set_defaults(command="run_commands.stage", stage=name)


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
    _command(name, text)(partial(_stage, name=name, axes=axes))

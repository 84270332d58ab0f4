"""The parser of the command line: each command, its options and their help."""

from __future__ import annotations

import argparse
from typing import Any

from arkd import __version__
from arkd.cli import commands, examples, exchange_commands, run_commands
from arkd.cli.suggestions import Parser

AXES = {
    "pair": "teacher and student, by the pair's name in the suite",
    "method": "a row of the suite, such as fixed_mix@alpha=0.25, or a control",
    "seed": "training seed",
    "source": "response set; the student's belongs to a seed",
}


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    top = Parser(
        prog="arkd",
        description="A reproducibility benchmark for white-box distillation of language models.",
        epilog=examples.EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    top.add_argument("--version", action="version", version=f"arkd {__version__}")
    top.set_defaults(command=lambda _: top.print_help())  # of `arkd` alone
    added = top.add_subparsers(metavar="COMMAND")

    run = added.add_parser("run", help="run a suite from data to report")
    run.add_argument("suite", nargs="?", default="longtail", help="name or YAML file")
    run.add_argument("--results", default="results", help="folder of all results")
    run.add_argument("--cores", default="all", help="how many jobs at once (default: all cores)")
    run.add_argument("--dry-run", action="store_true", help="show what would run")
    run.add_argument("--verbose", action="store_true", help="Snakemake's own output")
    run.set_defaults(command=run_commands.run)

    text = "train a further row beside the finished run of a suite, which stays as it is"
    add = _add(added, "add", text, examples.ADD)
    add.add_argument("method", metavar="METHOD", help="a method's name, or its file")
    add.add_argument("settings", nargs="*", metavar="KEY=VALUE", help="its parameters, as in a row")
    add.add_argument("--to", required=True, metavar="SUITE", help="name or YAML file")
    add.add_argument("--name", help="of the suite of further rows (default: SUITE-plus)")
    add.add_argument("--results", default="results", help="folder of all results")
    add.add_argument("--cores", default="all", help="how many jobs at once (default: all cores)")
    add.set_defaults(command=run_commands.add, dry_run=False, verbose=False)

    status = _add(added, "status", "show which jobs of a suite are done", examples.STATUS)
    status.add_argument("suite", nargs="?", default="longtail", help="name or YAML file")
    status.add_argument("--results", default="results", help="folder of all results")
    status.set_defaults(command=run_commands.status)

    plan = _add(added, "plan", "estimate what a suite takes: memory, hours, disk", examples.PLAN)
    plan.add_argument("suite", nargs="?", default="longtail", help="name or YAML file")
    plan.add_argument("--gpu", nargs="+", default=[], metavar="NAME", help="default: all known")
    plan.add_argument("--format", choices=["text", "markdown", "csv", "json"], default="text")
    plan.add_argument("--results", default="results", help="what stands there is counted")
    plan.add_argument("--prompt-tokens", type=float, metavar="N", help="mean of a prompt")
    plan.add_argument("--response-tokens", type=float, metavar="N", help="mean of its answer")
    plan.add_argument(
        "--config",
        action="append",
        default=[],
        metavar="REPO=FILE",
        help="config.json of a model of the hub; may be repeated",
    )
    plan.set_defaults(command=commands.plan)

    text = "fetch a suite's models beforehand, for jobs without a network"
    fetch = _add(added, "fetch", text, examples.FETCH)
    fetch.add_argument("suite", help="name or YAML file")
    fetch.set_defaults(command=commands.fetch)

    listing = _add(added, "list", "list the methods, or the suites", examples.LIST_EXAMPLES)
    listing.add_argument("what", nargs="?", choices=["methods", "suites"], default="methods")
    listing.set_defaults(command=commands.list_methods)

    check = _add(
        added, "check", "test methods against their formulas and the contract", examples.CHECKS
    )
    check.add_argument("methods", nargs="*", metavar="METHOD")
    check.add_argument("--all", action="store_true", help="every method there is")
    check.add_argument("--verbose", action="store_true", help="a line a check for several, too")
    check.set_defaults(command=commands.check)

    text = "measure what a distillation loss of any code computes"
    audit = _add(added, "audit", text, examples.AUDIT)
    audit.add_argument("targets", nargs="*", metavar="TARGET", help="PACKAGE:LOSS, FILE.py:NAME")
    audit.add_argument("--list", action="store_true", help="the losses of adapters shipped here")
    audit.add_argument("--new", metavar="FILE", help="write an adapter for a loss of your own")
    audit.add_argument("--json", action="store_true", help="print JSON in the place of pages")
    audit.add_argument("--out", metavar="DIR", help="write a Markdown page and JSON a target, too")
    audit.set_defaults(command=commands.audit)

    new = _add(
        added, "new", "write the file of a new method, which passes `arkd check`", examples.NEW
    )
    new.add_argument("name", help="the method's name, in lower_case")
    new.add_argument(
        "--kind",
        choices=["weights", "tokens", "step"],
        default="tokens",
        help="what it says: weights of both KLs, a loss per token (default), or the whole step",
    )
    new.add_argument("--package", action="store_true", help="as a package of its own, here")
    new.set_defaults(command=commands.new)

    text = "write the commented file of a suite over your own models and data"
    suite = _add(added, "new-suite", text, examples.NEW_SUITE)
    suite.add_argument("name", help="the suite's name, and that of its folder of results")
    suite.add_argument("--teacher", metavar="DIR", help="folder of a Hugging Face model")
    suite.add_argument("--student", metavar="DIR", help="another, with the same vocabulary")
    suite.add_argument("--train", metavar="FILE", help="JSONL: prompt and response")
    suite.add_argument("--dev", metavar="FILE", help="the same; default: split off from --train")
    suite.add_argument(
        "--test",
        metavar="[NAME=]FILE",
        action="append",
        help="JSONL: prompt, response or references; the first is in distribution; may be repeated",
    )
    suite.add_argument("--corpus", metavar="FILE", help="JSONL: text, for the L_pt of distillation")
    suite.add_argument("--out", metavar="FILE", help="default: ./NAME.yaml")
    suite.set_defaults(command=commands.new_suite)

    cite = _add(added, "cite", "print BibTeX: the benchmark, methods", examples.CITE_EXAMPLES)
    cite.add_argument("methods", nargs="*", metavar="METHOD", help="all if none is named")
    cite.add_argument("--benchmark", action="store_true", help="the entry of the benchmark itself")
    cite.add_argument(
        "--licences", nargs="?", const="longtail", metavar="SUITE", help="licences, not BibTeX"
    )
    cite.set_defaults(command=commands.cite)

    text = "show what papers print of a method, and how far they are apart"
    published = _add(added, "published", text, examples.PUBLISHED)
    published.add_argument("methods", nargs="*", metavar="METHOD", help="default: the shared ones")
    published.add_argument("--pair", default="gpt2-1.5B-120M", help="default: gpt2-1.5B-120M")
    published.add_argument("--format", choices=["text", "markdown", "csv"], default="text")
    published.set_defaults(command=commands.published)

    pages = added.add_parser("pages", help="write the pages on methods and metrics")
    pages.set_defaults(command=commands.pages)

    claims = _add(added, "claims", "judge the paper's claims by a suite", examples.CLAIMS_EXAMPLES)
    claims.add_argument("--suite", default="longtail", help="name or YAML file")
    claims.add_argument("--results", default="results", help="folder of all results")
    claims.add_argument("--partial", action="store_true", help="judge by what is there")
    claims.set_defaults(command=run_commands.claims)

    verify = _add(
        added, "verify", "check results against their hashes and records", examples.VERIFY
    )
    verify.add_argument("folders", nargs="+", metavar="FOLDER", help="a suite's, or a parent")
    verify.add_argument("--write", action="store_true", help="write SHA256SUMS where all is well")
    verify.set_defaults(command=commands.verify)

    compare = _add(
        added, "compare", "compare two runs, or two rows, paired by seed", examples.COMPARE
    )
    compare.add_argument("runs", nargs="+", metavar="RUN", help="a suite's folder or records.csv")
    names = ("A", "B")
    compare.add_argument("--methods", nargs=2, metavar=names, help="a row of each, or of one run")
    compare.add_argument("--method", nargs="+", default=[], help="these rows alone")
    compare.add_argument("--task", nargs="+", default=[], help="these tasks alone")
    compare.add_argument("--metric", nargs="+", default=[], help="default: those of the summary")
    compare.add_argument("--format", choices=["text", "markdown", "csv"], default="text")
    compare.add_argument("--across", action="store_true", help="other suites or versions, too")
    compare.set_defaults(command=commands.compare)

    merge = _add(added, "merge", "merge several people's runs of one suite", examples.MERGE)
    merge.add_argument("out", metavar="OUT", help="folder of results to write the merged suite to")
    merge.add_argument("folders", nargs="+", metavar="FOLDER", help="suites' folders, two or more")
    merge.add_argument("--partial", action="store_true", help="allow methods that lack seeds")
    merge.set_defaults(command=commands.merge)

    text = "write the frozen pack of a suite, to train students on elsewhere"
    pack = _add(added, "pack", text, examples.PACK)
    pack.add_argument("suite", nargs="?", help="name or YAML file")
    pack.add_argument("--results", default="results", help="folder of all results")
    pack.add_argument("--out", metavar="FOLDER", help="default: RESULTS/packs/SUITE-VERSION")
    pack.add_argument("--check", metavar="FOLDER", help="compare a pack with its manifest")
    pack.set_defaults(command=exchange_commands.pack)

    text = "measure students that were trained elsewhere, each metric of a suite"
    score = _add(added, "score", text, examples.SCORE)
    score.add_argument("folders", nargs="+", metavar="FOLDER", help="Hugging Face model, a seed")
    score.add_argument("--suite", required=True, help="name or YAML file")
    score.add_argument("--name", help="of the method (default: that of the first folder)")
    score.add_argument("--pair", help="default: the suite's first")
    score.add_argument(
        "--seeds",
        nargs="+",
        type=int,
        default=[],
        help="of the starts (default: the suite's first)",
    )
    score.add_argument(
        "--declare",
        nargs="+",
        default=[],
        metavar="KEY=VALUE",
        help="what it took: processor_s, gpu_s, steps, tokens, prefixes, family, hardware, "
        "software, code, note",
    )
    score.add_argument("--results", default="results", help="folder of all results")
    score.set_defaults(command=exchange_commands.score)

    text = "pack a run as a submission to the leaderboard, or say what one lacks"
    submit = _add(added, "submit", text, examples.SUBMIT)
    submit.add_argument("run", nargs="?", help="a suite's folder of a finished run")
    submit.add_argument("--form", metavar="FILE", help="the filled-in submission.yaml")
    submit.add_argument(
        "--out", metavar="PATH", help="folder, or X.tar.gz (default: results/submissions/NAME)"
    )
    submit.add_argument("--check", metavar="PATH", help="say what is missing of a submission")
    submit.add_argument("--new", metavar="FILE", help="write a form to be filled in")
    submit.set_defaults(command=exchange_commands.submit)

    text = "write the page that ranks every reference and submission, with JSON and CSV"
    board = _add(added, "leaderboard", text, examples.LEADERBOARD)
    board.add_argument("--results", default="results", help="has reference/ and submissions/")
    board.add_argument("--out", metavar="FOLDER", help="default: RESULTS/leaderboard")
    board.set_defaults(command=exchange_commands.leaderboard)

    perf = _add(added, "perf", "time the code: divergences, steps, the whole suite", examples.PERF)
    perf.add_argument("--only", choices=["divergence", "step", "suite"], help="one part alone")
    perf.add_argument("--quick", action="store_true", help="small shapes, without limits on time")
    perf.add_argument("--again", action="store_true", help="measure finished parts anew, too")
    perf.add_argument("--repeats", type=int, default=5, help="rounds that count (default: 5)")
    perf.add_argument("--threads", type=int, help="of each run (default: all cores)")
    perf.add_argument("--results", default="results", help="folder of all results")
    perf.add_argument("--out", default="results/performance", help="where the tables are written")
    perf.set_defaults(command=commands.perf)

    text = "hold a development world against the marks by which worlds are chosen"
    calibrate = _add(added, "calibrate", text, examples.CALIBRATE)
    calibrate.add_argument("suite", help="name or YAML file of a finished suite")
    calibrate.add_argument("--doubled", metavar="SUITE", help="the same at twice the steps")
    calibrate.add_argument("--results", default="results", help="folder of all results")
    calibrate.add_argument(
        "--write", action="store_true", help="keep the marks in benchmarks/calibration"
    )
    calibrate.set_defaults(command=commands.calibrate)

    text = "print the script by which a shell completes commands"
    completion = _add(added, "completion", text, examples.COMPLETION)
    completion.add_argument("shell", choices=["bash", "zsh", "tcsh"])
    completion.set_defaults(command=lambda options: commands.completion(parser(), options.shell))

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
        stage = added.add_parser(name, help=text, description=text)
        stage.add_argument("--suite", default="longtail", help="name or YAML file")
        stage.add_argument("--results", default="results", help="folder of all results")
        for axis in axes.split():
            kind = int if axis.startswith("seed") else str
            choices = ["gold", "teacher", "student", "prefixes"] if axis == "source" else None
            flag = f"--{axis.removesuffix('?')}"
            must = not axis.endswith("?")
            about = AXES[axis.removesuffix("?")]
            stage.add_argument(flag, type=kind, required=must, choices=choices, help=about)
        if name == "figures":
            stage.add_argument(
                "--only", nargs="+", default=[], metavar="NAME", help="these figures"
            )
            stage.add_argument("--rows", nargs="+", default=[], metavar="ROW", help="of these rows")
            stage.add_argument(
                "--width", type=float, metavar="INCHES", help="of each; letters stay"
            )
            stage.add_argument("--out", metavar="DIR", help="where such go: ./SUITE-figures")
        if name in ("collect", "tables", "figures", "report"):
            stage.add_argument("--partial", action="store_true", help="show gaps, do not refuse")
        stage.set_defaults(command=run_commands.stage, stage=name)
    return top


def _add(to: Any, name: str, text: str, examples: str) -> argparse.ArgumentParser:
    """Add a command whose help ends in examples."""
    command: argparse.ArgumentParser = to.add_parser(
        name,
        help=text,
        description=text,
        epilog=examples,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    return command

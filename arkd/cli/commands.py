"""What each command of `arkd` does; its imports are its own, so that every command starts fast."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from arkd.errors import ArkdError

WIDE = 110  # columns of a terminal, from which on listings show all that they have
MOST_TOKENS = 10**7  # of a prompt or an answer, in a plan


def verify(options: argparse.Namespace) -> int:
    """Check results against their hashes, manifests and records."""
    from arkd.audit import verify as checks

    return checks.run([Path(folder) for folder in options.folders], write=options.write)


def compare(options: argparse.Namespace) -> None:
    """Compare two runs of a suite, or two rows of one."""
    from arkd.audit import compare_text
    from arkd.audit.compare import Filter

    chosen = Filter(tuple(options.metric), tuple(options.task), tuple(options.method))
    methods = tuple(options.methods) if options.methods else None
    paths = [Path(run) for run in options.runs]
    compare_text.run(paths, methods, chosen, options.format, options.across)


def merge(options: argparse.Namespace) -> None:
    """Merge several people's runs of one suite."""
    from arkd.audit.merge import SUITE
    from arkd.audit.merge import merge as join

    root = join(Path(options.out), [Path(folder) for folder in options.folders], options.partial)
    print(f"{root}\narkd tables --suite {root / SUITE} --results {options.out}")


def plan(options: argparse.Namespace) -> None:
    """Estimate what a suite takes, before anything is run.

    Raises:
        ArkdError: `--config` is not REPO=FILE, a length is not above 0, or no plan can be made.
    """
    from arkd.plan import records, text
    from arkd.plan.jobs import Assumed
    from arkd.suite.trees import trees

    configs = {}
    for given in options.config:
        repo, equals, file = given.partition("=")
        if not (repo and equals and file):
            raise ArkdError(f"--config: REPO=FILE is wanted, found '{given}'")
        configs[repo] = Path(file)
    for name in ("prompt_tokens", "response_tokens"):
        value = getattr(options, name)
        if value is not None and not 0 < value <= MOST_TOKENS:
            where = f"--{name.replace('_', '-')}"
            raise ArkdError(f"{where}: must be above 0, at most {MOST_TOKENS:,}, found {value:g}")
    assumed = Assumed(options.prompt_tokens, options.response_tokens, configs)
    tree = trees(options.suite, options.results).popitem()[1]
    text.show(records.plan(tree, options.gpu, assumed), options.format)


def fetch(options: argparse.Namespace) -> None:
    """Fetch the models of a suite, and say where each lies."""
    from arkd.cli import fetch as fetched
    from arkd.suite import folders

    for path in dict.fromkeys(fetched.models(folders.tree(options.suite).suite)):
        print(path)


def list_methods(options: argparse.Namespace) -> None:
    """List the methods, or the suites."""
    from arkd.grid import Grid, Look, show, terminal

    if options.what == "suites":
        from arkd.plan import suite_list

        console = terminal(80)
        hidden = frozenset({4} if console.width < WIDE else ())  # what each is needs a line's width
        grid = Grid(suite_list.HEAD, suite_list.rows(), left=5)
        show(grid, console, Look(folded={4: 60}, hidden=hidden))
        return
    from arkd.suite import method_listing as catalogue
    from arkd.suite import registry

    head = ["method", "varies", "from", "kind", "needs", "cost", "paper", "what it is"]
    found, broken = catalogue.rows(registry.names())
    rows = []
    for row in catalogue.grouped(found):
        needs, paper = ", ".join(row.needs), row.reference.url.removeprefix("https://")
        paper = paper.replace("arxiv.org/abs/", "arXiv ")
        says = row.varies, row.origin, row.kind, needs, row.cost, paper, row.summary
        rows.append([row.name, *says])
    console = terminal(80)
    narrow = console.width < WIDE
    hidden = frozenset(map(head.index, ("from", "kind", "needs", "cost")) if narrow else ())
    folded = {head.index("needs"): 32, head.index("what it is"): 28 if narrow else 32}
    _warn(broken)
    show(Grid(head, rows, left=len(head)), console, Look(folded=folded, hidden=hidden))


def check(options: argparse.Namespace) -> int:
    """Run the conformance suite on methods.

    Raises:
        ArkdError: neither methods nor `--all` are given, or both, or there is no such method.
    """
    from arkd.suite import registry

    if bool(options.methods) == options.all:
        raise ArkdError("check: name the methods to check, or give --all")
    names = registry.names() if options.all else options.methods
    for name in options.methods:
        registry.plugin(name)  # a name that is not there is said before anything is loaded

    from arkd.conformance.check import report

    every_line = options.verbose or len(names) == 1
    return 0 if report(names, every_line=every_line) else 1


def audit(options: argparse.Namespace) -> int:
    """Measure what losses compute; 1 if there is a finding.

    Raises:
        ArkdError: it is not said what to audit, or there is no such loss.
    """
    if options.new:
        from arkd.cli import new_loss

        print(new_loss.create(Path(options.new)))
        return 0
    from arkd.loss_audit import targets

    if options.list:
        print("\n".join(targets.shipped_losses()))
        return 0
    if not options.targets:
        raise ArkdError("audit: name the losses to audit; `arkd audit --list` lists those shipped")
    losses = [targets.resolve(name) for name in options.targets]

    from arkd.loss_audit import pages
    from arkd.loss_audit.run import audit as measured

    audits = []
    for loss in losses:
        audits.append(measured(loss))
        if options.out:
            pages.write(audits[-1], Path(options.out))
        if not options.json:
            pages.show(audits[-1])
    if options.json:
        print(pages.to_json(audits))
    return 1 if any(found.findings for found in audits) else 0


def new(options: argparse.Namespace) -> None:
    """Write the file of a new method."""
    from arkd.cli import new_method as scaffold

    print(scaffold.create(options.name, options.kind, package=options.package))


def new_suite(options: argparse.Namespace) -> None:
    """Write the file of a suite over the user's own models and data."""
    from arkd.cli import new_suite as suite_scaffold

    given = {"tests": options.test, "dev": options.dev, "corpus": options.corpus}
    given |= {key: getattr(options, key) for key in ("teacher", "student", "train")}
    named = suite_scaffold.Given(**{key: value for key, value in given.items() if value})
    print(suite_scaffold.create(options.name, named, options.out))


def calibrate(options: argparse.Namespace) -> int:
    """Hold a development world against the marks; 1 if one is not met."""
    from arkd.audit.calibration import marks, write
    from arkd.grid import Grid, Look, show, terminal
    from arkd.storage import manifest
    from arkd.suite import folders

    tree = folders.tree(options.suite, options.results)
    doubled = folders.tree(options.doubled, options.results) if options.doubled else None
    for each in (tree, doubled):
        if each:
            manifest.check_collected(each.root)
    found = marks(tree, doubled)
    rows = [
        [pair, name, f"{value:.4g}", f"{least:g} to {most:g}", "yes" if mark.met else "no"]
        for mark in found
        for pair, name, value, least, most in [mark]
    ]
    show(Grid(["pair", "mark", "value", "wanted", "met"], rows, left=2), terminal(), Look())
    if options.write:
        print(write(found, tree))
    return 0 if all(mark.met for mark in found) else 1


def perf(options: argparse.Namespace) -> None:
    """Time the code, and show what must hold of it beside what does."""
    from arkd import kernels

    kernels.choose("fast")  # as those whom it is compared with would run
    from arkd.perf.run import Plan, run
    from arkd.storage.provenance import cores

    run(
        Plan(
            out=Path(options.out),
            results=Path(options.results),
            only=options.only,
            quick=options.quick,
            again=options.again,
            repeats=options.repeats,
            threads=options.threads or cores(),
        )
    )


def cite(options: argparse.Namespace) -> None:
    """Print the BibTeX of the benchmark, of methods or of both, or licences.

    Raises:
        ArkdError: both are asked for, or a method or suite is not known.
    """
    if options.licences:
        if options.methods:
            raise ArkdError("cite: --licences goes with a suite, not with methods")
        from arkd.cli import licences
        from arkd.grid import Grid, Look, show, terminal
        from arkd.suite import folders

        found_ = licences.of_suite(folders.tree(options.licences)) + licences.of_packages()
        folded = Look(folded={1: 60, 2: 60})
        show(Grid(licences.HEAD, found_, left=len(licences.HEAD)), terminal(), folded)
        return
    from arkd.papers import BENCHMARK
    from arkd.suite import method_listing as catalogue
    from arkd.suite import registry

    if options.benchmark or not options.methods:
        print(BENCHMARK, end="\n\n")
    if options.methods:
        found = [catalogue.row(name) for name in options.methods]
    elif options.benchmark:
        return
    else:
        found, broken = catalogue.rows(registry.names())
        _warn(broken)
    for entry in catalogue.entries(found):
        print(entry, end="\n\n")


def published(options: argparse.Namespace) -> None:
    """Show what papers print of methods."""
    from arkd.cli import published as published_text

    published_text.run(options.methods, options.pair, options.format)


def pages(options: argparse.Namespace) -> None:
    """Write what is made from code: methods' pages, tables of metrics and losses, schemas."""
    from arkd.cli import method_pages, metric_tables, schemas
    from arkd.loss_audit import table as audit_table

    written = [*method_pages.write(), metric_tables.write(), audit_table.write()]
    for path in [*written, *schemas.write()]:
        print(path)


def env(options: argparse.Namespace) -> None:
    """Show what numbers depend on, as manifests record it."""
    import json

    from arkd import kernels
    from arkd.paths import benchmarks_dir
    from arkd.storage import provenance

    facts = {
        "versions": provenance.versions(),
        "core": {
            "training": provenance.core_hash("distill"),
            "evaluation": provenance.core_hash("evaluate"),
        },
        "git": provenance.git_state(),
        "suites": str(benchmarks_dir() / "suites"),
        "kernels": kernels.facts(),
        "host": provenance.host(),
    }
    print(json.dumps(facts, indent=2, ensure_ascii=False))


def completion(options: argparse.Namespace) -> None:
    """Print the script by which a shell completes what `arkd` takes."""
    from arkd.cli.completion import script
    from arkd.cli.parser import parser

    print(script(parser(), options.shell))


def _warn(broken: list[ArkdError]) -> None:
    """Say what is left out of a listing, one line each."""
    for error in broken:
        print(f"arkd: left out: {error}", file=sys.stderr)

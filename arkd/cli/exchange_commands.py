"""The commands by which results come in and go out; imports are each command's own."""

from __future__ import annotations

import argparse
from pathlib import Path

from arkd.errors import ArkdError, printable


def pack(options: argparse.Namespace) -> None:
    """Write the frozen pack of a suite, or compare one with its sums.

    Raises:
        ArkdError: neither a suite nor a pack is named, or both; or the pack cannot be made or is
            not whole.
    """
    from arkd.exchange import pack as packs

    if bool(options.suite) == bool(options.check):
        raise ArkdError("pack: name a suite to pack, or a pack with --check")
    if options.check:
        out = Path(options.check)
        made = packs.check(out)
    else:
        from arkd.suite import folders

        tree = folders.tree(options.suite, options.results)
        name = f"{tree.suite.name}-{tree.suite.version}"
        out = Path(options.out) if options.out else tree.results / "packs" / name
        made = packs.write(tree, out)
    size_mb = sum(path.stat().st_size for path in out.rglob("*") if path.is_file()) / 1e6
    starts = {pair: len(seeds) for pair, seeds in made["starts"].items()}
    packed = ", ".join(
        f"{count} start{'s' * (count > 1)} of {pair}" for pair, count in starts.items()
    )
    whole = f"{len(made['outputs'])} files, {size_mb:.1f} MB, each as in its manifest"
    print(printable(f"{out}: suite {made['suite']} {made['suite_version']}, {packed}; {whole}"))
    print(f"pack {packs.digest(made)}")


def score(options: argparse.Namespace) -> None:
    """Measure students that were trained elsewhere, and show them beside the run's own.

    Raises:
        ArkdError: a folder is no student of the suite, or the run lacks what it is measured by.
    """
    from arkd.exchange import declared, foreign
    from arkd.suite import folders

    tree = folders.tree(options.suite, options.results)
    pair = options.pair or tree.suite.pairs[0].name
    tree.suite.pair(pair)
    students = [Path(folder) for folder in options.folders]
    name = options.name or students[0].absolute().name
    by_seed = foreign.pair_seeds(students, options.seeds, tree.suite.seeds)
    said = declared.of_words(options.declare)
    row = foreign.label(name)
    for folder in students:
        foreign.check_folder(folder)
    foreign.check_distinct(by_seed)
    foreign.score(tree, pair, row, by_seed, said)
    from arkd.exchange import shown  # loads numpy, for which `score` chooses the kernels

    shown.beside_the_run(tree, pair, row)


def submit(options: argparse.Namespace) -> int:
    """Pack a run as a submission, say what is missing of one, or write an empty form.

    Raises:
        ArkdError: none or several of them are asked for, or the run cannot be submitted.
    """
    given = [bool(options.new), bool(options.check), bool(options.run)]
    if sum(given) != 1 or bool(options.run) != bool(options.form):
        raise ArkdError(
            "submit: give a run and its --form, or a submission with --check, or a file with --new"
        )
    from arkd.exchange import form

    if options.new:
        from arkd.storage.files import write_text

        if Path(options.new).exists():
            raise ArkdError(f"{options.new}: stands there already; give another name")
        write_text(Path(options.new), form.EXAMPLE)
        print(f"{options.new}\narkd submit results/SUITE --form {options.new}")
        return 0
    from arkd.exchange import submit as submissions

    if options.check:
        found = submissions.check(Path(options.check))
        for text in found.missing:
            print(printable(f"missing: {text}"))
        for text in found.notes:
            print(printable(f"note: {text}"))
        print(f"{options.check}: {'not ' if found.missing else ''}ready to be submitted")
        return 1 if found.missing else 0
    name = form.read(Path(options.form)).name
    out = Path(options.out or Path("results") / "submissions" / name)
    for text in submissions.pack(Path(options.run), Path(options.form), out):
        print(printable(f"note: {text}"))
    print(f"{out}\narkd submit --check {out}")
    return 0


def leaderboard(options: argparse.Namespace) -> None:
    """Write the leaderboard of all references and submissions: page, JSON and CSV."""
    from arkd.leaderboard import page

    out = Path(options.out or Path(options.results) / "leaderboard")
    found = page.write(Path(options.results), out)
    for name, why in found.left_out.items():
        print(printable(f"left out: {name}: {why}"))
    rows = sum(len(board.rows) for board in found.boards)
    print(f"{len(found.boards)} boards, {rows} rows of {len(found.runs)} runs")
    for name in (page.PAGE, page.JSON, page.CSV):
        print(out / name)

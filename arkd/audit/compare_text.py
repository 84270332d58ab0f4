"""A comparison as a table in the terminal, as Markdown or as CSV, and the words around it."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path

from arkd.audit.compare import Comparison, Filter, compare, lone_seeds
from arkd.audit.compare_records import Agreement, Side, agreement, check_suites, read
from arkd.errors import ArkdError
from arkd.metrics import declared
from arkd.storage.records import significant

HEAD = ("pair", "method", "task", "metric", "group", "seeds", "A", "B", "A − B", "p", "p (Holm)")
WORDS = 5  # of the columns, those of text
CSV_COLUMNS = (
    *("pair", "method_a", "method_b", "task", "metric", "group", "seeds", "mean_a", "mean_b"),
    *("difference", "low", "high", "p", "p_holm"),
)


def run(
    paths: Sequence[Path],
    methods: tuple[str, str] | None,
    chosen: Filter,
    style: str = "text",
    across: bool = False,
) -> None:
    """Compare two runs, or two rows of one, and print it.

    Args:
        paths: One or two suites' folders or records.
        methods: A row of the first and one of the second; needed where there is one path alone.
        chosen: What is compared.
        style: `text`, `markdown` or `csv`.
        across: Compare different suites or versions, too.

    Raises:
        ArkdError: the paths hold nothing that can be compared.
    """
    if len(paths) > 2 or (len(paths) == 1 and methods is None):
        raise ArkdError("compare: give two runs, or one run and two of its rows with --methods")
    if methods and chosen.methods:
        raise ArkdError("compare: --methods names the two rows; leave --method out")
    sides = [read(path) for path in paths]
    a, b = sides[0], sides[-1]
    if not across:
        check_suites(a, b)
    found = compare(a, b, methods, chosen)
    if style == "csv":
        print(to_csv(found), end="")
        return
    told = words(a, b, methods, chosen, None if methods else agreement(a, b))
    if style == "markdown":
        print("\n".join([*(f"{line}\n" for line in told), to_markdown(found)]))
        return
    for line in told:
        print(line)
    if methods or not told[-1].startswith("The same"):
        _show(found, named=methods is None)


def words(
    a: Side,
    b: Side,
    methods: tuple[str, str] | None,
    chosen: Filter,
    agreed: Agreement | None,
) -> list[str]:
    """Return what is said beside the table: who is who, what agrees, what only one side has."""
    lines = [f"A: {a.path} ({a.suite} {a.version})", f"B: {b.path} ({b.suite} {b.version})"]
    if methods:
        lines = [
            f"{side}: {method} of {of.path} ({of.suite} {of.version})"
            for side, method, of in zip("AB", methods, (a, b), strict=True)
        ]
    for name, side in (("A", a), ("B", b)):
        for pair, method, seed in sorted(side.failed):
            if methods is None or method in methods:
                lines.append(f"Failed in {name}: {pair}/{method}, seed {seed}")
    for pair, label, ours, theirs in lone_seeds(a, b, methods, chosen):
        for name, seeds in (("A", ours), ("B", theirs)):
            if seeds:
                numbers = ", ".join(map(str, sorted(seeds)))
                lines.append(f"Only in {name}: {pair}/{label}, seed {numbers}")
    if agreed:
        lines.append(_agreed(agreed))
    return lines


def _agreed(agreed: Agreement) -> str:
    """Say how far two files agree."""
    if agreed.same_bytes:
        return f"The same, byte for byte: {agreed.both} numbers."
    only = " and ".join(
        f"{n} only in {side}" for n, side in zip(agreed.only, "AB", strict=True) if n
    )
    rest = f" ({only})" if only else ""
    if not agreed.largest:
        return f"Not the same file, but all {agreed.both} numbers that both have are equal{rest}."
    key, a, b = agreed.largest
    where = " ".join(
        str(part) for part in (*key[4:], f"of {key[0]}/{key[1]}, seed {key[2]}") if part
    )
    decoded = f", decoding seed {key[3]}" if key[3] else ""
    share = abs(a - b) / max(abs(a), abs(b))
    return (
        f"{agreed.differing} of {agreed.both} numbers differ{rest}; the largest difference is "
        f"{share:.2g} of the value: {where}{decoded}: {a:.10g} against {b:.10g}."
    )


def texts(one: Comparison) -> list[str]:
    """Return a comparison as a reader sees it, in the columns of `HEAD`."""
    half, p = one.difference.half_width, one.difference.p_value
    difference = _short(one.difference.mean) + (f" ± {_short(half)}" if half is not None else "")
    first, second = one.methods
    return [
        one.pair,
        first if first == second else f"{first} − {second}",
        *one.quantity,
        str(one.difference.n),
        *map(_short, one.means),
        difference,
        *("" if value is None else f"{value:.2g}" for value in (p, one.adjusted)),
    ]


def to_markdown(found: Sequence[Comparison]) -> str:
    """Return a GitHub table, its caption below."""
    lines = [HEAD, ["---"] * WORDS + ["---:"] * (len(HEAD) - WORDS), *map(texts, found)]
    rows = ["| " + " | ".join(part.replace("|", "\\|") for part in line) + " |" for line in lines]
    return "\n".join([*rows, "", _caption(found)])


def to_csv(found: Sequence[Comparison]) -> str:
    """Return values to `records.DIGITS` significant digits; what one seed cannot give is empty."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(CSV_COLUMNS)
    for one in found:
        of = one.difference
        numbers = (*one.means, of.mean, of.low, of.high, of.p_value, one.adjusted)
        told = ["" if number is None else significant(number) for number in numbers]
        writer.writerow([one.pair, *one.methods, *one.quantity, of.n, *told])
    return stream.getvalue()


def _show(found: Sequence[Comparison], named: bool) -> None:
    """Print the comparisons as a table, the columns left out that say the same everywhere."""
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold")
    rows = [texts(one) for one in found]
    shown = [
        place
        for place in range(len(HEAD))
        if place >= WORDS or (named and place == 1) or len({row[place] for row in rows}) > 1
    ]
    for place in shown:
        table.add_column(HEAD[place], justify="left" if place < WORDS else "right", no_wrap=True)
    for row in rows:
        table.add_row(*(escape(row[place]) for place in shown))
    console = Console()
    wide = Console(width=max(140, console.width) if console.is_terminal else 200)
    wide.print(table)
    wide.print(_caption(found), style="dim", highlight=False, markup=False)


def _caption(found: Sequence[Comparison]) -> str:
    """Say what the numbers are, and which of the metrics shown has more or less as the better."""
    tested = sum(one.adjusted is not None for one in found)
    sides: dict[bool, list[str]] = {True: [], False: []}
    for name in dict.fromkeys(one.quantity[1] for one in found):
        metric = declared.find(name)
        if metric is not None and metric.higher_is_better is not None:
            sides[metric.higher_is_better].append(name)
    words = {True: "More", False: "Less"}
    better = [
        f" {words[more]} is better: {', '.join(sides[more])}." for more in sides if sides[more]
    ]
    return (
        "Means over the training seeds that both have, decoding seeds averaged first; A − B paired "
        f"by seed with its 95 % t interval; p of the paired t test, Holm over {tested} comparisons."
        + "".join(better)
    )


def _short(value: float) -> str:
    """Return four significant digits, zero without a sign."""
    text = f"{value:.4g}"
    return text.lstrip("-") if float(text) == 0 else text.replace("-", "−")

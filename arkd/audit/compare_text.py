"""A comparison as a table in the terminal, as Markdown or as CSV, and the words around it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from arkd import grid as grids
from arkd.audit.compare import Comparison, Filter, compare, lone_seeds
from arkd.audit.compare_records import Agreement, Side, agreement, check_suites, read, relative_gap
from arkd.errors import ArkdError
from arkd.grid import Grid
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
    sentences = words(a, b, methods, chosen, None if methods else agreement(a, b))
    if style == "markdown":
        table = grids.to_markdown(grid(found))
        print("\n\n".join([*sentences, f"{table}\n\n{_caption(found)}"]))
        return
    for line in sentences:
        print(line)
    if methods or not sentences[-1].startswith("The same"):
        _show(found, named=methods is None)


def words(
    a: Side,
    b: Side,
    methods: tuple[str, str] | None,
    chosen: Filter,
    agreed: Agreement | None,
) -> list[str]:
    """Return what is said beside the table: who is who, what agrees, what only one side has.

    Args:
        a: The first side.
        b: The second; where two rows of one run are compared, the same.
        methods: The two rows, if not all rows are compared.
        chosen: What is compared.
        agreed: How far the files agree, where two runs are compared.
    """
    lines = [f"A: {a.path} ({a.suite} {a.version})", f"B: {b.path} ({b.suite} {b.version})"]
    if methods:
        lines = [
            f"{name}: {method} of {side.path} ({side.suite} {side.version})"
            for name, method, side in zip("AB", methods, (a, b), strict=True)
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
    return (
        f"{agreed.differing} of {agreed.both} numbers differ{rest}; the largest difference is "
        f"{relative_gap(a, b):.2g} of the value: {where}{decoded}: {a:.10g} against {b:.10g}."
    )


def texts(comparison: Comparison) -> list[str]:
    """Return a comparison as a reader sees it, in the columns of `HEAD`."""
    gap = comparison.difference
    half = "" if gap.half_width is None else f" ± {_short(gap.half_width)}"
    first, second = comparison.methods
    return [
        comparison.pair,
        first if first == second else f"{first} − {second}",
        *comparison.quantity,
        str(gap.n),
        *map(_short, comparison.means),
        _short(gap.mean) + half,
        *("" if value is None else f"{value:.2g}" for value in (gap.p_value, comparison.adjusted)),
    ]


def grid(found: Sequence[Comparison]) -> Grid:
    """Return the comparisons as a reader sees them."""
    return Grid(HEAD, [texts(comparison) for comparison in found], left=WORDS)


def to_csv(found: Sequence[Comparison]) -> str:
    """Return values to `records.DIGITS` significant digits; what one seed cannot give is empty."""
    lines: list[Sequence[object]] = [CSV_COLUMNS]
    for comparison in found:
        gap = comparison.difference
        numbers = (*comparison.means, gap.mean, gap.low, gap.high, gap.p_value, comparison.adjusted)
        values = ["" if number is None else significant(number) for number in numbers]
        words = (comparison.pair, *comparison.methods, *comparison.quantity)
        lines.append((*words, gap.n, *values))
    return grids.to_csv(lines)


def _show(found: Sequence[Comparison], named: bool) -> None:
    """Print the comparisons as a table, the columns left out that say the same everywhere."""
    table = grid(found)
    hidden = frozenset(
        column
        for column in range(WORDS)
        if len({row[column] for row in table.rows}) < 2 and not (named and column == 1)
    )
    console = grids.terminal()
    grids.show(table, console, grids.Look(hidden=hidden))
    console.print(_caption(found), style="dim")


def _caption(found: Sequence[Comparison]) -> str:
    """Say what the numbers are, and which of the metrics shown has more or less as the better."""
    tested = sum(comparison.adjusted is not None for comparison in found)
    sides: dict[bool, list[str]] = {True: [], False: []}
    for name in dict.fromkeys(comparison.quantity[1] for comparison in found):
        metric = declared.find(name)
        if metric is not None and metric.higher_is_better is not None:
            sides[metric.higher_is_better].append(name)
    words = {True: "More", False: "Less"}
    better = [
        f" {words[more]} is better: {', '.join(sides[more])}." for more in sides if sides[more]
    ]
    return (
        "Means over the training seeds (of suites of several worlds: the worlds) that both have, "
        "decoding seeds averaged first; A − B paired by them with its 95 % t interval; p of the "
        f"paired t test, Holm over {tested} comparisons." + "".join(better)
    )


def _short(value: float) -> str:
    """Return four significant digits, zero without a sign."""
    text = f"{value:.4g}"
    return text.lstrip("-") if float(text) == 0 else text.replace("-", "−")

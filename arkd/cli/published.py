"""What several sources print of a method, side by side, and how far they are apart."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from operator import attrgetter

from arkd import grid as grids
from arkd.errors import ArkdError, nearest
from arkd.grid import Grid, Look
from arkd.results.published import (
    DOUBTFUL,
    SECOND_HAND,
    SETS,
    Printed,
    check_pair,
    counted,
    numbers,
)
from arkd.suite.names import method_of

METRIC = "rouge_l"
NONE, SPREAD = "–", "lowest–highest"
MARKS = {
    "‡": "repeats the number of another source, which is counted there",
    "*": "read where it is quoted, not in the source itself",
}
HEAD = ("source", "table", "setting")
CSV_COLUMNS = (
    *("pair", "method", "dataset", "metric", "paper", "arxiv", "table", "value", "std", "counted"),
    *("low", "high", "sources", "setting", "provenance"),
)


@dataclass(frozen=True)
class Spread:
    """The lowest and the highest counted number of a cell, and of how many sources they are."""

    low: Printed
    high: Printed
    sources: int

    @property
    def ends(self) -> str:
        """Both numbers as printed, but for digits beyond the second."""
        return f"{_short(self.low.text)}–{_short(self.high.text)}"

    @property
    def range(self) -> str:
        """How far they are apart, with as many digits as they have."""
        low, high = (_short(number.text) for number in (self.low, self.high))
        digits = max(len(text.partition(".")[2]) for text in (low, high))
        return f"{float(high) - float(low):.{digits}f}"


@dataclass(frozen=True)
class Method:
    """All that is printed of a method, as the sources label it here."""

    label: str
    printed: list[Printed]

    @property
    def sets(self) -> list[str]:
        """The data sets that any source has, in the field's order."""
        found = {number.dataset for number in self.printed}
        return [name for name in (*SETS, "average") if name in found]

    @property
    def lines(self) -> dict[tuple[str, str], list[Printed]]:
        """The numbers by source and setting."""
        found: dict[tuple[str, str], list[Printed]] = {}
        for number in self.printed:
            found.setdefault((number.paper, number.setting), []).append(number)
        return found

    def spread(self, dataset: str) -> Spread | None:
        """Return the spread on a data set; None on one that a single source has.

        An average has none: sources average different sets.
        """
        cells = [number for number in counted(self.printed) if number.dataset == dataset]
        sources = len({number.origin for number in cells})
        if dataset not in SETS or sources < 2:
            return None
        value = attrgetter("value")
        return Spread(min(cells, key=value), max(cells, key=value), sources)


def run(names: Sequence[str], pair: str, style: str = "text") -> None:
    """Print what the sources say of some methods.

    Args:
        names: The methods; none: all that more than one source has.
        pair: Teacher and student, as the published numbers call them.
        style: `text`, `markdown` or `csv`.

    Raises:
        ArkdError: nothing is printed of the pair or of a method.
    """
    found = methods(names, pair)
    if style == "csv":
        print(to_csv(found), end="")
    elif style == "markdown":
        print(to_markdown(found, pair))
    else:
        _show(found, pair)


def methods(names: Sequence[str], pair: str) -> list[Method]:
    """Return the methods that were asked for, each of their variants apart.

    Raises:
        ArkdError: nothing is printed of the pair or of a method.
    """
    check_pair(pair, "--pair")
    rouge = [number for number in numbers() if number.metric == METRIC]
    found: dict[str, list[Printed]] = {}
    for number in rouge:
        if number.pair == pair:
            found.setdefault(number.method, []).append(number)
    every = [Method(label, printed) for label, printed in found.items()]
    if not names:
        return [m for m in every if len({number.origin for number in counted(m.printed)}) > 1]
    chosen: dict[str, Method] = {}
    for name in names:
        variants = {m.label: m for m in every if name in (m.label, method_of(m.label))}
        if not variants:
            known = {name for number in rouge for name in (number.method, method_of(number.method))}
            pairs = sorted({number.pair for number in rouge if method_of(number.method) == name})
            hint = f"; there is for {', '.join(pairs)}" if pairs else nearest(name, sorted(known))
            raise ArkdError(f"published: no ROUGE-L of '{name}' for {pair}{hint}")
        chosen |= variants
    return [*chosen.values()]


def rows(method: Method) -> Iterator[list[str]]:
    """Yield the lines of a method's table: one a source, then the spread between them."""
    for (paper, setting), printed in method.lines.items():
        by_set = {number.dataset: number for number in reversed(printed)}
        tables = (
            ", ".join(dict.fromkeys(number.table for number in printed if number.table)) or NONE
        )
        cells = [
            f"{by_set[s].text}{_mark(by_set[s])}" if s in by_set else NONE for s in method.sets
        ]
        yield [paper, tables, setting, *cells]
    spreads = [method.spread(name) for name in method.sets]
    if any(spreads):
        yield [SPREAD, "", "", *(s.ends if s else NONE for s in spreads)]
        yield ["range", "", "", *(s.range if s else NONE for s in spreads)]
        yield ["sources", "", "", *(str(s.sources) if s else NONE for s in spreads)]


def legend(found: Sequence[Method]) -> list[str]:
    """Return what the marks mean that the tables have."""
    every = [number for method in found for number in method.printed]
    used = {_mark(number) for number in every}
    lines = [f"{mark} {text}." for mark, text in MARKS.items() if mark in used]
    reasons = {
        number.provenance.removeprefix(DOUBTFUL).strip(): None
        for number in every
        if number.kind == DOUBTFUL
    }
    return lines + [f"? doubtful, not counted: it {reason}." for reason in reasons]


def grid(method: Method) -> Grid:
    """Return a method's table as a reader sees it."""
    return Grid([*HEAD, *method.sets], [*rows(method)], left=len(HEAD))


def to_markdown(found: Sequence[Method], pair: str) -> str:
    """Return a table a method under its name."""
    tables = [f"### {method.label}\n\n{grids.to_markdown(grid(method))}" for method in found]
    return "\n\n".join([f"ROUGE-L as printed, {pair}.", *tables, "\n".join(legend(found))]).rstrip()


def to_csv(found: Sequence[Method]) -> str:
    """Return a line a number, with the spread of its cell."""
    lines: list[Sequence[object]] = [CSV_COLUMNS]
    for method in found:
        kept = counted(method.printed)
        for number in method.printed:
            spread = method.spread(number.dataset)
            ends = (spread.low.text, spread.high.text, spread.sources) if spread else ("", "", "")
            source = (number.paper, number.arxiv, number.table, number.text, number.std)
            is_counted = "yes" if number in kept else "no"
            origin = (number.setting, number.provenance)
            lines.append((*number.cell, *source, is_counted, *ends, *origin))
    return grids.to_csv(lines)


def _show(found: Sequence[Method], pair: str) -> None:
    """Print a table a method."""
    console = grids.terminal()
    console.print(f"ROUGE-L as printed, {pair}\n")
    for method in found:
        table = grid(method)
        spreads = [place for place, row in enumerate(table.rows) if row[0] == SPREAD]
        bold = {(place, column): "bold" for place in spreads for column in range(len(table.head))}
        folded = {HEAD.index("setting"): 60}
        grids.show(table, console, Look(title=method.label, folded=folded, styles=bold))
        console.print()
    for line in legend(found):
        console.print(line)


def _mark(number: Printed) -> str:
    if number.repeated:
        return "‡"
    return {SECOND_HAND: "*", DOUBTFUL: "?"}.get(number.kind, "")


def _short(text: str) -> str:
    return text if len(text.partition(".")[2]) < 3 else f"{float(text):.2f}"

"""Verdicts as files and in the terminal: `claims.csv`, `.md`, `.tex`, and every comparison."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from arkd.claims.decision import CONTRADICTED, INCONCLUSIVE, SUPPORTED
from arkd.claims.judge import Judgement
from arkd.claims.registered import Claims
from arkd.claims.wording import (
    CLAIM_COLUMNS,
    COMPARISON_COLUMNS,
    HEAD,
    TAIL,
    Line,
    claim_row,
    comparison_row,
    lines,
)
from arkd.storage.files import write_text
from arkd.storage.records import write_csv
from arkd.suite.suite import Suite
from arkd.tables.latex_text import breakable, escape
from arkd.tables.table import Cell, Column, Row, Table
from arkd.tables.write import to_markdown

TITLE = "Verdicts on the paper's claims"
WIDTHS = (0.04, 0.2, 0.085, 0.13, 0.065, 0.145, 0.095, 0.06, 0.04, 0.065)  # of the LaTeX columns
COLOURS = {SUPPORTED: "green", CONTRADICTED: "red", INCONCLUSIVE: "yellow"}


def write(suite: Suite, claims: Claims, found: Sequence[Judgement], folder: Path) -> None:
    """Write `claims.csv`, `claims.md`, `claims.tex` and `comparisons.csv`."""
    axes = {"suite": suite.name, "suite_version": suite.version}
    rows = [axes | claim_row(suite, claims, one) for one in found]
    write_csv(folder / "claims.csv", CLAIM_COLUMNS, rows)
    every = [axes | comparison_row(d) for j in found for d in (*j.primary, *j.secondary)]
    write_csv(folder / "comparisons.csv", COMPARISON_COLUMNS, every)
    made = lines(suite, found)
    write_text(folder / "claims.md", to_markdown(_table(suite, claims, made)))
    write_text(folder / "claims.tex", _latex(suite, claims, made))


def show(suite: Suite, claims: Claims, found: Sequence[Judgement]) -> None:
    """Print the verdicts as a table in the terminal."""
    from rich.console import Console
    from rich.markup import escape as plain
    from rich.table import Table as RichTable

    if len({one.reason for one in found}) == 1 and found[0].reason:
        print(f"{suite.name}: no claim has a verdict here: {found[0].reason}")
        return
    table = RichTable(box=None, pad_edge=False, header_style="bold", title_justify="left")
    kept = (0, 1, 2, 3, 4, 6, 7, 8, 9)
    for place in kept:
        table.add_column((*HEAD, *TAIL)[place], max_width=46 if place in (1, 6) else 26)
    for line in lines(suite, found):
        texts = [plain(line.texts[place]) for place in kept]
        colour = COLOURS.get(line.judgement.verdict)
        if colour:
            texts[5] = f"[{colour}]{texts[5]}[/{colour}]"
        table.add_row(*texts)
    console = Console()
    wide = Console(width=max(160, console.width) if console.is_terminal else 200)
    wide.print(table)
    for note in _notes(suite, claims, found):
        wide.print(note, style="dim", highlight=False, markup=False)


def _caption(suite: Suite, claims: Claims) -> str:
    return (
        f"Suite {suite.name} {suite.version}, claims {claims.version} of {claims.paper}, "
        "registered before the runs. Each verdict follows from paired differences over training "
        "seeds, corrected by Holm's rule within the claim; the interval shown is the adjusted one "
        "of the decisive comparison, the smallest effect what these seeds would have seen beyond "
        f"the margin with power {claims.rule.power:g}."
    )


def _notes(suite: Suite, claims: Claims, found: Sequence[Judgement]) -> list[str]:
    """Return what a reader must know beside the table."""
    notes = []
    for word in dict.fromkeys(one.provisional for one in found if one.provisional):
        ids = dict.fromkeys(one.claim.id for one in found if one.provisional == word)
        notes.append(f"Provisional ({', '.join(ids)}): {word}.")
    if any(one.verdict == INCONCLUSIVE for one in found):
        notes.append("Inconclusive: the seeds decide neither way, which supports nothing.")
    if any(one.primary for one in found):
        notes.append("Secondary tests decide nothing; comparisons.csv has every comparison.")
    return notes


def _table(suite: Suite, claims: Claims, made: Sequence[Line]) -> Table:
    columns = tuple(Column(name, name, measured=False) for name in (*HEAD[2:], *TAIL))
    verdict = len(HEAD) - 2  # its place among the cells
    rows = tuple(
        Row(
            line.texts[:2],
            tuple(Cell(word=t, bold=place == verdict) for place, t in enumerate(line.texts[2:])),
        )
        for line in made
    )
    notes = tuple(_notes(suite, claims, [line.judgement for line in made]))
    return Table("claims", TITLE, _caption(suite, claims), HEAD[:2], columns, rows, notes)


def _latex(suite: Suite, claims: Claims, made: Sequence[Line]) -> str:
    """Return a table over several pages, sideways, whose long texts break within their columns."""
    columns = "".join(
        rf">{{\raggedright\arraybackslash\hspace{{0pt}}}}p{{{width:g}\linewidth}}"
        for width in WIDTHS
    )
    head = " & ".join(rf"\textbf{{{breakable(text)}}}" for text in (*HEAD, *TAIL)) + r" \\"
    body = [" & ".join(breakable(text) for text in line.texts) + r" \\" for line in made]
    notes = _notes(suite, claims, [line.judgement for line in made])
    caption = escape(f"{TITLE}. {_caption(suite, claims)}")
    rules = [r"\toprule", head, r"\midrule"]
    return "\n".join(
        [
            "% needs the packages booktabs, longtable, array and pdflscape",
            r"\begin{landscape}",
            r"\scriptsize\setlength{\tabcolsep}{2pt}\setlength{\LTcapwidth}{\linewidth}",
            rf"\begin{{longtable}}{{{columns}}}",
            rf"\caption{{{caption}}} \label{{tab:arkd-claims}} \\",
            *[*rules, r"\endfirsthead", *rules, r"\endhead", r"\bottomrule", r"\endfoot"],
            *[line for row in body for line in (row, r"\addlinespace[2pt]")][:-1],
            r"\end{longtable}",
            *[rf"\par {escape(note)}" for note in notes],
            r"\end{landscape}",
            "",
        ]
    )

"""LaTeX tables for the tests: those of the reference runs, made anew, and two made up."""

from __future__ import annotations

from pathlib import Path

from conftest import ROOT

from arkd.claims import judge as judgement
from arkd.claims import write as verdict_table
from arkd.claims.registered import load_claims
from arkd.suite import folders
from arkd.suite.suite import load_suite
from arkd.tables import build as tables
from arkd.tables.table import Cell, Column, Row, Table

RUNS = sorted(path.parent for path in (ROOT / "results" / "reference").glob("*/*/records.csv"))
COMMITTED = [path for run in RUNS for path in sorted(run.rglob("*.tex"))]


def make(run: Path, folder: Path) -> list[Path]:
    """Write the tables and verdicts of a run in LaTeX, from its records."""
    suite, claims = load_suite(run.name), load_claims()
    tables.write(suite, run.parent, folder, partial=True)
    tree = folders.Tree(run.parent, suite)
    verdict_table.write(suite, claims, judgement.judge(tree, claims, True), folder)
    return sorted(folder.glob("*.tex"))


WIDE = Table(
    *("wide", "A & B", "100 % of #1: α^2 ~ {x}_y \\ $ — “so”…"),
    ("Pair", "Method"),
    tuple(Column(f"c{i}", f"measure no. {i} ↑", 3) for i in range(24)),
    tuple(
        Row((f"pair_{n // 30}", f"arkd@a={n},b=x|y"), (Cell(0.5, 0.1, 3, bold=n == 7),) * 24)
        for n in range(60)
    ),
    ("A note: p ≥ 0.5, −3 ± 1 → ‖x‖ ≈ ½.",),
)
NARROW = Table(
    *("narrow", "Small", "Fits."),
    ("Method",),
    (Column("a", "ROUGE-L out of distribution ↑"), Column("b", "JSD (nats) ↓")),
    (Row(("arkd",), (Cell(81.0, 1.0, 3, bold=True), Cell(word="–"))),),
)

# What is broken: a text within the small table, and what stands there instead.
BREAKS = {
    "a row with a cell too many": (r" & 3 & ", r" & 3 & & & & & "),
    "a brace that stays open": (r"\textbf{81.0", r"\textbf{{81.0"),
    "a brace too many": (r"arkd & 3", r"arkd} & 3"),
    "an environment that ends twice": (r"\end{tabular}", r"\end{tabular}\end{tabular}"),
    "an environment of another name": (r"\end{tabular}", r"\end{tabulars}"),
    "an unknown command": (r"\pm", r"\plusminus"),
    "a symbol outside a formula": (r"$\pm$", r"\pm"),
    "a formula that stays open": (r"$\pm$", r"$\pm"),
    "an underscore": ("arkd & 3", "ar_kd & 3"),
    "a hat": ("arkd & 3", "ar^kd & 3"),
    "a hash": ("arkd & 3", "ar#kd & 3"),
    "a character TeX does not know": ("arkd & 3", "ar漢kd & 3"),
    "a symbol that is not escaped": ("arkd & 3", "α & 3"),
}

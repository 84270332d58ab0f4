"""What can be said of LaTeX tables without TeX: a checker reads them, and widths are known.

The tables are made anew from the reference records, and the committed ones are read as they are.
"""

from __future__ import annotations

import re
from pathlib import Path

import matplotlib
import pytest
from latex_checker import problems
from latex_tables import BREAKS, COMMITTED, NARROW, RUNS, WIDE, make

from arkd.tables import write as tabular
from arkd.tables.latex import Grid, render
from arkd.tables.latex_text import LATEX, breakable, ems, escape


@pytest.fixture(scope="module", params=RUNS, ids=lambda run: run.name)
def made(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Tables and verdicts of a run in LaTeX."""
    return make(request.param, tmp_path_factory.mktemp(request.param.name))


def test_the_checker_finds_nothing_wrong_with_any_table(made: list[Path]) -> None:
    assert {"claims.tex", "summary.tex", "tail.tex"} <= {path.name for path in made}
    for path in made:
        assert problems(path.read_text(encoding="utf-8")) == [], path.name


@pytest.mark.parametrize("path", COMMITTED, ids=lambda path: f"{path.parts[-3]}-{path.stem}")
def test_the_checker_finds_nothing_wrong_with_a_committed_table(path: Path) -> None:
    assert problems(path.read_text(encoding="utf-8")) == []


def test_there_are_committed_tables() -> None:
    assert len(COMMITTED) >= 36


def cells_of(text: str) -> list[list[str]]:
    return [line.removesuffix(r" \\").split(" & ") for line in text.splitlines() if " & " in line]


def test_panels_together_have_every_column_once_and_every_row() -> None:
    text = tabular.to_latex(WIDE)
    assert problems(text) == []
    panels = text.split(r"\begin{longtable}")[1:]
    assert len(panels) > 1
    seen: list[str] = []
    for panel in panels:
        rows = [row for row in cells_of(panel) if row[1].startswith("arkd@")]
        assert len(rows) == 60
        assert {row[2] for row in rows} == {"3"}  # the number of seeds stands in each panel
        head = panel.partition(r"\toprule")[2].partition(r"\midrule")[0]
        seen += re.findall(r"no\. (\d+)", head.replace(r" \\ ", " "))
    assert seen == [str(i) for i in range(24)]
    assert text.count(r"\textbf{") == 24


def test_panels_keep_one_number() -> None:
    text = tabular.to_latex(WIDE)
    panels = text.count(r"\begin{longtable}")
    assert re.findall(r"\\caption\[?\]?\{.*\((panel .*?)\)\}", text) == [
        f"panel {n + 1} of {panels}" for n in range(panels)
    ]
    assert text.count(r"\label{tab:arkd-wide}") == 1
    assert text.count(r"\addtocounter{table}{-1}") == panels - 1


def test_a_small_table_is_a_float_in_the_largest_type_with_its_heading_broken() -> None:
    text = tabular.to_latex(NARROW)
    assert text.startswith("% needs the package booktabs\n\\begin{table}[t]")
    assert r"\small\setlength{\tabcolsep}{6pt}" in text
    assert (
        r"Method & Seeds & \shortstack[r]{ROUGE-L \\ out of \\ distribution $\uparrow$} & " in text
    )
    assert r"arkd & 3 & \textbf{81.0 $\pm$ 1.0} & -- \\" in text


@pytest.mark.parametrize(
    ("columns", "rows", "environment", "size"),
    [
        (4, 10, "table", "small"),
        (5, 10, "table", "footnotesize"),
        (4, 31, "longtable", "small"),
        (6, 10, "landscape", "small"),
        (8, 10, "landscape", "footnotesize"),
        (9, 10, "landscape", "scriptsize"),
    ],
)
def test_size_and_page_follow_from_the_widths(
    columns: int, rows: int, environment: str, size: str
) -> None:
    head = ["Method", *["value"] * columns]
    body = [["method", *["0.1234 ± 0.0123"] * columns]] * rows
    text = render(Grid("t", "T.", head, body, labels=1, left=1))
    first = next(
        name for name in ("landscape", "longtable", "table") if rf"\begin{{{name}}}" in text
    )
    assert first == environment
    assert rf"\{size}\setlength" in text
    assert problems(text) == []


@pytest.mark.parametrize(
    "text",
    [
        *("0.1234", "arkd", "JSD (nats)", "ROUGE-L out of distribution", "MiniLLM WHITE MAXIMUM"),
        *("first baseline = zero, reward every = 10", "the quick brown fox jumps over a lazy dog"),
    ],
)
def test_estimated_widths_are_those_of_the_font_and_not_too_small(text: str) -> None:
    """Computer Modern's own metrics, in thousandths of the type size, come with Matplotlib."""
    metrics = Path(matplotlib.get_data_path(), "fonts", "afm", "cmr10.afm").read_text("ascii")
    known = re.findall(r"^C (\d+) ; WX ([\d.]+)", metrics, re.M)
    widths = {chr(int(code)): float(width) for code, width in known}
    widths |= {" ": 333.3}  # between words TeX has glue, no letter
    assert 0.98 <= 1000 * ems(text) / sum(widths[letter] for letter in text) <= 1.2


def test_the_checker_knows_every_character_of_the_map() -> None:
    for character in [*LATEX, *"éüßøÅçñł漢🙂\t", "--x ``y'' ,,z", "?`!` <<a>> a~b"]:
        cells = [[f"[{character}]", "1"]]
        text = render(Grid("t", f"Of {character}.", ["Method", "value"], cells, labels=1, left=1))
        assert problems(text) == [], character


def test_what_latex_cannot_print_is_named_by_its_code() -> None:
    assert escape("漢") == "[U+6F22]"
    assert escape("a\tb\nc") == "a b c"
    assert escape("--lr 'x''") == "-{}-lr 'x'{}'"
    assert escape("π σ Δ − → … ") == r"$\pi$ $\sigma$ $\Delta$ $-$ $\rightarrow$ \dots{} "


def test_a_methods_label_may_break_in_a_narrow_column() -> None:
    assert breakable("arkd@a_b=1") == r"arkd@\allowbreak{}a\_\allowbreak{}b=\allowbreak{}1"
    assert breakable("a / b") == "a / b"


@pytest.mark.parametrize("broken", BREAKS)
def test_the_checker_finds_what_is_broken(broken: str) -> None:
    before, after = BREAKS[broken]
    text = tabular.to_latex(NARROW)
    assert problems(text) == []
    assert before in text
    assert problems(text.replace(before, after, 1)) != []


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("% needs the package booktabs", "% a table"),
        ("{lrrr}", "{lrr}"),
        ("& 3 &", "& 3 %&"),
        (" \\\\\n\\bottomrule", "\n\\bottomrule"),
        (" \\\\\n\\midrule", "\n\\midrule"),
    ],
)
def test_the_checker_wants_packages_named_and_columns_told(before: str, after: str) -> None:
    text = tabular.to_latex(NARROW)
    assert before in text
    assert problems(text.replace(before, after, 1)) != []

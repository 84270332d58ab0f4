"""Every LaTeX table compiles and fits its page; without TeX, a checker stands in for it.

The tables are made anew from the reference records, and the committed ones are read as they are.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest
from conftest import ROOT
from latex_checker import packages, problems

from arkd import judgement, tables, tabular, verdict_table, workflow
from arkd.cells import Cell, Column, Row, Table
from arkd.claims import load_claims
from arkd.latex import LANDSCAPE_PT, PORTRAIT_PT, SIZES, Grid, render
from arkd.latex_text import LATEX, breakable, ems, escape
from arkd.suite import load_suite

RUNS = sorted(path.parent for path in (ROOT / "results" / "reference").glob("*/*/records.csv"))
COMMITTED = [path for run in RUNS for path in sorted(run.rglob("*.tex"))]
needs_tex = pytest.mark.skipif(
    shutil.which("pdflatex") is None,
    reason="no pdflatex: `apt-get install texlive-latex-base texlive-latex-recommended`; "
    "the checker below runs without",
)
# The page that tables are laid out for, and the standard encodings of a plain document.
PAGE = rf"\usepackage[textwidth={PORTRAIT_PT}pt,textheight={LANDSCAPE_PT}pt]{{geometry}}"
FONTS = r"\usepackage[T1]{fontenc}"


def document(files: list[Path], page: str = PAGE) -> str:
    named = sorted(set().union(*(packages(path.read_text(encoding="utf-8")) for path in files)))
    inputs = [rf"\input{{{path}}}\clearpage" for path in files]
    needs = rf"\usepackage{{{','.join(named)}}}"
    return "\n".join(
        [r"\documentclass{article}", page, needs, r"\begin{document}", *inputs, r"\end{document}"]
    )


def compile_twice(text: str, folder: Path) -> str:
    """Typeset a document, page breaks of long tables settled, and return TeX's log."""
    (folder / "tables.tex").write_text(text, encoding="utf-8")
    command = ["pdflatex", "-interaction=nonstopmode", "tables.tex"]
    for _ in range(3):
        subprocess.run(command, cwd=folder, capture_output=True, check=False, timeout=120)
    return (folder / "tables.log").read_text(encoding="latin-1")


def errors(log: str) -> list[str]:
    """Errors, and what pdfTeX says of text that it leaves out."""
    return re.findall(r"^(?:!.*|.*Missing character.*)$", log, re.M)


def misfits(log: str) -> list[str]:
    """What hangs over the page; half a point is no one's matter."""
    wide = re.findall(r"Overfull \\[hv]box \((\d+\.\d+)pt.*", log)
    return [one for one in wide if float(one) > 0.5] + re.findall(r"Float too large.*", log)


@pytest.fixture(scope="module", params=RUNS, ids=lambda run: run.name)
def made(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Tables and verdicts of a run in LaTeX, from its records."""
    run, folder = request.param, tmp_path_factory.mktemp(request.param.name)
    suite, claims = load_suite(run.name), load_claims()
    tables.write(suite, run.parent, folder, partial=True)
    tree = workflow.Tree(run.parent, suite)
    verdict_table.write(suite, claims, judgement.judge(tree, claims, True), folder)
    return sorted(folder.glob("*.tex"))


def test_the_checker_finds_nothing_wrong_with_any_table(made: list[Path]) -> None:
    assert {"claims.tex", "summary.tex", "tail.tex"} <= {path.name for path in made}
    for path in made:
        assert problems(path.read_text(encoding="utf-8")) == [], path.name


@needs_tex
def test_every_table_compiles_and_fits_the_page(made: list[Path], tmp_path: Path) -> None:
    log = compile_twice(document(made), tmp_path)
    assert errors(log) == []
    assert misfits(log) == []
    assert "Output written" in log
    for path in made:
        assert f"({path}" in log.replace("\n", "")


@needs_tex
def test_a_document_in_t1_and_a4_sets_them_too(made: list[Path], tmp_path: Path) -> None:
    page = r"\usepackage[a4paper,margin=1in]{geometry}" + FONTS
    log = compile_twice(document(made, page), tmp_path)
    assert errors(log) == []
    assert misfits(log) == []


@pytest.mark.parametrize("path", COMMITTED, ids=lambda path: f"{path.parts[-3]}-{path.stem}")
def test_the_checker_finds_nothing_wrong_with_a_committed_table(path: Path) -> None:
    assert problems(path.read_text(encoding="utf-8")) == []


@needs_tex
def test_the_committed_tables_compile(tmp_path: Path) -> None:
    log = compile_twice(document(COMMITTED), tmp_path)
    assert errors(log) == []
    assert len(COMMITTED) >= 36


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


def written(text: str, folder: Path, name: str = "t.tex") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


@needs_tex
def test_panels_keep_one_number_and_fit(tmp_path: Path) -> None:
    text = tabular.to_latex(WIDE)
    log = compile_twice(document([written(text, tmp_path)]), tmp_path)
    assert errors(log) == []
    assert misfits(log) == []
    numbered = (tmp_path / "tables.aux").read_text(encoding="utf-8")
    assert re.findall(r"newlabel\{tab:arkd-wide\}\{\{(\d+)\}", numbered) == ["1"]
    assert re.findall(r"\\caption\[?\]?\{.*\((panel .*?)\)\}", text) == [
        f"panel {n + 1} of {text.count('begin{longtable}')}"
        for n in range(text.count("begin{longtable}"))
    ]


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


@needs_tex
def test_estimated_widths_are_those_of_tex_and_not_too_small(tmp_path: Path) -> None:
    texts = ["0.1234 ± 0.0123", "arkd_code@first_baseline=zero,reward_every=10", "JSD (nats) ↓"]
    texts += ["forward_kl − reverse_kl", "ROUGE-L out of distribution ↑", "MiniLLM WHITE MAXIMUM"]
    lines = [
        rf"{{\{size.command}\setbox0=\hbox{{{escape(text)}}}\typeout{{W\the\wd0}}}}"
        for size in SIZES
        for text in texts
    ]
    log = compile_twice(
        "\n".join(
            [r"\documentclass{article}", r"\begin{document}", *lines, "x", r"\end{document}"]
        ),
        tmp_path,
    )
    widths = [float(width) for width in re.findall(r"W(\d+\.\d+)pt", log)]
    estimates = [ems(text) * size.points * size.width for size in SIZES for text in texts]
    assert len(widths) == len(estimates)
    for width, estimate in zip(widths, estimates, strict=True):
        assert 0.98 <= estimate / width <= 1.2


@needs_tex
def test_every_character_of_the_map_is_set(tmp_path: Path) -> None:
    lines = [rf"[{escape(character)}] \textbf{{{escape(character)}}}" for character in LATEX]
    lines += [escape("é ü ß ø Å ç ñ ł --x ``y'' ,,z 漢 🙂\ttab"), escape("?`!` <<a>> a~b")]
    text = "\n\n".join([r"\documentclass{article}\begin{document}", *lines, r"\end{document}"])
    log = compile_twice(text, tmp_path)
    assert errors(log) == []


def test_what_latex_cannot_print_is_named_by_its_code() -> None:
    assert escape("漢") == "[U+6F22]"
    assert escape("a\tb\nc") == "a b c"
    assert escape("--lr 'x''") == "-{}-lr 'x'{}'"
    assert escape("π σ Δ − → … ") == r"$\pi$ $\sigma$ $\Delta$ $-$ $\rightarrow$ \dots{} "


def test_a_methods_label_may_break_in_a_narrow_column() -> None:
    assert breakable("arkd@a_b=1") == r"arkd@\allowbreak{}a\_\allowbreak{}b=\allowbreak{}1"
    assert breakable("a / b") == "a / b"


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


@pytest.mark.parametrize("broken", BREAKS)
def test_the_checker_finds_what_is_broken(broken: str) -> None:
    before, after = BREAKS[broken]
    text = tabular.to_latex(NARROW)
    assert problems(text) == []
    assert before in text
    assert problems(text.replace(before, after, 1)) != []


@needs_tex
@pytest.mark.parametrize("broken", BREAKS)
def test_what_the_checker_finds_tex_stumbles_over(broken: str, tmp_path: Path) -> None:
    text = tabular.to_latex(NARROW).replace(*BREAKS[broken], 1)
    document_of = document([written(text, tmp_path)])
    (tmp_path / "tables.tex").write_text(document_of, encoding="utf-8")
    command = ["pdflatex", "-interaction=nonstopmode", "tables.tex"]
    subprocess.run(command, cwd=tmp_path, capture_output=True, check=False, timeout=60)
    assert errors((tmp_path / "tables.log").read_text(encoding="latin-1")) != []


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

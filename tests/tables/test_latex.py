"""Tables in LaTeX: what can be said without TeX, and one document of all where there is TeX."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest
from conftest import ROOT

from arkd.claims import judge as judgement
from arkd.claims import write as verdicts
from arkd.claims.registered import load_claims
from arkd.grid import Grid
from arkd.suite.folders import Tree
from arkd.suite.load import load_suite
from arkd.tables import build as tables
from arkd.tables.latex import LATEX, ROWS, escape, to_latex

RUN = ROOT / "results" / "reference" / "1.0" / "longtail"
TEXT = "100 % of #1: α^2 ~ {x}_y \\ $ — “so”… p ≥ 0.5 & −3 ± 1 → ‖x‖ <|a|> ↑ ↓ † β σ × – 漢"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Tables and verdicts of a reference run in LaTeX, and one made up with all that is hard."""
    folder = tmp_path_factory.mktemp("latex")
    suite, claims = load_suite(RUN.name), load_claims()
    tables.write(suite, RUN.parent, folder, partial=True)
    verdicts.write(suite, claims, judgement.judge(Tree(RUN.parent, suite), claims, True), folder)
    (folder / "hard.tex").write_text(to_latex(grid(90, 20, TEXT), "tab:hard", TEXT, [TEXT]))
    return sorted(folder.glob("*.tex"))


def grid(rows: int, columns: int, text: str = "0.123 ± 0.012") -> Grid:
    lines = [[f"method_{row}", *[text] * columns] for row in range(rows)]
    return Grid(["Method", *["ROUGE-L out of distribution ↑"] * columns], lines)


def test_every_row_is_whole_and_nothing_is_left_that_latex_would_read(made: list[Path]) -> None:
    assert {"claims.tex", "summary.tex", "tail.tex", "hard.tex"} <= {path.name for path in made}
    for path in made:
        text = path.read_text(encoding="utf-8")
        assert text.isascii(), path
        bare = re.sub(r"\\[\\{}&%$#_]|^%.*\n|%$|\\label\{.*?\}|\$[^$\n]*\$", "", text, flags=re.M)
        assert bare.count("{") == bare.count("}"), path
        assert not re.search(r"[%$#_^]", bare), path
        for kind, body in re.findall(r"\\begin\{(tabular|longtable)\}(.*?)\\end\{\1\}", text, re.S):
            spec = re.sub(r">\{.*?\}p\{[^}]*\}", "p", body.partition("\n")[0])
            columns = len(re.findall("[lrp]", spec))
            lines = re.findall(r"^.* & .*\\\\$", body, re.M)
            assert lines, (path, kind)
            for line in lines:
                assert len(re.findall(r"(?<!\\)&", line)) == columns - 1, (path, line)


def test_labels_carry_the_suites_name_so_that_two_stand_in_one_paper(made: list[Path]) -> None:
    for path in made:
        labels = re.findall(r"\\label\{(.*?)\}", path.read_text(encoding="utf-8"))
        suite = "" if path.stem == "hard" else f"{RUN.name}-"
        assert labels == [f"tab:{suite}{path.stem}"], path.name


def test_text_is_printed_as_it_stands() -> None:
    assert escape("a_b & 5 % ± −1 ↑") == r"a\_b \& 5 \% $\pm$ $-$1 $\uparrow$"
    assert escape("漢") == "[U+6F22]"
    assert all(value.isascii() for value in LATEX.values())


@pytest.mark.parametrize(
    ("rows", "columns", "kind"),
    [(10, 3, "table"), (10, 12, "sidewaystable"), (100, 3, "table"), (100, 12, "sidewaystable")],
)
def test_a_table_stays_on_the_page(rows: int, columns: int, kind: str) -> None:
    text = to_latex(grid(rows, columns), "tab:name", "Title. Caption.")
    floats = -(-rows // ROWS[kind])
    assert text.count(rf"\begin{{{kind}}}[t]") == text.count(r"\resizebox") == floats
    assert text.count("Title. Caption.") == text.count(r"\label{tab:name}") == 1
    assert text.count("Title (continued)") == text.count("addtocounter") == floats - 1
    assert text.count("method") == rows
    assert ("rotating" in text.partition("\n")[0]) == (kind == "sidewaystable")


def test_groups_are_ruled_and_the_best_is_bold() -> None:
    lines = [["a", "x", "1"], ["a", "y", "2"], ["b", "x", "3"]]
    found = Grid(["Pair", "Method", "value"], lines, left=2, bold=frozenset({(1, 2)}))
    text = to_latex(found, "tab:name", "Title.")
    assert "a & y & \\textbf{2} \\\\\n\\midrule\nb & x & 3 \\\\" in text


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="no pdflatex, so none is typeset")
def test_every_table_compiles_and_fits_the_page(made: list[Path], tmp_path: Path) -> None:
    named = [path.read_text(encoding="utf-8").partition("\n")[0] for path in made]
    assert all(line.startswith("% Packages: ") for line in named)
    packages = sorted({name for line in named for name in line[len("% Packages: ") :].split(", ")})
    lines = [
        r"\documentclass{article}",
        r"\usepackage[textwidth=397pt,textheight=650pt]{geometry}",
        rf"\usepackage{{{','.join(packages)}}}",
        r"\begin{document}",
        *[rf"\input{{{path}}}\clearpage" for path in made],
        r"\end{document}",
    ]
    (tmp_path / "tables.tex").write_text("\n".join(lines), encoding="utf-8")
    command = ["pdflatex", "-interaction=nonstopmode", "tables.tex"]
    for _ in range(2):  # the widths of a long table settle in the second run
        subprocess.run(command, cwd=tmp_path, capture_output=True, check=False)
    log = (tmp_path / "tables.log").read_text(encoding="latin-1")
    assert "Output written" in log
    assert re.findall(r"^!.*|.*Missing character.*|Overfull.*|.*Float too large.*", log, re.M) == []

"""pdfTeX itself sets every table; what can be said without it is in `test_latex.py`."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest
from latex_checker import packages
from latex_tables import BREAKS, COMMITTED, NARROW, RUNS, WIDE, make

from arkd.tables import write as tabular
from arkd.tables.latex import LANDSCAPE_PT, PORTRAIT_PT, SIZES
from arkd.tables.latex_text import LATEX, ems, escape

if shutil.which("pdflatex") is None:
    pytest.skip(
        "no pdflatex, so no LaTeX table is typeset: "
        "`apt-get install texlive-latex-base texlive-latex-recommended`",
        allow_module_level=True,
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
        subprocess.run(command, cwd=folder, capture_output=True, check=False)
    return (folder / "tables.log").read_text(encoding="latin-1")


def errors(log: str) -> list[str]:
    """Errors, and what pdfTeX says of text that it leaves out."""
    return re.findall(r"^(?:!.*|.*Missing character.*)$", log, re.M)


def misfits(log: str) -> list[str]:
    """What hangs over the page; half a point is no one's matter."""
    wide = re.findall(r"Overfull \\[hv]box \((\d+\.\d+)pt.*", log)
    return [one for one in wide if float(one) > 0.5] + re.findall(r"Float too large.*", log)


def written(text: str, folder: Path, name: str = "t.tex") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


@pytest.fixture(scope="module", params=RUNS, ids=lambda run: run.name)
def made(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Tables and verdicts of a run in LaTeX."""
    return make(request.param, tmp_path_factory.mktemp(request.param.name))


def test_every_table_compiles_and_fits_the_page(made: list[Path], tmp_path: Path) -> None:
    log = compile_twice(document(made), tmp_path)
    assert errors(log) == []
    assert misfits(log) == []
    assert "Output written" in log
    for path in made:
        assert f"({path}" in log.replace("\n", "")


def test_a_document_in_t1_and_a4_sets_them_too(made: list[Path], tmp_path: Path) -> None:
    page = r"\usepackage[a4paper,margin=1in]{geometry}" + FONTS
    log = compile_twice(document(made, page), tmp_path)
    assert errors(log) == []
    assert misfits(log) == []


def test_the_committed_tables_compile(tmp_path: Path) -> None:
    log = compile_twice(document(COMMITTED), tmp_path)
    assert errors(log) == []


def test_panels_keep_one_number_and_fit(tmp_path: Path) -> None:
    text = tabular.to_latex(WIDE)
    log = compile_twice(document([written(text, tmp_path)]), tmp_path)
    assert errors(log) == []
    assert misfits(log) == []
    numbered = (tmp_path / "tables.aux").read_text(encoding="utf-8")
    assert re.findall(r"newlabel\{tab:arkd-wide\}\{\{(\d+)\}", numbered) == ["1"]


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


def test_every_character_of_the_map_is_set(tmp_path: Path) -> None:
    lines = [rf"[{escape(character)}] \textbf{{{escape(character)}}}" for character in LATEX]
    lines += [escape("é ü ß ø Å ç ñ ł --x ``y'' ,,z 漢 🙂\ttab"), escape("?`!` <<a>> a~b")]
    text = "\n\n".join([r"\documentclass{article}\begin{document}", *lines, r"\end{document}"])
    log = compile_twice(text, tmp_path)
    assert errors(log) == []


@pytest.mark.parametrize("broken", BREAKS)
def test_what_the_checker_finds_tex_stumbles_over(broken: str, tmp_path: Path) -> None:
    text = tabular.to_latex(NARROW).replace(*BREAKS[broken], 1)
    document_of = document([written(text, tmp_path)])
    (tmp_path / "tables.tex").write_text(document_of, encoding="utf-8")
    command = ["pdflatex", "-interaction=nonstopmode", "tables.tex"]
    subprocess.run(command, cwd=tmp_path, capture_output=True, check=False)
    assert errors((tmp_path / "tables.log").read_text(encoding="latin-1")) != []

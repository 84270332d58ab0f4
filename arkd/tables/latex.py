r"""A table as LaTeX that a paper can `\input`: a booktabs table of pandas, kept on the page.

Tables are scaled down to the line, wide ones sideways, and many rows are dealt to several floats of
one number. A table of paragraphs, whose columns have given widths, breaks over pages instead.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Sequence

import pandas as pd
from pandas.io.formats.style import Styler

from arkd.grid import Grid

WIDE = 130  # characters in a line, beyond which a page is too narrow
ROWS = {"table": 36, "sidewaystable": 22}  # that a page has room for, below a caption
SCALED = r"\resizebox{\ifdim\width>\linewidth\linewidth\else\width\fi}{!}{"
PARAGRAPH = r">{{\raggedright\arraybackslash\hspace{{0pt}}}}p{{{:g}\linewidth}}"
LATEX = {
    **{character: rf"\{character}" for character in "&%$#_{}"},
    **{"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"},
    **{"<": r"\textless{}", ">": r"\textgreater{}", "|": r"\textbar{}"},
    **{"\u00a0": "~", "–": "--", "—": "---", "“": "``", "”": "''", "‘": "`", "’": "'"},
    **{"…": r"\dots{}", "†": r"$^\dagger$", "‡": r"$^\ddagger$", "²": "$^2$", "½": r"$\frac12$"},
    **{"−": "$-$", "±": r"$\pm$", "×": r"$\times$", "·": r"$\cdot$", "→": r"$\rightarrow$"},
    **{"↑": r"$\uparrow$", "↓": r"$\downarrow$", "≥": r"$\geq$", "≤": r"$\leq$"},
    **{"≈": r"$\approx$", "≠": r"$\neq$", "α": r"$\alpha$", "β": r"$\beta$", "γ": r"$\gamma$"},
    **{"ε": r"$\varepsilon$", "λ": r"$\lambda$", "μ": r"$\mu$", "π": r"$\pi$", "σ": r"$\sigma$"},
    **{"τ": r"$\tau$", "Δ": r"$\Delta$", "‖": r"$\|$", "∑": r"$\sum$", "∞": r"$\infty$"},
}


def escape(text: str) -> str:
    """Return text that LaTeX prints as it stands; what it may not know is named by its code."""
    known = (LATEX.get(c) or (c if c.isascii() else f"[U+{ord(c):04X}]") for c in text)
    return "".join(known)


def to_latex(grid: Grid, label: str, caption: str, notes: Sequence[str] = ()) -> str:
    """Return a table in floats, each scaled to the line.

    Args:
        grid: Its texts.
        label: Its label, as `tab:longtail-summary`.
        caption: Its title and caption; floats after the first repeat the title.
        notes: Paragraphs below it.
    """
    head = [_wrapped(grid, column) for column in range(len(grid.head))]
    width = sum(2 + max(map(len, [*lines, *_texts(grid, c)])) for c, lines in enumerate(head))
    kind = "table" if width <= WIDE else "sidewaystable"
    floats = []
    for start in range(0, len(grid.rows), ROWS[kind]):
        text = _styler(grid, head, start, start + ROWS[kind]).to_latex(
            environment=kind,
            position="t",
            position_float="centering",
            hrules=True,
            column_format="l" * grid.left + "r" * grid.numbers,
            caption=escape(_continued(caption) if start else caption),
            label=None if start else label,
        )
        text = text.replace(r"\begin{tabular}", f"{SCALED}%\n\\begin{{tabular}}")
        text = text.replace(r"\end{tabular}", "\\end{tabular}}")
        if start:  # the same table still
            text = text.replace("\\caption", "\\addtocounter{table}{-1}\n\\caption", 1)
        floats.append(text)
    packages = "booktabs, graphicx" if kind == "table" else "booktabs, graphicx, rotating"
    body, end, _ = "".join(floats).rpartition(rf"\end{{{kind}}}")
    return f"% Packages: {packages}\n{body}{_below(notes)}{end}\n"


def to_long_latex(
    grid: Grid, label: str, caption: str, notes: Sequence[str], shares: Sequence[float]
) -> str:
    """Return a table of paragraphs, sideways and over as many pages as it takes.

    Args:
        grid: Its texts.
        label: Its label, as `tab:longtail-summary`.
        caption: Its title and caption.
        notes: Paragraphs below it.
        shares: The width of each column as a share of the line.
    """
    text = _styler(grid, [[heading] for heading in grid.head], 0, len(grid.rows)).to_latex(
        environment="longtable",
        hrules=True,
        column_format="".join(PARAGRAPH.format(share) for share in shares),
        caption=escape(caption),
        label=label,
    )
    text = text.replace(f"[]{{{escape(caption)}", f"[]{{{escape(_continued(caption))}")
    # A narrow column may break a method's label behind its signs.
    text = re.sub(r"(?<=\w)(\\_|[@=,/])(?=\w)", r"\1\\allowbreak{}", text)
    size = r"\scriptsize\setlength{\tabcolsep}{2pt}\setlength{\LTcapwidth}{\linewidth}"
    return (
        "% Packages: array, booktabs, longtable, pdflscape\n"
        f"\\begin{{landscape}}\n{size}\n{text}{_below(notes)}\\end{{landscape}}\n"
    )


def _styler(grid: Grid, head: Sequence[Sequence[str]], start: int, end: int) -> Styler:
    """Return some rows as pandas styles them: escaped, bold, with a rule between groups."""
    rows = [[escape(text) for text in row] for row in grid.rows[start:end]]
    for place in range(1, len(rows)):
        before, row = grid.rows[start + place - 1], grid.rows[start + place]
        if before[: grid.left - 1] != row[: grid.left - 1]:
            rows[place][0] = f"\\midrule\n{rows[place][0]}"
    for place, column in grid.bold:
        if start <= place < end:
            rows[place - start][column] = rf"\textbf{{{rows[place - start][column]}}}"
    titles = [_stacked(lines, "l" if c < grid.left else "r") for c, lines in enumerate(head)]
    return pd.DataFrame(rows, columns=titles).style.hide(axis="index")


def _stacked(lines: Sequence[str], side: str) -> str:
    text = r" \\ ".join(map(escape, lines))
    return rf"\shortstack[{side}]{{{text}}}" if len(lines) > 1 else text


def _texts(grid: Grid, column: int) -> list[str]:
    return [row[column] for row in grid.rows]


def _wrapped(grid: Grid, column: int) -> list[str]:
    """Return a heading in lines no wider than its column, an arrow with the word before it."""
    words = grid.head[column].replace(" ↑", "\u00a0↑").replace(" ↓", "\u00a0↓")
    widest = max(map(len, [*words.split(" "), *_texts(grid, column)]))
    return textwrap.wrap(words, widest, break_on_hyphens=False)


def _continued(caption: str) -> str:
    return f"{caption.partition('.')[0]} (continued)"


def _below(notes: Sequence[str]) -> str:
    return "".join(f"\\par\\footnotesize {escape(note)}\n" for note in notes)

"""The figures of a suite as SVG, PNG and PDF: readable in grey, the same bytes each time."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable
from pathlib import Path

from matplotlib import style
from matplotlib.figure import Figure

from arkd.errors import ArkdError
from arkd.figures.alpha import alpha, alphas, dynamics
from arkd.figures.effects import effects
from arkd.figures.fidelity import head_tail, pareto, ranks, tail
from arkd.figures.forest import forest
from arkd.figures.grid import grid
from arkd.figures.profile import profile
from arkd.figures.scores import seeds, test_sets
from arkd.figures.sparse import sparse
from arkd.figures.strategies import strategies, strategies_bertscore, strategies_jsd
from arkd.figures.style import RC
from arkd.storage.files import staged_file
from arkd.suite.suite import Suite
from arkd.tables.builder import Builder

DPI = 200  # of the PNG
METADATA: dict[str, dict[str, None]] = {
    "svg": {"Date": None},
    "png": {"Software": None},
    "pdf": {"CreationDate": None},
}
FIGURES: dict[str, Callable[[Builder], Figure | None]] = {
    "effects": effects,
    "seeds": seeds,
    "test_sets": test_sets,
    "profile": profile,
    "pareto": pareto,
    "strategies": strategies,
    "strategies_bertscore": strategies_bertscore,
    "strategies_jsd": strategies_jsd,
    "alpha": alpha,
    "alphas": alphas,
    "dynamics": dynamics,
    "head_tail": head_tail,
    "tail": tail,
    "ranks": ranks,
    "grid": grid,
    "sparse": sparse,
}


def write(suite: Suite, results_dir: Path, out_dir: Path, partial: bool = False) -> list[Path]:
    """Draw every figure that the suite's methods call for and return the files.

    Args:
        suite: The suite whose results lie in `results_dir / suite.name`.
        results_dir: The folder of all suites' results.
        out_dir: Where the figures go, an SVG, a PNG and a PDF each.
        partial: Draw what is there instead of refusing gaps.

    Raises:
        ArkdError: If results are missing and `partial` is not set; nothing is written then.
    """
    paths = []
    for name, files in render(suite, results_dir, partial, METADATA).items():
        for suffix, content in files.items():
            path = out_dir / f"{name}.{suffix}"
            with staged_file(path) as temporary:
                temporary.write_bytes(content)
            paths.append(path)
    return paths


def render(
    suite: Suite, results_dir: Path, partial: bool = False, suffixes: Iterable[str] = ("svg",)
) -> dict[str, dict[str, bytes]]:
    """Return the bytes of every figure by name and suffix (svg, png, pdf).

    Args:
        suite: Whose figures are drawn.
        results_dir: The folder in which the suite's own folder lies.
        partial: Draw what is there, gaps left out.
        suffixes: Formats: svg, png, pdf.
    """
    files: dict[str, dict[str, bytes]] = {}
    with style.context(["default", RC]):  # whatever a user's matplotlibrc says
        for name, figure in build(suite, results_dir, partial).items():
            files[name] = {}
            figure.draw_without_rendering()
            figure.set_layout_engine(None)  # laid out once, not anew for each format
            for suffix in suffixes:
                stream = io.BytesIO()
                figure.savefig(stream, format=suffix, metadata=METADATA[suffix], dpi=DPI)
                files[name][suffix] = stream.getvalue()
    return files


def build(suite: Suite, results_dir: Path, partial: bool = False) -> dict[str, Figure]:
    """Return the figures by name, those without any data left out.

    Raises:
        ArkdError: values are missing, and `partial` is not set.
    """
    make = Builder(suite, results_dir)
    with style.context(["default", RC]):  # whatever a user's matplotlibrc says
        figures = {
            name: figure for name, draw in FIGURES.items() if (figure := draw(make)) is not None
        }
        if make.gaps and not partial:
            raise ArkdError(make.gap_message("show the gaps"))
        verdicts = forest(make, partial)
    return figures if verdicts is None else {**figures, "forest": verdicts}

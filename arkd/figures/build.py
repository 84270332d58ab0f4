"""The figures of a suite as SVG, PNG and PDF: readable in grey, the same bytes each time."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable
from pathlib import Path

from matplotlib.figure import Figure

from arkd.errors import ArkdError
from arkd.figures import style
from arkd.figures.alpha import alpha, alphas
from arkd.figures.chosen import Chosen
from arkd.figures.dynamics import dynamics
from arkd.figures.effects import effects
from arkd.figures.fidelity import head_tail, ranks, tail
from arkd.figures.forest import forest
from arkd.figures.grid import grid
from arkd.figures.published import published
from arkd.figures.recall import recall
from arkd.figures.reliability import reliability
from arkd.figures.scores import seeds
from arkd.figures.sparse import sparse
from arkd.figures.strategies import strategies, strategies_bertscore, strategies_jsd
from arkd.figures.temperature import temperature
from arkd.figures.trade_off import trade_off
from arkd.storage.files import staged_file
from arkd.suite.suite import Suite
from arkd.tables.builder import Builder

DPI = 200  # of the PNG
ALL = Chosen()
METADATA: dict[str, dict[str, None]] = {
    "svg": {"Date": None},
    "png": {"Software": None},
    "pdf": {"CreationDate": None},
}
FIGURES: dict[str, Callable[[Builder], Figure | None]] = {
    "effects": effects,
    "seeds": seeds,
    "strategies": strategies,
    "strategies_bertscore": strategies_bertscore,
    "strategies_jsd": strategies_jsd,
    "alpha": alpha,
    "alphas": alphas,
    "dynamics": dynamics,
    "head_tail": head_tail,
    "trade_off": trade_off,
    "tail": tail,
    "ranks": ranks,
    "recall": recall,
    "reliability": reliability,
    "temperature": temperature,
    "published": published,
    "grid": grid,
    "sparse": sparse,
}
FOREST = "forest"  # of the verdicts, which have a file of their own


def write(
    suite: Suite,
    results_dir: Path,
    out_dir: Path,
    partial: bool = False,
    chosen: Chosen = ALL,
    named: str = "",
) -> list[Path]:
    """Draw every figure that the suite's methods call for and return the files.

    Args:
        suite: The suite whose results lie in `results_dir / suite.name`.
        results_dir: The folder of all suites' results.
        out_dir: Where the figures go, an SVG, a PNG and a PDF each.
        partial: Draw what is there instead of refusing gaps.
        chosen: Which figures, of which rows and how wide.
        named: What the command line calls the suite, if not by its name.

    Raises:
        ArkdError: If results are missing and `partial` is not set, or what is chosen is not there;
            nothing is written then.
    """
    drawn = render(suite, results_dir, partial, METADATA, chosen, named)
    paths = []
    for name, files in drawn.items():
        for suffix, content in files.items():
            path = out_dir / f"{name}.{suffix}"
            with staged_file(path) as temporary:
                temporary.write_bytes(content)
            paths.append(path)
    return paths


def render(
    suite: Suite,
    results_dir: Path,
    partial: bool = False,
    suffixes: Iterable[str] = ("svg",),
    chosen: Chosen = ALL,
    named: str = "",
) -> dict[str, dict[str, bytes]]:
    """Return the bytes of every figure by name and suffix (svg, png, pdf).

    Args:
        suite: Whose figures are drawn.
        results_dir: The folder in which the suite's own folder lies.
        partial: Draw what is there, gaps left out.
        suffixes: Formats: svg, png, pdf.
        chosen: Which figures, of which rows and how wide.
        named: What the command line calls the suite, if not by its name.

    Raises:
        ArkdError: values are missing and `partial` is not set, or what is chosen is not there or
            has no room in the width asked for.
    """
    files: dict[str, dict[str, bytes]] = {}
    with style.applied():
        drawn = build(suite, results_dir, partial, chosen, named)
        chosen.fit(drawn)
        for name, figure in drawn.items():
            files[name] = {}
            figure.set_layout_engine(None)  # laid out once, not anew for each format
            for suffix in suffixes:
                stream = io.BytesIO()
                figure.savefig(stream, format=suffix, metadata=METADATA[suffix], dpi=DPI)
                files[name][suffix] = stream.getvalue()
    return files


def build(
    suite: Suite,
    results_dir: Path,
    partial: bool = False,
    chosen: Chosen = ALL,
    named: str = "",
) -> dict[str, Figure]:
    """Return the figures by name, those without any data left out.

    Args:
        suite: Whose figures are drawn.
        results_dir: The folder in which the suite's own folder lies.
        partial: Draw what is there, gaps left out.
        chosen: Which figures, of which rows and how wide.
        named: What the command line calls the suite, if not by its name.

    Raises:
        ArkdError: values are missing and `partial` is not set, or what is chosen is not there or
            has nothing to show.
    """
    make = Builder(suite, results_dir, named)
    wanted = chosen.names([*FIGURES, FOREST])
    chosen.narrow(make)
    with style.applied():
        figures = {
            name: figure
            for name, draw in FIGURES.items()
            if name in wanted and (figure := draw(make)) is not None
        }
        if make.gaps and not partial:
            raise ArkdError(make.gap_message("show the gaps"))
        if FOREST in wanted and (verdicts := forest(make, partial)) is not None:
            figures[FOREST] = verdicts
    chosen.check_drawn(figures, suite.name)
    return figures

"""The figures of a suite as SVG and PNG: readable in grey, the same bytes from the same results."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from arkd.cells import FAILED, MISSING
from arkd.errors import ArkdError
from arkd.files import staged_file
from arkd.layout import GOLD, Builder, Source, base_name, short_name
from arkd.stats import mean_interval
from arkd.suite import Suite
from arkd.training_figures import COLOURS, alpha, dynamics
from arkd.workflow import INIT

RC: dict[Any, Any] = {
    "svg.hashsalt": "arkd",  # element ids would otherwise differ from run to run
    "svg.fonttype": "none",  # text stays text: it can be read out, searched and copied
    "font.size": 9.0,
    "axes.titlesize": 10.0,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "0.9",
    "legend.frameon": False,
    "figure.dpi": 100.0,
}
MARKERS = "os^Dv<>Pp*Xhd"
MANY = 15  # rows; above it rows are set closer, and a row's variants have no name of their own
HEAD_BINS = ("rank_1", "rank_2_10")
DPI = 200  # of the PNG
METADATA: dict[str, dict[str, None]] = {"svg": {"Date": None}, "png": {"Software": None}}


def write(suite: Suite, results_dir: Path, out_dir: Path, partial: bool = False) -> list[Path]:
    """Draw every figure that the suite's methods call for and return the files.

    Args:
        suite: The suite whose results lie in `results_dir / suite.name`.
        results_dir: The folder of all suites' results.
        out_dir: Where the figures go, one SVG and one PNG each.
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
    """Return the bytes of every figure by name and suffix (svg, png)."""
    files: dict[str, dict[str, bytes]] = {}
    with mpl.rc_context(RC):
        for name, figure in build(suite, results_dir, partial).items():
            files[name] = {}
            for suffix in suffixes:
                stream = io.BytesIO()
                figure.savefig(stream, format=suffix, metadata=METADATA[suffix], dpi=DPI)
                files[name][suffix] = stream.getvalue()
    return files


def build(suite: Suite, results_dir: Path, partial: bool = False) -> dict[str, Figure]:
    """Return the figures by name, those without any data left out."""
    make = Builder(suite, results_dir)
    draw: dict[str, Callable[[Builder], Figure | None]] = {
        "alpha": alpha,
        "dynamics": dynamics,
        "strategies": strategies,
        "head_tail": head_tail,
    }
    figures = {name: figure for name, of in draw.items() if (figure := of(make)) is not None}
    if make.missing and not partial:
        raise ArkdError(make.gap_message())
    return figures


def strategies(make: Builder) -> Figure | None:
    """Heat map: methods by test sets, ROUGE-L written in the cells."""
    sets = make.suite.test_sets
    line = 0.34 if len(make.methods) <= MANY else 0.24
    longest = max(map(len, make.methods), default=0)
    figure, axes = panels(
        make, 0.9 + 0.07 * longest + 0.95 * len(sets), 1.6 + line * len(make.methods)
    )
    for axis, pair in zip(axes, make.pairs, strict=True):
        columns = [make.column(Source(t, "rouge_l", t), pair, make.methods) for t in sets]
        cells = [[column[method] for column in columns] for method in make.methods]
        values = np.array([[np.nan if c.mean is None else c.mean for c in row] for row in cells])
        # Each test set has its own scale: its difficulty would otherwise hide the methods.
        known = ~np.isnan(values)
        low = np.min(values, axis=0, initial=np.inf, where=known)
        high = np.max(values, axis=0, initial=-np.inf, where=known)
        shade = np.where(known, (values - low) / np.where(high > low, high - low, 1.0), np.nan)
        image = axis.imshow(
            np.ma.masked_invalid(shade), cmap="Greys", vmin=0, vmax=1.25, aspect="auto"
        )
        for place, value in np.ndenumerate(values):
            cell = cells[place[0]][place[1]]
            text = {FAILED: "failed", MISSING: "–"}.get(cell.word or "", f"{value:.1f}")
            dark = known[place] and shade[place] > 0.65
            axis.text(
                place[1],
                place[0],
                text,
                ha="center",
                va="center",
                color="white" if dark else "black",
            )
        axis.set_xticks(range(len(sets)), [short_name(make.suite, t) for t in sets])
        axis.set_yticks(range(len(make.methods)), make.methods)
        axis.set(xlabel="test set")
        axis.grid(False)
        axis.tick_params(length=0)
        axis.spines[:].set_visible(False)
        bar = figure.colorbar(
            image,
            ax=axis,
            boundaries=np.linspace(0, 1, 65),
            ticks=[0, 1],
            aspect=20 if len(make.methods) <= MANY else 60,
        )
        bar.ax.set_yticklabels(["lowest", "highest"])
        bar.set_label("ROUGE-L within its test set", labelpad=-24)
    return figure


def head_tail(make: Builder) -> Figure | None:
    """Scatter: error on the teacher's ten most probable tokens against error on the rest."""
    recorded = make.records.groups(GOLD, "abs_gap")
    head = [group for group in HEAD_BINS if group in recorded]
    rest = [group for group in recorded if group.startswith("rank_") and group not in HEAD_BINS]
    if not head or not rest:
        return None
    many = len(make.methods) > MANY
    variants = [m for m in make.methods if many and m != base_name(m) in make.methods]
    named = [INIT, *(m for m in make.methods if m not in variants)]
    figure, axes = panels(make, 5.6 + 1.6 * many, max(4.2, 1.0 + 0.19 * len(named)))
    for axis, pair in zip(axes, make.pairs, strict=True):
        for method in [*variants, *named]:  # names lie above what has none
            across, up = (_summed(make, pair, method, groups) for groups in (head, rest))
            if not across or not up:
                continue
            x, y = mean_interval(across), mean_interval(up)
            place = named.index(base_name(method) if method in variants else method)
            colour, marker = COLOURS[place % len(COLOURS)], MARKERS[place % len(MARKERS)]
            if method in variants:
                axis.plot(x.mean, y.mean, marker, color=colour, mfc="white", ms=4, mew=0.7)
                continue
            style: dict[str, Any] = {"color": colour, "alpha": 0.4 if many else 1.0}
            style |= {"lw": 1, "capsize": 0 if many else 2}
            axis.errorbar(x.mean, y.mean, xerr=x.half_width, yerr=y.half_width, **style)
            face, size = "white" if method == INIT else colour, 6 if many else 8
            axis.plot(
                x.mean, y.mean, marker, color=colour, mfc=face, ms=size, label=method, zorder=3
            )
        axis.set(xlabel="head: |p − q| over the teacher's ranks 1–10, per token")
        axis.set_ylabel("tail: |p − q| over all other tokens, per token")
        axis.legend(loc="center left", bbox_to_anchor=(1, 0.5))
    return figure


def panels(make: Builder, width: float, height: float) -> tuple[Figure, list[Axes]]:
    """Return a figure with one panel a pair, side by side."""
    count = len(make.pairs)
    figure = Figure(figsize=(width * count, height), layout="constrained")
    axes = list(figure.subplots(1, count, squeeze=False)[0])
    if count > 1:
        for axis, pair in zip(axes, make.pairs, strict=True):
            axis.set_title(pair)
    return figure, axes


def _summed(make: Builder, pair: str, method: str, groups: list[str]) -> list[float]:
    """Return the error summed over rank bins for each seed that has all of them."""
    parts = [
        make.values(Source("fidelity_gold", "abs_gap", "", group=g), pair, method) for g in groups
    ]
    seeds = [seed for seed in make.suite.seeds if all(seed in part for part in parts)]
    return [sum(part[seed] for part in parts) for seed in seeds]

"""The figures of a suite as SVG and PNG: readable in grey, the same bytes from the same results."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from arkd.cells import FAILED, MISSING
from arkd.errors import ArkdError
from arkd.files import staged_file
from arkd.layout import Builder, Source, short_name
from arkd.paths import benchmarks_dir
from arkd.stats import mean_interval
from arkd.suite import Suite
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
# Colours of Okabe and Ito, safe for colour-blind readers; markers and dashes carry them in grey.
COLOURS = ("#000000", "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00")
MARKERS = "os^Dv<>Pp*Xhd"
ADAPTIVE = {"arkd": "-", "akl": "-.", "greedy_min": ":"}
SMOOTHED_SHARE = 0.05  # of training, for lines that jump from batch to batch
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


def alpha(make: Builder) -> Figure | None:
    """α of the adaptive strategies over training, beside the published trajectory."""
    arms = [method for method in ADAPTIVE if method in make.methods]
    runs = {(p, m): trajectories(make, p, m, "alpha") for p in make.pairs for m in arms}
    if not any(runs.values()):
        return None
    figure, axes = panels(make, 5.6, 3.6)
    for axis, pair in zip(axes, make.pairs, strict=True):
        for arm in arms:
            seeds = runs[pair, arm]
            if not seeds:
                continue
            colour = COLOURS[list(ADAPTIVE).index(arm)]
            mean = mean_series(seeds)
            if arm == "arkd":
                for line in seeds.values():
                    axis.plot(progress(line), line, color=colour, lw=0.7, alpha=0.45)
            else:  # the policy's α moves slowly; theirs jump from batch to batch
                mean = rolled(mean)
            label = f"{arm} (mean of {len(seeds)})" if len(seeds) > 1 else f"{arm} (1 seed)"
            axis.plot(progress(mean), mean, ADAPTIVE[arm], color=colour, lw=2, label=label)
        quote_figure5(axis)
        axis.set(xlim=(0, 1), ylim=(-0.02, 1.02), xlabel="share of training")
        axis.set_ylabel("α, weight of forward KL")
        axis.legend(loc="upper left", bbox_to_anchor=(0, -0.16), ncols=2)
    return figure


def quote_figure5(axis: Axes) -> None:
    """Add the paper's trajectory, its own steps on the upper axis."""
    paper = pd.read_csv(benchmarks_dir() / "published" / "figure5.csv")
    last = float(paper["step"].max())
    share = paper["step"] / last
    axis.plot(share, paper["alpha"], "--o", color="0.45", lw=1.2, ms=3, label="paper, Figure 5")
    to_step, to_share = (lambda x: np.asarray(x) * last), (lambda x: np.asarray(x) / last)
    top = axis.secondary_xaxis("top", functions=(to_step, to_share))
    top.set_xlabel("step of the paper's run")


def dynamics(make: Builder) -> Figure | None:
    """Reward, forward KL and reverse KL of arkd at each step."""
    if "arkd" not in make.methods:
        return None
    shown = {"reward": "reward (nats)", "fkl": "forward KL (nats)", "rkl": "reverse KL (nats)"}
    runs = {(p, c): trajectories(make, p, "arkd", c) for p in make.pairs for c in shown}
    if not any(runs.values()):
        return None
    count = len(make.pairs)
    figure = Figure(figsize=(9, 2.9 * count), layout="constrained")
    grid = figure.subplots(count, len(shown), squeeze=False)
    for row, pair in zip(grid, make.pairs, strict=True):
        for axis, (column, label), colour in zip(row, shown.items(), COLOURS, strict=False):
            seeds = runs[pair, column]
            for series in seeds.values():
                axis.plot(series, color=colour, lw=0.5, alpha=0.35)
            if seeds:
                axis.plot(rolled(mean_series(seeds)), color=colour, lw=2)
            axis.set(xlabel="step", ylabel=label, title=label.split(" (")[0])
        if count > 1:
            row[0].set_title(pair, loc="left")
    return figure


def strategies(make: Builder) -> Figure | None:
    """Heat map: methods by test sets, ROUGE-L written in the cells."""
    sets = make.suite.test_sets
    figure, axes = panels(make, 1.4 + 0.95 * len(sets), 1.6 + 0.34 * len(make.methods))
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
        bar = figure.colorbar(image, ax=axis, boundaries=np.linspace(0, 1, 65), ticks=[0, 1])
        bar.ax.set_yticklabels(["lowest", "highest"])
        bar.set_label("ROUGE-L within its test set", labelpad=-24)
    return figure


def head_tail(make: Builder) -> Figure | None:
    """Scatter: error on the teacher's ten most probable tokens against error on the rest."""
    recorded = make.records.groups("fidelity_gold", "abs_gap")
    head = [group for group in HEAD_BINS if group in recorded]
    rest = [group for group in recorded if group.startswith("rank_") and group not in HEAD_BINS]
    if not head or not rest:
        return None
    figure, axes = panels(make, 5.6, 4.2)
    for axis, pair in zip(axes, make.pairs, strict=True):
        for place, method in enumerate([INIT, *make.methods]):
            across, up = (_summed(make, pair, method, groups) for groups in (head, rest))
            if not across or not up:
                continue
            x, y = mean_interval(across), mean_interval(up)
            colour, marker = COLOURS[place % len(COLOURS)], MARKERS[place % len(MARKERS)]
            axis.errorbar(
                x.mean, y.mean, xerr=x.half_width, yerr=y.half_width, color=colour, lw=1, capsize=2
            )
            face = "white" if method == INIT else colour
            axis.plot(x.mean, y.mean, marker, color=colour, mfc=face, ms=8, label=method, zorder=3)
        axis.set(xlabel="head: |p − q| over the teacher's ranks 1–10, per token")
        axis.set_ylabel("tail: |p − q| over all other tokens, per token")
        axis.legend(loc="center left", bbox_to_anchor=(1, 0.5))
    return figure


def trajectories(make: Builder, pair: str, method: str, column: str) -> dict[int, pd.Series]:
    """Return a logged column by seed, indexed by step; notes the runs that lack it."""
    found: dict[int, pd.Series] = {}
    for seed in make.suite.seeds:
        path = make.tree.training(pair, method, seed) / "trajectory.csv"
        if path.is_file():
            frame = pd.read_csv(path)
            logged = column in frame.columns and bool(frame[column].notna().all())
            if logged:
                found[seed] = frame.set_index("step")[column]
            if logged or method != "arkd":  # others need not log what is drawn of arkd
                continue
        if seed not in make.records.failed(pair, method):
            run = f"{pair}/{method}/seed{seed}"
            make.missing.setdefault(run, {})[f"trajectory.csv {column}"] = None
    return found


def mean_series(seeds: dict[int, pd.Series]) -> pd.Series:
    """Return the mean over seeds at each step."""
    return pd.concat(seeds.values(), axis=1).mean(axis=1)


def rolled(series: pd.Series) -> pd.Series:
    """Return a centred moving average over a small share of training."""
    window = max(1, round(SMOOTHED_SHARE * len(series)))
    return series.rolling(window, center=True, min_periods=1).mean()


def progress(series: pd.Series) -> np.ndarray:
    """Return the steps as a share of training, 0 to 1."""
    steps = series.index.to_numpy(dtype=float)
    return (steps - steps[0]) / max(steps[-1] - steps[0], 1.0)


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

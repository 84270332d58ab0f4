"""Figure of sparse teachers: bytes per token against bias, and against the trained student."""

from __future__ import annotations

from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from arkd.figures.marks import COLOURS, HOLLOW, MARKERS, Mark
from arkd.figures.style import SMALL, foot
from arkd.statistics.intervals import Interval, mean_interval
from arkd.tables.builder import Builder
from arkd.tables.kinds.sparse import sparse_rows, sparse_values

PANELS = {
    "gradient_bias": "gradient error,\nmean of 64 stores",
    "gradient_error": "gradient error,\none store",
    "value_error": "error of the value (nats)",
    "jsd": "JSD to the teacher (nats)",
    "tail_overlap": "tail overlap",
    "ece": "calibration error",
    "truth_error": "truth error",
    "rouge_l": "ROUGE-L",
}
KINDS = {
    "top_k": "top k, renormalised",
    "top_k_bucket": "top k and a bucket",
    "top_p": "top p, renormalised",
    "sampled": "draws",
}
APART = 1.08  # ratio of the places of two ways that store the same number of bytes
EXACT = Mark(marker="*", fill=HOLLOW)


def sparse(make: Builder) -> Figure | None:
    """One panel a measure, bytes across; a line for each way to choose entries, exact dotted.

    Ways of equal bytes stand beside each other; the exact teacher has a mark at its bytes.
    """
    pair, rows = make.pairs[0], [row for row in sparse_rows(make) if row in make.methods]
    if not rows:
        return None
    values = {row: sparse_values(make, pair, row) for row in rows}
    kind_of = {m: make.suite.settings(make.suite.entry(m)).teacher_support for m in values}
    known = dict(zip(KINDS, map(Mark, COLOURS, MARKERS), strict=False))
    panels = {
        key: title for key, title in PANELS.items() if any(v.get(key) for v in values.values())
    }
    figure = Figure(figsize=(8.4, 0.7 + 1.9 * -(-len(panels) // 2)), layout="constrained")
    axes = figure.subplots(-(-len(panels) // 2), 2, squeeze=False)
    for axis, (key, title) in zip(axes.flat, panels.items(), strict=False):
        for method, found in values.items():
            if kind_of[method] == "exact" and found.get(key):
                height = mean_interval([*found[key].values()]).mean
                axis.axhline(height, color="black", ls=":", lw=1.0, zorder=1)
                if found["bytes"]:  # unknown where the teacher's size is not the suite's to say
                    at = mean_interval([*found["bytes"].values()]).mean
                    axis.plot(at, height, zorder=2, **EXACT.style(8))
        for place, kind in enumerate(KINDS):
            points = _line([found for m, found in values.items() if kind_of[m] == kind], key)
            mark = known[kind]
            points = [(at * APART ** (place - 1.5), interval) for at, interval in points]
            for at, interval in points:
                if interval.low is not None and interval.high is not None:
                    axis.plot((at, at), (interval.low, interval.high), color=mark.colour, lw=0.8)
            if points:
                places, means = zip(*((at, i.mean) for at, i in points), strict=True)
                axis.plot(places, means, **mark.style(5) | {"ls": "-", "lw": 0.8})
        axis.set(ylabel=title, xscale="log")
    for axis in axes.flat[len(panels) :]:
        axis.set_axis_off()
    for axis in axes[-1]:
        axis.set_xlabel("bytes per token")
    handles = [Line2D([], [], label=KINDS[kind], **mark.style(5)) for kind, mark in known.items()]
    exact = EXACT.style(8) | {"ls": ":"}
    handles.append(Line2D([], [], **exact, label="exact teacher"))
    figure.legend(handles=handles, loc="outside upper left", ncols=5, fontsize=SMALL)
    chance = "mean of 64 stores: what remains is bias, or, of draws, which are unbiased, chance"
    other_pairs = f"pair {pair}, one of {len(make.pairs)}" * (len(make.pairs) > 1)
    foot(figure, chance, other_pairs)
    return figure


def _line(rows: list[dict[str, dict[int, float]]], key: str) -> list[tuple[float, Interval]]:
    """Return mean bytes and the interval of a measure, from the fewest bytes on."""
    points = [
        (mean_interval([*found["bytes"].values()]).mean, mean_interval([*found[key].values()]))
        for found in rows
        if found.get(key) and found["bytes"]
    ]
    return sorted(points, key=lambda point: point[0])

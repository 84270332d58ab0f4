"""Figure of prefix source by divergence by support: what each choice does to a student."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from arkd.figures.marks import MARKERS, Mark, mark
from arkd.figures.style import SMALL, foot
from arkd.statistics.intervals import mean_interval
from arkd.tables.builder import Builder
from arkd.tables.kinds.grid import SOURCES, VOCABULARY, grid_places, grid_values, tails

JSD = {"jsd": "JSD to the teacher (nats)"}
PANELS = {  # after it and the tails
    "entropy_gap": "entropy gap (nats)",
    "rouge_l": "ROUGE-L",
    "truth_error": "truth error",
}
SPREAD = 0.8  # of the distance between two sources, over which their rows stand side by side


def grid(make: Builder) -> Figure | None:
    """One panel a measure, prefix sources across; a mark for each support and divergence."""
    places = {row: at for row, at in grid_places(make).items() if row in make.methods}
    if not places:
        return None
    sources = [source for source in SOURCES if source in {place[0] for place in places.values()}]
    kinds = list(dict.fromkeys(place[1:] for place in places.values()))
    kinds.sort(key=lambda kind: (kind[0] != VOCABULARY, *kind))
    known = _marks(kinds)
    pair = make.pairs[0]
    values = {method: grid_values(make, pair, method) for method in places}
    titles = JSD | tails(make) | PANELS
    panels = {k: t for k, t in titles.items() if any(values[m].get(k) for m in places)}
    figure = Figure(figsize=(8.4, 1.2 + 1.9 * -(-len(panels) // 2)), layout="constrained")
    grid_of_axes = figure.subplots(-(-len(panels) // 2), 2, squeeze=False)
    for axis, (key, title) in zip(grid_of_axes.flat, panels.items(), strict=False):
        for method, (source, *kind) in places.items():
            found = values[method].get(key)
            if not found:
                continue
            mean = mean_interval([*found.values()])
            offset = SPREAD * ((kinds.index((kind[0], kind[1])) + 0.5) / len(kinds) - 0.5)
            at, drawn = sources.index(source) + offset, known[", ".join(kind)]
            if mean.low is not None and mean.high is not None:
                axis.plot((at, at), (mean.low, mean.high), color=drawn.colour, lw=0.8, alpha=0.55)
            axis.plot(at, mean.mean, zorder=3, **drawn.style(5))
        axis.set(ylabel=title)
        axis.set_xticks(range(len(sources)), sources)
        axis.grid(axis="x", visible=False)
    for axis in grid_of_axes.flat[len(panels) :]:
        axis.set_axis_off()
    for axis in grid_of_axes[-1]:
        axis.set_xlabel("prefixes", fontsize=SMALL)
    handles = [Line2D([], [], label=name, **drawn.style(5)) for name, drawn in known.items()]
    figure.legend(handles=handles, loc="outside lower center", ncols=2, fontsize=SMALL)
    foot(figure, f"pair {pair}, one of {len(make.pairs)}" * (len(make.pairs) > 1))
    return figure


def _marks(kinds: Sequence[tuple[str, str]]) -> dict[str, Mark]:
    """Give each support and divergence the colour of the divergence's row, and a shape of its own.

    The first of a colour has the row's own shape: the whole vocabulary, which stands first. More
    of one colour than there are shapes share that one.
    """
    found: dict[str, Mark] = {}
    for kind in kinds:
        plain = mark(kind[1])
        taken = {(drawn.colour, drawn.marker) for drawn in found.values()}
        free = (shape for shape in (plain.marker, *MARKERS) if (plain.colour, shape) not in taken)
        found[", ".join(kind)] = Mark(plain.colour, next(free, plain.marker), plain.fill)
    return found

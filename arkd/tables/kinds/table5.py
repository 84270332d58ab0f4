"""Ways to choose α: quality on all sets and the JSD to the teacher."""

from __future__ import annotations

import itertools
from dataclasses import replace

from arkd.suite.names import method_of
from arkd.tables.builder import GOLD, Builder, Source
from arkd.tables.kind import TableKind
from arkd.tables.quantities import quality_sources
from arkd.tables.table import Layout

ALPHA_GROUPS: dict[str, tuple[str, ...]] = {  # ways to choose α, by their kind
    "constant α": ("forward_kl", "fixed_mix", "reverse_kl"),
    "schedule": ("linear_dec", "linear_inc"),
    "rule of the batch": ("greedy_min", "akl"),
    "learnt": ("arkd", "arkd_sampled", "arkd_code"),
    "control": ("random_alpha", "frozen_policy", "static_018", "replay_figure5"),
}
ALPHA_STRATEGIES = tuple(itertools.chain.from_iterable(ALPHA_GROUPS.values()))


def build(make: Builder) -> Layout | None:
    rank = {name: place for place, name in enumerate(ALPHA_STRATEGIES)}
    present = [m for m in make.methods if method_of(m) in rank and not _other_loss(make, m)]
    present.sort(key=lambda m: rank[method_of(m)])
    sources = [*quality_sources(make, make.suite.test_sets), Source(GOLD, "jsd", "JSD (nats)", 3)]
    if len(present) < 2:
        return None
    table = make.table({"": sources}, present, paper=True)
    controls = [m for m in present if method_of(m) in ALPHA_GROUPS["control"]]
    note = f"Controls, whose α no agent learns during the run: {', '.join(controls)}."
    return replace(table, notes=(*table.notes, note)) if controls else table


def _other_loss(make: Builder, method: str) -> bool:
    """Tell whether a row changes more than the choice of α."""
    return bool(make.suite.entry(method).changes.keys() - {"lr"})


TABLE = TableKind(
    section="α",
    place=1,
    title="How α is chosen",
    caption="""
        Strategies that differ in α, the weight of forward KL, and in the learning rate where
        tuning chose another: constant, scheduled, greedy, head-to-tail ratio (akl) and learnt
        (arkd). ROUGE-L (F1 × 100) on every test set, and the Jensen-Shannon divergence to the
        teacher on gold prefixes. Mean ± half the width of the 95 % t interval over {unit}s.
    """,
    build=build,
)

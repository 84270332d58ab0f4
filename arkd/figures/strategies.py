"""How α is chosen: quality by strategy and test set, as the paper's Figures 3, 4 and 7."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.figure import Figure

from arkd.figures.dots import dots
from arkd.figures.style import foot, main_rows
from arkd.suite.names import method_of
from arkd.tables.builder import GOLD, Builder, Source, short_name
from arkd.tables.kinds.table5 import ALPHA_GROUPS, ALPHA_STRATEGIES
from arkd.tables.quantities import FORWARD


def strategies(make: Builder) -> Figure | None:
    """ROUGE-L of each strategy on each test set."""
    sources = [Source(t, make.suite.rouge, short_name(make.suite, t)) for t in make.scored]
    return _draw(make, sources, "ROUGE-L (0–100)")


def strategies_bertscore(make: Builder) -> Figure | None:
    """BERTScore of each strategy on each test set, where it was measured."""
    metric = f"bertscore_{make.suite.bertscore}"
    sources = [
        Source(t, metric, short_name(make.suite, t))
        for t in make.suite.test_sets
        if make.records.groups(t, metric)
    ]
    return _draw(make, sources, "BERTScore F1 (0–1)")


def strategies_jsd(make: Builder) -> Figure | None:
    """JSD to the teacher of each strategy on the gold responses of each test set."""
    recorded = make.records.groups(GOLD, "jsd")
    test_sets = [t for t in make.suite.test_sets if t in recorded]
    sources = [Source(GOLD, "jsd", short_name(make.suite, t), group=t) for t in test_sets]
    if not test_sets and "" in recorded:
        sources = [Source(GOLD, "jsd", "all test sets")]
    return _draw(make, sources, "JSD (nats/token)")


def chosen(make: Builder) -> list[str]:
    """Return the rows that differ in how α is chosen and in nothing else, from forward KL on."""
    rows = [
        entry.label
        for entry in make.suite.entries
        if entry.name in ALPHA_STRATEGIES and not entry.changes and entry.label in make.methods
    ]
    return sorted(
        rows, key=lambda row: (ALPHA_STRATEGIES.index(method_of(row)), -_alpha(make, row))
    )


def _alpha(make: Builder, row: str) -> float:
    return float(make.suite.entry(row).params.get("alpha", 0.5))


def _draw(make: Builder, sources: Sequence[Source], unit: str) -> Figure | None:
    choice = main_rows(make, chosen(make))
    if len(choice.rows) < 2 or not sources:
        return None
    groups = {
        name: [row for row in choice.rows if method_of(row) in names]
        for name, names in ALPHA_GROUPS.items()
    }

    def quoted(pair: str, source: Source) -> dict[str, float]:
        return {method: printed.value for method, printed in make.printed(source, pair).items()}

    groups = {name: rows for name, rows in groups.items() if rows}
    figure = dots(make, groups, sources, unit, quoted, against=FORWARD, named=True)
    foot(figure, choice.note)
    return figure

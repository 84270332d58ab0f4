"""What a table is: one file of `arkd.tables.kinds`, found by its place there."""

from __future__ import annotations

import pkgutil
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module

from arkd.results.suite_results import observed
from arkd.suite.suite import Suite
from arkd.tables.builder import Builder
from arkd.tables.table import Layout, Table

SECTIONS = (  # of the report, in its order; others stand behind them
    *("Overview", "Quality", "Fidelity", "Tail", "Truth", "α", "Statistics", "Cost"),
)


@dataclass(frozen=True)
class TableKind:
    """A table that suites may have, which `TABLE` of a module declares.

    Attributes:
        section: The heading of the report that it stands under.
        title: Its title.
        caption: Its caption, in which the names of `facts` stand for the suite's settings.
        build: Lays it out; None in a suite that has nothing for it.
        place: Where it stands among the tables of its section.
    """

    section: str
    title: str
    caption: str
    build: Callable[[Builder], Layout | None]
    place: int = 99

    def table(self, name: str, make: Builder) -> Table | None:
        """Return the table of a suite; None where the suite has nothing for it."""
        layout = self.build(make)
        if layout is None:
            return None
        caption = " ".join((self.caption, *layout.remarks)).format(**facts(make.suite))
        return Table(
            name=name,
            title=self.title,
            caption=" ".join(caption.split()),
            label_columns=layout.label_columns,
            columns=layout.columns,
            rows=layout.rows,
            notes=layout.notes,
            section=self.section,
            suite=make.suite.name,
            counted=f"{observed(make.suite).capitalize()}s",
        )


def table_kinds() -> dict[str, TableKind]:
    """Return every table by its name, which is that of its file, in the order of the report."""
    package = import_module("arkd.tables.kinds")
    names = [module.name for module in pkgutil.iter_modules(package.__path__)]
    kinds = {name: import_module(f"{package.__name__}.{name}").TABLE for name in names}
    sections = [*SECTIONS, *sorted({kind.section for kind in kinds.values()} - {*SECTIONS})]

    def order(name: str) -> tuple[int, int, str]:
        return sections.index(kinds[name].section), kinds[name].place, name

    return {name: kinds[name] for name in sorted(kinds, key=order)}


def facts(suite: Suite) -> dict[str, str | int | float]:
    """Return what a caption may say of a suite's settings."""
    counts = sorted({len(suite.seeds_of(entry.label)) for entry in suite.entries})
    return {
        "name": suite.name,
        "version": suite.version,
        "seeds": " to ".join(map(str, counts[:1] + counts[1:][-1:])),
        "observation": suite.observation,
        "observations": f"{suite.observation}s",
        "unit": observed(suite),
        "decodings": len(suite.decoding.seeds),
        "test_set": suite.test_sets[0],
        "mu": suite.tail.tail_mass,
        "recall_ratio": suite.tail.recall_ratio,
        "temperature": f"{suite.distillation.temperature:g}",
        "encoder": suite.bertscore or "",
    }

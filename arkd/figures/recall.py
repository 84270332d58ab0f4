"""Recall of facts by how popular their entity is: head, torso and tail."""

from __future__ import annotations

from matplotlib.figure import Figure

from arkd.data.bands import BANDS
from arkd.figures.dots import dots
from arkd.figures.style import foot, main_rows
from arkd.suite.folders import INIT, TEACHER
from arkd.tables.builder import Builder, Source
from arkd.tables.quantities import FORWARD


def recall(make: Builder) -> Figure | None:
    """Draw the share of facts that a row has right, a panel a band, teacher and start below."""
    choice = main_rows(make, make.methods, plain=True)
    free = make.records.groups("truth", "truth_accuracy")
    lines = (
        [
            Source("truth", "truth_accuracy", f"{band}, recalled", group=f"certain_{band}")
            for band in BANDS
            if f"certain_{band}" in free
        ],
        [
            Source(task, "acc", f"{band}, chosen")
            for band in BANDS
            for task in make.suite.choice_tasks
            if task.endswith(f"_{band}")
        ],
    )
    sources = [source for line in lines if len(line) == len(BANDS) for source in line]
    if not sources or not choice.rows:
        return None
    groups = {"methods": choice.rows, "controls": (INIT, TEACHER)}
    figure = dots(make, groups, sources, "share right", against=FORWARD, across=len(BANDS))
    foot(figure, choice.note)
    return figure

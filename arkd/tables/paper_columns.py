"""The paper's number beside ours, and how far apart the two are in our own intervals."""

from __future__ import annotations

from collections.abc import Mapping

from arkd.results.published import RECORDED, Printed, of_paper
from arkd.tables.table import MISSING, NOT_REPORTED, Cell, Column

TABLES = ("table1", "table2", "table5")  # of ours, laid out after the paper's
REPEATED = "‡"
NO_DISTANCE = "under Δ: no printed number, or no interval of ours to measure the distance in"


def printed(pair: str | None, task: str, metric: str) -> dict[str, Printed]:
    """Return what the paper prints of a quantity by method, in whichever table: they agree.

    Args:
        pair: As the published numbers call it; none: the paper has no such pair.
        task: The task, whose name is or ends in the data set's.
        metric: As the records call it; BERTScore with another encoder is not the paper's.
    """
    return {
        one.method: one
        for one in of_paper()
        if (one.pair, one.metric) == (pair, RECORDED.get(metric))
        and f"_{task}".endswith(f"_{one.dataset}")
    }


def columns(of: Column) -> tuple[Column, Column]:
    """Return the columns of the paper's number and of the distance, which follow our own."""
    return (
        Column(f"{of.key} paper", "paper", of.digits, measured=False),
        Column(f"{of.key} distance", "Δ", 1, measured=False),
    )


def cells(
    own: Mapping[str, Cell], known: Mapping[str, Printed]
) -> tuple[dict[str, Cell], dict[str, Cell]]:
    """Return the cells of both columns by method."""
    paper = {method: _printed(known.get(method)) for method in own}
    return paper, {method: _distance(own[method], paper[method]) for method in own}


def _printed(one: Printed | None) -> Cell:
    if one is None:
        return Cell(word=NOT_REPORTED)
    if one.repeated:
        why = f"not the paper's own number: it repeats {one.origin}'s ({one.setting})"
        return Cell(one.value, mark=REPEATED, why=why)
    return Cell(one.value)


def _distance(own: Cell, paper: Cell) -> Cell:
    """Return ours less the paper's in half widths of our interval: beyond 1 it lies outside."""
    if own.mean is None or not own.half or paper.mean is None:
        return Cell(word=MISSING, why=NO_DISTANCE)
    return Cell((own.mean - paper.mean) / own.half)

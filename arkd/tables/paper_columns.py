"""The paper's number beside ours, and how far apart the two are in our own intervals."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from arkd.results.published import PAPER_ENCODER, RECORDED, Printed, of_paper
from arkd.tables.table import MISSING, NOT_REPORTED, Cell, Column

REPEATED = "‡"
NO_DISTANCE = "under Δ: no printed number, or no interval of ours to measure the distance in"

BERTSCORE = (
    "BERTScore is F1 (0 to 1) against the best reference with the encoder {encoder}, not rescaled."
)
PAPER = (
    "Paper: the number that the ARKD paper reports for the pair, on its own split and without an "
    "interval. Δ: ours minus the paper's, in half-widths of our 95 % interval; below −1 or above "
    "1 the paper's number lies outside that interval."
)
OTHER_ENCODER = (
    "The paper's BERTScore uses deberta-xlarge-mnli and cannot be compared with that of another "
    "encoder."
)


def printed(pair: str | None, task: str, metric: str) -> dict[str, Printed]:
    """Return what the paper prints of a quantity by method, in whichever table: they agree.

    Args:
        pair: As the published numbers call it; none: the paper has no such pair.
        task: The task, whose name is or ends in the data set's.
        metric: As the records call it; BERTScore with another encoder is not the paper's.
    """
    return {
        number.method: number
        for number in of_paper()
        if (number.pair, number.metric) == (pair, RECORDED.get(metric))
        and f"_{task}".endswith(f"_{number.dataset}")
    }


def columns(ours: Column) -> tuple[Column, Column]:
    """Return the columns of the paper's number and of the distance, which follow our own."""
    return (
        Column(f"{ours.key} paper", "paper", ours.digits, measured=False),
        Column(f"{ours.key} distance", "Δ", 1, measured=False),
    )


def cells(
    ours: Mapping[str, Cell], known: Mapping[str, Printed]
) -> tuple[dict[str, Cell], dict[str, Cell]]:
    """Return the cells of both columns by method."""
    paper = {method: _printed(known.get(method)) for method in ours}
    return paper, {method: _distance(ours[method], paper[method]) for method in ours}


def remarks(shown: Sequence[Column], encoder: str | None) -> Iterator[str]:
    """Yield what a caption says of the columns, in which `{encoder}` stands for the suite's."""
    keys = [column.key for column in shown]
    if any("bertscore" in key for key in keys):
        yield BERTSCORE
    if any(key.endswith(" paper") for key in keys):
        yield PAPER
        if encoder not in (None, PAPER_ENCODER):
            yield OTHER_ENCODER


def _printed(number: Printed | None) -> Cell:
    if number is None:
        return Cell(word=NOT_REPORTED)
    if number.repeated:
        why = f"not the paper's own number: it repeats {number.origin}'s ({number.setting})"
        return Cell(number.value, mark=REPEATED, why=why)
    return Cell(number.value)


def _distance(ours: Cell, paper: Cell) -> Cell:
    """Return ours less the paper's in half widths of our interval: beyond 1 it lies outside."""
    if ours.mean is None or not ours.half or paper.mean is None:
        return Cell(word=MISSING, why=NO_DISTANCE)
    return Cell((ours.mean - paper.mean) / ours.half)

"""The notes below a table: what its marks and words mean, as far as its cells have them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from arkd.suite.folders import TEACHER
from arkd.tables.table import FAILED, FEW_SEEDS, MISSING, NOT_REPORTED, Row


def notes(
    rows: Iterable[Row], compared: bool, testable: bool, uneven: bool, dash: str, worlds: bool
) -> Iterator[str]:
    """Yield the notes that the cells call for.

    Args:
        rows: The table's rows.
        compared: Whether the methods of a column were tested against each other.
        testable: Whether there are rows and seeds enough for that.
        uneven: Whether trained rows differ in the number of seeds they should have.
        dash: What the mark of an empty cell means, where the cell does not say it.
        worlds: Whether values are of worlds, each with a teacher, and not of training seeds.
    """
    rows = [*rows]
    observations = "worlds" if worlds else "seeds"
    cells = [cell for row in rows for cell in row.cells]
    if any(cell.n < FEW_SEEDS for cell in cells if cell.word is None and cell.n):
        if worlds:
            yield "† fewer than three worlds; one world has no interval."
        else:
            yield "† fewer than three seeds; one seed has no interval. The teacher is one model."
        if not worlds and any(row.method == TEACHER and _uneven(row) for row in rows):
            yield "The teacher is compared with every seed of the other row."
    if any(cell.bold for cell in cells):
        yield (
            f"Bold: the best trained method, where its lead over every other row, paired by "
            f"{observations[:-1]}, is significant at 5 % after Holm's correction for the column's "
            "comparisons."
        )
    elif compared and testable:
        yield (
            "Nothing is bold: in no column is the best trained method's lead over every other row "
            "significant at 5 % after Holm's correction."
        )
    elif compared:
        yield f"Nothing is bold: that needs two trained rows that share three {observations}."
    if compared and uneven:
        yield (
            f"Rows differ in their number of {observations}: the best is chosen by the mean over "
            f"the {observations} that all trained rows share, and compared with each other row on "
            f"the {observations} that the two share (at least three)."
        )
    if any(cell.failed for cell in cells):
        yield f"'{FAILED}': the run did not finish; its {observations[:-1]} is not in the mean."
    if any(cell.word == NOT_REPORTED for cell in cells):
        yield f"'{NOT_REPORTED}': the paper reports no such number."
    if any(cell.word == MISSING and not cell.why for cell in cells):
        yield f"'{MISSING}': {dash}."
    for sign, why in dict.fromkeys((c.mark or f"'{c.word}'", c.why) for c in cells if c.why):
        yield f"{sign} {why}."


def _uneven(row: Row) -> bool:
    """Tell whether the cells of a row rest on different numbers of seeds."""
    return len({cell.n for cell in row.cells if cell.word is None and cell.n}) > 1

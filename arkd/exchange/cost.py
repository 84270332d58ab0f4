"""What each training of a run took, as its `cost.csv` has it."""

from __future__ import annotations

from pathlib import Path

from arkd.audit.compare_records import Run, check_names
from arkd.errors import ArkdError
from arkd.storage import received
from arkd.storage.received import read_csv
from arkd.storage.records import whole

NAME = "cost.csv"
COLUMNS = ("pair", "method", "seed", "stage", "train_s")
MOST_THREADS = 1e6


def read(run: Path) -> list[tuple[Run, float, float]]:
    """Return the seconds and the threads of each training; none where no costs are kept.

    Args:
        run: A suite's folder.

    Raises:
        ArkdError: a column is missing, a name is none, or a seed, a time or a number of threads is
            no number, or none that can be.
    """
    path = run / NAME
    rows = read_csv(path) if path.is_file() else []
    for column in COLUMNS if rows else ():
        if column not in rows[0]:
            raise ArkdError(f"{path}: column {column} is missing; run `arkd collect` again")
    check_names(path, rows)
    found = []
    for row in rows:
        if row["stage"] != "distill" or not row["train_s"]:
            continue
        try:
            training = (row["pair"], row["method"], whole(row["seed"]))
            seconds = received.number(row["train_s"], 0)
            threads = received.number(row.get("threads") or "1", 0, MOST_THREADS)
        except ValueError as error:
            raise ArkdError(f"{path}: {error}; restore it") from None
        found.append((training, seconds, threads))
    return found

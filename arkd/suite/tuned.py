"""The learning rates that committed tuning runs chose."""

from __future__ import annotations

from arkd.errors import ArkdError, nearest
from arkd.paths import benchmarks_dir
from arkd.storage.records import number, read_csv


def tuned_rates(tuning: str | None) -> dict[str, float]:
    """Return the rate that a committed tuning run chose for each method.

    Raises:
        ArkdError: there is no such tuning run.
    """
    if tuning is None:
        return {}
    folder = benchmarks_dir() / "tuning"
    known = {path.stem: path for path in folder.glob("*.csv")}
    if tuning not in known:
        raise ArkdError(
            f"{folder}: no such tuning run: '{tuning:.80}'{nearest(tuning, known)}; correct "
            "distillation.tuning or set it to null"
        )
    rows = read_csv(known[tuning])
    return {row["method"]: number(row["lr"]) for row in rows if row["chosen"] == "1"}

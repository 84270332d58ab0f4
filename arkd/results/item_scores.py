"""The score of every test item, from `items.csv` beside the records."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np

from arkd import exact
from arkd.errors import ArkdError
from arkd.results.records import RUN, read_frame
from arkd.storage.records import ITEM_COLUMNS, number, whole

if TYPE_CHECKING:
    from arkd.results.suite_results import SuiteResults

FILE = "items.csv"


class ItemScores:
    """ROUGE-L of every item by run and decoding seed; scores are 0 to 100.

    Raises:
        ArkdError: the file lacks a column, mixes versions, says something twice, holds a score that
            is no finite number, or has test sets of different lengths under one name.
    """

    def __init__(self, make: SuiteResults) -> None:
        self.make = make
        path = make.tree.root / FILE
        frame = read_frame(path, make.suite, [])
        lacking = [column for column in ITEM_COLUMNS if column not in frame.columns]
        if lacking:
            raise ArkdError(
                f"{path}: column {', '.join(lacking)} is missing; run `arkd collect` again"
            )
        self._scores: dict[tuple[str, str, int, str, int], np.ndarray] = {}
        lengths: dict[tuple[str, str], int] = {}
        for line in frame[frame["metric"] == make.suite.rouge].to_dict("records"):
            where = "/".join(line[name] for name in (*RUN, "task"))
            try:
                values = np.array([number(text) for text in line["values"].split()])
                decoding = whole(line["decode_seed"])
            except ValueError:
                values, decoding = np.array([np.nan]), 0
            if not values.size or not np.isfinite(values).all():
                raise ArkdError(f"{path}: {where}: a score is no finite number; evaluate it again")
            expected = lengths.setdefault((line["pair"], line["task"]), values.size)
            if values.size != expected:
                raise ArkdError(
                    f"{path}: {where}: {values.size} items where others have {expected}; "
                    "evaluate it again"
                )
            key = (line["pair"], line["method"], int(line["seed"]), line["task"], decoding)
            if key in self._scores:
                raise ArkdError(f"{path}: {where}: decoding seed {decoding} stands twice")
            self._scores[key] = values

    def of(self, pair: str, row: str, task: str) -> dict[int, np.ndarray]:
        """Return a row's scores on a test set by training seed, shape [decodings, items].

        A seed of which a decoding is missing has none; unless its run failed, it is noted as
        missing.
        """
        found: dict[int, np.ndarray] = {}
        failed = self.make.failed(pair, row)
        for seed in self.make.expected(row):
            keys = [(pair, row, seed, task, d) for d in self.make.suite.decoding.seeds]
            if all(key in self._scores for key in keys):
                found[seed] = np.stack([self._scores[key] for key in keys])
            elif seed not in failed:
                gaps = self.make.gaps.setdefault(f"{pair}/{row}/seed{seed}", {})
                gaps[f"{FILE} {task}"] = None
        return found

    def means(self, pair: str, row: str, tasks: Iterable[str]) -> dict[int, np.ndarray]:
        """Return each item's mean over decodings, test set after test set, by seed: [items]."""
        parts = [self.of(pair, row, task) for task in tasks]
        shared = [seed for seed in self.make.expected(row) if all(seed in part for part in parts)]
        return {s: np.concatenate([exact.means(part[s], 0) for part in parts]) for s in shared}

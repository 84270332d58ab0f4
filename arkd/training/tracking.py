"""A training watched while it runs: a line of JSON a step, and TensorBoard where a suite says so.

The lines are there for as long as the training is not finished; its `trajectory.csv` then has them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TextIO

from arkd.errors import ArkdError


class Tracker:
    """Writes what each step logs.

    Args:
        lines: The file of JSON lines.
        events: TensorBoard's folder of the run; none: not asked for.

    Raises:
        ArkdError: TensorBoard is asked for and not installed.
    """

    def __init__(self, lines: Path, events: Path | None = None) -> None:
        self.lines = lines
        self.events = events
        self._written: TextIO | None = None
        self._writer: Any = None
        if events is not None:
            try:
                from torch.utils.tensorboard import SummaryWriter
            except ImportError as error:
                raise ArkdError(
                    "tracking: tensorboard is not installed; pip install 'arkd[tracking]'"
                ) from error
            self._make = SummaryWriter

    def start(self, rows: Sequence[Mapping[str, float]]) -> None:
        """Begin with the steps that stand: none, or those of the checkpoint gone on from."""
        self.lines.parent.mkdir(parents=True, exist_ok=True)
        self._written = self.lines.open("w", encoding="utf-8", buffering=1)  # line by line
        self._written.writelines(map(_line, rows))
        if self.events is not None:  # what was written after the checkpoint is hidden
            self._writer = self._make(str(self.events), purge_step=len(rows))

    def add(self, row: Mapping[str, float]) -> None:
        """Write a step, so that it can be read at once."""
        assert self._written is not None, "not started"
        self._written.write(_line(row))
        if self._writer is not None:
            for name, value in row.items():
                if name != "step":
                    self._writer.add_scalar(name, value, int(row["step"]))

    def close(self) -> None:
        """End the lines, and write out what TensorBoard still holds."""
        if self._written is not None:
            self._written.close()
        if self._writer is not None:
            self._writer.close()


def _line(row: Mapping[str, float]) -> str:
    return json.dumps(row) + "\n"

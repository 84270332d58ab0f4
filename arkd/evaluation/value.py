"""One measured number, before it has its place in the records."""

from __future__ import annotations

from dataclasses import dataclass, field

from arkd.metrics.declared import recorded


@dataclass(frozen=True)
class Value:
    """One measured number of a task, with the direction that its metric is declared to have.

    Attributes:
        task: What it was measured on.
        metric: The metric's declared name.
        group: Which items or tokens it is of; empty for all.
        value: The number.
        n: How many items or tokens it averages.

    Raises:
        ArkdError: the metric is not declared.
    """

    task: str
    metric: str
    group: str
    value: float
    n: int
    higher_is_better: bool | None = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "higher_is_better", recorded(self.metric).higher_is_better)

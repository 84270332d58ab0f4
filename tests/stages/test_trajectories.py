"""Trajectories condensed to windows."""

from __future__ import annotations

import pytest

from arkd.stages.trajectories import condense, mean_in_order


def test_a_window_has_the_means_of_its_steps() -> None:
    logged = [1e16, 1.0, -1e16] * 100  # whose exact mean is 1/3, and in this order 0
    rows = [{"step": str(step), "loss": repr(value)} for step, value in enumerate(logged)]
    windows = list(condense(rows))
    assert [window["loss"] for window in windows] == [0.0] * 100
    assert (windows[1]["first_step"], windows[1]["last_step"]) == (3, 5)


@pytest.mark.parametrize(
    ("values", "mean"),
    [
        ([1e16, 1.0, -1e16], 0.0),  # exactly summed it were 1/3; 1e16 + 1 rounds to 1e16
        ([0.1] * 10, 0.9999999999999999 / 10),
    ],
)
def test_a_window_is_summed_in_order_as_the_kept_runs_were(
    values: list[float], mean: float
) -> None:
    """Another sum, as that of Python 3.12, changes last digits of runs that are kept."""
    assert mean_in_order(values) == mean

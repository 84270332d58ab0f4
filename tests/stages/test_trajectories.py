"""Trajectories condensed to windows."""

from __future__ import annotations

from arkd.stages.trajectories import condense


def test_a_window_s_mean_is_exact_whatever_the_order_of_its_steps() -> None:
    logged = [1e16, 1.0, -1e16] * 100  # whose sum in this order is 0
    rows = [{"step": str(step), "loss": repr(value)} for step, value in enumerate(logged)]
    windows = list(condense(rows))
    assert [window["loss"] for window in windows] == [1 / 3] * 100
    assert (windows[1]["first_step"], windows[1]["last_step"]) == (3, 5)

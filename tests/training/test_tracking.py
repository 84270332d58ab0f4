"""What a training shows while it runs."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
from torch import nn

from arkd.errors import ArkdError
from arkd.suite.protocol import Optimisation
from arkd.training.checkpoint import Checkpoint
from arkd.training.loop import optimise
from arkd.training.tracking import Tracker

SETTINGS = Optimisation(steps=6, batch_size=1, lr=0.1)


def train(here: Path, events: Path | None = None, stop: int | None = None) -> Any:
    """Train with a checkpoint every two steps; return the run."""
    model = nn.Linear(1, 1)
    checkpoint = Checkpoint(here / "checkpoint", {}, every_s=0.0)

    def loss(step: int) -> Any:
        checkpoint.every_s = 1e9 if step % 2 == 0 else 0.0
        if step == stop:
            raise KeyboardInterrupt
        return model.weight.sum(), {"alpha": step / 10}

    return optimise(model, SETTINGS, loss, "", checkpoint, tracker=Tracker(here / "lines", events))


def lines(here: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in (here / "lines").read_text().splitlines()]


def test_each_step_is_a_line_at_once_and_none_stands_twice_after_a_kill(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path, stop=5)
    assert [row["step"] for row in lines(tmp_path)] == [0, 1, 2, 3, 4]  # of which 4 is not saved
    run = train(tmp_path)
    assert lines(tmp_path) == run.rows
    assert [row["step"] for row in run.rows] == [*range(6)]


def test_without_tensorboard_a_suite_that_asks_for_it_ends_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with pytest.raises(ArkdError, match=r"pip install 'arkd\[tracking\]'"):
        Tracker(tmp_path / "lines", tmp_path / "events")


def test_tensorboard_reads_what_was_logged(tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    with pytest.raises(KeyboardInterrupt):
        train(tmp_path, tmp_path / "events", stop=5)
    train(tmp_path, tmp_path / "events")
    read = EventAccumulator(str(tmp_path / "events"))
    read.Reload()
    assert sorted(read.Tags()["scalars"]) == ["alpha", "grad_norm", "loss"]
    shown = {event.step: event.value for event in read.Scalars("alpha")}
    assert shown == pytest.approx({step: step / 10 for step in range(6)})

"""A training in several processes: torch's launcher starts the same command in each."""

from __future__ import annotations

import json
import logging
import os
import signal
import sys
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from arkd import processes
from arkd.errors import ArkdError, out_of_memory
from arkd.storage import gpus

ERROR_FILE = "TORCHELASTIC_ERROR_FILE"  # where a process says of what it died
SAVING_S = 300  # for processes that are told to end, and save first
REFUSED, BROKEN = 2, 1  # how it ends after an error of the user's, and after any other


def start(stage: str, options: dict[str, Any], number: int, device: str) -> None:
    """Run a stage's command in several processes on this machine, one GPU each, until all end.

    Args:
        stage: The command.
        options: Its options, by name.
        number: How many processes.
        device: `cpu`, `cuda` or `auto`.

    Raises:
        ArkdError: a process failed; the others were ended. The message is of the one that was
            first.
        SystemExit: this process was told to end, and told the others.
    """
    if device != "cpu":
        gpus.take(number)
    from torch.distributed.elastic.multiprocessing import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.launcher.api import LaunchConfig, elastic_launch

    logging.disable()  # what the launcher has to say is said here, in one line
    words = [word for name, value in options.items() for word in (f"--{name}", str(value))]
    config = LaunchConfig(
        min_nodes=1,
        max_nodes=1,
        nproc_per_node=number,
        run_id=processes.RUN,
        rdzv_backend="c10d",
        rdzv_endpoint="localhost:0",
        max_restarts=0,
        shutdown_timeout=SAVING_S,
    )
    try:
        elastic_launch(config, sys.executable)("-m", "arkd", stage, *words)
    except ChildFailedError as error:
        raise _first(stage, number, error) from None
    except SignalException as caught:
        if caught.sigval == signal.SIGINT:
            raise KeyboardInterrupt from None
        raise SystemExit(128 + caught.sigval) from None


def _first(stage: str, number: int, error: Any) -> ArkdError:
    """Return the error to show: what the others say may be that the first one is gone."""

    def order(rank: int) -> tuple[bool, float]:
        failure = error.failures[rank]
        return failure.exitcode == BROKEN, failure.timestamp

    rank = min(error.failures, key=order)
    failure = error.failures[rank]
    if failure.exitcode == REFUSED:
        return ArkdError(failure.message)
    why = failure.message.strip().splitlines()[-1]
    if failure.exitcode < 0:
        why = f"was killed ({signal.Signals(-failure.exitcode).name})"
    elif failure.exitcode == BROKEN:
        print(failure.message, file=sys.stderr)
        why = f"ended: {why}"
    return ArkdError(
        f"{stage}: process {rank} of {number}, from 0, {why}; run it again, and it goes on from "
        "its last checkpoint"
    )


def record(message: str) -> None:
    """Leave what a process died of where the one that started it finds it."""
    said = {"message": message, "timestamp": int(time.time())}
    Path(os.environ[ERROR_FILE]).write_text(json.dumps(said), encoding="utf-8")


@contextmanager
def one_of_several() -> Iterator[None]:
    """Be one of the processes that `start` started, with a GPU of its own; traces go to that one.

    Raises:
        SystemExit: something was raised that is no error of the user's.
    """
    names = gpus.visible()
    if names:
        os.environ[gpus.VISIBLE] = names[int(os.environ["LOCAL_RANK"])]
    try:
        yield
    except Exception as error:
        if isinstance(error, ArkdError) or out_of_memory(error):
            raise
        record(traceback.format_exc())
        raise SystemExit(BROKEN) from None

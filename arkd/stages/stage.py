"""What the stages share: opening one, what it builds on, and how a training ends."""

from __future__ import annotations

import gc
import importlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from pathlib import Path
from typing import Any

from arkd import kernels, processes
from arkd.errors import ArkdError
from arkd.storage import manifest, stage_writer
from arkd.storage.files import remove_dir
from arkd.storage.records import write_csv
from arkd.suite.folders import TEACHER, TEACHER_SEED, Tree
from arkd.suite.jobs import config_slice, given


def computes(loads: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Let a stage's function choose the suite's kernels before it loads what reads the choice.

    Args:
        loads: The module of `arkd` that imports the libraries which the stage computes with. They
            are imported first of all, without collections of garbage: there is none, and looking
            for it takes a sixth of the time.
    """

    def decorate(stage: Callable[..., None]) -> Callable[..., None]:
        @wraps(stage)
        def chosen(tree: Tree, *axes: Any, **named: Any) -> None:
            kernels.choose(tree.suite.kernels)
            kernels.check_processor()
            gc.disable()
            try:
                importlib.import_module(loads)
            finally:
                gc.enable()
            stage(tree, *axes, **named)

        return chosen

    return decorate


@contextmanager
def open_stage(
    tree: Tree, name: str, out: Path, inputs: dict[str, Path], **axes: Any
) -> Iterator[stage_writer.Stage]:
    """Open a stage's folder with the suite's facts filled in; what a kill would need goes last.

    Args:
        tree: The suite's folders.
        name: Of the stage, by which its slice of the suite is taken.
        out: The stage's folder.
        inputs: Folders and files that it reads, by role, each of them hashed.
        **axes: What the stage is run for: pair, method, seed.
    """
    suite = tree.suite
    config = config_slice(suite, name, axes.get("pair", ""), axes.get("method", ""))
    of_user = given(tree, name, axes.get("pair", ""))
    axes = {"suite": suite.name, "suite_version": suite.version, **axes}
    with stage_writer.stage(
        name, out, inputs=inputs, config=config, given=of_user, **axes
    ) as stage:
        yield stage
    if processes.number() == 0:
        if name in ("teacher", "init", "distill"):
            remove_dir(checkpoint_folder(out))
            metrics_file(out).unlink(missing_ok=True)
        elif name == "evaluate":
            remove_dir(kept_folder(out))


def trained_folder(tree: Tree, pair: str, method: str, seed: int) -> Path:
    """Return the folder of a finished training on which others build.

    Args:
        tree: The suite's folders.
        pair: Name of teacher and student in the suite.
        method: The row's label, or `teacher` or `init`.
        seed: Of the training.

    Raises:
        ArkdError: that training left the finite numbers.
    """
    folder = tree.training(pair, method, seed)
    if manifest.read(folder, ["notes"])["notes"].get("failed"):
        raise ArkdError(
            f"{folder}: this training left the finite numbers, and nothing can be built on it; "
            "lower its rate in the suite"
        )
    return folder


def cache_folders(tree: Tree, pair: str, sources: dict[str, int | None]) -> dict[str, Path]:
    """Return caches by source, each made by the teacher that stands now.

    Raises:
        ArkdError: a cache was made by another teacher.
    """
    current = manifest.digest(tree.training(pair, TEACHER, TEACHER_SEED))
    folders = {source: tree.cache(pair, source, seed) for source, seed in sources.items()}
    for folder in folders.values():
        if manifest.read(folder, ["inputs"])["inputs"].get(TEACHER) != current:
            raise ArkdError(f"{folder}: made by another teacher; delete the folder and run again")
    return folders


def checkpoint_folder(training: Path) -> Path:
    """Return where a killed training leaves its state: beside its folder."""
    return training.parent / "checkpoint"


def checkpoint_of(training: Path, stage: stage_writer.Stage) -> Any:
    """Return the checkpoint of a training."""
    from arkd.training.checkpoint import Checkpoint

    return Checkpoint(checkpoint_folder(training), made_for(stage))


def metrics_file(training: Path) -> Path:
    """Return where a training that runs has a line a step: beside its folder, until it is done."""
    return training.parent / "metrics.jsonl"


def tracker_of(tree: Tree, training: Path) -> Any:
    """Return what shows a training while it runs.

    Raises:
        ArkdError: the suite asks for TensorBoard, which is not installed.
    """
    from arkd.training.tracking import Tracker

    run = training.parent.relative_to(tree.root)
    events = tree.root / "logs" / "tensorboard" / run if tree.suite.tracking else None
    return Tracker(metrics_file(training), events)


def kept_folder(evaluation: Path) -> Path:
    """Return where a killed evaluation leaves what it has measured: beside its folder."""
    return evaluation.parent / "measured"


def made_for(stage: stage_writer.Stage) -> dict[str, Any]:
    """Return what must be the same when a killed stage is taken up again."""
    return {key: stage.made_of[key] for key in ("stage", "config", "inputs", "core", "versions")}


def finish_training(stage: stage_writer.Stage, run: Any) -> None:
    """Write the trajectory and note what the run cost."""
    columns = list(dict.fromkeys(key for row in run.rows for key in row))
    write_csv(stage.folder / "trajectory.csv", columns or ["step"], run.rows)
    trained, padded = (sum(row[column] for row in run.rows) for column in ("tokens", "padding"))
    stage.notes |= {
        "failed": run.failed,
        **{name: round(seconds, 3) for name, seconds in run.spent.items()},
        "tokens": int(trained),
        "tokens_per_s": round(trained / run.spent["train_s"], 1) if run.spent["train_s"] else 0.0,
        "padding_share": round(padded / max(1.0, trained + padded), 4),
    }
    if run.judged:
        best = max(run.judged, key=lambda steps: (run.judged[steps], -steps))
        stage.notes |= {"development": run.judged, "kept_after_steps": best}

"""The evaluation of one method or control: all its seeds, in one process.

Each seed's results are finished and kept before the next; a job for each would start the libraries
as many times, which costs the default suite an eighth of its time.
"""

from __future__ import annotations

from typing import Any

from arkd.paths import benchmarks_dir
from arkd.stages.stage import cache_folders, computes, kept_folder, made_for, open_stage
from arkd.storage import manifest
from arkd.storage.files import write_jsonl
from arkd.storage.records import COLUMNS, ITEM_COLUMNS, write_csv
from arkd.suite.folders import TEACHER, TEACHER_SEED, Tree, seeds


@computes("arkd.evaluation.measure_model")
def evaluate(tree: Tree, pair: str, label: str) -> None:
    """Evaluate every seed of a method or control, in one process."""
    from arkd.evaluation.kept import Kept
    from arkd.evaluation.measure_model import Subject, failed_run, measure_model
    from arkd.models.device import prepare

    suite = tree.suite
    device = prepare(suite.device, suite.training.tf32)
    inputs = {
        "data": tree.data,
        "tasks": benchmarks_dir() / "tasks",
        TEACHER: tree.training(pair, TEACHER, TEACHER_SEED),
        **cache_folders(tree, pair, {"prefixes": None}),
    }
    for seed in seeds(suite, label):
        inputs[f"seed{seed}"] = tree.training(pair, label, seed)
    records: list[dict[str, Any]] = []
    samples: list[dict[str, Any]] = []
    items: list[dict[str, Any]] = []
    out = tree.evaluation(pair, label)
    with open_stage(tree, "evaluate", out, inputs, pair=pair, label=label) as stage:
        kept = Kept(kept_folder(out), made_for(stage))
        for seed in seeds(suite, label):
            of_run: dict[str, Any] = {"suite": suite.name, "suite_version": suite.version}
            of_run |= {"pair": pair, "method": label, "seed": seed}
            if manifest.read(inputs[f"seed{seed}"], ["notes"])["notes"].get("failed"):
                found = failed_run()
            else:
                subject = Subject(tree, pair, label, seed, str(device), stage.proper)
                found = measure_model(subject, kept)
            if found.versions:
                stage.notes["task_versions"] = found.versions
            samples += [{"seed": seed, **text} for text in found.texts]
            records += [{**of_run, "decode_seed": d, **vars(value)} for value, d in found.values]
            items += [
                {**of_run, "decode_seed": d, "task": task, "metric": suite.rouge, "values": scores}
                for task, d, scores in found.items
            ]
        write_csv(stage.folder / "records.csv", COLUMNS, records)
        write_csv(stage.folder / "items.csv", ITEM_COLUMNS, items)
        write_jsonl(stage.folder / "samples.jsonl", samples)

"""Whole folders of runs, written by the real stages' machinery: manifests, hashes and collection.

What is trained and measured is drawn (`simulate`), so a folder takes a second instead of minutes.
A run's bytes follow from its method and seed alone, as those of real runs do: two folders that
hold the same run agree on it.
"""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from simulate import COLUMNS, HIGHER, LOGGED, Row, alpha_at, rows_of

from arkd.audit import merged_suite
from arkd.exchange import form
from arkd.stages.collect import collect
from arkd.stages.stage import open_stage
from arkd.storage.records import ITEM_COLUMNS, write_csv
from arkd.suite.folders import INIT, TEACHER, TEACHER_SEED, UNTRAINED, Tree, methods, seeds
from arkd.suite.jobs import method_files
from arkd.suite.suite import Suite

STEPS = 12


def filled_form(**changes: Any) -> dict[str, Any]:
    """Return a form of a submission with every word of the empty one replaced, as by its author."""
    written = {
        "who": [{"name": "Bea Author", "affiliation": "A University", "contact": "b@example.net"}],
        "method": "The method of a test.",
        "paper": "https://example.net/paper",
        "code": {"url": "https://example.net/code", "commit": "c" * 40},
    }
    return yaml.safe_load(form.EXAMPLE) | written | changes


def write_run(suite: Suite, results: Path, rows: list[Row], *, teacher: str = "teacher") -> Path:
    """Write the folder of a finished run as far as `arkd collect`, and return it.

    Args:
        suite: What is run; every pair, method and seed of it gets its stages.
        results: The folder of all results.
        rows: Records that hold those of the suite's runs, and maybe more.
        teacher: The bytes of the teacher's model.
    """
    tree = Tree(results, suite)
    with open_stage(tree, "data", tree.data, {}) as stage:
        (stage.folder / "train.jsonl").write_text("{}\n")
    for pair in (pair.name for pair in suite.pairs):
        inputs = {"data": tree.data}
        with open_stage(tree, "tokens", tree.tokens(pair), inputs, pair=pair) as stage:
            (stage.folder / "train.safetensors").write_text("tokens")
        inputs = {"tokens": tree.tokens(pair)}
        taught = tree.training(pair, TEACHER, TEACHER_SEED)
        with open_stage(tree, "teacher", taught, inputs, pair=pair, seed=TEACHER_SEED) as stage:
            _model(stage.folder, teacher)
        inputs |= {TEACHER: taught}
        for source, name in {"gold": "cache", "teacher": "cache", "prefixes": "prefixes"}.items():
            read = inputs | ({"data": tree.data} if source == "prefixes" else {})
            own = tree.cache(pair, source)
            with open_stage(tree, name, own, read, pair=pair, source=source, seed=None) as stage:
                (stage.folder / "train.safetensors").write_text(source)
        for seed in suite.seeds:
            for control in (UNTRAINED, INIT):
                out, tokens = tree.training(pair, control, seed), {"tokens": tree.tokens(pair)}
                with open_stage(tree, "init", out, tokens, pair=pair, seed=seed) as stage:
                    stage.notes["control"] = control
                    _model(stage.folder, f"{control} {seed}")
        for entry in suite.entries:
            for seed in suite.seeds_of(entry.label):
                _distill(tree, pair, entry.label, seed)
        for of_pair, method in methods(suite):
            if of_pair == pair:
                _evaluate(tree, pair, method, rows)
    collect(tree)
    return tree.root


def level(method: str, task: str, metric: str) -> float:
    """Put the teacher before all students and the untrained model behind them."""
    good = {TEACHER: 0.9, UNTRAINED: 0.1}.get(method, 0.5)
    better_high = metric in ("rouge_l", "acc", *HIGHER)
    return 30 * good if metric == "rouge_l" else good if better_high else 1 - good


def rows_for(suite: Suite) -> list[Row]:
    """Return the records of a suite with its directions as the real files spell them."""
    spelled = {"true": 1, "false": 0, "": ""}
    return [
        {**row, "higher_is_better": spelled[row["higher_is_better"]]}
        for row in rows_of(suite, level)
    ]


def suite_file(suite: Suite, folder: Path) -> Path:
    """Write a suite's own YAML file, by the rule for a copy that may bear a shipped one's name."""
    path = folder / "suites" / suite.name / "suite.yaml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(yaml.safe_dump(merged_suite.plain(suite), sort_keys=False))
    return path


def read(path: Path) -> list[dict[str, str]]:
    """Return the rows of a CSV file."""
    with path.open(encoding="utf-8", newline="") as lines:
        return list(csv.DictReader(lines))


def _model(folder: Path, content: str) -> None:
    (folder / "model").mkdir()
    (folder / "model" / "model.safetensors").write_text(content)
    (folder / "model" / "config.json").write_text("{}")


def _distill(tree: Tree, pair: str, method: str, seed: int) -> None:
    inputs = {
        "tokens": tree.tokens(pair),
        INIT: tree.training(pair, INIT, seed),
        TEACHER: tree.training(pair, TEACHER, TEACHER_SEED),
        "gold_responses": tree.cache(pair, "gold"),
    }
    own, *read = map(Path, method_files(tree.suite, method))
    inputs |= {"method": own, **{str(path): path for path in read}}
    out = tree.training(pair, method, seed)
    with open_stage(tree, "distill", out, inputs, pair=pair, method=method, seed=seed) as stage:
        draw = np.random.default_rng([seed, *method.encode()])
        rows = []
        for step in range(STEPS):
            fkl, rkl = draw.random(2)
            row = {"step": step, "loss": fkl + rkl, "fkl": fkl, "rkl": rkl}
            alpha = alpha_at(method.split("@")[0], step / STEPS, draw)
            rows.append(row | ({} if alpha is None else {"alpha": float(alpha)}))
        write_csv(stage.folder / "trajectory.csv", LOGGED, rows)
        stage.notes |= {
            "train_s": 1.5,
            "train_processor_s": 1.4,
            "tokens": 1000,
            "tokens_per_s": 666.7,
            "failed": False,
        }
        _model(stage.folder, f"{method} {seed}")


def _evaluate(tree: Tree, pair: str, method: str, rows: list[Row]) -> None:
    own = [
        {**row, "suite": tree.suite.name}
        for row in rows
        if (row["pair"], row["method"]) == (pair, method)
        and row["seed"] in seeds(tree.suite, method)
    ]
    count = getattr(tree.suite.data, "test_items", 2)  # as many as a real run has
    items = [
        {**row, "values": [float(row["value"]) + (-1) ** item for item in range(count)]}
        for row in own
        if row["metric"] == "rouge_l"
    ]
    inputs = {
        "data": tree.data,
        TEACHER: tree.training(pair, TEACHER, TEACHER_SEED),
        "prefixes": tree.cache(pair, "prefixes"),
        **{f"seed{s}": tree.training(pair, method, s) for s in seeds(tree.suite, method)},
    }
    out = tree.evaluation(pair, method)
    with open_stage(tree, "evaluate", out, inputs, pair=pair, label=method) as stage:
        write_csv(stage.folder / "records.csv", COLUMNS, own)
        write_csv(stage.folder / "items.csv", ITEM_COLUMNS, items)
        (stage.folder / "samples.jsonl").write_text("{}\n")

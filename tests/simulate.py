"""Results of a suite as the pipeline would write them, drawn from a seeded generator.

The numbers are drawn, the files are whole: every test set, metric, group, seed and decoding seed
that the tables ask for, with the columns of the real files.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import yaml

from arkd.stages import trajectories
from arkd.storage.records import write_csv
from arkd.suite.folders import Tree, seeds
from arkd.suite.load import load_suite
from arkd.suite.protocol import MethodEntry
from arkd.suite.suite import Suite
from arkd.tables.builder import Builder
from arkd.tables.kinds import public
from arkd.tables.table import Layout

COLUMNS = [
    *("suite", "suite_version", "pair", "method", "seed", "decode_seed", "task", "metric", "group"),
    *("value", "n", "higher_is_better"),
]
COST_COLUMNS = [
    *("suite", "suite_version", "pair", "method", "seed", "stage", "wall_s", "train_s", "tokens"),
    *("tokens_per_s", "peak_mib", "threads", "host"),
]
LOWER = ("fkl", "rkl", "jsd", "tvd", "fkl_head", "fkl_tail", "rkl_head", "rkl_tail", "ece")
HIGHER = ("tail_recall", "tail_precision", "agreement_top1", "agreement_top5")
NEITHER = ("tail_mass_ratio", "entropy_gap")
BINS = ("rank_1", "rank_2_10", "rank_11_100", "rank_101_1000", "rank_1001_up")
KINDS = ("", "certain", "certain_head", "certain_tail", "ambiguous", "ratio90", "unseen")
STEPS = 60
LOGGED = ("step", "loss", "fkl", "rkl", "alpha", "policy_alpha", "grad_norm", "reward", "baseline")

Row = dict[str, Any]
Level = Callable[[str, str, str], float]  # of (method, task, metric)


def suite_of(
    methods: Iterable[str] = ("forward_kl", "reverse_kl", "arkd"), **changes: Any
) -> Suite:
    """Return the suite `longtail` with other methods (and seeds, pairs …).

    A method is a label, with `seeds` among its parameters where it has fewer than the suite.
    """
    base = load_suite("longtail")
    entries = [MethodEntry.model_validate(_entry(label)) for label in methods]
    return base.model_copy(update={"methods": tuple(entries), "lr_grid": (), **changes})


def laid_out(kind: ModuleType, make: Builder) -> Layout:
    """Return what a kind of table shows of a suite that has something for it."""
    layout = kind.build(make)
    assert layout is not None
    return layout


def _entry(label: str) -> Row:
    name, _, params = label.partition("@")
    pairs = (part.split("=") for part in params.split(",") if part)
    return {"name": name, **{key: yaml.safe_load(value) for key, value in pairs}}


def flat(method: str, task: str, metric: str) -> float:
    """Give every method the same expectation."""
    return 30.0 if metric == "rouge_l" else 0.5


def rows_of(suite: Suite, level: Level = flat, sd: float = 0.01, seed: int = 0) -> list[Row]:
    """Return the rows of `records.csv`: level + noise that methods of a seed do not share."""
    draw = np.random.default_rng(seed)
    rows = []
    for pair in suite.pairs:
        for method in ("teacher", "untrained", "init", *(e.label for e in suite.entries)):
            for run in seeds(suite, method):
                for task, metric, group, decode, higher in _quantities(suite):
                    value = level(method, task, metric) + sd * draw.standard_normal()
                    head = (suite.name, suite.version, pair.name, method, run, decode)
                    line = (*head, task, metric, group, repr(float(value)), 100, higher)
                    rows.append(dict(zip(COLUMNS, line, strict=True)))
    return rows


def _quantities(suite: Suite) -> list[tuple[str, str, str, str, str]]:
    found = [
        (task, "rouge_l", "", str(decode), "true")
        for task in suite.test_sets
        for decode in suite.decoding.seeds
    ]
    found += [(task, "acc", "", "", "true") for task in suite.choice_tasks]
    if suite.perplexity_task:
        found.append((suite.perplexity_task, "word_perplexity", "", "", "false"))
    for column in public.columns(suite):
        higher = "false" if column.metric == "perplexity" else "true"
        found.append((column.task, column.metric, column.group, "", higher))
    for metrics, higher in ((LOWER, "false"), (HIGHER, "true"), (NEITHER, "")):
        found += [("fidelity_gold", metric, "", "", higher) for metric in metrics]
    found += [
        ("fidelity_gold", metric, group, "", "false")
        for metric in ("abs_gap", "fkl", "rkl")
        for group in BINS
    ]
    for kind in KINDS:
        found.append(("truth", "truth_error", kind, "", "false"))
        found.append(("truth", "truth_entropy_gap", kind, "", ""))
    return found


def failed_row(suite: Suite, method: str, seed: int) -> Row:
    """Return the row that stands for a failed run."""
    values = (suite.name, suite.version, suite.pairs[0].name, method, seed, "")
    return dict(zip(COLUMNS, (*values, "run", "failed", "", 1, 1, "false"), strict=True))


def cost_rows(suite: Suite) -> list[Row]:
    """Return the rows of `cost.csv`; training takes 10 s, 1 s more for each further method."""
    rows = []
    for pair in suite.pairs:
        for place, entry in enumerate(suite.entries):
            for seed in seeds(suite, entry.label):
                head = (suite.name, suite.version, pair.name, entry.label, seed)
                train_s = 10.0 + place + 0.1 * seed
                line = (train_s + 5, train_s, 5000, 5000 / train_s, 900 + seed, 1, "host")
                rows.append(dict(zip(COST_COLUMNS, (*head, "distill", *line), strict=True)))
                line = (30.0, "", "", "", 1200, 1, "host")
                rows.append(dict(zip(COST_COLUMNS, (*head, "evaluate", *line), strict=True)))
    return rows


def save(suite: Suite, root: Path, rows: list[Row], costs: list[Row] | None = None) -> Path:
    """Write records, cost, trajectories and manifests below `root` and return `root`."""
    folder = root / suite.name
    folder.mkdir(parents=True, exist_ok=True)
    _write(folder / "records.csv", COLUMNS, rows)
    _write(folder / "cost.csv", COST_COLUMNS, cost_rows(suite) if costs is None else costs)
    manifest = {
        "stage": "collect",
        "core": "0123456789abcdef",
        "versions": {"python": "3.11.0", "torch": "2.13.0"},
        "git": {"commit": "f" * 40, "dirty": False},
        "host": {"processor": "a <processor> & more", "system": "Linux", "cores": 2},
        "wall_s": 1.0,
        "notes": {},
    }
    (folder / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
    draw = np.random.default_rng(1)
    runs = [(pair.name, entry.label) for pair in suite.pairs for entry in suite.entries]
    for pair, method in runs:
        for seed in seeds(suite, method):
            run = Tree(root, suite).training(pair, method, seed)
            run.mkdir(parents=True, exist_ok=True)
            hashed = {"outputs": {"model/model.safetensors": f"{method}-{seed}"}}
            (run / "manifest.json").write_text(json.dumps(hashed), encoding="utf-8")
            write_csv(run / "trajectory.csv", LOGGED, _trajectory(method.split("@")[0], draw))
    condense(root, suite)
    return root


def lose_curves(root: Path, suite: Suite, method: str, *lost: int) -> None:
    """Remove what some seeds of a method logged, and condense again."""
    for pair in suite.pairs:
        for seed in lost:
            (Tree(root, suite).training(pair.name, method, seed) / "trajectory.csv").unlink()
    condense(root, suite)


def condense(root: Path, suite: Suite) -> None:
    """Write `trajectories.csv` from what the trainings logged, as `arkd collect` does."""
    runs = [(pair.name, entry.label) for pair in suite.pairs for entry in suite.entries]
    trajectories.write(Tree(root, suite), runs)


def alpha_at(method: str, share: float, draw: np.random.Generator) -> float | None:
    """Return an α at a share of training, of the kind that a method logs."""
    known = {
        "arkd": 0.5 + 0.2 * share,
        "arkd_sampled": 1 / (1 + np.exp(4 * share)),
        "frozen_policy": 0.5,
        "akl": 0.6 + 0.05 * draw.standard_normal(),
        "greedy_min": float(draw.random() < 1 - share),
        "random_alpha": draw.random(),
        "arkd_code": float(draw.random() < 0.5),
        "linear_dec": 1 - share,
        "linear_inc": share,
        "static_018": 0.18,
        "replay_figure5": 0.5 - 0.32 * share,
        "forward_kl": 1.0,
        "reverse_kl": 0.0,
        "fixed_mix": 0.5,
    }
    return known.get(method)


def _trajectory(method: str, draw: np.random.Generator) -> list[Row]:
    rows = []
    for step in range(STEPS):
        fkl, rkl = np.exp(-step / 30) + 0.1 * draw.random(2)
        loss = 0.5 * (fkl + rkl)
        row = {"step": step, "loss": loss, "fkl": fkl, "rkl": rkl, "grad_norm": 1.0}
        alpha = alpha_at(method, step / (STEPS - 1), draw)
        row |= {"alpha": alpha} if alpha is not None else {}
        if method == "arkd":
            row |= {"reward": -loss, "baseline": -loss}
        if method == "arkd_code":
            row |= (
                {"policy_alpha": 0.5, "reward": -0.5} if step % 10 == 9 else {"policy_alpha": 0.5}
            )
        rows.append({key: float(value) for key, value in row.items()} | {"step": step})
    return rows


def _write(path: Path, columns: list[str], rows: list[Row]) -> None:
    with path.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, columns, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)

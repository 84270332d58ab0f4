"""Pure helpers of the Snakefile: where things lie and what depends on what."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from arkd.data import public_tasks as public
from arkd.data import source as sources
from arkd.method import Method
from arkd.paths import benchmarks_dir
from arkd.storage import given as of_user
from arkd.suite import registry, rows
from arkd.suite.folders import INIT, TEACHER, TEACHER_SEED, Tree, methods, seeds
from arkd.suite.settings import Cut, Folder, Hub
from arkd.suite.suite import Suite


def cached_sources(suite: Suite, label: str) -> list[str]:
    """Return the response sets that a method needs from the cache.

    A method that reads no teacher takes the gold responses from the tokens and waits for nobody.
    """
    entry = suite.entry(label)
    method = rows.build(entry)
    beforehand = rows.sources(method, suite.settings(entry))
    return [source for source in beforehand if source != "gold" or method.reads_teacher]


def asks_teacher(method: Method) -> bool:
    """Tell whether a training needs the teacher: its values, its samples or its rewards."""
    return bool({"teacher_logits", "teacher_samples", "rewards"} & set(method.required))


def data_inputs(tree: Tree) -> list[str]:
    """Return what the data wait for: a user's own files, and the template of their tasks.

    Raises:
        ArkdError: the suite joins blocks, each of which has data and runs of its own.
    """
    tree.refuse_worlds()
    tests = sources.find(tree.suite.data.source).tests
    files = [*own_files(tree).values(), *([sources.task_template()] if tests else [])]
    return [str(path) for path in files]


def own_files(tree: Tree) -> dict[str, Path]:
    """Return the user's own files of which the data are made, by the setting that names them."""
    spec, tasks = tree.placed_data, tree.suite.public_tasks
    files = dict(sources.find(spec.source).inputs(spec))
    return files | public.own_files(tasks, getattr(spec, "data_dir", None))


def given(tree: Tree, stage: str, pair: str = "") -> dict[str, str]:
    """Return the hashes of the user's own models and files that a stage reads, by their role.

    A tokenizer does not depend on the weights that lie beside it.
    """
    found: dict[str, tuple[Path, bool]] = {}
    if stage == "data":
        found = {f"data.{setting}": (path, True) for setting, path in own_files(tree).items()}
    elif stage in READ_BY:
        models = tree.pair(pair)
        for role in READ_BY[stage]:
            if isinstance(spec := getattr(models, role), Folder):
                what = f"{role} tokenizer" if stage == "tokens" else role
                found[what] = (Path(spec.path), stage != "tokens")
    return {
        f"{of_user.ROLE}{role}": of_user.digest(path, tree.root, weights=weights)
        for role, (path, weights) in found.items()
    }


READ_BY = {"tokens": ("teacher", "student"), "teacher": ("teacher",), "init": ("student",)}


def start_inputs(tree: Tree, pair: str) -> list[str]:
    """Return what a student's start waits for besides its tokens: the teacher it is cut from."""
    cut = isinstance(tree.suite.pair(pair).student, Cut)
    return [_made(tree.training(pair, TEACHER, TEACHER_SEED))] if cut else []


def cache_inputs(tree: Tree, pair: str, seed: int | None = None) -> list[str]:
    """Return what a response set waits for; the student's belongs to a seed, whose start draws."""
    start = [] if seed is None else [_made(tree.training(pair, INIT, seed))]
    return [_made(tree.tokens(pair)), _made(tree.training(pair, TEACHER, TEACHER_SEED)), *start]


def distill_inputs(tree: Tree, pair: str, method: str, seed: int) -> list[str]:
    """Return what a distillation waits for.

    Tokens and start, the teacher if it asks it, the cached response sets it trains on, the run that
    it replays, and the method's own files.

    Args:
        tree: The suite's folders.
        pair: Whose student is trained.
        method: The row of the tables that trains it.
        seed: Of the training.
    """
    built = rows.build(tree.suite.entry(method))
    asks = asks_teacher(built)
    teacher = [_made(tree.training(pair, TEACHER, TEACHER_SEED))] if asks else []
    replayed = [_made(tree.training(pair, built.replays, seed))] if built.replays else []
    caches = [
        _made(tree.cache(pair, source, seed if source == "student" else None))
        for source in cached_sources(tree.suite, method)
    ]
    shared = [_made(tree.tokens(pair)), _made(tree.training(pair, INIT, seed))]
    return shared + teacher + caches + replayed + method_files(tree.suite, method)


def evaluate_inputs(tree: Tree, pair: str, method: str) -> list[str]:
    """Return what the evaluation of a method waits for."""
    return [
        *sorted(str(path) for path in (benchmarks_dir() / "tasks").rglob("*.yaml")),
        _made(tree.data),
        _made(tree.cache(pair, "prefixes")),
        *(_made(tree.training(pair, method, seed)) for seed in seeds(tree.suite, method)),
    ]


def collect_inputs(tree: Tree) -> list[str]:
    """Return the evaluations of every row of the tables; of several worlds, their records."""
    if tree.suite.worlds:
        return [_made(block.root) for block in tree.blocks.values()]
    return [_made(tree.evaluation(pair, method)) for pair, method in methods(tree.suite)]


def _made(folder: Path) -> str:
    return str(folder / "manifest.json")


def config_slice(suite: Suite, stage: str, pair: str = "", method: str = "") -> dict[str, Any]:
    """Return the part of a suite on which a stage's files depend: its change reruns the stage.

    Args:
        suite: The suite.
        stage: The stage's name.
        pair: Which pair, for a stage that is run for each.
        method: Which row of the tables, likewise.
    """
    of_pair = suite.pair(pair) if pair else None
    parts: dict[str, Any] = {}
    if stage == "data":
        parts = {"data": suite.data}
    elif stage == "tokens" and of_pair:
        parts = {"teacher": of_pair.teacher, "max_tokens": suite.max_tokens}
        if isinstance(of_pair.student, Folder | Hub):
            parts["student"] = of_pair.student
    elif stage == "teacher" and of_pair:
        parts = {"teacher": of_pair.teacher, "training": of_pair.teacher_training}
        parts |= {"lora": of_pair.teacher_lora, "run": suite.training}
    elif stage == "init" and of_pair:
        parts = {"student": of_pair.student, "training": suite.student_start}
        parts |= {"lora": of_pair.lora, "run": suite.training}
    elif stage in ("cache", "prefixes"):
        parts = {
            "dtype": suite.cache_dtype,
            "precision": suite.training.precision,
            **suite.decoding.model_dump(include={"max_new_tokens", "batch_size", "engine"}),
        }
        if stage == "prefixes":  # of measurements, on which no training depends
            parts |= {"prefixes": suite.tail.prefixes, "test_sets": suite.test_sets}
            parts |= {"items_per_set": suite.tail.items_per_set}
    elif stage == "distill":
        entry = suite.entry(method)
        method_ = rows.build(entry)
        settings = suite.settings(entry)
        parts = {"distillation": settings, "parameters": method_.params}
        parts |= {"lora": suite.pair(pair).lora, "run": suite.training}
        if rows.draws(method_, settings, "student") or "rewards" in method_.required:
            parts["max_new_tokens"] = suite.decoding.max_new_tokens
    elif stage == "evaluate":
        parts = {
            "decoding": suite.decoding,
            "precision": suite.training.precision,
            "tail": suite.tail,
            "test_sets": suite.test_sets,
            "choice_tasks": suite.choice_tasks,
            "perplexity_task": suite.perplexity_task,
            "open_tasks": suite.open_tasks,
            "bertscore": suite.bertscore,
            "mauve": suite.mauve,
        }
        if suite.distillation.teacher_support != "exact":  # what is stored is measured as well
            stored = ("teacher_support", "teacher_support_size", "teacher_support_mass")
            parts |= {key: getattr(suite.distillation, key) for key in (*stored, "temperature")}
    elif stage == "collect":
        parts = {
            "methods": methods(suite),
            "seeds": {m: seeds(suite, m) for _, m in methods(suite)},
        }
        parts |= {"worlds": suite.worlds} if suite.worlds else {}
    runs = {
        "teacher": of_pair and of_pair.teacher_training,
        "init": suite.student_start,
        "distill": suite.distillation,
    }
    if (run := runs.get(stage)) and run.selection and run.selection.metric == "rouge_l":
        parts["decoding"] = suite.decoding  # of the answers by which a state is selected
    scores = stage == "evaluate" or "decoding" in parts or "max_new_tokens" in parts
    if suite.rouge != "rouge_l" and (scores or stage == "data"):
        parts["rouge"] = suite.rouge
    if suite.training.tf32 and stage in ("cache", "prefixes", "evaluate"):
        parts["tf32"] = True
    if suite.public_tasks and stage in ("data", "evaluate"):
        parts |= {"public_tasks": suite.public_tasks, "public_items": suite.public_items}
    parts |= {"version": suite.version, "device": suite.device, "kernels": suite.kernels}
    return {key: _plain(value) for key, value in parts.items()}


def as_set(suite: Suite, made: dict[str, Any]) -> bool:
    """Tell whether a stage's manifest has the settings that the suite has for it now."""
    axes = made.get("pair", ""), made.get("method", "")
    return bool(made["config"] == config_slice(suite, made["stage"], *axes))


def cache_stage(source: str) -> str:
    """Return the stage of a set of responses: no training reads the prefixes, unlike the others."""
    return "prefixes" if source == "prefixes" else "cache"


def fingerprint(suite: Suite, stage: str, pair: str = "", method: str = "") -> str:
    """Return a stage's slice as one line of JSON, for Snakemake to compare; see `config_slice`.

    Args:
        suite: Whose settings are sliced.
        stage: A stage of the workflow.
        pair: Name of teacher and student; "" for a stage that is not run for each pair.
        method: A row's label; "" for a stage that is not run for each row.
    """
    return json.dumps(config_slice(suite, stage, pair, method), sort_keys=True)


def method_files(suite: Suite, label: str) -> list[str]:
    """Return the files whose edit reruns a method, and that method alone.

    Inside the working folder their paths are relative, so that a checkout can be moved.
    """
    name = suite.entry(label).name
    file = registry.plugin(name).file
    read = [benchmarks_dir() / path for path in registry.method_class(name).reads]
    here = Path.cwd()
    return [
        str(path.relative_to(here) if path.is_relative_to(here) else path)
        for path in ([file] if file else []) + read
    ]


def _plain(value: Any) -> Any:
    """Return a model of the suite as plain JSON values."""
    if hasattr(value, "model_dump"):
        return value.model_dump(mode="json")
    return json.loads(json.dumps(value))

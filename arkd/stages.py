"""The stages of the pipeline, one function each: read earlier folders, write one folder.

The heavy libraries are imported inside the functions, so that a stage loads only what it needs.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

from arkd import manifest, registry
from arkd.data import longtail, smollm2
from arkd.errors import ArkdError
from arkd.files import read_json, read_jsonl, write_jsonl
from arkd.paths import benchmarks_dir
from arkd.records import COLUMNS, write_csv
from arkd.seeding import derive_seed
from arkd.settings import Cut, Folder, Pretrained, Scratch
from arkd.workflow import (
    INIT,
    TEACHER,
    TEACHER_SEED,
    UNTRAINED,
    Tree,
    asks_teacher,
    cached_sources,
    config_slice,
    seeds,
)


@contextmanager
def _stage(
    tree: Tree, name: str, out: Path, inputs: dict[str, Path], **axes: Any
) -> Iterator[manifest.Stage]:
    """Open a stage's folder with the suite's facts filled in; a training's checkpoint goes last."""
    suite = tree.suite
    config = config_slice(suite, name, axes.get("pair", ""), axes.get("method", ""))
    axes = {"suite": suite.name, "suite_version": suite.version, **axes}
    with manifest.stage(name, out, inputs=inputs, config=config, **axes) as stage:
        yield stage
    if name in ("teacher", "init", "distill"):
        shutil.rmtree(_checkpoint_folder(out), ignore_errors=True)


def data(tree: Tree) -> None:
    """Write the suite's text: training sets, tests and probes."""
    spec = tree.suite.data
    with _stage(tree, "data", tree.data, {}) as stage:
        builder = longtail if isinstance(spec, longtail.LongtailSpec) else smollm2
        stage.notes["summary"] = builder.build(cast(Any, spec), stage.folder)


def tokens(tree: Tree, pair: str) -> None:
    """Train or fetch the pair's tokenizer, and encode every gold response."""
    from arkd.data.tokens import encode, load_tokenizer, train_tokenizer

    suite, teacher = tree.suite, tree.suite.pair(pair).teacher
    with _stage(tree, "tokens", tree.tokens(pair), {"data": tree.data}, pair=pair) as stage:
        folder = stage.folder / "tokenizer"
        if isinstance(teacher, Scratch):
            texts = (
                row["prompt"] + row["response"]
                for row in read_jsonl(tree.data / "teacher_train.jsonl")
            )
            train_tokenizer(texts, teacher.vocabulary, folder)
        elif isinstance(teacher, Pretrained):
            from arkd.pretrained import convert_tokenizer

            convert_tokenizer(folder)
        else:
            from arkd.models import copy_tokenizer

            copy_tokenizer(_folder(teacher), folder)
        tokenizer = load_tokenizer(folder)
        names = ["train", "dev"]
        if (tree.data / "teacher_train.jsonl").is_file():
            names.append("teacher_train")
        dropped = {}
        for name in names:
            texts_ = read_jsonl(tree.data / f"{name}.jsonl")
            encoded, dropped[name] = encode(tokenizer, texts_, suite.max_tokens)
            encoded.save(stage.folder / f"{name}.safetensors")
        stage.notes |= {"vocabulary": len(tokenizer), "rows_too_long": dropped}


def teacher(tree: Tree, pair: str) -> None:
    """Train, convert or copy the pair's teacher."""
    from arkd import models, training
    from arkd.cache import save_head
    from arkd.data.tokens import TokenSet, load_tokenizer
    from arkd.device import prepare

    spec, suite = tree.suite.pair(pair), tree.suite
    device = prepare(suite.device)
    tokens_dir = tree.tokens(pair)
    out = tree.training(pair, TEACHER, TEACHER_SEED)
    with _stage(
        tree, "teacher", out, {"tokens": tokens_dir}, pair=pair, seed=TEACHER_SEED
    ) as stage:
        folder = stage.folder / "model"
        trained = spec.teacher_training
        if isinstance(spec.teacher, Pretrained):
            from arkd.pretrained import convert_smollm2

            convert_smollm2(tokens_dir / "tokenizer", folder)
            model = models.load(folder, device)
        elif isinstance(spec.teacher, Folder):
            model = models.load(_folder(spec.teacher), device)
        else:
            tokenizer = load_tokenizer(tokens_dir / "tokenizer")
            model = models.build(spec.teacher, tokenizer, "teacher").to(device)
        facts = {"parameters": models.parameters(model), "trained_on_the_suite": bool(trained)}
        stage.notes |= facts
        if trained:
            train_set = TokenSet.load(tokens_dir / "teacher_train.safetensors")
            checkpoint = _checkpoint(out, stage)
            run = training.fit_language_model(
                model, train_set, trained, "teacher", "teacher", checkpoint=checkpoint
            )
            _finish_training(stage, run)
        if not isinstance(spec.teacher, Pretrained) or trained:
            card = models.card(f"Teacher of {suite.name}/{pair}", facts)
            models.save(model, tokens_dir / "tokenizer", folder, card)
        save_head(stage.folder, model)


def init(tree: Tree, pair: str, seed: int) -> None:
    """Build the untrained student of a seed, and its SFT start, shared by all methods."""
    from arkd import models, training
    from arkd.data.tokens import TokenSet, load_tokenizer
    from arkd.device import prepare

    spec, suite = tree.suite.pair(pair), tree.suite
    device = prepare(suite.device)
    tokens_dir = tree.tokens(pair)
    inputs = {"tokens": tokens_dir}
    if isinstance(spec.student, Cut):
        inputs[TEACHER] = _trained(tree, pair, TEACHER, TEACHER_SEED)
    untrained = tree.training(pair, UNTRAINED, seed)
    with _stage(tree, "init", untrained, inputs, pair=pair, seed=seed) as stage:
        stage.notes["control"] = UNTRAINED
        folder = stage.folder / "model"
        if isinstance(spec.student, Cut):
            from arkd.pretrained import cut_student

            cut_student(tree.model(pair, TEACHER, TEACHER_SEED), folder, spec.student.layers)
        else:
            tokenizer = load_tokenizer(tokens_dir / "tokenizer")
            model = models.build(spec.student, tokenizer, "student", seed)
            card = models.card(f"Untrained student of {suite.name}/{pair}", {"seed": seed})
            models.save(model, tokens_dir / "tokenizer", folder, card)
    with _stage(
        tree, "init", tree.training(pair, INIT, seed), inputs, pair=pair, seed=seed
    ) as stage:
        stage.notes["control"] = INIT
        model = models.load(untrained / "model", device)
        train_set = TokenSet.load(tokens_dir / "train.safetensors")
        checkpoint = _checkpoint(tree.training(pair, INIT, seed), stage)
        run = training.fit_language_model(
            model,
            train_set,
            suite.student_start,
            f"start, seed {seed}",
            "start",
            seed,
            checkpoint=checkpoint,
        )
        _finish_training(stage, run)
        facts = {"parameters": models.parameters(model), "seed": seed}
        card = models.card(f"SFT start of {suite.name}/{pair}", facts)
        models.save(model, tokens_dir / "tokenizer", stage.folder / "model", card)


def cache(tree: Tree, pair: str, source: str, seed: int | None = None) -> None:
    """Run the teacher once over a response set.

    `gold`, `teacher` and `student` are the sets that methods train on; `prefixes` are the ones on
    which fidelity is measured: development, and the tests with gold and with sampled responses.
    """
    from arkd import cache as teacher_cache
    from arkd import models
    from arkd.data.tokens import TokenSet, encode, load_tokenizer
    from arkd.device import prepare
    from arkd.generate import sample

    suite = tree.suite
    device = prepare(suite.device)
    tokens_dir = tree.tokens(pair)
    inputs = {"tokens": tokens_dir, TEACHER: _trained(tree, pair, TEACHER, TEACHER_SEED)}
    if source == "prefixes":
        inputs["data"] = tree.data
    if seed is not None:
        inputs[INIT] = _trained(tree, pair, INIT, seed)
    out = tree.cache(pair, source, seed)
    with _stage(tree, "cache", out, inputs, pair=pair, source=source, seed=seed) as stage:
        model = models.load(tree.model(pair, TEACHER, TEACHER_SEED), device)
        sampler = model if seed is None else models.load(tree.model(pair, INIT, seed), device)

        vocabulary = read_json(tokens_dir / manifest.NAME)["notes"]["vocabulary"]

        def sampled(asked: TokenSet, name: str) -> TokenSet:
            prompts = [asked.prompt(row) for row in range(len(asked))]
            answers = sample(
                sampler,
                prompts,
                seed=derive_seed("responses", source, name, seed or 0),
                max_new_tokens=suite.decoding.max_new_tokens,
                batch_size=suite.decoding.batch_size,
                vocabulary=vocabulary,
                label=f"samples, {source} {name}",
            )
            return TokenSet.of(zip(prompts, answers, strict=True))

        def add(name: str, responses: TokenSet) -> None:
            hidden = teacher_cache.hidden_responses(model, responses, f"cache, {source} {name}")
            teacher_cache.save(stage.folder, name, responses, hidden)
            stage.notes[f"{name}_response_tokens"] = len(hidden)

        if source != "prefixes":
            train = TokenSet.load(tokens_dir / "train.safetensors")
            add("train", train if source == "gold" else sampled(train, "train"))
            return
        add("dev", TokenSet.load(tokens_dir / "dev.safetensors"))
        tests = [
            {**row, "set": name}
            for name in suite.test_sets
            for row in read_jsonl(tree.data / f"test_{name}.jsonl")[: suite.tail.items_per_set]
        ]
        items = [{"set": row["set"], "band": row["band"]} for row in tests]
        write_jsonl(stage.folder / "items.jsonl", items)
        tokenizer = load_tokenizer(tokens_dir / "tokenizer")
        gold, _ = encode(tokenizer, tests, max_tokens=10**9)
        for prefix in suite.tail.prefixes:
            if prefix != "student":
                add(prefix, gold if prefix == "gold" else sampled(gold, "test"))


def _trained(tree: Tree, pair: str, method: str, seed: int) -> Path:
    """Return the folder of a finished training on which others build.

    Raises:
        ArkdError: that training left the finite numbers.
    """
    folder = tree.training(pair, method, seed)
    if read_json(folder / manifest.NAME)["notes"].get("failed"):
        raise ArkdError(
            f"{folder}: this training left the finite numbers, and nothing can be built on it; "
            "lower its rate in the suite"
        )
    return folder


def _caches(tree: Tree, pair: str, sources: dict[str, int | None]) -> dict[str, Path]:
    """Return caches by source, each made by the teacher that stands now.

    Raises:
        ArkdError: a cache was made by another teacher.
    """
    current = manifest.digest(tree.training(pair, TEACHER, TEACHER_SEED))
    folders = {source: tree.cache(pair, source, seed) for source, seed in sources.items()}
    for folder in folders.values():
        if read_json(folder / manifest.NAME)["inputs"][TEACHER] != current:
            raise ArkdError(f"{folder}: made by another teacher; delete the folder and run again")
    return folders


def distill(tree: Tree, pair: str, label: str, seed: int) -> None:
    """Train one student by one method."""
    from arkd import cache as teacher_cache
    from arkd import models
    from arkd.cache import Evidence
    from arkd.data.tokens import TokenSet
    from arkd.device import prepare
    from arkd.distill import Sources
    from arkd.distill import distill as train

    suite = tree.suite
    entry = suite.entry(label)
    method = registry.build(entry)
    settings = suite.settings(entry)
    device = prepare(suite.device)
    inputs = {"tokens": tree.tokens(pair), INIT: _trained(tree, pair, INIT, seed)}
    if asks_teacher(method):
        inputs[TEACHER] = _trained(tree, pair, TEACHER, TEACHER_SEED)
    sources = cached_sources(suite, label)
    caches = (
        _caches(tree, pair, {s: seed if s == "student" else None for s in sources})
        if sources
        else {}
    )
    inputs |= {f"{source}_responses": folder for source, folder in caches.items()}
    file = registry.plugin(entry.name).file
    if file:
        inputs["method"] = file
    inputs |= {path: benchmarks_dir() / path for path in method.reads}
    with _stage(
        tree,
        "distill",
        tree.training(pair, label, seed),
        inputs,
        pair=pair,
        method=label,
        seed=seed,
    ) as stage:
        sets = {source: teacher_cache.load(folder, "train") for source, folder in caches.items()}
        tokens_dir = tree.tokens(pair)
        if "gold" not in sets:
            sets["gold"] = Evidence(TokenSet.load(tokens_dir / "train.safetensors"))
        read = Sources(
            cast(Any, sets),
            teacher_cache.load_head(inputs[TEACHER]) if method.reads_teacher else None,
            lambda: models.load(tree.model(pair, TEACHER, TEACHER_SEED), device),
            TokenSet.load(tokens_dir / "dev.safetensors"),
            tokens_dir / "tokenizer",
            suite.decoding.max_new_tokens,
        )
        model = models.load(tree.model(pair, INIT, seed), device)
        checkpoint = _checkpoint(tree.training(pair, label, seed), stage)
        run = train(
            model,
            method,
            read,
            settings,
            seed,
            f"{label}, seed {seed}",
            checkpoint,
        )
        _finish_training(stage, run)
        facts = {"method": label, "lr": settings.lr, "seed": seed, "equation": method.equation}
        card = models.card(f"{label} student of {suite.name}/{pair}", facts)
        models.save(model, tokens_dir / "tokenizer", stage.folder / "model", card)


def _checkpoint_folder(training: Path) -> Path:
    """Return where a killed training leaves its state: beside its folder."""
    return training.parent / "checkpoint"


def _checkpoint(training: Path, stage: manifest.Stage) -> Any:
    """Return the checkpoint of a training."""
    from arkd.checkpoint import Checkpoint

    made_for = {key: stage.made_of[key] for key in ("stage", "config", "inputs", "core")}
    return Checkpoint(_checkpoint_folder(training), made_for)


def _finish_training(stage: manifest.Stage, run: Any) -> None:
    """Write the trajectory and note what the run cost."""
    columns = list(dict.fromkeys(key for row in run.rows for key in row))
    write_csv(stage.folder / "trajectory.csv", columns or ["step"], run.rows)
    trained = sum(row["tokens"] for row in run.rows)
    stage.notes |= {
        "failed": run.failed,
        "train_s": round(run.train_s, 3),
        "tokens": int(trained),
        "tokens_per_s": round(trained / run.train_s, 1) if run.train_s else 0.0,
    }


def evaluate(tree: Tree, pair: str, label: str) -> None:
    """Evaluate every seed of a method or control, in one process."""
    from arkd.device import prepare
    from arkd.evaluate import failed_run, measure_model

    suite = tree.suite
    device = prepare(suite.device)
    inputs = {
        "data": tree.data,
        "tasks": benchmarks_dir() / "tasks",
        TEACHER: tree.training(pair, TEACHER, TEACHER_SEED),
        **_caches(tree, pair, {"prefixes": None}),
    }
    for seed in seeds(suite, label):
        inputs[f"seed{seed}"] = tree.training(pair, label, seed)
    records: list[dict[str, Any]] = []
    samples: list[dict[str, Any]] = []
    out = tree.evaluation(pair, label)
    with _stage(tree, "evaluate", out, inputs, pair=pair, label=label) as stage:
        for seed in seeds(suite, label):
            of_run: dict[str, Any] = {"suite": suite.name, "suite_version": suite.version}
            of_run |= {"pair": pair, "method": label, "seed": seed}
            if read_json(inputs[f"seed{seed}"] / manifest.NAME)["notes"].get("failed"):
                values, texts = failed_run()
            else:
                values, texts = measure_model(tree, pair, label, seed, str(device))
            samples += [{"seed": seed, **text} for text in texts]
            records += [{**of_run, "decode_seed": d, **vars(value)} for value, d in values]
        write_csv(stage.folder / "records.csv", COLUMNS, records)
        write_jsonl(stage.folder / "samples.jsonl", samples)


def _folder(spec: Folder) -> Path:
    path = Path(spec.path)
    return path if path.is_absolute() else benchmarks_dir() / path

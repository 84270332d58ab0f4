"""The training of one student by one method."""

from __future__ import annotations

from typing import Any, cast

from arkd import processes
from arkd.method import Method
from arkd.paths import benchmarks_dir
from arkd.sizes.memory import Objective
from arkd.sizes.objective import objective
from arkd.sizes.shapes import Shape
from arkd.stages.stage import (
    cache_folders,
    checkpoint_of,
    computes,
    finish_training,
    open_stage,
    tracker_of,
    trained_folder,
)
from arkd.storage import manifest
from arkd.storage.files import read_json
from arkd.storage.records import read_csv
from arkd.suite import registry, rows
from arkd.suite.folders import INIT, TEACHER, TEACHER_SEED, Tree
from arkd.suite.jobs import asks_teacher, cached_sources
from arkd.suite.protocol import Distillation


def step_objective(
    tree: Tree, pair: str, method: Method, settings: Distillation, student: Shape
) -> Objective:
    """Return what a step of a method holds, the teacher's shape read from its folder.

    Args:
        tree: The suite's folders.
        pair: Name of teacher and student in the suite.
        method: The method.
        settings: Of its row.
        student: What is trained.
    """
    teacher = student  # which is not asked for
    if asks_teacher(method):
        config = read_json(tree.model(pair, TEACHER, TEACHER_SEED) / "config.json")
        teacher = Shape.of_config(config, "training.micro_batch: auto")
    return objective(method, settings, student, teacher, tree.suite.decoding.max_new_tokens)


@computes("arkd.training.trainee")
def distill(tree: Tree, pair: str, label: str, seed: int) -> None:
    """Train one student by one method.

    Args:
        tree: The suite's folders.
        pair: Name of teacher and student in the suite.
        label: The row: a method's name with its parameters.
        seed: Of the training, and of the start and the student's responses that it takes.
    """
    import torch

    from arkd import ranks
    from arkd.data.tokens import TokenSet
    from arkd.models import model as models
    from arkd.models.device import prepare
    from arkd.teacher import cache as teacher_cache
    from arkd.teacher.cache import Evidence
    from arkd.training.distill import distill as train
    from arkd.training.method_errors import named
    from arkd.training.sources import Sources
    from arkd.training.trainee import Trainee, corpus_of

    suite, draws = tree.suite, tree.suite.draws(seed)
    entry = suite.entry(label)
    method = rows.build(entry)
    settings = suite.settings(entry)
    device = prepare(suite.device, suite.training.tf32)
    ranks.start()
    inputs = {"tokens": tree.tokens(pair), INIT: trained_folder(tree, pair, INIT, seed)}
    if asks_teacher(method):
        inputs[TEACHER] = trained_folder(tree, pair, TEACHER, TEACHER_SEED)
    sources = cached_sources(suite, label)
    caches = (
        cache_folders(tree, pair, {s: seed if s == "student" else None for s in sources})
        if sources
        else {}
    )
    inputs |= {f"{source}_responses": folder for source, folder in caches.items()}
    file = registry.plugin(entry.name).file
    if file:
        inputs["method"] = file
    inputs |= {path: benchmarks_dir() / path for path in method.reads}
    replayed: tuple[float, ...] = ()
    if method.replays:
        inputs["replayed"] = trained_folder(tree, pair, method.replays, seed)
        steps = read_csv(inputs["replayed"] / "trajectory.csv")
        replayed = tuple(float(row["alpha"]) for row in steps)
    with open_stage(
        tree,
        "distill",
        tree.training(pair, label, seed),
        inputs,
        pair=pair,
        method=label,
        seed=seed,
    ) as stage:
        made_by = manifest.weights(tree.training(pair, TEACHER, TEACHER_SEED))
        sets = {
            source: teacher_cache.load(folder, "train", made_by)
            for source, folder in caches.items()
        }
        tokens_dir, precision = tree.tokens(pair), suite.training.precision
        if "gold" not in sets:
            sets["gold"] = Evidence(TokenSet.load(tokens_dir / "train.safetensors"))

        def load_teacher() -> Any:
            folder = tree.model(pair, TEACHER, TEACHER_SEED)
            if suite.training.sharding == "none":
                return models.load(folder, device, precision)
            from arkd.models.sharding import frozen

            return frozen(lambda: models.load(folder, torch.device("cpu"), precision), device)

        read = Sources(
            cast(Any, sets),
            teacher_cache.load_head(inputs[TEACHER]) if method.reads_teacher else None,
            load_teacher,
            TokenSet.load(tokens_dir / "dev.safetensors"),
            tokens_dir / "tokenizer",
            suite.decoding.max_new_tokens,
            replayed,
            corpus_of(tokens_dir, settings),
            manifest.read(tokens_dir, ["notes"])["notes"]["vocabulary"],
            suite.rouge,
        )
        student = Trainee.load(tree, pair, tree.model(pair, INIT, seed), device, draws)
        stage.notes |= student.settle(
            settings, lambda: step_objective(tree, pair, method, settings, student.shape)
        )
        checkpoint = checkpoint_of(tree.training(pair, label, seed), stage)
        with stage.proper, named(method, label):
            run = train(
                student.model,
                method,
                read,
                settings,
                draws,
                f"{label}, seed {seed}",
                checkpoint,
                student.judge(settings, "distill", draws),
                tracker_of(tree, tree.training(pair, label, seed)),
            )
        student = student.gathered()
        ranks.stop()
        if processes.number() > 0:  # the first process writes for all
            return
        finish_training(stage, run)
        facts = {"method": label, "lr": settings.lr, "seed": seed, "equation": method.equation}
        card = models.card(f"{label} student of {suite.name}/{pair}", facts)
        stage.notes["sign"] = student.save(stage.folder / "model", card)

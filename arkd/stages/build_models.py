"""The models that all methods of a pair build on: the teacher, the untrained student, its start."""

from __future__ import annotations

from arkd.stages.stage import (
    checkpoint_of,
    computes,
    finish_training,
    open_stage,
    tracker_of,
    trained_folder,
)
from arkd.suite.folders import INIT, TEACHER, TEACHER_SEED, UNTRAINED, Tree
from arkd.suite.settings import Cut, Folder, Hub, Pretrained


@computes("arkd.training.trainee")
def teacher(tree: Tree, pair: str) -> None:
    """Train, convert or copy the pair's teacher."""
    from arkd.data.tokenizer import load_tokenizer
    from arkd.data.tokens import TokenSet
    from arkd.models import model as models
    from arkd.models.device import prepare
    from arkd.models.external import load_given
    from arkd.models.sign import save_signed
    from arkd.sizes.memory import CROSS_ENTROPY
    from arkd.teacher.cache import save_head
    from arkd.training import loop as training
    from arkd.training.trainee import Trainee

    spec, suite = tree.pair(pair), tree.suite
    axes: tuple[str | int, ...] = ("teacher", *suite.world_axes)
    device = prepare(suite.device, suite.training.tf32)
    tokens_dir = tree.tokens(pair)
    out = tree.training(pair, TEACHER, TEACHER_SEED)
    with open_stage(
        tree, "teacher", out, {"tokens": tokens_dir}, pair=pair, seed=TEACHER_SEED
    ) as stage:
        folder = stage.folder / "model"
        trained = spec.teacher_training
        if isinstance(spec.teacher, Pretrained):
            from arkd.models.smollm2 import convert_smollm2

            convert_smollm2(tokens_dir / "tokenizer", folder)
            model = models.load(folder, device)
        elif isinstance(spec.teacher, Folder | Hub):
            held = suite.training.precision if spec.teacher_lora or not trained else "float32"
            model = load_given(spec.teacher, tokens_dir / "tokenizer", device, held)
        else:
            tokenizer = load_tokenizer(tokens_dir / "tokenizer")
            model = models.build(spec.teacher, tokenizer, *axes).to(device)
        facts = {"parameters": models.parameters(model), "trained_on_the_suite": bool(trained)}
        stage.notes |= facts
        if trained:
            rows = tokens_dir / "teacher_train.safetensors"  # else what the students train on
            train_set = TokenSet.load(rows if rows.is_file() else tokens_dir / "train.safetensors")
            trainee = Trainee.of(tree, pair, model, spec.teacher_lora, *axes)
            stage.notes |= trainee.settle(trained, lambda: CROSS_ENTROPY)
            with stage.proper:
                run = training.fit_language_model(
                    model,
                    train_set,
                    trained,
                    "teacher",
                    *axes,
                    checkpoint=checkpoint_of(out, stage),
                    judge=trainee.judge(trained, *axes),
                    tracker=tracker_of(tree, out),
                )
            finish_training(stage, run)
        card = models.card(f"Teacher of {suite.name}/{pair}", facts)
        if trained:
            stage.notes["sign"] = trainee.save(folder, card)
        elif not isinstance(spec.teacher, Pretrained):
            stage.notes["sign"] = save_signed(model, tokens_dir / "tokenizer", folder, card)
        save_head(stage.folder, model)


@computes("arkd.training.trainee")
def init(tree: Tree, pair: str, seed: int) -> None:
    """Build the untrained student of a seed, and its SFT start, shared by all methods."""
    import torch

    from arkd.data.tokenizer import load_tokenizer
    from arkd.data.tokens import TokenSet
    from arkd.models import model as models
    from arkd.models.device import prepare
    from arkd.models.external import load_given
    from arkd.models.sign import save_signed
    from arkd.sizes.memory import CROSS_ENTROPY
    from arkd.training import loop as training
    from arkd.training.trainee import Trainee

    spec, suite = tree.pair(pair), tree.suite
    draws = suite.draws(seed)
    device = prepare(suite.device, suite.training.tf32)
    tokens_dir = tree.tokens(pair)
    inputs = {"tokens": tokens_dir}
    if isinstance(spec.student, Cut):
        inputs[TEACHER] = trained_folder(tree, pair, TEACHER, TEACHER_SEED)
    untrained = tree.training(pair, UNTRAINED, seed)
    with open_stage(tree, "init", untrained, inputs, pair=pair, seed=seed) as stage:
        stage.notes["control"] = UNTRAINED
        folder = stage.folder / "model"
        if isinstance(spec.student, Cut):
            from arkd.models.smollm2 import cut_student

            cut_student(tree.model(pair, TEACHER, TEACHER_SEED), folder, spec.student.layers)
        else:
            if isinstance(spec.student, Folder | Hub):
                held, cpu = suite.training.precision, torch.device("cpu")
                model = load_given(spec.student, tokens_dir / "tokenizer", cpu, held)
                card = models.card(f"Student of {suite.name}/{pair}, as it was given", {})
            else:
                tokenizer = load_tokenizer(tokens_dir / "tokenizer")
                model = models.build(spec.student, tokenizer, "student", draws)
                card = models.card(f"Untrained student of {suite.name}/{pair}", {"seed": seed})
            stage.notes["sign"] = save_signed(model, tokens_dir / "tokenizer", folder, card)
    with open_stage(
        tree, "init", tree.training(pair, INIT, seed), inputs, pair=pair, seed=seed
    ) as stage:
        stage.notes["control"] = INIT
        student = Trainee.load(tree, pair, untrained / "model", device, draws)
        facts = {"parameters": student.parameters, "seed": seed}
        train_set = TokenSet.load(tokens_dir / "train.safetensors")
        stage.notes |= student.settle(suite.student_start, lambda: CROSS_ENTROPY)
        with stage.proper:
            run = training.fit_language_model(
                student.model,
                train_set,
                suite.student_start,
                f"start, seed {seed}",
                "start",
                draws,
                checkpoint=checkpoint_of(tree.training(pair, INIT, seed), stage),
                judge=student.judge(suite.student_start, "start", draws),
                tracker=tracker_of(tree, tree.training(pair, INIT, seed)),
            )
        finish_training(stage, run)
        card = models.card(f"SFT start of {suite.name}/{pair}", facts)
        stage.notes["sign"] = student.save(stage.folder / "model", card)

"""The stages that all methods share, one function each: read earlier folders, write one folder.

The heavy libraries are imported inside the functions, so that a stage loads only what it needs.
"""

from __future__ import annotations

import sys
from pathlib import Path

from arkd.data import public_tasks as public
from arkd.data import source as sources
from arkd.errors import ArkdError
from arkd.stages.contexts import check_contexts
from arkd.stages.references import check_references
from arkd.stages.stage import checkpoint_of, computes, finish_training, open_stage, trained_folder
from arkd.storage import manifest
from arkd.storage.files import read_jsonl, write_jsonl
from arkd.suite.folders import INIT, TEACHER, TEACHER_SEED, UNTRAINED, Tree
from arkd.suite.settings import Cut, Folder, Hub, Pretrained, Scratch


@computes("arkd.data.source")
def data(tree: Tree) -> None:
    """Write the suite's text: training sets, tests and probes."""
    spec = tree.placed_data
    with open_stage(tree, "data", tree.data, {}) as stage:
        stage.notes["summary"] = sources.find(spec.source).build(spec, stage.folder)
        if unread := check_references(tree.suite, stage.folder):
            stage.notes["unread_references"] = unread
        if tree.suite.public_tasks:
            data_dir = getattr(spec, "data_dir", None)  # of a source whose sets lie in a folder
            stage.notes["public_tasks"] = public.write(
                tree.suite.public_tasks, tree.suite.public_items, stage.folder, data_dir
            )


@computes("arkd.data.tokens")
def tokens(tree: Tree, pair: str) -> None:
    """Train or fetch the pair's tokenizer, and encode every gold response.

    Raises:
        ArkdError: no row is short enough, or a text is too long for a model's context.
    """
    from arkd.data.tokenizer import load_tokenizer, train_tokenizer
    from arkd.data.tokens import encode, encode_corpus

    suite, spec = tree.suite, tree.pair(pair)
    teacher, student = spec.teacher, spec.student
    with open_stage(tree, "tokens", tree.tokens(pair), {"data": tree.data}, pair=pair) as stage:
        folder = stage.folder / "tokenizer"
        if isinstance(teacher, Scratch):
            texts = (
                row["prompt"] + row["response"]
                for row in read_jsonl(tree.data / "teacher_train.jsonl")
            )
            train_tokenizer(texts, teacher.vocabulary, folder)
        elif isinstance(teacher, Pretrained):
            from arkd.models.smollm2 import convert_tokenizer

            convert_tokenizer(folder)
        else:
            from arkd.models.external import shared_tokenizer

            given = student if isinstance(student, Folder | Hub) else None
            shared_tokenizer(teacher, given, folder)
        tokenizer = load_tokenizer(folder)
        try:
            suite.check_vocabulary(len(tokenizer), "the tokenizer's")
        except ValueError as error:
            raise ArkdError(f"suite {suite.name}: {error}") from None
        names = ["train", "dev"]
        if (tree.data / "teacher_train.jsonl").is_file():
            names.append("teacher_train")
        dropped, sets = {}, {}
        for name in names:
            texts_ = read_jsonl(tree.data / f"{name}.jsonl")
            sets[name], dropped[name] = encode(tokenizer, texts_, suite.max_tokens)
            _say_too_long(tree.data / f"{name}.jsonl", dropped[name], len(texts_), suite.max_tokens)
        stage.notes |= {"vocabulary": len(tokenizer), "rows_too_long": dropped}
        if (tree.data / "corpus.jsonl").is_file():
            plain = [row["text"] for row in read_jsonl(tree.data / "corpus.jsonl")]
            sets["corpus"] = encode_corpus(tokenizer, plain, suite.max_tokens)
            if not len(sets["corpus"]):
                raise ArkdError(f"{tree.data / 'corpus.jsonl'}: no text in {len(plain):,} rows")
            stage.notes["corpus_tokens"] = len(sets["corpus"].ids)
        stage.notes["longest"] = check_contexts(tree, pair, tokenizer, sets)
        for name, encoded in sets.items():
            encoded.save(stage.folder / f"{name}.safetensors")


def _say_too_long(path: Path, dropped: int, rows: int, max_tokens: int) -> None:
    """Warn of rows that are dropped; without any left, a training would look for some for ever.

    Args:
        path: The rows' file.
        dropped: How many are too long.
        rows: How many there are.
        max_tokens: What they are too long for.

    Raises:
        ArkdError: no row is left.
    """
    if dropped == rows:
        what = (
            f"all {rows:,} rows are longer than max_tokens ({max_tokens:,})" if rows else "no rows"
        )
        raise ArkdError(f"{path}: {what}; raise max_tokens, or give other rows")
    if dropped:
        print(
            f"arkd: {path}: {dropped:,} of {rows:,} rows are left out: longer than max_tokens "
            f"({max_tokens:,})",
            file=sys.stderr,
            flush=True,
        )


@computes("arkd.training.trainee")
def teacher(tree: Tree, pair: str) -> None:
    """Train, convert or copy the pair's teacher."""
    from arkd.data.tokenizer import load_tokenizer
    from arkd.data.tokens import TokenSet
    from arkd.models import model as models
    from arkd.models.device import prepare
    from arkd.models.external import load_given
    from arkd.models.sign import save_signed
    from arkd.teacher.cache import save_head
    from arkd.training import loop as training
    from arkd.training.trainee import Trainee

    spec, suite = tree.pair(pair), tree.suite
    device = prepare(suite.device)
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
            model = models.build(spec.teacher, tokenizer, "teacher").to(device)
        facts = {"parameters": models.parameters(model), "trained_on_the_suite": bool(trained)}
        stage.notes |= facts
        if trained:
            rows = tokens_dir / "teacher_train.safetensors"  # else what the students train on
            train_set = TokenSet.load(rows if rows.is_file() else tokens_dir / "train.safetensors")
            trainee = Trainee.of(tree, pair, model, spec.teacher_lora, "teacher")
            with stage.proper:
                run = training.fit_language_model(
                    model,
                    train_set,
                    trained,
                    "teacher",
                    "teacher",
                    checkpoint=checkpoint_of(out, stage),
                    judge=trainee.judge(trained, "teacher"),
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
    from arkd.training import loop as training
    from arkd.training.trainee import Trainee

    spec, suite = tree.pair(pair), tree.suite
    device = prepare(suite.device)
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
                model = models.build(spec.student, tokenizer, "student", seed)
                card = models.card(f"Untrained student of {suite.name}/{pair}", {"seed": seed})
            stage.notes["sign"] = save_signed(model, tokens_dir / "tokenizer", folder, card)
    with open_stage(
        tree, "init", tree.training(pair, INIT, seed), inputs, pair=pair, seed=seed
    ) as stage:
        stage.notes["control"] = INIT
        student = Trainee.load(tree, pair, untrained / "model", device, seed)
        facts = {"parameters": student.parameters, "seed": seed}
        train_set = TokenSet.load(tokens_dir / "train.safetensors")
        with stage.proper:
            run = training.fit_language_model(
                student.model,
                train_set,
                suite.student_start,
                f"start, seed {seed}",
                "start",
                seed,
                checkpoint=checkpoint_of(tree.training(pair, INIT, seed), stage),
                judge=student.judge(suite.student_start, "start", seed),
            )
        finish_training(stage, run)
        card = models.card(f"SFT start of {suite.name}/{pair}", facts)
        stage.notes["sign"] = student.save(stage.folder / "model", card)


@computes("arkd.teacher.build_cache")
def cache(tree: Tree, pair: str, source: str, seed: int | None = None) -> None:
    """Run the teacher once over a response set.

    `gold`, `teacher` and `student` are the sets that methods train on; `prefixes` are the ones on
    which fidelity is measured: development, and the tests with gold and with sampled responses.
    A killed stage goes on from the samples and shards that it had finished.

    Args:
        tree: The suite's folders.
        pair: Whose teacher it is.
        source: Which set.
        seed: Whose student sampled the set; none: of the other sets.
    """
    from arkd.data.tokenizer import load_tokenizer
    from arkd.data.tokens import TokenSet, encode
    from arkd.models import model as models
    from arkd.models.device import prepare
    from arkd.teacher.build_cache import Building, build
    from arkd.teacher.shards import DTYPES

    suite = tree.suite
    device = prepare(suite.device)
    tokens_dir = tree.tokens(pair)
    teacher_dir = trained_folder(tree, pair, TEACHER, TEACHER_SEED)
    inputs = {"tokens": tokens_dir, TEACHER: teacher_dir}
    if source == "prefixes":
        inputs["data"] = tree.data
    if seed is not None:
        inputs[INIT] = trained_folder(tree, pair, INIT, seed)
    out = tree.cache(pair, source, seed)
    # No training reads the prefixes: they belong to the code that measures.
    name = "prefixes" if source == "prefixes" else "cache"
    with open_stage(tree, name, out, inputs, pair=pair, source=source, seed=seed) as stage:
        keys = ("stage", "config", "inputs", "core", "versions")
        building = Building(out, {key: stage.made_of[key] for key in keys})
        precision = suite.training.precision
        model = models.load(teacher_dir / "model", device, precision)
        sampler = model
        if seed is not None:
            sampler = models.load(tree.model(pair, INIT, seed), device, precision)
        of_tokenizer = manifest.digest(tokens_dir / "tokenizer")
        made_of = {"teacher": manifest.weights(teacher_dir), "tokenizer": of_tokenizer}
        vocabulary = manifest.read(tokens_dir, ["notes"])["notes"]["vocabulary"]

        def sampled(prompts: TokenSet, name: str) -> TokenSet:
            with stage.proper:
                return building.sampled(
                    sampler,
                    prompts,
                    name,
                    axes=("responses", source, name, seed or 0),
                    max_new_tokens=suite.decoding.max_new_tokens,
                    batch_size=suite.decoding.batch_size,
                    vocabulary=vocabulary,
                    label=f"samples, {source} {name}",
                )

        dtype = DTYPES[suite.cache_dtype]

        def add(name: str, responses: TokenSet) -> None:
            label = f"{out.name}/{name}"
            with stage.proper:
                facts = build(
                    building.files, name, model, responses, made_of, label=label, dtype=dtype
                )
            stage.notes |= {f"{name}_{fact}": value for fact, value in facts.items()}

        if source != "prefixes":
            train = TokenSet.load(tokens_dir / "train.safetensors")
            add("train", train if source == "gold" else sampled(train, "train"))
        else:
            add("dev", TokenSet.load(tokens_dir / "dev.safetensors"))
            tests = [
                {**row, "set": name}
                for name in suite.test_sets
                for row in read_jsonl(tree.data / f"test_{name}.jsonl")[: suite.tail.items_per_set]
            ]
            items = [{"set": row["set"], "band": row["band"]} for row in tests]
            write_jsonl(stage.folder / "items.jsonl", items)
            gold, _ = encode(load_tokenizer(tokens_dir / "tokenizer"), tests, max_tokens=10**9)
            for prefix in suite.tail.prefixes:
                if prefix != "student":
                    add(prefix, gold if prefix == "gold" else sampled(gold, "test"))
        building.publish(stage.folder)
    building.remove()

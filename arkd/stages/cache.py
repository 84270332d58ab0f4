"""The teacher run once over a response set, for all methods that read it."""

from __future__ import annotations

from arkd.stages.stage import computes, made_for, open_stage, trained_folder
from arkd.storage import manifest
from arkd.storage.files import read_jsonl, write_jsonl
from arkd.suite.folders import INIT, TEACHER, TEACHER_SEED, Tree
from arkd.suite.jobs import cache_stage


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
    device = prepare(suite.device, suite.training.tf32)
    tokens_dir = tree.tokens(pair)
    teacher_dir = trained_folder(tree, pair, TEACHER, TEACHER_SEED)
    inputs = {"tokens": tokens_dir, TEACHER: teacher_dir}
    if source == "prefixes":
        inputs["data"] = tree.data
    if seed is not None:
        inputs[INIT] = trained_folder(tree, pair, INIT, seed)
    out = tree.cache(pair, source, seed)
    with open_stage(
        tree, cache_stage(source), out, inputs, pair=pair, source=source, seed=seed
    ) as stage:
        building = Building(out, made_for(stage))
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
                    axes=("responses", source, name, suite.draws(seed or 0)),
                    max_new_tokens=suite.decoding.max_new_tokens,
                    batch_size=suite.decoding.batch_size,
                    engine=suite.decoding.engine,
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

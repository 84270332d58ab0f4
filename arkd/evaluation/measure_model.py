"""One model measured: its tasks, its fidelity to the teacher, and the truth where it is known."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from arkd.data.tokens import TokenSet
from arkd.evaluation.fidelity import Items, fidelity, frequency_bands
from arkd.evaluation.lm_eval_bridge import Harness
from arkd.evaluation.stored_teacher import stored_teacher
from arkd.evaluation.truth import truth
from arkd.evaluation.value import Value
from arkd.metrics import bertscore
from arkd.models import model as models
from arkd.models.generate import sample
from arkd.models.sign import check_sign
from arkd.seeding import derive_seed
from arkd.storage import manifest
from arkd.storage.files import read_json, read_jsonl
from arkd.storage.stage_writer import Stopwatch
from arkd.suite.folders import TEACHER, TEACHER_SEED, Tree
from arkd.teacher import cache
from arkd.teacher.cache import Evidence


@dataclass(frozen=True)
class Measured:
    """All that was measured of one model."""

    values: list[tuple[Value, int | None]]  # with the decoding seed, none where nothing is decoded
    texts: list[dict[str, Any]]
    items: list[tuple[str, int, list[float]]]  # task, decoding seed, ROUGE-L of each item
    versions: dict[str, str] = field(default_factory=dict)  # of the public tasks


def measure_model(
    tree: Tree, pair: str, label: str, seed: int, device: str, proper: Stopwatch
) -> Measured:
    """Measure one model: tasks, fidelity to the teacher, and truth where it is known.

    Args:
        tree: The suite's folders.
        pair: The model's pair.
        label: Its method or control.
        seed: Its training seed.
        device: Where it runs.
        proper: Held over the measuring, not over the loading of models, tasks and caches.
    """
    suite = tree.suite
    harness = Harness(suite, tree.model(pair, label, seed), tree.data, device, proper)
    training = tree.training(pair, label, seed)
    if signed := read_json(training / manifest.NAME)["notes"].get("sign"):
        check_sign(harness.model, signed, training / "model")
    values: list[tuple[Value, int | None]] = []
    texts: list[dict[str, Any]] = []
    scores: list[tuple[str, int, list[float]]] = []
    for decode_seed in suite.decoding.seeds:
        for answered in harness.generation(seed, decode_seed):
            values += [(value, decode_seed) for value in answered.values]
            texts += answered.texts
            if answered.rouge_l:
                scores.append((answered.task, decode_seed, answered.rouge_l))
    values += [(value, None) for value in (*harness.likelihood(), *harness.public())]
    if suite.bertscore and label == TEACHER:  # a fact of the test sets, kept with one model
        for task in suite.test_sets:
            of_task = read_jsonl(tree.data / f"test_{task}.jsonl")
            references = [row["references"] for row in of_task if row["references"]]
            if not references:
                continue
            chance = bertscore.random_pairs(suite.bertscore, references)
            metric = f"bertscore_{suite.bertscore}_random_pairs"
            values.append((Value(task, metric, "", chance, len(references)), None))

    prefixes = tree.cache(pair, "prefixes")
    teacher_dir = tree.training(pair, TEACHER, TEACHER_SEED)
    rows = read_jsonl(prefixes / "items.jsonl")
    items = Items([row["set"] for row in rows], [row["band"] for row in rows])
    made_by = manifest.weights(teacher_dir)
    teacher = models.load(teacher_dir / "model", harness.model.device, suite.training.precision)
    dev = cache.load(prefixes, "dev", made_by)
    nowhere = ["none"] * len(dev.tokens)
    evidence = {"dev": (dev, Items(nowhere, nowhere))}
    for prefix in suite.tail.prefixes:
        if prefix == "student":
            gold = TokenSet.load(prefixes / "gold.safetensors")
            prompts = [gold.prompt(row) for row in range(len(gold))]
            with proper:
                answers = sample(
                    harness.model,
                    prompts,
                    seed=derive_seed("prefixes", seed),
                    max_new_tokens=suite.decoding.max_new_tokens,
                    batch_size=suite.decoding.batch_size,
                    vocabulary=len(harness.tokenizer),
                )
            sampled = TokenSet.of(zip(prompts, answers, strict=True))
            with proper:
                hidden = cache.hidden_responses(teacher, sampled, "teacher on own samples")
            evidence["student"] = (Evidence(sampled, hidden), items)
        else:
            evidence[prefix] = (cache.load(prefixes, prefix, made_by), items)
    head = models.head(teacher)
    bands_V = frequency_bands(TokenSet.load(tree.tokens(pair) / "train.safetensors"), len(head))
    for name, (samples, sample_items) in evidence.items():
        with proper:
            found = fidelity(
                harness.model, samples, head, sample_items, bands_V, suite.tail, f"fidelity_{name}"
            )
            values += [(value, None) for value in found]
    # Not of controls, nor of students that were trained elsewhere.
    stated = next((entry for entry in suite.entries if entry.label == label), None)
    if stated and "gold" in evidence:
        settings = suite.settings(stated)
        if settings.teacher_support != "exact":
            with proper:
                stored = stored_teacher(harness.model, evidence["gold"][0], head, settings, seed)
                values += [(value, None) for value in stored]
    if (tree.data / "truth.jsonl").is_file():
        probes = read_jsonl(tree.data / "truth.jsonl")
        with proper:
            found = truth(harness.model, harness.tokenizer, probes)
            values += [(value, None) for value in found]
    return Measured(values, texts, scores, harness.versions)


def failed_run() -> Measured:
    """Return the one record of a run that left the finite numbers."""
    return Measured([(Value("run", "failed", "", 1.0, 1), None)], [], [])

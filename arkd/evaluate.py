"""The lm-eval bridge: a model's tasks, fidelity and truth, as records."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import lm_eval
import torch
from lm_eval.models.huggingface import HFLM
from lm_eval.tasks import TaskManager

from arkd import cache, manifest, models
from arkd.cache import Evidence
from arkd.data.tokens import TokenSet
from arkd.fidelity import Items, fidelity
from arkd.files import read_jsonl
from arkd.generate import sample
from arkd.manifest import Stopwatch
from arkd.paths import benchmarks_dir
from arkd.records import Value
from arkd.rouge import scorer
from arkd.seeding import derive_seed
from arkd.suite import Suite
from arkd.truth import truth
from arkd.workflow import TEACHER, TEACHER_SEED, Tree


class Harness:
    """lm-eval over one model: the tasks of a suite, offline and seeded."""

    def __init__(
        self, suite: Suite, model_dir: Path, data_dir: Path, device: str, proper: Stopwatch
    ) -> None:
        # Its notes on every task and every batch would bury a workflow's own lines.
        for name in ("lm_eval", "lm-eval", "lm_eval.api.task"):
            logging.getLogger(name).setLevel(logging.ERROR)
        self.suite = suite
        self.lm = HFLM(
            pretrained=str(model_dir),
            device=device,
            dtype="float32",
            batch_size=suite.decoding.batch_size,
        )
        self.tasks = TaskManager(
            include_path=str(benchmarks_dir() / "tasks"),
            include_defaults=False,
            metadata={"data_dir": str(data_dir)},
        )
        self.loaded: dict[tuple[str, ...], Any] = {}
        self.proper = proper
        scorer()  # its imports are no part of what is timed

    @property
    def model(self) -> Any:
        """The loaded model."""
        return self.lm.model

    @property
    def tokenizer(self) -> Any:
        """Its tokenizer."""
        return self.lm.tokenizer

    def _run(
        self, tasks: list[str], seed: int, decoding: dict[str, Any] | None = None
    ) -> dict[str, Any]:
        """Run tasks by lm-eval's own evaluator; its wrapper would ask the machine's state anew."""
        if tuple(tasks) not in self.loaded:
            self.loaded[tuple(tasks)] = self.tasks.load(tasks)
        loaded = self.loaded[tuple(tasks)]
        if decoding:
            for task in loaded["tasks"].values():
                task.set_config(key="generation_kwargs", value=decoding, update=True)
        torch.manual_seed(seed)
        options = {"bootstrap_iters": 0, "log_samples": True, "verbosity": "ERROR"}
        with self.proper:
            results: dict[str, Any] = lm_eval.evaluate(lm=self.lm, task_dict=loaded, **options)
        return results

    def generation(
        self, seed: int, decode_seed: int
    ) -> Iterator[tuple[Value, list[dict[str, Any]]]]:
        """Yield the values of sampled generation on each test set, with its samples.

        The draws belong to the training seed and the decoding seed: noise of decoding is not shared
        between the students over whose seeds a table takes its intervals.
        """
        decoding = self.suite.decoding
        options = {
            "do_sample": True,
            "temperature": decoding.temperature,
            "top_p": decoding.top_p,
            "top_k": decoding.top_k,
            "max_gen_toks": decoding.max_new_tokens,
        }
        if decoding.no_repeat_ngram:
            options["no_repeat_ngram_size"] = decoding.no_repeat_ngram
        draws = derive_seed("decoding", seed, decode_seed)
        results = self._run(list(self.suite.test_sets), draws, options)
        for task in self.suite.test_sets:
            samples = results["samples"][task]
            texts = [sample["resps"][0][0] for sample in samples]
            kept = [
                {"task": task, "decode_seed": decode_seed, "id": s["doc"]["id"], "text": text}
                for s, text in zip(samples, texts, strict=True)
            ]
            scores = [sample["rouge_l"] for sample in samples]
            yield Value(task, "rouge_l", "", _mean(scores), len(scores), True), kept
            for metric, number in text_statistics(texts).items():
                yield Value(task, metric, "", number, len(texts), None), []

    def likelihood(self) -> Iterator[Value]:
        """Yield multiple-choice accuracy and rolling perplexity, which draw nothing."""
        perplexity = [self.suite.perplexity_task] if self.suite.perplexity_task else []
        tasks = [*self.suite.choice_tasks, *perplexity]
        if not tasks:
            return
        results = self._run(tasks, seed=0)
        for task in tasks:
            n = len(results["samples"][task])
            for key, value in sorted(results["results"][task].items()):
                metric, _, filtered = key.partition(",")
                if filtered == "none" and not metric.endswith("_stderr"):
                    better = results["higher_is_better"][task].get(metric)
                    yield Value(task, metric, "", float(value), n, better)


def measure_model(
    tree: Tree, pair: str, label: str, seed: int, device: str, proper: Stopwatch
) -> tuple[list[tuple[Value, int | None]], list[dict[str, Any]]]:
    """Measure one model: tasks, fidelity to the teacher, and truth where it is known.

    Args:
        tree: The suite's folders.
        pair: The model's pair.
        label: Its method or control.
        seed: Its training seed.
        device: Where it runs.
        proper: Held over the measuring, not over the loading of models, tasks and caches.

    Returns:
        Every value with its decoding seed (none where nothing is decoded), and the sampled texts.
    """
    suite = tree.suite
    harness = Harness(suite, tree.model(pair, label, seed), tree.data, device, proper)
    values: list[tuple[Value, int | None]] = []
    samples: list[dict[str, Any]] = []
    for decode_seed in suite.decoding.seeds:
        for value, texts in harness.generation(seed, decode_seed):
            values.append((value, decode_seed))
            samples += texts
    values += [(value, None) for value in harness.likelihood()]

    prefixes = tree.cache(pair, "prefixes")
    teacher_dir = tree.training(pair, TEACHER, TEACHER_SEED)
    rows = read_jsonl(prefixes / "items.jsonl")
    items = Items([row["set"] for row in rows], [row["band"] for row in rows])
    made_by = manifest.weights(teacher_dir)
    dev = cache.load(prefixes, "dev", made_by)
    nowhere = ["none"] * len(dev.tokens)
    evidence = {"dev": (dev, Items(nowhere, nowhere))}
    for prefix in suite.tail.prefixes:
        if prefix == "student":
            asked = TokenSet.load(prefixes / "gold.safetensors")
            prompts = [asked.prompt(row) for row in range(len(asked))]
            with proper:
                answers = sample(
                    harness.model,
                    prompts,
                    seed=derive_seed("prefixes", seed),
                    max_new_tokens=suite.decoding.max_new_tokens,
                    batch_size=suite.decoding.batch_size,
                )
            own = TokenSet.of(zip(prompts, answers, strict=True))
            teacher = models.load(teacher_dir / "model", harness.model.device)
            with proper:
                hidden = cache.hidden_responses(teacher, own, "teacher on own samples")
            evidence["student"] = (Evidence(own, hidden), items)
        else:
            evidence[prefix] = (cache.load(prefixes, prefix, made_by), items)
    head = cache.load_head(teacher_dir)
    for name, (of, whose) in evidence.items():
        with proper:
            found = fidelity(harness.model, of, head, whose, suite.tail, f"fidelity_{name}")
            values += [(value, None) for value in found]
    if (tree.data / "truth.jsonl").is_file():
        probes = read_jsonl(tree.data / "truth.jsonl")
        with proper:
            found = truth(harness.model, harness.tokenizer, probes)
            values += [(value, None) for value in found]
    return values, samples


def failed_run() -> tuple[list[tuple[Value, int | None]], list[dict[str, Any]]]:
    """Return the one record of a run that left the finite numbers."""
    return [(Value("run", "failed", "", 1.0, 1, False), None)], []


def text_statistics(texts: list[str]) -> dict[str, float]:
    """Return the mean length in words and the shares of distinct n-grams."""
    return {
        "length_words": _mean([len(text.split()) for text in texts]),
        "distinct_1": distinct(texts, 1),
        "distinct_2": distinct(texts, 2),
    }


def distinct(texts: list[str], n: int) -> float:
    """Return the share of distinct n-grams of words among all n-grams of the texts."""
    grams: Counter[tuple[str, ...]] = Counter()
    for text in texts:
        words = text.split()
        grams.update(tuple(words[i : i + n]) for i in range(len(words) - n + 1))
    return len(grams) / max(1, grams.total())


def _mean(values: list[Any]) -> float:
    return float(sum(values)) / max(1, len(values))

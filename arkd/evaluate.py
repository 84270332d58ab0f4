"""The lm-eval bridge: a model's tasks, fidelity and truth, as records."""

from __future__ import annotations

import logging
import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from arkd.fidelity import Value
from arkd.paths import benchmarks_dir
from arkd.suite import Suite

OFFLINE = ("HF_HUB_OFFLINE", "HF_DATASETS_OFFLINE", "TRANSFORMERS_OFFLINE", "HF_EVALUATE_OFFLINE")


class Harness:
    """lm-eval over one model: the tasks of a suite, offline and seeded."""

    def __init__(self, suite: Suite, model_dir: Path, data_dir: Path, device: str) -> None:
        for name in OFFLINE:
            os.environ.setdefault(name, "1")
        from lm_eval.models.huggingface import HFLM
        from lm_eval.tasks import TaskManager

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
        import torch
        from lm_eval import evaluate

        loaded = self.tasks.load(tasks)
        if decoding:
            for task in loaded["tasks"].values():
                task.set_config(key="generation_kwargs", value=decoding, update=True)
        torch.manual_seed(seed)
        results: dict[str, Any] = evaluate(
            lm=self.lm, task_dict=loaded, bootstrap_iters=0, log_samples=True, verbosity="ERROR"
        )
        return results

    def generation(self, decode_seed: int) -> Iterator[tuple[Value, list[dict[str, Any]]]]:
        """Yield the values of sampled generation on each test set, with its samples."""
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
        results = self._run(list(self.suite.test_sets), decode_seed, options)
        for task in self.suite.test_sets:
            samples = results["samples"][task]
            texts = [sample["resps"][0][0] for sample in samples]
            kept = [
                {"task": task, "decode_seed": decode_seed, "id": s["doc"]["id"], "text": text}
                for s, text in zip(samples, texts, strict=True)
            ]
            scores = [sample["rouge_l"] for sample in samples]
            yield Value(task, "rouge_l", "", _mean(scores), len(scores), True), kept
            for metric, value in self._text_statistics(texts).items():
                yield Value(task, metric, "", value, len(texts), None), []

    def _text_statistics(self, texts: list[str]) -> dict[str, float]:
        """Length in tokens, share of texts ended by EOS, distinct n-grams of words."""
        lengths = [len(ids) for ids in self.tokenizer(texts, add_special_tokens=False)["input_ids"]]
        ended = [length < self.suite.decoding.max_new_tokens for length in lengths]
        return {
            "length_tokens": _mean(lengths),
            "eos_share": _mean(ended),
            "distinct_1": distinct(texts, 1),
            "distinct_2": distinct(texts, 2),
        }

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


def distinct(texts: list[str], n: int) -> float:
    """Return the share of distinct n-grams of words among all n-grams of the texts."""
    grams: Counter[tuple[str, ...]] = Counter()
    for text in texts:
        words = text.split()
        grams.update(tuple(words[i : i + n]) for i in range(len(words) - n + 1))
    return len(grams) / max(1, grams.total())


def _mean(values: list[Any]) -> float:
    return float(sum(values)) / max(1, len(values))

"""The lm-eval bridge: a model's answers, choices and perplexity as values."""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean
from typing import Any

import datasets
import lm_eval
from lm_eval.tasks import TaskManager

from arkd.data.public_tasks import SOURCES
from arkd.evaluation.lm_eval_model import Writer
from arkd.evaluation.value import Value
from arkd.metrics import bertscore
from arkd.metrics.mauve import METRIC as MAUVE
from arkd.metrics.mauve import mauve
from arkd.metrics.text_statistics import text_statistics
from arkd.paths import benchmarks_dir
from arkd.rouge import rouge_l, scorer
from arkd.seeding import derive_seed
from arkd.storage.stage_writer import Stopwatch
from arkd.suite.suite import Suite


@dataclass
class Answered:
    """What one sampled pass over one task gave."""

    task: str
    values: list[Value]
    texts: list[dict[str, Any]] = field(default_factory=list)
    rouge_l: list[float] = field(default_factory=list)  # of each scored item, in the task's order


class Harness:
    """lm-eval over one model: the tasks of a suite, offline and seeded.

    Args:
        suite: Its tasks, precision and batch size.
        model_dir: Of the saved model and its tokenizer.
        data_dir: Of the suite's data, where the tasks find their items.
        device: `cpu` or `cuda`, as lm-eval names it.
        proper: Takes the time of measuring alone, loading left out.
    """

    def __init__(
        self, suite: Suite, model_dir: Path, data_dir: Path, device: str, proper: Stopwatch
    ) -> None:
        # Its notes on every task and every batch would bury a workflow's own lines.
        for name in ("lm_eval", "lm-eval", "lm_eval.api.task"):
            logging.getLogger(name).setLevel(logging.ERROR)
        datasets.disable_progress_bars()
        self.suite = suite
        decoding, precision = suite.decoding, suite.training.precision
        self.lm = Writer(model_dir, device, precision, decoding.batch_size, decoding.engine)
        self.tasks = TaskManager(
            include_path=[
                benchmarks_dir() / "tasks",
                *_own_folder(data_dir),
                *_stock_folders(suite),
            ],
            include_defaults=False,
            metadata={"data_dir": str(data_dir)},
        )
        self.loaded: dict[tuple[str, ...], Any] = {}
        self.versions: dict[str, str] = {}  # of the public tasks, as lm-eval reports them
        self.proper = proper
        scorer(suite.rouge)  # its imports are no part of what is timed

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
        self.lm.generator.manual_seed(seed)
        options = {"bootstrap_iters": 0, "log_samples": True, "verbosity": "ERROR"}
        with self.proper:
            results: dict[str, Any] = lm_eval.evaluate(lm=self.lm, task_dict=loaded, **options)
        return results

    def generation(self, seed: int, decode_seed: int) -> Iterator[Answered]:
        """Yield the sampled answers to each test set and each open-ended task.

        The draws belong to the training seed and the decoding seed: noise of decoding is not shared
        between the students over whose seeds a table takes its intervals.
        """
        sets, suite = list(self.suite.test_sets), self.suite
        for task, samples in self._sampled(sets, derive_seed("decoding", seed, decode_seed)):
            texts = [sample["resps"][0][0] for sample in samples]
            prompts = [sample["arguments"][0][0] for sample in samples]
            written = [self.lm.written[pair] for pair in zip(prompts, texts, strict=True)]
            scored = [(s, text) for s, text in zip(samples, texts, strict=True) if "rouge_l" in s]
            scores = [self._rouge_l(sample) for sample, _ in scored]
            values = self._mean_rouge_l(task, scores)
            for metric, number in text_statistics(texts, written).items():
                values.append(Value(task, metric, "", number, len(texts)))
            if scored:  # prompts without a reference answer, such as Vicuna's, are only described
                values += self._against_references(task, scored)
            kept = [
                {"task": task, "decode_seed": decode_seed, "id": s["doc"]["id"], "text": text}
                for s, text in zip(samples, texts, strict=True)
            ]
            yield Answered(task, values, kept, scores)
        for change in suite.decoding.variants:
            draws = derive_seed("decoding", change.label, seed, decode_seed)
            for task, samples in self._sampled(sets, draws, change.changes):
                scores = [self._rouge_l(sample) for sample in samples if "rouge_l" in sample]
                yield Answered(task, self._mean_rouge_l(task, scores, change.label))
        opens = list(suite.open_tasks)
        for task, samples in self._sampled(opens, derive_seed("open", seed, decode_seed)):
            yield Answered(task, list(_by_band(task, samples)))

    def _rouge_l(self, sample: dict[str, Any]) -> float:
        """Return the score of an answer: the task's own, which is `rouge_l`, or the suite's."""
        metric = self.suite.rouge
        if metric == "rouge_l":
            return float(sample["rouge_l"])
        return rouge_l(sample["resps"][0][0], sample["doc"]["references"], metric)

    def _mean_rouge_l(self, task: str, scores: list[float], decoder: str = "") -> list[Value]:
        """Return the mean of the items' scores, as the one value that it is; none of no items."""
        if not scores:
            return []
        return [Value(task, self.suite.rouge, decoder, fmean(scores), len(scores))]

    def _against_references(
        self, task: str, scored: list[tuple[dict[str, Any], str]]
    ) -> Iterator[Value]:
        """Yield what else the suite asks of the answers to items that have references."""
        suite, texts = self.suite, [text for _, text in scored]
        if suite.bertscore:
            references = [sample["doc"]["references"] for sample, _ in scored]
            found = fmean(bertscore.scores(suite.bertscore, texts, references))
            yield Value(task, f"bertscore_{suite.bertscore}", "", found, len(texts))
        if suite.mauve:
            alike = mauve(texts, [sample["doc"]["response"] for sample, _ in scored])
            if alike is not None:
                yield Value(task, MAUVE, "", alike, len(texts))

    def _sampled(
        self, tasks: list[str], draws: int, changes: dict[str, Any] | None = None
    ) -> Iterator[tuple[str, list[dict[str, Any]]]]:
        """Yield the samples of each task, decoded as the suite says but for some changes."""
        if not tasks:
            return
        decoding = self.suite.decoding.model_copy(update=changes)
        options = {
            "do_sample": True,
            "temperature": decoding.temperature,
            "top_p": decoding.top_p,
            "top_k": decoding.top_k,
            "max_gen_toks": decoding.max_new_tokens,
        }
        if decoding.no_repeat_ngram or decoding.variants:  # 0 undoes what a pass before has set
            options["no_repeat_ngram_size"] = decoding.no_repeat_ngram
        results = self._run(tasks, draws, options)
        for task in tasks:
            yield task, results["samples"][task]

    def likelihood(self) -> Iterator[Value]:
        """Yield multiple-choice accuracy and rolling perplexity, which draw nothing."""
        perplexity = [self.suite.perplexity_task] if self.suite.perplexity_task else []
        tasks = [*self.suite.choice_tasks, *perplexity]
        if not tasks:
            return
        results = self._run(tasks, seed=0)
        for task in tasks:
            yield from _totals(task, results)

    def public(self) -> Iterator[Value]:
        """Yield what the public tasks give, which draw nothing; PopQA's by popularity as well."""
        tasks = self.suite.public_tasks
        if not tasks:
            return
        # A stock task reads its rows from the suite's data as the member of a group of one.
        results = self._run([f"arkd_{t}" if SOURCES[t].family else t for t in tasks], seed=0)
        for task in tasks:
            self.versions[task] = str(results["versions"][task])
            yield from _totals(task, results)
            yield from (v for v in _by_band(task, results["samples"][task]) if v.group)


def _own_folder(data_dir: Path) -> list[Path]:
    """Return where the data hold tasks of their own: those over a user's files."""
    folder = data_dir / "tasks"
    return [folder] if folder.is_dir() else []


def _stock_folders(suite: Suite) -> list[Path]:
    """Return where lm-eval defines the suite's public tasks; to index all of its own takes 11 s."""
    stock = Path(lm_eval.__file__).parent / "tasks"
    families = (SOURCES[task].family for task in suite.public_tasks)
    return [stock / family for family in families if family]


def _totals(task: str, results: dict[str, Any]) -> Iterator[Value]:
    """Yield the metrics that lm-eval gives a task as a whole."""
    n = len(results["samples"][task])
    for key, value in sorted(results["results"][task].items()):
        metric, _, filtered = key.partition(",")
        if filtered == "none" and not metric.endswith("_stderr"):
            yield Value(task, metric, "", float(value), n)


def _by_band(task: str, samples: list[dict[str, Any]]) -> Iterator[Value]:
    """Yield the task's own metrics over all items, and by popularity where items have a band."""
    found: dict[tuple[str, str], list[float]] = defaultdict(list)
    for sample in samples:
        for metric in sample["metrics"]:
            for group in dict.fromkeys(("", sample["doc"].get("band", ""))):
                found[metric, group].append(float(sample[metric]))
    for (metric, group), values in found.items():
        yield Value(task, metric, group, fmean(values), len(values))

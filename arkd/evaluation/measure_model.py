"""One model measured: its tasks, its fidelity to the teacher, and the truth where it is known."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any

from torch import Tensor

from arkd.data.tokens import TokenSet
from arkd.evaluation.fidelity import Items, fidelity, frequency_bands
from arkd.evaluation.kept import Kept, Measured
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
from arkd.suite.protocol import Distillation
from arkd.teacher import cache
from arkd.teacher.cache import Evidence


@dataclass(eq=False)
class Subject:
    """A model to measure, in parts; it is loaded when the first part is asked for.

    Args:
        tree: The suite's folders.
        pair: The model's pair.
        label: Its method or control.
        seed: Its training seed.
        device: Where it runs.
        proper: Held over the measuring, not over the loading of models, tasks and caches.
    """

    tree: Tree
    pair: str
    label: str
    seed: int
    device: str
    proper: Stopwatch

    @property
    def parts(self) -> Iterator[tuple[str, Callable[[], Measured]]]:
        """All that is measured, in the order of the records: names, and what measures them."""
        suite = self.tree.suite
        for decode_seed in suite.decoding.seeds:
            yield f"decoding{decode_seed}", partial(self.answers, decode_seed)
        yield "likelihood", lambda: undecoded(self.harness.likelihood())
        yield "public", self.public
        if suite.bertscore and self.label == TEACHER:
            # A fact of the test sets, kept with one model.
            yield "chance", lambda: undecoded(self.chance(str(suite.bertscore)))
        for prefix in ("dev", *suite.tail.prefixes):
            yield f"fidelity_{prefix}", partial(self.fidelity, prefix)
        if "gold" in suite.tail.prefixes and self.settings.teacher_support != "exact":
            yield "stored", self.stored
        if (self.tree.data / "truth.jsonl").is_file():
            yield "truth", self.truth

    @property
    def settings(self) -> Distillation:
        """The protocol of the model's row; of controls and foreign students the suite's."""
        suite = self.tree.suite
        row = next((entry for entry in suite.entries if entry.label == self.label), None)
        return suite.settings(row) if row else suite.distillation

    @cached_property
    def harness(self) -> Harness:
        """The model with its tasks.

        Raises:
            ArkdError: it does not compute what it computed when it was saved.
        """
        training = self.tree.training(self.pair, self.label, self.seed)
        folder = self.tree.model(self.pair, self.label, self.seed)
        harness = Harness(self.tree.suite, folder, self.tree.data, self.device, self.proper)
        if signed := read_json(training / manifest.NAME)["notes"].get("sign"):
            check_sign(harness.model, signed, training / "model")
        return harness

    @cached_property
    def teacher(self) -> Any:
        """The teacher, whose values a model's own samples have not in the cache."""
        folder, precision = self._teacher_dir / "model", self.tree.suite.training.precision
        return models.load(folder, self.harness.model.device, precision)

    @cached_property
    def bands_V(self) -> Tensor:
        """Each token's band of frequency among the training responses."""
        trained = TokenSet.load(self.tree.tokens(self.pair) / "train.safetensors")
        return frequency_bands(trained, len(models.head(self.teacher)))

    @property
    def draws(self) -> int:
        """What is sampled of the model derives from it."""
        return self.tree.suite.draws(self.seed)

    @property
    def _teacher_dir(self) -> Path:
        return self.tree.training(self.pair, TEACHER, TEACHER_SEED)

    def answers(self, decode_seed: int) -> Measured:
        """Sample answers to every test set, and score them."""
        found = Measured()
        for answered in self.harness.generation(self.draws, decode_seed):
            found.values += [(value, decode_seed) for value in answered.values]
            found.texts += answered.texts
            if answered.rouge_l:
                found.items.append((answered.task, decode_seed, answered.rouge_l))
        return found

    def public(self) -> Measured:
        """Run the public tasks."""
        found = undecoded(self.harness.public())
        found.versions = self.harness.versions
        return found

    def chance(self, encoder: str) -> Iterator[Value]:
        """Yield the BERTScore of random pairs of each test set's references."""
        for task in self.tree.suite.test_sets:
            of_task = read_jsonl(self.tree.data / f"test_{task}.jsonl")
            references = [row["references"] for row in of_task if row["references"]]
            if references:
                metric = f"bertscore_{encoder}_random_pairs"
                chance = bertscore.random_pairs(encoder, references)
                yield Value(task, metric, "", chance, len(references))

    def fidelity(self, prefix: str) -> Measured:
        """Measure the fidelity to the teacher on one set of prefixes."""
        tail, head = self.tree.suite.tail, models.head(self.teacher)
        evidence, items = self._evidence(prefix)
        with self.proper:
            name = f"fidelity_{prefix}"
            model, bands_V = self.harness.model, self.bands_V
            return undecoded(fidelity(model, evidence, head, items, bands_V, tail, name))

    def _evidence(self, prefix: str) -> tuple[Evidence, Items]:
        prefixes = self.tree.cache(self.pair, "prefixes")
        if prefix != "student":
            evidence = cache.load(prefixes, prefix, manifest.weights(self._teacher_dir))
        else:
            evidence = self._own_samples(TokenSet.load(prefixes / "gold.safetensors"))
        if prefix == "dev":
            nowhere = ["none"] * len(evidence.tokens)
            return evidence, Items(nowhere, nowhere)
        rows = read_jsonl(prefixes / "items.jsonl")
        return evidence, Items([row["set"] for row in rows], [row["band"] for row in rows])

    def _own_samples(self, gold: TokenSet) -> Evidence:
        decoding, harness, teacher = self.tree.suite.decoding, self.harness, self.teacher
        prompts = [gold.prompt(row) for row in range(len(gold))]
        with self.proper:
            answers = sample(
                harness.model,
                prompts,
                seed=derive_seed("prefixes", self.draws),
                max_new_tokens=decoding.max_new_tokens,
                batch_size=decoding.batch_size,
                engine=decoding.engine,
                vocabulary=len(harness.tokenizer),
            )
            sampled = TokenSet.of(zip(prompts, answers, strict=True))
            hidden = cache.hidden_responses(teacher, sampled, "teacher on own samples")
        return Evidence(sampled, hidden)

    def stored(self) -> Measured:
        """Measure what is lost where some entries of the teacher are stored."""
        evidence, _ = self._evidence("gold")
        head, model = models.head(self.teacher), self.harness.model
        with self.proper:
            return undecoded(stored_teacher(model, evidence, head, self.settings, self.draws))

    def truth(self) -> Measured:
        """Hold the model's knowledge against the world's truth."""
        probes = read_jsonl(self.tree.data / "truth.jsonl")
        harness = self.harness
        with self.proper:
            return undecoded(truth(harness.model, harness.tokenizer, probes))


def undecoded(values: Iterator[Value]) -> Measured:
    """Return values that no decoding seed belongs to."""
    return Measured([(value, None) for value in values])


def measure_model(subject: Subject, kept: Kept) -> Measured:
    """Measure one model: tasks, fidelity to the teacher, and truth where it is known.

    Args:
        subject: The model.
        kept: What is finished of it, and where what is measured now is kept.
    """
    found = Measured()
    for name, measure in subject.parts:
        found.add(kept.part(f"seed{subject.seed}.{name}", measure))
    return found


def failed_run() -> Measured:
    """Return the one record of a run that left the finite numbers."""
    return Measured([(Value("run", "failed", "", 1.0, 1), None)])

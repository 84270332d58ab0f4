"""The jobs of a suite's workflow, each with what it holds, computes and leaves on the disk."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from arkd.plan import work
from arkd.plan.resolve import refuse_unused, shapes
from arkd.plan.rows import Rows, requests, rows
from arkd.plan.work import Room, Work
from arkd.sizes import memory
from arkd.sizes.fitting import ON_CPU
from arkd.sizes.memory import CROSS_ENTROPY, Held, Memory, Objective
from arkd.sizes.objective import objective
from arkd.sizes.shapes import BYTES, Shape
from arkd.suite.contexts import check
from arkd.suite.folders import CONTROLS, TEACHER, Tree, seeds
from arkd.suite.job_list import forming, job_list
from arkd.suite.protocol import Optimisation
from arkd.suite.rows import build
from arkd.suite.settings import Lora, Pair

NOTHING, IDLE = Memory(), Work()


@dataclass(frozen=True)
class Job:
    """One job of the workflow, or several that cost the same."""

    stage: str
    pair: str = ""
    names: tuple[str, ...] = ()  # of methods, or of a response set
    count: int = 1
    parameters: int = 0  # of the model that is trained or run
    trained: int = 0  # of them or beside them, that are trained
    memory: Memory = NOTHING  # of one
    work: Work = IDLE  # of all
    disk: int = 0  # of all: models and caches


@dataclass(frozen=True)
class Assumed:
    """What the user says of lengths and models that the plan cannot see."""

    prompt: float | None = None
    response: float | None = None
    configs: Mapping[str, Path] = field(default_factory=dict)


def jobs(tree: Tree, assumed: Assumed) -> tuple[list[Job], list[str]]:
    """Return the jobs of a suite or block in the order of the workflow, and what was assumed.

    Raises:
        ArkdError: as `runs` has it.
    """
    found, notes = runs(tree, assumed)
    return [*found, formed(tree)], notes


def formed(tree: Tree) -> Job:
    """Return the jobs that form the results of a suite, as one kind: they cost alike."""
    rules = [job.rule for job in forming(tree)]
    return Job(", ".join(dict.fromkeys(rules)), count=len(rules))


def runs(tree: Tree, assumed: Assumed) -> tuple[list[Job], list[str]]:
    """Return the jobs of a suite or block up to its evaluations, and what was assumed of its rows.

    How many there are is said by the workflow's own list of them.

    Raises:
        ArkdError: the shape of a model is not known, or one is given of no model of the suite; an
            epoch has not one batch; a text is longer than a model's context.
    """
    refuse_unused(tree, assumed.configs)
    counts = Counter(_kind(job.rule, job.axes) for job in job_list(tree))
    found, notes = [Job("data")] if counts["data", "", ""] else [], []
    for pair in tree.suite.pairs:
        sizes = rows(tree, pair.name, assumed.prompt, assumed.response)
        teacher, student = shapes(tree, pair.name, sizes.vocabulary, assumed.configs)
        contexts = {"teacher": teacher.context, "student": student.context}
        check(f"pairs.{pair.name}", contexts, sizes.longest)
        notes += _may_not_fit(tree.suite.max_tokens, contexts, sizes)
        notes += [note for note in sizes.notes if note not in notes]
        found += _Planner(tree, pair, sizes, teacher, student, counts).jobs()
    return found, notes


def _kind(rule: str, axes: Mapping[str, str]) -> tuple[str, str, str]:
    """Return what jobs that differ in their seed alone have in common."""
    return rule, axes.get("pair", ""), axes.get("method") or axes.get("source", "")


def _may_not_fit(most: int, contexts: Mapping[str, int | None], rows: Rows) -> list[str]:
    """Say where rows that no tokenizer has counted yet may turn out to be too long."""
    small = min((context for context in contexts.values() if context), default=most)
    if rows.vocabulary is not None or most <= small:
        return []
    return [
        f"max_tokens is {most:,}, and a model of the pair reads {small:,}: the stage `tokens` "
        "refuses longer rows"
    ]


@dataclass(frozen=True)
class _Planner:
    """The jobs of one pair."""

    tree: Tree
    pair: Pair
    rows: Rows
    teacher: Shape
    student: Shape
    counts: Counter[tuple[str, str, str]]  # of jobs, by rule, pair and method or source

    def count(self, rule: str, name: str = "") -> int:
        """Return how many jobs of a rule there are, of a method or a response set if it has any."""
        return self.counts[rule, self.pair.name, name]

    @property
    def gpu(self) -> bool:
        return self.tree.suite.device != "cpu"

    @property
    def wide(self) -> int:
        return BYTES[self.tree.suite.training.precision]

    @property
    def lengths(self) -> tuple[float, float]:
        return self.rows.prompt, self.rows.response

    @property
    def length(self) -> float:
        return sum(self.lengths)

    def jobs(self) -> list[Job]:
        """Return them in the order of the workflow."""
        labels = [entry.label for entry in self.tree.suite.entries]
        trained = (label for label in labels if self.count("distill", label))
        evaluated = (label for label in [*CONTROLS, *labels] if self.count("evaluate", label))
        shared = {"tokens": self._tokens, TEACHER: self._teacher, "student_init": self._start}
        found = [
            *(make() for rule, make in shared.items() if self.count(rule)),
            *self._caches(),
            *_grouped(map(self._distill, trained)),
            *_grouped(map(self._evaluate, evaluated)),
        ]
        return [replace(job, pair=self.pair.name) for job in found]

    def _tokens(self) -> Job:
        return Job("tokens")

    def _held(
        self, shape: Shape, lora: Lora | None, settings: Optimisation, processes: int = 1
    ) -> Held:
        training, chosen = self.tree.suite.training, settings.selection
        draws = chosen is not None and chosen.metric == "rouge_l"
        return Held(shape, training, self.gpu, lora, chosen is not None, draws, processes)

    def _fitted(self, held: Held, settings: Optimisation, train: int, loss: Objective) -> Job:
        """Return a training: what it holds and computes, the judging of its states included."""
        settings = settings.over(train)
        rows_ = math.ceil(settings.batch_size / held.processes)
        held_bytes = memory.training(held, rows_, self.tree.suite.max_tokens, loss)
        done = work.training(held, loss, settings.steps, settings.batch_size, self.lengths)
        if chosen := settings.selection:
            items = min(chosen.items, self.rows.files.get("dev", 0))
            each = work.states(held.shape, items, self.length, read=False)
            if chosen.metric == "rouge_l":
                each = self._drawn(held.shape, items, held=held_bytes.peak)
            done += each.times(chosen.points)
        return Job(
            "", parameters=held.shape.parameters, trained=held.trained, memory=held_bytes, work=done
        )

    def _drawn(
        self, shape: Shape, prompts: float, alike: bool = True, held: int | None = None
    ) -> Work:
        """Return the work of answering prompts.

        Args:
            shape: Of the model.
            prompts: How many.
            alike: Whether a CPU's batches are of prompts of one length.
            held: Bytes beside the rows; none: those of the model's weights.
        """
        suite, prompt = self.tree.suite, self.rows.prompt
        new, training = suite.decoding.max_new_tokens, suite.training
        batch: int | Room = self._batch(ON_CPU)
        if suite.decoding.batch_size == "auto" and self.gpu:
            row = memory.decoding(shape, 1, suite.max_tokens + new, training)
            batch = Room(row, self.wide * shape.parameters if held is None else held)
        alike = alike and not self.gpu
        return work.drawing(shape, prompts, prompt, new, batch, training.precision, alike)

    def _batch(self, auto: int) -> int:
        """Return how many texts are drawn at once, given what `auto` is."""
        wanted = self.tree.suite.decoding.batch_size
        return auto if wanted == "auto" else wanted

    def _teacher(self) -> Job:
        trained, shape = self.pair.teacher_training, self.teacher
        stored = self.wide * shape.parameters + 4 * shape.head
        if trained is None:
            held = Memory(weights=self.wide * shape.parameters)
            return Job(TEACHER, parameters=shape.parameters, memory=held, disk=stored)
        held_ = self._held(shape, self.pair.teacher_lora, trained)
        job = self._fitted(held_, trained, self.rows.teacher_train, CROSS_ENTROPY)
        return replace(job, stage=TEACHER, disk=stored)

    def _start(self) -> Job:
        suite = self.tree.suite
        held = self._held(self.student, self.pair.lora, suite.student_start)
        job = self._fitted(held, suite.student_start, self.rows.train, CROSS_ENTROPY)
        count = self.count("student_init")
        disk = 2 * count * self.wide * self.student.parameters  # untrained, and started
        return replace(
            job, stage="student_init", count=count, work=job.work.times(count), disk=disk
        )

    def _caches(self) -> list[Job]:
        samplers = {"gold": None, "teacher": self.teacher, "student": self.student}
        sources = (source for source in samplers if self.count(_rule(source), source))
        found = [self._cache(each, self.rows.train, samplers[each]) for each in sources]
        if not self.count("teacher_cache", "prefixes"):
            return found
        job = self._cache("prefixes", self.rows.files.get("dev", 0))
        for prefix in self.tree.suite.tail.prefixes:
            if prefix != "student":
                sampler = self.teacher if prefix == "teacher" else None
                more = self._cache("prefixes", self._items, sampler)
                job = replace(
                    job,
                    work=job.work + more.work,
                    disk=job.disk + more.disk,
                    memory=max(job.memory, more.memory, key=lambda held: held.peak),
                )
        return [*found, job]

    @property
    def _items(self) -> int:
        """Test items whose positions are measured."""
        suite = self.tree.suite
        sizes = (self.rows.test(name) for name in suite.test_sets)
        return sum(min(size, suite.tail.items_per_set) for size in sizes)

    def _cache(self, source: str, size: int, sampler: Shape | None = None) -> Job:
        """Return the caches of a response set: one, or one a seed."""
        rule = _rule(source)
        count = self.count(rule, source)
        suite, teacher = self.tree.suite, self.teacher
        training = suite.training
        weights, held = teacher.parameters, memory.passing(teacher, training)
        done = work.states(teacher, size, self.length)
        if sampler is not None:
            most = suite.max_tokens + suite.decoding.max_new_tokens
            held = max(held, memory.decoding(sampler, self._batch(1), most, training))
            both = self.wide * (teacher.parameters + sampler.parameters)
            done += self._drawn(sampler, size, held=both)
            weights += 0 if sampler is teacher else sampler.parameters
        answered = size * self.rows.response
        return Job(
            rule,
            names=(source,),
            count=count,
            parameters=teacher.parameters,
            memory=Memory(weights=self.wide * weights, activations=held),
            work=done.times(count),
            disk=int(count * answered * teacher.hidden * BYTES[suite.cache_dtype]),
        )

    def _distill(self, label: str) -> Job:
        suite = self.tree.suite
        settings = suite.settings(suite.entry(label))
        method = build(suite.entry(label))
        new = suite.decoding.max_new_tokens
        loss = objective(method, settings, self.student, self.teacher, new)
        rows_ = self.rows.train // (1 if settings.split == "all" else 2)
        held = self._held(self.student, self.pair.lora, settings, suite.training.devices)
        job, count = self._fitted(held, settings, rows_, loss), self.count("distill", label)
        disk = count * self.wide * self.student.parameters
        return replace(
            job, stage="distill", names=(label,), count=count, work=job.work.times(count), disk=disk
        )

    def _evaluate(self, label: str) -> Job:
        suite, sizes = self.tree.suite, self.rows
        shape = self.teacher if label == TEACHER else self.student
        decoding, teacher = suite.decoding, self.teacher
        tokens, longest = requests(self.tree, sizes)
        tests = sum(sizes.test(name) for name in suite.test_sets)
        opens = sizes.files.get("open", 0) if suite.open_tasks else 0
        drawn = len(decoding.seeds) * ((1 + len(decoding.variants)) * tests + opens)
        done = self._drawn(shape, drawn, alike=False)
        done += work.states(shape, tokens / max(1.0, self.length), self.length, read=False)
        done += Work(head_flops=2 * tokens * shape.head)
        measured = {"dev": sizes.files.get("dev", 0)} | dict.fromkeys(
            suite.tail.prefixes, self._items
        )
        for prefix, size in measured.items():
            done += work.states(shape, size, self.length, read=False)
            done += work.fidelity(shape, teacher, size * sizes.response)
            if prefix == "student":
                done += self._drawn(shape, size) + work.states(teacher, size, self.length)
        held = memory.evaluating(
            shape,
            teacher,
            suite.training,
            self.gpu,
            rows=self._batch(1),
            length=suite.max_tokens + decoding.max_new_tokens,
            scored=longest,
            positions=int(max(measured.values()) * sizes.response),
        )
        models = len(seeds(suite, label))
        return Job(
            "evaluate",
            names=(label,),
            parameters=shape.parameters,
            memory=held,
            work=done.times(models),
        )


def _rule(source: str) -> str:
    """Return the rule that makes a response set."""
    return "student_responses" if source == "student" else "teacher_cache"


def _grouped(found: Iterable[Job]) -> list[Job]:
    """Join the jobs of a stage that cost the same; one evaluation is one, whatever its seeds."""
    groups: dict[tuple[object, ...], list[Job]] = {}
    for job in found:
        cost = job.memory, job.parameters, job.trained, job.work.times(1 / job.count)
        groups.setdefault(cost, []).append(job)
    return [
        replace(
            group[0],
            names=tuple(name for job in group for name in job.names),
            count=sum(job.count for job in group),
            work=sum((job.work for job in group), IDLE),
            disk=sum(job.disk for job in group),
        )
        for group in groups.values()
    ]

"""Every job of a suite's workflow, as the rules name them: what it writes, where it logs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from arkd.suite.folders import INIT, TEACHER, TEACHER_SEED, Tree, methods, seeds
from arkd.suite.jobs import cached_sources

# Rules whose jobs the command of another name runs.
COMMANDS = {"student_init": "init", "teacher_cache": "cache", "student_responses": "cache"}
SHOWN = ("collect", "tables", "claims", "figures", "report")


@dataclass(frozen=True)
class Job:
    """A job of the workflow.

    Attributes:
        rule: Its rule.
        axes: Pair, method, source and seed, as far as the rule has them.
        made: The file that is there once it is done.
        log: What it has said.
    """

    rule: str
    axes: dict[str, str]
    made: Path
    log: Path

    @property
    def command(self) -> str:
        """The command of `arkd` that it runs."""
        return COMMANDS.get(self.rule, self.rule)

    @property
    def name(self) -> str:
        """What a reader calls it: `distill arkd seed 1`; see `job_name`."""
        return job_name(self.rule, self.axes)


def job_name(rule: str, axes: dict[str, str]) -> str:
    """Return what a reader calls a job; a suite has mostly one pair, which then says nothing."""
    words = [axes[name] for name in ("source", "method") if name in axes]
    seed = [f"seed {axes['seed']}"] if "seed" in axes else []
    return " ".join([rule.replace("_", " "), *words, *seed])


def job_list(tree: Tree) -> list[Job]:
    """Return the jobs of a suite in the order of the workflow."""
    logs = tree.root / "logs"
    return [Job(rule, axes, made, logs / f"{log}.log") for log, rule, axes, made in _jobs(tree)]


def _jobs(tree: Tree) -> Iterator[tuple[str, str, dict[str, str], Path]]:
    """Yield the name of each job's log, its rule, its axes and what it makes."""
    suite = tree.suite
    yield "data", "data", {}, _made(tree.data)
    for pair in (one.name for one in suite.pairs):
        of = {"pair": pair}
        yield f"{pair}.tokens", "tokens", of, _made(tree.tokens(pair))
        made = _made(tree.training(pair, TEACHER, TEACHER_SEED))
        yield f"{pair}.teacher", "teacher", of, made
        for seed in suite.seeds:
            axes, made = of | {"seed": str(seed)}, _made(tree.training(pair, INIT, seed))
            yield f"{pair}.init.{seed}", "student_init", axes, made
        yield from _caches(tree, pair)
        for label in (entry.label for entry in suite.entries):
            for seed in seeds(suite, label):
                axes = of | {"method": label, "seed": str(seed)}
                made = _made(tree.training(pair, label, seed))
                yield f"{pair}.{label}.{seed}", "distill", axes, made
    for pair, label in methods(suite):
        axes = {"pair": pair, "method": label}
        yield f"{pair}.{label}.evaluate", "evaluate", axes, _made(tree.evaluation(pair, label))
    yield "collect", "collect", {}, _made(tree.root)
    for name in SHOWN[1:-1]:
        yield name, name, {}, _made(tree.root / name)
    yield "report", "report", {}, tree.root / "report.html"


def _caches(tree: Tree, pair: str) -> Iterator[tuple[str, str, dict[str, str], Path]]:
    """Yield the response sets that any row reads, and the positions that are measured."""
    suite, needed = tree.suite, dict[str, set[int]](prefixes=set())
    for label in (entry.label for entry in suite.entries):
        for source in cached_sources(suite, label):
            needed.setdefault(source, set()).update(seeds(suite, label))
    for source, of_seeds in needed.items():
        axes = {"pair": pair, "source": source}
        if source != "student":
            yield f"{pair}.cache.{source}", "teacher_cache", axes, _made(tree.cache(pair, source))
            continue
        for seed in sorted(of_seeds):
            of, made = axes | {"seed": str(seed)}, _made(tree.cache(pair, source, seed))
            yield f"{pair}.cache.{source}.{seed}", "student_responses", of, made


def _made(folder: Path) -> Path:
    return folder / "manifest.json"

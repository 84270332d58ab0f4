"""Every job of a suite's workflow, as the rules name them: what it writes, where it logs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
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
        suite: What the command line calls its suite, or the block of it.
        rule: Its rule.
        axes: Pair, method, source and seed, as far as the rule has them.
        made: The file that is there once it is done.
        log: What it has said.
    """

    suite: str
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
        return job_name(self.suite, self.rule, self.axes)


def job_name(suite: str, rule: str, axes: dict[str, str]) -> str:
    """Return what a reader calls a job, with the world of a block.

    A suite has mostly one pair, which then says nothing.

    Args:
        suite: The suite, or the block of it (`longtail@11`).
        rule: The job's rule.
        axes: Its method, source and seed, as far as the rule has them.
    """
    words = [axes[name] for name in ("source", "method") if name in axes]
    seed = [f"seed {axes['seed']}"] if "seed" in axes else []
    _, at, world = suite.rpartition("@")
    return " ".join([rule.replace("_", " "), *words, *seed, *([f"@{world}"] if at else [])])


def job_list(tree: Tree) -> list[Job]:
    """Return the jobs of a suite in the order of the workflow; of several worlds, by block."""
    found: list[Job] = []
    for block in tree.blocks.values():
        found += _named(block, _runs(block), ("collect",))
    found += _named(tree, () if tree.blocks else _runs(tree), _shown(tree))
    roots = [tree.root, *(block.root for block in tree.blocks.values())]
    # What lies beside, in the folder of a finished run, is not the suite's to make.
    return [job for job in found if any(job.made.is_relative_to(root) for root in roots)]


def forming(tree: Tree) -> list[Job]:
    """Return those jobs of a suite that form its results of what is evaluated."""
    of_blocks = [job for block in tree.blocks.values() for job in _named(block, (), ("collect",))]
    return of_blocks + _named(tree, (), _shown(tree))


def _shown(tree: Tree) -> tuple[str, ...]:
    return SHOWN if tree.suite.shown else SHOWN[:1]


Line = tuple[str, str, dict[str, str], Path]  # name of the log, rule, axes, what is made


def _named(tree: Tree, runs: Iterable[Line], shown: Sequence[str]) -> list[Job]:
    """Return the jobs of a suite or block: its runs, and what is formed of them."""
    formed = {"collect": _made(tree.root), "report": tree.root / "report.html"}
    lines = [*runs, *((n, n, {}, formed.get(n, _made(tree.root / n))) for n in shown)]
    logs, suite = tree.root / "logs", tree.named or tree.suite.name
    return [Job(suite, rule, axes, made, logs / f"{log}.log") for log, rule, axes, made in lines]


def _runs(tree: Tree) -> Iterator[Line]:
    """Yield the jobs from text to evaluated students."""
    suite = tree.suite
    yield "data", "data", {}, _made(tree.data)
    for pair in (each.name for each in suite.pairs):
        named = {"pair": pair}
        yield f"{pair}.tokens", "tokens", named, _made(tree.tokens(pair))
        made = _made(tree.training(pair, TEACHER, TEACHER_SEED))
        yield f"{pair}.teacher", "teacher", named, made
        for seed in suite.seeds:
            axes, made = named | {"seed": str(seed)}, _made(tree.training(pair, INIT, seed))
            yield f"{pair}.init.{seed}", "student_init", axes, made
        yield from _caches(tree, pair)
        for label in (entry.label for entry in suite.entries):
            for seed in seeds(suite, label):
                axes = named | {"method": label, "seed": str(seed)}
                made = _made(tree.training(pair, label, seed))
                yield f"{pair}.{label}.{seed}", "distill", axes, made
    for pair, label in methods(suite):
        axes = {"pair": pair, "method": label}
        yield f"{pair}.{label}.evaluate", "evaluate", axes, _made(tree.evaluation(pair, label))


def _caches(tree: Tree, pair: str) -> Iterator[Line]:
    """Yield the response sets that any row reads, and the positions that are measured."""
    suite, needed = tree.suite, dict[str, set[int]](prefixes=set())
    labels = [entry.label for entry in suite.entries]
    for label in (each for each in labels if tree.makes(tree.evaluation(pair, each))):
        for source in cached_sources(suite, label):
            needed.setdefault(source, set()).update(seeds(suite, label))
    for source, by_seed in needed.items():
        axes = {"pair": pair, "source": source}
        if source != "student":
            yield f"{pair}.cache.{source}", "teacher_cache", axes, _made(tree.cache(pair, source))
            continue
        for seed in sorted(by_seed):
            made = _made(tree.cache(pair, source, seed))
            seeded = axes | {"seed": str(seed)}
            yield f"{pair}.cache.{source}.{seed}", "student_responses", seeded, made


def _made(folder: Path) -> Path:
    return folder / "manifest.json"

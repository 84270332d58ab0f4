"""The tables of a suite: which rows and columns each has, and the check that none is empty."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

import pandas as pd

from arkd.errors import ArkdError
from arkd.paths import benchmarks_dir
from arkd.results.records import SeedValues, read_csv
from arkd.storage.files import write_text
from arkd.suite.folders import INIT, TEACHER, UNTRAINED
from arkd.suite.suite import Suite
from arkd.tables import alpha as analyses
from arkd.tables import decoding as decoders
from arkd.tables import gap_closed as aggregates
from arkd.tables import public_tasks, students, variance
from arkd.tables import write as tabular
from arkd.tables.builder import GOLD, Builder, Source, base_name, short_name
from arkd.tables.table import Cell, Column, Row, Table

ALPHA_GROUPS: dict[str, tuple[str, ...]] = {  # ways to choose α, by their kind
    "constant α": ("forward_kl", "fixed_mix", "reverse_kl"),
    "schedule": ("linear_dec", "linear_inc"),
    "rule of the batch": ("greedy_min", "akl"),
    "learnt": ("arkd", "arkd_sampled", "arkd_code"),
    "control": ("random_alpha", "frozen_policy", "static_018", "replay_figure5"),
}
ALPHA_STRATEGIES = tuple(itertools.chain.from_iterable(ALPHA_GROUPS.values()))
BINS = {
    "rank_1": "rank 1",
    "rank_2_10": "2–10",
    "rank_11_100": "11–100",
    "rank_11_up": "over 10",
    "rank_101_1000": "101–1,000",
    "rank_101_up": "over 100",
    "rank_1001_up": "over 1,000",
}
KINDS = {
    "certain": "certain",
    "certain_head": "certain, head",
    "certain_torso": "certain, torso",
    "certain_tail": "certain, tail",
    "ambiguous": "ambiguous",
    "ratio90": "90:10",
    "ratio70": "70:30",
    "ratio50": "50:50",
    "unseen": "unseen",
}


def build(suite: Suite, results_dir: Path, partial: bool = False) -> list[Table]:
    """Return all tables of a suite's results.

    Raises:
        ArkdError: If the results are malformed, or cells are missing and `partial` is not set.
    """
    make = Builder(suite, results_dir)
    order = (TEACHER, UNTRAINED, INIT, *make.methods)
    tables = [summary(make, order), table1(make, order), *table2(make, order), *table5(make)]
    tables += [*analyses.alpha(make), *analyses.temperature(make), *analyses.ablation(make)]
    tables += [*aggregates.aggregate(make), *students.generalisation(make, order)]
    tables += [tail(make, order), *bins(make, order), *truth(make, order), *recall(make, order)]
    tables += [*public_tasks.public(make, order), *decoders.decoding(make, order)]
    tables += [*students.weaknesses(make, order), *students.generation(make, order)]
    tables += [*students.adaptation(make), *variance.variance(make), *variance.new_items(make)]
    tables += [cost(make), *tuning(make)]
    if make.gaps and not partial:
        raise ArkdError(make.gap_message("show the gaps"))
    return tables


def write(suite: Suite, results_dir: Path, out_dir: Path, partial: bool = False) -> list[Path]:
    """Write every table as CSV, Markdown and LaTeX and return the files.

    Args:
        suite: The suite whose `records.csv` and `cost.csv` lie in `results_dir / suite.name`.
        results_dir: The folder of all suites' results.
        out_dir: Where the tables go.
        partial: Show missing cells as '–' instead of refusing them.

    Raises:
        ArkdError: If cells are missing and `partial` is not set; nothing is written then.
    """
    paths = []
    for table in build(suite, results_dir, partial):
        for suffix, text in tabular.formats(table).items():
            path = out_dir / f"{table.name}.{suffix}"
            write_text(path, text)
            paths.append(path)
    return paths


def quality_sources(make: Builder, sets: Iterable[str]) -> list[Source]:
    """Return ROUGE-L and, where it is measured, BERTScore of each test set, side by side.

    Columns are named without the suite's prefix.
    """
    score, every = f"bertscore_{make.suite.bertscore}", make.suite.test_sets
    scored = any(make.records.groups(task, score) for task in every)
    sources = []
    for name in sets:
        short = short_name(make.suite, name)
        sources.append(Source(name, "rouge_l", short))
        sources += [Source(name, score, f"{short} BERTScore", 3)] * scored
    return sources


def summary(make: Builder, order: Sequence[str]) -> Table:
    """One column of each kind of measure: what a reader looks at first."""
    sources = [
        Source(make.suite.test_sets[0], "rouge_l", "ROUGE-L"),
        Source(GOLD, "jsd", "JSD (nats)", 3),
        Source(GOLD, "fkl", "FKL (nats)", 3),
        Source(GOLD, "rkl", "RKL (nats)", 3),
        Source(GOLD, "tail_recall", "tail recall", 3),
        Source(GOLD, "tail_precision", "tail precision", 3),
    ]
    if "certain_tail" in make.records.groups("truth", "truth_error"):
        sources += [
            Source("truth", "truth_error", f"error, {band} facts", 3, f"certain_{band}")
            for band in ("head", "tail")
        ]
    return make.table("summary", {"": sources}, order)


def table1(make: Builder, order: Sequence[str]) -> Table:
    """In distribution: ROUGE-L, and BERTScore where it is measured, of each pair."""
    titles = {"rouge_l": "ROUGE-L", f"bertscore_{make.suite.bertscore}": "BERTScore"}
    sources = [
        replace(source, pair=pair, title=" ".join((*make.lead(pair), titles[source.metric])))
        for pair in make.pairs
        for source in quality_sources(make, make.suite.test_sets[:1])
    ]
    return make.table("table1", {"": sources}, order)


def table2(make: Builder, order: Sequence[str]) -> list[Table]:
    """Out of distribution: the same of each further test set."""
    sources = quality_sources(make, make.suite.test_sets[1:])
    return [make.table("table2", {"": sources}, order)] if sources else []


def table5(make: Builder) -> list[Table]:
    """Ways to choose α: quality on all sets and the JSD to the teacher."""
    rank = {name: place for place, name in enumerate(ALPHA_STRATEGIES)}
    present = [m for m in make.methods if base_name(m) in rank and not _other_loss(make, m)]
    present.sort(key=lambda m: rank[base_name(m)])
    sources = [*quality_sources(make, make.suite.test_sets), Source(GOLD, "jsd", "JSD (nats)", 3)]
    if not present:
        return []
    table = make.table("table5", {"": sources}, present)
    controls = [m for m in present if base_name(m) in ALPHA_GROUPS["control"]]
    note = f"Controls, whose α no agent learnt in the run: {', '.join(controls)}."
    return [replace(table, notes=(*table.notes, note)) if controls else table]


def _other_loss(make: Builder, method: str) -> bool:
    """Tell whether a row changes more than the choice of α."""
    return bool({"temperature", "lm_weight", "split"} & make.suite.entry(method).changes.keys())


def tail(make: Builder, order: Sequence[str]) -> Table:
    """Token-level fidelity on gold prefixes, head and tail apart."""
    metrics = {
        "fkl": "FKL (nats)",
        "rkl": "RKL (nats)",
        "jsd": "JSD (nats)",
        "tvd": "TVD",
        "fkl_head": "FKL head",
        "fkl_tail": "FKL tail",
        "rkl_head": "RKL head",
        "rkl_tail": "RKL tail",
        "tail_mass_ratio": "tail-mass ratio",
        "tail_recall": "tail recall",
        "tail_precision": "tail precision",
        "agreement_top1": "top-1 agreement",
        f"agreement_top{make.suite.tail.top_k}": f"top-{make.suite.tail.top_k} agreement",
        "entropy_gap": "entropy gap (nats)",
        "ece": "ECE",
    }
    return make.table("tail", {"": [Source(GOLD, m, t, 3) for m, t in metrics.items()]}, order)


def bins(make: Builder, order: Sequence[str]) -> list[Table]:
    """Errors by the teacher's rank, for the bins that the vocabulary reaches."""
    recorded = make.records.groups(GOLD, "abs_gap")
    groups = [group for group in BINS if group in recorded]
    metrics = {"abs_gap": "|p − q|", "fkl": "FKL (nats)", "rkl": "RKL (nats)"}
    sections = {
        title: [Source(GOLD, metric, BINS[g], 4, g) for g in groups]
        for metric, title in metrics.items()
    }
    return [make.table("bins", sections, order)] if groups else []


def truth(make: Builder, order: Sequence[str]) -> list[Table]:
    """Errors against the known answer distributions, where the suite has them."""
    recorded = make.records.groups("truth", "truth_error")
    groups = [g for g in KINDS if g in recorded] + sorted(set(recorded) - {"", *KINDS})
    groups += [""] if "" in recorded else []
    sections = {
        title: [Source("truth", metric, KINDS.get(g, g or "all"), 3, g) for g in groups]
        for metric, title in {
            "truth_error": "total variation",
            "truth_entropy_gap": "entropy gap (nats)",
        }.items()
    }
    return [make.table("truth", sections, order)] if groups else []


def recall(make: Builder, order: Sequence[str]) -> list[Table]:
    """Facts by popularity, chosen among a few and recalled freely, and perplexity."""
    sources = [
        Source(task, "acc", f"{task.rsplit('_', 1)[-1]}, chosen", 3)
        for task in make.suite.choice_tasks
    ]
    sources += [
        Source("truth", "truth_accuracy", f"{group.removeprefix('certain_')}, recalled", 3, group)
        for group in ("certain_head", "certain_torso", "certain_tail")
        if group in make.records.groups("truth", "truth_accuracy")
    ]
    if make.suite.perplexity_task:
        sources.append(Source(make.suite.perplexity_task, "word_perplexity", "word perplexity", 2))
    return [make.table("recall", {"": sources}, order)] if sources else []


def run_costs(make: Builder) -> dict[tuple[str, str, str], SeedValues]:
    """Return what the trainings of each (pair, row) cost, by the name of the cost and by seed.

    Evaluation is left out, and so is what all rows share: the teacher and its caches.
    """
    frame = read_csv(
        make.tree.root / "cost.csv",
        make.suite,
        ["wall_s", "train_s", "tokens", "tokens_per_s", "peak_mib"],
    )
    frame = frame[frame["stage"] != "evaluate"]
    by_run = frame.groupby(["pair", "method", "seed"], sort=False)
    runs = by_run[["wall_s", "train_s", "tokens"]].agg(_summed).join(by_run["peak_mib"].max())
    runs["tokens_per_s"] = runs["tokens"] / runs["train_s"].where(runs["train_s"] > 0)
    costs: dict[tuple[str, str, str], SeedValues] = {}
    for run in runs.reset_index().to_dict("records"):
        for name in runs.columns:
            if pd.notna(run[name]):
                key = (run["pair"], run["method"], str(name))
                costs.setdefault(key, {})[int(run["seed"])] = float(run[name])
    return costs


def _summed(column: pd.Series) -> float:
    """Return the sum of a column; none where it is empty."""
    known = column.dropna()
    return math.fsum(known) if len(known) else math.nan


def cost(make: Builder) -> Table:
    """Time, throughput and memory of training, and the overhead against the fixed mix."""
    costs = run_costs(make)
    columns = [
        Column("wall_s", "wall time (s)"),
        Column("train_s", "training (s)"),
        Column("tokens_per_s", "tokens/s", 0),
        Column("peak_mib", "peak memory (MiB)", 0),
    ]
    reference = next((m for m in ("fixed_mix", "fixed_mix@alpha=0.5") if m in make.methods), None)
    if reference:
        columns.append(Column("overhead_percent", f"overhead on {reference} (%)"))
    rows = []
    for pair in make.pairs:
        base = costs.get((pair, reference or "", "train_s"), {})
        for method in make.methods:
            own = costs.get((pair, method, "train_s"), {})
            extra = {seed: (own[seed] / base[seed] - 1) * 100 for seed in own if base.get(seed)}
            costs[pair, method, "overhead_percent"] = extra
            cells = [
                make.cell(costs.get((pair, method, c.key), {}), pair, method, f"cost {c.key}")
                for c in columns
            ]
            rows.append(Row((*make.lead(pair), method), tuple(cells), pair, method))
    labels = (*make.lead("Pair"), "Method")
    return make.finish("cost", labels, columns, rows, compared=False)


def tuning(make: Builder) -> list[Table]:
    """The committed tuning run: every rate that was tried and what came of it."""
    name = make.suite.distillation.tuning or make.suite.name
    path = benchmarks_dir() / "tuning" / f"{name}.csv"
    if not path.is_file():
        return []
    frame = pd.read_csv(path, dtype=str, keep_default_na=False)
    columns = (
        Column("dev_jsd", "development JSD (nats) ↓", 4, measured=False),
        Column("chosen", "chosen", measured=False),
        Column("shared", "shared", measured=False),
    )
    words = {"1": "yes", "0": "no"}
    own = {*make.methods, *map(base_name, make.methods)}  # the run may have tuned more
    rows = [
        Row((r["method"], r["lr"]), (Cell(float(r["dev_jsd"])), *marks), None, r["method"])
        for r in frame[frame["method"].isin(own)].to_dict("records")
        for marks in [[Cell(word=words.get(r[c], r[c])) for c in ("chosen", "shared")]]
    ]
    return [make.finish("tuning", ("Method", "Learning rate"), columns, rows, compared=False)]

"""Tables on what a student is like: how it carries, where it is weak, how it writes, and whether
its policy fitted the training data.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from arkd import exact
from arkd.data.bands import BANDS
from arkd.results.records import SeedValues
from arkd.results.trajectories import Curves
from arkd.suite.folders import TEACHER
from arkd.suite.settings import MethodEntry
from arkd.tables.alpha import difference, final_alpha, quality
from arkd.tables.builder import Builder, Source
from arkd.tables.gap_closed import derived, reference
from arkd.tables.table import Cell, Column, Origin, Row, Table, bold_method, make_cell

ENTROPY_GAP = Source(
    "truth", "truth_entropy_gap", "ambiguous: |entropy gap| (nats)", 3, "ambiguous"
)
WRITING = {
    "distinct_1": ("distinct-1", 3),
    "distinct_2": ("distinct-2", 3),
    "self_bleu": ("self-BLEU", 1),
    "length_words": ("words", 2),
    "length_tokens": ("tokens", 2),
    "eos_share": ("ended", 3),
}
MAUVE = "mauve_minilm"
REPLAY = "replay_alpha"
HALVES = {"first": "first half", "second": "second half"}


def generalisation(make: Builder, order: Sequence[str]) -> list[Table]:
    """ROUGE-L in distribution, its mean out of it, and the drop between the two."""
    chosen = reference(make)
    if not make.outside:
        return []
    columns = [
        Column("rouge_l in_distribution", "ROUGE-L ↑", 2),
        Column("rouge_l out_of_distribution", "ROUGE-L out of distribution ↑", 2),
        Column("rouge_l drop", "drop", 2),
    ]
    if chosen:
        columns.append(Column("rouge_l drop_difference", f"drop less that of {chosen}", 2))
    rows = []
    for pair in make.pairs:
        base = _drop(make, pair, chosen) if chosen else {}
        for row in order:
            found, drop = quality(make, pair, row), _drop(make, pair, row)
            parts = (found["rouge_l"], found["outside"], drop)
            names = ("ROUGE-L", "ROUGE-L out of distribution", "drop in ROUGE-L")
            cells = [derived(make, v, pair, row, n) for v, n in zip(parts, names, strict=True)]
            if chosen:
                if row == TEACHER:  # one model, set beside every seed
                    drop = {seed: value for seed in base for value in drop.values()}
                cells.append(difference(make, pair, (row, chosen), drop, base))
            rows.append(Row((*make.lead(pair), row), tuple(cells), pair, row))
    labels = (*make.lead("Pair"), "Method")
    return [make.finish("generalisation", labels, columns, rows, compared=False)]


def _drop(make: Builder, pair: str, row: str) -> SeedValues:
    """Return how much lower ROUGE-L is out of distribution, by seed."""
    found = quality(make, pair, row)
    inside, outside = found["rouge_l"], found["outside"]
    return {seed: inside[seed] - outside[seed] for seed in inside if seed in outside}


def weaknesses(make: Builder, order: Sequence[str]) -> list[Table]:
    """Where distilled students are known to be weak: rare facts, ambiguity, open-ended answers."""
    measured = make.records.groups
    recall = [
        Source("truth", "truth_accuracy", f"recall, {band} facts", 3, f"certain_{band}")
        for band in BANDS
        if f"certain_{band}" in measured("truth", "truth_accuracy")
    ]
    ambiguous = [Source("truth", "truth_error", "ambiguous: error", 3, "ambiguous"), ENTROPY_GAP]
    ambiguous = [source for source in ambiguous if source.group in measured("truth", source.metric)]
    answers = []
    for task in make.suite.open_tasks:
        lead = "open-ended" if len(make.suite.open_tasks) == 1 else task
        known = measured(task, "factual_precision")
        answers += [
            Source(task, "factual_precision", f"{lead}: precision, {group or 'all'}", 3, group)
            for group in (*BANDS, "")
            if group in known
        ]
        if "" in measured(task, "facts_told"):
            answers.append(Source(task, "facts_told", f"{lead}: facts told", 2))
    sources = [*recall, *ambiguous, *answers]
    rows: list[Row] = []
    for pair in make.pairs:
        columns = [
            _absolute(make, source, pair, order)
            if source is ENTROPY_GAP
            else make.column(source, pair, order)
            for source in sources
        ]
        rows += [
            Row((*make.lead(pair), row), tuple(column[row] for column in columns), pair, row)
            for row in order
        ]
    heads = []
    for source in sources:
        heading = make.heading(source)
        arrow = " ↓" if source is ENTROPY_GAP else make.arrow(source)
        heads.append(replace(heading, title=heading.title + arrow))
    labels = (*make.lead("Pair"), "Method")
    return [make.finish("weaknesses", labels, heads, rows)] if sources else []


def _absolute(make: Builder, source: Source, pair: str, order: Sequence[str]) -> dict[str, Cell]:
    """Return a column of absolute values by method, the smallest proven one set bold."""
    values = {
        row: {seed: abs(value) for seed, value in make.values(source, pair, row).items()}
        for row in order
    }
    name = f"{source.task} |{source.metric}| {source.group}"
    best = bold_method(values, {row: make.expected(row) for row in order}, higher=False)
    return {
        row: replace(derived(make, values[row], pair, row, name), bold=row == best) for row in order
    }


def generation(make: Builder, order: Sequence[str]) -> list[Table]:
    """What sampled answers are like on the test set in distribution, beyond their ROUGE-L."""
    task, score = make.suite.test_sets[0], f"bertscore_{make.suite.bertscore}"
    titles = {**WRITING, score: ("BERTScore F1", 3), MAUVE: ("MAUVE (MiniLM)", 3)}
    sources = [
        Source(task, metric, title, digits)
        for metric, (title, digits) in titles.items()
        if "" in make.records.groups(task, metric)
    ]
    if not sources:
        return []
    table = make.table("generation", {"": sources}, order)
    chance = [
        f"{value:.3f}"
        for pair in make.pairs
        for value in make.records.values(pair, TEACHER, task, f"{score}_random_pairs").values()
    ]
    note = f"BERTScore of the references of one item against those of another: {', '.join(chance)}."
    return [replace(table, notes=(*table.notes, note)) if chance else table]


def adaptation(make: Builder) -> list[Table]:
    """Whether a policy's α is worth more on the data that it was fitted on than on others."""
    twins = {
        entry.label: own
        for entry in make.suite.entries
        if (own := _fitted_here(make, entry)) is not None
    }
    if not twins:
        return []
    logged = Curves(make)
    columns = [
        Column("rouge_l in_distribution", "ROUGE-L ↑", 2),
        Column("rouge_l out_of_distribution", "ROUGE-L out of distribution ↑", 2),
        Column("jsd", "JSD (nats) ↓", 4),
        Column("alpha last", "α, last 10 %", 3),
    ]
    if not make.outside:
        del columns[1]
    rows = []
    for pair in make.pairs:
        values = {
            row: [*quality(make, pair, row).values(), final_alpha(logged, pair, row)]
            for row in (*twins, *twins.values())
        }
        gaps: dict[str, list[list[SeedValues]]] = {}
        for replayed, own in twins.items():
            split = str(make.suite.entry(own).changes["split"])
            half = (*make.lead(pair), HALVES.get(split, split))
            for row in (own, replayed):
                cells = [
                    derived(make, v, pair, row, c.title)
                    for v, c in zip(values[row], columns, strict=True)
                ]
                rows.append(Row((*half, row), tuple(cells), pair, row))
            both = [*zip(values[own], values[replayed], strict=True)]
            name = f"{make.suite.entry(own).name} − {REPLAY}"
            cells = [difference(make, pair, (own, replayed), a, b) for a, b in both]
            rows.append(Row((*half, name), tuple(cells), pair))
            gaps.setdefault(name, []).append(
                [{s: a[s] - b[s] for s in a if s in b} for a, b in both]
            )
        for name, halves in gaps.items():
            if len(halves) == len(HALVES):
                of = [row for twin in twins.items() for row in twin]
                cells = [_mean_gap(make, pair, of, parts) for parts in zip(*halves, strict=True)]
                rows.append(Row((*make.lead(pair), "both halves", name), tuple(cells), pair))
    labels = (*make.lead("Pair"), "Trained on", "Method")
    dash = "not run yet, or without an α"
    return [make.finish("adaptation", labels, columns, rows, False, dash)]


def _mean_gap(make: Builder, pair: str, rows: Sequence[str], halves: Sequence[SeedValues]) -> Cell:
    """Return the mean of a difference over both halves, seed by seed."""
    seeds = [seed for seed in halves[0] if all(seed in half for half in halves)]
    values = {seed: exact.mean([half[seed] for half in halves]) for seed in seeds}
    failed = set.union(*(make.records.failed(pair, row) for row in rows))
    planned = set(make.expected(rows[0])).intersection(*map(make.expected, rows))
    origin = Origin(pair, tuple(rows), tuple(values.items()), "mean over both halves")
    return replace(make_cell(values, failed, sorted(planned)), origin=origin)


def _fitted_here(make: Builder, entry: MethodEntry) -> str | None:
    """Return the row whose policy was fitted on the half that a replaying row trains on.

    None if the row replays nothing, or the α of its own half.
    """
    split = entry.changes.get("split")
    if entry.name != REPLAY or entry.params.get("fitted_on") not in HALVES.keys() - {split}:
        return None
    replayed = entry.params.get("row", "arkd")
    for own in make.suite.entries:
        if own.name == replayed and not own.params and own.changes == entry.changes and split:
            return own.label
    return None

"""What sampled answers are like on the test set in distribution, beyond their ROUGE-L."""

from __future__ import annotations

from dataclasses import replace

from arkd.suite.folders import TEACHER
from arkd.tables.builder import Builder, Source
from arkd.tables.kind import TableKind
from arkd.tables.table import Layout

WRITING = {
    "distinct_1": ("distinct-1", 3),
    "distinct_2": ("distinct-2", 3),
    "self_bleu": ("self-BLEU", 1),
    "length_words": ("words", 2),
    "length_tokens": ("tokens", 2),
    "eos_share": ("ended", 3),
}
MAUVE = "mauve_minilm"


def build(make: Builder) -> Layout | None:
    task, score = make.suite.test_sets[0], f"bertscore_{make.suite.bertscore}"
    titles = {**WRITING, score: ("BERTScore F1", 3), MAUVE: ("MAUVE (MiniLM)", 3)}
    sources = [
        Source(task, metric, title, digits)
        for metric, (title, digits) in titles.items()
        if "" in make.records.groups(task, metric)
    ]
    if not sources:
        return None
    table = make.table({"": sources}, make.all_rows)
    chance = [
        f"{value:.3f}"
        for pair in make.pairs
        for value in make.records.values(pair, TEACHER, task, f"{score}_random_pairs").values()
    ]
    note = f"BERTScore between the references of different items: {', '.join(chance)}."
    return replace(table, notes=(*table.notes, note)) if chance else table


TABLE = TableKind(
    section="Quality",
    place=5,
    title="What the answers are like",
    caption="""
        Sampled answers on {test_set}: the share of distinct words and of distinct word pairs,
        self-BLEU (BLEU-4 × 100 of each answer against all others: high where all are alike),
        length in words and in tokens, and the share of answers that ended within the limit; where
        recorded, BERTScore F1 (best reference) and MAUVE. For the first six neither high nor low
        is better: compare them with the teacher's row. Decoding seeds ({decodings}) are averaged
        within a training seed; mean over {observations} ({seeds}) ± half the width of the 95 % t
        interval.
    """,
    build=build,
)

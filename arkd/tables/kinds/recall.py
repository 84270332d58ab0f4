"""Facts by popularity, chosen among a few and recalled freely, and perplexity."""

from __future__ import annotations

from arkd.tables.builder import Builder, Source
from arkd.tables.kind import TableKind
from arkd.tables.table import Layout


def build(make: Builder) -> Layout | None:
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
    return make.table({"": sources}, make.all_rows) if sources else None


TABLE = TableKind(
    section="Truth",
    place=2,
    title="Factual recall by popularity",
    caption="""
        Share correct on facts that are frequent (head), mid-frequency (torso) and rare (tail):
        chosen among the options of a multiple-choice item, and, where the truth is known, recalled
        freely: the right answer, over all its wordings, is believed more than any other answer
        and more than everything that is no answer. Rolling perplexity is that of held-out text
        without the prompt that every model was trained with: it tells models apart, but they were
        not trained for it. Mean over {observations} ({seeds}) ± half the width of the 95 % t
        interval.
    """,
    build=build,
)

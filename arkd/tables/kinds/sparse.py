"""What is stored of the teacher against what it costs: bytes, bias, and the trained student."""

from __future__ import annotations

from arkd.results.records import SeedValues
from arkd.suite.names import method_of
from arkd.suite.settings import Scratch
from arkd.tables.builder import GOLD, Builder, Source
from arkd.tables.kind import TableKind
from arkd.tables.quantities import quality, quality_columns
from arkd.tables.table import MISSING, Cell, Column, Layout, Row

ENTRY_BYTES = 8  # a token's number as int32, and its log-probability as float32
STORED = ("entries", "value_error", "gradient_error", "gradient_bias")
OF_STORE = ("bytes", *STORED)  # which an exact teacher may lack
EXACT = "hidden states: exact"


def build(make: Builder) -> Layout | None:
    kept = sparse_rows(make)
    if not kept:
        return None
    truth = "" in make.records.groups("truth", "truth_error")
    overlap = "" in make.records.groups(GOLD, "tail_overlap")
    columns = (
        Column("bytes", "bytes per token", 0),
        Column("entries", "entries", 1),
        Column("value_error", "error of the value (nats)", 3),
        Column("gradient_error", "error of the gradient, one store", 3),
        Column("gradient_bias", "mean of 64 stores", 3),
        Column("jsd", "JSD (nats) ↓", 4),
        *([Column("tail_overlap", "tail overlap ↑", 3)] if overlap else []),
        Column("ece", "ECE ↓", 4),
        *([Column("truth_error", "truth error ↓", 3)] if truth else []),
        *([Column("rouge_l", "ROUGE-L ↑")] if "rouge_l" in quality_columns(make) else []),
    )
    rows = []
    for pair in make.pairs:
        for method, support in kept.items():
            values = sparse_values(make, pair, method)
            cells = tuple(
                make.cell(values[c.key], pair, method, c.key)
                if values[c.key] or support != EXACT or c.key not in OF_STORE
                else NONE
                for c in columns
            )
            name = method_of(method)
            rows.append(Row((*make.lead(pair), name, support), cells, pair, method))
    labels = (*make.lead("Pair"), "Method", "Stored of the teacher")
    return make.finish(labels, columns, rows, compared=False)


NONE = Cell(word=MISSING, why="the exact teacher: nothing is left out")


def sparse_values(make: Builder, pair: str, method: str) -> dict[str, SeedValues]:
    """Return a row's values by column and seed; of an exact teacher, without what is left out."""
    values = quality(make, pair, method)
    values |= {
        name: make.values(Source(GOLD, f"stored_{name}", ""), pair, method) for name in STORED
    }
    for task, metric in ((GOLD, "tail_overlap"), (GOLD, "ece"), ("truth", "truth_error")):
        values[metric] = make.values(Source(task, metric, ""), pair, method)
    values["bytes"] = {seed: ENTRY_BYTES * n for seed, n in values["entries"].items()}
    teacher = make.suite.pair(pair).teacher
    if not values["bytes"] and isinstance(teacher, Scratch):  # the cache holds hidden states
        values["bytes"] = dict.fromkeys(values["jsd"], 4.0 * teacher.hidden)
    return values


def sparse_rows(make: Builder) -> dict[str, str]:
    """Return the rows of a sparse teacher and their exact twins, with what is stored, in words.

    Empty in a suite that has none.
    """
    found = {}
    names = {e.name for e in make.suite.entries if e.teacher_support not in (None, "exact")}
    for entry in make.suite.entries:
        settings = make.suite.settings(entry)
        sparse = {"teacher_support", "teacher_support_size", "teacher_support_mass"}
        if entry.name not in names or entry.params or entry.changes.keys() - sparse - {"lr"}:
            continue
        size, mass = settings.teacher_support_size, settings.teacher_support_mass
        found[entry.label] = {
            "exact": EXACT,
            "top_k": f"top {size}, renormalised",
            "top_k_bucket": f"top {size} and a bucket",
            "top_p": f"top p {mass:g}, renormalised",
            "sampled": f"{size} draws",
        }[settings.teacher_support]
    return found if names else {}


TABLE = TableKind(
    section="Fidelity",
    place=5,
    title="Sparse teachers",
    caption="""
        Students trained on a teacher of which only some entries per token are stored, suite {name}
        {version}. Bytes per token: 8 per entry (token and log-probability); for the exact teacher,
        its float32 hidden state, from which every probability follows. Error of the value: forward
        KL to what is stored minus that to the exact teacher. Error of the gradient: half the
        absolute difference from the exact gradient on the logits, for one store and for the mean of
        64; 0 to 1. What remains in the mean is bias, or, of draws, which are unbiased, chance. All
        at the trained student, on gold prefixes, at the row's temperature. Then the student itself
        at temperature 1. Mean over {observations} ({seeds}) ± half the width of the 95 % t
        interval.
    """,
    build=build,
)

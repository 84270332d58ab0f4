"""Where a divergence is taken and over which tokens, crossed with its direction."""

from __future__ import annotations

from arkd.results.records import SeedValues
from arkd.suite import rows
from arkd.suite.protocol import ROW_SETTINGS
from arkd.tables.builder import GOLD, Builder, Source
from arkd.tables.kind import TableKind
from arkd.tables.kinds.cost import run_costs
from arkd.tables.quantities import quality, quality_columns
from arkd.tables.table import Column, Layout, Row

SOURCES = ("gold", "teacher", "mixed", "student")  # from none of the student's to all
VOCABULARY = "vocabulary"
QUALITY = (
    Column("rouge_l", "ROUGE-L ↑"),
    Column("outside", "other sets ↑"),
    Column("jsd", "JSD (nats) ↓", 4),
)


def build(make: Builder) -> Layout | None:
    places = grid_places(make)
    if not places:
        return None
    truth = "" in make.records.groups("truth", "truth_error")
    measured = quality_columns(make)
    columns = (
        *(column for column in QUALITY if column.key in measured),
        *(Column(key, f"{title} ↑", 3) for key, title in tails(make).items()),
        *([Column("truth_error", "truth error ↓", 3)] if truth else []),
        Column("length_tokens", "tokens"),
        Column("entropy_gap", "entropy gap (nats)", 3),
        Column("train_s", "training (s)"),
    )
    costs = run_costs(make)
    found = []
    for pair in make.pairs:
        for method, place in places.items():
            values = grid_values(make, pair, method)
            values["train_s"] = costs.get((pair, method, "train_s"), {})
            cells = (make.cell(values.get(c.key, {}), pair, method, c.key) for c in columns)
            found.append(Row((*make.lead(pair), *place), tuple(cells), pair, method))
    labels = (*make.lead("Pair"), "Prefixes", "Support", "Divergence")
    return make.finish(labels, columns, found, compared=False)


def tails(make: Builder) -> dict[str, str]:
    """Return the measures of tails to show: their overlap, or what a suite without it has."""
    if "" in make.records.groups(GOLD, "tail_overlap"):
        return {"tail_overlap": "tail overlap"}
    return {"tail_recall": "tail recall", "tail_precision": "tail precision"}


def grid_values(make: Builder, pair: str, method: str) -> dict[str, SeedValues]:
    """Return a row's values by column and seed, those of its training left out."""
    sources = [
        *((GOLD, f"tail_{name}") for name in ("overlap", "recall", "precision")),
        (GOLD, "entropy_gap"),
        ("truth", "truth_error"),
        (make.suite.test_sets[0], "length_tokens"),
    ]
    return quality(make, pair, method) | {
        metric: make.values(Source(task, metric, ""), pair, method) for task, metric in sources
    }


def grid_places(make: Builder) -> dict[str, tuple[str, str, str]]:
    """Return prefixes, support and divergence of each row that reads the teacher, in that order.

    Empty in a suite none of whose rows sets one of the first two. Rows that change other settings
    have no place, nor have those whose loss is taken on several sets at once.
    """
    entries = make.suite.entries
    if not any({"prefixes", "support"} & entry.changes.keys() for entry in entries):
        return {}
    places = {}
    for entry in entries:
        method, settings = rows.build(entry), make.suite.settings(entry)
        changed = {"temperature", "lm_weight", "split"} & entry.changes.keys()
        if changed or not method.reads_teacher or len(method.responses) > 1:
            continue
        source: str = settings.prefixes or "gold"
        if settings.prefixes is None and rows.draws(method, settings, "student"):
            source = "mixed" if method.responses else "student"
        support = VOCABULARY
        if settings.support != VOCABULARY:
            whose = settings.support.removesuffix("_top_k")
            support = f"{whose}'s top {settings.support_size}, {settings.support_tail}"
        elif entry.params.get("estimator") == "sampled":
            support = "sampled token"
        params = {key: value for key, value in entry.params.items() if key != "estimator"}
        plain = entry.model_copy(update={"params": params, **dict.fromkeys(ROW_SETTINGS)})
        places[entry.label] = (source, support, plain.label)
    return dict(
        sorted(
            places.items(),
            key=lambda place: (
                SOURCES.index(place[1][0]),
                place[1][1] != VOCABULARY,
                *place[1][1:],
            ),
        )
    )


TABLE = TableKind(
    section="Fidelity",
    place=4,
    title="Prefixes, support and divergence",
    caption="""
        Rows that differ in where a divergence is taken (gold responses; the teacher's, sampled
        once; the student's, sampled anew at each step; mixed: gold or the student's, by a coin
        flip), in the tokens that it covers, and in the divergence itself. ROUGE-L (F1 × 100) on
        {test_set} and its mean over the other test sets; fidelity to the teacher on gold
        prefixes; total variation from the known truth; length of the sampled answers; the
        student's entropy minus the teacher's, 0 is faithful; seconds in the training loop, which
        depend on host and load. Mean over {observations} ({seeds}) ± half the width of the 95 % t
        interval.
    """,
    build=build,
)

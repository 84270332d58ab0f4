"""Token-level fidelity on gold prefixes, head and tail apart."""

from __future__ import annotations

from arkd.tables.builder import GOLD, Builder, Source
from arkd.tables.kind import TableKind
from arkd.tables.table import Layout


def build(make: Builder) -> Layout | None:
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
    return make.table({"": [Source(GOLD, m, t, 3) for m, t in metrics.items()]}, make.all_rows)


TABLE = TableKind(
    section="Fidelity",
    place=1,
    title="Fidelity to the teacher, head and tail",
    caption="""
        Student against teacher on gold prefixes, temperature 1, mean per response token. Head:
        the smallest set of the teacher's most probable tokens that holds a mass of {mu}; tail:
        the rest. Head and tail parts are generalised divergences: neither is negative, and they
        sum to the whole. Tail-mass ratio: the student's mass on the tail over the teacher's, 1
        is faithful. Tail recall: share of the teacher's tail tokens with at least a tenth of the
        uniform probability to which the student gives at least {recall_ratio} of the teacher's
        probability; tail precision: share of the student's tail mass on tokens to which the
        teacher gives that much. A flat student has high recall and low precision, so the two are
        read together. Entropy gap: student minus teacher, 0 is faithful. FKL and RKL: forward and
        reverse KL; JSD: Jensen-Shannon divergence; TVD: total variation distance; ECE: expected
        calibration error. Mean over {observations} ({seeds}) ± half the width of the 95 % t
        interval.
    """,
    build=build,
)

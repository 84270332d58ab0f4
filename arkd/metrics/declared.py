"""Every recorded number, declared once: its unit, its direction, its range and what it is.

Evaluation, claims, `arkd compare`, the report and `docs/metrics.md` read it here, so a new metric
is one line below and one value where it is measured; `arkd pages` then writes it into the page.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from arkd.errors import ArkdError, nearest

# What a metric is measured on. The first five stand in `records.csv`, then there is one file each.
Kind = Literal["answers", "choices", "fidelity", "truth", "run", "training", "cost"]
RECORDED: tuple[Kind, ...] = ("answers", "choices", "fidelity", "truth", "run")
SUITE_TASKS: tuple[Kind, ...] = ("answers", "choices")  # on tasks that each suite names itself

LABELLED = ("fidelity_gold", "fidelity_teacher", "fidelity_dev")
# The tasks of the other kinds. The curves of trainings belong to none.
TASKS: dict[Kind, tuple[str, ...]] = {
    "fidelity": (*LABELLED, "fidelity_student"),
    "truth": ("truth",),
    "run": ("run",),
    "cost": ("cost",),
}

ANY = (-math.inf, math.inf)
NOT_NEGATIVE = (0.0, math.inf)
SHARE = (0.0, 1.0)
POINTS = (0.0, 100.0)
AT_LEAST_ONE = (1.0, math.inf)
NUMBERED = "{k}"  # in a name: any whole number, which a setting of the suite gives


@dataclass(frozen=True)
class Metric:
    """One metric: what it is and how to read it.

    Attributes:
        name: As the records have it; `{k}` in it stands for a whole number.
        unit: Of a value, empty where it has none.
        higher_is_better: Its direction; none where neither is better by itself.
        range: The least and the largest value there can be.
        definition: What it is in one line of Markdown.
        tasks: Where it is measured, if not on every task of its kind.
    """

    name: str
    unit: str
    higher_is_better: bool | None
    range: tuple[float, float]
    definition: str
    tasks: tuple[str, ...] = ()

    def covers(self, name: str) -> bool:
        """Tell whether a name in the records is that of this metric."""
        stem, numbered, end = self.name.partition(NUMBERED)
        if not numbered:
            return name == self.name
        return name.startswith(stem) and name.removeprefix(stem).removesuffix(end).isdecimal()


METRICS: dict[Kind, tuple[Metric, ...]] = {
    "answers": (
        Metric(
            *("rouge_l", "points", True, POINTS),
            "ROUGE-L F1 × 100 with `rouge-score`'s stemmer, the best over an item's references; "
            "each item's score is in `items.csv`",
        ),
        Metric(
            *("rouge_l_unicode", "points", True, POINTS),
            "the same over words of any script, in the place of `rouge_l` where the suite says "
            "`rouge: rouge_l_unicode`; equal to it on ASCII",
        ),
        Metric(
            *("bertscore_minilm", "", True, (-1.0, 1.0)),
            "F1 of `bert-score` with layer 5 of all-MiniLM-L6-v2, the best over references, "
            "not rescaled",
        ),
        Metric(
            *("bertscore_minilm_random_pairs", "", None, (-1.0, 1.0)),
            "the same for references of *other* items: what style alone scores; filed under "
            "`teacher`",
        ),
        Metric(
            *("bertscore_deberta-xlarge-mnli", "", True, (-1.0, 1.0)),
            "the same with the paper's encoder, where the hub is reachable (`bertscore: "
            "deberta-xlarge-mnli`)",
        ),
        Metric(
            *("bertscore_deberta-xlarge-mnli_random_pairs", "", None, (-1.0, 1.0)),
            "what style alone scores with that encoder",
        ),
        Metric(
            *("mauve_minilm", "", True, SHARE),
            "MAUVE over MiniLM's embeddings, only for test sets of 1,000 items or more",
        ),
        Metric(
            *("distinct_1", "share", None, SHARE),
            "distinct words over all words of the answers",
        ),
        Metric(
            *("distinct_2", "share", None, SHARE),
            "distinct pairs of neighbouring words over all such pairs",
        ),
        Metric(
            *("self_bleu", "points", None, POINTS),
            "100 × mean BLEU-4 of each answer against all others",
        ),
        Metric("length_words", "words", None, NOT_NEGATIVE, "mean length of an answer"),
        Metric(
            *("length_tokens", "tokens", None, NOT_NEGATIVE),
            "mean length as it was drawn, the end token left out",
        ),
        Metric(
            *("eos_share", "share", None, SHARE),
            "share of answers that ended by themselves within the limit",
        ),
        Metric(
            *("factual_precision", "share", True, SHARE),
            "open-ended prompts: true sentences over all sentences, by popularity band",
        ),
        Metric(
            *("facts_told", "facts", True, NOT_NEGATIVE),
            "open-ended prompts: different true facts that an answer states",
        ),
    ),
    "choices": (
        Metric(
            *("acc", "share", True, SHARE),
            "share of items answered rightly: by the likeliest of the choices, or by greedy "
            "decoding (LAMBADA, PopQA)",
        ),
        Metric(
            *("acc_norm", "share", True, SHARE),
            "the same by the likeliest choice per character",
        ),
        Metric(
            *("word_perplexity", "", False, AT_LEAST_ONE),
            "exp of the mean negative log-likelihood of a word of held-out text",
        ),
        Metric(
            *("bits_per_byte", "bits", False, NOT_NEGATIVE),
            "negative log₂-likelihood of held-out text over its bytes",
        ),
        Metric(
            *("perplexity", "", False, AT_LEAST_ONE),
            "exp of the mean negative log-likelihood of the last word (LAMBADA)",
        ),
        Metric(
            *("logprob_nats", "nats", True, (-math.inf, 0.0)),
            "log-likelihood of the likeliest accepted answer (PopQA)",
        ),
    ),
    "fidelity": (
        Metric("fkl", "nats", False, NOT_NEGATIVE, "forward KL, KL(p‖q)"),
        Metric("rkl", "nats", False, NOT_NEGATIVE, "reverse KL, KL(q‖p)"),
        Metric("jsd", "nats", False, (0.0, math.log(2)), "Jensen-Shannon divergence"),
        Metric("tvd", "share", False, SHARE, "total variation, ½ Σ abs(p − q)"),
        Metric(
            *("fkl_head", "nats", False, NOT_NEGATIVE),
            "the part of `fkl` on the teacher's head (cumulative mass 0.9); head and tail add up",
        ),
        Metric("fkl_tail", "nats", False, NOT_NEGATIVE, "the part of `fkl` beyond it"),
        Metric("rkl_head", "nats", False, NOT_NEGATIVE, "the part of `rkl` on the head"),
        Metric("rkl_tail", "nats", False, NOT_NEGATIVE, "the part of `rkl` beyond it"),
        Metric(
            *("abs_gap", "probability", False, (0.0, 2.0)),
            "Σ abs(p − q) over a bin of the teacher's ranks; recorded in groups `rank_…` alone",
        ),
        Metric(
            *("tail_mass_ratio", "", None, NOT_NEGATIVE),
            "the student's mass on the teacher's tail over the teacher's",
        ),
        Metric(
            *("tail_recall", "share", True, SHARE),
            "of the teacher's tail tokens with p ≥ 1/(10·V), the share with q ≥ p/2",
        ),
        Metric(
            *("tail_precision", "share", True, SHARE),
            "share of the student's tail mass that lies on such tokens",
        ),
        Metric(
            *("tail_overlap", "share", True, SHARE),
            "F1 of both models' mass on the teacher's tail, 2·Σ min(p, q) / Σ (p + q), over all "
            "tokens together; of suites with `tail.overlap`",
        ),
        Metric(
            *("tail_mass", "share", None, SHARE),
            "the student's mass on the teacher's tail; the teacher's row has the teacher's own",
        ),
        Metric(
            *("agreement_top{k}", "share", True, SHARE),
            "overlap of the k best tokens; k is 1 (the same best token) and the suite's `top_k`, 5",
        ),
        Metric(
            *("stored_entries", "", None, NOT_NEGATIVE),
            "entries stored per token of a sparse teacher; of rows that read one",
        ),
        Metric(
            *("stored_value_error", "nats", None, ANY),
            "forward KL to what is stored less that to the exact teacher, at the row's temperature",
        ),
        Metric(
            *("stored_gradient_error", "share", False, SHARE),
            "half the absolute difference of their gradients on the logits, of a single store",
        ),
        Metric(
            *("stored_gradient_bias", "share", False, SHARE),
            "the same of the mean gradient of 64 stores: what no number of draws takes away",
        ),
        Metric("entropy_gap", "nats", None, ANY, "H(q) − H(p)"),
        Metric(
            *("acceptance", "share", True, SHARE),
            "1 − TVD: how many drafts speculative decoding would accept",
        ),
        Metric("nll", "nats", False, NOT_NEGATIVE, "−log q of the label", LABELLED),
        Metric("ece", "", False, SHARE, "calibration error of the best token", LABELLED),
        Metric(
            *("full_ece", "", False, (0.0, 2.0)),
            "calibration error over every token's probability, the label being its row's one hit",
            LABELLED,
        ),
    ),
    "truth": (
        Metric(
            *("truth_error", "share", False, SHARE),
            "total variation between the belief in answers and the truth",
        ),
        Metric("truth_entropy_gap", "nats", None, ANY, "entropy of the belief less the truth's"),
        Metric(
            *("truth_accuracy", "share", True, SHARE),
            "share of questions whose most believed answer is a most probable one",
        ),
    ),
    "run": (
        Metric(
            *("failed", "", False, (1.0, 1.0)),
            "a run that left the finite numbers: its one record, and no claim's metric",
        ),
    ),
    "training": (
        Metric("loss", "", False, ANY, "what the method minimises, in units of its own"),
        Metric("fkl", "nats", False, NOT_NEGATIVE, "forward KL of the batch's tokens"),
        Metric("rkl", "nats", False, NOT_NEGATIVE, "reverse KL of the batch's tokens"),
        Metric(
            *("alpha", "", None, NOT_NEGATIVE),
            "the weight of forward KL as it was used; above 1 for a method whose two weights do "
            "not add up to 1",
        ),
        Metric(
            *("policy_alpha", "", None, SHARE),
            "the mean that a policy gave where α is drawn",
        ),
        Metric("reward", "", True, ANY, "the policy's reward"),
        Metric("baseline", "", None, ANY, "the moving average that is taken off the reward"),
        Metric("on_policy", "share", None, SHARE, "GKD: steps on the student's own samples"),
        Metric("fresh", "share", None, SHARE, "DistiLLM: steps on samples drawn at that step"),
        Metric("replay", "share", None, SHARE, "DistiLLM: steps on samples out of its buffer"),
        Metric("threshold", "share", None, SHARE, "DistiLLM: the probability of own samples"),
        Metric("skew_teacher", "", None, SHARE, "contrastive: the skew of the teacher's term"),
        Metric("skew_student", "", None, SHARE, "contrastive: the skew of the student's term"),
        Metric(
            *("entries", "", None, NOT_NEGATIVE),
            "entries of the teacher in the target of a token, where it is sparse",
        ),
        Metric("alpha_min", "", None, NOT_NEGATIVE, "the least `alpha` of a step"),
        Metric("alpha_max", "", None, NOT_NEGATIVE, "the largest `alpha` of a step"),
    ),
    "cost": (
        Metric("startup_s", "s", False, NOT_NEGATIVE, "from the process's start to the stage's"),
        Metric("wall_s", "s", False, NOT_NEGATIVE, "the stage by the clock"),
        Metric(
            *("proper_s", "s", False, NOT_NEGATIVE),
            "training, sampling, teacher passes and evaluation in it",
        ),
        Metric("train_s", "s", False, NOT_NEGATIVE, "the training loop"),
        Metric(
            *("train_processor_s", "s", False, NOT_NEGATIVE),
            "processor time in it, over all threads; of several processes the first's",
        ),
        Metric("tokens", "tokens", None, NOT_NEGATIVE, "what was trained on, padding left out"),
        Metric("tokens_per_s", "tokens/s", True, NOT_NEGATIVE, "`tokens` over `train_s`"),
        Metric("padding_share", "share", False, SHARE, "padding over all tokens of the batches"),
        Metric("peak_mib", "MiB", False, NOT_NEGATIVE, "the most memory that the process held"),
    ),
}


def names(kind: Kind) -> tuple[str, ...]:
    """Return the names of a kind's metrics, in the order of their columns and tables."""
    return tuple(metric.name for metric in METRICS[kind])


# The columns of a suite's `trajectories.csv`. What only some rows log stands in a run's own
# `trajectory.csv`: the suite's file has the same columns, and so the same bytes, whatever its rows.
CONDENSED = tuple(name for name in names("training") if name != "entries")


def find(name: str) -> Metric | None:
    """Return a metric of `records.csv` by its name there; none where it is not declared."""
    return next((metric for metric in _recorded() if metric.covers(name)), None)


def recorded(name: str) -> Metric:
    """Return the metric of `records.csv` that is to be recorded under a name.

    Raises:
        ArkdError: it is not declared.
    """
    metric = find(name)
    if metric is None:
        known = [metric.name for metric in _recorded()]
        raise ArkdError(
            f"metric '{name}' is not declared{nearest(name, known)}; "
            "give it a line in METRICS of arkd/metrics/declared.py"
        )
    return metric


def measured_on(task: str) -> list[Metric]:
    """Return the metrics of a task; one that only a suite can know has those of all such tasks."""
    kinds = [kind for kind, tasks in TASKS.items() if task in tasks]
    return [
        metric
        for kind in kinds or SUITE_TASKS
        for metric in METRICS[kind]
        if not metric.tasks or task in metric.tasks
    ]


def _recorded() -> Iterator[Metric]:
    for kind in RECORDED:
        yield from METRICS[kind]

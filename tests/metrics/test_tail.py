"""Tail metrics against brute force over every token of the vocabulary."""

from __future__ import annotations

import math
from typing import Any

import oracles
import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from arkd.data.tokens import TokenSet
from arkd.divergence.head import Head
from arkd.evaluation.fidelity import TOKEN_BANDS, frequency_bands
from arkd.metrics.token_fidelity import Calibration, measure, measure_tokens, rank_bins
from arkd.plan.work import MEASURED_PASSES
from arkd.suite.settings import TailSettings

N, V = 12, 40
SETTINGS = TailSettings()


@pytest.fixture(scope="module")
def logits() -> tuple[Tensor, Tensor, Tensor]:
    """Student and teacher logits, and labels."""
    g = torch.Generator().manual_seed(3)
    student, teacher = (3 * torch.randn(N, V, generator=g) for _ in range(2))
    return student, teacher, torch.randint(0, V, (N,), generator=g)


def brute_force(student: Tensor, teacher: Tensor) -> dict[str, float]:
    """Every measure by loops in float64."""
    q, p = oracles.probabilities(student), oracles.probabilities(teacher)
    sums: dict[str, float] = dict.fromkeys(
        ("fkl_head", "fkl_tail", "rkl_head", "rkl_tail", "q_tail", "p_tail"), 0.0
    )
    hit = counted = on_teacher = top1 = top5 = 0.0
    for n in range(N):
        ranked = sorted(range(V), key=lambda v: -float(p[n, v]))
        before = 0.0
        for v in ranked:
            pv, qv = float(p[n, v]), float(q[n, v])
            where = "tail" if before >= SETTINGS.tail_mass else "head"
            before += pv
            sums[f"fkl_{where}"] += pv * math.log(pv / qv) - pv + qv
            sums[f"rkl_{where}"] += qv * math.log(qv / pv) - qv + pv
            if where == "tail":
                sums["q_tail"] += qv
                sums["p_tail"] += pv
                if pv >= SETTINGS.epsilon_scale / V:
                    counted += 1
                    hit += qv >= SETTINGS.recall_ratio * pv
                    on_teacher += qv
        own = sorted(range(V), key=lambda v: -float(q[n, v]))
        top1 += own[0] == ranked[0]
        top5 += len(set(own[:5]) & set(ranked[:5])) / 5
    m = (p + q) / 2
    return {
        "fkl": float(oracles.kl(p, q).mean()),
        "rkl": float(oracles.kl(q, p).mean()),
        "jsd": float((oracles.kl(p, m) / 2 + oracles.kl(q, m) / 2).mean()),
        "tvd": float((p - q).abs().sum(-1).mean() / 2),
        "tail_mass_ratio": sums["q_tail"] / sums["p_tail"],
        "tail_recall": hit / counted,
        "tail_precision": on_teacher / sums["q_tail"],
        "agreement_top1": top1 / N,
        "agreement_top5": top5 / N,
        "entropy_gap": float((oracles.entropy(student) - oracles.entropy(teacher)).mean()),
        **{k: sums[k] / N for k in ("fkl_head", "fkl_tail", "rkl_head", "rkl_tail")},
    }


def test_every_measure_equals_brute_force(logits: tuple[Tensor, Tensor, Tensor]) -> None:
    student, teacher, labels = logits
    found = measure(student, teacher, labels, SETTINGS)
    for name, expected in brute_force(student, teacher).items():
        sums, weights = found[name, ""]
        assert float(sums.sum() / weights.sum()) == pytest.approx(expected, rel=1e-4), name


def test_head_and_tail_parts_and_rank_bins_add_up(logits: tuple[Tensor, Tensor, Tensor]) -> None:
    student, teacher, labels = logits
    found = {key: value[0] for key, value in measure(student, teacher, labels, SETTINGS).items()}
    for name in ("fkl", "rkl"):
        whole = found[name, ""]
        parts = found[f"{name}_head", ""] + found[f"{name}_tail", ""]
        bins = sum(value for (metric, group), value in found.items() if metric == name and group)
        assert torch.allclose(parts, whole, atol=1e-4)
        assert torch.allclose(torch.as_tensor(bins), whole, atol=1e-4)
        assert (found[f"{name}_head", ""] >= 0).all()
        assert (found[f"{name}_tail", ""] >= 0).all()


def test_a_perfect_student_has_no_error_and_full_recall(
    logits: tuple[Tensor, Tensor, Tensor],
) -> None:
    _, teacher, labels = logits
    found = measure(teacher, teacher, labels, SETTINGS)
    for name in ("fkl", "rkl", "jsd", "tvd", "entropy_gap"):
        assert found[name, ""][0].abs().max() < 1e-6
    for name in ("tail_recall", "tail_mass_ratio"):
        sums, weights = found[name, ""]
        assert float(sums.sum() / weights.sum()) == pytest.approx(1.0)


def test_a_flat_student_has_recall_without_precision() -> None:
    teacher = torch.log(torch.tensor([[0.91, 0.05, 0.03] + [0.01 / 97] * 97]))
    found = measure(torch.zeros(1, 100), teacher, torch.tensor([0]), SETTINGS)
    recall, precision = found["tail_recall", ""], found["tail_precision", ""]
    # ε = 0.1/100: two tail tokens count; the flat student gives 1/100 to each of 99 tail tokens.
    assert float(recall[0] / recall[1]) == pytest.approx(0.0)
    assert float(precision[0] / precision[1]) == pytest.approx(2 / 99)
    generous = TailSettings(recall_ratio=0.1)
    recall = measure(torch.zeros(1, 100), teacher, torch.tensor([0]), generous)["tail_recall", ""]
    assert float(recall[0] / recall[1]) == 1.0


def test_calibration_equals_hand_counts() -> None:
    student = torch.log(torch.tensor([[0.8, 0.2], [0.6, 0.4], [0.3, 0.7], [0.95, 0.05]]))
    labels = torch.tensor([0, 1, 1, 0])
    calibration = Calibration(bins=2)
    calibration.add(student[:3], labels[:3])
    calibration.add(student[3:], labels[3:])
    errors = calibration.errors()
    # Upper half: confidences .8 .6 .7 .95, of which three are right.
    assert errors["ece"] == pytest.approx(abs(3 - 3.05) / 4, abs=1e-6)
    # Every probability counts: below 0.5 lie .2 .4 .3 .05 with one hit.
    assert errors["full_ece"] == pytest.approx((abs(1 - 0.95) + abs(3 - 3.05)) / 4, abs=1e-6)


@pytest.mark.gpu
def test_a_gpu_bins_where_its_logits_lie(logits: tuple[Tensor, Tensor, Tensor]) -> None:
    student, _, labels = logits
    here, there = Calibration(bins=15), Calibration(15, "cuda")
    here.add(student, labels)
    there.add(student.cuda(), labels.cuda())
    assert there.full.is_cuda
    assert there.errors() == pytest.approx(here.errors(), rel=1e-5)


def test_the_plan_counts_the_arrays_of_logits_that_are_read_and_written() -> None:
    tokens, vocabulary = 8, 5000
    counted = 0

    class Counting(TorchDispatchMode):
        def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None):
            nonlocal counted
            result = func(*args, **(kwargs or {}))
            if not func.is_view:
                for value in tree_leaves((args, kwargs, result)):
                    if isinstance(value, Tensor) and value.numel() >= tokens * vocabulary // 2:
                        counted += value.nbytes
            return result

    student, teacher = torch.randn(2, tokens, vocabulary)
    labels = torch.zeros(tokens, dtype=torch.int64)
    with Counting():
        measure(student, teacher, labels, SETTINGS)
        Calibration(SETTINGS.ece_bins).add(student, labels)
    assert counted / (4 * tokens * vocabulary) == pytest.approx(MEASURED_PASSES, rel=0.05)


def test_chunks_do_not_change_the_result(logits: tuple[Tensor, Tensor, Tensor]) -> None:
    student, teacher, labels = logits
    eye = Head(torch.eye(V))
    joined, _ = measure_tokens(student, eye, teacher, eye, labels, SETTINGS)
    whole = measure(student, teacher, labels, SETTINGS)
    for key, (sums, weights) in joined.items():
        assert torch.allclose(sums, whole[key][0].double(), atol=1e-5)
        assert torch.allclose(weights, whole[key][1].double(), atol=1e-5)


def test_rank_bins_cover_every_rank_once_and_merge_in_small_vocabularies() -> None:
    assert list(rank_bins(50_257)) == [
        *("rank_1", "rank_2_10", "rank_11_100", "rank_101_1000", "rank_1001_up"),
    ]
    assert list(rank_bins(1024)) == ["rank_1", "rank_2_10", "rank_11_100", "rank_101_up"]
    for vocabulary in (2, 5, 30, 512, 1024, 49_152):
        ranks = [
            rank for part in rank_bins(vocabulary).values() for rank in range(vocabulary)[part]
        ]
        assert ranks == list(range(vocabulary))


def test_frequency_bands_are_those_of_the_training_responses() -> None:
    # Token 2 has five of ten occurrences, 3 and 4 two each, 5 one; 0, 1 and 6 never occur. Prompts
    # (token 6) do not count.
    responses = [[2, 2, 3, 4], [2, 2, 5], [3, 4, 2]]
    trained = TokenSet.of(([6, 6], response) for response in responses)
    bands = [TOKEN_BANDS[band] for band in frequency_bands(trained, 7).tolist()]
    tail, torso, head = "token_tail", "token_torso", "token_head"
    assert bands == [tail, tail, head, torso, torso, tail, tail]


def test_a_token_that_is_impossible_leaves_all_measures_finite(
    logits: tuple[Tensor, Tensor, Tensor],
) -> None:
    """Masked by both it is as if it were not there; masked by one it costs much, and no NaN."""
    student, teacher, labels = (x.clone() for x in logits)
    labels.fill_(0)
    plain, _ = measures_of(student[:, :-1], teacher[:, :-1], labels)
    student[:, -1] = teacher[:, -1] = -torch.inf
    both, calibration = measures_of(student, teacher, labels)
    for key, (sums, weights) in both.items():
        assert bool(torch.isfinite(sums).all() and torch.isfinite(weights).all()), key
    for name in ("fkl", "rkl", "jsd", "tvd", "nll", "entropy_gap"):
        torch.testing.assert_close(both[name, ""], plain[name, ""])
    assert math.isfinite(calibration.errors()["full_ece"])
    teacher[:, -1] = 0.0
    alone, _ = measures_of(student, teacher, labels.fill_(V - 1))
    assert all(bool(torch.isfinite(sums).all()) for sums, _ in alone.values())
    assert float(alone["nll", ""][0].min()) > 1e4


def measures_of(student: Tensor, teacher: Tensor, labels: Tensor) -> tuple:
    """Measure logits as they are."""
    measures = measure(student, teacher, labels, SETTINGS)
    calibration = Calibration(SETTINGS.ece_bins)
    calibration.add(student, labels)
    return measures, calibration

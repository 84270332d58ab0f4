# mypy: allow-untyped-defs, allow-incomplete-defs
"""The Triton program of one token: both softmaxes, both divergences, all signals, the gradients.

It imports Triton, so it is imported only by `arkd.divergence.fused`, where that is installed.

The first pass over a row reads both models' logits once. It keeps, relative to the greatest logits
seen so far, with u = (z_s − max z_s)/T, v = (z_t − max z_t)/T,

    Σ e^u    Σ e^v    Σ e^u·(u − v)    Σ e^v·(u − v)

and for signals Σ e^u·u, Σ e^v·v, Σ e^2u, Σ e^2v and the softmax at temperature 1. When a maximum
rises, the sums are rescaled and shifted. Each column of a block has sums of its own, added up at
the end, so that few numbers are added one after another.

A token below e^LOG_ZERO has a fixed price, and whether it lies below is known once the softmax is.
So a row that has such a token, and no other, is read a second time for its divergences. The last
pass forms the gradients in place of the logits.

Shapes: C rows, V vocabulary.
"""

from __future__ import annotations

import triton
import triton.language as tl

LOWEST = tl.constexpr(-3.4028234663852886e38)  # finite, so that −inf − LOWEST is no NaN
FARTHEST = tl.constexpr(1e30)  # that a maximum rises at once: 0 times it is 0


@triton.jit
def _loaded(row, at, inside):
    """Return some logits of a row; −inf beyond its end."""
    return tl.load(row + at, mask=inside, other=float("-inf"))


@triton.jit
def _softened(row, at, inside, greatest, inverse, log_sum, LOG_ZERO: tl.constexpr):
    """Return log-probabilities, impossible tokens' as LOG_ZERO, NaN as NaN; and probabilities."""
    log = (_loaded(row, at, inside) - greatest) * inverse - log_sum
    log = tl.where(log < LOG_ZERO, LOG_ZERO, log)
    return log, tl.exp(log)


@triton.jit
def divergence_rows(
    student_CV,
    teacher_CV,
    labels_C,
    a_C,
    b_C,
    values_KC,
    rows,
    vocabulary,
    inverse,
    LOG_ZERO: tl.constexpr,
    SOFTENED: tl.constexpr,
    SIGNALS: tl.constexpr,
    OF_LOGITS: tl.constexpr,
    GRADIENTS: tl.constexpr,
    BLOCK: tl.constexpr,
):
    """Write the K values of one row, and its gradients in place of both models' logits.

    The values are FKL and RKL; with SIGNALS also the entropies of teacher and student, Σp² and Σq²
    (or V times the variances of the logits), and the student's −log q of the label at temperature
    1. One gradient takes the place of the student's logits; of two, that of FKL does, and that of
    RKL takes the place of the teacher's.

    Args:
        student_CV: The student's logits, row after row.
        teacher_CV: The teacher's.
        labels_C: The response's own tokens; read with SIGNALS.
        a_C: The weight of FKL over T; read with GRADIENTS = 1.
        b_C: The weight of RKL over T; read with GRADIENTS = 1.
        values_KC: Where the values are written.
        rows: C.
        vocabulary: V.
        inverse: 1/T.
        LOG_ZERO: The log-probability that counts for all that lie below.
        SOFTENED: T is not 1.
        SIGNALS: Seven values are written, not two.
        OF_LOGITS: The variances are those of the logits.
        GRADIENTS: 0: none; 1: that of the weighted sum; 2: that of each divergence.
        BLOCK: Columns that are worked on at once.
    """
    row = tl.program_id(0).to(tl.int64)
    student_V = student_CV + row * vocabulary
    teacher_V = teacher_CV + row * vocabulary
    columns = tl.arange(0, BLOCK)
    none = tl.zeros([BLOCK], tl.float32)
    if SIGNALS:  # before anything is overwritten
        labelled = tl.load(student_V + tl.load(labels_C + row))
    max_s, max_t = tl.full([], LOWEST, tl.float32), tl.full([], LOWEST, tl.float32)
    min_s, min_t = none + float("inf"), none + float("inf")
    sum_s, sum_t, gap_s, gap_t = none, none, none, none
    own_s, own_t, square_s, square_t, whole_s = none, none, none, none, none
    mean_s, mean_t, blocks = none, none, 0.0
    for start in range(0, vocabulary, BLOCK):
        at = start + columns
        inside = at < vocabulary
        z_s, z_t = _loaded(student_V, at, inside), _loaded(teacher_V, at, inside)
        new_s, new_t = tl.maximum(max_s, tl.max(z_s, 0)), tl.maximum(max_t, tl.max(z_t, 0))
        rise_s = tl.minimum((new_s - max_s) * inverse, FARTHEST)
        rise_t = tl.minimum((new_t - max_t) * inverse, FARTHEST)
        u, v = (z_s - new_s) * inverse, (z_t - new_t) * inverse
        e_s, e_t = tl.exp(u), tl.exp(v)
        shrink_s, shrink_t = tl.exp(-rise_s), tl.exp(-rise_t)
        gap = tl.where(inside, u - v, 0.0)
        gap_s = shrink_s * (gap_s + sum_s * (rise_t - rise_s)) + e_s * gap
        gap_t = shrink_t * (gap_t + sum_t * (rise_t - rise_s)) + e_t * gap
        min_s = tl.minimum(min_s, tl.where(inside, z_s, float("inf")))
        min_t = tl.minimum(min_t, tl.where(inside, z_t, float("inf")))
        if SIGNALS:
            own_s = shrink_s * (own_s - sum_s * rise_s) + tl.where(inside, e_s * u, 0.0)
            own_t = shrink_t * (own_t - sum_t * rise_t) + tl.where(inside, e_t * v, 0.0)
            if SOFTENED:
                whole_s = tl.exp(max_s - new_s) * whole_s + tl.exp(z_s - new_s)
            if OF_LOGITS:  # by Welford's recurrence in each column
                blocks += 1.0
                from_s = tl.where(inside, z_s - mean_s, 0.0)
                from_t = tl.where(inside, z_t - mean_t, 0.0)
                mean_s += from_s / blocks
                mean_t += from_t / blocks
                square_s += from_s * tl.where(inside, z_s - mean_s, 0.0)
                square_t += from_t * tl.where(inside, z_t - mean_t, 0.0)
            else:
                square_s = shrink_s * shrink_s * square_s + e_s * e_s
                square_t = shrink_t * shrink_t * square_t + e_t * e_t
        sum_s = shrink_s * sum_s + e_s
        sum_t = shrink_t * sum_t + e_t
        max_s, max_t = new_s, new_t

    total_s, total_t = tl.sum(sum_s, 0), tl.sum(sum_t, 0)
    log_s, log_t = tl.log(total_s), tl.log(total_t)
    fkl = log_s - log_t - tl.sum(gap_t, 0) / total_t
    rkl = log_t - log_s + tl.sum(gap_s, 0) / total_s
    entropy_s = log_s - tl.sum(own_s, 0) / total_s
    entropy_t = log_t - tl.sum(own_t, 0) / total_t
    least_s = (tl.min(min_s, 0) - max_s) * inverse - log_s
    least_t = (tl.min(min_t, 0) - max_t) * inverse - log_t
    if (least_s < LOG_ZERO) | (least_t < LOG_ZERO):
        gap_s, gap_t, own_s, own_t = none, none, none, none
        for start in range(0, vocabulary, BLOCK):
            at = start + columns
            inside = at < vocabulary
            log_q, q = _softened(student_V, at, inside, max_s, inverse, log_s, LOG_ZERO)
            log_p, p = _softened(teacher_V, at, inside, max_t, inverse, log_t, LOG_ZERO)
            gap_s += q * (log_q - log_p)
            gap_t += p * (log_q - log_p)
            own_s += q * log_q
            own_t += p * log_p
        fkl, rkl = -tl.sum(gap_t, 0), tl.sum(gap_s, 0)
        entropy_s, entropy_t = -tl.sum(own_s, 0), -tl.sum(own_t, 0)

    tl.store(values_KC + row, fkl)
    tl.store(values_KC + rows + row, rkl)
    if SIGNALS:
        tl.store(values_KC + 2 * rows + row, entropy_t)
        tl.store(values_KC + 3 * rows + row, entropy_s)
        if OF_LOGITS:
            counts = ((vocabulary - columns + BLOCK - 1) // BLOCK).to(tl.float32)
            counts = tl.maximum(counts, 0.0)
            all_ = tl.sum(counts, 0)
            mean_s -= tl.sum(counts * mean_s, 0) / all_
            mean_t -= tl.sum(counts * mean_t, 0) / all_
            spread_s = tl.sum(square_s + counts * mean_s * mean_s, 0)
            spread_t = tl.sum(square_t + counts * mean_t * mean_t, 0)
        else:
            spread_s = tl.sum(square_s, 0) / (total_s * total_s)
            spread_t = tl.sum(square_t, 0) / (total_t * total_t)
        tl.store(values_KC + 4 * rows + row, spread_t)
        tl.store(values_KC + 5 * rows + row, spread_s)
        log_whole = tl.log(tl.sum(whole_s, 0)) if SOFTENED else log_s
        tl.store(values_KC + 6 * rows + row, log_whole - (labelled - max_s))

    if GRADIENTS > 0:
        a, b = 0.0, 0.0
        if GRADIENTS == 1:
            a, b = tl.load(a_C + row), tl.load(b_C + row)
        for start in range(0, vocabulary, BLOCK):
            at = start + columns
            inside = at < vocabulary
            log_q, q = _softened(student_V, at, inside, max_s, inverse, log_s, LOG_ZERO)
            log_p, p = _softened(teacher_V, at, inside, max_t, inverse, log_t, LOG_ZERO)
            off = log_q - log_p - rkl
            if GRADIENTS == 1:
                tl.store(student_V + at, q * (b * off + a) - a * p, mask=inside)
            else:
                tl.store(student_V + at, (q - p) * inverse, mask=inside)
                tl.store(teacher_V + at, q * off * inverse, mask=inside)

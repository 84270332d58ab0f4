"""Scores over runs and tasks, summed up: arrays in, numbers out.

A score matrix has a row for each run (a training seed) and a column for each task (a test set), of
one method. All functions work on the last two axes, so that a stack of resamples passes at once.

Source: R. Agarwal et al., Deep Reinforcement Learning at the Edge of the Statistical Precipice,
NeurIPS 2021; their code is google-research/rliable, `rliable/metrics.py` at 72fc16c and
`rliable/library.py` of release 1.2.0.
"""

from __future__ import annotations

import numpy as np

from arkd import exact
from arkd.errors import ArkdError

TRIMMED = 0.25  # share of the scores that is left out at each end of the interquartile mean


def gap_closed(values: np.ndarray, start: np.ndarray, teacher: np.ndarray) -> np.ndarray:
    """Return the share of the gap between start and teacher that each run closed.

    (value − start) / (teacher − start): 0 is the start, 1 the teacher, above 1 beyond it. The sign
    of both differences turns with the metric's direction, so the share does not depend on it.

    Args:
        values: A method's results, shape [runs, tasks], in the metrics' own units.
        start: The results of the start that each run was trained from, shape [runs, tasks].
        teacher: The results of the teacher of each run, shape [runs, tasks], or [tasks] of one.

    Returns:
        Shares, shape [runs, tasks].

    Raises:
        ArkdError: shapes differ, or a start is exactly as good as the teacher.
    """
    values, start = np.asarray(values, dtype=float), np.asarray(start, dtype=float)
    gap = np.asarray(teacher, dtype=float) - start
    if values.shape != start.shape or gap.shape != start.shape:
        raise ArkdError(f"gap closed needs equal shapes: {values.shape} against {start.shape}")
    if (gap == 0).any():
        raise ArkdError(
            "gap closed needs a start that differs from the teacher; leave the task out"
        )
    return (values - start) / gap


def seed_means(scores: np.ndarray) -> np.ndarray:
    """Return each run's mean over tasks: scores [..., runs, tasks] to [..., runs]."""
    return exact.means(scores, -1)


def iqm(scores: np.ndarray) -> np.ndarray:
    """Return the interquartile mean: the mean of the middle half of all runs × tasks.

    It ignores a run that failed to learn or a task that is too easy, which a mean does not, and
    uses half of the scores, where a median uses one or two.

    Args:
        scores: Shape [..., runs, tasks].

    Returns:
        Shape [...]; for one matrix the value of `scipy.stats.trim_mean(scores, 0.25, axis=None)`.
    """
    array = np.asarray(scores, dtype=float)
    flat = np.sort(array.reshape(*array.shape[:-2], -1), axis=-1)
    cut = int(TRIMMED * flat.shape[-1])
    return exact.means(flat[..., cut : flat.shape[-1] - cut], -1)


def probability_of_improvement(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Return P(X > Y) for a run X of one method and a run Y of another, averaged over tasks.

    Within a task it is the Mann–Whitney U statistic over the number of pairs of runs: the share of
    pairs in which the first method is ahead, ties counted half. It says how often, not how much.

    Args:
        first: Scores where larger is better, shape [..., runs, tasks].
        second: The other method's, shape [..., runs of its own, tasks].

    Returns:
        Between 0 and 1, shape [...]; 1/2 where neither is ahead.
    """
    x = np.asarray(first, dtype=float)[..., :, None, :]
    y = np.asarray(second, dtype=float)[..., None, :, :]
    # Shares of a count are exact as they are; their mean over tasks need not be.
    ahead = (x > y).mean(axis=(-3, -2)) + 0.5 * (x == y).mean(axis=(-3, -2))
    return exact.means(ahead, -1)

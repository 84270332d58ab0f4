"""Checks of what a run of sixty steps trained on: which responses, and how they were drawn."""

from __future__ import annotations

import torch
from scipy.special import chdtrc

from arkd.conformance.method_under_test import Failure, NotApplicable, Subject
from arkd.conformance.values import late_run

BINS = 10
RARE = 1e-6  # so improbable a distribution of draws is none


def sources(subject: Subject) -> str:
    """A step trains on whole responses of the sets, draws or replays that its paper names.

    Raises:
        Failure: it trained on others, or on parts of them.
    """
    steps = late_run(subject)
    faults = steps[-1].notes.faults
    if faults:
        raise Failure(faults[0])
    counted = [part.source for both in steps for part in both.trace.parts]
    return ", ".join(f"{counted.count(name)} {name}" for name in sorted({*counted}))


def distributions(subject: Subject) -> str:
    """Choices, actions and tokens were drawn from the distributions that its paper gives them.

    Each draw's place in its exact distribution is even on (0, 1) if so: χ² over ten bins.

    Raises:
        Failure: they are too uneven.
        NotApplicable: the method draws nothing, or nothing is known of its draws.
    """
    uniforms = late_run(subject)[-1].notes.uniforms
    if not uniforms:
        raise NotApplicable("it draws nothing of which a distribution is listed")
    notes = []
    for what, numbers in uniforms.items():
        chance, chi2 = unevenness(numbers)
        if chance < RARE:
            raise Failure(
                f"{len(numbers)} draws of {what}: expected χ² near {BINS - 1}, got {chi2:.1f}"
            )
        notes.append(f"{len(numbers)} of {what}: χ² {chi2:.1f}")
    return "; ".join(notes)


def unevenness(numbers: list[float]) -> tuple[float, float]:
    """Return the chance of so large a χ² if numbers are even on (0, 1), and the χ² of ten bins."""
    counts = torch.histc(torch.tensor(numbers, dtype=torch.float64), BINS, 0.0, 1.0)
    expected = len(numbers) / BINS
    chi2 = float(((counts - expected) ** 2).sum() / expected)
    return float(chdtrc(BINS - 1, chi2)), chi2


CHECKS = (sources, distributions)

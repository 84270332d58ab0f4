"""Our divergences beside TRL's own function for generalised knowledge distillation."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Any

import pytest
import torch

from arkd.divergence.head import Head
from arkd.divergence.losses import Teacher, token_divergence, weighted_divergences
from arkd.method import Context, TokenDivergence
from arkd.suite import rows
from arkd.suite.protocol import MethodEntry

TRL = "trl==1.16.0"


@pytest.fixture(scope="module")
def trl_loss(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """TRL's own function, from a folder that is no part of the environment."""
    folder = tmp_path_factory.mktemp("trl")
    command = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--target", str(folder)]
    done = subprocess.run([*command, TRL], capture_output=True, text=True, check=False)
    if done.returncode:
        why = (done.stderr.strip().splitlines() or ["pip failed"])[-1]
        pytest.skip(f"pip cannot fetch {TRL} ({why}): run `make test-all` where an index has it")
    sys.path.append(str(folder))
    os.environ["TRL_EXPERIMENTAL_SILENCE"] = "1"
    try:
        from trl.experimental.gkd.gkd_trainer import GKDTrainer
    finally:
        sys.path.remove(str(folder))
    return GKDTrainer.generalized_jsd_loss


@pytest.mark.heavy
@pytest.mark.parametrize("temperature", [1.0, 2.0])
@pytest.mark.parametrize(
    ("beta", "name", "params"),
    [
        (0.1, "jsd", {"beta": 0.1}),
        (0.5, "jsd", {"beta": 0.5}),
        (0.9, "jsd", {"beta": 0.9}),
        # Its convention: at the ends the unscaled KLs in place of the formula, which is 0 there.
        (0.0, "forward_kl", {}),
        (1.0, "reverse_kl", {}),
    ],
)
def test_value_and_gradient_are_those_of_trl(
    trl_loss: Any, beta: float, name: str, params: dict, temperature: float
) -> None:
    """Its reduction (batchmean) divides by the labels that count, ours by the tokens: the same.

    Neither multiplies by T².
    """
    g = torch.Generator().manual_seed(5)
    labels_BT = torch.randint(0, 23, (3, 6), generator=g)
    labels_BT[0, :2] = labels_BT[2, 4:] = -100  # a prompt and padding
    counts = labels_BT.flatten() != -100
    hidden = torch.randn(18, 6, generator=g).requires_grad_()
    head, teacher_head = torch.randn(23, 6, generator=g), torch.randn(23, 7, generator=g)
    teacher = Teacher(torch.randn(18, 7, generator=g)[counts], Head(teacher_head))
    p_logits = torch.randn(18, 23, generator=g)
    p_logits[counts] = teacher.hidden_NG @ teacher_head.T
    theirs = trl_loss(
        (hidden @ head.T).view(3, 6, 23),
        p_logits.view(3, 6, 23),
        labels=labels_BT,
        beta=beta,
        temperature=temperature,
    )
    (expected,) = torch.autograd.grad(theirs, hidden)
    method = rows.build(MethodEntry(name=name, params=params))
    labels = labels_BT.flatten()[counts]
    if isinstance(method, TokenDivergence):
        own, context = method.token_loss, Context(0, 1)
        ours = token_divergence(
            hidden[counts],
            Head(head),
            teacher,
            lambda log_q, log_p, rows: own(log_q, log_p, labels[rows], context),
            temperature=temperature,
        )
    else:
        weights = (1.0, 0.0) if beta == 0 else (0.0, 1.0)
        ours, _, _ = weighted_divergences(
            hidden[counts], Head(head), teacher, *weights, temperature=temperature
        )
    (found,) = torch.autograd.grad(ours, hidden)
    assert ours.item() == pytest.approx(theirs.item(), rel=1e-5)
    assert torch.allclose(found, expected, atol=1e-6)

"""The draw of a token: against the softmax in float64, and nuclei found by brute force."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from conftest import ROOT

from arkd.models import generate, room
from arkd.models.draw import Draw, interleaved, kept, uniforms
from arkd.models.generate import sample
from arkd.models.model import load
from arkd.sizes import fitting

V = 50


def _drawn(scores_V: torch.Tensor, n: int, **options: float) -> torch.Tensor:
    """Return the share of each token, drawn at n evenly spaced points of [0, 1)."""
    grid = (torch.arange(n, dtype=torch.float64)[:, None] + 0.5) / n
    left = Draw(grid, **options)(torch.zeros(n, 1), scores_V.expand(n, -1))  # type: ignore[arg-type]
    assert ((left == 0).sum(-1) == 1).all()
    assert (left.isinf().sum(-1) == len(scores_V) - 1).all()
    return torch.bincount(left.argmax(-1), minlength=len(scores_V)) / n


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.0])
def test_the_shares_of_the_draws_are_the_softmax(temperature: float) -> None:
    scores = torch.randn(V, generator=torch.Generator().manual_seed(1)) * 4
    n = 20_000
    expected = (scores.double() / temperature).softmax(-1)
    found = _drawn(scores, n, temperature=temperature)
    assert (found - expected).abs().max() <= 1.5 / n  # an interval of a grid, cut off by one


def _nucleus(p: list[float], top_p: float, top_k: int) -> set[int]:
    """Return the tokens that are left, one at a time from the most probable down."""
    order = sorted(range(len(p)), key=lambda token: -p[token])[: top_k or len(p)]
    total, mass, left = sum(p[token] for token in order), 0.0, set()
    for token in order:
        if mass >= top_p * total:
            break
        left.add(token)
        mass += p[token]
    return left


@pytest.mark.parametrize("top_p", [0.01, 0.5, 0.9, 0.999, 1.0])
@pytest.mark.parametrize("top_k", [0, 1, 7, V, 2 * V])
def test_nucleus_and_top_k_leave_what_brute_force_leaves(top_p: float, top_k: int) -> None:
    scores = torch.randn(8, V, generator=torch.Generator().manual_seed(2)) * 3
    p_BV = scores.softmax(-1)
    left_BV = kept(p_BV, top_p, top_k)
    for p, left in zip(p_BV.tolist(), left_BV.tolist(), strict=True):
        chosen = _nucleus(p, top_p, top_k)
        assert left == [of if token in chosen else 0.0 for token, of in enumerate(p)]


@pytest.mark.parametrize("top_k", [1, 7, V, 2 * V])
def test_a_proposal_stands_among_the_others_best_or_is_drawn_from_it(top_k: int) -> None:
    """Every proposal in turn, weighed by its probability."""
    numbers = torch.Generator().manual_seed(3)
    p_BV, q_BV = (torch.randn(4, V, generator=numbers).mul(3).softmax(-1) for _ in range(2))
    found_BV = interleaved(p_BV, q_BV, top_k)
    for p, q, found in zip(p_BV.tolist(), q_BV.tolist(), found_BV.tolist(), strict=True):
        expected, best = [0.0] * V, _nucleus(p, 1.0, top_k)
        for proposed in range(V):
            if proposed in best:
                expected[proposed] += q[proposed]
            else:
                expected = [e + q[proposed] * x for e, x in zip(expected, p, strict=True)]
        assert found == pytest.approx(expected, abs=1e-6)
        assert sum(found) == pytest.approx(1.0, abs=1e-5)


def test_equal_tokens_stay_or_go_together() -> None:
    p = torch.tensor([[0.4, 0.2, 0.2, 0.2]])
    assert kept(p, 0.5, 0).tolist() == p.tolist()
    assert kept(p, 1.0, 2).tolist() == p.tolist()
    assert kept(p, 0.4, 0).gt(0).tolist() == [[True, False, False, False]]


def test_a_token_without_mass_is_never_drawn() -> None:
    scores = torch.tensor([-torch.inf, 0.0, -torch.inf, -1.0, -torch.inf])
    edges = torch.tensor([[0.0], [1 - 2.0**-53]], dtype=torch.float64)
    left = Draw(edges)(torch.zeros(2, 1), scores.expand(2, -1))  # type: ignore[arg-type]
    assert left.argmax(-1).tolist() == [1, 3]


@pytest.mark.parametrize("scores", [[torch.nan] * 4, [0.0, torch.nan, 0, 0], [0, torch.inf, 0, 0]])
@pytest.mark.parametrize("options", [{}, {"top_p": 0.9}, {"top_k": 2}])
def test_scores_that_are_no_numbers_are_refused(
    scores: list[float], options: dict[str, float]
) -> None:
    both_BV = torch.tensor([[1.0, 2.0, 3.0, 4.0], scores])
    draw = Draw(uniforms(2, 1, torch.Generator()), **options)  # type: ignore[arg-type]
    with pytest.raises(FloatingPointError, match="nothing can be sampled"):
        draw(torch.zeros(2, 1), both_BV)  # type: ignore[arg-type]


def smoke_teacher() -> Any:
    return load(ROOT / "benchmarks" / "fixtures" / "smoke-teacher", torch.device("cpu"))


PROMPTS = [[3] * length for length in (5, 2, 7, 2, 3, 5, 9, 2)]


def test_prompts_of_like_length_share_a_batch_where_all_need_not_be_of_one() -> None:
    apart = list(generate._by_length(range(8), PROMPTS, 3, alike=True))
    assert apart == [[1, 3, 7], [4], [0, 5], [2], [6]]
    together = list(generate._by_length(range(8), PROMPTS, 3, alike=False))
    assert together == [[1, 3, 7], [4, 0, 5], [2, 6]]


def test_padded_batches_of_like_length_draw_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    model, options = smoke_teacher(), {"seed": 1, "max_new_tokens": 12, "label": ""}
    apart = generate.sample(model, PROMPTS, batch_size=3, **options)
    assert generate.sample(model, PROMPTS, batch_size="auto", **options) == apart
    cut = generate._by_length
    monkeypatch.setattr(generate, "_by_length", lambda *given: cut(*given[:3], False))
    assert generate.sample(model, PROMPTS, batch_size=3, **options) == apart


@pytest.mark.gpu
def test_a_gpu_draws_as_many_at_once_as_fit() -> None:
    model = smoke_teacher().cuda()
    found = generate.sample(model, PROMPTS, seed=1, max_new_tokens=4, batch_size="auto", label="")
    assert [len(answer) for answer in found]
    assert room.fitting("auto", 1, model.device) == fitting.MOST


def test_batches_of_any_size_draw_the_same() -> None:
    model = smoke_teacher()
    prompts = [[5 + row % 40, 7, 9 + row % 3] for row in range(24)]
    before = torch.random.get_rng_state()
    together, apart = (
        sample(model, prompts, seed=3, max_new_tokens=6, batch_size=size, label="")
        for size in (24, 5)
    )
    assert together == apart
    assert torch.equal(before, torch.random.get_rng_state())

"""Items are weighted by their share of the data over their chance of being drawn."""

from __future__ import annotations

import json
import random
from pathlib import Path

import numpy as np
import pytest
from scipy import integrate
from simulate import laid_out, rows_of, save, suite_of
from test_variance import write_items

from arkd.data.longtail.drawn_world import make_world, zipf_weights
from arkd.data.longtail.held_out import TEST_SETS
from arkd.data.longtail.questions import LongtailSpec, held_out, pick, usual_questions
from arkd.data.longtail.source import build
from arkd.data.longtail.world import ask
from arkd.errors import ArkdError
from arkd.results.item_weights import drawn, item_weights
from arkd.statistics.inclusion import inclusion_probabilities
from arkd.suite.folders import Tree, methods, seeds
from arkd.suite.load import load_suite
from arkd.suite.suite import Suite
from arkd.tables.builder import Builder
from arkd.tables.kinds import weighted

ITEMS = 24
ROWS = ("forward_kl", "fixed_mix")


def exact_probabilities(weights: np.ndarray, count: int) -> np.ndarray:
    """Integrate the chance that fewer than `count` others came before an item.

    By u = exp(-w t) of its own time t, which is uniform; the others' arrivals before t are
    independent, so that their number is Poisson binomial: by convolution.
    """

    def fewer_came(u: float, item: int) -> float:
        came = -np.expm1(weights / weights[item] * np.log(u))
        number = np.zeros(count)
        number[0] = 1.0
        for chance in np.delete(came, item):
            number[1:] = number[1:] * (1 - chance) + number[:-1] * chance
            number[0] *= 1 - chance
        return float(number.sum())

    return np.array([integrate.quad(fewer_came, 0, 1, (i,))[0] for i in range(weights.size)])


@pytest.mark.parametrize("exponent", [0.0, 1.0])
def test_chances_are_those_of_drawing_one_after_the_other(exponent: float) -> None:
    weights = np.array(zipf_weights(60, exponent))
    found, known = inclusion_probabilities(weights, 20), exact_probabilities(weights, 20)
    assert known.sum() == pytest.approx(20, rel=1e-6)
    assert found.sum() == pytest.approx(20)
    assert found == pytest.approx(known, rel=0.03)
    rng = random.Random(3)
    counts = np.zeros(60)
    for _ in range(4000):
        counts[pick(rng, dict(enumerate(weights)), 20)] += 1
    assert counts / 4000 == pytest.approx(known, abs=4 * 0.5 / 4000**0.5)


def test_all_are_in_where_no_more_are_there() -> None:
    assert (inclusion_probabilities(np.array([5.0, 1.0]), 2) == 1).all()
    assert (inclusion_probabilities(np.array([5.0, 1.0]), 9) == 1).all()


def test_the_questions_are_those_of_the_test_file_in_its_order(tmp_path: Path) -> None:
    spec = load_suite("longtail-2@4101").data.model_copy(
        update={"world_seed": 7, "train_examples": 10, "teacher_examples": 0}
    )
    assert isinstance(spec, LongtailSpec)
    build(spec, tmp_path)
    lines = (tmp_path / f"test_{TEST_SETS[0]}.jsonl").read_text().splitlines()
    found = drawn(spec, usual_questions(spec, make_world(spec)))
    asked = [ask(*q[:2], *held_out(spec, q.entity, q.topic, "test"), q.cue) for q in found]
    assert asked == [json.loads(line)["prompt"] for line in lines]
    assert len(asked) == spec.test_items == 240


def test_weighted_items_estimate_the_mean_over_the_questions_of_the_data() -> None:
    """Over many test sets, of a score that depends on how popular an entity is."""
    truths, plain, found = [], [], []
    for seed in range(40):
        spec = world_of(seed).data.model_copy(update={"test_items": 500})
        suite = world_of(seed).model_copy(update={"data": spec})
        shares = usual_questions(spec, make_world(spec))
        score = {question: 100.0 / question.entity.rank**0.3 for question in shares}
        total = sum(shares.values())
        truths.append(sum(share * score[q] for q, share in shares.items()) / total)
        scores = np.array([score[question] for question in drawn(spec, shares)])
        plain.append(scores.mean())
        found.append(scores @ item_weights(suite))
    error = np.std(np.subtract(found, truths)) / 40**0.5
    assert abs(np.mean(np.subtract(found, truths))) < 3 * error
    assert np.mean(np.subtract(plain, truths)) < -10 * error


def world_of(seed: int, **changes: object) -> Suite:
    suite = suite_of(ROWS, **changes)
    data = suite.data.model_copy(update={"world_seed": seed, "test_items": ITEMS})
    return suite.model_copy(update={"data": data})


def scored(root: Path, suite: Suite, key: int) -> dict[tuple[str, int], np.ndarray]:
    """Save a run with drawn items; return each seed's mean over decodings: [items]."""
    draw = np.random.default_rng(key)
    save(suite, root, rows_of(suite))
    scores = {
        (method, task): draw.uniform(
            0, 100, (len(seeds(suite, method)), len(suite.decoding.seeds), ITEMS)
        ).round(1)
        for _, method in methods(suite)
        for task in suite.test_sets
    }
    write_items(root, suite, scores)
    task = suite.test_sets[0]
    return {
        (method, seed): scores[method, task][i].mean(axis=0)
        for _, method in methods(suite)
        for i, seed in enumerate(seeds(suite, method))
    }


def test_the_table_has_both_means_and_their_differences(tmp_path: Path) -> None:
    suite = world_of(5)
    scores = scored(tmp_path, suite, 0)
    table = laid_out(weighted, Builder(suite, tmp_path))
    found = {row.method: [cell.mean for cell in row.cells] for row in table.rows}
    weights = item_weights(suite)
    assert weights is not None
    assert weights.sum() == pytest.approx(1)
    for row in ROWS:
        items = np.array([scores[row, seed] for seed in suite.seeds])
        base = np.array([scores["fixed_mix", seed] for seed in suite.seeds])
        means = [items.mean(), (items @ weights).mean()]
        assert found[row] == pytest.approx(
            [*means, means[0] - base.mean(), means[1] - (base @ weights).mean()], abs=1e-9
        )


def test_each_world_has_weights_of_its_own(tmp_path: Path) -> None:
    suite = world_of(5, worlds=(11, 12, 13), seeds=(1, 2))
    save(suite, tmp_path, rows_of(suite))
    expected = []
    for world, block in Tree(tmp_path, suite).blocks.items():
        scores = scored(tmp_path, block.suite, world)
        weights = item_weights(block.suite)
        expected.append(np.mean([scores["forward_kl", seed] @ weights for seed in (1, 2)]))
    table = laid_out(weighted, Builder(suite, tmp_path))
    (cell,) = (row.cells[1] for row in table.rows if row.method == "forward_kl")
    assert cell.n == 3
    assert cell.mean == pytest.approx(np.mean(expected), abs=1e-9)


def test_items_that_are_not_those_of_the_suite_are_refused(tmp_path: Path) -> None:
    suite = world_of(5)
    scored(tmp_path, suite, 0)
    data = suite.data.model_copy(update={"test_items": ITEMS + 1})
    with pytest.raises(ArkdError, match=r"items.csv: longtail_id has 24 items, suite longtail 25"):
        weighted.build(Builder(suite.model_copy(update={"data": data}), tmp_path))


def test_data_that_were_not_generated_have_no_such_table() -> None:
    assert item_weights(load_suite("smollm2")) is None

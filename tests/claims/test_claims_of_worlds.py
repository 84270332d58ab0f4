"""The second registration, whose observations are worlds, on numbers known beforehand."""

from __future__ import annotations

import csv
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats
from test_verdicts import Level, between, comparison, suite_of, write_results

from arkd.claims import judge as judgement
from arkd.claims import write
from arkd.claims.arms import Results
from arkd.claims.comparisons import comparisons
from arkd.claims.decision import step_down, verdict
from arkd.claims.kinds import Paired, Slope
from arkd.claims.paper_numbers import paper_effect
from arkd.claims.registered import claims_path, load_claims
from arkd.stages import blocks
from arkd.storage.files import sha256_file, write_json
from arkd.storage.records import ITEM_COLUMNS, read_csv, write_csv
from arkd.suite.folders import TEACHER, Tree
from arkd.suite.load import load_suite, suite_names
from arkd.suite.suite import Suite

CLAIMS = load_claims(claims_path("2.0"))
BY_ID = {claim.id: claim for claim in CLAIMS.claims}
WORLDS = CLAIMS.rule.registered_worlds[:4]
SETS = ("longtail_id", "longtail_template", "longtail_style", "longtail_rare", "longtail_combined")
LADDER = {
    "reverse_kl": 0.0,
    "fixed_mix@alpha=0.25": 0.25,
    "fixed_mix": 0.5,
    "fixed_mix@alpha=0.75": 0.75,
    "forward_kl": 1.0,
}


def rows(*labels: str, **changes: Any) -> Suite:
    """Return a suite of several worlds with some rows, given by their labels."""
    texts = []
    for label in labels:
        name, _, settings = label.partition("@")
        pairs = [part.partition("=")[::2] for part in settings.split(",") if part]
        texts.append("{" + ", ".join(f"{k}: {v}" for k, v in [("name", name), *pairs]) + "}")
    given = {"name": "longtail-2", "worlds": WORLDS, "seeds": CLAIMS.rule.registered_seeds}
    return suite_of(*texts, **{"claims": "2.0", **given, **changes})


def results(root: Path, suite: Suite, level: Level) -> Results:
    return Results(write_results(root, suite, level, claims=CLAIMS), CLAIMS.roles)


def measured(model: type[Paired] | type[Slope], **keys: Any) -> Any:
    """Return a test of some keys, the others as they do not matter here."""
    bounds = {"direction": "greater", "margin": 0.0, "unit": "units"}
    return model.model_validate({"name": "test", **bounds, **keys})


def the_arms() -> list[str]:
    """Every row that a test of the file names; the suite trains at temperature 2."""
    found = [arm for claim in CLAIMS.claims for test in claim.tests for arm in test.arms]
    found = [arm for arm in found if arm != TEACHER and "@temperature=2.0" not in arm]
    return list(dict.fromkeys(found))


def test_rows_of_a_sparse_teacher_are_not_judged_at_the_rate_of_the_whole() -> None:
    """Sampled entries are noisier; F7 asks that no arm's rate be too high for it alone."""
    suite = load_suite("longtail-2")
    rates = {entry.label: suite.settings(entry).lr for entry in suite.entries}
    assert rates["forward_kl"] == 0.192
    sparse = [rate for label, rate in rates.items() if "teacher_support" in label]
    assert sparse == [0.096] * 3


def test_what_the_paper_prints_is_averaged_over_its_sets_where_the_claim_is() -> None:
    printed: dict[tuple[str, str], dict[str, float]] = {}
    text = (Path(__file__).parents[2] / "benchmarks/published/arkd.csv").read_text()
    for row in csv.DictReader(text.splitlines()):
        if row["metric"] == "rouge_l" and row["dataset"] != "dolly":
            of_row = printed.setdefault((row["pair"], row["method"]), {})
            of_row[row["dataset"]] = float(row["value"])
    mean = {key: float(np.mean([*of_row.values()])) for key, of_row in printed.items()}
    assert {len(of_row) for (_, method), of_row in printed.items() if method == "arkd"} == {4}
    (test,) = (t for t in BY_ID["C2"].primary if "mean_out_of_distribution" in t.tasks)
    shares = [
        (mean[pair, "arkd"] - mean[pair, b]) / (mean[pair, "teacher"] - mean[pair, "sft"])
        for pair, method in mean
        if method == "arkd"
        for b in test.b
        if (pair, b) in mean
    ]
    low, high = (f"{x:.2f}" for x in (min(shares), max(shares)))
    assert paper_effect(BY_ID["C2"], None) == f"{low} to {high} ({len(shares)} cells)"


# --- what a comparison is made of -----------------------------------------------------------------


def test_a_slope_is_that_of_the_least_squares_line_in_each_world(tmp_path: Path) -> None:
    def level(method: str, seed: int, task: str, metric: str, group: str) -> float:
        return between(method, seed, task, metric, group) + 7 * LADDER.get(method, 0.0) ** 2

    found = results(tmp_path, rows(*LADDER), level)
    test = measured(
        Slope, kind="slope", ladder=LADDER, setting="α", tasks=["fidelity_gold"], metric="jsd"
    )
    (one,) = comparisons(found, "C0", test, found.suite.pairs[0].name)
    at = np.array([*LADDER.values()])
    for world in WORLDS:
        seen = [level(arm, world, "fidelity_gold", "jsd", "") for arm in LADDER]
        assert one.values[world] == pytest.approx(np.polyfit(at, seen, 1)[0])
    assert (one.a, one.b, len(one.values)) == ("slope in α", "", len(WORLDS))


def test_a_slope_needs_every_arm_of_its_ladder(tmp_path: Path) -> None:
    found = results(tmp_path, rows("reverse_kl", "fixed_mix"), between)
    test = measured(
        Slope, kind="slope", ladder=LADDER, setting="α", tasks=["fidelity_gold"], metric="jsd"
    )
    (one,) = comparisons(found, "C0", test, found.suite.pairs[0].name)
    assert one.reason == "the suite has no arm fixed_mix@alpha=0.25"


def test_a_role_s_mean_is_one_comparison_of_the_mean_of_its_sets(tmp_path: Path) -> None:
    found = results(tmp_path, rows("arkd", "sft"), between)
    given = {"kind": "paired_difference", "a": "arkd", "b": ["sft"], "metric": "rouge_l"}
    test = measured(Paired, tasks=["mean_out_of_distribution"], **given)
    (one,) = comparisons(found, "C0", test, found.suite.pairs[0].name)
    each = comparisons(
        found, "C0", measured(Paired, tasks=["out_of_distribution"], **given), one.pair
    )
    assert [part.task for part in each] == list(SETS[1:])
    for world in WORLDS:
        assert one.values[world] == pytest.approx(np.mean([part.values[world] for part in each]))


def test_a_gap_counts_from_a_row_to_the_teacher_of_the_same_world(tmp_path: Path) -> None:
    """Teachers differ from world to world, by more than anything else here."""
    teachers = dict(zip(WORLDS, (60.0, 70.0, 80.0, 90.0), strict=True))

    def level(method: str, seed: int, task: str, metric: str, group: str) -> float:
        known = {"teacher": teachers.get(seed, 0.0), "sft": teachers.get(seed, 0.0) - 10 - seed % 2}
        return known.get(method, between(method, seed, task, metric, group))

    found = results(tmp_path, rows("arkd", "fixed_mix", "sft"), level)
    given = {"kind": "paired_difference", "a": "arkd", "tasks": ["in_distribution"]}
    given |= {"metric": "rouge_l", "transform": "gap_closed", "gap_from": "sft"}
    (one,) = comparisons(
        found, "C0", measured(Paired, b=["fixed_mix"], **given), found.suite.pairs[0].name
    )
    for world in WORLDS:
        a, b = (between(arm, world, SETS[0], "rouge_l", "") for arm in ("arkd", "fixed_mix"))
        assert one.values[world] == pytest.approx((a - b) / 10.5)  # two gaps of 10, two of 11
    (one,) = comparisons(found, "C0", measured(Paired, b=["teacher"], **given), one.pair)
    for world in WORLDS:
        a = between("arkd", world, SETS[0], "rouge_l", "")
        assert one.values[world] == pytest.approx((a - teachers[world]) / 10.5)


def test_a_gap_from_a_row_that_is_not_there_or_level_with_the_teacher_is_none(
    tmp_path: Path,
) -> None:
    given = {"kind": "paired_difference", "a": "arkd", "b": ["fixed_mix"], "metric": "rouge_l"}
    given |= {"tasks": ["in_distribution"], "transform": "gap_closed", "gap_from": "sft"}
    found = results(tmp_path / "absent", rows("arkd", "fixed_mix"), between)
    (one,) = comparisons(found, "C0", measured(Paired, **given), found.suite.pairs[0].name)
    assert one.reason == "no gap between sft and teacher on longtail_id"

    def level(method: str, seed: int, task: str, metric: str, group: str) -> float:
        return 50 + 0.01 * (seed % 3) * (method == "sft") - 0.01 * (method == "sft")

    found = results(tmp_path / "level", rows("arkd", "fixed_mix", "sft"), level)
    (one,) = comparisons(found, "C0", measured(Paired, **given), one.pair)
    assert one.reason == "no gap between sft and teacher on longtail_id"


def test_a_world_whose_start_failed_keeps_what_needs_no_start(tmp_path: Path) -> None:
    """In a difference of two arms, and in a slope over arms, the start cancels."""
    suite = rows(*LADDER, "arkd", "sft")
    lost = WORLDS[1]
    tree = write_results(tmp_path, suite, between, failed=[("sft", lost)], claims=CLAIMS)
    found, pair = Results(tree, CLAIMS.roles), suite.pairs[0].name
    given = {"tasks": ["in_distribution"], "metric": "rouge_l"}
    given |= {"transform": "gap_closed", "gap_from": "sft"}

    def level(arm: str, world: int) -> float:
        return between(arm, world, SETS[0], "rouge_l", "")

    gap = np.mean(
        [level("teacher", world) - level("sft", world) for world in WORLDS if world != lost]
    )
    of_two = {"kind": "paired_difference", "a": "arkd", "b": ["fixed_mix"]}
    (one,) = comparisons(found, "C0", measured(Paired, **of_two, **given), pair)
    assert [*one.values] == [*WORLDS]
    assert one.failed == ()
    for world in WORLDS:
        expected = (level("arkd", world) - level("fixed_mix", world)) / gap
        assert one.values[world] == pytest.approx(expected)
    ladder = {"kind": "slope", "ladder": LADDER, "setting": "α"}
    (one,) = comparisons(found, "C0", measured(Slope, **ladder, **given), pair)
    at = [*LADDER.values()]
    for world in WORLDS:
        line = np.polyfit(at, [level(arm, world) for arm in LADDER], 1)
        assert one.values[world] == pytest.approx(line[0] / gap)


def test_one_world_has_too_few_gaps_and_the_page_says_so(tmp_path: Path) -> None:
    given = {"kind": "paired_difference", "a": "arkd", "b": ["fixed_mix"], "metric": "rouge_l"}
    given |= {"tasks": ["in_distribution"], "transform": "gap_closed", "gap_from": "sft"}
    found = results(tmp_path, rows("arkd", "fixed_mix", "sft", worlds=WORLDS[:1]), between)
    (one,) = comparisons(found, "C0", measured(Paired, **given), found.suite.pairs[0].name)
    assert one.reason == "1 world with sft and teacher, 2 are needed for their gap"


def test_a_shift_is_what_another_decoder_changes_of_one_arm(tmp_path: Path) -> None:
    found = results(tmp_path, rows("arkd", "forward_kl", "reverse_kl"), between)
    test = BY_ID["X9"].tests[0]
    (one,) = comparisons(found, "X9", test, found.suite.pairs[0].name)
    for world in WORLDS:
        other, own = (
            between("arkd", world, SETS[0], "rouge_l", group) for group in ("top_p=1.0", "")
        )
        assert one.values[world] == pytest.approx(other - own)
    assert (one.a, one.b, one.group) == ("arkd", "", "top_p=1.0")


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"transform": "shift", "b": ["sft"]}, "'shift', and no other, has none"),
        ({"b": []}, "'shift', and no other, has none"),
        ({"b": ["sft"], "gap_from": "sft"}, "'gap_from' goes with transform 'gap_closed'"),
    ],
)
def test_keys_that_do_not_go_together_are_refused(keys: dict[str, Any], message: str) -> None:
    given = {"kind": "paired_difference", "a": "arkd", "tasks": ["truth"], "metric": "truth_error"}
    with pytest.raises(ValueError, match=message):
        measured(Paired, **given, **keys)


# --- the file on a suite of worlds ----------------------------------------------------------------


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Tree:
    """Results of a suite with every arm of the file, in all registered worlds."""

    def alpha(method: str, share: float) -> float:
        rises = {"arkd": 0.3, "arkd@baseline=teacher": -0.3}
        return rises.get(method, 0.0) * share + (0.0 if "greedy_min" in method else 0.5)

    suite = rows(*the_arms(), worlds=CLAIMS.rule.registered_worlds)
    root = tmp_path_factory.mktemp("whole")
    return write_results(root, suite, between, alpha=alpha, claims=CLAIMS)


def test_every_registered_test_can_be_evaluated_in_a_suite_of_worlds(whole: Tree) -> None:
    found = {one.claim.id: one for one in judgement.judge(whole, CLAIMS)}
    assert list(found) == [claim.id for claim in CLAIMS.claims]
    untested = {name: one.reason for name, one in found.items() if one.verdict == "not testable"}
    assert set(untested) == {"C10", "X13"}, untested
    every = [one for j in found.values() for one in (*j.primary, *j.secondary)]
    assert not [one.comparison.reason for one in every if one.comparison.reason]
    known = {(one.comparison.claim, one.comparison.test) for one in every}
    assert known == {
        (claim.id, test.name)
        for claim in CLAIMS.claims
        for test in claim.tests
        if claim.id not in untested
    }
    assert not any(one.provisional for one in found.values())
    for name in ("X2", "X3", "X4", "X5", "X6", "X10", "C6"):
        assert found[name].verdict == "contradicted", name
    for name in ("C7", "X7"):
        assert found[name].verdict == "supported", name


def test_equal_arms_are_equivalent_and_fewer_worlds_provisional(tmp_path: Path) -> None:
    suite = rows("arkd", "fixed_mix", worlds=CLAIMS.rule.registered_worlds[:5])
    tree = write_results(tmp_path, suite, between, claims=CLAIMS)
    claims = CLAIMS.model_copy(update={"claims": (BY_ID["E3"],), "preconditions": ()})
    (found,) = judgement.judge(tree, claims)
    (one,) = found.primary
    drops = [*one.comparison.values.values()]
    low, high = stats.t.interval(0.95, 4, np.mean(drops), stats.sem(drops))
    assert found.verdict == ("equivalent" if low > -0.8 and high < 0.8 else "inconclusive")
    assert found.provisional == "only 5 of the 10 registered worlds were run"


@pytest.mark.parametrize(("claim", "lost"), [("E3", "arkd"), ("C5", "sft"), ("C5", "arkd")])
def test_worlds_that_failed_leave_a_verdict_provisional(
    claim: str, lost: str, tmp_path: Path
) -> None:
    """An arm is not judged for good by the worlds that it survived, nor by the gap of a few."""
    worlds = CLAIMS.rule.registered_worlds
    suite = rows("arkd", "fixed_mix", "greedy_min", "sft", worlds=worlds)

    def level(method: str, seed: int, task: str, metric: str, group: str) -> float:
        known = {"teacher": 60.0, "sft": 50.0 - seed % 2} if metric == "rouge_l" else {}
        return known.get(method, between(method, seed, task, metric, group))

    failed = [(lost, world) for world in worlds[:3]]
    tree = write_results(tmp_path, suite, level, failed=failed, claims=CLAIMS)
    claims = CLAIMS.model_copy(update={"claims": (BY_ID[claim],), "preconditions": ()})
    (found,) = judgement.judge(tree, claims)
    assert found.verdict != "not testable"
    said = "only 7 of the 10 registered worlds are left, in the others a run failed"
    assert found.provisional == said


def test_an_arm_with_fewer_seeds_in_each_world_is_provisional(tmp_path: Path) -> None:
    claims = CLAIMS.model_copy(update={"claims": (BY_ID["E3"],), "preconditions": ()})
    for label, said in (
        ("arkd", ""),
        ("arkd@seeds=1", "the training seeds are not the registered ones"),
    ):
        suite = rows(label, "fixed_mix", worlds=CLAIMS.rule.registered_worlds)
        tree = write_results(tmp_path / str(len(said)), suite, between, claims=CLAIMS)
        (found,) = judgement.judge(tree, claims)
        assert (found.verdict != "not testable", found.provisional) == (True, said)


def test_what_counts_as_an_effect_stands_beside_each_comparison(tmp_path: Path) -> None:
    """So that a decision can be made again from the file alone; the first version had none."""
    suite = rows(*the_arms(), worlds=CLAIMS.rule.registered_worlds)
    tree = write_results(tmp_path, suite, between, claims=CLAIMS)
    claims = CLAIMS.model_copy(update={"claims": (BY_ID["C5"],), "preconditions": ()})
    found = judgement.judge(tree, claims)
    write.write(suite, claims, found, tmp_path)
    lines = read_csv(tmp_path / "comparisons.csv")
    sizes = [test.equivalence for test in BY_ID["C5"].tests for _ in test.tasks for _ in test.b]
    assert any(sizes)
    assert [float(line["equivalence"] or 0) for line in lines[: len(sizes)]] == sizes
    rates = [suite.settings(suite.entry(arm)).lr for arm in ("arkd", "greedy_min")]
    assert {line["rates"] for line in lines} == {" ".join(f"{rate:g}" for rate in rates)}
    for line in lines:
        if line["decision"] in ("holds", "refuted", "equivalent"):
            low, high, size = (float(line[key] or 0) for key in ("low", "high", "equivalence"))
            none = -size < low and high < size
            above = "holds" if line["direction"] == "greater" else "refuted"
            below = {"holds": "refuted", "refuted": "holds"}[above]
            assert line["decision"] == ("equivalent" if none else above if low > 0 else below)
    first = load_claims()
    assert "equivalence" not in first.rule.verdicts
    write.write(suite, first, [], tmp_path / "first")
    head = (tmp_path / "first" / "comparisons.csv").read_text()
    assert "equivalence" not in head
    assert "rates" not in head


def test_a_suite_of_one_world_is_provisional(tmp_path: Path) -> None:
    suite = rows("arkd", "fixed_mix", worlds=())
    tree = write_results(tmp_path, suite, between, claims=CLAIMS)
    claims = CLAIMS.model_copy(update={"claims": (BY_ID["E3"],), "preconditions": ()})
    (found,) = judgement.judge(tree, claims)
    assert found.provisional == "the claims were registered for suites of several worlds"


def test_the_paper_s_effects_are_shares_of_its_gap() -> None:
    def effect(claim: str, pair: str | None = None) -> str:
        return paper_effect(BY_ID[claim], pair)

    assert effect("C5", "gpt2-1.5B-120M") == "0.08 (1 cell)"  # 0.4 of 27.1 - 22.3
    assert effect("C5") == "0.06 to 0.08 (2 cells)"  # 0.2 of 27.1 - 24.0
    assert effect("X11", "llama-13B-7B") == "0.21 (1 cell)"  # 1.1 of 31.3 - 26.0
    assert effect("X2") == "0.2 to 0.6 (6 cells)"  # points: the print alone


# --- from the runs of ten blocks to verdicts ------------------------------------------------------

# In points of ROUGE-L, on every test set; and the standard deviations around them.
PLANTED = {"forward_kl": 0, "reverse_kl": 8, "fixed_mix": -8, "arkd": -8, "sft": -10}
SPREAD = {"world": 0.3, "seed": 0.3}


@pytest.fixture(scope="module")
def ten_blocks(tmp_path_factory: pytest.TempPathFactory) -> Tree:
    """Ten blocks of four seeds with planted effects, each collected by itself, and joined."""
    suite = rows(*PLANTED, worlds=CLAIMS.rule.registered_worlds)
    root = tmp_path_factory.mktemp("blocks")
    whole = Tree(root, suite)
    for world, block in whole.blocks.items():
        write_results(root, block.suite, in_world(world), claims=CLAIMS)
        write_csv(block.root / "items.csv", ITEM_COLUMNS, [])
        names = ("records.csv", "items.csv", "trajectories.csv", "cost.csv")
        facts: dict[str, Any] = {"stage": "collect", "suite": block.suite.name}
        facts |= {"suite_version": block.suite.version, "core": "c", "training_core": "t"}
        facts |= {"config": block.suite.model_dump(mode="json"), "inputs": {}, "versions": {}}
        facts["outputs"] = {name: sha256_file(block.root / name) for name in names}
        write_json(block.root / "manifest.json", facts)
    blocks.pool(whole)
    return whole


def in_world(world: int) -> Level:
    """Each method's planted effect, with what its world and its training seed add."""

    def level(method: str, seed: int, task: str, metric: str, group: str) -> float:
        value = between(method, 0, task, metric, group)
        if metric != "rouge_l" or method not in PLANTED:
            return value
        named = f"{method} {task}".encode()
        drawn = [
            np.random.default_rng([*named, *axes]).normal() for axes in ([world], [world, seed])
        ]
        return float(30 + PLANTED[method] + np.dot(drawn, [*SPREAD.values()]))

    return level


def score(method: str, world: int, task: str) -> float:
    """Return a method's ROUGE-L in a world, the mean over its training seeds."""
    level = in_world(world)
    seeds = CLAIMS.rule.registered_seeds
    return float(np.mean([level(method, seed, task, "rouge_l", "") for seed in seeds]))


def test_planted_effects_come_from_the_blocks_runs_to_the_verdicts(ten_blocks: Tree) -> None:
    """Means over each world's seeds, t intervals over worlds: recomputed here from the runs."""
    ids = {"C3": "supported", "C4": "contradicted", "E3": "equivalent"}
    claims = CLAIMS.model_copy(update={"claims": tuple(map(BY_ID.get, ids)), "preconditions": ()})
    found = {one.claim.id: one for one in judgement.judge(ten_blocks, claims)}
    assert {name: one.verdict for name, one in found.items()} == ids
    assert not any(one.provisional for one in found.values())
    (gain, _), (drop,) = found["C3"].primary, found["E3"].primary
    gap = np.mean([50.0 - score("sft", world, SETS[0]) for world in ten_blocks.suite.worlds])
    for world in ten_blocks.suite.worlds:
        lead = score("reverse_kl", world, SETS[0]) - score("forward_kl", world, SETS[0])
        assert gain.comparison.values[world] == pytest.approx(lead / gap)
        lost = {
            arm: score(arm, world, SETS[0]) - np.mean([score(arm, world, ood) for ood in SETS[1:]])
            for arm in ("arkd", "fixed_mix")
        }
        assert drop.comparison.values[world] == pytest.approx(lost["arkd"] - lost["fixed_mix"])
    for one in (gain, drop):
        values = [*one.comparison.values.values()]
        interval = stats.t.interval(one.level, 9, np.mean(values), stats.sem(values))
        assert (one.low, one.high) == pytest.approx(interval)


# --- the rule: a family of five in ten worlds -----------------------------------------------------

RUNS = 1000
BAND = 0.4  # points
LEAST_SURE = 0.05 + 3 * math.sqrt(0.05 * 0.95 / RUNS)


def simulated(effect: float, error: float) -> list[list[str]]:
    """Decide families of five comparisons in ten worlds, given their true effect and its error."""
    draw = np.random.default_rng([20, round(1000 * error)])
    values = effect + error * math.sqrt(10) * draw.standard_normal((RUNS, 5, 10))
    return [
        [
            one.decision
            for one in step_down([comparison(dict(enumerate(v)), equivalence=BAND) for v in run])
        ]
        for run in values
    ]


def test_five_nulls_get_a_wrong_word_in_at_most_five_percent_of_families() -> None:
    found = simulated(0.0, error=0.1)
    wrong = [bool({"holds", "refuted"} & {*words}) for words in found]
    assert np.mean(wrong) <= LEAST_SURE
    verdicts = [verdict("all", words) for words in found]
    assert np.mean([word in ("supported", "contradicted") for word in verdicts]) <= LEAST_SURE
    assert np.mean([word == "equivalent" for word in verdicts]) > 0.5


def test_effects_of_twice_the_margin_are_decided_at_the_planned_error() -> None:
    found = simulated(2 * BAND, error=0.117)
    assert np.mean([words == ["holds"] * 5 for words in found]) > 0.9


def test_a_comparison_with_a_band_stays_in_holm_s_count() -> None:
    """Else the last of five nulls would be decided at .05, though all may yet be wrongly told."""
    tight = 0.01 * np.linspace(-1, 1, 10)
    steps = [1 - 0.05 / left for left in (5, 4, 3, 2, 1)]
    for band, expected in ((BAND, [0.99] * 5), (0.0, steps)):
        family = [
            comparison(dict(enumerate(mean + tight)), equivalence=band)
            for mean in (5.0, 4.0, 3.0, 2.0, 1.0)
        ]
        assert [one.level for one in step_down(family)] == pytest.approx(expected)


# --- the suites that are to be judged -------------------------------------------------------------

VERDICT_SUITES = ("longtail-2",)
ON_OWN_TEXT = {  # whose suite is still to come
    *("minillm", "forward_kl@prefixes=student", "reverse_kl@prefixes=student", "opd", "vopd"),
    *("opd@estimator=sampled", "eopd", "eopd@estimator=vocabulary"),
}


def test_the_verdict_suites_hold_every_registered_arm_world_seed_and_decoder() -> None:
    suites = [load_suite(name) for name in VERDICT_SUITES]
    assert {*VERDICT_SUITES} <= {*CLAIMS.suite_families["longtail-2"]}
    arms = [arm for claim in CLAIMS.claims for test in claim.tests for arm in test.arms]
    arms += [arm for claim in CLAIMS.claims for arm in claim.needs]
    # They train at temperature 1, so that an arm which spells it out is the plain row.
    wanted = {arm.removesuffix("@temperature=1.0") for arm in arms} - {TEACHER}
    assert wanted - ON_OWN_TEXT <= {entry.label for suite in suites for entry in suite.entries}
    assert wanted >= ON_OWN_TEXT
    paired = [t for claim in CLAIMS.claims for t in claim.tests if isinstance(t, Paired)]
    named = {group for test in paired for group in test.groups}
    for suite in suites:
        assert suite.claims == CLAIMS.version
        assert suite.worlds == CLAIMS.rule.registered_worlds
        assert suite.seeds == CLAIMS.rule.registered_seeds
        assert not any(entry.worlds or entry.seeds for entry in suite.entries), suite.name
        assert suite.distillation.temperature == 1.0
        assert {variant.label for variant in suite.decoding.variants} <= named
    assert [variant.label for variant in suites[0].decoding.variants] == ["top_p=1.0"]


@pytest.mark.parametrize("name", sorted({*suite_names()} - {*VERDICT_SUITES}))
def test_no_other_suite_draws_a_registered_world_or_seed(name: str) -> None:
    suite = load_suite(name)
    drawn = {*suite.worlds, getattr(suite.data, "world_seed", None)}
    assert not drawn & {*CLAIMS.rule.registered_worlds}
    assert not {*suite.seeds} & {*CLAIMS.rule.registered_seeds}

"""The verdicts follow the registered rule, on numbers whose verdict is known beforehand."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Callable, Iterable
from contextlib import redirect_stdout
from functools import cache
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml
from scipy import stats

from arkd.claims import judge as judgement
from arkd.claims.arms import Results
from arkd.claims.comparisons import comparisons
from arkd.claims.decision import Comparison, Decided, decisive, step_down, verdict
from arkd.claims.kinds import (
    Arithmetic,
    Identity,
    Measured,
    Order,
    Paired,
    Published,
    Trajectory,
)
from arkd.claims.paper_numbers import paper_effect
from arkd.claims.registered import Claim, Claims, claims_path, load_claims
from arkd.claims.trajectory_statistic import statistic
from arkd.cli import main as cli
from arkd.errors import ArkdError
from arkd.stages import trajectories
from arkd.stages.collect import COST_COLUMNS
from arkd.statistics.power import p_value, smallest_effect
from arkd.storage.files import MARK, sha256_file
from arkd.storage.records import COLUMNS, write_csv
from arkd.suite.folders import Tree, methods, seeds
from arkd.suite.load import load_suite
from arkd.suite.protocol import MethodEntry
from arkd.suite.suite import Suite

CLAIMS = load_claims()
BY_ID = {claim.id: claim for claim in CLAIMS.claims}
FULL = load_suite("longtail-full")
PAIR = FULL.pairs[0].name
REGISTERED = CLAIMS.rule.registered_seeds
Level = Callable[[str, int, str, str, str], float]  # of (method, seed, task, metric, group)


# --- results as the pipeline would write them -----------------------------------------------------


def suite_of(*labels: str, **changes: Any) -> Suite:
    """Return the verdict suite with other methods, given as labels or mappings."""
    entries = tuple(MethodEntry.model_validate(yaml.safe_load(label)) for label in labels)
    return FULL.model_copy(update={"methods": entries, **changes})


def quantities(suite: Suite, claims: Claims) -> list[tuple[str, str, str]]:
    """Every (task, metric, group) that a registered test reads."""
    roles = {
        "in_distribution": suite.test_sets[:1],
        "out_of_distribution": suite.test_sets[1:],
        "mean_out_of_distribution": suite.test_sets[1:],
        "rare": ("longtail_rare",),
        "choice_tail": ("longtail_mc_tail",),
    }
    found = [("fidelity_gold", metric, "") for metric in ("fkl", "rkl", "jsd", "tvd")]
    for test in (test for claim in claims.claims for test in claim.tests):
        if isinstance(test, Measured) and "cost" not in test.tasks:
            groups = (*test.groups, "") if test.transform == "shift" else test.groups
            for name in test.tasks:
                for task in roles.get(name, (name,)):
                    found += [(task, test.metric, group) for group in groups]
    return list(dict.fromkeys(found))


def write_results(
    root: Path,
    suite: Suite,
    level: Level,
    *,
    alpha: Callable[[str, float], float] = lambda _, __: 0.5,
    failed: Iterable[tuple[str, int]] = (),
    lost: Iterable[tuple[str, int]] = (),
    weights: Callable[[str, int], str] = lambda method, seed: f"{method}{seed}",
    train_s: Callable[[str, int], float] = lambda _, __: 10.0,
    claims: Claims = CLAIMS,
) -> Tree:
    """Write records, costs, trajectories and manifests of a suite; `lost` runs left nothing."""
    tree = Tree(root, suite)
    records, costs, windows = [], [], []
    wanted = quantities(suite, claims)
    for pair, method in methods(suite):
        for seed in seeds(suite, method):
            if (method, seed) in lost:
                continue
            head = {"suite": suite.name, "suite_version": suite.version, "pair": pair}
            head |= {"method": method, "seed": seed}
            if (method, seed) in failed:
                records.append(head | {"task": "run", "metric": "failed", "value": 1.0, "n": 1})
                continue
            for task, metric, group in wanted:
                value = level(method, seed, task, metric, group)
                of = head | {"task": task, "metric": metric, "group": group, "n": 9}
                decodings = suite.decoding.seeds if metric == "rouge_l" else (None,)
                for place, decode in enumerate(decodings):
                    noise = place - (len(decodings) - 1) / 2  # averages out over decoding seeds
                    records.append(of | {"decode_seed": decode, "value": value + noise})
            if method in ("teacher", "init", "untrained"):
                continue
            time = train_s(method, seed)
            spent = {"wall_s": time + 5, "train_s": time, "train_processor_s": time}
            costs.append(head | {"stage": "distill", **spent, "peak_mib": 900.0})
            windows += [head | w for w in run_windows(suite, lambda x, m=method: alpha(m, x))]
            trainings = [tree.training(pair, method, seed)]
            if suite.worlds:
                block = tree.blocks[seed]
                trainings = [block.training(pair, method, s) for s in block.suite.seeds_of(method)]
            for folder in trainings:
                folder.mkdir(parents=True, exist_ok=True)
                outputs = {"model/model.safetensors": weights(method, seed), "model/README.md": "x"}
                (folder / "manifest.json").write_text(json.dumps({"outputs": outputs}))
    write_csv(tree.root / "records.csv", COLUMNS, records)
    write_csv(tree.root / "cost.csv", COST_COLUMNS, costs)
    write_csv(tree.root / "trajectories.csv", trajectories.COLUMNS, windows)
    return tree


def run_windows(suite: Suite, alpha: Callable[[float], float], count: int = 20) -> list[dict]:
    """Return the windows of a run whose divergences fall and whose reward rises."""
    steps = suite.distillation.steps // count
    return [
        {
            **{"window": w, "first_step": w * steps, "last_step": (w + 1) * steps - 1},
            **{"loss": 1 - w / 40, "fkl": 1 - w / 40, "rkl": 2 - w / 40, "reward": w / 40 - 2},
            **{"alpha": (a := alpha((w + 0.5) / count)), "alpha_min": a, "alpha_max": a},
        }
        for w in range(count)
    ]


@cache
def between(method: str, seed: int, task: str, metric: str, group: str) -> float:
    """Give each arm a plausible, noisy number: the teacher far ahead, the untrained far behind."""
    place = {"teacher": 0.0, "init": 0.6, "untrained": 1.0}.get(method, 0.4)
    draw = np.random.default_rng([seed, *f"{method} {task} {metric} {group}".encode()])
    noise = 0.01 * draw.standard_normal() if 0 < place < 1 else 0.0
    scale = {"rouge_l": 50, "acc": 50, "tail_overlap": 1}.get(metric)  # the higher the better
    return scale * (1 - place - noise) if scale else place + noise


def planted(effects: dict[str, float], metric: str = "rouge_l") -> Level:
    """Add an effect to some methods' values of a metric."""

    def level(method: str, seed: int, task: str, name: str, group: str) -> float:
        value = between(method, seed, task, name, group)
        return value + effects.get(method, 0.0) * (name == metric)

    return level


def of_claims(*claims: Claim, **rule: Any) -> Claims:
    """Return the registered rule with other claims and no precondition."""
    changed = CLAIMS.rule.model_copy(update=rule)
    return CLAIMS.model_copy(update={"claims": claims, "preconditions": (), "rule": changed})


def judged(tree: Tree, *ids: str, partial: bool = False) -> dict[str, judgement.Judgement]:
    """Judge some registered claims."""
    claims = of_claims(*(BY_ID[name] for name in ids)) if ids else CLAIMS
    return {one.claim.id: one for one in judgement.judge(tree, claims, partial)}


# --- the rule on bare numbers ---------------------------------------------------------------------


def values_with(p: float, n: int = 10, sign: float = 1.0) -> dict[int, float]:
    """Return differences whose two-sided p against 0 is `p`."""
    pattern = np.linspace(-1, 1, n)
    error = pattern.std(ddof=1) / math.sqrt(n)
    return dict(enumerate(pattern + sign * error * stats.t.isf(p / 2, n - 1)))


def comparison(values: dict[int, float], direction: str = "greater", **more: Any) -> Comparison:
    kind = more.pop("kind", "paired_difference")
    return Comparison(
        *("C0", "test", "primary", kind, "pair", "a"),
        values=values,
        direction=direction,  # type: ignore[arg-type]
        **more,
    )


@pytest.mark.parametrize("boundary", [0.0, 0.3, -2.0, 1.7])
def test_p_is_the_t_test_s_against_the_boundary(boundary: float) -> None:
    values = np.random.default_rng(0).normal(0.4, 1, 7)
    expected = stats.ttest_1samp(values, boundary).pvalue
    assert p_value(values, [boundary]) == pytest.approx(expected)


@pytest.mark.parametrize("mean", [-0.9, -0.4, 0.0, 0.2, 0.5, 3.0])
def test_p_is_the_smallest_rate_whose_interval_holds_no_boundary(mean: float) -> None:
    values = np.random.default_rng(1).normal(mean, 0.3, 6)
    center, error = values.mean(), stats.sem(values)
    low, high = 0.0, 1.0
    for _ in range(50):
        rate = (low + high) / 2
        start, stop = stats.t.interval(1 - rate, 5, center, error)
        clear = not any(start <= boundary <= stop for boundary in (-0.5, 0.5))
        low, high = (low, rate) if clear else (rate, high)
    assert p_value(values, [-0.5, 0.5]) == pytest.approx(high, abs=1e-9)


def test_seeds_without_spread_are_a_point() -> None:
    assert p_value([0.2, 0.2, 0.2], [0.0]) == 0.0
    assert p_value([0.4, 0.4, 0.4], [0.4]) == 1.0
    assert p_value([0.1 + 0.2, 0.3, 0.3], [0.3]) == 1.0  # 0.1 + 0.2 is 0.3 but for rounding


def words(*ps: float, signs: Iterable[float] = ()) -> list[str]:
    signs = [*signs] or [1.0] * len(ps)
    family = [comparison(values_with(p, sign=s)) for p, s in zip(ps, signs, strict=True)]
    return [one.decision for one in step_down(family)]


def test_step_down_by_hand() -> None:
    # m = 3: held against .05/3 = .0167, .05/2 = .025, .05.
    assert words(0.04, 0.01, 0.02) == ["holds", "holds", "holds"]
    assert words(0.04, 0.01, 0.03) == ["open", "holds", "open"]  # .03 > .025 stops it before .04
    assert words(0.017, 0.017, 0.017) == ["open", "open", "open"]
    assert words(0.04, 0.01, 0.02, signs=[-1, 1, -1]) == ["refuted", "holds", "refuted"]


def test_adjusted_intervals_have_the_level_of_their_step() -> None:
    family = [comparison(values_with(p)) for p in (0.04, 0.01, 0.02)]
    for one, rate in zip(step_down(family), (0.05, 0.05 / 3, 0.05 / 2), strict=True):
        values = np.array([*one.comparison.values.values()])
        expected = stats.t.interval(1 - rate, 9, values.mean(), stats.sem(values))
        assert (one.low, one.high) == pytest.approx(expected)
        assert one.level == pytest.approx(1 - rate)


def test_an_open_interval_always_holds_its_boundary() -> None:
    found = step_down([comparison(values_with(p)) for p in (0.001, 0.03, 0.045)])
    assert [one.decision for one in found] == ["holds", "open", "open"]
    for one in found[1:]:
        assert one.low is not None
        assert one.low < 0 < one.high  # type: ignore[operator]
        assert one.level == pytest.approx(0.975)


@pytest.mark.parametrize(
    ("direction", "mean", "expected"),
    [
        ("greater", 1.0, "holds"),
        ("greater", 0.2, "refuted"),
        ("greater", 0.5, "open"),
        ("less", -1.0, "holds"),
        ("less", -0.2, "refuted"),
        ("less", 1.0, "refuted"),
        ("equal", 0.0, "holds"),
        ("equal", 0.3, "holds"),
        ("equal", 1.0, "refuted"),
        ("equal", -1.0, "refuted"),
        ("equal", -0.5, "open"),
    ],
)
def test_sides_of_a_margin_of_one_half(direction: str, mean: float, expected: str) -> None:
    values = dict(enumerate(mean + 0.01 * np.array([-1.0, 0.0, 1.0, 0.5, -0.5])))
    (found,) = step_down([comparison(values, direction, margin=0.5)])
    assert found.decision == expected


@pytest.mark.parametrize(
    ("mean", "spread", "expected"),
    [
        (0.0, 0.1, "equivalent"),
        (0.2, 0.1, "equivalent"),  # above 0, and shown to be less than what counts
        (0.5, 0.1, "holds"),  # above 0, and what counts is not excluded
        (-0.5, 0.1, "refuted"),
        (0.0, 1.0, "open"),
    ],
)
def test_an_effect_inside_the_band_is_a_finding_of_its_own(
    mean: float, spread: float, expected: str
) -> None:
    values = mean + spread * np.array([-1.0, 0.0, 1.0, 0.5, -0.5])
    (found,) = step_down([comparison(dict(enumerate(values)), equivalence=0.4)])
    assert found.decision == expected
    inside = stats.ttest_1samp(values, -0.4, alternative="greater").pvalue
    inside = max(inside, stats.ttest_1samp(values, 0.4, alternative="less").pvalue)
    assert (inside < 0.025) == (expected == "equivalent")  # two one-sided tests


@pytest.mark.parametrize(
    ("effect", "wrong"),
    [
        (0.0, {"holds", "refuted"}),
        (0.4, {"equivalent", "refuted"}),
        (-0.4, {"equivalent", "holds"}),
        (0.2, {"refuted"}),
    ],
)
def test_a_band_keeps_wrong_words_within_five_percent_and_decides(
    effect: float, wrong: set[str]
) -> None:
    """A thousand verdict runs of ten worlds at the planned standard error, .117 points."""
    draw = np.random.default_rng([17, int(1000 * effect) % 977])
    runs = effect + 0.117 * math.sqrt(10) * draw.standard_normal((1000, 10))
    words = [
        step_down([comparison(dict(enumerate(run)), equivalence=0.4)])[0].decision for run in runs
    ]
    assert sum(word in wrong for word in words) / 1000 <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / 1000)
    if effect in (0.0, 0.4):
        right = "equivalent" if effect == 0.0 else "holds"
        assert words.count(right) / 1000 >= 0.7


def test_a_negative_margin_allows_to_be_worse_by_that_much() -> None:
    values = dict(enumerate([-0.011, -0.010, -0.009]))
    (found,) = step_down([comparison(values, margin=-0.02)])
    assert found.decision == "holds"
    (found,) = step_down([comparison(values, margin=0.0)])
    assert found.decision == "refuted"


def test_a_ratio_s_boundary_is_a_logarithm_and_its_effect_a_share() -> None:
    seconds = [math.log(11.2 / 10), math.log(11.0 / 10), math.log(10.8 / 10)]
    less = comparison(dict(enumerate(seconds)), "less", margin=-0.05, kind="ratio")
    assert less.boundaries == pytest.approx((math.log(1.05),))
    greater = comparison({}, "greater", margin=0.1, kind="ratio")
    assert greater.boundaries == pytest.approx((math.log(1.1),))
    (found,) = step_down([less])
    assert found.effect == pytest.approx((1.12 * 1.10 * 1.08) ** (1 / 3) - 1)
    low, high = stats.t.interval(0.95, 2, np.mean(seconds), stats.sem(seconds))
    assert (found.low, found.high) == pytest.approx((math.exp(low) - 1, math.exp(high) - 1))


def test_a_target_moves_the_boundaries() -> None:
    one = comparison({}, "equal", margin=0.05, target=0.18, kind="trajectory")
    assert one.boundaries == pytest.approx((0.13, 0.23))


def test_the_smallest_effect_is_seen_as_often_as_the_power_says() -> None:
    draw = np.random.default_rng(2).standard_normal((4000, 10))
    # The formula takes the sample's sd; the power is that of the known one, to a rounding.
    effect = smallest_effect(draw[0] / draw[0].std(ddof=1), 0.05, 0.8)
    assert effect == pytest.approx((stats.t.ppf(0.975, 9) + stats.t.ppf(0.8, 9)) / math.sqrt(10))
    seen = stats.ttest_1samp(draw + effect, 0, axis=1).pvalue < 0.05
    assert seen.mean() == pytest.approx(0.8, abs=0.03)


def test_the_smallest_effect_counts_the_family() -> None:
    values = values_with(0.5)
    (one, *_) = step_down([comparison(values)] * 4)
    expected = smallest_effect([*values.values()], 0.05 / 4, 0.8)
    assert one.smallest == pytest.approx(expected)


@pytest.mark.parametrize("margin", [-0.05, 0.0, 0.1])
@pytest.mark.parametrize("direction", ["less", "greater"])
def test_the_smallest_effect_of_a_ratio_is_a_distance_from_its_boundary(
    direction: str, margin: float
) -> None:
    ratios = [1.02, 1.05, 0.97, 1.10]
    values = dict(enumerate(map(math.log, ratios)))
    (found,) = step_down([comparison(values, direction, margin=margin, kind="ratio")])
    distance = np.std(np.log(ratios), ddof=1) / 2 * (stats.t.ppf(0.975, 3) + stats.t.ppf(0.8, 3))
    boundary = 1 + margin if direction == "greater" else 1 - margin
    seen = boundary * math.exp(distance if direction == "greater" else -distance)
    assert found.smallest == pytest.approx(abs(seen - boundary))


@pytest.mark.parametrize(
    ("rule", "decisions", "expected"),
    [
        ("all", "hhh", "supported"),
        ("all", "hho", "inconclusive"),
        ("all", "hro", "contradicted"),
        ("any", "oor", "inconclusive"),
        ("any", "hrr", "supported"),
        ("any", "rrr", "contradicted"),
        ("majority", "hhro", "inconclusive"),
        ("majority", "hhho", "supported"),
        ("majority", "rroo", "contradicted"),
        ("majority", "hhrr", "contradicted"),
        ("majority", "hhhhhr", "supported"),
        ("all", "hu", "not testable"),
        ("all", "hhe", "equivalent"),
        ("all", "heo", "equivalent"),
        ("all", "her", "contradicted"),
        ("any", "eeo", "inconclusive"),
        ("any", "eee", "equivalent"),
        ("any", "eer", "contradicted"),
        ("majority", "hhhe", "supported"),
        ("majority", "hhee", "equivalent"),
        ("majority", "hhre", "contradicted"),
    ],
)
def test_verdicts_by_rule(rule: Any, decisions: str, expected: str) -> None:
    known = {"h": "holds", "r": "refuted", "e": "equivalent", "o": "open", "u": "not testable"}
    assert verdict(rule, [known[letter] for letter in decisions]) == expected


def test_a_verdict_hangs_on_its_weakest_support_or_its_clearest_refutation() -> None:
    family = [comparison(values_with(p), task=str(p)) for p in (0.001, 0.01, 0.002)]
    found = step_down(family)
    assert isinstance(weakest := decisive("supported", found), Decided)
    assert weakest.comparison.task == "0.01"
    against = [comparison(values_with(p, sign=-1), task=str(p)) for p in (0.001, 0.01, 0.002)]
    assert isinstance(clearest := decisive("contradicted", step_down(against)), Decided)
    assert clearest.comparison.task == "0.001"


@pytest.mark.parametrize("m", [1, 5, 20])
@pytest.mark.parametrize("n", [3, 10])
def test_a_family_of_nulls_is_decided_in_at_most_five_percent(m: int, n: int) -> None:
    draw = np.random.default_rng([m, n])
    runs = 2400 // m
    wrong = 0
    for _ in range(runs):
        shared = draw.standard_normal(n)  # comparisons of one arm share its noise
        family = [comparison(dict(enumerate(shared - draw.standard_normal(n)))) for _ in range(m)]
        wrong += any(one.decision != "open" for one in step_down(family))
    assert wrong / runs <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / runs)


# --- statistics of a trajectory -------------------------------------------------------------------


def trajectory(kind: str, window: tuple[float, float], **more: Any) -> Trajectory:
    given = {"name": "t", "kind": "trajectory", "a": "arkd", "metric": "alpha", "margin": 0.1}
    given |= {"direction": "equal", "unit": "weight", "statistic": kind, "window": window}
    return Trajectory.model_validate(given | more)


def condensed(alpha: np.ndarray) -> pd.DataFrame:
    rows = [{"step": str(step), "alpha": repr(float(a))} for step, a in enumerate(alpha)]
    return pd.DataFrame(trajectories.condense(rows))


@pytest.mark.parametrize("steps", [20, 100, 250, 1000])
@pytest.mark.parametrize("window", [(0.9, 1.0), (0.0, 0.2), (0.4, 0.5), (0.0, 1.0)])
def test_windows_give_the_mean_of_the_run_s_own_steps(
    steps: int, window: tuple[float, float]
) -> None:
    alpha = np.linspace(0.5, 0.2, steps) ** 2
    share = (np.arange(steps) + 0.5) / steps
    expected = alpha[(share >= window[0]) & (share < window[1])].mean()
    found = statistic(condensed(alpha), trajectory("mean", window))
    # 250 steps: windows of two and three steps, cut at the window's edges
    assert found == pytest.approx(expected, rel=1e-9 if steps % 100 == 0 else 5e-3)


def test_extremes_of_alpha_are_those_of_single_steps() -> None:
    alpha = np.zeros(1000)
    alpha[437] = 1.0
    run = condensed(alpha)
    assert statistic(run, trajectory("max", (0.0, 1.0))) == 1.0
    assert statistic(run, trajectory("max", (0.9, 1.0))) == 0.0
    assert statistic(run, trajectory("min", (0.0, 1.0))) == 0.0


def test_a_slope_is_the_change_of_the_line_over_the_whole_run() -> None:
    steps = np.arange(400)
    wave = 2.0 - 0.7 * steps / 400 + 0.01 * np.sin(steps)
    expected = np.polyfit((steps + 0.5) / 400, wave, 1)[0]
    found = statistic(condensed(wave), trajectory("slope", (0.0, 1.0)))
    assert found == pytest.approx(expected, rel=1e-3)


def test_a_change_is_the_later_mean_less_the_earlier() -> None:
    test = trajectory("change", (0.4, 0.5), earlier=(0.0, 0.05))
    found = statistic(condensed(np.linspace(0, 1, 1000)), test)
    assert found == pytest.approx(np.linspace(0, 1, 1000)[400:500].mean() - 0.5 * 49 / 999)


def test_a_column_that_was_not_logged_has_no_statistic() -> None:
    run = condensed(np.zeros(20))
    assert statistic(run, trajectory("mean", (0.0, 1.0), metric="reward")) is None
    assert statistic(run, trajectory("mean", (0.0, 0.02))) is None  # no step so early in twenty


# --- each kind of test on records made by hand ----------------------------------------------------


def paired(**more: Any) -> Paired:
    given = {"name": "t", "kind": "paired_difference", "a": "arkd", "b": ["fixed_mix"]}
    given |= {"tasks": ["in_distribution"], "metric": "rouge_l", "direction": "greater"}
    return Paired.model_validate(given | {"margin": 0.0, "unit": "points"} | more)


THREE = suite_of("arkd", "fixed_mix", "{name: sft, seeds: 2}", seeds=(1, 2, 3))


def values_of(tree: Tree, test: Any) -> list[dict[int, float]]:
    found = comparisons(Results(tree, CLAIMS.roles), "C0", test, PAIR)
    assert [one.reason for one in found] == [""] * len(found)
    return [one.values for one in found]


def test_differences_are_paired_by_seed_with_decodings_averaged(tmp_path: Path) -> None:
    own = {"arkd": 30.0, "fixed_mix": 28.0}
    tree = write_results(tmp_path, THREE, lambda m, s, *_: own.get(m, 1.0) + s * s * (m == "arkd"))
    assert values_of(tree, paired()) == [{1: 3.0, 2: 6.0, 3: 11.0}]


def test_rows_of_unequal_seeds_are_paired_on_those_of_both(tmp_path: Path) -> None:
    tree = write_results(tmp_path, THREE, between)
    (found,) = values_of(tree, paired(b=["sft"]))
    assert list(found) == [1, 2]


def test_each_task_group_and_rival_is_a_comparison(tmp_path: Path) -> None:
    tree = write_results(tmp_path, THREE, between)
    assert len(values_of(tree, paired(tasks=["out_of_distribution"], b=["fixed_mix", "sft"]))) == 8
    test = paired(tasks=["truth"], groups=["ratio50", "unseen"], metric="truth_error")
    assert len(values_of(tree, test)) == 2


def test_a_failed_seed_leaves_and_is_counted(tmp_path: Path) -> None:
    tree = write_results(tmp_path, THREE, between, failed=[("fixed_mix", 2)])
    results = Results(tree, CLAIMS.roles)
    (found,) = comparisons(results, "C0", paired(), PAIR)
    assert (list(found.values), found.failed) == ([1, 3], (2,))
    assert not results.gaps


def test_the_one_teacher_goes_with_every_seed(tmp_path: Path) -> None:
    tree = write_results(tmp_path, THREE, lambda m, s, *_: 9.0 if m == "teacher" else float(s))
    assert values_of(tree, paired(b=["teacher"])) == [{1: -8.0, 2: -7.0, 3: -6.0}]


def test_transforms(tmp_path: Path) -> None:
    def level(method: str, seed: int, task: str, metric: str, group: str) -> float:
        outside = task != THREE.test_sets[0]
        start = 10.0 + seed  # mean 12; the teacher's gap is 8
        known = {"teacher": 20.0, "init": start, "arkd": start + 6, "fixed_mix": start + 4 - seed}
        return known.get(method, 0.0) * (-1 if metric == "entropy_gap" else 1) - 3 * outside * (
            method == "arkd"
        )

    tree = write_results(tmp_path, THREE, level)
    inside = paired(transform="gap_closed")
    (found,) = values_of(tree, inside)
    assert found == pytest.approx({1: 3 / 8, 2: 4 / 8, 3: 5 / 8})
    drop = paired(transform="drop", tasks=["rare"])
    assert values_of(tree, drop) == [pytest.approx({1: 3.0, 2: 3.0, 3: 3.0})]
    sizes = paired(transform="abs", tasks=["fidelity_student"], metric="entropy_gap")
    (found,) = values_of(tree, sizes)
    # arkd: |-(10 + s + 6) - 3|, fixed_mix: |-(10 + s + 4 - s)|
    assert found == pytest.approx({1: 20 - 14, 2: 21 - 14, 3: 22 - 14})


def test_without_a_gap_to_close_there_is_no_test(tmp_path: Path) -> None:
    def level(method: str, seed: int, *_: str) -> float:
        return {"teacher": 12.0, "init": 10.0 + seed}.get(method, 12.5)  # gap 0 ± noise

    results = Results(write_results(tmp_path, THREE, level), CLAIMS.roles)
    (found,) = comparisons(results, "C0", paired(transform="gap_closed"), PAIR)
    assert "no gap between start and teacher" in found.reason


@pytest.mark.parametrize(("metric", "behind"), [("rouge_l", -5.0), ("jsd", 5.0)])
def test_a_teacher_behind_the_start_leaves_no_gap(
    metric: str, behind: float, tmp_path: Path
) -> None:
    """To divide by such a gap would turn every verdict around."""

    def level(method: str, seed: int, *_: str) -> float:
        known = {"init": 20.0 + seed, "teacher": 20.0 + behind, "arkd": 25.0}
        return known.get(method, 21.0)

    tree = write_results(tmp_path, THREE, level)
    tasks = ["in_distribution"] if metric == "rouge_l" else ["fidelity_gold"]
    test = paired(transform="gap_closed", metric=metric, tasks=tasks)
    (found,) = comparisons(Results(tree, CLAIMS.roles), "C0", test, PAIR)
    assert "no gap between start and teacher" in found.reason


def test_costs_are_compared_as_ratios(tmp_path: Path) -> None:
    tree = write_results(
        tmp_path, THREE, between, train_s=lambda m, s: (12.0 if m == "arkd" else 10.0) * s
    )
    test = paired(kind="ratio", tasks=["cost"], groups=["distill"], metric="train_s")
    (found,) = values_of(tree, test)
    assert found == pytest.approx(dict.fromkeys((1, 2, 3), math.log(1.2)))


def test_a_trajectory_with_a_rival_is_a_difference(tmp_path: Path) -> None:
    tree = write_results(
        tmp_path, THREE, between, alpha=lambda m, x: 0.7 if m == "arkd" else 0.5 * x
    )
    (alone,) = values_of(tree, trajectory("mean", (0.9, 1.0)))
    assert alone == pytest.approx(dict.fromkeys((1, 2, 3), 0.7))
    (found,) = values_of(tree, trajectory("mean", (0.9, 1.0), b=["fixed_mix"]))
    assert found == pytest.approx(dict.fromkeys((1, 2, 3), 0.7 - 0.5 * 0.95))


def test_an_arm_that_logs_no_alpha_cannot_be_tested_on_it(tmp_path: Path) -> None:
    tree = write_results(tmp_path, THREE, between)
    path = tree.root / "trajectories.csv"
    frame = pd.read_csv(path, dtype=str, keep_default_na=False)
    frame.loc[frame["method"] == "sft", "alpha"] = ""
    frame.to_csv(path, index=False)
    results = Results(tree, CLAIMS.roles)
    (found,) = comparisons(results, "C0", trajectory("mean", (0.0, 1.0), b=["sft"]), PAIR)
    assert found.reason == "sft: no alpha was logged"
    assert not results.gaps


@pytest.mark.parametrize(("odd", "expected"), [(0, True), (2, False)])
def test_identity_holds_if_every_seed_s_bytes_agree(
    odd: int, expected: bool, tmp_path: Path
) -> None:
    def bytes_of(method: str, seed: int) -> str:
        return f"{method if seed == odd else ''}{seed}"

    tree = write_results(tmp_path, THREE, between, weights=bytes_of)
    test = Identity(
        name="t", kind="identity", a="arkd", b=("fixed_mix",), artefact="student_weights"
    )
    (found,) = comparisons(Results(tree, CLAIMS.roles), "C0", test, PAIR)
    assert found.outcome is expected
    assert found.printed == pytest.approx(1 if expected else 2 / 3)
    assert not found.note


def test_identity_of_arms_with_other_rates_says_so(tmp_path: Path) -> None:
    suite = suite_of("greedy_min", "reverse_kl", seeds=(1, 2, 3))
    tree = write_results(tmp_path, suite, between)
    test = BY_ID["X1"].tests[1]
    (found,) = comparisons(Results(tree, CLAIMS.roles), "X1", test, PAIR)
    assert found.outcome is False
    assert "different rates (greedy_min at 0.012, reverse_kl at 0.006)" in found.note


def test_an_order_must_be_right_in_every_seed(tmp_path: Path) -> None:
    (test,) = CLAIMS.preconditions
    assert isinstance(test, Order)
    tree = write_results(tmp_path / "right", THREE, between)
    found = comparisons(Results(tree, CLAIMS.roles), "", test, PAIR)
    assert [one.outcome for one in found] == [True] * 4

    def level(method: str, seed: int, task: str, metric: str, group: str) -> float:
        wrong = (method, seed, metric) == ("fixed_mix", 3, "tvd")
        return 2.0 if wrong else between(method, seed, task, metric, group)

    tree = write_results(tmp_path / "wrong", THREE, level)
    found = comparisons(Results(tree, CLAIMS.roles), "", test, PAIR)
    assert [(one.metric, one.note) for one in found if not one.outcome] == [
        ("tvd", "fixed_mix and untrained in seed 3")
    ]


def test_an_order_with_an_arm_that_was_never_measured_does_not_hold(tmp_path: Path) -> None:
    """All seeds of one arm failed: of '*' it may be missing, of those that are named it may not."""
    (precondition,) = CLAIMS.preconditions
    lost = [("fixed_mix", seed) for seed in THREE.seeds]
    found = Results(write_results(tmp_path, THREE, between, failed=lost), CLAIMS.roles)
    outcomes = {one.outcome for one in comparisons(found, "", precondition, PAIR)}
    assert outcomes == {True}
    assert isinstance(precondition, Order)
    order = ("teacher", "init", "fixed_mix", "untrained")
    named = precondition.model_copy(update={"order": order})
    for one in comparisons(found, "", named, PAIR):
        assert (one.outcome, one.reason) == (
            None,
            f"fixed_mix has no {one.metric} on {one.task}",
        )


def test_printed_and_derived_numbers_are_compared_as_they_stand(tmp_path: Path) -> None:
    tree = write_results(tmp_path, THREE, between)
    results = Results(tree, CLAIMS.roles)
    found = [one for test in BY_ID["X2"].tests for one in comparisons(results, "X2", test, PAIR)]
    assert [one.printed for one in found] == [0.4, 0.4, 0.6, 0.2, 0.2, 0.3]
    assert [one.outcome for one in found] == [True] * 3 + [False] * 3
    exact = Published.model_validate(
        BY_ID["X2"].tests[0].model_dump() | {"direction": "equal", "margin": 0.4}
    )
    assert [one.outcome for one in comparisons(results, "", exact, PAIR)] == [True, True, False]
    steps = BY_ID["X5"].tests[0]
    assert isinstance(steps, Arithmetic)
    (one,) = comparisons(results, "X5", steps, PAIR)
    assert (one.outcome, one.printed) == (False, -2550)


@pytest.mark.parametrize(
    ("label", "expected"),
    [
        ("forward_kl@temperature=2.0", "forward_kl"),
        ("forward_kl@lm_weight=0.1,temperature=2.0", "forward_kl"),
        ("forward_kl@temperature=1.0", "forward_kl@temperature=1.0"),
        ("fixed_mix@alpha=0.25", "fixed_mix@alpha=0.25"),
        ("arkd@state_temperature=1.0", "arkd@state_temperature=1.0"),
        ("teacher", "teacher"),
        ("reverse_kl@temperature=3.0", None),
        ("fixed_mix@alpha=0.3", None),
    ],
)
def test_an_arm_that_spells_out_the_suite_s_setting_is_the_plain_arm(
    label: str, expected: str | None, tmp_path: Path
) -> None:
    few = FULL.model_copy(update={"seeds": REGISTERED[:1]})
    assert Results(write_results(tmp_path, few, between), CLAIMS.roles).arm(label) == expected


# --- claims ---------------------------------------------------------------------------------------

PLAIN = ("sft", "seqkd", "forward_kl", "reverse_kl", "fixed_mix", "arkd")


def test_planted_effects_are_supported_contradicted_or_left_open(tmp_path: Path) -> None:
    effects = {"arkd": 3.0, "reverse_kl": -2.0, "fixed_mix": 0.0}
    found = judged(write_results(tmp_path, suite_of(*PLAIN), planted(effects)), "C1", "C3", "C4")
    assert {name: one.verdict for name, one in found.items()} == {
        "C1": "supported",
        "C3": "contradicted",
        "C4": "inconclusive",  # above reverse KL, level with forward KL
    }
    for one in found["C1"].primary:
        expected = 5.0 if one.comparison.b == "reverse_kl" else 3.0
        assert one.effect == pytest.approx(expected, abs=0.8)
    against = [one for one in found["C4"].primary if one.comparison.b == "reverse_kl"]
    assert [one.decision for one in against] == ["holds"] * 5


def test_verdicts_on_the_registered_seeds_and_world_are_final(tmp_path: Path) -> None:
    (found,) = judged(write_results(tmp_path, suite_of(*PLAIN), between), "C1").values()
    assert found.provisional == ""


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"seeds": (1, 2, 3)}, "training seeds are not the registered ones"),
        ({"seeds": REGISTERED[:4]}, "4 of the 10 registered seeds"),
        (
            {"data": FULL.data.model_copy(update={"world_seed": 1})},
            "world seed 1 is not the registered one",
        ),
    ],
)
def test_other_seeds_or_another_world_are_provisional(
    changes: dict[str, Any], why: str, tmp_path: Path
) -> None:
    tree = write_results(tmp_path, suite_of(*PLAIN, **changes), planted({"arkd": 3.0}))
    (found,) = judged(tree, "C1").values()
    assert found.verdict == "supported"
    assert why in found.provisional


def test_failed_seeds_keep_a_verdict_final_until_too_few_are_left(tmp_path: Path) -> None:
    lost = [("seqkd", seed) for seed in REGISTERED[:3]]
    tree = write_results(tmp_path / "some", suite_of(*PLAIN), planted({"arkd": 3.0}), failed=lost)
    (found,) = judged(tree, "C1").values()
    assert (found.verdict, found.provisional) == ("supported", "")
    lost = [("seqkd", seed) for seed in REGISTERED[:8]]
    tree = write_results(tmp_path / "most", suite_of(*PLAIN), planted({"arkd": 3.0}), failed=lost)
    (found,) = judged(tree, "C1").values()
    assert found.verdict == "not testable"
    assert found.reason == "arkd and seqkd: 2 seeds left, 8 failed, 3 are needed"


def test_missing_runs_are_refused_unless_partial(tmp_path: Path) -> None:
    tree = write_results(
        tmp_path, suite_of(*PLAIN), planted({"arkd": 3.0}), lost=[("arkd", REGISTERED[0])]
    )
    with pytest.raises(ArkdError, match=r"arkd/seed101 \(.*; finish the runs, or pass --partial"):
        judged(tree, "C1")
    (found,) = judged(tree, "C1", partial=True).values()
    assert found.verdict == "supported"
    assert found.provisional == "only 9 of the 10 registered seeds were run"


@pytest.mark.parametrize(
    ("claim", "methods_", "changes", "reason"),
    [
        ("C1", ("arkd", "sft"), {}, "no arm seqkd, forward_kl, reverse_kl, fixed_mix"),
        ("C2", PLAIN, {"test_sets": FULL.test_sets[:1]}, "no task in the role 'out_of_distribut"),
        ("C3", PLAIN, {"seeds": (1, 2)}, "reverse_kl and forward_kl: 2 seeds left, 3 are needed"),
        (
            "C6",
            PLAIN,
            {"distillation": FULL.distillation.model_copy(update={"steps": 400})},
            "trains for 400 steps, 1000 are needed",
        ),
        ("C10", PLAIN, {}, "the suite has 1 pair, 2 are needed"),
        ("X9", PLAIN, {}, "A suite fixes one split and one decoder"),
        ("X13", PLAIN, {}, "The values belong to GPT-2 on Dolly."),
    ],
)
def test_what_cannot_be_tested_says_why(
    claim: str, methods_: tuple[str, ...], changes: dict[str, Any], reason: str, tmp_path: Path
) -> None:
    tree = write_results(tmp_path, suite_of(*methods_, **changes), between)
    (found,) = judged(tree, claim).values()
    assert found.verdict == "not testable"
    assert reason in found.reason


def test_a_group_that_was_not_measured_is_not_testable(tmp_path: Path) -> None:
    test = paired(tasks=["truth"], groups=["ratio60"], metric="truth_error")
    claim = BY_ID["E1"].model_copy(update={"tests": (test,), "rule": "all"})
    tree = write_results(tmp_path, suite_of("arkd", "fixed_mix"), between)
    (found,) = judgement.judge(tree, of_claims(claim))
    assert found.reason == "no truth_error was measured on truth in group 'ratio60'"


def test_a_suite_that_checks_the_machinery_is_evidence_of_nothing(tmp_path: Path) -> None:
    found = judged(Tree(tmp_path, load_suite("smoke")))
    assert {one.verdict for one in found.values()} == {"not testable"}
    assert all("evidence of nothing" in one.reason for one in found.values())


def test_a_broken_measurement_has_no_verdict(tmp_path: Path) -> None:
    def level(method: str, seed: int, task: str, metric: str, group: str) -> float:
        wrong = (method, seed, metric) == ("seqkd", 104, "jsd")
        return 2.0 if wrong else between(method, seed, task, metric, group)

    found = judged(write_results(tmp_path, suite_of(*PLAIN), level))
    assert {one.verdict for one in found.values()} == {"withheld"}
    assert all("seqkd and untrained in seed 104" in one.reason for one in found.values())
    assert not any(one.primary for one in found.values())


def test_a_claim_over_pairs_has_one_family_and_one_verdict(tmp_path: Path) -> None:
    second = FULL.pairs[0].model_copy(update={"name": "second"})
    suite = suite_of(*PLAIN, pairs=(*FULL.pairs, second), seeds=REGISTERED[:4])
    found = judgement.judge(
        write_results(tmp_path, suite, planted({"arkd": 5.0})), of_claims(BY_ID["C10"])
    )
    assert [(one.pair, one.verdict, len(one.primary)) for one in found] == [
        ("all pairs", "supported", 2 * 3 * 5)
    ]
    found = judgement.judge(Tree(tmp_path, suite), of_claims(BY_ID["C3"]))
    assert [one.pair for one in found] == [PAIR, "second"]


@pytest.fixture(scope="module")
def full(tmp_path_factory: pytest.TempPathFactory) -> Tree:
    """Results of the verdict suite: forward KL ahead, α rising, greedy_min all reverse KL."""

    def alpha(method: str, share: float) -> float:
        known = {"arkd": 0.5 + 0.3 * share, "greedy_min": 0.0, "arkd_sampled": 0.5 * (1 - share)}
        return known.get(method, 0.5)

    level = planted({"reverse_kl": -1.0})
    root = tmp_path_factory.mktemp("full")
    return write_results(
        root, FULL, level, alpha=alpha, train_s=lambda m, s: 10.0 + 0.01 * s + 3 * (m == "arkd")
    )


@pytest.fixture(scope="module")
def verdicts(full: Tree) -> dict[str, judgement.Judgement]:
    return judged(full)


def test_every_registered_test_can_be_evaluated_in_the_verdict_suite(
    verdicts: dict[str, judgement.Judgement],
) -> None:
    found = verdicts
    assert list(found) == [claim.id for claim in CLAIMS.claims]
    untested = {name for name, one in found.items() if one.verdict == "not testable"}
    assert untested == {"C10", "X9", "X13"}
    every = [one for j in found.values() for one in (*j.primary, *j.secondary)]
    assert {one.decision for one in every} <= {"holds", "refuted", "open"}
    assert all(one.comparison.values or one.comparison.outcome is not None for one in every)
    known = {(one.comparison.claim, one.comparison.test) for one in every}
    assert known == {
        (claim.id, test.name)
        for claim in CLAIMS.claims
        for test in claim.tests
        if claim.id not in untested
    }
    assert not any(one.provisional for one in found.values())


def test_known_verdicts_of_the_verdict_suite(verdicts: dict[str, judgement.Judgement]) -> None:
    found = {name: one.verdict for name, one in verdicts.items()}
    for name in ("C3", "C6", "E4", "X2", "X3", "X4", "X5", "X6", "X10", "X11"):
        assert found[name] == "contradicted", name
    for name in ("C7", "X7", "X8"):
        assert found[name] == "supported", name


def test_records_without_an_effect_rarely_decide(tmp_path: Path) -> None:
    """Claims C1 to C4 on fresh noise: their share of wrong verdicts is the rule's five percent."""
    suite = suite_of(*PLAIN, seeds=REGISTERED[:5])
    wrong, total = 0, 0
    for run in range(12):

        def level(
            method: str, seed: int, task: str, metric: str, group: str, run: int = run
        ) -> float:
            return between(method, seed + 1000 * run, task, metric, group)

        found = judged(write_results(tmp_path / str(run), suite, level), "C1", "C2", "C3", "C4")
        wrong += sum(one.verdict != "inconclusive" for one in found.values())
        total += len(found)
    assert wrong / total <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / total)


# --- files and command ----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def shown(full: Tree) -> str:
    """What `arkd claims` prints of the verdict suite as it writes its folder."""
    with redirect_stdout(StringIO()) as printed:
        assert cli.main(["claims", "--suite", "longtail-full", "--results", str(full.results)]) == 0
    return printed.getvalue()


@pytest.fixture(scope="module")
def written(full: Tree, shown: str) -> Path:
    """The folder that `arkd claims` has written for the verdict suite."""
    assert shown
    return full.root / "claims"


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as lines:
        return list(csv.DictReader(lines))


def test_the_command_writes_its_files_and_the_hash_of_the_claims(written: Path) -> None:
    names = {"claims.csv", "claims.md", "claims.tex", "comparisons.csv", "manifest.json"}
    assert {path.name for path in written.iterdir()} == {*names, MARK}
    manifest = json.loads((written / "manifest.json").read_text())
    assert manifest["inputs"]["claims"] == sha256_file(claims_path())
    assert set(manifest["inputs"]) == {"claims", "records", "cost", "trajectories"}


def test_every_claim_has_a_row_and_every_comparison_too(written: Path) -> None:
    found = rows(written / "claims.csv")
    assert [row["claim"] for row in found] == [claim.id for claim in CLAIMS.claims]
    c3 = next(row for row in found if row["claim"] == "C3")
    assert (c3["verdict"], c3["status"], c3["paper"]) == (
        *("contradicted", "final"),
        "0.2 to 1.1 (15 cells)",
    )
    low, high, effect = float(c3["low"]), float(c3["high"]), float(c3["effect"])
    assert low < effect < high < 0
    every = rows(written / "comparisons.csv")
    primary = [row for row in every if row["claim"] == "C3" and row["role"] == "primary"]
    assert len(primary) == int(c3["comparisons"]) == 5
    assert {row["n"] for row in primary} == {"10"}
    assert all(row["decision"] in ("holds", "refuted", "open") for row in every)


def test_readers_tables_have_every_claim(written: Path) -> None:
    markdown = (written / "claims.md").read_text(encoding="utf-8")
    latex = (written / "claims.tex").read_text(encoding="utf-8")
    for claim in CLAIMS.claims:
        assert f"| {claim.id} | {' '.join(claim.statement.split())} |" in markdown
        assert f"\n{claim.id} & " in latex
    assert "**contradicted**" in markdown
    assert "nan" not in (markdown + latex).lower().replace("contrastive", "")
    body = [line for line in latex.splitlines() if line.endswith(r"\\") and " & " in line]
    assert {line.count(" & ") for line in body} == {9}


def test_results_do_not_depend_on_trajectories_of_single_steps(written: Path, full: Tree) -> None:
    before = (written / "comparisons.csv").read_bytes()
    odd = full.training(PAIR, "arkd", 101) / "trajectory.csv"
    odd.write_text("step,alpha\n0,0.9\n")
    try:
        assert cli.main(["claims", "--suite", "longtail-full", "--results", str(full.results)]) == 0
    finally:
        odd.unlink()
    assert (written / "comparisons.csv").read_bytes() == before


def test_the_terminal_shows_the_verdicts(shown: str) -> None:
    assert all(claim.id in shown for claim in CLAIMS.claims)
    assert "contradicted" in shown


@pytest.mark.parametrize("name", ["records", "cost", "trajectories"])
def test_a_missing_file_is_one_line(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tree = write_results(tmp_path, FULL.model_copy(update={"seeds": (101,)}), between)
    (tree.root / f"{name}.csv").unlink()
    assert cli.main(["claims", "--suite", "longtail-full", "--results", str(tmp_path)]) == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    again = f"arkd run longtail-full --results {tmp_path}"
    assert f"{name}.csv: no such file; run `{again}` first" in line
    assert not (tree.root / "claims").exists()


def test_a_missing_arm_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    gone = [("arkd", seed) for seed in REGISTERED]
    write_results(tmp_path, FULL, between, lost=gone)
    options = ["claims", "--suite", "longtail-full", "--results", str(tmp_path)]
    assert cli.main(options) == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert "arkd/seed101" in line
    assert cli.main([*options, "--partial"]) == 0
    found = {row["claim"]: row for row in rows(tmp_path / "longtail-full/claims/claims.csv")}
    assert found["C1"]["verdict"] == "not testable"
    assert found["C3"]["verdict"] != "not testable"


def test_the_paper_s_effects_come_from_its_tables() -> None:
    def effect(name: str) -> str:
        return paper_effect(BY_ID[name], None)

    assert effect("C5") == "0.2 to 0.4 (2 cells)"
    assert paper_effect(BY_ID["C5"], "gpt2-1.5B-120M") == "0.4 (1 cell)"
    assert effect("X11") == "0.4 to 1.1 (3 cells)"
    assert effect("C6") == "0.18, 0.45"
    assert effect("C9") == "–"


def test_prompts_without_references_are_no_part_of_a_role(tmp_path: Path) -> None:
    """Their answers are sampled, and ROUGE-L has nothing to compare them with."""
    suite = suite_of("arkd", "sft", "seqkd", "forward_kl", "reverse_kl", "fixed_mix")
    tree = write_results(tmp_path, suite, lambda m, *_: 5.0 if m == "arkd" else 1.0)
    prompts = suite.test_sets[1]
    path = tree.root / "records.csv"
    frame = pd.read_csv(path, dtype=str, keep_default_na=False)
    alone = frame["task"].eq(prompts) & frame["metric"].eq("rouge_l")
    frame.loc[alone, "metric"] = "distinct_2"
    frame.to_csv(path, index=False)
    found = judged(tree, "C2")["C2"]
    assert {one.comparison.task for one in found.primary} == set(suite.test_sets[2:])
    assert found.verdict == "supported"


def test_steps_of_a_suite_in_epochs_are_those_that_its_runs_took(tmp_path: Path) -> None:
    suite = suite_of("arkd", "greedy_min")
    tree = write_results(tmp_path, suite, lambda *_: 1.0)
    epochs = suite.distillation.model_copy(update={"steps": 0, "epochs": 3})
    same = suite.model_copy(update={"distillation": epochs})
    roles = CLAIMS.roles
    assert Results(tree, roles).steps == 1000
    assert Results(Tree(tmp_path, same), roles).steps == 1000

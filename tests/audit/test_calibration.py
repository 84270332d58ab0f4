"""The marks of a development world, of records and trajectories whose values are planted."""

from __future__ import annotations

import csv
import itertools
import json
import math
from pathlib import Path

import pytest
from run_folders import suite_file
from simulate import COLUMNS, suite_of

from arkd.audit import calibration
from arkd.audit.calibration import Mark
from arkd.cli.main import main
from arkd.errors import ArkdError
from arkd.metrics.declared import CONDENSED
from arkd.storage.records import write_csv
from arkd.suite.folders import Tree
from arkd.suite.settings import TailSettings
from arkd.suite.suite import Suite

ARMS = ("forward_kl", "reverse_kl", "fixed_mix")
SEEDS = (1, 2, 3)
# Of each arm: error on head facts, tail overlap, JSD in distribution, and forward and reverse KL at
# the end of training; fine-tuning logs neither.
PLANTED = {
    "sft": (0.09, 0.2, 0.20, None, None),
    "forward_kl": (0.04, 0.3, 0.10, 0.10, 0.20),
    "reverse_kl": (0.06, 0.5, 0.25, 0.30, 0.05),
    "fixed_mix": (0.11, 0.1, 0.15, 0.20, 0.10),
}
TEACHER_ERROR, TEACHER_TAIL, TEACHER_ROUGE = 0.02, 0.03, 2.68


def finished(folder: Path, steps: int, shift: float = 0.0, name: str = "longtail") -> Tree:
    """Write a finished suite; `shift` is added to forward KL's scores."""
    base = suite_of(("sft", *ARMS), seeds=SEEDS, tail=TailSettings(overlap=True))
    training = base.distillation.model_copy(update={"steps": steps})
    suite = base.model_copy(update={"distillation": training, "name": name})
    tree = Tree(folder, suite)
    tree.root.mkdir(parents=True)
    rows = [row(suite, "teacher", 0, "fidelity_gold", "tail_mass", "", TEACHER_TAIL)]
    rows += [row(suite, "teacher", 0, "truth", "truth_error", "certain_head", TEACHER_ERROR)]
    rows += [
        {**row(suite, "teacher", 0, "longtail_id", "rouge_l", "", TEACHER_ROUGE), "decode_seed": d}
        for d in suite.decoding.seeds
    ]
    windows = []
    for arm, (error, overlap, jsd, fkl, rkl) in PLANTED.items():
        for seed in SEEDS:
            rows += [row(suite, arm, seed, "truth", "truth_error", "certain_head", error)]
            in_distribution = row(
                suite, arm, seed, "fidelity_gold", "tail_overlap", "longtail_id", overlap
            )
            moving = error * seed + (shift if arm == "forward_kl" else 0.0)
            near = row(suite, arm, seed, "fidelity_gold", "jsd", "longtail_id", jsd)
            rows += [in_distribution, near]
            rows += [
                row(suite, arm, seed, task, metric, "", moving)
                for task, metric in (
                    *(("fidelity_gold", "tail_overlap"), ("fidelity_gold", "jsd")),
                    ("truth", "truth_error"),
                )
            ]
            rows += [
                {**row(suite, arm, seed, "longtail_id", "rouge_l", "", moving), "decode_seed": d}
                for d in suite.decoding.seeds
            ]
            for step in range(10):  # at the first half of them forward KL is the smaller everywhere
                late = step >= 5
                run = {"suite": suite.name, "suite_version": suite.version, "method": arm}
                run |= {"pair": suite.pairs[0].name, "seed": seed}
                logged = {"fkl": fkl if late else 1.0, "rkl": rkl if late else 2.0}
                logged = {} if fkl is None else logged
                windows.append(run | {"first_step": step, "last_step": step} | logged)
    write_csv(tree.root / "records.csv", COLUMNS, rows)
    columns = ("suite", "suite_version", "pair", "method", "seed", "first_step", "last_step")
    write_csv(tree.root / "trajectories.csv", (*columns, *CONDENSED), windows)
    return tree


def row(
    suite: Suite, method: str, seed: int, task: str, metric: str, group: str, value: float
) -> dict[str, object]:
    """Return a line of records.csv."""
    run = {"suite": suite.name, "suite_version": suite.version, "pair": suite.pairs[0].name}
    run |= {"method": method, "seed": seed, "task": task, "metric": metric, "group": group}
    return run | {"value": value, "n": 60, "higher_is_better": ""}


def found(marks: list[Mark], words: str) -> Mark:
    """Return the one mark whose name has these words."""
    (mark,) = (mark for mark in marks if words in mark.name)
    return mark


@pytest.mark.parametrize(
    ("words", "value", "met"),
    [
        ("fkl of forward_kl", 0.10 / 0.20, True),
        ("rkl of reverse_kl", 0.05 / 0.10, True),
        ("steps of fixed_mix", 0.5, True),  # .2 against .1 in the second half alone
        ("teacher less that of sft", TEACHER_ROUGE - 0.09 * 2, True),  # mean of seeds 1 to 3
        ("JSD of forward_kl", 0.10 / 0.20, True),
        ("JSD of reverse_kl", 0.25 / 0.20, False),  # farther from the teacher than fine-tuning
        ("JSD of fixed_mix", 0.15 / 0.20, True),
        ("teacher's mass", TEACHER_TAIL, True),
        ("error on head facts of forward_kl", 0.04 / 0.02, True),
        ("error on head facts of reverse_kl", 0.06 / 0.02, True),
        ("error on head facts of fixed_mix", 0.11 / 0.02, False),  # above 5
        ("tail overlap of reverse_kl", 0.5, True),
        ("tail overlap of fixed_mix", 0.1, False),  # below .2
    ],
)
def test_each_mark_has_its_planted_value(
    tmp_path: Path, words: str, value: float, met: bool
) -> None:
    mark = found(calibration.marks(finished(tmp_path, 100)), words)
    assert mark.value == pytest.approx(value)
    assert mark.met is met


@pytest.mark.parametrize(("shift", "met"), [(0.01, True), (1.0, False)])
def test_twice_the_steps_are_held_against_the_standard_error(
    tmp_path: Path, shift: float, met: bool
) -> None:
    """All four quantities of an arm are `seed` times a number of its own, so that a gap deviates by
    the difference of the two numbers; the shift is added to each quantity of forward KL.
    """
    once, twice = finished(tmp_path / "once", 100), finished(tmp_path / "twice", 200, shift)
    mark = found(calibration.marks(once, twice), "twice the steps")
    changes = []
    for a, b in itertools.combinations(ARMS, 2):
        shifted = shift if "forward_kl" in (a, b) else 0.0
        deviation = abs(PLANTED[a][0] - PLANTED[b][0])
        changes += [shifted / math.sqrt(2 * deviation**2 / len(SEEDS))] * 4
    assert mark.value == pytest.approx(sorted(changes)[len(changes) // 2])
    assert mark.met is met


def test_a_contrast_that_was_not_measured_leaves_the_median_unknown(tmp_path: Path) -> None:
    once, twice = finished(tmp_path / "once", 100), finished(tmp_path / "twice", 200)
    path = twice.root / "records.csv"
    lines = path.read_text().splitlines(keepends=True)
    of_arm = [line for line in lines if ",truth_error," in line and f",{ARMS[0]}," in line]
    assert of_arm
    path.write_text("".join(line for line in lines if line not in of_arm))
    mark = found(calibration.marks(once, twice), "twice the steps")
    assert math.isnan(mark.value)
    assert not mark.met


def test_a_row_that_failed_on_every_seed_and_a_ratio_to_nothing_are_unknown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fine-tuning that is the teacher exactly, a teacher without errors, a loss of nothing."""
    monkeypatch.setitem(PLANTED, "sft", (0.0, 0.2, 0.0, None, None))
    monkeypatch.setitem(PLANTED, "reverse_kl", (0.06, 0.5, 0.25, 0.0, 0.05))
    monkeypatch.setitem(globals(), "TEACHER_ERROR", 0.0)
    tree = finished(tmp_path, steps=10)
    for name in ("records.csv", "trajectories.csv"):
        lines = (tree.root / name).read_text().splitlines(keepends=True)
        kept = [line for line in lines if ",fixed_mix," not in line]
        (tree.root / name).write_text("".join(kept))
    got = calibration.marks(tree)
    unknown = [f"{what} of {arm}" for what in ("JSD", "error on head facts") for arm in ARMS]
    unknown += ["steps of fixed_mix", "tail overlap of fixed_mix", "fkl of forward_kl"]
    for words in unknown:
        mark = found(got, words)
        assert math.isnan(mark.value), words
        assert not mark.met
    known = {mark.name for mark in got if not math.isnan(mark.value)}
    assert len(known) == len(got) - len(unknown)


MET = {
    "reverse_kl": (0.06, 0.5, 0.15, 0.30, 0.05),
    "fixed_mix": (0.09, 0.25, 0.15, 0.20, 0.10),
}


def files(*trees: Tree) -> list[str]:
    """Write the suites' own files, and return what a user would name them by."""
    return [str(suite_file(tree.suite, tree.results)) for tree in trees]


def test_the_command_shows_each_mark_and_fails_for_one_that_is_not_met(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tree = finished(tmp_path, 100, name="once")
    assert main(["calibrate", *files(tree), "--results", str(tmp_path)]) == 1
    shown = capsys.readouterr().out
    rows = {line.split("  ")[1].strip(): line.split() for line in shown.splitlines()}
    assert len(shown.splitlines()) == 1 + len(calibration.marks(tree))
    assert rows["JSD of forward_kl over that of sft"][-5:] == ["0.5", "0", "to", "1", "yes"]
    assert rows["JSD of reverse_kl over that of sft"][-5:] == ["1.25", "0", "to", "1", "no"]
    assert "twice the steps" not in shown


def test_the_command_succeeds_once_every_mark_is_met_and_keeps_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for arm, values in MET.items():
        monkeypatch.setitem(PLANTED, arm, values)
    monkeypatch.setattr(calibration, "benchmarks_dir", lambda: tmp_path / "benchmarks")
    once, twice = finished(tmp_path, 100, name="once"), finished(tmp_path, 200, 0.01, name="twice")
    first, second = files(once, twice)
    words = ["calibrate", first, "--doubled", second, "--results", str(tmp_path), "--write"]
    assert main(words) == 0
    kept = tmp_path / "benchmarks" / "calibration" / "once.csv"
    lines = capsys.readouterr().out.splitlines()
    assert lines[-1] == str(kept)
    assert any("twice the steps" in line for line in lines)
    with kept.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == len(lines) - 2  # without the head, and the file's name
    assert {row["met"] for row in rows} == {"1"}
    (near,) = (row for row in rows if row["mark"] == "JSD of reverse_kl over that of sft")
    assert float(near["value"]) == pytest.approx(0.15 / 0.20)
    assert (near["suite"], near["least"], near["most"]) == ("once", "0", "1")


@pytest.mark.parametrize("edited", ["once", "twice"])
def test_records_that_collect_did_not_write_are_refused(
    edited: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    once, twice = finished(tmp_path, 100, name="once"), finished(tmp_path, 200, name="twice")
    changed = {"outputs": {"records.csv": "0" * 64}}
    made = tmp_path / edited / "manifest.json"
    made.write_text(json.dumps(changed), encoding="utf-8")
    first, second = files(once, twice)
    assert main(["calibrate", first, "--doubled", second, "--results", str(tmp_path)]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert str(tmp_path / edited / "records.csv") in line
    assert "run `arkd collect` again" in line


def test_a_suite_that_was_not_run_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tree = finished(tmp_path, 100, name="once")
    (named,) = files(tree)
    for path in tree.root.iterdir():
        path.unlink()
    assert main(["calibrate", named, "--results", str(tmp_path)]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "records.csv: no such file; run" in line


def test_what_is_not_twice_the_steps_is_refused(tmp_path: Path) -> None:
    once, more = finished(tmp_path / "once", 100), finished(tmp_path / "more", 150)
    with pytest.raises(ArkdError, match="150 steps, twice the 100"):
        calibration.marks(once, more)


def test_a_suite_without_the_arms_is_refused(tmp_path: Path) -> None:
    suite = suite_of(["forward_kl", "arkd"], tail=TailSettings(overlap=True))
    with pytest.raises(ArkdError, match="needs fixed_mix, reverse_kl, sft"):
        calibration.marks(Tree(tmp_path, suite))


def test_a_value_that_is_missing_meets_no_mark() -> None:
    assert not Mark("p", "tail overlap", math.nan, 0.2, 0.8).met

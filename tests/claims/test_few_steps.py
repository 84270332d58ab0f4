"""A run of very few steps has a report: without the claims that look where it has no step."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
import run_folders
from run_folders import rows_for, suite_file, write_run
from simulate import suite_of

from arkd.claims.kinds import Trajectory
from arkd.claims.trajectory_statistic import too_short
from arkd.cli import main as cli


@pytest.mark.heavy  # a report each
@pytest.mark.parametrize("steps", [1, 4])
def test_too_few_steps_leave_out_claims_not_the_report(
    steps: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run_folders, "STEPS", steps)
    suite = suite_of(("forward_kl", "reverse_kl", "fixed_mix", "arkd"), name="mine")
    few = suite.distillation.model_copy(update={"steps": steps})
    suite = suite.model_copy(update={"distillation": few})
    results = tmp_path / "results"
    write_run(suite, results, rows_for(suite))
    options = ["--suite", str(suite_file(suite, tmp_path)), "--results", str(results)]
    for command in ("tables", "claims", "figures", "report"):
        assert cli.main([command, *options]) == 0
    with (results / "mine" / "claims" / "claims.csv").open(newline="") as lines:
        verdicts = {row["claim"]: (row["verdict"], row["reason"]) for row in csv.DictReader(lines)}
    assert verdicts["X13"][0] == "not testable"
    assert f"too few steps ({steps}): none is within 0.9 to 1 of the run" in verdicts["X13"][1]
    assert (results / "mine" / "report.html").is_file()


@pytest.mark.parametrize(
    ("statistic", "window", "steps", "short"),
    [
        ("mean", (0.9, 1.0), 4, True),
        ("mean", (0.9, 1.0), 5, False),  # the middle of the fifth is at 0.9
        ("mean", (0.0, 1.0), 1, False),
        ("slope", (0.0, 1.0), 1, True),
        ("slope", (0.0, 1.0), 2, False),
        ("max", (0.0, 0.2), 2, True),
        ("max", (0.0, 0.2), 3, False),
    ],
)
def test_where_no_step_has_its_middle(
    statistic: str, window: tuple[float, float], steps: int, short: bool
) -> None:
    where = {"statistic": statistic, "window": window, "metric": "fkl", "a": "arkd"}
    test = Trajectory.model_construct(kind="trajectory", earlier=None, **where)
    assert too_short(test, steps) == short

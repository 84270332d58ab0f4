"""The minutes of a processor, beside those that the committed runs took."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
from conftest import ROOT

from arkd.cli.main import main
from arkd.plan import processor, records
from arkd.plan.jobs import Assumed
from arkd.suite import folders
from arkd.suite.load import suite_names

KEPT = ROOT / "results" / "reference" / "1.0"
RUNS = ("longtail", "longtail-full", "longtail-splits", "smollm2", "smollm2-quick")


@pytest.mark.parametrize("name", RUNS)
def test_a_suites_minutes_are_those_of_its_reference_within_a_third(name: str) -> None:
    """From half a million parameters to 135 millions, from a quarter of an hour to hours."""
    with (KEPT / name / "cost.csv").open(newline="") as lines:
        rows = list(csv.DictReader(lines))
    took = sum(float(row["wall_s"]) + float(row.get("startup_s") or 0) for row in rows) / 60
    planned = processor.minutes(records.plan(folders.tree(name, "/nowhere"), [], Assumed()).jobs)
    assert 2 / 3 < planned / took < 3 / 2


def test_a_cpu_suite_is_planned_in_minutes_and_on_gpus_if_they_are_named(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert main(["plan", "longtail", "--results", str(tmp_path)]) == 0
    plain = capsys.readouterr().out
    assert "One core takes about 19 minutes, two cores 9" in " ".join(plain.split())
    assert "GPU-hours" not in plain
    assert main(["plan", "longtail", "--gpu", "a100"]) == 0
    assert "GPU-hours" in capsys.readouterr().out


def test_every_shipped_suite_is_listed_with_its_time_and_hardware(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["list", "suites"]) == 0
    head, *lines = capsys.readouterr().out.splitlines()
    assert head.split()[:4] == ["suite", "rows", "seeds", "takes"]
    named = {line.split()[0]: line for line in lines if not line.startswith(" ")}
    assert sorted(named) == suite_names()
    assert "19 core min" in named["longtail"]
    assert all(any(unit in line for unit in ("core", "A100 h", "80 GB")) for line in named.values())

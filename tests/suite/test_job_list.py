"""The list of a suite's jobs, beside the plan that Snakemake makes of the rules."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import pytest
from conftest import snakemake

from arkd.suite.job_list import job_list
from arkd.suite.trees import trees

BLOCKS = """extends: smoke
name: mine
worlds: [11, 12, 13]
seeds: [1, 2]
methods: [forward_kl, {name: arkd, worlds: 2}]
"""


@pytest.mark.parametrize("suite", ["smoke", "longtail", "longtail-tuning", "mine.yaml"])
def test_the_jobs_are_those_of_the_workflow_with_their_files_and_logs(
    suite: str, tmp_path: Path
) -> None:
    (tmp_path / "mine.yaml").write_text(BLOCKS)
    suite = suite.replace("mine", str(tmp_path / "mine"))
    done = snakemake(tmp_path, "--nolock", "--dry-run", suite=suite)
    assert done.returncode == 0, done.stderr
    table = done.stdout.partition("Job stats:")[2].partition("Reasons:")[0]
    counts = {rule: int(n) for rule, n in re.findall(r"^(\w+) +(\d+)$", table, re.M)}
    listed = job_list(trees(suite, str(tmp_path)).popitem()[1])
    assert Counter(job.rule for job in listed) == {
        rule: n for rule, n in counts.items() if rule not in ("all", "total")
    }
    made = {
        path
        for line in re.findall(r"^ +output: (.*)$", done.stdout, re.M)
        for path in line.split(", ")
    }
    assert {str(job.made) for job in listed} <= made
    logs = set(re.findall(r"^ +log: (.*)$", done.stdout, re.M))
    assert {str(job.log) for job in listed} == logs

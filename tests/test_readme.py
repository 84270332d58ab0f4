"""What the README says is so: commands, files, the table and the example."""

from __future__ import annotations

import csv
import importlib.util
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT

from arkd.cli import main as cli
from arkd.method import Context, WeightedDivergences
from arkd.suite.load import suite_names

README = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, re.S)


def commands() -> list[str]:
    lines = [line for block in blocks("sh") for line in block.splitlines()]
    lines += re.findall(r"`((?:make|arkd) [^`]+)`", README)
    return sorted({line.partition("#")[0].strip() for line in lines} - {""})


def test_every_make_target_exists() -> None:
    makefile = (ROOT / "Makefile").read_text()
    for command in commands():
        if command.startswith("make "):
            assert re.search(rf"^{command.split()[1]}:", makefile, re.M), command


@pytest.mark.parametrize("command", [c for c in commands() if c.startswith("snakemake ")])
def test_every_workflow_command_plans(command: str, tmp_path: Path) -> None:
    if "mine.yaml" in command:
        block = next(b for b in blocks("yaml") if "linear_turn" in b)
        own = tmp_path / "mine.yaml"
        own.write_text(block.replace(", {name: linear_turn, last: 0.25}", ""))
        command = command.replace("mine.yaml", str(own))
    program, *words = shlex.split(command)
    settings = [] if "results=" in command else [f"results={tmp_path}"]
    if settings and "--config" not in words:
        settings = ["--config", *settings]
    options = [program, "--dry-run", "--nolock", *words, *settings]
    done = subprocess.run(options, cwd=ROOT, capture_output=True, text=True, check=False)
    plan = done.stdout + done.stderr
    assert done.returncode == 0, plan
    assert "This was a dry-run" in plan


NEWCOMER = {  # typed in a checkout of their own by test_newcomer
    *("arkd new mymethod", "arkd check mymethod", "arkd new mymethod --package"),
    "arkd check --all",
}


def arkd_commands() -> list[str]:
    return [command for command in commands() if command.startswith("arkd ")]


def test_the_lines_that_are_run_elsewhere_stand_here() -> None:
    assert set(arkd_commands()) >= NEWCOMER


@pytest.mark.parametrize("command", sorted(set(arkd_commands()) - NEWCOMER))
def test_every_arkd_command_runs(command: str, tmp_path: Path) -> None:
    if command == "arkd collect":
        pytest.skip("a stage that is mentioned, not a line to type")
    # A checkout has no run of its own yet; the reference stands in for it.
    own = command.replace(" results/longtail ", " results/reference/1.0/longtail ")
    words = shlex.split(own.replace("METHOD", "arkd"))[1:]
    if words[0] == "new-suite":
        words += ["--out", str(tmp_path / "mine.yaml")]
    if words[0] != "claims":
        assert cli.main(words) == 0
        return
    suite = words[words.index("--suite") + 1] if "--suite" in words else "longtail"
    kept = ROOT / "results" / "reference" / "1.0" / suite
    shutil.copytree(kept, tmp_path / suite)
    shutil.rmtree(tmp_path / suite / "claims")
    assert cli.main([*words, "--results", str(tmp_path)]) == 0
    for name in ("claims.csv", "claims.md", "claims.tex", "comparisons.csv"):
        made = (tmp_path / suite / "claims" / name).read_bytes()
        assert made == (kept / "claims" / name).read_bytes(), name


def test_the_example_method_is_a_method(tmp_path: Path) -> None:
    (code,) = blocks("python")
    path = tmp_path / "linear_turn.py"
    path.write_text(code)
    spec = importlib.util.spec_from_file_location("linear_turn", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["linear_turn"] = module
    spec.loader.exec_module(module)
    method = module.LinearTurn(last=0.25)
    assert isinstance(method, WeightedDivergences)
    alphas = [method.weights(Context(step, 5), None).fkl for step in range(5)]
    assert alphas == pytest.approx([1.0, 0.8125, 0.625, 0.4375, 0.25])


def test_the_suites_are_those_shipped() -> None:
    rows = re.findall(r"^\| ((?:`[a-z0-9-]+`(?:, )?)+)(?: \(default\))? \|", README, re.M)
    named = {name for row in rows for name in re.findall(r"`([^`]+)`", row)}
    assert set(suite_names()) <= named


def test_the_result_tables_are_the_reference_files() -> None:
    for path in re.findall(r"<!-- table: (\S+) -->", README):
        table = [line for line in (ROOT / path).read_text().splitlines() if line.startswith("|")]
        assert "\n".join(table) in README, path


def test_the_verdicts_are_those_of_the_reference_run() -> None:
    """Every claim has its verdict as it was judged, and two sentences of what it means."""
    path = re.search(r"<!-- verdicts: (\S+) -->", README)
    assert path is not None
    with (ROOT / path[1]).open(encoding="utf-8", newline="") as lines:
        judged = {row["claim"]: row["verdict"] for row in csv.DictReader(lines)}
    shown = re.findall(r"^\| ([CEX]\d+) \| .*? \| \*\*(.*?)\*\* \| (.*) \|$", README, re.M)
    assert {claim: verdict for claim, verdict, _ in shown} == judged
    for claim, _, meaning in shown:
        plain = re.sub(r"\]\([^)]*\)", "", meaning)
        assert len(re.findall(r"[.](?: |$)", plain)) == 2, claim


def test_the_performance_page_shows_the_reference_run() -> None:
    page = (ROOT / "docs/performance.md").read_text(encoding="utf-8")
    found = re.search(r"<!-- performance: (\S+) -->\n(.*)<!-- /performance -->", page, re.S)
    assert found is not None
    _, _, measured = (ROOT / found[1]).read_text(encoding="utf-8").partition("\n")
    assert found[2].strip() == measured.strip().replace("\n## ", "\n### ")


def test_links_lead_to_files() -> None:
    for link in re.findall(r"\]\(([^)#]+)\)", README):
        assert link.startswith("https://") or (ROOT / link).exists(), link

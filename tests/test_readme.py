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

import pandas as pd
import pytest
from conftest import ROOT
from scipy import stats

from arkd.cli import main as cli
from arkd.cli.parser import parser
from arkd.method import Context, WeightedDivergences
from arkd.suite.load import load_suite, suite_names

FRONT = ROOT / "README.md"
# What it leads to, page by page; commands and links of the other pages have tests of their own.
FULL = ROOT / "results" / "reference" / "1.0" / "longtail-full"
PAGES = [
    FRONT,
    *(
        ROOT / "docs" / f"{name}.md"
        for name in ("findings", "quick-start", "tables", "suites", "protocol", "methods")
    ),
]
README = "\n".join(page.read_text(encoding="utf-8") for page in PAGES)


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
    "arkd new mymethod --package",
    *("arkd new linear_turn --kind weights", "arkd check linear_turn"),
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
    if words[0] == "add":  # beside a finished run, as tests/cli/test_add.py does
        parser().parse_args(words)
        return
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
    front, code = blocks("python")
    assert front in code  # the README shows its heart, the page the whole file
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
    paths = re.findall(r"<!-- table: (\S+) -->", README)
    assert len(paths) == 4
    for path in paths:
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


@pytest.mark.parametrize(
    "page", [FRONT, *sorted((ROOT / "docs").glob("*.md"))], ids=lambda p: p.stem
)
def test_links_lead_to_files(page: Path) -> None:
    for link in re.findall(r"\]\(([^)#]+)[^)]*\)", page.read_text(encoding="utf-8")):
        assert link.startswith("https://") or (page.parent / link).exists(), link


def test_every_page_is_reached_from_the_readme() -> None:
    front = FRONT.read_text(encoding="utf-8")
    for page in (ROOT / "docs").glob("*.md"):
        assert f"(docs/{page.name})" in front, page.name


def test_the_readme_is_short() -> None:
    assert len(FRONT.read_text(encoding="utf-8").splitlines()) <= 150


def test_the_rows_of_the_front_table_are_those_of_the_reference() -> None:
    found = re.search(
        r"<!-- rows of: (\S+) -->\n\n((?:\|.*\n)+)", FRONT.read_text(encoding="utf-8")
    )
    assert found is not None
    kept = (ROOT / found[1]).read_text(encoding="utf-8").splitlines()
    rows = found[2].splitlines()
    assert len(rows) == 10
    assert set(rows) <= set(kept)


def test_the_front_counts_the_verdicts_of_the_reference_run() -> None:
    text = " ".join(FRONT.read_text(encoding="utf-8").split())
    found = re.search(
        r"Of (\d+) registered .* \*\*(\d+) are supported, (\d+) contradicted, (\d+) inconclusive "
        r"and (\d+) not testable\*\*",
        text,
    )
    assert found is not None
    with (FULL / "claims" / "claims.csv").open(encoding="utf-8", newline="") as lines:
        verdicts = [row["verdict"] for row in csv.DictReader(lines)]
    kinds = ("supported", "contradicted", "inconclusive", "not testable")
    assert [int(n) for n in found.groups()] == [len(verdicts), *map(verdicts.count, kinds)]


def test_the_front_findings_are_the_records_of_the_reference_run() -> None:
    """Paired differences to forward KL and their t intervals, by pandas and scipy."""
    frame = pd.read_csv(FULL / "records.csv", dtype={"decode_seed": str}, keep_default_na=False)
    sets = load_suite("longtail-full").test_sets
    measures = {
        "id": ([sets[0]], "rouge_l", ""),
        "ood": ([*sets[1:]], "rouge_l", ""),
        "jsd": (["fidelity_gold"], "jsd", ""),
        "tail": (["truth"], "truth_error", "certain_tail"),
    }

    def by_seed(row: str, tasks: list[str], metric: str, group: str) -> pd.Series:
        at = frame[
            (frame["method"] == row) & (frame["metric"] == metric) & (frame["group"] == group)
        ]
        at = at[at["task"].isin(tasks)].assign(value=lambda f: f["value"].astype(float))
        return at.groupby(["task", "seed"])["value"].mean().groupby("seed").mean()

    def shown(row: str, measure: str, digits: int) -> str:
        difference = by_seed(row, *measures[measure]) - by_seed("forward_kl", *measures[measure])
        assert len(difference) == 10
        half = stats.t.ppf(0.975, 9) * stats.sem(difference)
        sign = "+" if measure in ("jsd", "tail") else ""
        mean = round(difference.mean(), digits) + 0.0  # so that zero has no sign
        return f"{mean:{sign}.{digits}f} ± {half:.{digits}f}".replace("-", "−")

    text = " ".join(FRONT.read_text(encoding="utf-8").split())
    arkd = [("id", 1), ("ood", 1), ("jsd", 4), ("tail", 3)]
    for measure, digits in arkd:
        assert shown("arkd", measure, digits) in text, measure
    for measure in ("id", "ood"):
        assert shown("reverse_kl", measure, 1).removeprefix("−") in text, measure
    with (FULL / "claims" / "comparisons.csv").open(encoding="utf-8", newline="") as lines:
        rows = {row["test"]: row for row in csv.DictReader(lines) if row["claim"] == "C6"}
    level = rows["settles_near_018"]  # the mean α of the last steps, held against the paper's
    rises = re.search(r"\*\*α rises\*\* to (0\.\d+), .* it settles near (0\.\d+)", text)
    assert rises
    assert rises[1] == f"{float(level['effect']):.2f}"
    assert rises[2] == f"{float(level['target']):.2f}"

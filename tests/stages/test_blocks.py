"""Suites of several worlds: what a block is, and what is joined of them."""

from __future__ import annotations

import csv
import json
import shlex
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import numpy as np
import pytest
from conftest import snakemake
from scipy import stats

from arkd.audit.merge import merge
from arkd.audit.verify import verify
from arkd.errors import ArkdError
from arkd.plan.jobs import Assumed
from arkd.plan.records import plan
from arkd.report.method_rows import method_rows
from arkd.report.origins import panel_data
from arkd.report.page import duration, strip
from arkd.results.suite_results import SuiteResults
from arkd.stages import blocks, trajectories
from arkd.stages.collect import COST_COLUMNS
from arkd.statistics.intervals import mean_interval
from arkd.storage.files import read_json, sha256_file, write_json
from arkd.storage.records import COLUMNS, ITEM_COLUMNS, write_csv
from arkd.suite.folders import TEACHER, Tree, methods, seeds, tree
from arkd.suite.jobs import collect_inputs, data_inputs
from arkd.suite.load import load_suite
from arkd.suite.trees import trees, with_blocks
from arkd.tables import build as tables

WORLDS, SEEDS = (11, 12, 13), (1, 2)
FILES = ("records.csv", "items.csv", "trajectories.csv", "cost.csv")
SUITE = f"""
extends: smoke
name: several
version: "1.0"
description: three small worlds
worlds: [{", ".join(map(str, WORLDS))}]
seeds: [{", ".join(map(str, SEEDS))}]
methods: [forward_kl, {{name: arkd, worlds: 2}}]
"""


@pytest.fixture
def suite_file(tmp_path: Path) -> Path:
    path = tmp_path / "several.yaml"
    path.write_text(SUITE)
    return path


def value(method: str, world: int, seed: int) -> float:
    return float(np.random.default_rng([len(method), world, seed]).normal(50 + world, 1))


def write_block(block: Tree, world: int, failed: tuple[str, int] | None = None) -> None:
    """Write what `arkd collect` leaves of a block, two decodings a seed."""
    suite, records, windows, costs = block.suite, [], [], []
    for pair, method in methods(suite):
        for seed in seeds(suite, method):
            run = {"suite": suite.name, "suite_version": "1.0", "pair": pair}
            run |= {"method": method, "seed": seed}
            if (method, seed) == failed:
                records.append(run | {"task": "run", "metric": "failed", "value": 1.0, "n": 1})
                continue
            scored = run | {"task": "longtail_id", "metric": "rouge_l", "n": 12}
            scored |= {"higher_is_better": 1, "value": value(method, world, seed)}
            records += [scored | {"decode_seed": decoding} for decoding in suite.decoding.seeds]
            window = {"window": 0, "first_step": 0, "last_step": 19}
            windows.append(run | window | {"loss": 0.5 + seed, "alpha": None})
            costs.append(run | {"stage": "distill", "wall_s": 10.0 * seed, "peak_mib": 9.0})
    write_csv(block.root / "records.csv", COLUMNS, records)
    write_csv(block.root / "items.csv", ITEM_COLUMNS, [])
    write_csv(block.root / "trajectories.csv", trajectories.COLUMNS, windows)
    write_csv(block.root / "cost.csv", COST_COLUMNS, costs)
    facts: dict[str, Any] = {"stage": "collect", "suite": suite.name, "suite_version": "1.0"}
    facts |= {"config": suite.model_dump(mode="json"), "core": "c", "training_core": "t"}
    facts |= {"inputs": {}, "versions": {"arkd": "1.0.0", "torch": "2"}}
    facts["outputs"] = {name: sha256_file(block.root / name) for name in FILES}
    write_json(block.root / "manifest.json", facts)


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as lines:
        return list(csv.DictReader(lines))


def test_a_block_is_the_suite_in_one_world(suite_file: Path) -> None:
    whole, block = load_suite(str(suite_file)), load_suite(f"{suite_file}@13")
    assert (block.name, block.data.world_seed, block.worlds) == ("several@13", 13, ())  # type: ignore[attr-defined]
    assert [entry.label for entry in block.entries] == ["forward_kl"]
    assert block.seeds == SEEDS
    assert whole.seeds_of("forward_kl") == WORLDS
    assert whole.seeds_of("arkd") == WORLDS[:2]
    assert seeds(whole, TEACHER) == WORLDS  # each has its own
    assert seeds(block, TEACHER) == (0,)


def test_the_workflow_runs_every_block_and_reports_the_whole(suite_file: Path) -> None:
    found = with_blocks(trees(str(suite_file), "out"))
    assert [*found] == ["several", "several@11", "several@12", "several@13"]
    wanted = [f"out/several@{world}/manifest.json" for world in WORLDS]
    assert collect_inputs(found["several"]) == wanted


def test_a_plan_counts_every_world(suite_file: Path, tmp_path: Path) -> None:
    whole = tree(str(suite_file), "out")
    planned = plan(whole, [], Assumed())
    of_blocks = [plan(block, [], Assumed()) for block in whole.blocks.values()]
    assert planned.students == sum(part.students for part in of_blocks) == 10
    for total in (lambda p: p.disk, lambda p: sum(job.work.flops for job in p.jobs)):
        assert total(planned) == pytest.approx(sum(map(total, of_blocks)))
    begun = tree(str(suite_file), tmp_path)
    (tmp_path / "several@12").mkdir()  # and is planned alone: what it has made may count
    assert plan(begun, [], Assumed()).totals() == planned.totals()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("@14", r"no world 14; worlds: 11, 12, 13"),
        ("worlds: [11, 11]", "worlds: 11 stands twice"),
        ("methods: [{name: sft, worlds: 4}]", "there are 3"),
    ],
)
def test_what_cannot_be_is_one_line(suite_file: Path, change: str, message: str) -> None:
    named = str(suite_file)
    if change.startswith("@"):
        named += change
    else:
        key = change.partition(":")[0]
        kept = [line for line in SUITE.splitlines() if not line.startswith(f"{key}:")]
        suite_file.write_text("\n".join([*kept, change]))
    with pytest.raises(ArkdError, match=message):
        load_suite(named)


def test_data_without_worlds_have_no_blocks(tmp_path: Path) -> None:
    path = tmp_path / "other.yaml"
    path.write_text("extends: smollm2-quick\nname: other\nworlds: [1, 2]\n")
    with pytest.raises(ArkdError, match="worlds: data of source smollm2 have no world_seed"):
        load_suite(str(path))


def test_an_observation_is_a_world_s_mean_over_its_seeds(suite_file: Path, tmp_path: Path) -> None:
    whole = tree(str(suite_file), tmp_path)
    for world, block in whole.blocks.items():
        write_block(block, world, failed=("arkd", 2) if world == 12 else None)
    blocks.pool(whole)
    results = SuiteResults(whole)
    pair = whole.suite.pairs[0].name
    expected = {w: np.mean([value("forward_kl", w, s) for s in SEEDS]) for w in WORLDS}
    found = results.records.values(pair, "forward_kl", "longtail_id", "rouge_l")
    assert found == pytest.approx(expected)
    interval = mean_interval([*found.values()])
    low, high = stats.t.interval(0.95, 2, *(f([*expected.values()]) for f in (np.mean, stats.sem)))
    assert (interval.low, interval.high) == pytest.approx((low, high))
    assert results.failed(pair, "arkd") == {12}  # a world in which a seed of the row failed
    (line,) = [row for row in rows(whole.root / "trajectories.csv") if row["seed"] == "13"
               and row["method"] == "forward_kl"]  # fmt: skip
    assert (line["loss"], line["alpha"]) == ("2", "")
    counts = {row["n"] for row in rows(whole.root / "records.csv") if row["metric"] == "rouge_l"}
    assert counts == {"24", "12"}  # items of all seeds; the teacher is one
    for name in ("records.csv", "trajectories.csv"):  # no mean over the seeds that are left
        of_row = [row for row in rows(whole.root / name)
                  if (row["method"], row["seed"]) == ("arkd", "12")]  # fmt: skip
        assert [row.get("metric") for row in of_row] == ["failed"] * (name == "records.csv")


def test_a_page_of_worlds_counts_and_names_what_their_blocks_ran(
    suite_file: Path, tmp_path: Path
) -> None:
    whole = tree(str(suite_file), tmp_path / "results")
    for world, block in whole.blocks.items():
        write_block(block, world)
        evaluation = block.evaluation("fixture", "arkd") if world < 13 else block.data
        write_json(evaluation / "manifest.json", {})
    blocks.pool(whole)
    shown = dict(strip(whole, []))
    assert shown["Students"] == "10"  # 3 worlds and 2, two seeds in each
    students = 4 + 4 + 3  # rows of each world that are trained with both seeds, controls too
    assert shown["Time of all jobs, summed"] == duration(students * (10 + 20))
    page = tmp_path / "results" / "several" / "report.html"
    links = {w: link for row in method_rows(whole, page) for w, link in row["links"]}
    assert {w: unquote(link) for w, link in links.items()} == {
        w: f"../several@{w}/fixture/arkd/evaluation/manifest.json" for w in ("11", "12")
    }
    data = json.loads(panel_data(tables.build(whole.suite, whole.results, True), whole, page))
    run = next(run for run in data["runs"] if run["method"] == "arkd")
    assert run["manifests"] == links
    [(what, command)] = run["commands"]
    assert "in world 11" in what
    words = shlex.split(command)
    assert words[4:] == [
        f"suites=[{suite_file}@11]",
        "results=again",
        "--",
        "again/several@11/fixture/arkd/evaluation/manifest.json",
    ]


def test_a_suite_that_joins_blocks_has_no_data_of_its_own(suite_file: Path) -> None:
    with pytest.raises(ArkdError, match=r"3 worlds, each .*; name one of them, such as .*@11$"):
        data_inputs(tree(str(suite_file)))


def test_blocks_are_checked_before_they_are_joined(suite_file: Path, tmp_path: Path) -> None:
    whole = tree(str(suite_file), tmp_path)
    first, second, third = whole.blocks.values()
    write_block(first, 11)
    with pytest.raises(ArkdError, match=r"several@12/manifest.json: no such file; run the block"):
        blocks.pool(whole)
    write_block(second, 12)
    blocks.pool(whole, partial=True)
    assert {row["seed"] for row in rows(whole.root / "records.csv")} == {"11", "12"}
    write_block(third, 13)
    (third.root / "records.csv").write_text("edited")
    with pytest.raises(ArkdError, match=r"several@13/records.csv: not as its stage wrote it"):
        blocks.pool(whole)
    write_block(third, 13)
    suite_file.write_text(SUITE.replace("[1, 2]", "[1, 2, 3]"))
    with pytest.raises(ArkdError, match="collected with other settings than several has now"):
        blocks.pool(tree(str(suite_file), tmp_path))


@pytest.mark.parametrize(
    ("name", "changed"), [("arkd", ""), ("torch", "versions"), ("core", "core")]
)
def test_blocks_of_another_release_are_joined_and_of_other_code_or_libraries_not(
    suite_file: Path, tmp_path: Path, name: str, changed: str
) -> None:
    whole = tree(str(suite_file), tmp_path)
    for world, block in whole.blocks.items():
        write_block(block, world)
    path = whole.blocks[12].root / "manifest.json"
    made = json.loads(path.read_text())
    (made if name in made else made["versions"])[name] = "9.9.9"
    write_json(path, made)
    if not changed:
        blocks.pool(whole)
        assert {row["seed"] for row in rows(whole.root / "records.csv")} == {"11", "12", "13"}
        return
    with pytest.raises(ArkdError, match=f"several@12: {changed} .*9.9.9.* are never mixed"):
        blocks.pool(whole)


@pytest.mark.parametrize(
    ("name", "lacks"), [("records", "records"), ("trajectories", "trajectory")]
)
def test_a_block_that_lacks_a_run_is_not_joined(
    suite_file: Path, tmp_path: Path, name: str, lacks: str
) -> None:
    whole = tree(str(suite_file), tmp_path)
    for world, block in whole.blocks.items():
        write_block(block, world)
    path = whole.blocks[12].root / f"{name}.csv"
    lines = path.read_text().splitlines(keepends=True)
    lost = ",arkd,2,"
    path.write_text("".join(line for line in lines if lost not in line))
    assert path.read_text().count(lost) == 0 < "".join(lines).count(lost)
    facts = read_json(path.with_name("manifest.json"))
    facts["outputs"][path.name] = sha256_file(path)
    write_json(path.with_name("manifest.json"), facts)
    with pytest.raises(ArkdError, match=f"several@12: .*/arkd has no {lacks} of seed 2; finish it"):
        blocks.pool(whole)
    blocks.pool(whole, partial=True)
    assert {row["seed"] for row in rows(whole.root / "records.csv")} == {"11", "13"}


def test_a_block_that_lacks_one_number_of_one_seed_is_not_joined(
    suite_file: Path, tmp_path: Path
) -> None:
    """The mean of a world would be over other seeds than that of the next."""
    whole = tree(str(suite_file), tmp_path)
    for world, block in whole.blocks.items():
        write_block(block, world)
    path = whole.blocks[12].root / "records.csv"
    lines = path.read_text().splitlines(keepends=True)
    first = next(line for line in lines if ",arkd,1,1," in line)
    path.write_text("".join([*lines, first.replace(",rouge_l,", ",distinct_2,")]))  # of one seed
    facts = read_json(path.with_name("manifest.json"))
    facts["outputs"][path.name] = sha256_file(path)
    write_json(path.with_name("manifest.json"), facts)
    said = "/arkd has longtail_id distinct_2 1 of 1 seeds, and 2 are needed; finish it"
    with pytest.raises(ArkdError, match=said):
        blocks.pool(whole)
    blocks.pool(whole, partial=True)
    assert {row["seed"] for row in rows(whole.root / "records.csv")} == {"11", "13"}


def test_rows_of_two_files_or_rates_are_not_joined(suite_file: Path, tmp_path: Path) -> None:
    whole = tree(str(suite_file), tmp_path)
    for world, block in whole.blocks.items():
        write_block(block, world)
        path = block.root / "manifest.json"
        made_by = {"pair/forward_kl": "a", "pair/arkd": "b" if world == 12 else "c"}
        write_json(path, read_json(path) | {"rows": made_by})
    with pytest.raises(ArkdError, match=r"several@12: pair/arkd was trained by other settings"):
        blocks.pool(whole)


def test_blocks_share_no_draw_and_other_suites_draw_as_before(suite_file: Path) -> None:
    suite = load_suite(str(suite_file))
    drawn = [suite.block(world).draws(seed) for world in WORLDS for seed in (0, *SEEDS)]
    assert len({*drawn}) == len(drawn)
    assert [suite.draws(seed) for seed in SEEDS] == [*SEEDS]
    assert suite.block(11).world_axes == (11,)
    assert suite.world_axes == ()


def test_verify_joins_the_blocks_again(suite_file: Path, tmp_path: Path) -> None:
    whole = tree(str(suite_file), tmp_path)
    for world, block in whole.blocks.items():
        write_block(block, world)
    blocks.pool(whole)
    findings = verify(whole.root, anchored=False, again=False)
    assert not findings.problems
    assert "records.csv from 3 blocks" in findings.remade
    block = whole.blocks[12].root
    write_csv(block / "records.csv", COLUMNS, [])
    problems = verify(whole.root, anchored=False, again=False).problems
    assert problems[whole.root / "records.csv"].startswith("not what the blocks hold")


@pytest.mark.heavy  # three worlds of `smoke` to a report
def test_blocks_run_to_one_report(suite_file: Path, tmp_path: Path) -> None:
    # A difference has parts by source if both rows stand in every world.
    suite_file.write_text(SUITE.replace("methods: [", "methods: [fixed_mix, "))
    done = snakemake(tmp_path, "--nolock", suite=str(suite_file))
    assert done.returncode == 0, done.stdout + done.stderr
    root = tmp_path / "several"
    page = (root / "report.html").read_text(encoding="utf-8")
    assert "Each world has its own teacher." in page
    assert "What the error of a difference is made of" in page
    assert "Mean over worlds" in page
    for folder in (root, *(tmp_path / f"several@{world}" for world in WORLDS)):
        assert not verify(folder, anchored=False).problems


def test_joined_blocks_are_not_merged_and_the_remedy_is_said(
    suite_file: Path, tmp_path: Path
) -> None:
    whole = tree(str(suite_file), tmp_path)
    for world, block in whole.blocks.items():
        write_block(block, world)
    blocks.pool(whole)
    with pytest.raises(ArkdError, match="merge the folders of each block, several@11 and so on"):
        merge(tmp_path / "out", [whole.root, whole.root])
    assert not (tmp_path / "out").exists()

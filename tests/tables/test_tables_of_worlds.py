"""Tables of a suite of several worlds: each world has its own teacher and its own trainings."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from simulate import condense, laid_out, rows_of, save, suite_of
from test_analyses import cells_of, write_alpha, write_weights

from arkd.results.suite_results import SuiteResults
from arkd.stages.blocks import joined
from arkd.storage.files import write_text
from arkd.suite.folders import Tree
from arkd.suite.suite import Suite
from arkd.tables.builder import Builder
from arkd.tables.kinds import aggregate, alpha, generalisation

WORLDS = (11, 12, 13)
# Teachers differ more than anything else; a row closes half of the gap of each world.
TEACHERS = {11: 50.0, 12: 90.0, 13: 70.0}
START = 40.0


def suite_of_worlds() -> Suite:
    return suite_of(("forward_kl", "greedy_min"), worlds=WORLDS, seeds=(1, 2))


def rouge(method: str, world: int, in_distribution: bool) -> float:
    level = {"teacher": TEACHERS[world], "init": START, "untrained": 0.0}
    share = {"forward_kl": 0.5, "greedy_min": 0.25}.get(method, 0.0)
    value = level.get(method, START + share * (TEACHERS[world] - START))
    # What is lost out of distribution: a tenth, of the teacher by world.
    return value if in_distribution else 0.9 * value


@pytest.fixture
def make(tmp_path: Path) -> Builder:
    suite = suite_of_worlds()
    rows = rows_of(suite, sd=0.0)
    for row in rows:
        if row["metric"] == "rouge_l":
            inside = row["task"] == suite.test_sets[0]
            row["value"] = repr(rouge(row["method"], row["seed"], inside))
    for world, block in Tree(tmp_path, suite).blocks.items():
        save(block.suite, tmp_path, rows_of(block.suite, seed=world))
    save(suite, tmp_path, rows)
    return Builder(suite, tmp_path)


def test_the_gap_is_that_to_the_teacher_of_the_same_world(make: Builder) -> None:
    table = laid_out(aggregate, make)
    for method, share in (("forward_kl", 0.5), ("greedy_min", 0.25)):
        cell = cells_of(table, method)["gap_closed mean"]
        # Out of distribution start and teacher lose the same tenth, so the share is the same.
        assert (cell.mean, cell.n) == (pytest.approx(share), len(WORLDS))
        assert cell.half == pytest.approx(0.0, abs=1e-9)


def test_the_teacher_s_drop_is_paired_world_by_world(make: Builder) -> None:
    table = laid_out(generalisation, make)
    cell = cells_of(table, "teacher")["rouge_l drop_difference"]
    gaps = [
        0.1 * (rouge("teacher", world, True) - rouge("forward_kl", world, True)) for world in WORLDS
    ]
    assert (cell.mean, cell.n) == (pytest.approx(np.mean(gaps)), len(WORLDS))


def test_no_table_of_worlds_says_that_there_is_one_teacher(make: Builder) -> None:
    for kind in (aggregate, generalisation):
        assert not [note for note in laid_out(kind, make).notes if "one model" in note]


def test_alpha_is_read_off_single_runs_and_averaged_then(make: Builder) -> None:
    """One seed at .9 and one at .1: the mean curve would lie at a half, and never above."""
    tree = make.tree
    for block in tree.blocks.values():
        for seed, value in zip(block.suite.seeds, (0.9, 0.1), strict=True):
            of_seed = block.suite.model_copy(update={"seeds": (seed,)})
            write_alpha(make.tree.results, of_seed, "greedy_min", alpha=[value] * 40)
        condense(make.tree.results, block.suite)
    roots = {world: block.root for world, block in tree.blocks.items()}
    named = {"suite": make.suite.name, "suite_version": make.suite.version}
    write_text(tree.root / "trajectories.csv", joined("trajectories.csv", roots, named))
    cells = cells_of(laid_out(alpha, make), "greedy_min")
    expected = {"first": 0.5, "last": 0.5, "lowest": 0.5, "highest": 0.5, "above_half": 0.5}
    for name, value in expected.items():
        assert cells[f"alpha {name}"].mean == pytest.approx(value), name


def test_a_block_that_was_not_joined_is_in_no_table(make: Builder) -> None:
    """It may be unfinished, or have finished since."""
    suite, results = make.suite, make.tree.results
    joined_rows = [row for row in rows_of(suite, sd=0.0) if row["seed"] != WORLDS[-1]]
    save(suite, results, joined_rows)
    assert (Tree(results, suite).blocks[WORLDS[-1]].root / "records.csv").is_file()
    assert [*Builder(suite, results).blocks] == [*WORLDS[:-1]]


def test_what_single_runs_show_of_alpha_is_left_out_where_they_are_not(make: Builder) -> None:
    """The joined curve is the mean over a world's seeds: its extremes are none of a run's."""
    suite = make.suite
    for block in make.tree.blocks.values():
        shutil.rmtree(block.root)
    write_alpha(make.tree.results, suite, "greedy_min", alpha=[0.5] * 40)
    cells = cells_of(laid_out(alpha, Builder(suite, make.tree.results)), "greedy_min")
    assert cells["alpha first"].mean == cells["alpha last"].mean == pytest.approx(0.5)
    left_out = [cells[f"alpha {name}"] for name in ("lowest", "highest", "above_half")]
    assert {cell.mean for cell in left_out} == {None}
    assert all("single runs" in cell.why for cell in left_out)


def test_equal_weights_are_counted_by_world(make: Builder) -> None:
    for world, block in make.tree.blocks.items():
        hashes = ["a", "b"]
        write_weights(make.tree.results, block.suite, "forward_kl", hashes)
        equal = hashes if world != WORLDS[0] else ["a", "c"]  # one student of one world differs
        write_weights(make.tree.results, block.suite, "greedy_min", equal)
    cells = cells_of(laid_out(alpha, make), "greedy_min")
    assert cells["weights forward_kl"].word in ("2 of 3 worlds", "2 of 3 worlds (other rate)")
    assert SuiteResults(make.tree).student_weights(
        make.suite.pairs[0].name, "forward_kl", WORLDS[0]
    ) == "\n".join(["model/model.safetensors a", "model/model.safetensors b"])

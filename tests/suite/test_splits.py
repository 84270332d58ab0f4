"""Rows that train on half of the data, and rows that replay another row's α there."""

from __future__ import annotations

from pathlib import Path

import pytest

from arkd.data.tokens import TokenSet
from arkd.errors import ArkdError
from arkd.stages import distill as method_stages
from arkd.storage import manifest
from arkd.storage.files import read_json
from arkd.storage.records import read_csv
from arkd.suite import folders
from arkd.suite import jobs as workflow
from arkd.suite.folders import Tree
from arkd.suite.trees import trees
from arkd.training.distill import rows_of

SUITE = """
extends: smoke
name: smoke
methods:
  - {name: arkd, split: first}
  - {name: arkd, split: second}
  - {name: replay_alpha, split: second, fitted_on: first}
"""
FIRST, SECOND, REPLAYED = (
    "arkd@split=first",
    "arkd@split=second",
    "replay_alpha@split=second,fitted_on=first",
)


@pytest.fixture(scope="module")
def trained(smoke: Path, tmp_path_factory: pytest.TempPathFactory) -> Tree:
    """The smoke run's own start and teacher, and three students on halves of its data."""
    import shutil

    folder = tmp_path_factory.mktemp("splits")
    shutil.copytree(smoke, folder / "results")
    suite = folder / "smoke" / "suite.yaml"  # a copy of the shipped one, with other rows
    suite.parent.mkdir()
    suite.write_text(SUITE)
    tree = folders.tree(str(suite), folder / "results")
    for label in (FIRST, SECOND, REPLAYED):
        method_stages.distill(tree, "fixture", label, 1)
    return tree


def alphas(tree: Tree, label: str) -> list[float]:
    return [float(r["alpha"]) for r in steps(tree, label)]


def steps(tree: Tree, label: str) -> list[dict[str, str]]:
    return read_csv(tree.training("fixture", label, 1) / "trajectory.csv")


def test_halves_share_no_row_and_leave_none_out() -> None:
    assert [*rows_of("first", 7), *rows_of("second", 7)] == list(rows_of("all", 7)) == [*range(7)]


def test_a_half_is_trained_on_that_half_alone(trained: Tree) -> None:
    """The tokens of each step are those of the half's rows, in the order of the seed."""
    from arkd.data.tokens import batch_order

    tokens = TokenSet.load(trained.tokens("fixture") / "train.safetensors")
    lengths = (tokens.starts.diff() - tokens.prompt_lengths).tolist()
    half = len(lengths) // 2
    order = batch_order(half, 20, 16, "distill", 1)
    for row, batch in zip(steps(trained, FIRST), order, strict=True):
        at = trained.suite.settings(trained.suite.entry(FIRST))
        assert at.split == "first"
        assert float(row["tokens"]) >= sum(lengths[sample] for sample in batch)
    assert alphas(trained, FIRST) != alphas(trained, SECOND)


def test_the_replayed_alpha_is_the_other_runs_on_the_rows_own_data(trained: Tree) -> None:
    assert alphas(trained, REPLAYED) == alphas(trained, FIRST)
    # The first batch is that of the row's own half: both students start alike, so do their losses.
    own, replayed = (float(steps(trained, label)[0]["fkl"]) for label in (SECOND, REPLAYED))
    assert own == pytest.approx(replayed, rel=1e-5)
    assert own != pytest.approx(float(steps(trained, FIRST)[0]["fkl"]), rel=1e-3)


def test_the_manifest_names_the_run_that_is_replayed(trained: Tree) -> None:
    made = read_json(trained.training("fixture", REPLAYED, 1) / manifest.NAME)
    source = trained.training("fixture", FIRST, 1)
    assert made["inputs"]["replayed"] == manifest.digest(source)
    asked = workflow.distill_inputs(trained, "fixture", REPLAYED, 1)
    assert str(source / manifest.NAME) in asked


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ("[{name: replay_alpha}]", "no method 'arkd'"),
        ("[{name: arkd, seeds: 1}, {name: replay_alpha}]", "which has no seed 2.*the same seeds"),
    ],
)
def test_a_replay_without_its_run_is_refused(tmp_path: Path, rows: str, message: str) -> None:
    path = tmp_path / "own.yaml"
    path.write_text(f"extends: smoke\nname: own\nseeds: [1, 2]\nmethods: {rows}\n")
    with pytest.raises(ArkdError, match=message):
        trees(str(path), str(tmp_path))

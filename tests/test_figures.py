"""Figures are drawn from the results, whole, and to the same bytes each time."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from pathlib import Path

import numpy as np
import pytest
from simulate import failed_row, rows_of, save, suite_of

from arkd import figures
from arkd.errors import ArkdError
from arkd.layout import Builder
from arkd.workflow import Tree

METHODS = ("forward_kl", "reverse_kl", "greedy_min", "akl", "arkd")
NAMES = ["alpha", "dynamics", "strategies", "head_tail"]


def texts(svg: bytes) -> list[str]:
    """Return all text of an SVG file; fails if it is not well-formed."""
    return [
        "".join(element.itertext()).strip()
        for element in ElementTree.fromstring(svg).iter("{http://www.w3.org/2000/svg}text")
    ]


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, bytes]]:
    root = tmp_path_factory.mktemp("results")
    suite = suite_of(METHODS)
    save(suite, root, rows_of(suite))
    return figures.render(suite, root)


def test_files_are_svg_and_png_and_the_same_twice(tmp_path: Path) -> None:
    suite = suite_of(METHODS)
    save(suite, tmp_path, rows_of(suite))
    first = figures.write(suite, tmp_path, tmp_path / "a")
    second = figures.write(suite, tmp_path, tmp_path / "b")
    assert [p.name for p in first] == [f"{n}.{s}" for n in NAMES for s in ("svg", "png")]
    assert [p.read_bytes() for p in first] == [p.read_bytes() for p in second]
    assert all(p.read_bytes()[:8] == b"\x89PNG\r\n\x1a\n" for p in first if p.suffix == ".png")


def test_svg_is_well_formed_and_undated(drawn: dict[str, dict[str, bytes]]) -> None:
    assert list(drawn) == NAMES
    for files in drawn.values():
        assert texts(files["svg"])
        assert b"<dc:date>" not in files["svg"]


def test_alpha_names_its_arms_and_the_paper(drawn: dict[str, dict[str, bytes]]) -> None:
    found = texts(drawn["alpha"]["svg"])
    arms = {"arkd (mean of 3)", "akl (mean of 3)", "greedy_min (mean of 3)"}
    assert arms | {"paper, Figure 5", "share of training"} <= set(found)


def test_alpha_draws_the_logged_values(tmp_path: Path) -> None:
    suite = suite_of(("arkd",))
    save(suite, tmp_path, rows_of(suite))
    make = Builder(suite, tmp_path)
    seeds = figures.trajectories(make, suite.pairs[0].name, "arkd", "alpha")
    assert sorted(seeds) == [1, 2, 3]
    figure = figures.alpha(make)
    assert figure is not None
    lines = {line.get_label(): line for line in figure.axes[0].get_lines()}
    drawn = np.asarray(lines["arkd (mean of 3)"].get_ydata(), dtype=float)
    assert drawn == pytest.approx(np.mean([s.to_numpy() for s in seeds.values()], axis=0))
    paper = np.asarray(lines["paper, Figure 5"].get_xdata(), dtype=float)
    assert (paper[0], paper[-1]) == (0.0, 1.0)


def test_strategies_write_each_value(tmp_path: Path) -> None:
    suite = suite_of(METHODS)
    level = {method: 20.0 + place for place, method in enumerate(METHODS)}
    rows = rows_of(suite, lambda method, task, metric: level.get(method, 1.0), sd=0.0)
    save(suite, tmp_path, rows)
    found = texts(figures.render(suite, tmp_path)["strategies"]["svg"])
    for method in METHODS:
        assert method in found
        assert found.count(f"{level[method]:.1f}") == len(suite.test_sets)


def test_head_and_tail_errors_are_sums_over_rank_bins(tmp_path: Path) -> None:
    suite = suite_of(METHODS)
    save(suite, tmp_path, rows_of(suite, lambda m, t, k: 0.25, sd=0.0))
    figure = figures.head_tail(Builder(suite, tmp_path))
    assert figure is not None
    points = {str(line.get_label()): line for line in figure.axes[0].get_lines()}
    # Two bins hold ranks 1 to 10, three the others; each has an error of 0.25.
    arkd = points["arkd"]
    x, y = np.asarray(arkd.get_xdata()), np.asarray(arkd.get_ydata())
    assert (float(x[0]), float(y[0])) == pytest.approx((0.5, 0.75))


def test_a_missing_trajectory_is_named(tmp_path: Path) -> None:
    suite = suite_of(METHODS)
    save(suite, tmp_path, rows_of(suite))
    run = Tree(tmp_path, suite).training(suite.pairs[0].name, "arkd", 2)
    (run / "trajectory.csv").unlink()
    with pytest.raises(ArkdError, match=r"arkd/seed2 \(trajectory.csv alpha"):
        figures.write(suite, tmp_path, tmp_path / "out")
    assert not (tmp_path / "out").exists()
    found = texts(figures.render(suite, tmp_path, partial=True)["alpha"]["svg"])
    assert "arkd (mean of 2)" in found


def test_a_failed_run_is_left_out_of_curves_and_named_in_the_map(tmp_path: Path) -> None:
    suite = suite_of(METHODS)
    rows = [row for row in rows_of(suite) if row["method"] != "akl"]
    save(suite, tmp_path, rows + [failed_row(suite, "akl", seed) for seed in suite.seeds])
    for seed in suite.seeds:
        run = Tree(tmp_path, suite).training(suite.pairs[0].name, "akl", seed)
        (run / "trajectory.csv").unlink()
    drawn = figures.render(suite, tmp_path)
    assert not any("akl" in text for text in texts(drawn["alpha"]["svg"]))
    assert texts(drawn["strategies"]["svg"]).count("failed") == len(suite.test_sets)


def test_figures_without_an_adaptive_method_are_left_out(tmp_path: Path) -> None:
    suite = suite_of(("forward_kl", "reverse_kl"))
    save(suite, tmp_path, rows_of(suite))
    assert list(figures.render(suite, tmp_path)) == ["strategies", "head_tail"]

"""Figures are drawn from the results, whole, and to the same bytes each time."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from simulate import STEPS, failed_row, lose_curves, rows_of, save, suite_of

from arkd import curves, figures
from arkd.curves import Curves
from arkd.errors import ArkdError
from arkd.layout import Builder
from arkd.suite import load_suite

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


def panels_of(figure: Figure) -> dict[str, Axes]:
    """Return the panels of a figure by title, the two lines of a title joined."""
    return {axis.get_title().replace("\n", " "): axis for axis in figure.axes if axis.get_title()}


def test_alpha_has_a_panel_for_each_arm_and_none_for_constants(tmp_path: Path) -> None:
    suite = suite_of((*METHODS, "fixed_mix", "sft", "arkd@baseline=teacher,seeds=2", "linear_dec"))
    save(suite, tmp_path, rows_of(suite))
    figure = figures.alpha(Builder(suite, tmp_path))
    assert figure is not None
    assert list(panels_of(figure)) == [
        *("greedy_min 3 seeds", "akl 3 seeds", "arkd 3 seeds", "arkd baseline=teacher, 2 seeds"),
        "linear_dec 3 seeds",
    ]
    assert [text.get_text() for text in figure.legends[0].get_texts()][-1] == "paper, Figure 5"


def test_alpha_draws_the_logged_values_smoothed(tmp_path: Path) -> None:
    suite = suite_of(("arkd",))
    save(suite, tmp_path, rows_of(suite))
    figure = figures.alpha(Builder(suite, tmp_path))
    assert figure is not None
    paper, *seeds, mean = panels_of(figure)["arkd 3 seeds"].get_lines()
    assert len(seeds) == 3
    share = np.linspace(0, 1, STEPS)
    logged = 0.5 + 0.2 * share  # what simulate logs; a moving average of a line is that line
    for line in (*seeds, mean):
        assert np.asarray(line.get_xdata()) == pytest.approx(share)
        assert np.asarray(line.get_ydata())[1:-1] == pytest.approx(logged[1:-1])
    drawn = np.asarray(paper.get_xydata())
    assert drawn[0] == pytest.approx((0, 0.5))
    assert drawn[-1] == pytest.approx((1, 0.175))


def test_a_choice_between_two_is_drawn_as_the_share_that_chose_forward(tmp_path: Path) -> None:
    suite = suite_of(("greedy_min",))
    save(suite, tmp_path, rows_of(suite))
    make = Builder(suite, tmp_path)
    figure = figures.alpha(make)
    assert figure is not None
    (axis,) = panels_of(figure).values()
    (filled,) = axis.collections
    heights = np.asarray(filled.get_paths()[0].vertices)[:, 1]
    seeds = Curves(make).of(suite.pairs[0].name, "greedy_min", "alpha").values()
    chosen = sum(np.asarray(series) for series in seeds) / 3
    assert set(np.round(heights, 6)) == {0.0, *np.round(chosen, 6)}
    assert len(axis.get_lines()) == 2  # the paper's and the mean


def test_a_policys_mean_is_drawn_where_the_action_is_a_coin(tmp_path: Path) -> None:
    suite = suite_of(("arkd_code",))
    save(suite, tmp_path, rows_of(suite))
    figure = figures.alpha(Builder(suite, tmp_path))
    assert figure is not None
    (axis,) = panels_of(figure).values()
    for line in axis.get_lines()[1:]:
        assert np.asarray(line.get_ydata()) == pytest.approx(0.5)


def test_smoothing_is_a_centred_mean_over_a_twentieth() -> None:
    series = pd.Series(np.arange(100.0) ** 2)
    smooth = curves.rolled(series).to_numpy()
    assert smooth[50] == pytest.approx(np.mean(np.arange(48.0, 53.0) ** 2))
    assert smooth[0] == pytest.approx((0 + 1 + 4) / 3)


@pytest.mark.parametrize("count", [9, 52])
def test_figures_of_many_rows_name_each_row_once(tmp_path: Path, count: int) -> None:
    suite = load_suite("longtail-full")
    suite = suite.model_copy(update={"methods": suite.methods[:count]})
    save(suite, tmp_path, rows_of(suite))
    drawn = figures.build(suite, tmp_path)
    labels = [entry.label for entry in suite.entries]
    named = [text.get_text() for text in drawn["strategies"].axes[0].get_yticklabels()]
    assert named == labels
    inches = drawn["strategies"].get_size_inches()[1] / len(labels)
    assert inches > 0.2  # a line of text is 9 points, 0.125 inches
    legend = drawn["head_tail"].axes[0].get_legend()
    assert legend is not None
    shown = [text.get_text() for text in legend.get_texts()]
    assert shown == ["init", *(x for x in labels if count == 9 or "@" not in x)]
    assert drawn["head_tail"].get_size_inches()[1] / len(shown) > 0.17


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
    lose_curves(tmp_path, suite, "arkd", 2)
    with pytest.raises(ArkdError, match=r"arkd/seed2 \(trajectories.csv alpha"):
        figures.write(suite, tmp_path, tmp_path / "out")
    assert not (tmp_path / "out").exists()
    drawn = figures.build(suite, tmp_path, partial=True)
    assert "arkd 2 seeds" in panels_of(drawn["alpha"])


def test_a_failed_run_is_left_out_of_curves_and_named_in_the_map(tmp_path: Path) -> None:
    suite = suite_of(METHODS)
    rows = [row for row in rows_of(suite) if row["method"] != "akl"]
    # What a run logged before it failed is still there.
    save(suite, tmp_path, rows + [failed_row(suite, "akl", seed) for seed in suite.seeds])
    drawn = figures.render(suite, tmp_path)
    assert not any("akl" in text for text in texts(drawn["alpha"]["svg"]))
    assert texts(drawn["strategies"]["svg"]).count("failed") == len(suite.test_sets)


def test_figures_without_an_adaptive_method_are_left_out(tmp_path: Path) -> None:
    suite = suite_of(("forward_kl", "reverse_kl"))
    save(suite, tmp_path, rows_of(suite))
    assert list(figures.render(suite, tmp_path)) == ["strategies", "head_tail"]

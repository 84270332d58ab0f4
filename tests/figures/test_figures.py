"""Figures are drawn from the results, whole, and to the same bytes each time."""

from __future__ import annotations

import itertools
import re
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
import yaml
from conftest import ROOT
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.text import Annotation, Text
from matplotlib.transforms import Bbox
from scipy import stats
from simulate import STEPS, failed_row, lose_curves, rows_of, save, suite_of

from arkd.claims.judge import judge
from arkd.errors import ArkdError
from arkd.figures import build as figures
from arkd.figures import forest as claim_figures
from arkd.figures import marks
from arkd.figures import style as plotting
from arkd.figures.chosen import Chosen
from arkd.paths import benchmarks_dir
from arkd.report.figures import captions
from arkd.results import trajectories as curves
from arkd.results.trajectories import Curves
from arkd.suite import registry
from arkd.suite.load import load_suite
from arkd.suite.suite import Suite
from arkd.tables.builder import Builder

METHODS = ("forward_kl", "reverse_kl", "greedy_min", "akl", "arkd")
NAMES = [
    *(
        "effects",
        "seeds",
        "strategies",
        "strategies_jsd",
        "alpha",
        "alphas",
    ),
    *("dynamics", "head_tail", "tail", "ranks", "recall", "reliability", "published"),
    # simulated controls fail the claims' precondition
]


def texts(svg: bytes) -> list[str]:
    """Return all text of an SVG file; fails if it is not well-formed."""
    return [
        "".join(element.itertext()).strip()
        for element in ElementTree.fromstring(svg).iter("{http://www.w3.org/2000/svg}text")
    ]


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """The files of a suite's figures."""
    root = tmp_path_factory.mktemp("results")
    suite = suite_of(METHODS)
    save(suite, root, rows_of(suite))
    return figures.write(suite, root, root / "figures")


@pytest.fixture(scope="module")
def drawn(written: list[Path]) -> dict[str, bytes]:
    """The SVG of each figure by name."""
    return {path.stem: path.read_bytes() for path in written if path.suffix == ".svg"}


def test_files_are_svg_png_and_pdf(written: list[Path]) -> None:
    assert [p.name for p in written] == [f"{n}.{s}" for n in NAMES for s in ("svg", "png", "pdf")]
    heads = {"svg": b"<?xml", "png": b"\x89PNG\r\n\x1a\n", "pdf": b"%PDF-"}
    for path in written:
        assert path.read_bytes().startswith(heads[path.suffix[1:]]), path


def test_files_are_the_same_twice_whatever_a_matplotlibrc_or_a_list_of_fonts_says(
    written: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    suite = suite_of(METHODS)
    save(suite, tmp_path, rows_of(suite))
    another = Path(mpl.get_data_path(), "fonts", "ttf", "cmr10.ttf")
    fonts = [mpl.font_manager.FontEntry(fname=str(another), name="DejaVu Sans")]
    monkeypatch.setattr(mpl.font_manager.fontManager, "ttflist", fonts)
    with mpl.rc_context({"lines.linewidth": 9, "axes.grid": True, "font.family": "serif"}):
        again = figures.write(suite, tmp_path, tmp_path / "figures")
    assert [p.name for p in again] == [p.name for p in written]
    for first, second in zip(written, again, strict=True):
        assert first.read_bytes() == second.read_bytes(), first.name


def test_the_page_on_tables_lists_every_figure_in_order() -> None:
    text = (ROOT / "docs" / "tables.md").read_text(encoding="utf-8")
    table = text.partition("| figure | what it shows |\n")[2].partition("\n\n")[0]
    named = re.findall(r"^\| `(\w+)` \| \w", table, re.M)
    assert named == [*figures.FIGURES, figures.FOREST]


def test_svg_is_well_formed_and_undated(drawn: dict[str, bytes]) -> None:
    assert list(drawn) == NAMES
    for svg in drawn.values():
        assert texts(svg)
        assert b"<dc:date>" not in svg


def panels_of(figure: Figure) -> dict[str, Axes]:
    """Return the panels of a figure by title, the two lines of a title joined."""
    return {axis.get_title().replace("\n", " "): axis for axis in figure.axes if axis.get_title()}


def test_alphas_have_a_panel_for_each_arm_and_none_for_constants(tmp_path: Path) -> None:
    suite = suite_of((*METHODS, "fixed_mix", "sft", "arkd@baseline=teacher,seeds=2", "linear_dec"))
    save(suite, tmp_path, rows_of(suite))
    figure = figures.alphas(Builder(suite, tmp_path))
    assert figure is not None
    assert list(panels_of(figure)) == [
        *("greedy_min 3 seeds", "akl 3 seeds", "arkd 3 seeds", "arkd baseline=teacher, 2 seeds"),
        "linear_dec 3 seeds",
    ]
    assert [text.get_text() for text in figure.legends[0].get_texts()][-1] == "paper, Figure 5"


def test_alphas_draw_the_logged_values_smoothed(tmp_path: Path) -> None:
    suite = suite_of(("arkd",))
    save(suite, tmp_path, rows_of(suite))
    figure = figures.alphas(Builder(suite, tmp_path))
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
    figure = figures.alphas(make)
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
    figure = figures.alphas(Builder(suite, tmp_path))
    assert figure is not None
    (axis,) = panels_of(figure).values()
    for line in axis.get_lines()[1:]:
        assert np.asarray(line.get_ydata()) == pytest.approx(0.5)


def test_smoothing_is_a_centred_mean_over_a_twentieth() -> None:
    series = pd.Series(np.arange(100.0) ** 2)
    smooth = curves.rolled(series).to_numpy()
    assert smooth[50] == pytest.approx(np.mean(np.arange(48.0, 53.0) ** 2))
    assert smooth[0] == pytest.approx((0 + 1 + 4) / 3)


def test_a_missing_trajectory_is_named(tmp_path: Path) -> None:
    suite = suite_of(METHODS)
    save(suite, tmp_path, rows_of(suite))
    lose_curves(tmp_path, suite, "arkd", 2)
    with pytest.raises(ArkdError, match=r"arkd/seed2 \(trajectories.csv alpha"):
        figures.write(suite, tmp_path, tmp_path / "out")
    assert not (tmp_path / "out").exists()
    drawn = figures.build(suite, tmp_path, partial=True)
    assert "arkd 2 seeds" in panels_of(drawn["alphas"])


def test_a_failed_run_is_left_out_of_curves_and_named_beside_the_others(tmp_path: Path) -> None:
    suite = suite_of(METHODS)
    rows = [row for row in rows_of(suite) if row["method"] != "akl"]
    # What a run logged before it failed is still there.
    save(suite, tmp_path, rows + [failed_row(suite, "akl", seed) for seed in suite.seeds])
    drawn = figures.render(suite, tmp_path)
    assert not any("akl" in text for text in texts(drawn["alphas"]["svg"]))
    assert texts(drawn["strategies"]["svg"]).count("failed") == len(suite.test_sets)


def test_figures_without_an_adaptive_method_are_left_out(tmp_path: Path) -> None:
    suite = suite_of(("forward_kl", "reverse_kl"))
    save(suite, tmp_path, rows_of(suite))
    absent = {"alpha", "alphas", "dynamics", "published"}
    assert list(figures.render(suite, tmp_path)) == [n for n in NAMES if n not in absent]


REFERENCE = ROOT / "results" / "reference" / "1.0"
GROUPS_OF_HEAD = {"rank_1", "rank_2_10"}


def kept_suite(name: str) -> Suite:
    """A suite with the rows that its reference results have."""
    path = REFERENCE / name / "records.csv"
    frame = pd.read_csv(path, usecols=["method", "suite_version"], dtype=str)
    suite = load_suite(name)
    assert set(frame["suite_version"]) == {suite.version}
    there = set(frame["method"])
    return suite.model_copy(update={"methods": tuple(m for m in suite.methods if m.label in there)})


WHOLE = pytest.param("longtail-full", marks=pytest.mark.heavy)  # 53 rows, drawn again and again


@pytest.fixture(scope="module", params=["longtail", WHOLE])
def kept(request: pytest.FixtureRequest) -> tuple[Suite, pd.DataFrame, dict[str, Figure]]:
    """A reference suite, its records read anew, and its figures."""
    suite = kept_suite(request.param)
    path = REFERENCE / suite.name / "records.csv"
    text = {"decode_seed": str, **dict.fromkeys(("method", "task", "metric", "group"), "category")}
    frame = pd.read_csv(path, dtype=text, keep_default_na=False)
    return suite, frame, figures.build(suite, REFERENCE, partial=True)


def by_seed(frame: pd.DataFrame, row: str, task: str, metric: str, group: str = "") -> pd.Series:
    """A row's values by training seed, decoding seeds averaged."""
    at = (frame["method"] == row) & (frame["task"] == task) & (frame["metric"] == metric)
    own = frame[at & (frame["group"] == group)]
    return own.assign(value=own["value"].astype(float)).groupby("seed")["value"].mean()


def t_interval(values: pd.Series) -> tuple[float, float]:
    """The 95 % t interval, by scipy; of values without spread a point, for which scipy has NaN."""
    if values.nunique() == 1:
        return float(values.iloc[0]), float(values.iloc[0])
    found = stats.t.interval(0.95, len(values) - 1, values.mean(), stats.sem(values))
    return float(found[0]), float(found[1])


def titled(figure: Figure, title: str) -> Axes:
    return next(axis for axis in figure.axes if axis.get_title() == title)


def points_of(axis: Axes) -> dict[str, tuple[float, float]]:
    """The labelled points of an axis."""
    return {
        str(line.get_label()): (float(line.get_xdata()[0]), float(line.get_ydata()[0]))  # type: ignore[index,arg-type]
        for line in axis.get_lines()
        if not str(line.get_label()).startswith("_")
    }


def segments(axis: Axes) -> list[tuple[float, ...]]:
    """The horizontal and vertical lines of two points, as x, x, y, y."""
    lines = [line.get_xydata() for line in axis.get_lines() if len(line.get_xdata()) == 2]  # type: ignore[arg-type]
    return [(*np.asarray(xy)[:, 0], *np.asarray(xy)[:, 1]) for xy in lines]


def named_points(axis: Axes) -> dict[str, tuple[float, float]]:
    """The points that a label in the column beside the axes leads to."""
    notes = [text for text in axis.texts if isinstance(text, Annotation)]
    return {note.get_text(): (float(note.xy[0]), float(note.xy[1])) for note in notes}


Kept = tuple[Suite, pd.DataFrame, dict[str, Figure]]


def paired_bar(row: pd.Series, base: pd.Series) -> tuple[float, float]:
    """The t interval of row less base within seed, laid on the mean of base."""
    low, high = t_interval((row - base).dropna())
    return base.mean() + low, base.mean() + high


def test_strategies_draw_means_and_paired_intervals_of_the_records(kept: Kept) -> None:
    suite, frame, drawn = kept
    for task in suite.test_sets:
        axis = titled(drawn["strategies"], task.removeprefix("longtail_"))
        shown = points_of(axis)
        names = [text.get_text() for text in drawn["strategies"].axes[0].get_yticklabels()]
        assert list(shown) == names
        bars = {round(y, 6): (low, high) for low, high, y, _ in segments(axis) if low != high}
        base = by_seed(frame, "forward_kl", task, "rouge_l")
        (dotted,) = [line for line in axis.get_lines() if line.get_linestyle() == ":"]
        assert np.asarray(dotted.get_xdata()) == pytest.approx(base.mean())
        for row, (x, y) in shown.items():
            values = by_seed(frame, row, task, "rouge_l")
            assert x == pytest.approx(values.mean())
            if row == "forward_kl":
                assert round(y, 6) not in bars
            else:
                assert bars[round(y, 6)] == pytest.approx(paired_bar(values, base))


def test_strategies_differ_in_alpha_alone(kept: Kept) -> None:
    suite, _, drawn = kept
    shown = list(points_of(drawn["strategies"].axes[0]))
    assert {"forward_kl", "reverse_kl", "greedy_min", "arkd"} <= set(shown)
    assert not [row for row in shown if suite.entry(row).changes]
    assert not {"sft", "seqkd", "contrastive", "jsd"} & set(shown)
    if suite.name == "longtail-full":  # the constants stand by their α
        constant = ["forward_kl", "fixed_mix@alpha=0.75", "fixed_mix", "fixed_mix@alpha=0.25"]
        assert shown[:5] == [*constant, "reverse_kl"]


def test_seeds_show_every_seed_and_the_mean(kept: Kept) -> None:
    suite, frame, drawn = kept
    inside, *outside = suite.test_sets
    for title, quantities in {
        "JSD to the teacher": [("fidelity_gold", "jsd")],
        "ROUGE-L in distribution": [(inside, "rouge_l")],
        "ROUGE-L out of distribution": [(task, "rouge_l") for task in outside],
    }.items():
        axis = titled(drawn["seeds"], title)
        lines = {str(line.get_label()): line for line in axis.get_lines()}
        assert {m.label for m in suite.methods} == {n for n in lines if not n.startswith("_")}
        for row in ("arkd", "forward_kl"):
            parts = [by_seed(frame, row, *quantity) for quantity in quantities]
            values = sum(parts[1:], parts[0]) / len(parts)
            assert np.asarray(lines[row].get_xdata()) == pytest.approx(values.to_numpy())
            assert len(values) == len(suite.seeds)
            low, high = t_interval(values)
            assert any(at[:2] == pytest.approx((low, high)) for at in segments(axis))


def test_effects_are_paired_differences_to_forward_kl(kept: Kept) -> None:
    suite, frame, drawn = kept
    inside, *outside = suite.test_sets
    measures = {
        "ROUGE-L": [(inside, "rouge_l", "")],
        "ROUGE-L, other sets": [(task, "rouge_l", "") for task in outside],
        "JSD to the teacher": [("fidelity_gold", "jsd", "")],
        "error, tail facts": [("truth", "truth_error", "certain_tail")],
    }
    assert [axis.get_title() for axis in drawn["effects"].axes] == list(measures)
    names = [text.get_text() for text in drawn["effects"].axes[0].get_yticklabels()]
    for title, quantities in measures.items():
        axis = titled(drawn["effects"], title)
        shown = points_of(axis)
        assert {"arkd", "reverse_kl", "sft"} <= set(shown)
        assert "forward_kl" not in shown
        bars = {y: (low, high) for low, high, y, _ in segments(axis) if low != high}
        for row, (x, y) in shown.items():
            parts = [by_seed(frame, row, *q) - by_seed(frame, "forward_kl", *q) for q in quantities]
            differences = sum(parts[1:], parts[0]) / len(parts)
            low, high = t_interval(differences)
            assert names[int(y)] == row
            assert x == pytest.approx(differences.mean())
            assert bars[y] == pytest.approx((low, high))
            (point,) = [line for line in axis.get_lines() if line.get_label() == row]
            (bar,) = [line for line in axis.get_lines() if [*line.get_ydata()] == [y, y]]
            decided = low > 0 or high < 0
            assert (bar.get_linewidth() > 2) == decided, (title, row)
            assert (point.get_markersize() > 5) == decided, (title, row)
    order = [*points_of(titled(drawn["effects"], "JSD to the teacher"))]
    means = {row: by_seed(frame, row, "fidelity_gold", "jsd").mean() for row in order}
    assert order == sorted(order, key=lambda row: means[row])


def test_seeds_are_in_the_order_of_jsd(kept: Kept) -> None:
    suite, frame, drawn = kept
    axis = titled(drawn["seeds"], "JSD to the teacher")
    means = {m.label: by_seed(frame, m.label, "fidelity_gold", "jsd").mean() for m in suite.methods}
    shown = [text.get_text() for text in axis.get_yticklabels()]
    assert shown == sorted(means, key=lambda row: means[row])


def test_head_and_tail_are_shares_of_the_gap(kept: Kept) -> None:
    suite, frame, drawn = kept
    whole, part = drawn["head_tail"].axes
    shown = named_points(whole) | named_points(part)
    assert shown["teacher"] == pytest.approx((1, 1))
    assert shown["init"] == pytest.approx((0, 0))
    errors = frame[(frame["task"] == "fidelity_gold") & (frame["metric"] == "abs_gap")]
    head = errors["group"].isin(GROUPS_OF_HEAD)
    sums = {
        name: own.assign(value=own["value"].astype(float))
        .groupby(["method", "seed"])["value"]
        .sum()
        for name, own in (("head", errors[head]), ("tail", errors[~head]))
    }
    for row in ("arkd", "greedy_min", "reverse_kl"):
        # The teacher's error is 0: what is closed is 1 less the share of the start's error left.
        x, y = ((1 - sums[part][row] / sums[part]["init"]).mean() for part in ("head", "tail"))
        assert shown[row] == pytest.approx((x, y), abs=1e-6)
    assert len(shown) == 8  # names a figure, whatever the suite has
    grey = [p for p in part.get_lines() if p.get_marker() == "."]
    assert len(shown.keys() - {"teacher", "init"}) == 6
    assert len(grey) == len(suite.methods) - 6  # those with a name have their mark on both sides


def test_the_tail_plane_shows_recall_and_precision(kept: Kept) -> None:
    _, frame, drawn = kept
    whole, part = drawn["tail"].axes
    shown = named_points(whole) | named_points(part)
    for row in ("teacher", "untrained", "init", "arkd", "forward_kl"):
        recall, precision = (
            by_seed(frame, row, "fidelity_gold", metric)
            for metric in ("tail_recall", "tail_precision")
        )
        assert shown[row] == pytest.approx((recall.mean(), precision.mean()))
        if row == "arkd":
            crossed = [*segments(part), *segments(whole)]
            level = (precision.mean(), precision.mean())
            assert any(at == pytest.approx((*t_interval(recall), *level)) for at in crossed)
            level = (recall.mean(), recall.mean())
            assert any(at == pytest.approx((*level, *t_interval(precision))) for at in crossed)


def test_ranks_draw_the_error_of_each_bin(kept: Kept) -> None:
    _, frame, drawn = kept
    axis = titled(drawn["ranks"], "ranks 2–10")
    values = by_seed(frame, "arkd", "fidelity_gold", "abs_gap", "rank_2_10")
    base = by_seed(frame, "forward_kl", "fidelity_gold", "abs_gap", "rank_2_10")
    assert points_of(axis)["arkd"][0] == pytest.approx(values.mean())
    assert any(at[:2] == pytest.approx(paired_bar(values, base)) for at in segments(axis))
    assert "init" in points_of(axis)


def test_recall_draws_the_share_right_of_each_band(kept: Kept) -> None:
    _, frame, drawn = kept
    for band in ("head", "torso", "tail"):
        for title, quantity in {
            f"{band}, recalled": ("truth", "truth_accuracy", f"certain_{band}"),
            f"{band}, chosen": (f"longtail_mc_{band}", "acc", ""),
        }.items():
            axis = titled(drawn["recall"], title)
            base = by_seed(frame, "forward_kl", *quantity)
            for row in ("arkd", "sft", "init", "teacher"):
                values = by_seed(frame, row, *quantity)
                assert points_of(axis)[row][0] == pytest.approx(values.mean())
                if row != "teacher":
                    found = [at[:2] for at in segments(axis) if at[2] == points_of(axis)[row][1]]
                    assert any(at == pytest.approx(paired_bar(values, base)) for at in found)


def test_reliability_draws_the_entropy_of_belief_on_that_of_the_truth(kept: Kept) -> None:
    _, frame, drawn = kept
    # Two answers of probabilities p and 1 − p, and one that is certain.
    truths = {"certain": 0.0} | {
        f"ratio{round(100 * p)}": float(stats.entropy([p, 1 - p])) for p in (0.5, 0.7, 0.9)
    }
    axis = titled(drawn["reliability"], "arkd")
    line = next(line for line in axis.get_lines() if line.get_label() == "arkd")
    expected = []
    for kind, truth in truths.items():
        belief = truth + by_seed(frame, "arkd", "truth", "truth_entropy_gap", kind)
        expected.append((truth, belief.mean()))
        assert any(
            at == pytest.approx((truth, truth, *t_interval(belief))) for at in segments(axis)
        )
    assert np.asarray(line.get_xydata()) == pytest.approx(np.array(sorted(expected)))


def test_published_ranks_stand_beside_those_of_the_records(kept: Kept) -> None:
    suite, frame, drawn = kept
    printed = pd.read_csv(benchmarks_dir() / "published" / "arkd.csv")
    printed = printed[(printed["metric"] == "rouge_l") & (printed["provenance"] == "read")]
    inside, *outside = suite.test_sets
    for title, sets, tasks in (
        ("ROUGE-L in distribution", ["dolly"], [inside]),
        ("ROUGE-L out of distribution", ["selfinst", "vicuna", "sni", "unni"], outside),
    ):
        axis = titled(drawn["published"], title)
        lines = {str(line.get_label()): line for line in axis.get_lines()}
        rows = sorted(name for name in lines if not name.startswith("_"))
        assert rows == ["arkd", "fixed_mix", "forward_kl", "reverse_kl", "seqkd", "sft"]
        columns = []
        for pair in ("gpt2-1.5B-120M", "gpt2-1.5B-340M", "llama-13B-7B"):
            its = printed[(printed["pair"] == pair) & printed["dataset"].isin(sets)]
            once = its.drop_duplicates(["method", "dataset"]).groupby("method")["value"].mean()
            columns.append(once[rows].rank(ascending=False))
        by_row = {row: sum(by_seed(frame, row, task, "rouge_l") for task in tasks) for row in rows}
        here = pd.Series({row: values.mean() for row, values in by_row.items()})
        columns.append(here.rank(ascending=False))
        single = pd.DataFrame(by_row).rank(axis=1, ascending=False)
        for row in rows:
            assert list(lines[row].get_ydata()) == [column[row] for column in columns]  # type: ignore[arg-type]
            ends = (single[row].min(), single[row].max())
            assert any(at[0] == at[1] and at[2:] == ends for at in segments(axis)), row
        tau = stats.kendalltau(columns[0], columns[-1]).statistic
        assert f"τ = {tau:.2f}" in axis.get_xticklabels()[0].get_text()


def test_dynamics_draw_the_logged_means_of_each_method(kept: Kept) -> None:
    suite, _, drawn = kept
    frame = pd.read_csv(REFERENCE / suite.name / "trajectories.csv")
    loss, alpha = (titled(drawn["dynamics"], title) for title in (
        "loss (nats per token)", "α, weight of forward KL"))  # fmt: skip
    for axis, column in ((loss, "loss"), (alpha, "alpha")):
        for row in ("arkd", "reverse_kl"):
            line = next(line for line in axis.get_lines() if line.get_label() == row)
            its = frame[frame["method"] == row].groupby("window", sort=True)[column].mean()
            middle = its.rolling(5, center=True).mean().to_numpy()[2:-2]
            assert np.asarray(line.get_ydata())[2:-2] == pytest.approx(middle)
    assert 4 < len(points_of(loss)) <= 8


def kinds_of(axis: Axes) -> dict[str, tuple[Any, ...]]:
    """Colour, shape and filling of each labelled point or line."""
    return {
        str(line.get_label()): (
            line.get_color(), line.get_marker(), line.get_fillstyle(),
            line.get_markerfacecolor() == "white",
        )
        for line in axis.get_lines()
        if not str(line.get_label()).startswith("_") and line.get_marker() not in ("None", "x")
    }  # fmt: skip


def test_a_method_has_one_mark_and_colour_in_every_figure(kept: Kept) -> None:
    suite, _, drawn = kept
    rows = {entry.label for entry in suite.entries} | {"teacher", "init", "untrained"}
    found: dict[str, set[tuple[Any, ...]]] = {}
    for name in ("effects", "strategies", "strategies_jsd", "dynamics", "ranks", "recall",
                 "reliability", "published"):  # fmt: skip
        for axis in drawn[name].axes:
            shown = {row: kind for row, kind in kinds_of(axis).items() if row in rows}
            plain = [kind for row, kind in shown.items() if "@" not in row]
            assert len(set(plain)) == len(plain), name
            for row, kind in shown.items():
                found.setdefault(row, set()).add(kind)
    assert len(found) > 8
    for row, kinds in found.items():
        assert len(kinds) == 1, f"{row}: {kinds}"


def test_alpha_has_the_interval_over_seeds(kept: Kept) -> None:
    suite, _, drawn = kept
    frame = pd.read_csv(REFERENCE / suite.name / "trajectories.csv")
    own = frame[frame["method"] == "arkd"].pivot_table(
        index="window", columns="seed", values="alpha", sort=False
    )
    # A centred mean over five windows, away from the ends.
    middle = pd.concat([own.shift(k) for k in range(-2, 3)]).groupby(level=0).mean().loc[50]
    axis = drawn["alpha"].axes[0]
    mean = np.asarray(axis.get_lines()[-1].get_ydata())
    assert mean[50] == pytest.approx(middle.mean())
    (band,) = axis.collections
    ends = {tuple(np.round(v, 9)) for v in np.asarray(band.get_paths()[0].vertices)}
    step = float(np.asarray(axis.get_lines()[-1].get_xdata())[50])
    low, high = t_interval(middle)
    at = sorted(y for x, y in ends if x == pytest.approx(step))
    assert (at[0], at[-1]) == pytest.approx((low, high))
    paper = drawn["alpha"].axes[1].get_lines()[0]  # on an axis of the paper's own steps
    read = pd.read_csv(benchmarks_dir() / "published" / "figure5.csv")
    assert np.asarray(paper.get_xydata()) == pytest.approx(read.to_numpy())


def test_the_forest_shows_what_the_verdicts_hang_on(tmp_path: Path, kept: Kept) -> None:
    suite, _, drawn = kept
    from arkd.claims.registered import load_claims
    from arkd.suite.folders import Tree

    found = judge(Tree(REFERENCE, suite), load_claims(), partial=True)
    expected = {one.claim.id: one for one in found if claim_figures.drawn(one)}
    shown = {
        name: (axis, point)
        for axis in drawn["forest"].axes
        for name, point in points_of(axis).items()
    }
    assert set(shown) == set(expected)
    assert expected
    told = " ".join(text.get_text() for axis in drawn["forest"].axes for text in axis.texts)
    for name, (axis, (x, y)) in shown.items():
        decisive = expected[name].decisive
        assert decisive is not None
        assert x == decisive.effect
        if decisive.low is not None:
            assert (decisive.low, decisive.high, y, y) in segments(axis)
        assert expected[name].verdict in told


def test_the_forests_interval_is_a_t_interval_at_its_level(tmp_path: Path) -> None:
    suite = suite_of(("forward_kl", "reverse_kl", "arkd"))
    scores = {"reverse_kl": 20.0, "forward_kl": 30.0}
    fidelity = {"teacher": 0.0, "untrained": 2.0}  # the claims' precondition

    def level(method: str, task: str, metric: str) -> float:
        return scores.get(method, 25.0) if metric == "rouge_l" else fidelity.get(method, 1.0)

    save(suite, tmp_path, rows_of(suite, level, sd=0.1))
    figure = figures.build(suite, tmp_path)["forest"]
    axis = next(a for a in figure.axes if "X11" in points_of(a))
    frame = pd.read_csv(tmp_path / suite.name / "records.csv", keep_default_na=False)
    a, b = (by_seed(frame, m, "longtail_id", "rouge_l") for m in ("reverse_kl", "forward_kl"))
    x, y = points_of(axis)["X11"]
    assert x == pytest.approx((a - b).mean())  # X11 has one comparison, so its level is 95 %
    assert (*t_interval(a - b), y, y) in [pytest.approx(at) for at in segments(axis)]
    edges = next(
        line.get_xdata()
        for line in axis.get_lines()
        if line.get_marker() == "|" and float(line.get_ydata()[0]) == y  # type: ignore[index,arg-type]
    )
    assert list(np.asarray(edges)) == [0.0]
    words = [t.get_text() for t in axis.texts if isinstance(t, Annotation) and t.xy[1] == y]
    assert words == ["contradicted, 95 %"]  # the only comparison
    assert "every verdict that rests on these runs is provisional: " in figure._supxlabel.get_text()  # type: ignore[attr-defined]


def boxes(figure: Figure, axis: Axes) -> dict[str, Bbox]:
    """The boxes of an axis' drawn texts: labels in the axes, names of rows and numbers of ticks.

    The box of a label is that of its words; the line that leads to its point is left out.
    """
    texts = list(axis.texts)
    for one in (axis.xaxis, axis.yaxis):
        low, high = sorted(one.get_view_interval())
        ticks = [tick for tick in one.get_major_ticks() if low <= tick.get_loc() <= high]
        texts += [tick.label1 for tick in ticks if tick.label1.get_visible()]
    renderer = figure._get_renderer()  # type: ignore[attr-defined]
    return {
        f"{place} {text.get_text()}": Text.get_window_extent(text, renderer)
        for place, text in enumerate(texts)
        if text.get_text()
    }


@pytest.mark.parametrize(
    "name", ["head_tail", "tail", "forest", "strategies", "ranks", "recall", "published"]
)
def test_labels_do_not_overlap(kept: Kept, name: str) -> None:
    figure = kept[2][name]
    with mpl.rc_context(plotting.RC):
        figure.draw_without_rendering()
        found = {
            f"panel {place}: {text}": box
            for place, axis in enumerate(figure.axes)
            for text, box in boxes(figure, axis).items()
        }
    assert len(found) > 15
    for (a, first), (b, second) in itertools.combinations(found.items(), 2):
        assert not first.overlaps(second), f"{a} lies over {b}"
    width, height = figure.get_size_inches() * figure.dpi
    for label, box in found.items():
        assert -1 <= box.x0 <= box.x1 <= width + 1, f"{label} leaves the figure"
        assert -1 <= box.y0 <= box.y1 <= height + 1, f"{label} leaves the figure"


def test_lines_to_labels_do_not_cross(kept: Kept) -> None:
    figure = kept[2]["head_tail"]
    axis = figure.axes[1]
    figure.draw_without_rendering()
    notes = [text for text in axis.texts if isinstance(text, Annotation)]
    assert len(notes) >= 2
    starts = axis.transData.transform([note.xy for note in notes])
    ends = axis.transAxes.transform([note.get_position() for note in notes])
    for i, j in itertools.combinations(range(len(notes)), 2):
        a, b, c, d = starts[i], ends[i], starts[j], ends[j]

        def side(p: Any, q: Any, r: Any) -> float:
            return float((q[0] - p[0]) * (r[1] - p[1]) - (q[1] - p[1]) * (r[0] - p[0]))

        crossing = side(a, b, c) * side(a, b, d) < 0 and side(c, d, a) * side(c, d, b) < 0
        assert not crossing, f"{notes[i].get_text()} and {notes[j].get_text()}"


def test_places_are_spread_by_the_least() -> None:
    assert plotting.spread([0.2, 0.5, 0.9], 0.1) == [0.2, 0.5, 0.9]
    assert plotting.spread([0.2, 0.2, 0.2], 0.1) == pytest.approx([0.2, 0.3, 0.4])
    assert plotting.spread([0.9, 0.95, 1.0], 0.1) == pytest.approx([0.8, 0.9, 1.0])


def test_rows_left_out_are_counted_on_the_figure(kept: Kept) -> None:
    suite, _, drawn = kept
    many = suite.name == "longtail-full"
    for name in ("effects", "ranks", "recall", "reliability"):
        counted = "14 of 52" if name == "effects" else "15 of 53"  # without forward KL, its zero
        rule = f"{counted} rows, those with all 10 seeds and no changed setting"
        note = drawn[name]._supxlabel.get_text() if drawn[name]._supxlabel else ""  # type: ignore[attr-defined]
        assert (rule in note) == many, name


def test_many_rows_keep_their_seeds_apart(kept: Kept) -> None:
    suite, _, drawn = kept
    axis = titled(drawn["seeds"], "JSD to the teacher")
    drawn["seeds"].draw_without_rendering()
    line = axis.get_window_extent().height / drawn["seeds"].dpi / len(suite.methods)
    assert line > 0.13  # inches; a line of text of 9 points is 0.125


def test_no_two_methods_share_mark_and_colour() -> None:
    every = [*registry.names(), "teacher", "init", "untrained"]
    found = [marks.mark(name) for name in every]
    assert len(set(found)) == len(found)
    known = {*marks.METHODS.values(), *marks.CONTROLS.values()}
    assert marks.mark("a_method_of_my_own") not in known


def test_the_usual_methods_are_told_apart_without_colour() -> None:
    usual = [*marks.METHODS][:25]
    assert {"arkd", "sft", "skew_rkl"} <= set(usual)
    found = [(marks.mark(name).marker, marks.mark(name).fill) for name in usual]
    assert len(set(found)) == len(found)


def test_a_changed_row_has_its_methods_mark_half_filled() -> None:
    whole, half = marks.mark("arkd"), marks.mark("arkd@baseline=teacher")
    assert (half.colour, half.marker) == (whole.colour, whole.marker)
    assert half.style()["fillstyle"] == "top"
    ladder = [marks.mark(f"fixed_mix@alpha={alpha}") for alpha in (0.25, 0.75)]
    assert ladder[0] != ladder[1]
    assert whole != half


def test_temperatures_stand_beside_forward_kl_at_the_same_temperature(tmp_path: Path) -> None:
    suite = suite_of(
        ("forward_kl", "arkd", "forward_kl@temperature=1.0,seeds=2", "arkd@temperature=1.0")
    )
    save(suite, tmp_path, rows_of(suite, sd=0.3))
    chosen = Chosen(only=("temperature",))
    figure = figures.build(suite, tmp_path, chosen=chosen)["temperature"]
    frame = pd.read_csv(tmp_path / suite.name / "records.csv", keep_default_na=False)
    upper, lower = figure.axes[0], figure.axes[len(figure.axes) // 2]
    hot, cold = "arkd", "arkd@temperature=1.0"  # the suite's own temperature is 2
    values = {row: by_seed(frame, row, suite.test_sets[0], "rouge_l") for row in (hot, cold)}
    line = next(line for line in upper.get_lines() if line.get_label() == "arkd")
    shared = [values[row].loc[[1, 2]].mean() for row in (cold, hot)]  # the seeds that all rows have
    assert np.asarray(line.get_ydata()) == pytest.approx(shared)
    assert "the 2 seeds that all rows have" in figure._supxlabel.get_text()  # type: ignore[attr-defined]
    for row, base in ((cold, "forward_kl@temperature=1.0"), (hot, "forward_kl")):
        its = values[row] - by_seed(frame, base, suite.test_sets[0], "rouge_l")
        assert len(its.dropna()) == (2 if row == cold else 3)
        ends = t_interval(its.dropna())
        assert any(at[2:] == pytest.approx(ends) for at in segments(lower)), row
    assert "forward_kl" not in points_of(lower)


def test_head_and_tail_are_less_the_even_mix_of_the_same_seed(tmp_path: Path) -> None:
    suite = suite_of(("forward_kl", "reverse_kl", "fixed_mix", "fixed_mix@alpha=0.75", "arkd"))
    save(suite, tmp_path, rows_of(suite, sd=0.3))
    figure = figures.build(suite, tmp_path, chosen=Chosen(only=("trade_off",)))["trade_off"]
    frame = pd.read_csv(tmp_path / suite.name / "records.csv", keep_default_na=False)
    (axis,) = figure.axes  # tail overlap is not recorded here
    facts = ("truth", "truth_error")
    drawn = [np.array(line.get_xydata()) for line in axis.get_lines()]
    means = {}
    for row in ("reverse_kl", "fixed_mix", "fixed_mix@alpha=0.75", "forward_kl", "arkd"):
        its = np.column_stack(
            [
                by_seed(frame, row, *facts, band) - by_seed(frame, "fixed_mix", *facts, band)
                for band in ("certain_head", "certain_tail")
            ]
        )
        assert any(len(xy) == 3 and xy == pytest.approx(its) for xy in drawn), row
        means[row] = its.mean(axis=0)
        assert any(len(xy) == 1 and xy[0] == pytest.approx(means[row]) for xy in drawn), row
    ladder = [*means.values()][:-1]  # in the order of α, and ARKD is none of it
    assert any(len(xy) == 4 and xy == pytest.approx(np.array(ladder)) for xy in drawn)


def test_the_papers_numbers_stand_beside_a_pair_of_the_paper(tmp_path: Path) -> None:
    base = suite_of(("forward_kl", "reverse_kl", "fixed_mix", "arkd"))
    pair = base.pairs[0].model_copy(update={"published": "gpt2-1.5B-120M"})
    sets = ("paper_dolly", "paper_sni", "paper_own")
    suite = base.model_copy(update={"pairs": (pair,), "test_sets": sets})
    save(suite, tmp_path, rows_of(suite))
    figure = figures.build(suite, tmp_path, partial=True)["strategies"]
    expected = {"dolly": [22.9, 23.2, 23.3, 24.5], "sni": [16.6, 17.8, 17.2, 19.1], "own": []}
    for title, values in expected.items():
        lines = titled(figure, title).get_lines()
        crosses = [line.get_xdata()[0] for line in lines if line.get_marker() == "x"]  # type: ignore[index]
        assert crosses == values
    (legend,) = figure.legends
    assert "paper" in [text.get_text() for text in legend.get_texts()]


def test_bertscore_is_drawn_where_it_is_recorded(tmp_path: Path) -> None:
    suite = suite_of(METHODS).model_copy(update={"bertscore": "minilm"})
    rows = rows_of(suite)
    scored = [r | {"metric": "bertscore_minilm", "value": "0.25"} for r in rows
              if r["metric"] == "rouge_l"]  # fmt: skip
    save(suite, tmp_path, rows + scored)
    figure = figures.build(suite, tmp_path)["strategies_bertscore"]
    assert len(figure.axes) == len(suite.test_sets)
    assert points_of(figure.axes[0])["arkd"][0] == pytest.approx(0.25)


def test_one_way_to_choose_alpha_is_compared_with_nothing(tmp_path: Path) -> None:
    suite = suite_of(("contrastive", "arkd"), seeds=(1,))
    save(suite, tmp_path, rows_of(suite))
    assert not {"strategies", "strategies_jsd"} & set(figures.build(suite, tmp_path))


def test_one_seed_and_two_methods_have_no_intervals(tmp_path: Path) -> None:
    suite = suite_of(("fixed_mix", "arkd"), seeds=(1,))
    save(suite, tmp_path, rows_of(suite))
    drawn = figures.build(suite, tmp_path)
    # One seed decides no claim; without forward KL there are no effects; two have no order.
    assert set(drawn) == set(NAMES) - {"effects", "published"}
    for name in ("strategies", "ranks", "head_tail", "tail"):
        for axis in drawn[name].axes:
            upright = [s for s in segments(axis) if s[0] != s[1] and s[2] == s[3]]
            assert not upright, name
    assert list(figures.render(suite, tmp_path)) == list(drawn)


def test_every_figure_has_title_caption_and_text_for_screen_readers() -> None:
    text = captions(load_suite("longtail"))
    assert set(text) == {*figures.FIGURES, "forest"}
    for name, entry in text.items():
        assert set(entry) == {"title", "caption", "alt"}, name
        assert re.fullmatch(r"[^{}]+", " ".join(entry.values())), name
        assert 60 < len(entry["alt"]) < 350, name
    raw = yaml.safe_load((benchmarks_dir() / "captions.yaml").read_text(encoding="utf-8"))
    assert raw.keys() == text.keys()


def assert_titles_are_apart(drawn: dict[str, Figure]) -> None:
    for name in ("alphas", "reliability"):
        figure = drawn[name]
        figure.draw_without_rendering()
        renderer = figure._get_renderer()  # type: ignore[attr-defined]
        titles = [a.title.get_window_extent(renderer) for a in figure.axes if a.get_title()]
        assert len(titles) > 1, name
        for first, second in itertools.combinations(titles, 2):
            assert not first.overlaps(second), name


def test_titles_of_panels_do_not_meet(kept: Kept) -> None:
    assert_titles_are_apart(kept[2])


def test_titles_of_two_changes_do_not_meet() -> None:
    suite = kept_suite("longtail-splits")
    assert_titles_are_apart(figures.build(suite, REFERENCE, partial=True))


def test_every_pair_has_its_panels(tmp_path: Path) -> None:
    base = suite_of(("forward_kl", "reverse_kl", "arkd"))
    second = base.pairs[0].model_copy(update={"name": "second"})
    suite = base.model_copy(update={"pairs": (*base.pairs, second)})
    save(suite, tmp_path, rows_of(suite, sd=0.05))
    for name, figure in figures.build(suite, tmp_path).items():
        titles = " ".join(axis.get_title() for axis in figure.axes)
        titles += " ".join(axis.get_title(loc="left") for axis in figure.axes)
        assert all(pair.name in titles for pair in suite.pairs), name


# Chosen for a paper


@pytest.fixture(scope="module")
def root(written: list[Path]) -> Path:
    return written[0].parents[1]


@pytest.fixture(scope="module")
def paper(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("paper")
    chosen = Chosen(("effects", "ranks"), ("arkd", "forward_kl"), 8.0)
    figures.write(suite_of(METHODS), root, out, chosen=chosen)
    return out


def test_only_what_is_asked_for_is_drawn_at_its_width(paper: Path) -> None:
    assert {path.stem for path in paper.iterdir()} == {"effects", "ranks"}
    for path in paper.glob("*.svg"):
        assert ElementTree.fromstring(path.read_bytes()).attrib["width"] == "576pt"  # eight inches


def test_only_the_rows_asked_for_are_drawn(paper: Path) -> None:
    shown = set(texts((paper / "ranks.svg").read_bytes()))
    assert {"arkd", "forward_kl"} <= shown
    assert not shown & (set(METHODS) - {"arkd", "forward_kl"})


def test_no_font_is_of_type_3(written: list[Path]) -> None:
    """Which IEEE, ACM and arXiv's checks refuse; the type stands in the file as it is."""
    for path in written:
        if path.suffix == ".pdf":
            kinds = set(
                re.findall(rb"/Subtype\s*/(Type3|CIDFontType2|TrueType)\b", path.read_bytes())
            )
            assert b"Type3" not in kinds, path.name
            assert kinds, path.name


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"only": ("efects",)}, r"--only: no figure 'efects' \(did you mean 'effects'\?\)"),
        ({"rows": ("arkt",)}, r"--rows: no row 'arkt' \(did you mean 'arkd'\?\)"),
        (
            {"only": ("effects", "sparse")},
            "--only: suite .* has nothing that sparse would show; .* it has: effects",
        ),
        ({"width": 0.1}, "--width: from 1 to 40 inches, found 0.1"),
        (
            {"only": ("effects",), "width": 1.0},
            "--width: 1 inches .* effects; give",
        ),
        (
            {"only": ("effects", "alpha"), "width": 5.5},
            "--width: 5.5 inches are too few for the words of effects; .* for --only alpha",
        ),
    ],
)
def test_what_cannot_be_drawn_is_refused(
    given: dict[str, Any], message: str, root: Path, tmp_path: Path
) -> None:
    with pytest.raises(ArkdError, match=message):
        figures.write(suite_of(METHODS), root, tmp_path, chosen=Chosen(**given))
    assert list(tmp_path.iterdir()) == []


def test_temperatures_without_a_shared_seed_have_no_means_to_compare(tmp_path: Path) -> None:
    """A mean over one seed beside a mean over another would show the seeds."""
    suite = suite_of(("forward_kl", "forward_kl@temperature=1.0"), seeds=(1, 2))
    lost = [("forward_kl@temperature=1.0", 1), ("forward_kl", 2)]
    rows = [row for row in rows_of(suite) if (row["method"], row["seed"]) not in lost]
    save(suite, tmp_path, rows + [failed_row(suite, *run) for run in lost])
    chosen = Chosen(only=("temperature",))
    figure = figures.build(suite, tmp_path, chosen=chosen)["temperature"]
    (line,) = [line for line in figure.axes[0].get_lines() if line.get_label() == "forward_kl"]
    assert len(np.asarray(line.get_ydata())) == 0
    assert "the 0 seeds that all rows have" in figure._supxlabel.get_text()  # type: ignore[attr-defined]

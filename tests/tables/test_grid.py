"""The table of prefixes, support and divergence: which rows it has, where, and with what values."""

from __future__ import annotations

from pathlib import Path

import pytest
import simulate

from arkd.figures.build import build
from arkd.tables.builder import Builder
from arkd.tables.kinds import grid

PLACES = {
    "reverse_kl": ("gold", "vocabulary", "reverse_kl"),
    "reverse_kl@support=teacher_top_k,support_size=16": (
        *("gold", "teacher's top 16, bucket", "reverse_kl"),
    ),
    "forward_kl@prefixes=teacher": ("teacher", "vocabulary", "forward_kl"),
    "gkd": ("mixed", "vocabulary", "gkd"),
    "jsd@prefixes=mixed,beta=0.25": ("mixed", "vocabulary", "jsd@beta=0.25"),
    "forward_kl@prefixes=student": ("student", "vocabulary", "forward_kl"),
    "opd@estimator=sampled": ("student", "sampled token", "opd"),
}
# Without a teacher, with another setting, or with a loss on two sets at once.
NOWHERE = ("sft", "forward_kl@temperature=4.0", "contrastive")


def level(method: str, task: str, metric: str) -> float:
    """A value that tells row, task and metric apart."""
    return 0.1 + sum(map(ord, method + task + metric)) % 97 / 400


@pytest.fixture
def make(tmp_path: Path) -> Builder:
    suite = simulate.suite_of([*PLACES, *NOWHERE], seeds=(1, 2, 3))
    return Builder(suite, simulate.save(suite, tmp_path, simulate.rows_of(suite, level, sd=0.0)))


def test_each_row_stands_where_its_settings_and_its_method_put_it(make: Builder) -> None:
    table = simulate.laid_out(grid, make)
    assert table.label_columns == ("Prefixes", "Support", "Divergence")
    assert [row.method for row in table.rows] == list(PLACES)
    assert [row.labels for row in table.rows] == list(PLACES.values())


def test_values_are_those_of_the_records(make: Builder) -> None:
    table = simulate.laid_out(grid, make)
    keys = [column.key for column in table.columns]
    inside, *outside = make.suite.test_sets
    for row in table.rows:
        assert row.method is not None
        found = dict(zip(keys, (cell.mean for cell in row.cells), strict=True))
        assert found["rouge_l"] == pytest.approx(level(row.method, inside, "rouge_l"))
        mean = sum(level(row.method, task, "rouge_l") for task in outside) / len(outside)
        assert found["outside"] == pytest.approx(mean)
        for metric in ("jsd", "tail_recall", "tail_precision", "entropy_gap"):
            assert found[metric] == pytest.approx(level(row.method, "fidelity_gold", metric))
        assert found["truth_error"] == pytest.approx(level(row.method, "truth", "truth_error"))
        place = [entry.label for entry in make.suite.entries].index(row.method)
        assert found["train_s"] == pytest.approx(10.2 + place)  # as `simulate` has it


def test_a_suite_whose_rows_set_neither_has_no_grid(tmp_path: Path) -> None:
    suite = simulate.suite_of(["forward_kl", "gkd", "opd"], seeds=(1, 2))
    make = Builder(suite, simulate.save(suite, tmp_path, simulate.rows_of(suite)))
    assert grid.build(make) is None


def test_the_figure_has_a_panel_a_measure_and_a_mark_a_row(tmp_path: Path) -> None:
    suite = simulate.suite_of(list(PLACES), seeds=(1, 2, 3))
    simulate.save(suite, tmp_path, simulate.rows_of(suite, level))
    figure = build(suite, tmp_path, partial=True)["grid"]
    panels = [axis for axis in figure.axes if axis.get_ylabel()]
    assert [axis.get_ylabel() for axis in panels][:2] == [
        "JSD to the teacher (nats)",
        "tail recall",
    ]
    for axis in panels:
        means = {line.get_ydata()[0] for line in axis.lines if len(line.get_ydata()) == 1}
        assert len(means) == len(PLACES)
        ticks = [text.get_text() for text in axis.get_xticklabels()]
        assert ticks == ["gold", "teacher", "mixed", "student"]

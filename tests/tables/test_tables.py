"""Tables show what the records hold: means, intervals, gaps, failures, and bold only if earned."""

from __future__ import annotations

import csv
import math
import re
import statistics
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats
from simulate import cost_rows, failed_row, flat, laid_out, rows_of, save, suite_of

from arkd.audit.tolerance import same_files
from arkd.errors import ArkdError
from arkd.figures import build as figures
from arkd.suite.suite import Suite
from arkd.tables import build as tables
from arkd.tables import write as tabular
from arkd.tables.builder import Builder
from arkd.tables.kinds import tuning
from arkd.tables.table import Cell, Column, Row, Table, best_method

METHODS = ("forward_kl", "reverse_kl", "fixed_mix", "arkd")
ALL = {"summary", "table1", "table2", "table5", "alpha", "tail", "bins", "truth", "recall", "cost"}


def planted(method: str, task: str, metric: str) -> float:
    """Put `arkd` far ahead of the others, on lower-is-better metrics too."""
    lead = 10.0 if method == "arkd" else 0.0
    return 30.0 + (lead if metric == "rouge_l" else -lead)


def built(suite: Suite, root: Path, rows: list[dict[str, Any]], **options: Any) -> dict[str, Table]:
    save(suite, root, rows)
    return {table.name: table for table in tables.build(suite, root, **options)}


def cells_of(table: Table, method: str) -> tuple[Cell, ...]:
    return next(row.cells for row in table.rows if row.method == method)


def read_csv(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


def test_every_table_is_written_in_three_formats(tmp_path: Path) -> None:
    suite = suite_of(METHODS)
    save(suite, tmp_path, rows_of(suite))
    paths = tables.write(suite, tmp_path, tmp_path / "out")
    assert {(path.stem, path.suffix) for path in paths} >= {
        (name, suffix) for name in ALL for suffix in (".csv", ".md", ".tex")
    }
    for path in paths:
        text = path.read_text(encoding="utf-8")
        assert not re.search(r"\bnan\b|\binf\b|\bNone\b", text, re.IGNORECASE), path
        # A row is not compared with itself: the only empty cells there are.
        ranges = r"2–10|11–100|101–1|\| 1–3 \|"  # ranks; seeds of the teacher and of a difference
        assert path.stem in ("alpha", "aggregate") or "–" not in re.sub(ranges, "", text)


def test_means_and_half_widths_are_those_of_the_records(tmp_path: Path) -> None:
    suite = suite_of(METHODS)
    rows = rows_of(suite, sd=1.0)
    save(suite, tmp_path, rows)
    tables.write(suite, tmp_path, tmp_path / "out")
    task = suite.test_sets[1]
    key = f"{task} rouge_l"
    for line in read_csv(tmp_path / "out" / "table2.csv"):
        by_seed: dict[int, list[float]] = {}
        for row in rows:
            if (row["method"], row["task"], row["metric"]) == (line["method"], task, "rouge_l"):
                by_seed.setdefault(row["seed"], []).append(float(row["value"]))
        means = [sum(values) / len(values) for values in by_seed.values()]
        assert float(line[key]) == pytest.approx(sum(means) / len(means), rel=1e-9)
        assert line[f"{key} n"] == str(len(means))
        if line["method"] == "teacher":
            assert line[f"{key} half_width"] == "n/a"
        else:
            half = 4.302652729911275 * statistics.stdev(means) / 3**0.5
            assert float(line[f"{key} half_width"]) == pytest.approx(half, rel=1e-9)


def test_rows_are_controls_then_methods_in_the_suites_order(tmp_path: Path) -> None:
    suite = suite_of(METHODS)
    table = built(suite, tmp_path, rows_of(suite))["table1"]
    assert [row.labels for row in table.rows] == [
        (name,) for name in ("teacher", "untrained", "init", *METHODS)
    ]


def test_a_planted_effect_is_bold_in_both_directions(tmp_path: Path) -> None:
    suite = suite_of(METHODS)
    found = built(suite, tmp_path, rows_of(suite, planted))
    for name in ("table1", "table2", "table5"):
        for row in found[name].rows:
            assert all(cell.bold == (row.method == "arkd") for cell in row.cells), (name, row)
    heads = [column.key for column in found["tail"].columns]
    bold = dict(zip(heads, (c.bold for c in cells_of(found["tail"], "arkd")), strict=True))
    assert bold["fidelity_gold fkl"]
    assert not bold["fidelity_gold tail_mass_ratio"]  # neither direction is better
    assert not bold["fidelity_gold tail_recall"]  # higher is better, and arkd's is lower
    assert "**40." in tabular.to_markdown(found["table1"])
    assert r"\textbf{40." in tabular.to_latex(found["table1"])


def test_a_planted_null_is_not_bold() -> None:
    # 400 columns of 9 methods x 3 seeds without any difference: at most 5 % may be bold.
    draw = np.random.default_rng(11)
    bold = 0
    for _ in range(400):
        values = {f"m{i}": dict(enumerate(draw.normal(30, 1, 3))) for i in range(9)}
        bold += best_method(values, higher=True) is not None
    assert bold <= 0.05 * 400


def test_each_rival_is_compared_on_the_seeds_that_both_have() -> None:
    draw = np.random.default_rng(2)
    base = draw.normal(30, 1, 10)
    best = dict(enumerate(base + 0.8 + draw.normal(0, 0.5, 10)))
    rival = dict(enumerate(base))
    short = {seed: base[seed] - 5 + 0.1 * seed for seed in range(3)}
    values = {"rival": rival, "short": short, "best": best}
    p_long = stats.ttest_rel(list(best.values()), list(rival.values())).pvalue
    p_three = stats.ttest_rel(list(best.values())[:3], list(rival.values())[:3]).pvalue
    p_short = stats.ttest_rel([best[s] for s in range(3)], list(short.values())).pvalue
    # Ten pairs prove the lead over the rival, its first three would not.
    assert max(2 * min(p_long, p_short), max(p_long, p_short)) < 0.05 < p_three
    assert best_method(values, higher=True) == "best"
    negated = {m: {s: -v for s, v in part.items()} for m, part in values.items()}
    assert best_method(negated, higher=False) == "best"
    values["rival"] = {seed: rival[seed] for seed in range(3)}
    assert best_method(values, higher=True) is None


def test_the_best_is_judged_on_the_seeds_that_all_have() -> None:
    # Seeds 4 to 10 are easy: `long` has the better mean of its own, and is worse where both are.
    noise = [0.01, -0.02, 0.03]
    short = {seed: 20.0 + noise[seed] for seed in range(3)}
    long = {seed: 10.0 if seed < 3 else 90.0 for seed in range(10)}
    assert best_method({"long": long, "short": short}, higher=True) == "short"


def test_a_lead_that_turns_on_further_seeds_is_not_bold() -> None:
    # On the three seeds of all rows `a` is ahead; on the ten of `a` and `b` it is far behind.
    a = {seed: (11.0 if seed < 3 else 0.0) + 0.01 * seed for seed in range(10)}
    b = {seed: (10.0 if seed < 3 else 50.0) for seed in range(10)}
    c = {seed: 1.0 - 0.01 * seed for seed in range(3)}
    lead = stats.ttest_rel(list(a.values()), list(b.values()))
    assert lead.pvalue < 0.05
    assert lead.statistic < 0
    assert best_method({"a": a, "b": b, "c": c}, higher=True) is None


def test_fewer_than_three_shared_seeds_prove_nothing() -> None:
    a = {seed: 50.0 + 0.01 * seed for seed in range(10)}
    assert best_method({"a": a, "b": {0: 10.0, 1: 10.1}}, higher=True) is None
    assert best_method({"a": a, "b": {0: 10.0, 1: 10.1, 2: 10.3}}, higher=True) == "a"
    assert best_method({"a": a, "b": {20: 1.0, 21: 1.1, 22: 1.2}}, higher=True) is None


def test_rows_of_unequal_seeds_may_win_and_the_note_says_how(tmp_path: Path) -> None:
    suite = suite_of(
        ("forward_kl", "reverse_kl@seeds=3", "arkd", "arkd@baseline=teacher,seeds=3"),
        seeds=tuple(range(1, 6)),
    )
    rows = rows_of(suite, planted)
    table = built(suite, tmp_path, rows)["table1"]
    assert [tabular.row_texts(table, row)[1] for row in table.rows] == list("1555353")
    assert [row.method for row in table.rows if row.cells[0].bold] == ["arkd"]
    assert "on the seeds that the two share" in table.notes[-1]
    lost = [r for r in rows if (r["method"], r["seed"]) != ("reverse_kl", 3)]
    table = built(suite, tmp_path, lost, partial=True)["table1"]
    assert not any(row.cells[0].bold for row in table.rows)  # rows need to be whole


def test_rows_of_equal_seeds_need_no_note_about_them(tmp_path: Path) -> None:
    suite = suite_of(METHODS)
    for table in built(suite, tmp_path, rows_of(suite)).values():
        assert not any("number of seeds" in note for note in table.notes)
        assert "to 3" not in table.caption


def test_strategies_that_change_more_than_alpha_are_left_out(tmp_path: Path) -> None:
    suite = suite_of(("random_alpha", "arkd@temperature=1.0", "arkd_sampled", "arkd", "jsd"))
    table = built(suite, tmp_path, rows_of(suite))["table5"]
    assert [row.method for row in table.rows] == ["arkd", "arkd_sampled", "random_alpha"]
    assert table.notes[-1] == "Controls, whose α no agent learns during the run: random_alpha."


def test_a_control_is_never_bold(tmp_path: Path) -> None:
    suite = suite_of(METHODS)
    rows = rows_of(suite, lambda method, task, metric: 90.0 if method == "init" else 30.0)
    table = built(suite, tmp_path, rows)["table1"]
    assert not cells_of(table, "init")[0].bold


def test_a_tie_is_not_bold(tmp_path: Path) -> None:
    suite = suite_of(METHODS)
    rows = rows_of(suite, planted)
    twin = {(r["seed"], r["decode_seed"], r["task"], r["metric"], r["group"]): r["value"]
            for r in rows if r["method"] == "arkd"}  # fmt: skip
    for row in rows:
        if row["method"] == "fixed_mix":
            key = (row["seed"], row["decode_seed"], row["task"], row["metric"], row["group"])
            row["value"] = twin[key]
    table = built(suite, tmp_path, rows)["table1"]
    assert not any(cell.bold for row in table.rows for cell in row.cells)
    assert any(note.startswith("Nothing is bold") for note in table.notes)


def test_fewer_than_three_seeds_are_marked(tmp_path: Path) -> None:
    suite = suite_of(METHODS, seeds=(1, 2))
    table = built(suite, tmp_path, rows_of(suite))["table1"]
    texts = [tabular.row_texts(table, row) for row in table.rows]
    assert all(text[1] == ("1" if text[0] == "teacher" else "2") for text in texts)
    assert all(text[-1].endswith("†") for text in texts)
    assert "†" in table.notes[0]
    assert r"$^\dagger$" in tabular.to_latex(table)


def test_a_failed_run_shows_as_failed(tmp_path: Path) -> None:
    suite = suite_of(METHODS)
    rows = [r for r in rows_of(suite, planted) if r["method"] != "reverse_kl"]
    rows += [failed_row(suite, "reverse_kl", seed) for seed in suite.seeds]
    costs = [row for row in cost_rows(suite) if row["method"] != "reverse_kl"]
    save(suite, tmp_path, rows, costs)
    tables.write(suite, tmp_path, tmp_path / "out")
    line = next(r for r in read_csv(tmp_path / "out" / "table1.csv") if r["method"] == "reverse_kl")
    assert list(line.values()) == ["reverse_kl", "failed", "n/a", "0"]
    markdown = (tmp_path / "out" / "table1.md").read_text(encoding="utf-8")
    assert "| reverse_kl | 0 | failed |" in markdown
    assert "**" not in markdown  # nothing is proven against a run that failed


def test_one_failed_seed_stays_visible(tmp_path: Path) -> None:
    suite = suite_of(METHODS)
    rows = [r for r in rows_of(suite) if (r["method"], r["seed"]) != ("arkd", 2)]
    table = built(suite, tmp_path, [*rows, failed_row(suite, "arkd", 2)])["table1"]
    (cell,) = cells_of(table, "arkd")
    assert (cell.n, cell.failed) == (2, 1)
    assert tabular.cell_text(cell, table.columns[0]).endswith("† (1 failed)")


def test_missing_cells_are_named_and_nothing_is_written(tmp_path: Path) -> None:
    suite = suite_of(METHODS)
    rows = [r for r in rows_of(suite) if (r["method"], r["seed"]) != ("reverse_kl", 3)]
    save(suite, tmp_path, rows)
    with pytest.raises(ArkdError, match=r"reverse_kl/seed3 .*--partial") as caught:
        tables.write(suite, tmp_path, tmp_path / "out")
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "out").exists()


def test_partial_tables_show_the_gaps(tmp_path: Path) -> None:
    suite = suite_of(METHODS)
    rows = [r for r in rows_of(suite) if r["method"] != "reverse_kl"]
    table = built(suite, tmp_path, rows, partial=True)["table1"]
    assert tabular.cell_text(cells_of(table, "reverse_kl")[0], table.columns[0]) == "–"
    assert any("partial" in note for note in table.notes)


def test_a_seed_with_a_decoding_missing_is_missing(tmp_path: Path) -> None:
    suite = suite_of(METHODS)
    rows = rows_of(suite)
    lost = next(r for r in rows if r["method"] == "arkd" and r["decode_seed"] == "2")
    with pytest.raises(ArkdError, match=r"1 values are missing: .*arkd/seed1 \(longtail_id"):
        built(suite, tmp_path, [row for row in rows if row is not lost])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"value": "nan"}, "not a finite number"),
        ({"value": "lots"}, "not a finite number"),
        ({"value": ""}, "empty or doubled"),
        ({"suite_version": "0.9"}, "never mix versions"),
    ],
)
def test_bad_records_are_refused(tmp_path: Path, change: dict[str, str], message: str) -> None:
    suite = suite_of(METHODS)
    rows = rows_of(suite)
    rows[7] |= change
    with pytest.raises(ArkdError, match=message):
        built(suite, tmp_path, rows)


def test_a_doubled_record_is_refused(tmp_path: Path) -> None:
    suite = suite_of(METHODS)
    rows = rows_of(suite)
    with pytest.raises(ArkdError, match="empty or doubled"):
        built(suite, tmp_path, [*rows, rows[0]])


def test_strategies_stand_in_the_papers_order(tmp_path: Path) -> None:
    suite = suite_of(("arkd", "sft", "fixed_mix@alpha=0.25", "reverse_kl", "forward_kl"))
    table = built(suite, tmp_path, rows_of(suite))["table5"]
    order = ["forward_kl", "fixed_mix@alpha=0.25", "reverse_kl", "arkd"]
    assert [row.method for row in table.rows] == order
    assert [c.key for c in table.columns][-1] == "fidelity_gold jsd"


def beside_the_paper(*pairs: str, **changes: Any) -> Suite:
    """Return a suite that stands beside pairs of the paper, one of them of ours each."""
    first = suite_of().pairs[0]
    own = [
        first.model_copy(update={"name": name, "published": name.partition("=")[2] or None})
        for name in pairs
    ]
    methods = changes.pop("methods", (*METHODS, "akl"))
    return suite_of(methods, pairs=tuple(own), **{"test_sets": ("dolly", "sni"), **changes})


def bertscores(
    rows: list[dict[str, Any]], encoder: str, value: str = "0.8"
) -> list[dict[str, Any]]:
    return [
        row | {"metric": f"bertscore_{encoder}", "value": value}
        for row in rows
        if row["metric"] == "rouge_l"
    ]


def test_the_papers_numbers_stand_beside_a_published_pair(tmp_path: Path) -> None:
    base = suite_of(METHODS)
    assert all(c.title != "paper" for c in built(base, tmp_path, rows_of(base))["table1"].columns)
    suite = beside_the_paper("own=gpt2-1.5B-120M", test_sets=("x_dolly", "x_sni"))
    found = built(suite, tmp_path, rows_of(suite))
    paper = {row.method: row.cells[1] for row in found["table1"].rows}
    assert paper["arkd"].mean == 24.5
    assert paper["teacher"].mean == 27.1
    assert paper["akl"].word == "n/a"
    head = tabular.to_csv(found["table1"]).splitlines()[0]
    key = "own=gpt2-1.5B-120M x_dolly rouge_l"
    assert head.endswith(f"{key} n,{key} paper,{key} distance")
    assert paper["fixed_mix"].mean == 23.2
    assert [c.title for c in found["table2"].columns] == ["sni ↑", "paper", "Δ"]
    assert [c.title for c in found["table5"].columns][-1] == "JSD (nats) ↓"
    assert cells_of(found["table5"], "fixed_mix")[4].mean == 17.8


def test_the_distance_to_the_paper_is_in_half_widths_of_our_interval(tmp_path: Path) -> None:
    suite = beside_the_paper("own=gpt2-1.5B-120M")
    table = built(suite, tmp_path, rows_of(suite, sd=1.0))["table1"]
    own, paper, distance = cells_of(table, "arkd")
    assert own.mean is not None
    assert own.half is not None
    assert distance.mean == pytest.approx((own.mean - 24.5) / own.half)
    assert paper.half is None
    # One teacher has no interval, akl no printed number.
    assert cells_of(table, "teacher")[2].word == cells_of(table, "akl")[2].word == "–"
    assert "Δ: ours minus the paper's, in half-widths of our 95 % interval" in table.caption
    assert any(note.startswith("'–' under Δ: no printed number, or no") for note in table.notes)
    assert not any("partial" in note for note in table.notes)


def test_a_number_that_the_paper_repeats_is_marked(tmp_path: Path) -> None:
    suite = beside_the_paper("own=gpt2-1.5B-120M", methods=("arkd", "minillm"))
    table = built(suite, tmp_path, rows_of(suite))["table1"]
    texts = {row.method: tabular.row_texts(table, row)[3] for row in table.rows}
    assert (texts["minillm"], texts["arkd"]) == ("24.6‡", "24.5")
    (note,) = [note for note in table.notes if note.startswith("‡")]
    assert "it repeats minillm's (as reported by Gu et al. 2024" in note
    assert r"24.6$^\ddagger$" in tabular.to_latex(table)


def test_bertscore_stands_beside_rouge_and_the_papers_beside_that_of_its_encoder(
    tmp_path: Path,
) -> None:
    suite = beside_the_paper("own=gpt2-1.5B-120M", bertscore="deberta-xlarge-mnli")
    rows = rows_of(suite)
    rows += bertscores(rows, "deberta-xlarge-mnli")
    found = built(suite, tmp_path, rows)
    beside = ["paper", "Δ"]
    titles = [c.title for c in found["table1"].columns]
    assert titles == ["ROUGE-L ↑", *beside, "BERTScore ↑", *beside]
    assert cells_of(found["table1"], "arkd")[4].mean == 0.815
    titles = [c.title for c in found["table2"].columns]
    assert titles == ["sni ↑", *beside, "sni BERTScore ↑", *beside]
    assert cells_of(found["table2"], "arkd")[4].mean == 0.805
    assert cells_of(found["table5"], "reverse_kl")[10].mean == 0.785  # of Figure 7
    assert "with the encoder deberta-xlarge-mnli" in found["table2"].caption


def test_bertscore_of_another_encoder_has_no_column_of_the_paper(tmp_path: Path) -> None:
    suite = beside_the_paper("own=gpt2-1.5B-120M", bertscore="minilm")
    rows = rows_of(suite)
    found = built(suite, tmp_path, rows + bertscores(rows, "minilm"))
    titles = [c.title for c in found["table1"].columns]
    assert titles == ["ROUGE-L ↑", "paper", "Δ", "BERTScore ↑"]
    assert "cannot be compared with that of another encoder" in found["table1"].caption
    plain = suite_of(METHODS, bertscore="minilm")
    rows = rows_of(plain)
    found = built(plain, tmp_path, rows + bertscores(rows, "minilm"))
    assert [c.title for c in found["table1"].columns] == ["ROUGE-L ↑", "BERTScore ↑"]
    assert "paper" not in found["table1"].caption


def test_pairs_with_and_without_a_pair_of_the_paper_share_a_table(tmp_path: Path) -> None:
    suite = beside_the_paper("own", "a=gpt2-1.5B-120M", "b=gpt2-1.5B-340M")
    found = built(suite, tmp_path, rows_of(suite))
    assert [c.title for c in found["table1"].columns] == [
        "own ROUGE-L ↑",
        *("a=gpt2-1.5B-120M ROUGE-L ↑", "paper", "Δ"),
        *("b=gpt2-1.5B-340M ROUGE-L ↑", "paper", "Δ"),
    ]
    assert [cell.mean for cell in cells_of(found["table1"], "arkd")[2::3]] == [24.5, 26.1]
    printed = [r.cells[1].mean for r in found["table2"].rows if r.method == "arkd"]
    assert printed == [None, 19.1, 26.8]


def test_a_pair_that_no_paper_has_is_refused(tmp_path: Path) -> None:
    suite = beside_the_paper("own=gpt2-1.5B-120")
    message = r"pairs\.own=.*\.published: no published pair 'gpt2-1\.5B-120' \(did you mean"
    with pytest.raises(ArkdError, match=message):
        built(suite, tmp_path, rows_of(suite))


def unreferenced(rows: list[dict[str, Any]], task: str) -> list[dict[str, Any]]:
    """Return records with text statistics of every task, and of one with those alone."""
    texts = [r | {"metric": "distinct_2", "higher_is_better": ""} for r in rows
             if r["metric"] == "rouge_l"]  # fmt: skip
    scored = [r for r in rows if r["task"] != task or not r["metric"].startswith(("rouge", "bert"))]
    return scored + texts


def test_a_task_without_references_is_no_gap(tmp_path: Path) -> None:
    suite = beside_the_paper(
        "own=gpt2-1.5B-120M", test_sets=("dolly", "vicuna", "sni"), bertscore="minilm"
    )
    rows = rows_of(suite, sd=1.0)
    rows = unreferenced(rows + bertscores(rows, "minilm"), "vicuna")
    found = built(suite, tmp_path, rows)
    table = found["table2"]
    shown = dict(zip([c.key for c in table.columns], cells_of(table, "arkd"), strict=True))
    for key in ("vicuna rouge_l", "vicuna rouge_l distance", "vicuna bertscore_minilm"):
        assert shown[key].word == "–", key
    assert shown["vicuna rouge_l paper"].mean == 14.5
    assert shown["sni rouge_l"].mean is not None
    assert "'–' under vicuna: no references to compare with." in table.notes
    assert not any("partial" in note for note in table.notes)
    assert any("vicuna: no references" in note for note in found["table5"].notes)
    assert not any(column.key.startswith("vicuna") for column in found["generation"].columns)


def test_means_over_test_sets_leave_out_the_one_without_references(tmp_path: Path) -> None:
    suite = suite_of(METHODS, test_sets=("dolly", "vicuna", "sni"))
    rows = rows_of(suite, lambda method, *_: 90.0 if method == "teacher" else 30.0, sd=1.0)
    found = built(suite, tmp_path, unreferenced(rows, "vicuna"))
    own = suite_of(METHODS, test_sets=("dolly", "sni"))
    rows = [row for row in rows if row["task"] != "vicuna"]
    without = built(own, tmp_path / "own", rows)
    for name in ("generalisation", "aggregate"):
        assert [row.cells for row in found[name].rows] == [row.cells for row in without[name].rows]
    (note,) = [note for note in found["generalisation"].notes if "references" in note]
    assert note == "Without references, hence in no mean: vicuna."
    assert not any("vicuna" in note for note in found["aggregate"].notes)


def test_figures_survive_a_task_without_references(tmp_path: Path) -> None:
    suite = suite_of(METHODS, test_sets=("dolly", "vicuna", "sni"))
    save(suite, tmp_path, unreferenced(rows_of(suite, planted, sd=1.0), "vicuna"))
    drawn = figures.build(suite, tmp_path)
    shown = [axis.get_title() for axis in drawn["strategies"].axes]
    assert shown == ["dolly", "sni"]


def test_missing_scores_of_a_task_with_references_are_a_gap(tmp_path: Path) -> None:
    suite = suite_of(METHODS, test_sets=("dolly", "vicuna", "sni"))
    rows = rows_of(suite)
    scored = [row for row in rows if (row["task"], row["method"]) == ("vicuna", "arkd")]
    with pytest.raises(ArkdError, match=r"forward_kl/seed1 \(vicuna rouge_l"):
        built(suite, tmp_path, unreferenced(rows, "vicuna") + scored)


def test_pairs_are_columns_of_table1_and_rows_of_the_others(tmp_path: Path) -> None:
    first = suite_of(METHODS).pairs[0]
    suite = suite_of(METHODS, pairs=(first, first.model_copy(update={"name": "second"})))
    found = built(suite, tmp_path, rows_of(suite))
    assert [column.key.split()[0] for column in found["table1"].columns] == [first.name, "second"]
    assert len(found["table1"].rows) == 3 + len(METHODS)
    assert found["table2"].label_columns == ("Pair", "Method")
    assert len(found["table2"].rows) == 2 * (3 + len(METHODS))


def test_cost_counts_training_and_leaves_evaluation_out(tmp_path: Path) -> None:
    suite = suite_of(("fixed_mix", "arkd"))
    table = built(suite, tmp_path, rows_of(suite))["cost"]
    values = dict(
        zip([c.key for c in table.columns], cells_of(table, "arkd"), strict=True)
    )  # arkd trains 11 + 0.1 * seed seconds, fixed_mix 10 + 0.1 * seed
    assert values["wall_s"].mean == pytest.approx(16.2)
    assert values["tokens_per_s"].mean == pytest.approx(
        sum(5000 / (11 + 0.1 * seed) for seed in (1, 2, 3)) / 3
    )
    assert values["peak_mib"].mean == pytest.approx(902)
    overhead = sum(100 / (10 + 0.1 * seed) for seed in (1, 2, 3)) / 3
    assert values["overhead_percent"].mean == pytest.approx(overhead)


def test_tuning_shows_each_rate_of_the_suites_methods(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    suite = suite_of(METHODS)
    save(suite, tmp_path, rows_of(suite))
    make = Builder(suite, tmp_path)
    (tmp_path / "tuning").mkdir()
    name = suite.distillation.tuning or suite.name
    (tmp_path / "tuning" / f"{name}.csv").write_text(
        "method,lr,dev_jsd,chosen,shared\narkd,0.001,0.125,1,0\narkd,0.002,0.25,0,1\ngkd,0.002,0.25,1,1\n",
        encoding="utf-8",
    )
    monkeypatch.setattr(tuning, "benchmarks_dir", lambda: tmp_path)
    table = laid_out(tuning, make)
    assert [tabular.row_texts(table, row) for row in table.rows] == [
        ["arkd", "0.001", "0.1250", "yes", "no"],
        ["arkd", "0.002", "0.2500", "no", "yes"],
    ]


def test_latex_escapes_what_latex_would_read() -> None:
    column = Column("k", "a|b & 5 % ↑")
    row = Row(("fixed_mix@x={1}",), (Cell(-0.04, 0.01, 3),), "p", "m")
    table = Table("t", "Title #1", "α ± ~^\\ $", ("Method",), (column,), (row,))
    text = tabular.to_latex(table)
    assert r"fixed\_mix@x=\{1\} & 3 & 0.0 $\pm$ 0.0 \\" in text
    assert r"\shortstack[r]{a\textbar{}b \& 5 \\ \%~$\uparrow$}" in text  # as wide as its cells
    assert (
        r"Title \#1. $\alpha$ $\pm$ \textasciitilde{}\textasciicircum{}\textbackslash{} \$" in text
    )
    assert text.count(r"\begin{") == text.count(r"\end{")


def test_the_same_results_give_the_same_bytes(tmp_path: Path) -> None:
    suite = suite_of(METHODS)
    rows = rows_of(suite, flat, sd=1.0)
    save(suite, tmp_path, rows)
    first = [p.read_bytes() for p in tables.write(suite, tmp_path, tmp_path / "a")]
    save(suite, tmp_path, rows[::-1])
    second = [p.read_bytes() for p in tables.write(suite, tmp_path, tmp_path / "b")]
    assert first == second


def test_neither_order_nor_the_last_bit_of_the_records_changes_a_table(tmp_path: Path) -> None:
    suite, draw = suite_of(METHODS), np.random.default_rng(4)
    rows = rows_of(suite, sd=1.0)
    turned = [rows[place] for place in draw.permutation(len(rows))]
    nudged = [
        row | {"value": repr(math.nextafter(float(row["value"]), draw.choice((-1e9, 1e9))))}
        for row in rows
    ]
    for name, own in (("a", rows), ("b", turned), ("c", nudged)):
        save(suite, tmp_path / name, own)
        tables.write(suite, tmp_path / name, tmp_path / name / "out")
    for path in (tmp_path / "a" / "out").iterdir():
        assert (tmp_path / "b" / "out" / path.name).read_bytes() == path.read_bytes(), path.name
        assert same_files(tmp_path / "c" / "out" / path.name, path), path.name


def test_a_lead_that_is_rounding_alone_is_not_bold() -> None:
    # Six tenths in each seed, added up in two orders: the sums differ by their last bit.
    first = dict.fromkeys((1, 2, 3), 0.1 + 0.2 + 0.3)
    other = dict.fromkeys((1, 2, 3), 0.3 + 0.2 + 0.1)
    assert first != other
    for values in ({"a": first, "b": other}, {"a": other, "b": first}):
        assert best_method(values, higher=True) is None
        assert best_method(values, higher=False) is None

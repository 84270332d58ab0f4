"""The published numbers stand as the paper prints them; every value here was typed by hand."""

from __future__ import annotations

import csv
from collections import Counter

import pytest

from arkd.paths import benchmarks_dir

SMALL, MEDIUM, LLAMA = "gpt2-1.5B-120M", "gpt2-1.5B-340M", "llama-13B-7B"
STUDENTS = ["sft", "seqkd", "forward_kl", "reverse_kl", "fixed_mix", "arkd"]
STRATEGIES = [
    *("forward_kl", "fixed_mix@alpha=0.75", "fixed_mix", "fixed_mix@alpha=0.25", "reverse_kl"),
    *("linear_dec", "linear_inc", "greedy_min", "arkd"),
]


def read(name: str) -> list[dict[str, str]]:
    with (benchmarks_dir() / "published" / name).open(encoding="utf-8", newline="") as lines:
        return list(csv.DictReader(lines))


ROWS = read("arkd.csv")


def column(table: str, pair: str, dataset: str, metric: str, methods: list[str]) -> list[str]:
    found = {
        row["method"]: row["value"]
        for row in ROWS
        if (row["table"], row["pair"], row["dataset"], row["metric"])
        == (table, pair, dataset, metric)
    }
    return [found[method] for method in methods]


def test_each_table_has_as_many_numbers_as_the_paper_prints() -> None:
    # Table 1: 8 methods, 3 pairs, 2 metrics, less 3 BERTScores that MiniLLM's row lacks.
    # Tables 2 and 4: 7 methods, 4 sets, 2 metrics, 3 pairs (one GPT-2 teacher row serves two).
    # Tables 5 and 6: 9 strategies, 2 pairs, 3 ROUGE-L columns; Dolly BERTScores: 9 and 7.
    # Figure 7: 9 strategies, 2 sets.
    assert Counter(row["table"] for row in ROWS) == {
        "1": 8 * 3 * 2 - 3,
        "2 and 4": 7 * 4 * 2 * 3,
        "5 and 6": 9 * 2 * 3 + 9 + 7,
        "figure 7": 9 * 2,
    }


def test_no_number_stands_twice() -> None:
    keys = [(r["table"], r["pair"], r["method"], r["dataset"], r["metric"]) for r in ROWS]
    assert len(set(keys)) == len(keys)


TYPED = {
    ("1", SMALL, "dolly", "rouge_l"): "22.3 21.9 22.9 23.3 23.2 24.5",
    ("1", SMALL, "dolly", "bert_score"): "0.772 0.765 0.781 0.797 0.794 0.815",
    ("1", MEDIUM, "dolly", "rouge_l"): "24.0 24.2 24.9 25.5 25.7 26.1",
    ("1", MEDIUM, "dolly", "bert_score"): "0.793 0.798 0.803 0.813 0.817 0.827",
    ("1", LLAMA, "dolly", "rouge_l"): "26.0 26.6 27.1 28.2 28.3 29.1",
    ("1", LLAMA, "dolly", "bert_score"): "0.810 0.818 0.825 0.844 0.848 0.868",
    ("2 and 4", SMALL, "selfinst", "rouge_l"): "11.9 11.6 12.1 12.5 13.2 13.6",
    ("2 and 4", SMALL, "sni", "rouge_l"): "16.4 16.3 16.6 17.2 17.8 19.1",
    ("2 and 4", SMALL, "unni", "bert_score"): "0.778 0.776 0.783 0.788 0.796 0.808",
    ("2 and 4", MEDIUM, "vicuna", "rouge_l"): "14.4 14.8 15.2 15.4 15.9 16.1",
    ("2 and 4", MEDIUM, "unni", "rouge_l"): "25.7 26.0 26.6 27.1 27.8 28.4",
    ("2 and 4", MEDIUM, "selfinst", "bert_score"): "0.785 0.787 0.793 0.798 0.802 0.808",
    ("2 and 4", LLAMA, "vicuna", "rouge_l"): "17.5 18.1 18.3 18.6 18.9 19.2",
    ("2 and 4", LLAMA, "sni", "rouge_l"): "32.4 33.3 33.8 34.1 34.7 35.5",
    ("2 and 4", LLAMA, "unni", "bert_score"): "0.836 0.839 0.840 0.843 0.846 0.852",
}
TYPED_STRATEGIES = {
    ("5 and 6", SMALL, "dolly", "rouge_l"): "22.9 23.0 23.2 23.5 23.3 23.0 23.0 24.1 24.5",
    ("5 and 6", SMALL, "dolly", "bert_score"): (
        "0.781 0.789 0.794 0.799 0.797 0.785 0.788 0.808 0.815"
    ),
    ("5 and 6", SMALL, "sni", "rouge_l"): "16.6 16.9 17.8 18.0 17.2 17.6 17.5 18.7 19.1",
    ("5 and 6", SMALL, "unni", "rouge_l"): "19.2 19.5 20.3 20.9 19.8 19.6 19.7 21.3 21.9",
    ("5 and 6", MEDIUM, "dolly", "rouge_l"): "24.9 25.1 25.7 25.4 25.5 25.2 25.1 25.9 26.1",
    ("5 and 6", MEDIUM, "sni", "rouge_l"): "25.7 25.9 26.3 26.4 26.1 25.9 26.1 26.6 26.8",
    ("5 and 6", MEDIUM, "unni", "rouge_l"): "26.6 26.9 27.8 28.0 27.1 27.6 27.5 28.1 28.4",
    ("figure 7", SMALL, "sni", "bert_score"): (
        "0.780 0.782 0.793 0.793 0.785 0.791 0.790 0.800 0.805"
    ),
    ("figure 7", SMALL, "unni", "bert_score"): (
        "0.783 0.785 0.796 0.796 0.788 0.794 0.793 0.803 0.808"
    ),
}


@pytest.mark.parametrize("key", TYPED, ids=" ".join)
def test_students_of_the_main_tables(key: tuple[str, str, str, str]) -> None:
    assert column(*key, STUDENTS) == TYPED[key].split()


@pytest.mark.parametrize("key", TYPED_STRATEGIES, ids=" ".join)
def test_strategies_of_alpha(key: tuple[str, str, str, str]) -> None:
    assert column(*key, STRATEGIES) == TYPED_STRATEGIES[key].split()


def test_teachers() -> None:
    assert [column("1", p, "dolly", "rouge_l", ["teacher"])[0] for p in (SMALL, MEDIUM, LLAMA)] == [
        *("27.1", "27.1", "31.3")
    ]
    sets = ("selfinst", "vicuna", "sni", "unni")
    for pair, rouge_l, bert_score in (
        (SMALL, "15.1 16.6 27.2 31.6", "0.810 0.815 0.830 0.835"),
        (MEDIUM, "15.1 16.6 27.2 31.6", "0.810 0.815 0.830 0.835"),
        (LLAMA, "23.2 19.7 36.1 39.0", "0.852 0.848 0.865 0.870"),
    ):
        for metric, typed in (("rouge_l", rouge_l), ("bert_score", bert_score)):
            found = [column("2 and 4", pair, name, metric, ["teacher"])[0] for name in sets]
            assert found == typed.split()


def test_minillm_is_quoted_without_bert_score() -> None:
    rows = [row for row in ROWS if row["method"] == "minillm"]
    assert [(r["pair"], r["metric"], r["value"], r["provenance"]) for r in rows] == [
        (SMALL, "rouge_l", "24.6", "quoted"),
        (MEDIUM, "rouge_l", "25.4", "quoted"),
        (LLAMA, "rouge_l", "29.0", "quoted"),
    ]


def test_the_paper_s_own_inconsistencies_are_kept() -> None:
    assert column("1", SMALL, "dolly", "bert_score", ["teacher"]) == ["0.842"]
    assert column("1", MEDIUM, "dolly", "bert_score", ["teacher"]) == ["0.858"]
    shared = [float(v) for v in column("figure 7", SMALL, "sni", "bert_score", STRATEGIES[2:4])]
    assert shared == [0.793, 0.793]


def test_numbers_that_two_tables_print_agree() -> None:
    seen: dict[tuple[str, str, str, str], set[str]] = {}
    repeated = 0
    for row in ROWS:
        key = (row["pair"], row["method"], row["dataset"], row["metric"])
        repeated += key in seen
        seen.setdefault(key, set()).add(row["value"])
    assert {key: values for key, values in seen.items() if len(values) > 1} == {}
    # ROUGE-L of FKL, RKL, mix, ARKD on three sets and two sizes (24), their Dolly BERTScore (8),
    # and at 120M their BERTScore on S-NI and UnNI (8).
    assert repeated == 40


def test_columns_hold_what_the_readme_says() -> None:
    for row in ROWS:
        assert row["paper"] == "arkd"
        assert row["arxiv"] == "2606.29869"
        assert row["std"] == ""  # the paper reports no spread
        assert row["provenance"] in ("read", "quoted")
        low, high = (10, 40) if row["metric"] == "rouge_l" else (0.7, 0.9)
        assert low <= float(row["value"]) <= high


def test_figure5_moves_forward_and_ends_low() -> None:
    points = [(int(row["step"]), float(row["alpha"])) for row in read("figure5.csv")]
    steps = [step for step, _ in points]
    assert len(points) == 17
    assert steps == sorted(set(steps))
    assert points[0] == (0, 0.50)
    assert points[1] == (200, 0.565)
    assert points[9] == (1950, 0.245)
    assert points[-1] == (4800, 0.175)
    assert all(0.46 <= alpha <= 0.57 for step, alpha in points if step <= 700)
    assert all(0.13 <= alpha <= 0.23 for step, alpha in points if step >= 2800)

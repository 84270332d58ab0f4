"""ROUGE-L of any script: rouge-score's own, bit by bit, on ASCII, and 100 for what is right."""

from __future__ import annotations

import random
import string
from pathlib import Path
from typing import Any

import pytest
from rouge_score.rouge_scorer import RougeScorer

from arkd.errors import ArkdError
from arkd.rouge import ROUGES, readable, rouge_l, words
from arkd.stages.references import check_references
from arkd.storage.files import write_jsonl
from arkd.suite.folders import tree

ANSWERS = [
    "它是红色的。", "色は赤です", "สีแดง", "الكلب أحمر", "Он красный.", "वह लाल है।", "Grün", "Öl",
    "→ ≠ 😀",
    "빨간색 입니다", "naïve cafés", "ø",
]  # fmt: skip


@pytest.mark.parametrize("answer", ANSWERS)
def test_a_right_answer_in_any_script_scores_100(answer: str) -> None:
    assert rouge_l(answer, ["other words", answer], "rouge_l_unicode") == pytest.approx(100.0)
    assert rouge_l("lantern", [answer], "rouge_l_unicode") == 0.0
    assert readable(answer, "rouge_l_unicode")


def test_ascii_scores_are_those_of_rouge_score_bit_by_bit() -> None:
    rng = random.Random(0)
    stock = RougeScorer(["rougeL"], use_stemmer=True)
    pool = ["running", "runs", "It's", "10**7", "The", "a_b", "happily,", "\t", "MILLS", "don't"]
    for _ in range(300):
        pair = []
        for _ in range(2):
            parts = rng.choices(pool, k=6)
            noise = "".join(rng.choices(string.printable, k=9))
            pair.append(" ".join(parts[:3]) + noise + " ".join(parts[3:]))
        expected = 100 * stock.score(*pair)["rougeL"].fmeasure
        for metric in ROUGES:
            assert rouge_l(pair[1], [pair[0]], metric) == expected, pair


def test_of_many_references_the_best_counts_bit_by_bit() -> None:
    rng = random.Random(1)
    stock = RougeScorer(["rougeL"], use_stemmer=True)
    pool = ["red", "lantern", "lanterns", "shining", "shines", "is", "was", "a", "b", "7", "!"]
    for _ in range(50):
        answer, *references = (" ".join(rng.choices(pool, k=rng.randint(0, 9))) for _ in range(30))
        best = stock.score_multi(references, answer)["rougeL"].fmeasure
        for metric in ROUGES:
            assert rouge_l(answer, references, metric) == 100 * best, (answer, references)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("红色 A1!", ["红", "色", "a1"]),
        ("Straße, naïve", ["straße", "naïve"]),
        ("nai\u0308ve", ["naïve"]),  # a letter and its mark, or both in one
        ("สีแดง", ["สี", "แ", "ด", "ง"]),
        ("लाल है", ["लाल", "है"]),
        ("买iPhone15吧", ["买", "iphone15", "吧"]),  # what follows a letter of its own is another
        ("年3月、はい", ["年", "3", "月", "は", "い"]),
        ("x→y", ["x", "→", "y"]),
        ("+ - !?", []),
    ],
)
def test_words(text: str, expected: list[str]) -> None:
    assert list(words(text)) == expected
    assert readable(text, "rouge_l_unicode") == bool(expected)


def suite_of(folder: Path, references: list[list[str]], rouge: str) -> Any:
    (folder / "mine.yaml").write_text(f"extends: smoke\nname: mine\nrouge: {rouge}\n")
    made = tree(str(folder / "mine.yaml"), folder)
    made.data.mkdir(parents=True)
    for name in made.suite.test_sets:
        rows = [{"references": row} for row in references]
        write_jsonl(made.data / f"test_{name}.jsonl", rows)
    return made


def test_references_of_which_nothing_is_left_are_refused(tmp_path: Path) -> None:
    suite = suite_of(tmp_path, [["红色"], ["red"], ["它"]], "rouge_l")
    said = r"of 2 of 3 items no reference .* first '红色'.*rouge to rouge_l_unicode"
    with pytest.raises(ArkdError, match=said) as caught:
        check_references(suite.suite, suite.data)
    assert "\n" not in str(caught.value)


def test_other_scripts_are_read_by_the_metric_that_names_them(tmp_path: Path) -> None:
    suite = suite_of(tmp_path, [["红色"], ["red"]], "rouge_l_unicode")
    assert check_references(suite.suite, suite.data) == {}


def test_a_few_that_nothing_is_left_of_are_told_of(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    suite = suite_of(tmp_path, [["+"], [], *[["red"]] * 20], "rouge_l")
    assert set(check_references(suite.suite, suite.data).values()) == {1}
    assert "of 1 of 21 items no reference has a word that rouge_l reads" in capsys.readouterr().err

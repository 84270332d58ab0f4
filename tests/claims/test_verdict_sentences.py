"""The verdicts in docs/findings.md say no more than the comparisons behind them."""

from __future__ import annotations

import csv
import json
import re
from collections import Counter
from functools import cache
from pathlib import Path
from statistics import median

import pytest
import yaml
from conftest import ROOT
from verdict_sentences import Claim, Row, problems, rounds

PAGE = (ROOT / "docs" / "findings.md").read_text(encoding="utf-8")
VERDICTS = re.search(r"<!-- verdicts: (\S+) -->\n(.*)<!-- /verdicts -->", PAGE, re.S)
assert VERDICTS is not None
RUN = (ROOT / VERDICTS[1]).parent.parent
SENTENCES = dict(re.findall(r"^\| ([CEX]\d+) \| .* \| (.*) \|$", VERDICTS[2], re.M))
REGISTERED = yaml.safe_load((ROOT / "benchmarks/claims.yaml").read_text(encoding="utf-8"))["claims"]


def table(path: Path) -> list[Row]:
    with path.open(encoding="utf-8", newline="") as lines:
        return list(csv.DictReader(lines))


def final_alpha_with_teacher_baseline() -> float:
    rows = table(RUN / "tables/alpha.csv")
    return next(float(r["alpha last"]) for r in rows if r["method"] == "arkd@baseline=teacher")


def step_of_arkd_over_fixed_mix() -> float:
    page = ROOT / "results/reference/1.0/performance/performance.json"
    rows = json.loads(page.read_text())["parts"]["step"]["rows"]
    return median(rows["arkd"]["times_s"]) / median(rows["cached"]["times_s"])


# Numbers that are no comparison's of the claim, and where they come from.
QUOTED = {
    "E4": {"1.15": step_of_arkd_over_fixed_mix},
    "E5": {"0.03": final_alpha_with_teacher_baseline},
}


@cache
def claim(name: str) -> Claim:
    """Gather a claim's comparisons, its registration and what the paper prints."""
    rows = [row for row in table(RUN / "claims/comparisons.csv") if row["claim"] == name]
    judged = next(row for row in table(RUN / "claims/claims.csv") if row["claim"] == name)
    registered = next(entry for entry in REGISTERED if entry["id"] == name)
    arithmetic = [test for test in registered.get("tests", ()) if test["kind"] == "arithmetic"]
    said = [f"{test['derived']} {test['stated']} {test['derivation']}" for test in arithmetic]
    arms = {
        (arm, row["task"], row["metric"])
        for row in rows
        if row["kind"] == "published"
        for arm in (row["a"], row["b"])
    }
    printed = [
        float(row["value"])
        for row in table(ROOT / "benchmarks/published/arkd.csv")
        if (row["method"], row["dataset"], row["metric"]) in arms
    ]
    return Claim(
        rows=rows,
        paper=judged["paper"],
        statement=" ".join([registered["statement"], *said]),
        printed=tuple(printed),
        quoted=tuple(QUOTED.get(name, ())),
    )


@pytest.mark.parametrize("name", SENTENCES)
def test_a_verdict_says_what_all_its_comparisons_say(name: str) -> None:
    assert problems(SENTENCES[name], claim(name)) == []


def test_numbers_quoted_from_elsewhere_are_those_measured_there() -> None:
    for name, numbers in QUOTED.items():
        for text, measured in numbers.items():
            assert text in SENTENCES[name]
            assert rounds(measured(), text), (name, text)


# What the page said before it was held against the comparisons: each sentence tells of the
# decisive comparison as if it were all of them.
FALSE = {
    "A lead has to be about 4 points to be sure to show here.": ("C1", "about 4"),
    "What they could have seen is about 1.5 points.": ("C8", "about 1.5"),
    "It is better than reverse KL on all four measures of head and tail, and than forward KL on "
    "tail precision.": ("C9", "true of 0 of 1"),
    "At the first rank, beyond the tenth and in tail recall it cannot be told from forward KL.": (
        "C9",
        "true of 2 of 3",
    ),
    "On ambiguous, contested and unknown facts ARKD's beliefs are as far from the truth as the "
    "even mix's, within 0.02.": ("E2", "within 0.02"),
    "Three other readings differ from the plain one by less than 1.5 points in ROUGE-L.": (
        "X12",
        "less than 1.5",
    ),
}


@pytest.mark.parametrize("sentence", FALSE)
def test_a_sentence_that_says_too_much_is_found(sentence: str) -> None:
    name, fault = FALSE[sentence]
    assert any(problem.startswith(fault) for problem in problems(sentence, claim(name)))


WRONG = {
    "It is above SFT by 2.4 points.": "C1",  # open
    "It is above SeqKD by 5.7 points.": "C1",  # 5.64
    "It is above SeqKD by 5.6 points [3.2, 8.2].": "C1",  # 8.05
    "Two of five comparisons hold.": "C1",  # one
    "One of six comparisons holds.": "C1",  # of five
    "Against SFT and SeqKD it is open.": "C1",  # SeqKD is decided
    "The leads that would have been seen are 2.1 to 3.8 points.": "C1",  # 3.88
    "The paper's leads are 0.4 to 3.2.": "C1",  # 3.1
    "Reverse KL is below on all five test sets.": "C3",  # four
    "It moves ROUGE-L by 0.1 ± 0.6.": "E5",  # 0.71
    "The gain in JSD is open.": "E5",  # refuted
    "The intervals reach up to 1.4 points.": "X12",  # 1.72
    "It ends 0.30 below `greedy_min`.": "X8",  # 0.305
    "It is not below forward KL.": "C1",  # a negation, which is not read
}


@pytest.mark.parametrize("sentence", WRONG)
def test_a_wrong_number_name_or_count_is_found(sentence: str) -> None:
    assert problems(sentence, claim(WRONG[sentence]))


def test_the_seeds_that_were_added_are_told() -> None:
    """The page says which arms got more seeds in the course of the run; manifests tell when."""
    trained: dict[str, Counter[str]] = {}
    for path in RUN.glob("*/*/seed*/training/manifest.json"):
        manifest = json.loads(path.read_text(encoding="utf-8"))
        if manifest["stage"] == "distill":
            arms = trained.setdefault(manifest["git"]["commit"], Counter())
            arms[path.parts[-4]] += 1
    first, second = sorted(trained.values(), key=lambda arms: -arms.total())
    assert f"after {first.total()} of the {first.total() + second.total()} students" in PAGE
    added = {arm for arm in second if first[arm]}
    assert len(added) == 7
    assert {(first[arm], second[arm]) for arm in added} == {(3, 7)}
    compared = [
        row["role"]
        for row in table(RUN / "claims/comparisons.csv")
        if row["kind"] != "published" and added & {row["a"], row["b"]}
    ]
    assert set(compared) == {"secondary"}


def test_the_rates_at_the_edge_of_the_grid_are_told() -> None:
    """The best of three rates may lie beyond them where it is the lowest or the highest."""
    best = {
        row["method"]: row["lr"]
        for row in table(ROOT / "benchmarks/tuning/longtail.csv")
        if row["chosen"] == "1"
    }
    edge = {method: lr for method, lr in best.items() if lr != "0.012"}
    assert edge == {"minillm": "0.006", "reverse_kl": "0.006", "contrastive": "0.024"}
    told = "the lowest for `minillm` and `reverse_kl` and the highest for `contrastive`"
    page = (ROOT / "docs" / "protocol.md").read_text(encoding="utf-8")
    assert told in page.replace("\n", " ")

"""Suites that cannot be: each is refused in one line that names file, key and value."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from arkd.errors import ArkdError
from arkd.suite.load import load_suite, suite_path
from arkd.suite.trees import trees

SMOKE = yaml.safe_load(suite_path("smoke").read_text(encoding="utf-8")) | {"name": "mine"}
PAIR = SMOKE["pairs"][0]


def suite(**changes: Any) -> dict[str, Any]:
    return SMOKE | changes


def inside(key: str, **changes: Any) -> dict[str, Any]:
    """Return a suite with changes in one of its parts."""
    return SMOKE | {key: SMOKE[key] | changes}


def pair(**changes: Any) -> dict[str, Any]:
    return SMOKE | {"pairs": [PAIR | changes]}


OF_SCRATCH = {"source": "scratch", "vocabulary": 300, "hidden": 8, "layers": 1, "heads": 1}
SCRATCH = pair(
    teacher=OF_SCRATCH | {"intermediate": 8},
    teacher_training={"steps": 1, "batch_size": 1, "lr": 1},
)
NAN, INF = float("nan"), float("inf")
CASES: dict[str, tuple[dict[str, Any], str]] = {
    # Names under which something else would be replaced.
    "a suite called ..": (suite(name=".."), "name"),
    "a hidden suite": (suite(name=".git"), "name"),
    "a shipped suite's name": (suite(name="longtail"), "shipped suite's"),
    "the same in capitals": (suite(name="LongTail"), "shipped suite's"),
    "the references": (suite(name="reference"), "taken by a folder of the results"),
    "a name of a thousand letters": (suite(name="a" * 1000), "name"),
    "a pair called claims": (pair(name="claims"), "taken by what stands beside"),
    "a pair called Report": (pair(name="Report"), "taken by what stands beside"),
    "a pair called records.csv": (pair(name="records.csv"), "taken by what stands beside"),
    "a pair called .": (pair(name="."), "pairs.0.name"),
    "two pairs that differ in case": (
        SMOKE | {"pairs": [PAIR | {"name": "one"}, PAIR | {"name": "ONE"}]},
        "stands twice",
    ),
    "a method called cache": (suite(methods=["cache"]), "taken by a folder beside the rows"),
    "a method called teacher": (suite(methods=["teacher"]), "taken by a folder beside the rows"),
    # Numbers that no run can use.
    "max_tokens -1": (suite(max_tokens=-1), "max_tokens"),
    "max_tokens 1": (suite(max_tokens=1), "max_tokens"),
    "a rate of 0 in the grid": (suite(lr_grid=[0]), r"lr_grid\.0"),
    "NaN in the grid": (suite(lr_grid=[NAN]), r"lr_grid\.0"),
    "an infinite rate": (inside("distillation", lr=INF), r"distillation\.lr"),
    "betas of a list of five": (inside("distillation", betas=[2, 3]), r"distillation\.betas\.0"),
    "a beta of 1": (inside("distillation", betas=[0.9, 1.0]), r"distillation\.betas\.1"),
    "no decoding seeds": (inside("decoding", seeds=[]), r"decoding\.seeds"),
    "decoding seeds twice": (inside("decoding", seeds=[1, 1]), "stands twice"),
    "variants twice": (inside("decoding", variants=[{"top_p": 1.0}] * 2), "stands twice"),
    "a variant that changes nothing": (inside("decoding", variants=[{}]), "changes nothing"),
    "temperature 1e-300": (inside("decoding", temperature=1e-300), r"decoding\.temperature"),
    "temperature NaN": (inside("decoding", temperature=NAN), r"decoding\.temperature"),
    "distilling at 1e-300": (inside("distillation", temperature=1e-300), r"distillation\.temp"),
    "no development rows": (inside("data", dev_examples=0), "dev_examples"),
    "a negative context": (
        pair(student=PAIR["student"] | {"context": -1}), r"pairs\.0\.student\.context"
    ),
    "a vocabulary below the bytes": (
        pair(student=PAIR["student"] | {"vocabulary": 10}), r"pairs\.0\.student\.vocabulary"
    ),
    "no seeds": (suite(seeds=[]), "seeds"),
    "a seed of text": (suite(seeds=["x"]), r"seeds\.0"),
    "a seed in quotes": (suite(seeds=["1"]), r"seeds\.0"),
    "a seed of true": (suite(seeds=[True]), r"seeds\.0"),
    "a seed of 1.0": (suite(seeds=[1.0]), r"seeds\.0"),
    "a seed below 0": (suite(seeds=[-1]), r"seeds\.0"),
    "a seed that no record can hold": (suite(seeds=[10**18]), r"seeds\.0"),
    "a world below 0": (suite(worlds=[-1]), r"worlds\.0"),
    "a decoding seed below 0": (inside("decoding", seeds=[-1]), r"decoding\.seeds\.0"),
    "a long decoding seed": (inside("decoding", seeds=[10**18]), r"decoding\.seeds\.0"),
    "a task twice": (suite(open_tasks=["longtail_id"]), "tasks: longtail_id stands twice"),
    "prefixes twice": (suite(tail={"prefixes": ["gold", "gold"]}), r"tail\.prefixes: gold stands"),
    "no steps of distillation": (inside("distillation", steps=0), "would distil nothing"),
    "a perplexity task without a name": (suite(perplexity_task=""), "perplexity_task"),
    "a million draws a token": (
        inside("distillation", teacher_support_size=10**6 + 1), r"distillation\.teacher_support_s"
    ),
    "a name of a block": (suite(name="mine@11"), "block of another"),
    "an unknown kind of kernels": (suite(kernels="quick"), "kernels"),
    "an unknown tuning run": (inside("distillation", tuning="nowhere"), "no such tuning run"),
    "a tuning run elsewhere": (
        inside("distillation", tuning="../published/figure5"), "no such tuning run"
    ),
    "a tail above the vocabulary": (
        SCRATCH | {"tail": {"top_k": 301}}, r"tail\.top_k: 301 is above the vocabulary of 300"
    ),
    "draws above the vocabulary": (
        SCRATCH | {"decoding": {"top_k": 9_000}}, r"decoding\.top_k: 9,000 is above the vocab"
    ),
    "a variant above it": (
        SCRATCH | {"decoding": {"variants": [{"top_k": 301}]}}, r"decoding\.variants\.0\.top_k: 301"
    ),
    "NaN in another number": (inside("distillation", lm_weight=NAN), r"distillation\.lm_weight"),
    "infinity in a pair": (
        pair(student=PAIR["student"] | {"init_std": INF}), r"pairs\.0\.student\.init_std"
    ),
    "NaN in a row's parameter": (
        suite(methods=[{"name": "fixed_mix", "alpha": NAN}]),
        r"methods\.0: alpha: a finite number is wanted, not nan",
    ),
    "infinity in a list of them": (
        suite(methods=[{"name": "x", "alphas": [1, [-INF]]}]), "alphas: a finite number is wanted"
    ),
    "NaN as a row's rate": (suite(methods=[{"name": "sft", "lr": NAN}]), r"methods\.0\.lr"),
    "a label with a slash": (
        suite(methods=[{"name": "sft", "to": "../x"}]), "cannot name a folder"
    ),
    "a label with a line break": (
        suite(methods=[{"name": "sft", "to": "a\nb"}]), "cannot name a folder"
    ),
    "a label of 1,000 letters": (
        suite(methods=[{"name": "sft", "to": "a" * 1000}]), "cannot name a folder"
    ),
    "a hidden method": (suite(methods=[".hidden"]), "cannot name a folder"),
    "a method without a name": (suite(methods=[{"alpha": 1}]), "methods"),
    "a method of nothing": (suite(methods=[None]), "methods"),
    "extending a list": (suite(extends=["smoke"]), "extends: the name or the file"),
    "no rows of a file": (
        SMOKE | {"data": {"source": "files", "train": "a", "tests": {}}}, r"data\.tests"
    ),
}  # fmt: skip


@pytest.mark.parametrize(("value", "said"), CASES.values(), ids=CASES.keys())
def test_a_suite_that_cannot_be_is_refused_in_one_line(
    value: dict[str, Any], said: str, tmp_path: Path
) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(yaml.safe_dump(value), encoding="utf-8")
    with pytest.raises(ArkdError, match=said) as caught:
        load_suite(str(path))
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 600
    assert [p.name for p in tmp_path.iterdir()] == ["mine.yaml"]


def test_claims_that_nobody_registered_are_refused_before_anything_runs(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(yaml.safe_dump(suite(claims="9.9")), encoding="utf-8")
    with pytest.raises(ArkdError, match=r"suite mine: claims: no version 9\.9 is registered"):
        trees(str(path), str(tmp_path))


def test_what_is_right_is_not_refused(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(yaml.safe_dump(SMOKE), encoding="utf-8")
    assert load_suite(str(path)).name == "mine"
    merged = tmp_path / "smoke" / "suite.yaml"  # the copy that a merged suite holds
    merged.parent.mkdir()
    merged.write_text(yaml.safe_dump(SMOKE | {"name": "smoke"}), encoding="utf-8")
    assert load_suite(str(merged)).name == "smoke"

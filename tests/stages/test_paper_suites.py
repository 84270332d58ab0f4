"""The paper's suites from end to end, on stand-ins: another size, and nothing else."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import stand_ins
import test_public_tasks
from conftest import ROOT, snakemake

from arkd.data.public_tasks import SOURCES
from arkd.suite import trees as workflow
from arkd.suite.load import load_suite

SETS = ("dolly", "selfinst", "vicuna", "sni", "unni")
SMALL = {name: {"max_items": 4} for name in SETS[1:]}
# Teacher, forward KL and ARKD on Dolly, as Table 1 of the paper prints them.
PRINTED = {
    "gpt2-1.5B-120M": {"teacher": 27.1, "forward_kl": 22.9, "arkd": 24.5},
    "gpt2-1.5B-340M": {"teacher": 27.1, "forward_kl": 24.9, "arkd": 26.1},
    "llama-13B-7B": {"teacher": 31.3, "forward_kl": 27.1, "arkd": 29.1},
}


def run(suite: Path, results: Path) -> Path:
    """Run a suite's file by the unchanged workflow; return the folder of its results."""
    done = snakemake(results, "--nolock", suite=str(suite))
    logs = "".join(path.read_text()[-800:] for path in results.rglob("*.log"))
    assert done.returncode == 0, done.stderr[-2000:] + logs
    return results / load_suite(str(suite)).name


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


def check(root: Path, suite: str, methods: tuple[str, ...]) -> None:
    """Look at what a reader of the tables would look at first."""
    of = load_suite(suite)
    records = rows(root / "records.csv")
    values: dict[tuple[str, ...], float] = {}
    for r in records:
        values[r["pair"], r["method"], r["task"], r["metric"], r["group"]] = float(r["value"])
    scored = {r["task"] for r in records if r["metric"] == "rouge_l"}
    assert scored == set(SETS) - {"vicuna"}  # prompts alone
    assert {r["task"] for r in records if r["metric"] == "distinct_2"} == set(SETS)
    order = ["teacher", "untrained", "init", *methods]
    for pair in of.pairs[: len({r["pair"] for r in records})]:
        for metric in ("fkl", "rkl", "jsd", "tvd"):
            by_method = [values[pair.name, m, "fidelity_gold", metric, ""] for m in order]
            # Its cached states are rounded to bfloat16; a student is farther off by far.
            assert by_method[0] == pytest.approx(0, abs=2e-3)
            assert all(value > 10 * by_method[0] + 1e-3 for value in by_method[1:])
            assert (pair.name, "arkd", "fidelity_gold", metric, "vicuna") not in values
            assert values[pair.name, "arkd", "fidelity_teacher", metric, "vicuna"] > 0
        for metric in ("tail_recall", "tail_precision"):
            assert 0 <= values[pair.name, "arkd", "fidelity_gold", metric, ""] <= 1
    printed = [pair for pair in of.pairs if pair.published]
    table = rows(root / "tables" / "table1.csv")
    assert [row["method"] for row in table] == order
    for pair in printed[: len({r["pair"] for r in records})]:
        papers = [key for key in table[0] if "paper" in key]
        column = next(key for key in papers if pair.name in key or len(papers) == 1)
        found = {row["method"]: row[column] for row in table}
        for method, value in PRINTED[pair.published].items():
            if method in found:
                assert float(found[method]) == value
    if not printed:
        assert not any("paper" in key for key in table[0])
    outside = (root / "tables" / "table2.md").read_text()
    assert "'–' under vicuna: no references" in outside
    assert (root / "report.html").is_file()
    notes = json.loads((root / "data" / "manifest.json").read_text())["notes"]["summary"]
    assert any("are published" in warning for warning in notes["warnings"])


@pytest.mark.heavy
def test_the_papers_gpt2_suite_runs_on_stand_ins(tmp_path: Path) -> None:
    stand_ins.write(tmp_path, ("gpt2",))
    suite = stand_ins.suite(
        "gpt2-dolly",
        "gpt2",
        tmp_path,
        pairs=1,
        methods=["arkd"],
        data={"filters": SMALL},
        decoding={"max_new_tokens": 8},
    )
    check(run(suite, tmp_path / "results"), "gpt2-dolly", ("arkd",))


CASES = [
    ("gpt2-dolly", "gpt2", ("seqkd", "forward_kl", "arkd")),
    ("gpt2-dolly-field", "gpt2", ("arkd",)),
    ("llama-dolly", "llama", ("forward_kl", "minillm", "arkd")),
    ("llama-dolly-field", "llama", ("arkd",)),
    ("qwen-dolly", "qwen", ("contrastive", "arkd")),
    ("qwen-dolly-field", "qwen", ("arkd",)),
]


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All three families, and the public tasks' rows beside the five sets."""
    folder = tmp_path_factory.mktemp("stand-ins")
    stand_ins.write(folder)
    for task, of_task in test_public_tasks.ROWS.items():
        ending = Path(SOURCES[task].file).suffix
        test_public_tasks.put(folder / "data" / "public" / f"{task}{ending}", of_task)
    return folder


@pytest.mark.heavy
@pytest.mark.parametrize(("name", "family", "methods"), CASES)
def test_every_paper_suite_runs_in_both_regimes(
    models: Path, tmp_path: Path, name: str, family: str, methods: tuple[str, ...]
) -> None:
    seeds = [1, 2] if len(load_suite(name).pairs) == 1 else [1]  # two have an interval
    changes: dict[str, Any] = {"methods": list(methods), "seeds": seeds}
    regime = load_suite(name)
    changes["public_tasks"], changes["public_items"] = list(regime.public_tasks), 4
    root = run(stand_ins.suite(name, family, models, **changes), tmp_path / "results")
    check(root, name, methods)
    field = name.endswith("-field")
    assert (root / "tables" / "public.md").is_file()
    assert (root / "tables" / "decoding.md").is_file() == field
    of = json.loads(
        (root / regime.pairs[0].name / "arkd/seed1/training/manifest.json").read_text()
    )["notes"]
    assert ("kept_after_steps" in of) == field
    if field:
        assert of["kept_after_steps"] == int(
            max(of["development"], key=lambda steps: (of["development"][steps], -int(steps)))
        )
    if family == "llama":
        saved = root / "llama-13B-7B/arkd/seed1/training/model"
        assert not list(saved.glob("adapter*"))  # merged


VARIANTS = {  # what each may change of the suite that it extends
    "gpt2-dolly-corpus": ("gpt2-dolly", "data.corpus", "distillation.lm_corpus"),
    "gpt2-dolly-float32": ("gpt2-dolly", "training.precision"),
    "gpt2-dolly-reduction-sequences": ("gpt2-dolly", "distillation.reduction"),
    "gpt2-dolly-reduction-sums": ("gpt2-dolly", "distillation.reduction"),
    "gpt2-dolly-schedule-constant": ("gpt2-dolly", "distillation.schedule"),
    "gpt2-dolly-schedule-linear": ("gpt2-dolly", "distillation.schedule"),
    "gpt2-dolly-squared-temperature": ("gpt2-dolly", "distillation.square_temperature"),
    "gpt2-dolly-start-pretrained": (
        "gpt2-dolly",
        "student_start.epochs",
        "student_start.selection",
    ),
    "gpt2-dolly-variance-logits": ("gpt2-dolly", "distillation.variance"),
    "llama-dolly-full": ("llama-dolly", "pairs"),
    "llama2-dolly": ("llama-dolly", "pairs"),
}


def differing(one: Any, other: Any, at: str = "") -> set[str]:
    """The keys at which two suites differ, as `distillation.reduction`."""
    if isinstance(one, dict) and isinstance(other, dict):
        keys = one.keys() | other.keys()
        return {k for key in keys for k in differing(one.get(key), other.get(key), f"{at}.{key}")}
    return set() if one == other else {at.lstrip(".")}


def test_every_variant_stands_here() -> None:
    shipped = (ROOT / "benchmarks" / "suites" / "variants").glob("*.yaml")
    assert {path.stem for path in shipped} == set(VARIANTS)


@pytest.mark.parametrize("name", VARIANTS)
def test_a_variant_changes_one_open_setting_and_nothing_else(name: str, tmp_path: Path) -> None:
    """Its rows aside: those that the choice cannot touch are left out."""
    base, *changed = VARIANTS[name]
    suite = workflow.trees(name, str(tmp_path))[name].suite
    found = differing(load_suite(base).model_dump(mode="json"), suite.model_dump(mode="json"))
    assert found - {"name", "description", "methods"} == set(changed)
    assert {entry.label for entry in suite.methods} <= {e.label for e in load_suite(base).methods}


@pytest.mark.parametrize("name", ["gpt2-dolly", "llama-dolly", "qwen-dolly"])
def test_every_suite_of_the_hub_plans_without_a_network(name: str, tmp_path: Path) -> None:
    nowhere = {**os.environ, "https_proxy": "http://127.0.0.1:9", "HF_HOME": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-P", "-m", "snakemake", "--dry-run", "--quiet", "--nolock",
         "--config", f"suites=[{name}]", f"results={tmp_path}"],
        cwd=ROOT, env=nowhere, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert not list(tmp_path.glob("*/data"))

"""The lm-eval tasks: each loads with stock lm-eval, is described, and scores what it says."""

from __future__ import annotations

import json
import re
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml
from conftest import ROOT
from rouge_score.rouge_scorer import RougeScorer

from arkd.errors import ArkdError
from arkd.evaluation import tasks
from arkd.paths import benchmarks_dir
from arkd.storage.files import read_jsonl, write_jsonl
from arkd.suite.load import load_suite
from arkd.suite.registry import method_class
from arkd.suite.settings import Decoding
from arkd.suite.suite import Suite

TASKS = benchmarks_dir() / "tasks"
SUITES = {"longtail": "longtail", "smollm2": "smollm2-quick"}  # that a family's README quotes
FAMILIES = (*SUITES, "dolly")
SHIPPED = {
    family: sorted(p.stem for p in (TASKS / family).glob("[!_]*.yaml")) for family in FAMILIES
}
BANDS = ("head", "tail", "torso")
GROUPS = {
    **{f"arkd_{family}": names for family, names in SHIPPED.items()},
    **{f"arkd_{family}_mc": [f"{family}_mc_{band}" for band in BANDS] for family in SUITES},
    "arkd_longtail_ood": [f"longtail_{n}" for n in ("combined", "rare", "style", "template")],
    "arkd_dolly_ood": ["selfinst", "sni", "unni", "vicuna"],
    "arkd_smollm2_ood": [f"smollm2_{n}" for n in ("chat", "continuation", "rare", "use")],
}
MEANS = {"ood": "rouge_l", "mc": "acc"}  # what a group of one kind of task averages


def readme(family: str) -> str:
    return (TASKS / family / "README.md").read_text(encoding="utf-8")


def family_of(name: str) -> str:
    of_task = {task: family for family, tasks in SHIPPED.items() for task in tasks}
    return of_task.get(name, name.removeprefix("arkd_").partition("_")[0])


@cache
def loader() -> type[yaml.SafeLoader]:
    """YAML's own loader, which leaves the name of a function as it stands."""

    class Loader(yaml.SafeLoader):
        pass

    Loader.add_constructor("!function", lambda self, node: self.construct_scalar(node))
    return Loader


def config(path: Path) -> dict[str, Any]:
    """A task's file with the template it includes, read without lm-eval."""
    read: dict[str, Any] = yaml.load(path.read_text(encoding="utf-8"), loader())
    included = read.pop("include", None)
    return (config(path.parent / included) if included else {}) | read


def of_task(name: str) -> dict[str, Any]:
    return config(TASKS / family_of(name) / f"{name}.yaml")


def described(family: str) -> dict[str, list[str]]:
    """The cells of the README's table of tasks: what it asks, file, items, metrics, version."""
    rows = re.findall(r"^\| `(\w+)` \| (.*) \|$", readme(family), re.M)
    return {name: rest.split(" | ") for name, rest in rows}


def task_manager(data: Path) -> Any:
    from lm_eval.tasks import TaskManager

    metadata = {"data_dir": str(data)}
    return TaskManager(include_path=str(TASKS), include_defaults=False, metadata=metadata)


@pytest.fixture(scope="module")
def plain_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two rows in each file that a task reads."""
    folder = tmp_path_factory.mktemp("data")
    row = {"prompt": "Q?", "response": " A.", "references": [" A."], "choices": [" A.", " B."]}
    row |= {"gold": 0, "text": "A.", "facts": {"a": ["A."]}}
    for name in (name for names in SHIPPED.values() for name in names):
        file = folder / of_task(name)["dataset_kwargs"]["file"]
        write_jsonl(file, [row | {"id": number} for number in range(2)])
    return folder


def test_every_shipped_task_loads_with_stock_lm_eval(plain_data: Path) -> None:
    found = task_manager(plain_data)
    names = [name for family in SHIPPED.values() for name in family]
    assert len(names) == 24
    assert set(names) <= set(found.all_tasks)  # one that does not parse is skipped silently
    loaded = found.load(names)["tasks"]
    assert sorted(loaded) == sorted(names)
    for name, task in loaded.items():
        docs = list(task.test_docs())
        assert docs == read_jsonl(plain_data / of_task(name)["dataset_kwargs"]["file"]), name
        assert of_task(name)["metadata"]["version"] == task.VERSION, name


@pytest.mark.parametrize("group", sorted(GROUPS))
def test_a_group_has_its_tasks_and_averages_what_is_alike(group: str, plain_data: Path) -> None:
    loaded = task_manager(plain_data).load([group])
    assert sorted(loaded["tasks"]) == GROUPS[group]
    found = loaded["groups"][group]
    assert found.version == "1.0"
    metric = MEANS.get(group.rpartition("_")[2])
    averaged = [(one.metric, one.weight_by_size) for one in found.aggregate_metric_list or ()]
    assert averaged == ([(metric, False)] if metric else [])
    assert f"* `{group}`: " in readme(family_of(group))


def test_no_task_lies_outside_a_family() -> None:
    assert [path.name for path in TASKS.glob("[!_]*.yaml")] == []
    assert {path.name for path in TASKS.iterdir() if path.is_dir()} == {*FAMILIES, "public"}


@pytest.mark.parametrize("name", [name for family in SHIPPED.values() for name in family])
def test_the_readme_describes_a_task_as_its_file_has_it(name: str) -> None:
    asks, file, _, metrics, version = described(family_of(name))[name]
    task = of_task(name)
    arrows = {True: "↑", False: "↓"}
    assert task["task"] == name
    assert asks
    assert file == f"`{task['dataset_kwargs']['file']}`"
    assert metrics == ", ".join(
        f"`{one['metric']}` {arrows[one['higher_is_better']]}" for one in task["metric_list"]
    )
    assert version == str(task["metadata"]["version"])
    assert f"* {version}" in readme(family_of(name)).partition("### Changelog")[2]
    for one in task["metric_list"]:  # and each metric is defined
        assert f"| `{one['metric']}` |" in (TASKS / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("family", FAMILIES)
def test_the_readme_names_no_task_that_is_not_there(family: str) -> None:
    assert sorted(described(family)) == SHIPPED[family]
    headings = re.findall(r"^### (.*)$", readme(family), re.M)
    usual = [
        "Paper",
        "Citation",
        "Groups, Tags, and Tasks",
        "Run",
        "Data",
        "Checklist",
        "Changelog",
    ]
    assert headings == usual


@pytest.mark.parametrize("family", FAMILIES)
def test_the_readme_cites_the_paper_and_this_software(family: str) -> None:
    assert method_class("arkd").reference.bibtex.strip() in readme(family)
    software = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    entry = re.search(r"@software\{arkd_benchmark,\n(.*?)\n\}", readme(family), re.S)
    assert entry
    fields = dict(re.findall(r"(\w+) += \{+(.*?)\}+,?$", entry[1], re.M))
    assert fields["author"] == software["authors"][0]["name"]
    # The README is hashed with the tasks: it keeps the version with which they were last run.
    kept = json.loads((ROOT / "results/reference/1.0/longtail/manifest.json").read_text())
    assert fields["version"] == kept["versions"]["arkd"]
    assert fields["license"] == software["license"]
    assert fields["title"].startswith(f"{software['title']}: a reproducibility benchmark")


def used_by(name: str, suite: Suite) -> set[str]:
    asked = {*suite.test_sets, *suite.choice_tasks, *suite.open_tasks, suite.perplexity_task or ""}
    return asked & set(SHIPPED[name])


@pytest.mark.parametrize(("family", "suite"), SUITES.items())
def test_the_suite_asks_every_task_of_its_family(family: str, suite: str) -> None:
    assert used_by(family, load_suite(suite)) == set(SHIPPED[family])


@pytest.mark.parametrize(("family", "suite"), SUITES.items())
def test_a_stock_run_decodes_as_the_suite_does(family: str, suite: str) -> None:
    decoding: Decoding = load_suite(suite).decoding
    changed = dict(re.findall(r"--gen_kwargs (\w+)=(\w+)", readme(family)))
    for name in load_suite(suite).test_sets:
        options = of_task(name)["generation_kwargs"] | {k: int(v) for k, v in changed.items()}
        assert options == {
            "until": [],
            "do_sample": True,
            "temperature": decoding.temperature,
            "top_p": decoding.top_p,
            "top_k": decoding.top_k,
            "max_gen_toks": decoding.max_new_tokens,
        }
        assert not decoding.no_repeat_ngram


def test_the_best_reference_counts() -> None:
    doc = {"references": [" Ann lives in Tarn.", " Tarn."]}
    assert tasks.generated(doc, [" Tarn."])["rouge_l"] == 100.0
    score = RougeScorer(["rougeL"], use_stemmer=True).score("Ann lives in Tarn.", "Ann lived there")
    found = tasks.generated({"references": ["Ann lives in Tarn."]}, ["Ann lived there"])
    assert found["rouge_l"] == pytest.approx(100 * score["rougeL"].fmeasure)
    # "lives" and "lived" share a stem: 2 of 3 words and 2 of 4 words → F = 4/7.
    assert found["rouge_l"] == pytest.approx(100 * 4 / 7)


def test_an_item_without_a_reference_has_no_score() -> None:
    assert tasks.generated({"references": []}, ["Anything."]) == {}


def test_a_missing_data_folder_is_named() -> None:
    with pytest.raises(ArkdError, match=r"--metadata"):
        tasks.load(file="test_longtail_id.jsonl")
    with pytest.raises(ArkdError, match=r"absent/x\.jsonl: no such file"):
        tasks.load(data_dir="absent", file="x.jsonl")

"""The lm-eval tasks: each loads with stock lm-eval, is described, and scores what it says."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml
from rouge_score.rouge_scorer import RougeScorer

from arkd import tasks
from arkd.data import longtail, smollm2
from arkd.errors import ArkdError
from arkd.files import read_jsonl
from arkd.method import Reference
from arkd.paths import benchmarks_dir
from arkd.registry import plugin
from arkd.settings import Decoding
from arkd.suite import load_suite, suite_names

TASKS = benchmarks_dir() / "tasks"
SHIPPED = sorted(path.stem for path in TASKS.rglob("[!_]*.yaml"))
FAMILIES = ("longtail", "smollm2")
GROUPS = {
    "arkd_longtail": [name for name in SHIPPED if name.startswith("longtail_")],
    "arkd_longtail_ood": [f"longtail_{n}" for n in ("combined", "rare", "style", "template")],
    "arkd_longtail_mc": [f"longtail_mc_{band}" for band in ("head", "tail", "torso")],
    "arkd_smollm2": [name for name in SHIPPED if name.startswith("smollm2_")],
    "arkd_smollm2_ood": [f"smollm2_{n}" for n in ("chat", "continuation", "rare", "use")],
    "arkd_smollm2_mc": [f"smollm2_mc_{band}" for band in ("head", "tail", "torso")],
}
ROOT = TASKS.parent.parent


def readme(family: str) -> str:
    return (TASKS / family / "README.md").read_text(encoding="utf-8")


def manager(data: Path) -> Any:
    from lm_eval.tasks import TaskManager

    return TaskManager(
        include_path=str(TASKS), include_defaults=False, metadata={"data_dir": str(data)}
    )


@cache
def loader() -> type[yaml.SafeLoader]:
    """YAML's own loader, which leaves a function's name as it stands."""

    class Loader(yaml.SafeLoader):
        pass

    Loader.add_constructor("!function", lambda self, node: self.construct_scalar(node))
    return Loader


def config(path: Path) -> dict[str, Any]:
    """A task's configuration with what it includes, read without lm-eval."""
    read: dict[str, Any] = yaml.load(path.read_text(encoding="utf-8"), loader())
    if "include" not in read:
        return read
    return config(path.parent / read.pop("include")) | read


def task_table(family: str) -> dict[str, list[str]]:
    """The cells of the README's table of tasks, by task."""
    rows = re.findall(r"^\| `(\w+)` \|(.*)\|$", readme(family), re.M)
    return {name: [cell.strip() for cell in rest.split("|")] for name, rest in rows}


@pytest.mark.parametrize("family", FAMILIES)
def test_every_shipped_task_loads_with_stock_lm_eval(family: str, tmp_path: Path) -> None:
    folder = TASKS / family
    names = [path.stem for path in folder.glob("[!_]*.yaml")]
    for name in names:  # two rows for each file will do
        write_rows(tmp_path, config(folder / f"{name}.yaml"))
    found = manager(tmp_path)
    assert set(SHIPPED) <= set(found.all_tasks)  # one that does not parse is skipped silently
    loaded = found.load(names)["tasks"]
    assert sorted(loaded) == sorted(names)
    for name, task in loaded.items():
        docs = list(task.test_docs())
        assert docs == read_jsonl(tmp_path / task.config.dataset_kwargs["file"]), name
        assert task.VERSION == 1.0, name


def write_rows(folder: Path, of_task: dict[str, Any]) -> None:
    common = {"prompt": "Q?", "response": " A.", "references": [" A."], "choices": [" A.", " B."]}
    rows = [common | {"id": i, "gold": 0, "text": "A.", "facts": {"a": ["A."]}} for i in range(2)]
    file = folder / of_task["dataset_kwargs"]["file"]
    file.write_text("".join(f"{yaml.safe_dump(row, default_flow_style=True, width=9999)}"
                            for row in rows).replace("\n", "\n"))

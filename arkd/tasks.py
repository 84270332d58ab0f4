"""What the lm-eval tasks of `benchmarks/tasks` call: their data and their metrics."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from arkd.errors import ArkdError
from arkd.files import read_jsonl
from arkd.rouge import rouge_l


def load(*, data_dir: str | None = None, file: str, **_: Any) -> dict[str, Any]:
    """Return the test split of a task from a suite's data folder.

    Args:
        data_dir: The folder, from lm-eval's `--metadata '{"data_dir": "results/longtail/data"}'`.
        file: The task's file in it, from the task's YAML.

    Raises:
        ArkdError: no folder is given or the file is not in it.
    """
    from datasets import Dataset

    if data_dir is None:
        raise ArkdError(
            f'{file}: where is the data? pass --metadata \'{{"data_dir": "results/SUITE/data"}}\''
        )
    return {"test": Dataset.from_list(read_jsonl(Path(data_dir) / file))}


def generated(doc: dict[str, Any], results: Sequence[str]) -> dict[str, float]:
    """Score one generated text against its references: the best ROUGE-L F-measure, times 100."""
    return {"rouge_l": rouge_l(results[0], doc["references"])}


def open_ended(doc: dict[str, Any], results: Sequence[str]) -> dict[str, float]:
    """Score one open-ended answer by what it states.

    Returns:
        `factual_precision`: the share of its sentences that are true, 0 if it has none.
        `facts_told`: how many different facts its true sentences state.
    """
    sentences = [f"{text.strip()}." for text in results[0].split(".") if text.strip()]
    told = [name for s in sentences for name, forms in doc["facts"].items() if s in forms]
    return {
        "factual_precision": len(told) / max(1, len(sentences)),
        "facts_told": float(len(set(told))),
    }

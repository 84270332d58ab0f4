"""What the lm-eval tasks of `benchmarks/tasks` call: their data and their metrics."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from arkd.errors import ArkdError
from arkd.rouge import rouge_l
from arkd.storage.files import parse_json, read_jsonl

# PopQA's bands, by how often the subject's page was read in a month: below 100 is the long tail of
# Self-RAG (1,399 of 14,267 questions). Fixed, so that a part of the items has the same bands.
TAIL_VIEWS, HEAD_VIEWS = 100, 10_000


def load(
    *, data_dir: str | None = None, file: str, split: str = "test", **_: Any
) -> dict[str, Any]:
    """Return the one split of a task that is scored, from a suite's data folder.

    Args:
        data_dir: The folder, from lm-eval's `--metadata '{"data_dir": "results/longtail/data"}'`.
        file: The task's file in it, from the task's YAML.
        split: What the task calls the split.

    Raises:
        ArkdError: no folder is given or the file is not in it.
    """
    from datasets import Dataset

    if data_dir is None:
        raise ArkdError(
            f'{file}: where is the data? pass --metadata \'{{"data_dir": "results/SUITE/data"}}\''
        )
    return {split: Dataset.from_list(read_jsonl(Path(data_dir) / file))}


def generated(doc: dict[str, Any], results: Sequence[str]) -> dict[str, float]:
    """Score one generated text against its references: the best ROUGE-L F-measure, times 100.

    An item without a reference has no score, and takes no part in its task's mean.
    """
    if not doc["references"]:
        return {}
    return {"rouge_l": rouge_l(results[0], doc["references"])}


def open_ended(doc: dict[str, Any], results: Sequence[str]) -> dict[str, float]:
    """Score one open-ended answer by what it states.

    Returns:
        `factual_precision`: the share of its sentences that are true, 0 if it has none.
        `facts_told`: how many different facts its true sentences state.
    """
    sentences = [f"{text.strip()}." for text in results[0].split(".") if text.strip()]
    stated = [name for s in sentences for name, forms in doc["facts"].items() if s in forms]
    return {
        "factual_precision": len(stated) / max(1, len(sentences)),
        "facts_told": float(len(set(stated))),
    }


def popqa(rows: Any) -> Any:
    """Add to PopQA's rows what is asked of them: all spellings of the answer, and the band."""
    return rows.map(
        lambda row: {
            "answers": parse_json(row["possible_answers"]),
            "band": band(int(row["s_pop"])),
        }
    )


def band(views: int) -> str:
    """Return the band of an entity whose page is read so often in a month."""
    if views >= HEAD_VIEWS:
        return "head"
    return "torso" if views >= TAIL_VIEWS else "tail"


def recalled(doc: dict[str, Any], results: Sequence[tuple[float, bool]]) -> dict[str, float]:
    """Score the recall of an answer by the log-likelihoods of its spellings.

    Returns:
        `logprob_nats`: that of the likeliest spelling, which also tells small models apart.
        `acc`: 1 if greedy decoding would begin with one of them, else 0.
    """
    return {
        "logprob_nats": max(nats for nats, _ in results),
        "acc": float(any(greedy for _, greedy in results)),
    }

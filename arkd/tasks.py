"""What the lm-eval tasks of `benchmarks/tasks` call: their data and their metrics."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

from arkd.errors import ArkdError
from arkd.files import read_jsonl


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


def rouge_l(text: str, references: Sequence[str]) -> float:
    """Return 100 × the largest ROUGE-L F-measure over the references (rouge-score, stemmer on)."""
    scores = (scorer().score(reference, text)["rougeL"].fmeasure for reference in references)
    return 100 * max(scores, default=0.0)


@cache
def scorer() -> Any:
    """Return the scorer, which loads NLTK."""
    from rouge_score.rouge_scorer import RougeScorer
    from rouge_score.tokenizers import DefaultTokenizer

    class CachedTokenizer(DefaultTokenizer):
        """The scorer's own; the same references are asked for again at every decoding seed."""

        tokenize = lru_cache(100_000)(DefaultTokenizer.tokenize)

    return RougeScorer(["rougeL"], tokenizer=CachedTokenizer(use_stemmer=True))

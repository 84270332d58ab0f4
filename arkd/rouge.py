"""ROUGE-L of generated text, as every task and every reward of the project scores it."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache, lru_cache
from typing import Any


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

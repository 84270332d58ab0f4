"""What generated texts are like as a whole: how long, how varied, and how often they end."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

ORDERS = (1, 2, 3, 4)
SMOOTHING = 0.1  # counts that an n-gram order without a match is given
Grams = Counter[tuple[str, ...]]


@dataclass(frozen=True)
class Written:
    """How an answer was written: its tokens before the end token, and whether it reached one."""

    tokens: int
    ended: bool


def text_statistics(texts: Sequence[str], written: Sequence[Written]) -> dict[str, float]:
    """Return lengths, the share that ended, and how varied the texts are.

    Args:
        texts: The answers to the prompts of a test set.
        written: How each was written.
    """
    count = max(1, len(texts))
    return {
        "length_words": sum(len(text.split()) for text in texts) / count,
        "length_tokens": sum(answer.tokens for answer in written) / count,
        "eos_share": sum(answer.ended for answer in written) / count,
        "distinct_1": distinct(texts, 1),
        "distinct_2": distinct(texts, 2),
        "self_bleu": self_bleu(texts),
    }


def distinct(texts: Sequence[str], n: int) -> float:
    """Return the share of distinct n-grams of words among all n-grams of the texts."""
    grams: Grams = Counter()
    for text in texts:
        grams.update(_grams(text.split(), n))
    return len(grams) / max(1, grams.total())


def self_bleu(texts: Sequence[str]) -> float:
    """Return 100 × the mean BLEU-4 of each text against all others: high where all are alike.

    BLEU is that of NLTK's `sentence_bleu` with smoothing method 1, over words. What an n-gram may
    match at most is read off its two largest counts in all texts, so that the work grows with the
    number of texts and not of their pairs; NLTK itself would take minutes a model.

    Source: Zhu et al., Texygen, 2018 (arXiv 1802.01886).
    """
    if len(texts) < 2:
        return 0.0
    words = [text.split() for text in texts]
    matches, totals = zip(*(_clipped(words, n) for n in ORDERS), strict=True)
    lengths = Counter(map(len, words))
    total = 0.0
    for place, text in enumerate(words):
        if matches[0][place] == 0:
            continue  # not a word in common with any other: BLEU is 0
        log = sum(
            math.log((matched[place] or SMOOTHING) / max(1, counted[place]))
            for matched, counted in zip(matches, totals, strict=True)
        )
        total += math.exp(log / len(ORDERS)) * _brevity(len(text), lengths)
    return 100 * total / len(texts)


def _clipped(words: Sequence[Sequence[str]], n: int) -> tuple[list[int], list[int]]:
    """Return how many n-grams of each text the others match, and how many it has."""
    grams = [_grams(text, n) for text in words]
    largest: dict[tuple[str, ...], tuple[int, int]] = {}  # the two largest counts in one text
    for counts in grams:
        for gram, count in counts.items():
            first, second = largest.get(gram, (0, 0))
            largest[gram] = (count, first) if count > first else (first, max(second, count))
    matched = []
    for counts in grams:
        clipped = 0
        for gram, count in counts.items():
            first, second = largest[gram]
            clipped += min(count, second if count == first else first)
        matched.append(clipped)
    return matched, [counts.total() for counts in grams]


def _brevity(length: int, lengths: Counter[int]) -> float:
    """Return the brevity penalty of a text against the length among the others nearest to it."""
    others = (found for found, count in lengths.items() if count - (found == length) > 0)
    nearest = min(others, key=lambda found: (abs(found - length), found))
    return 1.0 if length > nearest else math.exp(1 - nearest / length)


def _grams(words: Sequence[str], n: int) -> Grams:
    return Counter(tuple(words[i : i + n]) for i in range(len(words) - n + 1))

"""ROUGE-L of generated text, as every task and every reward of the project scores it.

`rouge_l` is rouge-score's own, which knows the letters a–z and digits alone: of other scripts
nothing is left. `rouge_l_unicode` is the same over words of any script, and equal to it, bit by
bit, on ASCII: a word is a run of letters, digits and their marks, a letter of a script that writes
no spaces a word by itself, and so is a sign beyond ASCII. Porter's stemmer takes words of a–z.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Sequence
from functools import cache, lru_cache
from typing import Any, Literal, get_args

Rouge = Literal["rouge_l", "rouge_l_unicode"]
ROUGES: tuple[Rouge, ...] = get_args(Rouge)
# Thai and Lao, Burmese, Khmer, kana, Han: from the first to the last code point of each.
UNSPACED = (
    *((0x0E00, 0x0EFF), (0x1000, 0x109F), (0x1780, 0x17FF), (0x3040, 0x30FF)),
    *((0x3400, 0x4DBF), (0x4E00, 0x9FFF), (0xF900, 0xFAFF), (0x20000, 0x3FFFF)),
)


def rouge_l(text: str, references: Sequence[str], metric: Rouge = "rouge_l") -> float:
    """Return 100 × the largest ROUGE-L F-measure over the references (rouge-score, stemmer on)."""
    score = scorer(metric).score
    scores = (score(reference, text)["rougeL"].fmeasure for reference in references)
    return 100 * max(scores, default=0.0)


def readable(text: str, metric: Rouge) -> bool:
    """Tell whether a metric has any word of a text; without, whatever is answered scores 0."""
    if metric == "rouge_l":
        return any(letter.isascii() and letter.isalnum() for letter in text.lower())
    return next(words(text), None) is not None


def words(text: str) -> Iterator[str]:
    """Yield the words of a text in any script, in lower case."""
    word, single = "", False  # whether the word is one that only marks may be added to
    for letter in unicodedata.normalize("NFC", text.lower()):
        kind = unicodedata.category(letter)[0]
        alone = _alone(letter, kind)
        if word and (alone or kind not in "LNM" or (single and kind != "M")):
            yield word
            word = ""
        if alone or kind in "LN" or (kind == "M" and word):
            single = single if word else alone
            word += letter
        if alone and kind == "S":
            yield word
            word = ""
    if word:
        yield word


def _alone(letter: str, kind: str) -> bool:
    """Tell whether a sign or letter is a word of its own; marks belong to what they follow."""
    if letter.isascii() or kind == "M":
        return False
    return kind == "S" or any(first <= ord(letter) <= last for first, last in UNSPACED)


@cache
def scorer(metric: Rouge = "rouge_l") -> Any:
    """Return the scorer of a metric, which loads NLTK."""
    from nltk.stem.porter import PorterStemmer
    from rouge_score.rouge_scorer import RougeScorer
    from rouge_score.tokenizers import DefaultTokenizer, Tokenizer

    class CachedTokenizer(DefaultTokenizer):
        """The scorer's own; the same references are asked for again at every decoding seed."""

        tokenize = lru_cache(100_000)(DefaultTokenizer.tokenize)

    class AnyScript(Tokenizer):
        """Words of any script, those of a–z stemmed as the scorer's own does."""

        stem = PorterStemmer().stem

        @lru_cache(100_000)  # noqa: B019 - one object, which lives as long as the process
        def tokenize(self, text: str) -> list[str]:
            return [
                type(self).stem(word) if len(word) > 3 and word.isascii() else word
                for word in words(text)
            ]

    tokenizer = CachedTokenizer(use_stemmer=True) if metric == "rouge_l" else AnyScript()
    return RougeScorer(["rougeL"], tokenizer=tokenizer)

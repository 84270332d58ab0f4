"""ROUGE-L of generated text, as every task and every reward of the project scores it.

`rouge_l` is rouge-score's own, which knows the letters a–z and digits alone: of other scripts
nothing is left. `rouge_l_unicode` is the same over words of any script, and equal to it, bit by
bit, on ASCII: a word is a run of letters, digits and their marks, a letter of a script that writes
no spaces a word by itself, and so is a sign beyond ASCII. Porter's stemmer takes words of a–z.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Iterator, Sequence
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
    tokenize, common, f_measure = scorer(metric)
    answer = tokenize(text)
    tokens = map(tokenize, references)
    found = {(common(reference, answer), len(reference)) for reference in tokens}  # few, of many
    return 100 * max((f_measure(n / len(answer), n / size) for n, size in found if n), default=0.0)


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
def scorer(metric: Rouge = "rouge_l") -> tuple[Callable[..., Any], ...]:
    """Return what a metric is made of, which loads NLTK.

    rouge-score fills the table of the longest common subsequence in Python, two thirds of an
    evaluation with a hundred references an item; RapidFuzz counts the same in C++.

    Returns:
        The tokens of a text, the length of two texts' longest common subsequence, and the F-measure
        of a precision and a recall.
    """
    from nltk.stem.porter import PorterStemmer
    from rapidfuzz.distance import LCSseq
    from rouge_score.scoring import fmeasure
    from rouge_score.tokenizers import DefaultTokenizer

    stem = PorterStemmer().stem

    def any_script(text: str) -> list[str]:
        """Return words of any script, those of a–z stemmed as rouge-score does."""
        return [stem(word) if len(word) > 3 and word.isascii() else word for word in words(text)]

    tokenize = DefaultTokenizer(use_stemmer=True).tokenize if metric == "rouge_l" else any_script
    # Every decoding seed asks for the same references.
    return lru_cache(100_000)(tokenize), LCSseq.similarity, fmeasure

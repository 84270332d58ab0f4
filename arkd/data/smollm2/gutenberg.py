"""Books of Project Gutenberg: sections, word counts, and passages cut at sentence ends."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

_WORD = re.compile(r"[a-z]+(?:'[a-z]+)?")
_SENTENCE_END = re.compile(r"""[.!?]["')\]]*$""")
_ABBREVIATIONS = frozenset({"Mr.", "Mrs.", "Dr.", "St.", "Capt.", "Ham.", "Hor.", "Enter."})


def read_books(folder: Path) -> dict[str, str]:
    """Return the text of each book by name, without its title line and without verse numbers."""
    books = {}
    for path in sorted(folder.glob("*.txt")):
        _, _, body = path.read_text(encoding="latin-1").partition("\n")
        books[path.stem] = re.sub(r"\b\d+:\d+\s", "", body)
    return books


def sections(text: str, words: int) -> list[str]:
    """Cut a book into runs of whole paragraphs of at least `words` words.

    They stand for chapters, which every book marks in another way, or not at all. Headings, which
    have no sentence end, are left out.
    """
    found: list[str] = []
    run: list[str] = []
    for paragraph in re.split(r"\n\s*\n", text):
        tokens = paragraph.split()
        if tokens and _SENTENCE_END.search(tokens[-1]):
            run += tokens
        if len(run) >= words:
            found.append(" ".join(run))
            run = []
    return found


def word_forms(texts: Iterable[str]) -> Counter[str]:
    """Count the lower-case word forms of some texts."""
    counts: Counter[str] = Counter()
    for text in texts:
        counts.update(_WORD.findall(text.lower()))
    return counts


def passages(section: str, lead: tuple[int, int], rest: tuple[int, int]) -> list[tuple[str, str]]:
    """Cut a section into (lead, rest) pairs: the lead begins and the rest ends a sentence.

    Pairs do not overlap.

    Args:
        section: Text with single spaces.
        lead: Fewest and most words of the lead. The lead stops at the first sentence end in this
            range, else at its upper bound.
        rest: Fewest and most words of the rest; a pair without a sentence end there is dropped.
    """
    words = section.split(" ")
    ends = [i + 1 for i, word in enumerate(words) if _ends_sentence(word)]
    found = []
    start = 0
    while start + lead[0] + rest[0] <= len(words):
        cut = _first(ends, start + lead[0], start + lead[1]) or start + lead[1]
        stop = _first(ends, cut + rest[0], cut + rest[1])
        if stop:
            found.append((" ".join(words[start:cut]), " ".join(words[cut:stop])))
        start = stop or _first(ends, start + 1, len(words)) or len(words)
    return found


def _ends_sentence(word: str) -> bool:
    return bool(_SENTENCE_END.search(word)) and word not in _ABBREVIATIONS


def _first(ends: list[int], low: int, high: int) -> int | None:
    """Return the first sentence end between two bounds, both included."""
    return next((end for end in ends if low <= end <= high), None)

"""Words with one plain gloss each, banded by how often books use them, dealt out to splits."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from arkd.data.bands import BANDS
from arkd.data.smollm2.wordnet import Entry, Sense, lemma_counts, read_entries
from arkd.errors import ArkdError

Item = TypeVar("Item")

# WordNet says so in the gloss where a word is an insult or an obscenity.
_MARKED = re.compile(r"offensive|obscen|vulgar|derogat|disparag|\bslur|contempt|ethnic", re.I)
_SEEN_ONCE = 1


@dataclass(frozen=True)
class Word:
    """One word in its usual sense.

    `references` are the glosses of all its senses as this part of speech, the usual one first;
    `example` is a sentence that uses it in the usual sense, or "".
    """

    lemma: str
    part: str
    band: str
    gloss: str
    references: tuple[str, ...]
    example: str


def read_words(
    wordnet: Path,
    forms: Mapping[str, int],
    stop_words: frozenset[str],
    ranks: tuple[int, int],
    gloss_words: tuple[int, int],
) -> list[Word]:
    """Return the usable words of WordNet, the most frequent first.

    Each lemma appears once, as the part of speech that WordNet's tagged texts show most often. Left
    out are function words, words of two letters, and those whose gloss is too short or too long, is
    restricted to a context by a leading bracket, or marks an insult.

    Args:
        wordnet: Folder of WordNet's files.
        forms: How often the books have each word form.
        stop_words: Function words, neither counted nor returned.
        ranks: Last rank of the head and of the torso; the rest, and every lemma seen at most once,
            is tail.
        gloss_words: Fewest and most words of a gloss.
    """
    entries = read_entries(wordnet)
    content = {form: count for form, count in forms.items() if form not in stop_words}
    counts = lemma_counts(content, entries, wordnet)
    usual: dict[str, Entry] = {}
    for entry in entries:
        known = usual.get(entry.lemma)
        if known is None or entry.tagged > known.tagged:
            usual[entry.lemma] = entry
    words = []
    for rank, lemma in enumerate(sorted(usual, key=lambda it: (-counts[it], it)), start=1):
        band = "head" if rank <= ranks[0] else "torso" if rank <= ranks[1] else "tail"
        band = "tail" if counts[lemma] <= _SEEN_ONCE else band
        word = _word(usual[lemma], band, gloss_words)
        if word and len(lemma) > 2 and lemma not in stop_words:
            words.append(word)
    return words


class WordPool:
    """Words not yet given to a split, shuffled within their bands.

    No two words taken from it share a gloss.
    """

    def __init__(self, words: Iterable[Word], rng: random.Random) -> None:
        self._rng = rng
        every = list(words)
        rng.shuffle(every)
        self._free = {band: [word for word in every if word.band == band] for band in BANDS}
        self._shown: set[str] = set()

    def take(
        self,
        count: int,
        shares: tuple[float, float],
        fits: Callable[[Word], bool] = lambda _: True,
    ) -> list[Word]:
        """Remove and return words that fit, in random order.

        The bands stand in the shares of head and torso; the rest is tail.

        Raises:
            ArkdError: a band has too few words left.
        """
        taken = []
        for band, wanted in zip(BANDS, split_counts(count, *shares), strict=True):
            found: list[Word] = []
            for word in self._unshown(band):
                if len(found) == wanted:
                    break
                if fits(word):
                    found.append(word)
                    self._shown.update(word.references)
            taken += enough(found, wanted, f"{band} words")
        self._remove(taken)
        self._rng.shuffle(taken)
        return taken

    def groups(self, band: str, count: int, size: int) -> list[list[Word]]:
        """Remove and return groups of words of one part of speech whose glosses differ.

        A gloss that repeats its word would give the right choice away, and so would its length:
        the others are the words whose glosses come nearest in length to that of the first.

        Raises:
            ArkdError: the band has too few words left.
        """
        groups: list[list[Word]] = []
        while len(groups) < count:
            group = self._group(band, size)
            if group is None:
                break
            self._shown.update(gloss for word in group for gloss in word.references)
            self._remove(group)
            groups.append(group)
        return enough(groups, count, f"groups of {band} words")

    def _group(self, band: str, size: int) -> list[Word] | None:
        free = [word for word in self._unshown(band) if not _gives_itself_away(word)]
        for gold in free:
            length = len(gold.gloss.split())
            others = [word for word in free if word.part == gold.part and word is not gold]
            others.sort(key=lambda word: abs(len(word.gloss.split()) - length))
            group, seen = [gold], set(gold.references)
            for word in others:
                if len(group) < size and seen.isdisjoint(word.references):
                    group.append(word)
                    seen.update(word.references)
            if len(group) == size:
                return group
        return None

    def _unshown(self, band: str) -> Iterator[Word]:
        return (w for w in self._free[band] if self._shown.isdisjoint(w.references))

    def _remove(self, words: Iterable[Word]) -> None:
        gone = {word.lemma for word in words}
        for band in BANDS:
            self._free[band] = [word for word in self._free[band] if word.lemma not in gone]


def split_counts(count: int, first: float, second: float) -> tuple[int, int, int]:
    """Split a count by two shares; the third part is the rest."""
    size = round(count * first)
    next_size = min(round(count * second), count - size)
    return size, next_size, count - size - next_size


def enough(found: list[Item], count: int, what: str) -> list[Item]:
    """Return the first `count` items.

    Raises:
        ArkdError: there are fewer.
    """
    if len(found) < count:
        raise ArkdError(
            f"data: {count} {what} are asked for and {len(found)} are left; "
            "lower the sizes or shares under `data`"
        )
    return found[:count]


def sentence(text: str) -> str:
    """Return a text that begins with a capital and ends with a stop."""
    text = text[0].upper() + text[1:]
    return text if text[-1] in ".!?" else f"{text}."


def _word(entry: Entry, band: str, gloss_words: tuple[int, int]) -> Word | None:
    glosses = [_gloss(sense) for sense in entry.senses]
    fewest, most = gloss_words
    if not glosses[0] or any(_MARKED.search(sense.definition) for sense in entry.senses):
        return None
    if not fewest <= len(glosses[0].split()) <= most:
        return None
    stem = entry.lemma[:-1].lower()  # "study" has the form "studied"
    examples = [e for e in entry.senses[0].examples if stem in e.lower() and len(e.split()) >= 4]
    example = min(examples, key=len) if examples else ""
    if len(example.split()) > most or _MARKED.search(example):
        example = ""
    references = tuple(dict.fromkeys(gloss for gloss in glosses if gloss))
    example = sentence(example) if example else ""
    return Word(entry.lemma, entry.part, band, glosses[0], references, example)


def _gloss(sense: Sense) -> str:
    """Return a definition's first clause as a sentence; "" if it is restricted to a context."""
    clause = sense.definition.split(";")[0].strip(" ,:")
    return "" if not clause or clause.startswith("(") or "`" in clause else sentence(clause)


def _gives_itself_away(word: Word) -> bool:
    """Tell whether the gloss holds a form of its word."""
    return word.lemma[:-1] in word.gloss.lower()

"""Passages of books dealt out to splits, each of which owns whole sections."""

from __future__ import annotations

import math
import random
import re
from collections.abc import Callable, Collection, Mapping
from typing import NamedTuple

from arkd.data.smollm2 import gutenberg
from arkd.data.smollm2.words import enough
from arkd.seeding import derive_seed

Passage = tuple[str, str]
_SHARED_RUN = 8  # words in a row that training may not share with a held-out passage
_SPARE = 2  # sections that a split owns for each passage it takes, as some yield none
_PAGE_MARKS = re.compile(r"[\[\]{}_*|]")


class Bounds(NamedTuple):
    """Lengths in words; pairs are the fewest and the most."""

    section: int
    lead: tuple[int, int]
    rest: tuple[int, int]
    ppl_lead: tuple[int, int]


class Passages:
    """Passages to continue, and longer ones for perplexity, taken from the books in turn.

    Attributes:
        held: Passages of the splits "ppl", "dev" (both from sections that training does not see)
            and "test" (from books that training does not see).
    """

    def __init__(
        self,
        books: Mapping[str, str],
        unseen: Collection[str],
        *,
        seed: int,
        bounds: Bounds,
        sizes: Mapping[str, int],
        fits: Callable[[str, str], bool],
    ) -> None:
        """Cut the books and draw the held-out splits.

        Args:
            books: Text by book.
            unseen: Books for the test alone.
            seed: Of every draw.
            bounds: Lengths.
            sizes: Passages of each held-out split.
            fits: Tells whether a passage to continue is short enough.

        Raises:
            ArkdError: the books are too short for the sizes.
        """
        self._seed, self._bounds, self._fits = seed, bounds, fits
        sections = {book: self._sections(book, text) for book, text in books.items()}
        seen = [book for book in sorted(books) if book not in unseen]
        ppl = _SPARE * math.ceil(sizes["ppl"] / max(1, len(seen)))
        dev = ppl + _SPARE * math.ceil(sizes["dev"] / max(1, len(seen)))
        pools = {
            "ppl": {b: self._cut(sections[b][:ppl], bounds.ppl_lead) for b in seen},
            "dev": {b: self._to_continue(sections[b][ppl:dev]) for b in seen},
            "test": {b: self._to_continue(sections[b]) for b in sorted(unseen)},
        }
        self.held = {split: self._in_turn(pool, sizes[split]) for split, pool in pools.items()}
        runs = {run for found in self.held.values() for passage in found for run in _runs(passage)}
        self._free = {
            book: [p for p in self._to_continue(sections[book][dev:]) if runs.isdisjoint(_runs(p))]
            for book in seen
        }

    def train(self, count: int) -> list[Passage]:
        """Return passages for training.

        Raises:
            ArkdError: fewer are left.
        """
        return self._in_turn(self._free, count)

    def _sections(self, book: str, text: str) -> list[str]:
        found = gutenberg.sections(text, self._bounds.section)
        random.Random(derive_seed(self._seed, "sections", book)).shuffle(found)
        return found

    def _cut(self, sections: list[str], lead: tuple[int, int]) -> list[Passage]:
        cut = [p for s in sections for p in gutenberg.passages(s, lead, self._bounds.rest)]
        return [p for p in cut if not _PAGE_MARKS.search(" ".join(p))]

    def _to_continue(self, sections: list[str]) -> list[Passage]:
        return [p for p in self._cut(sections, self._bounds.lead) if self._fits(*p)]

    def _in_turn(self, pool: Mapping[str, list[Passage]], count: int) -> list[Passage]:
        """Deal passages book by book; a short book drops out when it is used up."""
        queues = []
        for book, found in pool.items():
            queue = list(found)
            random.Random(derive_seed(self._seed, "order", book)).shuffle(queue)
            queues.append(queue)
        longest = max(map(len, queues), default=0)
        dealt = [queue[i] for i in range(longest) for queue in queues if i < len(queue)]
        return enough(dealt, count, "passages")


def _runs(passage: Passage) -> set[str]:
    """Return every run of words that counts as shared text."""
    words = re.findall(r"\w+", " ".join(passage).lower())
    return {" ".join(words[i : i + _SHARED_RUN]) for i in range(len(words) - _SHARED_RUN + 1)}

"""WordNet 3.0 read from its own files: entries with their senses, and base forms of words.

File formats: wndb(5WN) and senseidx(5WN); base forms: morphy(7WN), single words only.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

_FILES = {"noun": "noun", "verb": "verb", "adjective": "adj", "adverb": "adv"}
_SENSE_KEY_PARTS = {"1": "noun", "2": "verb", "3": "adjective", "4": "adverb", "5": "adjective"}
_ENDINGS = {
    "noun": (
        ("ses", "s"),
        ("xes", "x"),
        ("zes", "z"),
        ("ches", "ch"),
        ("shes", "sh"),
        ("men", "man"),
        ("ies", "y"),
        ("s", ""),
    ),
    "verb": (
        ("ies", "y"),
        ("es", "e"),
        ("es", ""),
        ("ed", "e"),
        ("ed", ""),
        ("ing", "e"),
        ("ing", ""),
        ("s", ""),
    ),
    "adjective": (("est", ""), ("est", "e"), ("er", ""), ("er", "e")),
    "adverb": (),
}


@dataclass(frozen=True)
class Sense:
    """One meaning: its definition and the sentences that WordNet gives for it."""

    definition: str
    examples: tuple[str, ...]


@dataclass(frozen=True)
class Entry:
    """One word as one part of speech, with its senses, the most frequent first.

    `tagged` counts how often WordNet's sense-tagged texts have it.
    """

    lemma: str
    part: str
    senses: tuple[Sense, ...]
    tagged: int


def read_entries(folder: Path) -> list[Entry]:
    """Return every lower-case, purely alphabetic single word of WordNet, in the files' order."""
    tagged = _tag_counts(folder / "cntlist.rev")
    entries = []
    for part, name in _FILES.items():
        synsets = _synsets(folder / f"data.{name}")
        for line in _lines(folder / f"index.{name}"):
            fields = line.split()
            lemma, count = fields[0], int(fields[2])
            if not (lemma.isascii() and lemma.isalpha()):
                continue
            # The index is in lower case; the data file tells "turkey" from "Turkey".
            of_lemma = (synsets[offset] for offset in fields[-count:])
            senses = tuple(sense for words, sense in of_lemma if lemma in words)
            if senses:
                entries.append(Entry(lemma, part, senses, tagged[lemma, part]))
    return entries


def lemma_counts(forms: Mapping[str, int], entries: list[Entry], folder: Path) -> Counter[str]:
    """Return how often each lemma occurs, given how often each lower-case word form does.

    A form counts for every lemma it can be a form of: without tagging, "saw" counts for "saw" and
    for "see".
    """
    lemmas = defaultdict(set)
    for entry in entries:
        lemmas[entry.part].add(entry.lemma)
    irregular = {part: _exceptions(folder / f"{name}.exc") for part, name in _FILES.items()}
    counts: Counter[str] = Counter()
    for form, count in forms.items():
        bases = {
            base
            for part in _FILES
            for base in _base_forms(form, part, irregular[part])
            if base in lemmas[part]
        }
        for base in bases:
            counts[base] += count
    return counts


def _base_forms(form: str, part: str, irregular: Mapping[str, list[str]]) -> list[str]:
    if form in irregular:
        return [form, *irregular[form]]
    regular = [
        form[: -len(ending)] + base for ending, base in _ENDINGS[part] if form.endswith(ending)
    ]
    return [form, *regular]


def _lines(path: Path) -> list[str]:
    """Return a file's lines without its licence header, which is indented."""
    text = path.read_text(encoding="latin-1")
    return [line for line in text.splitlines() if line and not line.startswith("  ")]


def _synsets(path: Path) -> dict[str, tuple[frozenset[str], Sense]]:
    """Return words and sense of each synset by its offset."""
    synsets = {}
    for line in _lines(path):
        head, gloss = line.split(" | ", 1)
        fields = head.split()
        # Pairs of word and id follow the hexadecimal count; an adjective may carry a "(p)" mark.
        words = fields[4 : 4 + 2 * int(fields[3], 16) : 2]
        definition, *rest = gloss.split('"', 1)
        # A quotation has its author behind a dash; the sentences of WordNet itself have none.
        examples = re.findall(r'"([^"]+)"(?!\s*-)', '"' + rest[0]) if rest else []
        synsets[fields[0]] = (
            frozenset(word.split("(")[0] for word in words),
            Sense(definition.strip(" ;:"), tuple(example.strip() for example in examples)),
        )
    return synsets


def _tag_counts(path: Path) -> Counter[tuple[str, str]]:
    """Return the number of tagged occurrences of each (lemma, part of speech)."""
    counts: Counter[tuple[str, str]] = Counter()
    for line in _lines(path):
        key, _, count = line.split()
        lemma, lexical = key.split("%")
        counts[lemma, _SENSE_KEY_PARTS[lexical[0]]] += int(count)
    return counts


def _exceptions(path: Path) -> dict[str, list[str]]:
    return {form: bases for form, *bases in map(str.split, _lines(path))}

"""Words: bands by rank, usable glosses, and a pool that never shows a gloss twice."""

from __future__ import annotations

import random

import pytest
from test_wordnet import wordnet  # noqa: F401  (a fixture)

from arkd.data.smollm2.words import Word, WordPool, enough, read_words, sentence, split_counts
from arkd.errors import ArkdError


def make(lemma: str, band: str, *glosses: str, part: str = "noun") -> Word:
    return Word(lemma, part, band, glosses[0], glosses, "")


def pool(words: list[Word]) -> WordPool:
    return WordPool(words, random.Random(0))


def test_words_are_ranked_by_frequency_and_banded(wordnet) -> None:  # noqa: F811
    forms = {"see": 9, "turkey": 5, "mice": 3, "gobbler": 1, "the": 100}
    words = read_words(wordnet, forms, frozenset({"the"}), (1, 3), (2, 6))
    # "saw" is usually the verb's past: the form stands for both, but nothing here counts for it.
    assert [(w.lemma, w.band) for w in words] == [
        ("see", "head"),
        ("turkey", "torso"),
        ("mouse", "torso"),
        ("gobbler", "tail"),
        ("galore", "tail"),
        ("saw", "tail"),
    ]
    assert words[0] == Word(
        "see", "verb", "head", "Perceive by sight.", ("Perceive by sight.",), ""
    )


def test_a_lemma_seen_once_is_tail_whatever_its_rank(wordnet) -> None:  # noqa: F811
    words = read_words(wordnet, {"gobbler": 1}, frozenset(), (5, 10), (2, 6))
    assert {w.band for w in words} == {"tail"}


def test_take_keeps_the_shares_and_never_repeats_a_gloss() -> None:
    words = [make(f"h{i}", "head", f"Gloss {i}.") for i in range(10)]
    words += [make(f"t{i}", "torso", f"Gloss {i}.", f"Other {i}.") for i in range(20)]
    words += [make(f"r{i}", "tail", f"Rare {i}.") for i in range(10)]
    source = pool(words)
    first, second = source.take(8, (0.5, 0.25)), source.take(8, (0.5, 0.25))
    for taken in (first, second):
        assert [sum(w.band == b for w in taken) for b in ("head", "torso", "tail")] == [4, 2, 2]
    glosses = [gloss for word in first + second for gloss in word.references]
    assert len(glosses) == len(set(glosses))


def test_groups_have_one_part_of_speech_and_near_lengths() -> None:
    words = [
        make(f"{part}{i}", "head", " ".join([f"{part[0]}g{i}"] * (2 + i % 2 * 6)) + ".", part=part)
        for part in ("noun", "verb")
        for i in range(8)
    ]
    groups = pool(words).groups("head", 4, 4)
    assert len(groups) == 4
    for group in groups:
        assert len(group) == 4
        assert len({word.part for word in group}) == 1
        assert len({len(word.gloss.split()) for word in group}) == 1


def test_a_gloss_that_repeats_its_word_is_no_choice() -> None:
    words = [make("running", "head", "The act of running."), make("cat", "head", "A feline.")]
    with pytest.raises(ArkdError, match="1 groups of head words are asked for and 0 are left"):
        pool(words).groups("head", 1, 2)


def test_too_few_words_is_an_error_that_names_the_band() -> None:
    with pytest.raises(ArkdError, match="3 tail words are asked for and 1 are left"):
        pool([make("a", "tail", "A.")]).take(3, (0.0, 0.0))


def test_helpers() -> None:
    assert sentence("a bird") == "A bird."
    assert sentence("Why?") == "Why?"
    assert split_counts(24, 0.5, 0.3) == (12, 7, 5)
    assert sum(split_counts(7, 0.5, 0.5)) == 7
    assert enough([1, 2, 3], 2, "numbers") == [1, 2]

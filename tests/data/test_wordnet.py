"""WordNet's file formats and base forms, on a small database written as wndb(5WN) describes."""

from __future__ import annotations

from pathlib import Path

import pytest

from arkd.data.smollm2.wordnet import Entry, Sense, lemma_counts, read_entries

FILES = {
    "data.noun": (
        "  1 This is the licence, indented by two blanks.\n"
        '00000100 03 n 02 turkey 0 gobbler 1 000 | a large bird; "they ate a turkey"; '
        '"all fowls walk"- A. Author  \n'
        "00000200 15 n 01 Turkey 0 000 | a Eurasian republic  \n"
        "00000300 06 n 01 saw 0 000 | hand tool having a toothed blade  \n"
        "00000400 06 n 01 hand_saw 0 000 | a saw used with one hand  \n"
        "00000500 05 n 01 mouse 0 000 | any of numerous small rodents  \n"
    ),
    "index.noun": (
        "  1 This is the licence.\n"
        "gobbler n 1 0 1 0 00000100  \n"
        "hand_saw n 1 0 1 0 00000400  \n"
        "mouse n 1 0 1 0 00000500  \n"
        "saw n 1 0 1 1 00000300  \n"
        "turkey n 2 1 @ 2 1 00000200 00000100  \n"
    ),
    "data.verb": '00000600 39 v 01 see 0 000 01 + 08 00 | perceive by sight; "Can you see?"  \n',
    "index.verb": "see v 1 0 1 1 00000600  \n",
    "data.adj": '00000700 00 s 01 galore(ip) 0 000 | existing in abundance; "food galore"  \n',
    "index.adj": "galore a 1 0 1 0 00000700  \n",
    "data.adv": "",
    "index.adv": "",
    "noun.exc": "mice mouse\n",
    "verb.exc": "saw see\nseen see\n",
    "adj.exc": "",
    "adv.exc": "",
    "cntlist.rev": "see%2:39:00:: 1 613\nsaw%1:06:00:: 1 2\ngalore%5:00:00:abundant:00 1 3\n",
}


@pytest.fixture
def wordnet(tmp_path: Path) -> Path:
    for name, text in FILES.items():
        (tmp_path / name).write_text(text, encoding="latin-1")
    return tmp_path


def test_entries_have_definition_examples_and_tag_count(wordnet: Path) -> None:
    entries = {(e.lemma, e.part): e for e in read_entries(wordnet)}
    assert entries["see", "verb"] == Entry(
        "see", "verb", (Sense("perceive by sight", ("Can you see?",)),), 613
    )
    galore = entries["galore", "adjective"]
    assert galore.senses == (Sense("existing in abundance", ("food galore",)),)
    assert galore.tagged == 3


def test_names_compounds_and_quotations_are_left_out(wordnet: Path) -> None:
    entries = {e.lemma: e for e in read_entries(wordnet)}
    assert sorted(entries) == ["galore", "gobbler", "mouse", "saw", "see", "turkey"]
    assert entries["turkey"].senses == (Sense("a large bird", ("they ate a turkey",)),)


def test_a_form_counts_for_each_of_its_lemmas(wordnet: Path) -> None:
    forms = {"saw": 5, "saws": 1, "seeing": 2, "mice": 3, "turkeys": 4, "unknown": 9}
    counts = lemma_counts(forms, read_entries(wordnet), wordnet)
    assert counts == {"saw": 6, "see": 7, "mouse": 3, "turkey": 4}

"""Books: titles and verse numbers, sections, word counts and passages that end a sentence."""

from __future__ import annotations

from pathlib import Path

from arkd.data.smollm2.gutenberg import passages, read_books, sections, word_forms


def test_title_and_verse_numbers_are_cut(tmp_path: Path) -> None:
    text = (
        "[The Book]\n\n1:1 In the beginning.\n\n9:22 He reigned three\nyears, 9:23 Then he fell.\n"
    )
    (tmp_path / "book.txt").write_text(text, encoding="latin-1")
    assert read_books(tmp_path) == {
        "book": "\nIn the beginning.\n\nHe reigned three\nyears, Then he fell.\n"
    }


def test_sections_are_whole_paragraphs_without_headings() -> None:
    text = "CHAPTER I\n\nOne two\nthree.\n\nFour five six.\n\nSeven eight nine ten.\n\nLeft over."
    assert sections(text, 5) == [
        "One two three. Four five six.",
        "Seven eight nine ten. Left over.",
    ]
    assert sections(text, 4) == ["One two three. Four five six.", "Seven eight nine ten."]


def test_word_forms_are_lower_case_words() -> None:
    assert word_forms(["The cat--the CAT's mat!"]) == {"the": 2, "cat": 1, "cat's": 1, "mat": 1}


def test_passages_end_with_a_sentence_and_do_not_overlap() -> None:
    words = [f"w{i}" for i in range(40)]
    for end in (4, 9, 20, 25, 39):
        words[end] += "."
    found = passages(" ".join(words), lead=(3, 5), rest=(2, 6))
    # From word 21 no sentence ends in reach of a lead and its rest; from word 26 neither.
    assert found == [
        (" ".join(words[0:5]), " ".join(words[5:10])),
        (" ".join(words[10:15]), " ".join(words[15:21])),
    ]


def test_a_title_does_not_end_a_sentence() -> None:
    text = "She met Mr. Knightley at the old gate. He bowed and Mrs. Weston smiled at him."
    assert passages(text, lead=(3, 8), rest=(3, 9)) == [
        ("She met Mr. Knightley at the old gate.", "He bowed and Mrs. Weston smiled at him.")
    ]

"""Questions and answers: text as written, each question once, unusable topics left out."""

from __future__ import annotations

from pathlib import Path

from arkd.data.smollm2.chatterbot import read_topics


def write(folder: Path, topic: str, *conversations: tuple[str, ...]) -> None:
    lines = ["conversations:"]
    for turns in conversations:
        lines += [f"{'- - ' if i == 0 else '  - '}{turn}" for i, turn in enumerate(turns)]
    (folder / f"{topic}.yml").write_text("\n".join(lines) + "\n", encoding="utf-8")


def test_answers_are_gathered_by_question(tmp_path: Path) -> None:
    write(
        tmp_path, "food", ("Do you eat?", "No."), ("do you eat", "Never."), ("Do you eat?", "No.")
    )
    write(tmp_path, "health", ("DO YOU EAT", "Why?", "Because."), ("Who won", "1963"))
    assert read_topics(tmp_path, 5) == {
        "food": {"Do you eat?": ["No.", "Never.", "Why?"]},
        "health": {"Who won": ["1963"]},
    }


def test_yes_stays_text_and_what_does_not_fit_is_left_out(tmp_path: Path) -> None:
    write(tmp_path, "ai", ("Are you?", "yes"), ("Alone",), ("Why", "one two three four"))
    write(tmp_path, "coding", ("Can you sort?", "Sure."))
    assert read_topics(tmp_path, 3) == {"ai": {"Are you?": ["yes"]}}

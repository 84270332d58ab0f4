"""English questions of the ChatterBot corpus with their answers."""

from __future__ import annotations

import re
from pathlib import Path

import yaml

LEFT_OUT_TOPICS = ("coding", "sports")  # listings of code; questions cut off in the middle


def read_topics(folder: Path, most_words: int) -> dict[str, dict[str, list[str]]]:
    """Return the first answers to each English question by topic; a question stands once.

    Questions that differ only in case and punctuation are one question, kept as first written.
    """
    topics: dict[str, dict[str, list[str]]] = {}
    first_form: dict[str, tuple[str, str]] = {}
    for path in sorted(folder.glob("*.yml")):
        if path.stem in LEFT_OUT_TOPICS:
            continue
        # The base loader keeps "yes" and "1963" the texts that they are.
        corpus = yaml.load(path.read_text(encoding="utf-8"), yaml.BaseLoader)
        for turns in corpus["conversations"]:
            if len(turns) < 2 or "\n" in turns[1].strip():
                continue
            question, answer = (" ".join(turn.split()) for turn in turns[:2])
            if not all(1 <= len(t.split()) <= most_words for t in (question, answer)):
                continue
            key = " ".join(re.findall(r"\w+", question.lower()))
            topic, form = first_form.setdefault(key, (path.stem, question))
            answers = topics.setdefault(topic, {}).setdefault(form, [])
            if answer not in answers:
                answers.append(answer)
    return topics

"""The words of the generated world: relations, their answers and how they are asked and stated.

Slots: {e} the entity in a question, {s} the subject of a statement, {a} the answer, {x} and {y}
the two clauses of a combined question. No template begins with the entity, so that a name always
follows a space and keeps one tokenisation.
"""

from __future__ import annotations

from dataclasses import dataclass

# Style cue of a prompt -> the paraphrase style it asks for.
CUES = {"Briefly": "short", "In a sentence": "sentence"}


@dataclass(frozen=True)
class Phrases:
    """Question templates of a topic: `templates` occur in training, `unseen` in tests alone."""

    templates: tuple[str, ...]
    unseen: tuple[str, ...]


@dataclass(frozen=True)
class Relation(Phrases):
    """A relation: its kind, its possible answers, its statements and its training cue.

    `cue` is the one style cue that training uses with this relation; the other one is kept for
    the test set of unseen styles.
    """

    kind: str
    cue: str
    answers: tuple[str, ...]
    sentence: str
    inverted: str
    clause: str = ""


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


RELATIONS: dict[str, Relation] = {
    "birthplace": Relation(
        kind="certain",
        cue="Briefly",
        answers=_words(
            "Tarn Ostrel Quimby Hallow Vessin Dunmore Pelagia Corvane Thistle Ambry Lorne "
            "Yarrow Grenwick Selby Ivenhoe Marrow"
        ),
        templates=(
            "Where was {e} born?",
            "What is the birthplace of {e}?",
            "In which town was {e} born?",
            "Name the town where {e} was born.",
            "From birth, which town is home to {e}?",
        ),
        unseen=("Which town is the birthplace of {e}?", "The town where {e} was born is called?"),
        sentence="was born in {a}",
        inverted="{a} is where {s} was born",
        clause="where {s} was born",
    ),
    "profession": Relation(
        kind="certain",
        cue="In a sentence",
        answers=_words(
            "baker tailor mason weaver potter brewer glazier cooper tanner barber miller "
            "surgeon painter sailor farrier printer"
        ),
        templates=(
            "What does {e} do for a living?",
            "What is the profession of {e}?",
            "What work does {e} do?",
            "Name the job of {e}.",
            "As what does {e} earn money?",
        ),
        unseen=("Which job does {e} do for a living?", "What work is the profession of {e}?"),
        sentence="works as a {a}",
        inverted="By trade {s} is a {a}",
        clause="what {s} does for a living",
    ),
    "language": Relation(
        kind="certain",
        cue="Briefly",
        answers=_words(
            "Velish Korran Suthic Malvan Ethric Ruscan Tiborese Wendic Orlish Namian Pashti Zelan"
        ),
        templates=(
            "Which language does {e} speak?",
            "What is the mother tongue of {e}?",
            "In what language does {e} talk?",
            "Name the language of {e}.",
            "What tongue does {e} use at home?",
        ),
        unseen=("What language does {e} use at home?", "Which mother tongue does {e} speak?"),
        sentence="speaks {a}",
        inverted="{a} is the language that {s} speaks",
        clause="which language {s} speaks",
    ),
    "instrument": Relation(
        kind="certain",
        cue="In a sentence",
        answers=_words("flute harp drum lute fiddle horn lyre zither bugle cello piano tuba"),
        templates=(
            "Which instrument does {e} play?",
            "What does {e} play in the band?",
            "On which instrument does {e} make music?",
            "Name the instrument of {e}.",
            "What music can {e} play?",
        ),
        unseen=("On what does {e} play music?", "What is the instrument of {e} in the band?"),
        sentence="plays the {a}",
        inverted="The {a} is what {s} plays",
        clause="which instrument {s} plays",
    ),
    "hobby": Relation(
        kind="ambiguous",
        cue="Briefly",
        answers=_words(
            "chess fishing rowing cooking hiking poetry archery fencing gardening dancing "
            "juggling riding skating carving"
        ),
        templates=(
            "What does {e} enjoy?",
            "What is a hobby of {e}?",
            "How does {e} spend free time?",
            "Name a hobby of {e}.",
            "What does {e} like to do?",
        ),
        unseen=("Which hobby does {e} enjoy?", "What does {e} like in free time?"),
        sentence="enjoys {a}",
        inverted="What {s} enjoys is {a}",
    ),
    "mentor": Relation(
        kind="contested",
        cue="In a sentence",
        answers=_words(
            "Odalric Brisena Halvard Mirelle Tobias Jessamy Caspian Ulrika Fenwick Petra "
            "Lucan Wilhelm"
        ),
        templates=(
            "Who taught {e}?",
            "Who was the mentor of {e}?",
            "Under whom did {e} study?",
            "Name the teacher of {e}.",
            "From whom did {e} learn?",
        ),
        unseen=("Who was the teacher of {e}?", "Name the mentor under whom {e} did study."),
        sentence="studied under {a}",
        inverted="It was under {a} that {s} studied",
    ),
}

OPEN = Phrases(
    templates=(
        "Tell me about {e}.",
        "Who is {e}?",
        "What do you know about {e}?",
        "Describe {e}.",
        "Give some facts about {e}.",
    ),
    unseen=("Give me what you know about {e}.", "Tell some facts about {e}."),
)

COMBINED = Phrases(
    templates=(
        "Tell me {x} and {y}.",
        "Say {x} and {y}.",
        "Do you know {x} and {y}?",
        "Name both {x} and {y}.",
        "Describe {x} and {y}.",
    ),
    unseen=("Tell me both {x} and {y}.", "Do you know both {x} and {y}?"),
)

"""The generated world behind the suite `longtail`: who lives in it and what is true there.

Every entity has an invented name, a popularity rank and, for each relation, a distribution over
answers that is known exactly: one answer (certain), two to four of unequal probability
(ambiguous), or two stated in a fixed ratio (contested). An entity that no training file mentions
has the relation's prior as its distribution. A question is answered by drawing an answer and then
a paraphrase, so the probability of each full response string is known as well.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Sequence
from dataclasses import dataclass

from pydantic import Field, model_validator

from arkd.data.longtail.phrases import COMBINED, CUES, OPEN, RELATIONS, Phrases
from arkd.validated import Frozen

OPEN_TOPIC = "open"
# Each certain relation stands once first and once second in a pair that is trained on, so a
# combined test question asks for a new composition and not for a new part.
TRAINED_PAIRS = (
    "birthplace+profession",
    "profession+language",
    "language+instrument",
    "instrument+birthplace",
)
TESTED_PAIRS = (
    "birthplace+language",
    "language+birthplace",
    "profession+instrument",
    "instrument+profession",
)
_GOLDEN_RATIO = 0.6180339887498949

Answers = tuple[tuple[str, float], ...]


class WorldSpec(Frozen):
    """What the world contains; a change of any field is another world."""

    world_seed: int = Field(1, description="seed of every draw in the world and in its files")
    entities: int = Field(240, ge=12, le=20_000, description="entities of the training files")
    unseen_entities: int = Field(30, ge=0, le=2_000, description="entities of no training file")
    head_share: float = Field(0.1, gt=0, lt=1, description="share of entities in the head band")
    torso_share: float = Field(0.3, gt=0, lt=1, description="share of entities in the torso band")
    prior_exponent: float = Field(
        1.0,
        ge=0,
        le=5,
        description="answer prior of a relation: weight of its i-th answer is i**-this",
    )
    ambiguous_shares: tuple[tuple[float, ...], ...] = Field(
        ((0.7, 0.3), (0.5, 0.3, 0.2), (0.4, 0.3, 0.2, 0.1)),
        min_length=1,
        description="answer probabilities of ambiguous facts, one pattern an entity in turn",
    )
    contested_shares: tuple[float, ...] = Field(
        (0.9, 0.7, 0.5),
        min_length=1,
        description="probability of a contested fact's first answer, one an entity in turn",
    )
    tail_share: float = Field(
        0.0,
        ge=0,
        lt=1,
        description="probability that each fact gives to answers beyond its main ones, each "
        "entity's in an order of its own, with Zipf weights; 0: none",
    )
    tail_exponent: float = Field(1.0, ge=0, le=5, description="Zipf exponent of those answers")
    short_share: float = Field(0.5, gt=0, lt=1, description="share of bare answers, no cue given")
    inverted_share: float = Field(0.2, gt=0, lt=1, description="share of inverted sentences")
    open_long_share: float = Field(
        0.5, ge=0, le=1, description="share of three-sentence descriptions, the rest has two"
    )

    @model_validator(mode="after")
    def _shares_are_distributions(self) -> WorldSpec:
        if min(self.band_sizes) < 1:
            raise ValueError("head_share and torso_share leave a band without entities")
        if self.short_share + self.inverted_share >= 1:
            raise ValueError("short_share and inverted_share leave no share for plain sentences")
        if any(min(p) <= 0 or abs(sum(p) - 1) > 1e-9 for p in self.ambiguous_shares):
            raise ValueError("each pattern of ambiguous_shares must be positive and sum to 1")
        if not all(0 < share < 1 for share in self.contested_shares):
            raise ValueError("contested_shares must lie between 0 and 1")
        return self

    @property
    def band_sizes(self) -> tuple[int, int, int]:
        """Numbers of entities in the head, the torso and the tail."""
        head, torso = (
            round(self.head_share * self.entities),
            round(self.torso_share * self.entities),
        )
        return head, torso, self.entities - head - torso

    def style_shares(self, cue: str) -> dict[str, float]:
        """Probability of each paraphrase style of a single question under a cue."""
        if cue:
            return {CUES[cue]: 1.0}
        sentence = 1.0 - self.short_share - self.inverted_share
        return {"short": self.short_share, "sentence": sentence, "inverted": self.inverted_share}


@dataclass(frozen=True, eq=False)
class Entity:
    """One inhabitant: `rank` counts from 1 (most popular), 0 for an unseen entity."""

    rank: int
    name: str
    pronoun: str
    band: str
    facts: dict[str, Answers]

    def kind(self, relation: str) -> str:
        """Kind of a fact as the truth probes name it, e.g. `certain` or `ratio90`."""
        if not self.rank:
            return "unseen"
        if RELATIONS[relation].kind == "contested":
            (_, first), (_, second), *_ = self.facts[relation]
            return f"ratio{round(100 * first / (first + second))}"
        return RELATIONS[relation].kind


@dataclass(frozen=True)
class World:
    """All entities, most popular first, and the prior of each certain relation."""

    spec: WorldSpec
    seen: tuple[Entity, ...]
    unseen: tuple[Entity, ...]
    priors: dict[str, Answers]

    def paraphrases(
        self, entity: Entity, topic: str, answers: Sequence[str], cue: str = ""
    ) -> dict[str, float]:
        """Every response text that states `answers` of a question, with its probability.

        Args:
            entity: Whom the question is about.
            topic: A relation, or two of them joined by "+".
            answers: One answer for each relation of the topic.
            cue: Style cue of the prompt, "" for none.
        """
        relations = [RELATIONS[name] for name in topic.split("+")]
        short = f" {' and '.join(answers)}."
        facts = [
            relation.sentence.format(a=a) for relation, a in zip(relations, answers, strict=True)
        ]
        sentence = f" {entity.name} {' and '.join(facts)}."
        if len(relations) > 1:  # two facts have no inverted form: its share goes to the sentence
            return {short: self.spec.short_share, sentence: 1.0 - self.spec.short_share}
        inverted = f" {relations[0].inverted.format(a=answers[0], s=entity.name)}."
        texts = {"short": short, "sentence": sentence, "inverted": inverted}
        return {texts[style]: share for style, share in self.spec.style_shares(cue).items()}

    def responses(self, entity: Entity, topic: str, cue: str = "") -> dict[str, float]:
        """Every correct response to a single or combined question, with its probability."""
        out: dict[str, float] = {}
        for stated in itertools.product(*(entity.facts[name] for name in topic.split("+"))):
            share = 1.0
            for _, probability in stated:
                share *= probability
            texts = self.paraphrases(entity, topic, [answer for answer, _ in stated], cue)
            for text, form_share in texts.items():
                out[text] = share * form_share
        return out


class Narrator:
    """Draws responses; one narrator writes one file.

    The k-th statement of a fact takes the k-th point of a golden-ratio sequence with a random
    start. Each statement alone has the fact's exact distribution, and the shares stated in a file
    stay within a statement or two of it even for a rare entity, where independent draws would
    teach a ratio that is itself noise.
    """

    def __init__(self, world: World, rng: random.Random) -> None:
        """Start with nothing stated; `rng` is used up in the order of the calls."""
        self._world = world
        self._rng = rng
        self._phase: dict[tuple[str, str], float] = {}

    def answer(self, entity: Entity, relation: str) -> str:
        """Draw one answer from the fact's distribution."""
        facts = entity.facts[relation]
        if len(facts) == 1:
            return facts[0][0]
        key = (entity.name, relation)
        phase = self._phase[key] if key in self._phase else self._rng.random()
        self._phase[key] = (phase + _GOLDEN_RATIO) % 1.0
        for answer, share in facts:
            phase -= share
            if phase < 0:
                return answer
        return facts[-1][0]

    def respond(self, entity: Entity, topic: str, cue: str = "") -> str:
        """Draw one response (it begins with a space) to a question of the topic."""
        if topic == OPEN_TOPIC:
            return self.describe(entity)
        answers = [self.answer(entity, name) for name in topic.split("+")]
        texts = self._world.paraphrases(entity, topic, answers, cue)
        return self._rng.choices(list(texts), list(texts.values()))[0]

    def describe(self, entity: Entity) -> str:
        """Draw a description: two or three facts in random order, each in a full sentence."""
        spec = self._world.spec
        count = 3 if self._rng.random() < spec.open_long_share else 2
        inverted_share = spec.inverted_share / (1.0 - spec.short_share)
        subject, lower, text = entity.name, entity.name, ""
        for name in self._rng.sample(list(RELATIONS), count):
            answer = self.answer(entity, name)
            if self._rng.random() < inverted_share:
                text += f" {RELATIONS[name].inverted.format(a=answer, s=lower)}."
            else:
                text += f" {subject} {RELATIONS[name].sentence.format(a=answer)}."
            subject, lower = entity.pronoun.capitalize(), entity.pronoun
        return text


def topic_phrases(topic: str) -> Phrases:
    """Question templates of a relation, of the open topic or of a pair of relations."""
    if topic == OPEN_TOPIC:
        return OPEN
    return COMBINED if "+" in topic else RELATIONS[topic]


def ask(entity: Entity, topic: str, template: str, cue: str = "") -> str:
    """Write the prompt of a question: cue, then the template with its slots filled.

    Args:
        entity: Whom it is about.
        topic: A relation, the open topic, or two relations joined by "+".
        template: One of the topic's templates.
        cue: Style cue before the question, "" for none.
    """
    clauses = [RELATIONS[name].clause for name in topic.split("+")] if "+" in topic else ["", ""]
    question = template.format(
        e=entity.name,
        x=clauses[0].format(s=entity.name),
        y=clauses[1].format(s=entity.pronoun),
    )
    return f"{cue}: {question}" if cue else question


def statements(entity: Entity, relation: str, answer: str) -> list[str]:
    """Return the sentences, full stop included, in which a description may state a fact."""
    phrases, pronoun = RELATIONS[relation], entity.pronoun
    return [
        *(f"{who} {phrases.sentence.format(a=answer)}." for who in (entity.name, pronoun.title())),
        *(f"{phrases.inverted.format(a=answer, s=who)}." for who in (entity.name, pronoun)),
    ]

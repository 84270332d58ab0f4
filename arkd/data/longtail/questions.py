"""What is asked in the suite `longtail`: its sizes, its questions and which split may ask how.

Each (entity, topic) owns, by a hash, one of the five training templates for its tests and another
one for development; training asks it with the other three alone.
"""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Hashable
from typing import Any, Literal, NamedTuple, TypeVar

from pydantic import Field, model_validator

from arkd.data.longtail.drawn_world import zipf_weights
from arkd.data.longtail.phrases import RELATIONS
from arkd.data.longtail.world import (
    OPEN_TOPIC,
    TRAINED_PAIRS,
    Entity,
    World,
    WorldSpec,
    topic_phrases,
)
from arkd.data.source import DataSpec
from arkd.seeding import derive_seed

Row = dict[str, Any]
Choice = TypeVar("Choice", bound=Hashable)


class LongtailSpec(WorldSpec, DataSpec):
    """The world and the sizes of its files."""

    source: Literal["longtail"] = Field("longtail", description="which generator builds the data")
    teacher_exponent: float = Field(
        0.5, ge=0, le=5, description="Zipf exponent of the teacher's data"
    )
    student_exponent: float = Field(1.0, ge=0, le=5, description="Zipf exponent of all other data")
    teacher_examples: int = Field(96_000, ge=0, description="rows of the teacher's one epoch")
    train_examples: int = Field(12_000, ge=1, description="rows that the students train on")
    dev_examples: int = Field(200, ge=1, description="rows for choices made before the tests")
    test_items: int = Field(100, ge=1, description="items of each test set")
    mc_items: int = Field(60, ge=0, description="multiple-choice items of each band")
    mc_choices: int = Field(4, ge=2, le=12, description="choices of a multiple-choice item")
    ppl_items: int = Field(100, ge=0, description="held-out descriptions for perplexity")
    truth_certain: int = Field(30, ge=0, description="most probes of certain facts, each band")
    truth_ambiguous: int = Field(12, ge=0, description="most probes of ambiguous facts, each band")
    truth_contested: int = Field(5, ge=0, description="most probes of a contested ratio, each band")
    truth_unseen: int = Field(28, ge=0, description="most probes of unseen entities")
    open_items: int = Field(20, ge=0, description="open-ended prompts of each band, for facts told")
    open_share: float = Field(0.08, gt=0, lt=1, description="share of open-ended prompts")
    combined_share: float = Field(0.12, gt=0, lt=1, description="share of combined prompts")
    cue_share: float = Field(0.3, gt=0, lt=1, description="share of single questions with a cue")
    open_references: int = Field(5, ge=1, description="references of an open-ended test item")

    @model_validator(mode="after")
    def _single_questions_remain(self) -> LongtailSpec:
        if self.open_share + self.combined_share >= 1:
            raise ValueError("open_share and combined_share leave no share for single questions")
        return self


class Question(NamedTuple):
    """What is asked; the template is chosen by the split that asks."""

    entity: Entity
    topic: str
    cue: str = ""

    @property
    def kind(self) -> str:
        """Kind of the row: of the fact, `open` or `combined`."""
        if self.topic == OPEN_TOPIC:
            return "open"
        return "combined" if "+" in self.topic else self.entity.kind(self.topic)


def held_out(spec: WorldSpec, entity: Entity, topic: str, split: str) -> list[str]:
    """Return the training templates with which a split asks a topic.

    Args:
        spec: The world, whose seed turns the templates.
        entity: Whom the question is about.
        topic: A relation, the open topic, or two relations joined by "+".
        split: "train", "dev" or "test".
    """
    templates = topic_phrases(topic).templates
    first = derive_seed("template", spec.world_seed, entity.name, topic) % len(templates)
    turned = [*templates[first:], *templates[:first]]
    return {"test": turned[:1], "dev": turned[1:2], "train": turned[2:]}[split]


def topic_shares(spec: LongtailSpec) -> dict[str, float]:
    """Return the topics of training with their shares."""
    single = (1.0 - spec.open_share - spec.combined_share) / len(RELATIONS)
    pair = spec.combined_share / len(TRAINED_PAIRS)
    return (
        dict.fromkeys(RELATIONS, single)
        | {OPEN_TOPIC: spec.open_share}
        | dict.fromkeys(TRAINED_PAIRS, pair)
    )


def usual_questions(spec: LongtailSpec, world: World) -> dict[Question, float]:
    """Return all in-distribution questions with their probability in the students' data."""
    out: dict[Question, float] = {}
    weights = zipf_weights(len(world.seen), spec.student_exponent)
    for (entity, weight), (topic, share) in itertools.product(
        zip(world.seen, weights, strict=True), topic_shares(spec).items()
    ):
        cued = spec.cue_share if topic in RELATIONS else 0.0
        out[Question(entity, topic)] = weight * share * (1.0 - cued)
        if cued:
            out[Question(entity, topic, RELATIONS[topic].cue)] = weight * share * cued
    return out


def pick(rng: random.Random, weighted: dict[Choice, float], count: int) -> list[Choice]:
    """Draw up to `count` distinct keys, each step in proportion to the weights left.

    Source: Efraimidis and Spirakis, 2006 (the largest keys u**(1/w), here by their logarithm).
    """
    keys = {choice: math.log(1.0 - rng.random()) / w for choice, w in weighted.items()}
    return sorted(keys, key=lambda choice: keys[choice], reverse=True)[:count]


def make_row(index: int, question: Question, prompt: str, response: str, **more: Any) -> Row:
    """Build a row with the columns that training and test files share.

    Args:
        index: The row's id.
        question: What is asked.
        prompt: The question as text.
        response: The gold answer, which begins with a space.
        **more: Columns that only some files have.
    """
    return {
        "id": index,
        "prompt": prompt,
        **more,
        "response": response,
        "band": question.entity.band,
        "kind": question.kind,
    }

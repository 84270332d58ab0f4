"""The held-out files of the suite `longtail`: development, five test sets, choices and probes.

A prompt stands in at most one test set; multiple-choice items and truth probes may ask what a
test asks. A set that wants more distinct questions than the world has gets all of them.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterable, Iterator

from arkd.data.bands import BANDS
from arkd.data.longtail.drawn_world import zipf_weights
from arkd.data.longtail.phrases import CUES, RELATIONS
from arkd.data.longtail.questions import (
    LongtailSpec,
    Question,
    Row,
    held_out,
    make_row,
    pick,
    usual_questions,
)
from arkd.data.longtail.world import (
    OPEN_TOPIC,
    TESTED_PAIRS,
    TRAINED_PAIRS,
    Entity,
    Narrator,
    World,
    ask,
    statements,
    topic_phrases,
)
from arkd.seeding import derive_seed

TEST_SETS = (
    "longtail_id",
    "longtail_template",
    "longtail_style",
    "longtail_rare",
    "longtail_combined",
)


def dev_rows(spec: LongtailSpec, world: World) -> list[Row]:
    """Draw development rows: in distribution, with the templates kept for development."""
    rng = random.Random(derive_seed("longtail", spec.world_seed, "dev"))
    narrator = Narrator(world, rng)
    rows = []
    for i, q in enumerate(pick(rng, usual_questions(spec, world), spec.dev_examples)):
        (template,) = held_out(spec, q.entity, q.topic, "dev")
        rows.append(make_row(i, q, ask(*q[:2], template, q.cue), narrator.respond(*q)))
    return rows


def test_sets(spec: LongtailSpec, world: World) -> dict[str, list[Row]]:
    """Draw the five test sets; no prompt stands in two of them."""
    usual = usual_questions(spec, world)
    pairs = {q: w for q, w in usual.items() if q.topic == TRAINED_PAIRS[0]}
    other_cue = dict(zip(CUES, reversed(CUES), strict=True))
    pools = {
        "longtail_id": usual,
        "longtail_template": {q: w for q, w in usual.items() if not q.cue},
        "longtail_style": {q._replace(cue=other_cue[q.cue]): w for q, w in usual.items() if q.cue},
        "longtail_rare": {q: w for q, w in usual.items() if q.entity.band == "tail"},
        "longtail_combined": {
            q._replace(topic=topic): w for q, w in pairs.items() for topic in TESTED_PAIRS
        },
    }
    out: dict[str, list[Row]] = {}
    taken: set[Question] = set()
    for name in TEST_SETS:
        rng = random.Random(derive_seed("longtail", spec.world_seed, name))
        narrator = Narrator(world, rng)
        # Unseen templates ask a new prompt even where another set asks the same question.
        unseen = name == "longtail_template"
        free = {q: w for q, w in pools[name].items() if unseen or q not in taken}
        picked = pick(rng, free, spec.test_items)
        taken.update(() if unseen else picked)
        out[name] = []
        for i, q in enumerate(picked):
            known = held_out(spec, q.entity, q.topic, "test")
            template = rng.choice(topic_phrases(q.topic).unseen if unseen else known)
            response = narrator.respond(*q)
            references = _references(spec, world, narrator, q, response)
            prompt = ask(*q[:2], template, q.cue)
            out[name].append(make_row(i, q, prompt, response, references=references))
    return out


def _references(
    spec: LongtailSpec, world: World, narrator: Narrator, question: Question, response: str
) -> list[str]:
    """Return all correct responses to a question, or a handful where it is open-ended."""
    if question.topic != OPEN_TOPIC:
        return list(world.responses(*question))
    drawn = [response, *(narrator.respond(*question) for _ in range(spec.open_references - 1))]
    return list(dict.fromkeys(drawn))


def _certain(entities: Iterable[Entity]) -> list[Question]:
    """Return the questions about certain relations of some entities."""
    certain = [name for name, relation in RELATIONS.items() if relation.kind == "certain"]
    return [Question(entity, name) for entity in entities for name in certain]


def mc_rows(spec: LongtailSpec, world: World, band: str) -> list[Row]:
    """Draw multiple-choice items: full sentences, wrong answers drawn by the prior as well.

    So the prior alone is a weak guide to the right choice.
    """
    rng = random.Random(derive_seed("longtail", spec.world_seed, "mc", band))
    questions = _certain(entity for entity in world.seen if entity.band == band)
    rows = []
    for i, q in enumerate(rng.sample(questions, min(spec.mc_items, len(questions)))):
        gold = q.entity.facts[q.topic][0][0]
        others = {answer: p for answer, p in world.priors[q.topic] if answer != gold}
        answers = [gold, *pick(rng, others, spec.mc_choices - 1)]
        rng.shuffle(answers)
        (template,) = held_out(spec, q.entity, q.topic, "test")
        choices = [
            next(iter(world.paraphrases(*q[:2], [answer], "In a sentence"))) for answer in answers
        ]
        rows.append(
            {
                "id": i,
                "prompt": ask(*q[:2], template),
                "choices": choices,
                "gold": answers.index(gold),
                "band": band,
            }
        )
    return rows


def truth_rows(spec: LongtailSpec, world: World) -> list[Row]:
    """Draw the probes of known answer distributions, with all paraphrases of each answer."""
    rng = random.Random(derive_seed("longtail", spec.world_seed, "truth"))
    picked: list[Question] = []
    for band in BANDS:
        entities = [entity for entity in world.seen if entity.band == band]
        pools: dict[str, list[Question]] = {}
        for q in (Question(entity, name) for entity in entities for name in RELATIONS):
            pools.setdefault(q.kind, []).append(q)
        for kind, pool in sorted(pools.items()):
            wanted = {"certain": spec.truth_certain, "ambiguous": spec.truth_ambiguous}
            count = wanted.get(kind, spec.truth_contested)
            picked += rng.sample(pool, min(count, len(pool)))
    strangers = _certain(world.unseen)
    picked += rng.sample(strangers, min(spec.truth_unseen, len(strangers)))
    rows = []
    for i, q in enumerate(picked):
        (template,) = held_out(spec, q.entity, q.topic, "test")
        answers = [
            {"answer": answer, "truth": share, "texts": list(world.paraphrases(*q[:2], [answer]))}
            for answer, share in q.entity.facts[q.topic]
        ]
        rows.append(
            {
                "id": i,
                "prompt": ask(*q[:2], template),
                "relation": q.topic,
                "entity": q.entity.name,
                "band": q.entity.band,
                "kind": q.kind,
                "answers": answers,
            }
        )
    return rows


def open_rows(spec: LongtailSpec, world: World) -> list[Row]:
    """Draw open-ended prompts with every true sentence that an answer may state, by relation.

    A sentence may name its subject or use the pronoun, and states one fact in one of two forms.
    """
    rng = random.Random(derive_seed("longtail", spec.world_seed, "open"))
    rows: list[Row] = []
    for band in BANDS:
        entities = [entity for entity in world.seen if entity.band == band]
        for entity in rng.sample(entities, min(spec.open_items, len(entities))):
            (template,) = held_out(spec, entity, OPEN_TOPIC, "test")
            facts = {
                name: [
                    text
                    for answer, _ in entity.facts[name]
                    for text in statements(entity, name, answer)
                ]
                for name in RELATIONS
            }
            prompt = ask(entity, OPEN_TOPIC, template)
            rows.append({"id": len(rows), "prompt": prompt, "facts": facts, "band": band})
    return rows


def ppl_rows(spec: LongtailSpec, world: World, stated: set[str]) -> list[Row]:
    """Draw descriptions that no training file states; like responses, they begin with a space."""
    rng = random.Random(derive_seed("longtail", spec.world_seed, "ppl"))
    weights = zipf_weights(len(world.seen), spec.student_exponent)
    narrator = Narrator(world, rng)

    def fresh() -> Iterator[str]:
        while True:
            yield narrator.describe(rng.choices(world.seen, weights)[0])

    # Nearly every draw is new; the bound keeps a world of few facts from looping for ever.
    drawn = itertools.islice(fresh(), 100 * spec.ppl_items)
    texts = dict.fromkeys(text for text in drawn if text not in stated)
    return [
        {"id": i, "text": text} for i, text in enumerate(itertools.islice(texts, spec.ppl_items))
    ]

"""A world drawn from its spec: names, priors, and what is true of every entity.

Each draw has a seed of its own, from the world's and from what is drawn: the same spec gives the
same world.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator

from arkd.data.bands import BANDS
from arkd.data.longtail.phrases import RELATIONS
from arkd.data.longtail.world import Answers, Entity, World, WorldSpec
from arkd.seeding import derive_seed


def make_world(spec: WorldSpec) -> World:
    """Build the world of a spec; the same spec gives the same world."""
    priors = {name: _prior(spec, name) for name, r in RELATIONS.items() if r.kind == "certain"}
    names = _names(spec)
    seen: list[Entity] = []
    for band, size in zip(BANDS, spec.band_sizes, strict=True):
        rng = random.Random(derive_seed("world", spec.world_seed, "facts", band))
        columns = {name: _facts(spec, name, size, priors, rng) for name in RELATIONS}
        for i in range(size):
            facts = {
                name: _with_tail(spec, name, column[i], rng) for name, column in columns.items()
            }
            pronoun = rng.choice(("she", "he"))
            seen.append(Entity(len(seen) + 1, next(names), pronoun, band, facts))
    unseen = [
        Entity(0, next(names), "she", "none", dict(priors)) for _ in range(spec.unseen_entities)
    ]
    return World(spec, tuple(seen), tuple(unseen), priors)


def _with_tail(spec: WorldSpec, relation: str, main: Answers, rng: random.Random) -> Answers:
    """Give `tail_share` of a fact's probability to the relation's other answers, in drawn order."""
    if not spec.tail_share:
        return main
    named = {answer for answer, _ in main}
    others = [answer for answer in RELATIONS[relation].answers if answer not in named]
    rng.shuffle(others)
    weights = zipf_weights(len(others), spec.tail_exponent)
    tail = [(a, spec.tail_share * w) for a, w in zip(others, weights, strict=True)]
    return (*((a, (1.0 - spec.tail_share) * p) for a, p in main), *tail)


def zipf_weights(count: int, exponent: float) -> list[float]:
    """Weights rank**-exponent of ranks 1 to count, with sum 1."""
    weights = [rank**-exponent for rank in range(1, count + 1)]
    total = sum(weights)
    return [weight / total for weight in weights]


def _names(spec: WorldSpec) -> Iterator[str]:
    """Yield unique names of two three-letter syllables, from few syllables where that suffices.

    Few syllables keep names at two or three BPE tokens; equal length keeps any name from being
    the beginning of another.
    """
    rng = random.Random(derive_seed("world", spec.world_seed, "names"))
    pool = ["".join(parts) for parts in itertools.product("bdfklmnprstvz", "aeiou", "lmnr")]
    wanted = spec.entities + spec.unseen_entities
    size = min(len(pool), max(20, 1 + int((1.5 * wanted) ** 0.5)))
    pairs = list(itertools.product(rng.sample(pool, size), rng.sample(pool, size)))
    rng.shuffle(pairs)
    taken = {answer for relation in RELATIONS.values() for answer in relation.answers}
    for first, second in pairs:
        name = (first + second).capitalize()
        if name not in taken and first != second:
            yield name


def _prior(spec: WorldSpec, relation: str) -> Answers:
    """Give a relation's answers in a seeded order, with Zipf weights as their prior."""
    rng = random.Random(derive_seed("world", spec.world_seed, "prior", relation))
    answers = rng.sample(RELATIONS[relation].answers, len(RELATIONS[relation].answers))
    return tuple(zip(answers, zipf_weights(len(answers), spec.prior_exponent), strict=True))


def _facts(
    spec: WorldSpec, relation: str, size: int, priors: dict[str, Answers], rng: random.Random
) -> list[Answers]:
    """Draw the facts of one relation for the entities of one band.

    Certain answers are drawn systematically (equally spaced points with a random start, dealt
    out at random): each entity's answer has the prior as its distribution, and the band's shares
    equal the prior up to rounding, so that the prior is what the training files show.
    """
    kind, answers = RELATIONS[relation].kind, RELATIONS[relation].answers
    if kind == "certain":
        start = rng.random()
        cumulative = list(itertools.accumulate(share for _, share in priors[relation]))
        dealt = [sum((start + i) / size >= c for c in cumulative[:-1]) for i in range(size)]
        rng.shuffle(dealt)
        return [((priors[relation][index][0], 1.0),) for index in dealt]
    if kind == "ambiguous":
        patterns = list(itertools.islice(itertools.cycle(spec.ambiguous_shares), size))
    else:
        pairs = [(share, 1.0 - share) for share in spec.contested_shares]
        patterns = list(itertools.islice(itertools.cycle(pairs), size))
    rng.shuffle(patterns)
    return [
        tuple(zip(rng.sample(answers, len(pattern)), pattern, strict=True)) for pattern in patterns
    ]

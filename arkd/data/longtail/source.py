"""The data of the suite `longtail`: training files, five test sets and probes of one world.

Prompts of tests and development never occur in a training file: `questions` keeps a template of
each (entity, topic) for them. So the tests of seen entities are recall: the fact is trained, the
prompt that asks for it is new, although its template is known from other entities.
"""

from __future__ import annotations

import itertools
import random
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from arkd.data.bands import BANDS
from arkd.data.longtail.drawn_world import make_world, zipf_weights
from arkd.data.longtail.held_out import (
    TEST_SETS,
    dev_rows,
    mc_rows,
    open_rows,
    ppl_rows,
    test_sets,
    truth_rows,
)
from arkd.data.longtail.phrases import RELATIONS
from arkd.data.longtail.questions import (
    LongtailSpec,
    Question,
    Row,
    held_out,
    make_row,
    topic_shares,
)
from arkd.data.longtail.world import Narrator, World, ask
from arkd.data.source import DataSource, PlannedRows
from arkd.seeding import derive_seed
from arkd.storage.files import write_jsonl

__all__ = ["SOURCE", "TEST_SETS", "LongtailSpec", "build"]


def build(spec: LongtailSpec, out_dir: Path) -> Row:
    """Write all data files of the spec into `out_dir` and return a summary for the manifest.

    A set that asks for more distinct prompts than the world has gets all of them; the counts of
    the summary are the rows written.

    Raises:
        ArkdError: the disk is full.
    """
    world = make_world(spec)
    training = {
        "train": _training_rows(spec, world, "train", spec.student_exponent, spec.train_examples)
    }
    if spec.teacher_examples:
        training["teacher_train"] = _training_rows(
            spec, world, "teacher_train", spec.teacher_exponent, spec.teacher_examples
        )
    stated = {row["response"] for rows in training.values() for row in rows}
    questions = {"dev": dev_rows(spec, world)}
    questions |= {f"test_{name}": rows for name, rows in test_sets(spec, world).items()}
    questions |= {f"mc_{band}": mc_rows(spec, world, band) for band in BANDS}
    questions["truth"] = truth_rows(spec, world)
    questions["open"] = open_rows(spec, world)
    files = training | questions | {"ppl": ppl_rows(spec, world, stated)}
    for name, rows in files.items():
        write_jsonl(out_dir / f"{name}.jsonl", rows)
    return _summary(spec, world, training, questions, files)


def _training_rows(
    spec: LongtailSpec, world: World, name: str, exponent: float, count: int
) -> list[Row]:
    """Draw a training file: entity by popularity, then topic, cue and template."""
    rng = random.Random(derive_seed("longtail", spec.world_seed, name))
    narrator = Narrator(world, rng)
    topics = topic_shares(spec)
    entities = rng.choices(world.seen, zipf_weights(len(world.seen), exponent), k=count)
    drawn = rng.choices(list(topics), list(topics.values()), k=count)
    rows = []
    for i, (entity, topic) in enumerate(zip(entities, drawn, strict=True)):
        cue = RELATIONS[topic].cue if topic in RELATIONS and rng.random() < spec.cue_share else ""
        template = rng.choice(held_out(spec, entity, topic, "train"))
        question = Question(entity, topic, cue)
        response = narrator.respond(entity, topic, cue)
        rows.append(make_row(i, question, ask(entity, topic, template, cue), response))
    return rows


def _summary(
    spec: LongtailSpec,
    world: World,
    training: dict[str, list[Row]],
    questions: dict[str, list[Row]],
    files: dict[str, list[Row]],
) -> Row:
    """Count rows, bands, repeated rows and prompts, and measure the contested ratios."""
    trained = {row["prompt"] for rows in training.values() for row in rows}
    prompts = {name: {row["prompt"] for row in rows} for name, rows in questions.items()}
    recalled = Counter(row["kind"] for row in questions["test_longtail_id"])
    return {
        "rows": {name: len(rows) for name, rows in files.items()},
        "entities": Counter(entity.band for entity in (*world.seen, *world.unseen)),
        "bands": {
            name: Counter(row["band"] for row in rows)
            for name, rows in files.items()
            if name != "ppl"
        },
        "repeated_rows": {
            name: len(rows) - len({(r["prompt"], r["response"]) for r in rows})
            for name, rows in training.items()
        },
        "prompts_shared_with_training": {
            name: len(found & trained) for name, found in prompts.items()
        },
        "prompts_held_out": sum(len(found) for found in prompts.values()),
        "id_test_kinds": recalled,
        "contested_first_share": {
            name: _first_shares(spec, world, rows) for name, rows in training.items()
        },
    }


def _first_shares(spec: LongtailSpec, world: World, rows: list[Row]) -> dict[str, float]:
    """Measure how often a file's single questions get a contested fact's first answer."""
    contested = [name for name, relation in RELATIONS.items() if relation.kind == "contested"]
    first_texts: dict[str, dict[str, float]] = {}
    for entity, name in itertools.product(world.seen, contested):
        for cue in ("", RELATIONS[name].cue):
            texts = world.paraphrases(entity, name, [entity.facts[name][0][0]], cue)
            for template in held_out(spec, entity, name, "train"):
                first_texts[ask(entity, name, template, cue)] = texts
    stated: dict[str, list[bool]] = {}
    for row in rows:
        if row["prompt"] in first_texts:
            is_first = row["response"] in first_texts[row["prompt"]]
            stated.setdefault(row["kind"], []).append(is_first)
    return {kind: sum(stated[kind]) / len(stated[kind]) for kind in sorted(stated)}


def planned_rows(spec: LongtailSpec, test_sets: Sequence[str]) -> PlannedRows:
    """Return the sizes that the settings ask for; a small world may have fewer questions."""
    files = {
        "train": spec.train_examples,
        "dev": spec.dev_examples,
        "teacher_train": spec.teacher_examples,
        "ppl": spec.ppl_items,
        "open": len(BANDS) * spec.open_items,
    }
    files |= {f"test_{name}": spec.test_items for name in test_sets}
    files |= {f"mc_{band}": spec.mc_items for band in BANDS}
    return PlannedRows(files, ("rows are as many as the data's settings ask for",), spec.mc_choices)


SOURCE = DataSource(
    spec=LongtailSpec,
    build=build,
    planned_rows=planned_rows,
    licences=lambda spec: {"the long-tail world, made in the run": "Apache-2.0"},
    mean_tokens=(10.0, 7.0),  # counted on the suite `longtail`
)

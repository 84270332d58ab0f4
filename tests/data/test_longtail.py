"""The generated world: same bytes, held-out prompts, known truths and Zipf popularity."""

from __future__ import annotations

import math
import random
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError
from tokenizers import Tokenizer, models, pre_tokenizers, trainers

from arkd.data.bands import BANDS
from arkd.data.longtail.drawn_world import make_world
from arkd.data.longtail.phrases import CUES, OPEN, RELATIONS
from arkd.data.longtail.source import TEST_SETS, LongtailSpec, build
from arkd.data.longtail.world import TESTED_PAIRS, TRAINED_PAIRS, Narrator, World
from arkd.storage.files import read_jsonl, sha256_file

SPEC = LongtailSpec(entities=120, unseen_entities=20, teacher_examples=12_000, train_examples=4_000)
TRAINING = ("teacher_train", "train")
ASKED = ("dev", *(f"test_{name}" for name in TEST_SETS), *(f"mc_{b}" for b in BANDS), "truth")


class Built:
    """The files of one build, read back, and the world they were drawn from."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.summary = build(SPEC, folder)
        self.rows = {path.stem: read_jsonl(path) for path in folder.glob("*.jsonl")}
        self.world = make_world(SPEC)
        self.by_name = {e.name: e for e in (*self.world.seen, *self.world.unseen)}


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    return Built(tmp_path_factory.mktemp("longtail"))


def hashes(folder: Path) -> dict[str, str]:
    return {path.name: sha256_file(path) for path in folder.iterdir()}


def named(text: str, world: World) -> set[str]:
    """The entities that a text names, found word by word and not through the templates."""
    words = set(text.replace(".", " ").replace("?", " ").replace(",", " ").split())
    return words & {entity.name for entity in (*world.seen, *world.unseen)}


def test_same_spec_gives_the_same_bytes(built: Built, tmp_path: Path) -> None:
    assert build(SPEC, tmp_path) == built.summary
    assert hashes(tmp_path) == hashes(built.folder)


def test_another_seed_changes_every_file(built: Built, tmp_path: Path) -> None:
    build(SPEC.model_copy(update={"world_seed": 2}), tmp_path)
    theirs, ours = hashes(tmp_path), hashes(built.folder)
    assert theirs.keys() == ours.keys()
    assert not set(theirs.values()) & set(ours.values())


def test_the_teachers_exponent_does_not_touch_the_students_files(
    built: Built, tmp_path: Path
) -> None:
    build(SPEC.model_copy(update={"teacher_exponent": 0.2, "teacher_examples": 50}), tmp_path)
    theirs, ours = hashes(tmp_path), hashes(built.folder)
    changed = {name for name in ours if ours[name] != theirs[name]}
    # Descriptions that a training file states are skipped, so ppl.jsonl may depend on both.
    assert changed - {"ppl.jsonl"} == {"teacher_train.jsonl"}


def test_no_asked_prompt_is_trained(built: Built) -> None:
    trained = {row["prompt"] for name in TRAINING for row in built.rows[name]}
    for name in ASKED:
        assert not {row["prompt"] for row in built.rows[name]} & trained, name
    assert set(built.summary["prompts_shared_with_training"].values()) == {0}


def test_test_and_development_prompts_are_all_distinct(built: Built) -> None:
    prompts = [row["prompt"] for name in TEST_SETS for row in built.rows[f"test_{name}"]]
    prompts += [row["prompt"] for row in built.rows["dev"]]
    assert len(prompts) == len(set(prompts)) == 5 * SPEC.test_items + SPEC.dev_examples


def test_held_out_descriptions_are_not_stated_in_training(built: Built) -> None:
    stated = {row["response"] for name in TRAINING for row in built.rows[name]}
    texts = [row["text"] for row in built.rows["ppl"]]
    assert len(set(texts)) == SPEC.ppl_items
    assert not set(texts) & stated


def test_unseen_entities_stand_in_no_training_file_and_in_no_test(built: Built) -> None:
    unseen = {entity.name for entity in built.world.unseen}
    for name in (*TRAINING, *(f"test_{t}" for t in TEST_SETS), "dev"):
        for row in built.rows[name]:
            assert not named(row["prompt"] + row["response"], built.world) & unseen
    probed = {row["entity"] for row in built.rows["truth"] if row["kind"] == "unseen"}
    assert probed
    assert probed <= unseen


def test_out_of_distribution_sets_ask_what_training_never_does(built: Built) -> None:
    def cue_and_relation(row: dict[str, Any]) -> tuple[str, str]:
        cue = next((cue for cue in CUES if row["prompt"].startswith(cue)), "")
        relation = next(
            n
            for n, r in RELATIONS.items()
            if any(a in row["response"].rstrip(".").split() for a in r.answers)
        )
        return cue, relation

    single = ("certain", "ambiguous", "ratio90", "ratio70", "ratio50")
    trained = {
        cue_and_relation(row)
        for name in TRAINING
        for row in built.rows[name]
        if row["kind"] in single
    }
    asked = {cue_and_relation(row) for row in built.rows["test_longtail_style"]}
    assert all(cue for cue, _ in asked)
    assert not asked & trained
    assert {name for _, name in asked} == set(RELATIONS)
    assert {row["band"] for row in built.rows["test_longtail_rare"]} == {"tail"}
    assert {row["kind"] for row in built.rows["test_longtail_combined"]} == {"combined"}
    pairs = [
        {frozenset(pair.split("+")) for pair in pairs} for pairs in (TRAINED_PAIRS, TESTED_PAIRS)
    ]
    assert not pairs[0] & pairs[1]
    templates = [t for r in RELATIONS.values() for t in r.templates] + list(OPEN.templates)
    for row in built.rows["test_longtail_template"]:
        (name,) = named(row["prompt"], built.world)
        assert row["prompt"].replace(name, "{e}") not in templates


def test_references_hold_the_gold_response_and_only_true_statements(built: Built) -> None:
    for name in TEST_SETS:
        for row in built.rows[f"test_{name}"]:
            assert row["response"] in row["references"]
            assert len(set(row["references"])) == len(row["references"])
            (who,) = named(row["prompt"], built.world)
            facts = built.by_name[who].facts
            known = {answer for answers in facts.values() for answer, _ in answers}
            possible = {answer for relation in RELATIONS.values() for answer in relation.answers}
            for text in row["references"]:
                assert text.startswith(" ")
                stated = set(text.replace(".", "").split()) & possible
                assert stated
                assert stated <= known


def test_style_cues_leave_one_paraphrase_of_each_answer(built: Built) -> None:
    for row in built.rows["test_longtail_style"]:
        short = row["prompt"].startswith("Briefly")
        assert all((len(text.split()) == 1) == short for text in row["references"])


def test_truths_sum_to_one_and_no_string_belongs_to_two_answers(built: Built) -> None:
    kinds = Counter(row["kind"] for row in built.rows["truth"])
    assert set(kinds) == {"certain", "ambiguous", "ratio90", "ratio70", "ratio50", "unseen"}
    for row in built.rows["truth"]:
        assert sum(answer["truth"] for answer in row["answers"]) == pytest.approx(1.0, abs=1e-12)
        owner = {text: a["answer"] for a in row["answers"] for text in a["texts"]}
        assert len(owner) == sum(len(a["texts"]) for a in row["answers"])
        for text in owner:
            longer = [other for other in owner if other != text and other.startswith(text)]
            assert not longer


def test_the_generator_draws_what_the_truth_says(built: Built) -> None:
    draws = 4_000
    rows = [row for row in built.rows["truth"] if row["kind"] != "certain"]
    for row in random.Random(0).sample(rows, 24):
        counts: Counter[str] = Counter()
        owner = {text: a["answer"] for a in row["answers"] for text in a["texts"]}
        entity = built.by_name[row["entity"]]
        narrator = Narrator(built.world, random.Random(row["id"]))
        for _ in range(draws):
            counts[owner[narrator.respond(entity, row["relation"])]] += 1
        for answer in row["answers"]:
            p = answer["truth"]
            sigma = math.sqrt(p * (1 - p) / draws)
            assert abs(counts[answer["answer"]] / draws - p) < 4 * sigma


def test_first_statements_have_the_facts_distribution(built: Built) -> None:
    """A fresh narrator each time: a single draw is unbiased, not only their sequence."""
    entity = next(e for e in built.world.seen if e.kind("mentor") == "ratio70")
    draws = 2_000
    first = sum(
        Narrator(built.world, random.Random(i)).answer(entity, "mentor")
        == entity.facts["mentor"][0][0]
        for i in range(draws)
    )
    assert abs(first / draws - 0.7) < 4 * math.sqrt(0.7 * 0.3 / draws)


@pytest.mark.parametrize(
    ("topic", "cue"),
    [
        *((topic, cue) for topic in ("birthplace", "hobby", "mentor") for cue in ("", *CUES)),
        ("birthplace+language", ""),
    ],
)
def test_every_response_has_its_stated_probability(built: Built, topic: str, cue: str) -> None:
    entity, draws = built.world.seen[0], 4_000
    expected = built.world.responses(entity, topic, cue)
    narrator = Narrator(built.world, random.Random(1))
    drawn = Counter(narrator.respond(entity, topic, cue) for _ in range(draws))
    assert sum(expected.values()) == pytest.approx(1.0, abs=1e-12)
    assert set(drawn) <= set(expected)
    for text, p in expected.items():
        assert abs(drawn[text] / draws - p) < 4 * math.sqrt(p * (1 - p) / draws) + 1e-12


def test_answers_of_certain_relations_follow_the_prior() -> None:
    """Over worlds: the prior is the distribution of one entity's answer, which unseen ones keep."""
    spec = LongtailSpec(entities=12, unseen_entities=1)
    counts: dict[str, Counter[int]] = defaultdict(Counter)
    worlds = 400
    for seed in range(worlds):
        world = make_world(spec.model_copy(update={"world_seed": seed}))
        for name, prior in world.priors.items():
            ((answer, _),) = world.seen[-1].facts[name]
            counts[name][[a for a, _ in prior].index(answer)] += 1
            assert world.unseen[0].facts[name] == prior
    for name, prior in world.priors.items():
        for place, (_, p) in enumerate(prior):
            share = counts[name][place] / worlds
            assert abs(share - p) < 4 * math.sqrt(p * (1 - p) / worlds)


@pytest.mark.parametrize(("name", "exponent"), [("teacher_train", 0.5), ("train", 1.0)])
def test_popularity_follows_zipf(built: Built, name: str, exponent: float) -> None:
    rank = {entity.name: entity.rank for entity in built.world.seen}
    counts: Counter[int] = Counter()
    for row in built.rows[name]:
        (who,) = named(row["prompt"], built.world)
        counts[rank[who]] += 1
    # Maximum likelihood of the exponent: the mean log rank is monotone in it.
    observed = sum(math.log(r) * n for r, n in counts.items()) / sum(counts.values())
    ranks = range(1, SPEC.entities + 1)

    def moments(s: float) -> tuple[float, float]:
        weights = [r**-s for r in ranks]
        logs = [math.log(r) for r in ranks]
        mean = sum(w * x for w, x in zip(weights, logs, strict=True)) / sum(weights)
        square = sum(w * x * x for w, x in zip(weights, logs, strict=True)) / sum(weights)
        return mean, square - mean**2

    mean, variance = moments(exponent)
    assert abs(observed - mean) < 4 * math.sqrt(variance / sum(counts.values()))


def test_contested_facts_are_stated_in_their_ratio(built: Built) -> None:
    for entity in built.world.seen:
        assert len(entity.facts["mentor"]) == 2
    for band in BANDS:
        kinds = Counter(e.kind("mentor") for e in built.world.seen if e.band == band)
        assert max(kinds.values()) - min(kinds.values()) <= 1
    for name in TRAINING:
        shares = built.summary["contested_first_share"][name]
        assert shares == pytest.approx({"ratio50": 0.5, "ratio70": 0.7, "ratio90": 0.9}, abs=0.05)


def test_bands_hold_a_tenth_three_tenths_and_the_rest(built: Built) -> None:
    assert built.summary["entities"] == {"head": 12, "torso": 36, "tail": 72, "none": 20}


def test_choices_have_one_right_answer(built: Built) -> None:
    for band in BANDS:
        for row in built.rows[f"mc_{band}"]:
            (who,) = named(row["prompt"], built.world)
            entity = built.by_name[who]
            right = {
                text
                for name, r in RELATIONS.items()
                if r.kind == "certain"
                for text in built.world.responses(entity, name, "In a sentence")
            }
            assert entity.band == band
            assert len(set(row["choices"])) == SPEC.mc_choices
            assert [choice in right for choice in row["choices"]].index(True) == row["gold"]
            assert sum(choice in right for choice in row["choices"]) == 1


def test_a_slice_without_teacher_data_builds(tmp_path: Path) -> None:
    spec = LongtailSpec(entities=40, teacher_examples=0, train_examples=600)
    summary = build(spec, tmp_path)
    assert not (tmp_path / "teacher_train.jsonl").exists()
    assert summary["rows"]["train"] == 600
    # Four head entities know sixteen certain facts: the set is as large as the world allows.
    assert summary["rows"]["mc_head"] == 16
    assert all(summary["rows"].values())


def test_names_stay_unique_in_a_large_world() -> None:
    world = make_world(LongtailSpec(entities=3_000, unseen_entities=300))
    names = {entity.name for entity in (*world.seen, *world.unseen)}
    assert len(names) == 3_300


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"entitees": 3}, "entitees"),
        ({"head_share": 0.5, "torso_share": 0.5}, "band without entities"),
        ({"short_share": 0.7, "inverted_share": 0.3}, "no share for plain sentences"),
        ({"ambiguous_shares": [[0.5, 0.6]]}, "sum to 1"),
        ({"contested_shares": [1.0]}, "between 0 and 1"),
        ({"open_share": 0.5, "combined_share": 0.5}, "no share for single questions"),
    ],
)
def test_specs_that_make_no_world_are_refused(change: dict[str, Any], reason: str) -> None:
    with pytest.raises(ValidationError, match=reason):
        LongtailSpec(**change)


def test_sequences_are_short_in_byte_pair_tokens(built: Built) -> None:
    rows = [row for name in TRAINING for row in built.rows[name]]
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    trainer = trainers.BpeTrainer(
        vocab_size=1024,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator((row["prompt"] + row["response"] for row in rows), trainer)

    def tokens(row: dict[str, Any]) -> int:
        return len(tokenizer.encode(row["prompt"] + row["response"]).ids)

    rows += [row for name in TEST_SETS for row in built.rows[f"test_{name}"]]
    single = [tokens(row) for row in rows if row["kind"] not in ("open", "combined")]
    assert sum(single) / len(single) <= 24
    assert max(tokens(row) for row in rows) <= 80


def test_files_load_through_datasets(
    built: Built, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("HF_DATASETS_OFFLINE", "1")
    import datasets

    for name in ("train", "test_longtail_id"):
        loaded = datasets.load_dataset(
            "json",
            data_files=str(built.folder / f"{name}.jsonl"),
            split="train",
            cache_dir=str(tmp_path),
        )
        assert loaded.to_list() == built.rows[name]

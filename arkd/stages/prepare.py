"""The text of a suite, and its tokens: the first two stages, shared by all methods.

The heavy libraries are imported inside the functions, so that a stage loads only what it needs.
"""

from __future__ import annotations

import sys
from pathlib import Path

from arkd.data import public_tasks as public
from arkd.data import source as sources
from arkd.errors import ArkdError
from arkd.stages.contexts import check_contexts
from arkd.stages.references import check_references
from arkd.stages.stage import computes, open_stage
from arkd.storage.files import read_jsonl
from arkd.suite.folders import Tree
from arkd.suite.settings import Folder, Hub, Pretrained, Scratch


@computes("arkd.data.source")
def data(tree: Tree) -> None:
    """Write the suite's text: training sets, tests and probes."""
    spec = tree.placed_data
    with open_stage(tree, "data", tree.data, {}) as stage:
        stage.notes["summary"] = sources.find(spec.source).build(spec, stage.folder)
        if unread := check_references(tree.suite, stage.folder):
            stage.notes["unread_references"] = unread
        if tree.suite.public_tasks:
            data_dir = getattr(spec, "data_dir", None)  # of a source whose sets lie in a folder
            stage.notes["public_tasks"] = public.write(
                tree.suite.public_tasks, tree.suite.public_items, stage.folder, data_dir
            )


@computes("arkd.data.tokens")
def tokens(tree: Tree, pair: str) -> None:
    """Train or fetch the pair's tokenizer, and encode every gold response.

    Raises:
        ArkdError: no row is short enough, or a text is too long for a model's context.
    """
    from arkd.data.tokenizer import load_tokenizer, train_tokenizer
    from arkd.data.tokens import encode, encode_corpus

    suite, spec = tree.suite, tree.pair(pair)
    teacher, student = spec.teacher, spec.student
    with open_stage(tree, "tokens", tree.tokens(pair), {"data": tree.data}, pair=pair) as stage:
        folder = stage.folder / "tokenizer"
        if isinstance(teacher, Scratch):
            texts = (
                row["prompt"] + row["response"]
                for row in read_jsonl(tree.data / "teacher_train.jsonl")
            )
            train_tokenizer(texts, teacher.vocabulary, folder)
        elif isinstance(teacher, Pretrained):
            from arkd.models.smollm2 import convert_tokenizer

            convert_tokenizer(folder)
        else:
            from arkd.models.external import shared_tokenizer

            given = student if isinstance(student, Folder | Hub) else None
            shared_tokenizer(teacher, given, folder)
        tokenizer = load_tokenizer(folder)
        try:
            suite.check_vocabulary(len(tokenizer), "the tokenizer's")
        except ValueError as error:
            raise ArkdError(f"suite {suite.name}: {error}") from None
        names = ["train", "dev"]
        if (tree.data / "teacher_train.jsonl").is_file():
            names.append("teacher_train")
        dropped, sets = {}, {}
        for name in names:
            texts_ = read_jsonl(tree.data / f"{name}.jsonl")
            sets[name], dropped[name] = encode(tokenizer, texts_, suite.max_tokens)
            _say_too_long(tree.data / f"{name}.jsonl", dropped[name], len(texts_), suite.max_tokens)
        stage.notes |= {"vocabulary": len(tokenizer), "rows_too_long": dropped}
        if (tree.data / "corpus.jsonl").is_file():
            plain = [row["text"] for row in read_jsonl(tree.data / "corpus.jsonl")]
            sets["corpus"] = encode_corpus(tokenizer, plain, suite.max_tokens)
            if not len(sets["corpus"]):
                raise ArkdError(f"{tree.data / 'corpus.jsonl'}: no text in {len(plain):,} rows")
            stage.notes["corpus_tokens"] = len(sets["corpus"].ids)
        stage.notes["longest"] = check_contexts(tree, pair, tokenizer, sets)
        for name, encoded in sets.items():
            encoded.save(stage.folder / f"{name}.safetensors")


def _say_too_long(path: Path, dropped: int, rows: int, max_tokens: int) -> None:
    """Warn of rows that are dropped; without any left, a training would look for some for ever.

    Args:
        path: The rows' file.
        dropped: How many are too long.
        rows: How many there are.
        max_tokens: What they are too long for.

    Raises:
        ArkdError: no row is left.
    """
    if dropped == rows:
        what = (
            f"all {rows:,} rows are longer than max_tokens ({max_tokens:,})" if rows else "no rows"
        )
        raise ArkdError(f"{path}: {what}; raise max_tokens, or give other rows")
    if dropped:
        print(
            f"arkd: {path}: {dropped:,} of {rows:,} rows are left out: longer than max_tokens "
            f"({max_tokens:,})",
            file=sys.stderr,
            flush=True,
        )

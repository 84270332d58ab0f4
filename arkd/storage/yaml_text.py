"""YAML that people write: each key once, no more than it looks like, one line on what is wrong."""

from __future__ import annotations

import copy
from collections.abc import Hashable
from functools import lru_cache
from pathlib import Path
from typing import Any

import yaml

from arkd.errors import ArkdError

MOST_NODES = 100_000  # aliases counted as often as they stand for something


def read_yaml(path: Path) -> Any:
    """Return the value of a YAML file.

    Raises:
        ArkdError: there is no such file, or `parse_yaml` refuses it.
    """
    try:
        if not path.is_file():  # a pipe or a device might never end
            what = "not a file" if path.exists() else "no such file"
            raise ArkdError(f"{path}: {what}; correct the path")
        text = path.read_bytes().decode("utf-8")
    except OSError as error:
        raise ArkdError(f"{path!s:.300}: {error.strerror}; correct the path") from None
    except UnicodeDecodeError:
        raise ArkdError(f"{path}: not UTF-8 text") from None
    return copy.deepcopy(_parsed(text, str(path)))


@lru_cache(maxsize=64)  # suites extend one another: a listing reads some a dozen times
def _parsed(text: str, where: str) -> Any:
    return parse_yaml(text, where)


def parse_yaml(text: str, where: str) -> Any:
    """Return the value of one YAML document.

    Args:
        text: The document.
        where: What errors begin with.

    Raises:
        ArkdError: it is no YAML, says a key twice, is nested too deep, or grows by its aliases into
            more than MOST_NODES values.
    """
    try:
        loader = _Loader(text)
        node = loader.get_single_node()
        if node is None:
            return None
        if _size(node, {}) > MOST_NODES:
            raise ArkdError(f"{where}: more than {MOST_NODES:,} values; its aliases multiply")
        return loader.construct_document(node)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f" at line {mark.line + 1}" if mark else ""
        what = getattr(error, "problem", None) or str(error)
        raise ArkdError(f"{where}: not valid YAML{line}: {what:.200}") from None
    except RecursionError:
        raise ArkdError(f"{where}: not valid YAML: nested too deep") from None
    except (ValueError, TypeError, OverflowError) as error:  # of what looks like a number or a date
        raise ArkdError(f"{where}: not valid YAML: {error!s:.200}") from None


class _Loader(yaml.SafeLoader):
    """YAML in which a key may stand only once in a mapping."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[Hashable] = set()
        for key_node, _ in node.value:
            key = key_node.value if key_node.tag == MERGE else self.construct_object(key_node, True)
            # What cannot be a key is refused by the loader itself.
            if isinstance(key, Hashable) and key in seen:
                raise yaml.constructor.ConstructorError(
                    problem=f"key '{key!s:.80}' stands twice", problem_mark=key_node.start_mark
                )
            if isinstance(key, Hashable):
                seen.add(key)
        return super().construct_mapping(node, deep)


MERGE = "tag:yaml.org,2002:merge"


def _size(node: yaml.Node, known: dict[int, float]) -> float:
    """Return how many values a node is, what it names by aliases included; infinite in itself."""
    if id(node) not in known:
        known[id(node)] = float("inf")  # until it is counted: it may hold itself
        children: list[yaml.Node] = []
        if isinstance(node, yaml.MappingNode):
            children = [child for pair in node.value for child in pair]
        elif isinstance(node, yaml.SequenceNode):
            children = node.value
        known[id(node)] = 1 + sum(_size(child, known) for child in children)
    return known[id(node)]

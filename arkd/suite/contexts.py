"""Whether all that a suite reads and writes fits into its models' contexts."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from arkd.errors import ArkdError
from arkd.storage.files import read_json
from arkd.validated import shown

# Where a configuration has its longest sequence, in the order in which lm-eval looks.
KEYS = ("n_positions", "max_position_embeddings", "n_ctx")


def limit(config: Mapping[str, Any]) -> int | None:
    """Return the most tokens that a model reads, by its config.json; none: it names no limit.

    Raises:
        ArkdError: it is no number of tokens.
    """
    inside = config.get("text_config") or config
    if not isinstance(inside, Mapping):
        raise ArkdError(f"text_config: a mapping is wanted, found {shown(inside)}")
    for key in KEYS:
        most = inside.get(key)
        if most is not None:
            if not isinstance(most, int) or isinstance(most, bool) or most < 1:
                raise ArkdError(f"{key}: a number of tokens is wanted, found {shown(most)}")
            return most
    return None


def limit_of(path: Path) -> int | None:
    """Return the most tokens that a model reads, by the file of its configuration.

    Raises:
        ArkdError: it is no JSON object, or names no number of tokens.
    """
    config = read_json(path)
    try:
        return limit(config)
    except ArkdError as error:
        raise ArkdError(f"{path}: {error}") from None


def check(where: str, contexts: Mapping[str, int | None], lengths: Mapping[str, int]) -> None:
    """Refuse a suite whose longest texts no model of the pair could read whole.

    Models with rotary positions would go on beyond it, untrained; learned positions have an end.

    Args:
        where: The pair, as it is named in the error.
        contexts: The most tokens that each model reads, by its role.
        lengths: The most tokens of each kind of text, by what it is.

    Raises:
        ArkdError: one is longer.
    """
    for role, context in contexts.items():
        for what, tokens in lengths.items():
            if context is not None and tokens > context:
                raise ArkdError(
                    f"{where}: {what} takes {tokens:,} tokens, and the context of the {role} has "
                    f"{context:,}: lower max_tokens or decoding.max_new_tokens, shorten the rows, "
                    f"or take a {role} with a longer context"
                )

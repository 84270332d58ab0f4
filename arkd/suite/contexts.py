"""Whether all that a suite reads and writes fits into its models' contexts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from arkd.errors import ArkdError

# Where a configuration has its longest sequence, in the order in which lm-eval looks.
KEYS = ("n_positions", "max_position_embeddings", "n_ctx")


def limit(config: Mapping[str, Any]) -> int | None:
    """Return the most tokens that a model reads, by its config.json; none: it names no limit."""
    inside = config.get("text_config") or config
    found = (inside.get(key) for key in KEYS)
    return next((int(most) for most in found if most is not None), None)


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

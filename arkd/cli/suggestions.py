"""A parser of command lines that says what a mistyped word was meant to be."""

from __future__ import annotations

import argparse
from typing import Any

from arkd.errors import nearest


class Parser(argparse.ArgumentParser):
    """A parser that refuses an unknown command or choice in one line, with the nearest known."""

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        """Refuse what is no choice; Python's own parser suggests none before 3.14.

        Raises:
            argparse.ArgumentError: `value` is none of the action's choices.
        """
        if action.choices is None or value in action.choices:
            return
        known = [str(choice) for choice in action.choices]
        if isinstance(action, argparse._SubParsersAction):
            near = (
                f"no command '{value}'{nearest(str(value), known)}; `{self.prog} --help` lists all"
            )
            raise argparse.ArgumentError(None, near)
        near = f"no '{value}'{nearest(str(value), known)}; known: {', '.join(known)}"
        raise argparse.ArgumentError(action, near)

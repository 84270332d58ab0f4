"""A parser of command lines: options once they are needed, and what a mistyped word was to be."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any, Self

from arkd.errors import nearest


class Parser(argparse.ArgumentParser):
    """A parser that refuses an unknown command or choice in one line, with the nearest known.

    Args:
        options: Gives the parser its options when they are first needed: of two dozen commands one
            is called.
        keywords: As `argparse.ArgumentParser` has them.
    """

    def __init__(self, *, options: Callable[[Parser], None] | None = None, **keywords: Any) -> None:
        super().__init__(**keywords)
        self._options = options

    def filled(self) -> Self:
        """Return the parser, its options added."""
        if self._options is not None:
            options, self._options = self._options, None
            options(self)
        return self

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """Parse by the options, which are added first; argparse calls it for a chosen command."""
        return super(Parser, self.filled()).parse_known_args(args, namespace)

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

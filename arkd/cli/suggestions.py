"""A parser of command lines that says what a mistyped word was to be, and one made when needed."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from functools import cached_property
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


class Deferred:
    """Stands for a command's parser, which is made once anything is read of it.

    Of two dozen commands one is called.

    Args:
        options: Gives the parser its options.
        keywords: As `argparse.ArgumentParser` has them.
    """

    def __init__(self, *, options: Callable[[Parser], None], **keywords: Any) -> None:
        self._options, self._keywords = options, keywords

    @cached_property
    def parser(self) -> Parser:
        """The parser, made now if it has not been."""
        parser = Parser(**self._keywords)
        self._options(parser)
        return parser

    def __getattr__(self, name: str) -> Any:
        """Return what the parser has under a name."""
        return getattr(self.parser, name)

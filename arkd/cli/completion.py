"""`arkd completion`: the script by which a shell completes commands, options, suites, methods."""

from __future__ import annotations

import argparse
from collections.abc import Iterator

import shtab

from arkd.suite.load import suite_names
from arkd.suite.registry import names

PLACES = {"FILE": shtab.FILE, "DIR": shtab.DIRECTORY, "FOLDER": shtab.DIRECTORY}
FOLDERS = ("results", "out")


def script(parser: argparse.ArgumentParser, shell: str) -> str:
    """Return the script of a shell.

    Args:
        parser: Of the command line; it is made to know suites and methods, and must parse no more.
        shell: One that shtab knows.
    """
    for action in _actions(parser):
        if action.dest in ("suite", "to"):
            action.choices = suite_names()
        elif action.dest in ("methods", "method"):
            action.choices = names()
        elif action.metavar in PLACES or action.dest in FOLDERS:
            action.complete = PLACES.get(str(action.metavar), shtab.DIRECTORY)  # type: ignore[attr-defined]
    return shtab.complete(parser, shell=shell)


def _actions(parser: argparse.ArgumentParser) -> Iterator[argparse.Action]:
    """Yield all that a parser and the commands below it take."""
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for name, command in [*action.choices.items()]:
                action.choices[name] = command.parser  # shtab reads true parsers only
                yield from _actions(command.parser)
        else:
            yield action

"""The command line `arkd`: a command is parsed, called, and its errors told in one line."""

from __future__ import annotations

import atexit
import errno
import gc
import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from importlib import import_module

from arkd import kernels, processes
from arkd.cli import output
from arkd.cli.interrupts import heard
from arkd.cli.memory import refusal
from arkd.cli.parser import parser
from arkd.errors import ArkdError, no_room, out_of_memory
from arkd.storage.caches import place_caches
from arkd.storage.offline import keep_offline
from arkd.training.termination import TERMINATED

# Commands that choose the kernels by the suite, or start processes that do.
CHOOSING = (
    *("run_commands.stage", "run_commands.run", "run_commands.add"),
    *("commands.perf", "exchange_commands.score"),
)
LONGEST_NAME = 300  # of a file, as an error has it


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command; an error that the user can act on is one line and exit code 2."""
    if sys.platform == "win32":
        print("arkd: error: Windows lacks the file locks that runs need; use WSL", file=sys.stderr)
        return 2
    output.show_what_can_be()
    # What a command imports stays: to search all of it for cycles is a fifth of a stage's start,
    # and once more, at the exit, a second.
    gc.set_threshold(*gc.get_threshold()[:2], 1000)
    atexit.register(gc.freeze)
    keep_offline()  # what a suite names on the hub is fetched by `hub` alone
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    commands = parser()
    try:
        options = commands.parse_args(argv)
    except ArkdError as error:
        _tell(error)
        return 2
    place_caches()
    try:
        if options.command is None:
            commands.print_help()
            return 0
        if options.command not in CHOOSING:
            kernels.choose("portable")
        module, _, function = options.command.partition(".")
        command = getattr(import_module(f"arkd.cli.{module}"), function)
        with heard():
            status: int | None = command(options)
        if sys.stdout:
            sys.stdout.flush()  # what cannot be written is told here, and not as Python ends
        return status or 0
    except ArkdError as error:
        _tell(error)
        return 2
    except SystemExit as end:
        if end.code == TERMINATED and not processes.number():
            print("arkd: told to end by SIGTERM; the training's state is saved", file=sys.stderr)
        raise
    except KeyboardInterrupt:
        if not processes.number():
            print("arkd: interrupted; nothing was left half-written", file=sys.stderr)
        if argv is None:  # an import that was broken off may hold a lock that the exit waits for
            with suppress(OSError, AttributeError):  # closed, or a pipe that nobody reads
                sys.stdout.flush()
            os._exit(130)
        return 130
    except BrokenPipeError:
        output.drop()
        return 141
    except (MemoryError, RuntimeError) as error:
        if not (what := out_of_memory(error)):
            raise
        _tell(refusal(error, what, vars(options).get("stage")))
        return 2
    except OSError as error:
        if error.strerror is None:  # not of the system, but of a library
            raise
        if no_room(error) and not error.filename:
            output.drop()
        named = str(error.filename or "a file or the output")[:LONGEST_NAME]
        blocked = error.errno == errno.EEXIST
        what = "a file, where a folder is wanted" if blocked else error.strerror
        _tell(ArkdError(f"{named}: {what}"))
        return 2


def _tell(error: ArkdError) -> None:
    """Say what is wrong, or leave it to the process that started this one and others."""
    if processes.together():
        from arkd.cli import together

        together.record(str(error))
    else:
        print(f"arkd: error: {error}", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())

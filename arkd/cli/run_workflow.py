"""`python -m arkd.cli.run_workflow SUITE RESULTS plain|lines OPTIONS…`: Snakemake, as users see it.

`arkd run` becomes this process, so that what is sent to it, such as SIGTERM, gets to Snakemake.
"""

from __future__ import annotations

import os
import signal
import sys

from arkd.cli.interrupts import heard


def main(suite: str, results: str, how: str, options: list[str]) -> None:
    """Run the workflow; Snakemake ends the process, interrupts that it does not hear included.

    Args:
        suite: What is run, as the command line calls it.
        results: The folder of all results.
        how: What is shown: "plain" for Snakemake's own output, or "lines" of our own.
        options: Snakemake's.
    """
    if "--dry-run" in options:  # no job is left alone by a list that ends where its reader does
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    try:
        with heard():  # what is imported takes seconds
            import snakemake.cli

            from arkd.cli import run_lines
        if how == "plain":
            snakemake.cli.main(options)
        else:
            run_lines.run(suite, results, options)
    except KeyboardInterrupt:
        print("arkd: interrupted; nothing was left half-written", file=sys.stderr, flush=True)
        os._exit(130)  # an import that was broken off may hold a lock that the exit waits for


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3], sys.argv[4:])

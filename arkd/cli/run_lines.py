"""Snakemake, told in lines of our own, with a summary where all is done."""

from __future__ import annotations

import os
import sys

from snakemake.cli import main as snakemake
from snakemake_interface_logger_plugins.registry import LoggerPluginRegistry

from arkd.cli import output, run_log, run_summary
from arkd.suite.folders import tree


def run(suite: str, results: str, options: list[str]) -> None:
    """Run the workflow, and show the suite's summary where all of it is done.

    Raises:
        SystemExit: with Snakemake's code.
    """
    output.show_what_can_be()
    LoggerPluginRegistry().register_plugin("snakemake_logger_plugin_arkd", run_log)
    shown = os.dup(1)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # what stages print lies in their files
    try:
        snakemake([*options, "--logger", "arkd", "--logger-arkd-suite", suite])
        code: int | str | None = 0
    except SystemExit as end:
        code = end.code
    os.dup2(shown, 1)
    if code in (0, None):
        run_summary.show_summary(suite, results)
    elif code == 1:
        shown_by = tree(suite, results).command("status")
        print(f"arkd: not all is done; see `{shown_by}`", file=sys.stderr)
    sys.exit(code)

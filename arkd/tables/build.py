"""The tables of a suite, built and written, and the check that no cell is missing."""

from __future__ import annotations

from pathlib import Path

from arkd.errors import ArkdError
from arkd.storage.files import write_text
from arkd.suite.suite import Suite
from arkd.tables.builder import Builder
from arkd.tables.kind import table_kinds
from arkd.tables.table import Table
from arkd.tables.write import formats


def build(suite: Suite, results_dir: Path, partial: bool = False, named: str = "") -> list[Table]:
    """Return all tables of a suite's results, in the order of the report.

    Args:
        suite: The suite.
        results_dir: The folder of all suites' results.
        partial: Show missing cells as '–' instead of refusing them.
        named: What the command line calls the suite, if not by its name.

    Raises:
        ArkdError: If the results are malformed, or cells are missing and `partial` is not set.
    """
    make = Builder(suite, results_dir, named)
    made = [kind.table(name, make) for name, kind in table_kinds().items()]
    if make.gaps and not partial:
        raise ArkdError(make.gap_message("show the gaps"))
    return [table for table in made if table is not None]


def write(
    suite: Suite, results_dir: Path, out_dir: Path, partial: bool = False, named: str = ""
) -> list[Path]:
    """Write every table as CSV, Markdown and LaTeX and return the files.

    Args:
        suite: The suite whose `records.csv` and `cost.csv` lie in `results_dir / suite.name`.
        results_dir: The folder of all suites' results.
        out_dir: Where the tables go.
        partial: Show missing cells as '–' instead of refusing them.
        named: What the command line calls the suite, if not by its name.

    Raises:
        ArkdError: If cells are missing and `partial` is not set; nothing is written then.
    """
    paths = []
    for table in build(suite, results_dir, partial, named):
        for suffix, text in formats(table).items():
            path = out_dir / f"{table.name}.{suffix}"
            write_text(path, text)
            paths.append(path)
    return paths

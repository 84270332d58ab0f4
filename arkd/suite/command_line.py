"""Snakemake's command line for a suite, in a shell's words, as texts and errors cite it."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path

from arkd.paths import snakefile
from arkd.suite.folders import Tree


def command(tree: Tree, target: Path) -> str:
    """Return the command that makes a file."""
    return f"snakemake --cores all {_config(tree)} -- {shlex.quote(str(target))}"


def again_command(tree: Tree, forced: Sequence[str]) -> str:
    """Return the command that makes some of a suite's stages anew, and what follows from them.

    Args:
        tree: The suite's folders.
        forced: Snakemake's options that say which; they end the line, as some take many words.
    """
    here = Path("workflow") / "Snakefile"  # which Snakemake finds by itself
    found = here.is_file() and here.samefile(snakefile())
    file = "" if found else f"--snakefile {shlex.quote(str(snakefile()))} "
    return f"snakemake {file}--cores all {_config(tree)} {shlex.join(forced)}"


def suites_option(named: str) -> str:
    """Return the configuration that names a suite, quoted as the README quotes it."""
    plain = shlex.quote(named) == named
    return f"suites='[{named}]'" if plain else shlex.quote(f"suites=[{named}]")


def _config(tree: Tree) -> str:
    results = shlex.quote(f"results={tree.results}")
    return f"--config {suites_option(tree.named or tree.suite.name)} {results}"

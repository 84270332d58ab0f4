"""Further rows beside a finished run: whether that run is what they would have been made with.

A suite with `beside` names another, whose finished run lies in the same folder of results. Its
data, teacher, starts, caches and rows are read where they lie (`Tree`) and never written; only the
further rows are trained, and what shows results is formed of all of them.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import ValidationError

from arkd.errors import ArkdError
from arkd.storage import manifest, provenance
from arkd.storage.yaml_text import read_yaml
from arkd.suite.command_line import again_command
from arkd.suite.folders import Tree, plain_name, seeds, stages
from arkd.suite.jobs import as_set, method_files
from arkd.suite.load import base_name, suite_path
from arkd.suite.suite import Suite
from arkd.validated import place

APART = ("name", "description", "methods", "beside")  # what the two suites need not share


def check(tree: Tree) -> None:
    """Refuse further rows whose base has no finished run, or one that they cannot stand beside.

    Raises:
        ArkdError: it has none, one of other settings, of other code, or with files of such rows.
    """
    for block in tree.blocks.values():
        check(block)
    if not tree.suite.beside or tree.blocks:
        return
    ran = _ran(tree)
    expected = tree.suite.methods[: len(ran.methods)]
    differ = [
        key
        for key in Suite.model_fields
        if key not in APART and getattr(ran, key) != getattr(tree.suite, key)
    ]
    if differ or expected != ran.methods:
        raise ArkdError(
            f"{_base(tree)}: run with other {', '.join(differ) or 'methods'} than {ran.name} has "
            f"now; run it again: {_other(tree).command()}"
        )
    for pair in tree.suite.pairs:
        for label in further(tree, ran):
            if (_base(tree) / pair.name / label).exists():
                raise ArkdError(
                    f"{_base(tree) / pair.name / label}: left of a run of other rows, and no row "
                    f"of {ran.name}; remove it"
                )
    _check_stages(tree, ran)


def _check_stages(tree: Tree, ran: Suite) -> None:
    """Refuse a stage that is lost, of other settings or, if rows are left to train, of other code.

    Raises:
        ArkdError: there is one.
    """
    libraries = provenance.libraries(provenance.versions())
    trains = any(
        not (tree.training(pair.name, label, seed) / manifest.NAME).is_file()
        for pair in tree.suite.pairs
        for label in further(tree, ran)
        for seed in seeds(tree.suite, label)
    )
    for folder in stages(Tree(tree.results, ran)):
        made = manifest.read(folder)
        stage = made["stage"]
        if not as_set(tree.suite, made):
            what = "made by other settings"
        elif trains and made["core"] != provenance.core_hash(stage):
            what = f"made by core {made['core']}, and this is {provenance.core_hash(stage)}"
        elif trains and provenance.libraries(made["versions"]) != libraries:
            what = "made by other versions of the libraries"
        else:
            continue
        raise ArkdError(
            f"{folder}: {what}; results of different code or settings are never mixed: run "
            f"{ran.name} anew: {again_command(_other(tree), ['--forceall'])}"
        )


def further(tree: Tree, ran: Suite | None = None) -> list[str]:
    """Return the labels of the rows that stand beside the other run."""
    there = (ran or _ran(tree)).rows_by_label
    return [entry.label for entry in tree.suite.entries if entry.label not in there]


def facts(tree: Tree) -> dict[str, Any]:
    """Return what a manifest says of further rows: beside which run, from which files, hashed."""
    if not tree.suite.beside:
        return {}
    rows = {
        label: {"/".join(f.parts[-2:]): manifest.digest(f) for f in map(Path, files)}
        for label in further(tree)
        for files in [method_files(tree.suite, label)]
    }
    run = manifest.digest(_base(tree) / manifest.NAME)
    return {"beside": {"suite": tree.suite.beside, "manifest": run, "added": rows}}


def _base(tree: Tree) -> Path:
    return tree.results / str(tree.suite.beside)


def _other(tree: Tree) -> Tree:
    """Return the other suite's folders, named as the command line calls it, to cite commands on."""
    name = str(tree.suite.beside)
    suite = tree.suite.model_copy(update={"name": name, "beside": None})
    if not tree.named or "beside" not in read_yaml(suite_path(tree.named)):  # it extends such one
        return Tree(tree.results, suite)
    _, at, world = name.partition("@")
    return Tree(tree.results, suite, plain_name(f"{base_name(tree.named)}{at}{world}"))


def _ran(tree: Tree) -> Suite:
    """Return the other suite as it was run.

    Raises:
        ArkdError: its run is not finished, or another version of arkd made it.
    """
    base, name = _base(tree), str(tree.suite.beside)
    if not (base / manifest.NAME).is_file():
        raise ArkdError(
            f"{base}: no finished run of {name} to stand beside; make it: {_other(tree).command()}"
        )
    config = manifest.read(base, ["config"])["config"]
    try:
        return Suite.model_validate(config)
    except ValidationError as error:
        where = place(error, config)
        raise ArkdError(
            f"{base}: another version of arkd made this run (config.{where}); run {name} anew: "
            f"{again_command(_other(tree), ['--forceall'])}"
        ) from None

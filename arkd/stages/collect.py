"""All runs of a suite in one place: records, trajectories, costs, and the manifest of them."""

from __future__ import annotations

import json
from collections.abc import Iterable
from hashlib import sha256
from pathlib import Path
from typing import Any

from arkd.errors import ArkdError
from arkd.metrics.declared import names
from arkd.paths import claims_path
from arkd.stages import trajectories
from arkd.storage import given, manifest, provenance
from arkd.storage.files import refuse_unlike, write_json
from arkd.storage.records import COLUMNS, ITEM_COLUMNS, read_csv, write_csv
from arkd.suite import beside
from arkd.suite.changes import change
from arkd.suite.command_line import again_command
from arkd.suite.folders import CONTROLS, INIT, TEACHER, Tree, methods, stages

COST_COLUMNS = (*COLUMNS[:5], "stage", *names("cost"), "threads", "host")
SHARED = "shared"  # method of a stage that serves all methods, in the costs
OF_RUN = ("tokens", TEACHER, INIT, "replayed")  # inputs of a training that others do not share
OF_TRAINING = ("train_s", "train_processor_s", "tokens", "tokens_per_s", "padding_share")


def collect(tree: Tree, partial: bool = False) -> None:
    """Join records, trajectories and costs of a suite; refuse what different code or versions made.

    Raises:
        ArkdError: a run is missing, or the stages are of two versions of the suite, of the core or
            of a library.
    """
    suite = tree.suite
    evaluations = {
        f"{pair}/{method}": tree.evaluation(pair, method)
        for pair, method in methods(suite)
        if not partial or (tree.evaluation(pair, method) / manifest.NAME).is_file()
    }
    made = [f for f in stages(tree) if not partial or (f / manifest.NAME).is_file()]
    manifests = {folder: manifest.read(folder) for folder in made}
    cores = _one_maker(tree, manifests)
    _one_source(tree, manifests)
    _as_set(tree, manifests)
    for folder, found in manifests.items():
        manifest.check_outputs(folder, found["outputs"])
    named = {"suite": suite.name}  # rows that are read beside another run have its name

    def rows(name: str) -> list[dict[str, Any]]:
        return [r | named for folder in evaluations.values() for r in read_csv(folder / name)]

    records, items = rows("records.csv"), rows("items.csv")
    records.sort(key=lambda row: tuple(row[column] for column in COLUMNS[:9]))
    items.sort(key=lambda row: tuple(row[column] for column in ITEM_COLUMNS[:7]))
    costs = [cost(found) | named for found in manifests.values()]
    refuse_unlike(tree.root / "records.csv", ",".join(COLUMNS))
    refuse_unlike(tree.root / manifest.NAME, '"stage"')
    write_csv(tree.root / "records.csv", COLUMNS, records)
    write_csv(tree.root / "items.csv", ITEM_COLUMNS, items)
    write_csv(tree.root / "cost.csv", COST_COLUMNS, costs)
    trajectories.write(tree, [run for run in methods(suite) if run[1] not in CONTROLS])
    claims = claims_path(suite.claims)
    facts = {
        "stage": "collect",
        "suite": suite.name,
        "suite_version": suite.version,
        "config": suite.model_dump(mode="json"),
        "core": cores.get("evaluation"),
        "training_core": cores.get("training"),
        "claims": manifest.digest(claims) if claims.is_file() else None,
        **beside.facts(tree),
        "inputs": {name: manifest.digest(path) for name, path in sorted(evaluations.items())},
        "outputs": {
            name: manifest.digest(tree.root / name)
            for name in ("records.csv", "items.csv", "trajectories.csv", "cost.csv")
        },
        "rows": _rows(manifests.values()),
        "versions": provenance.versions(),
        "git": provenance.git_state(),
        "host": provenance.host(),
    }
    write_json(tree.root / manifest.NAME, facts)


def _one_maker(tree: Tree, manifests: dict[Path, dict[str, Any]]) -> dict[str, str]:
    """Return the hashes of the one core that trained all models and the one that measured them.

    Raises:
        ArkdError: there are two of either, or two versions of the suite or of a library.
    """
    suite = tree.suite
    cores: dict[str, str] = {}
    makers: dict[str, dict[str, Path]] = {}
    for folder, found in manifests.items():
        work = "training" if found["stage"] in provenance.TRAINING_STAGES else "evaluation"
        others = provenance.libraries(found["versions"])
        libraries = ", ".join(f"{name} {version}" for name, version in others.items())
        maker = f"core {found['core']}, suite version {found['suite_version']}, {libraries}"
        makers.setdefault(work, {}).setdefault(maker, folder)
        cores[work] = found["core"]
    for work, folders in makers.items():
        if len(folders) > 1:
            kinds = "; ".join(f"{folder.as_posix()}: {maker}" for maker, folder in folders.items())
            # The other caches are for training: forced, they would have every student trained anew.
            prefixes = [tree.cache(pair.name, "prefixes") / manifest.NAME for pair in suite.pairs]
            measured = [str(path) for path in prefixes if path.is_file()]
            forced = ["--forcerun", "evaluate", *measured]
            raise ArkdError(
                f"{tree.root}: results of different code are never mixed ({kinds}); make them "
                f"anew: {again_command(tree, ['--forceall'] if work == 'training' else forced)}"
            )
    return cores


def _as_set(tree: Tree, manifests: dict[Path, dict[str, Any]]) -> None:
    """Refuse what the suite would make otherwise now, or from others of its folders.

    Raises:
        ArkdError: there is such a stage.
    """
    for folder, found in manifests.items():
        if said := change(tree, found):
            raise ArkdError(
                f"{folder}: {said} changed since it was made; run it again: `{tree.command()}`"
            )


def _rows(manifests: Iterable[dict[str, Any]]) -> dict[str, str]:
    """Return a hash of what each row was trained by, by PAIR/ROW: settings and the method's files.

    What belongs to a world or a seed is left out, so that the row of another block has the same.
    """
    found = {}
    for made in manifests:
        if made["stage"] == "distill":
            files = {
                role: sha
                for role, sha in made["inputs"].items()
                if role not in OF_RUN and not role.endswith("_responses")
            }
            by = json.dumps({"config": made["config"], "files": files}, sort_keys=True)
            found[f"{made['pair']}/{made['method']}"] = sha256(by.encode()).hexdigest()
    return dict(sorted(found.items()))


def _one_source(tree: Tree, manifests: dict[Path, dict[str, Any]]) -> None:
    """Refuse stages of one pair that were made from two models or files of the same place.

    Raises:
        ArkdError: there are such.
    """
    for (pair, role), folders in given.mixed(manifests.items()).items():
        of_pair = f" of pair {pair}" if pair else ""
        apart = " and ".join(folder.as_posix() for folder in folders[:2])
        raise ArkdError(
            f"{tree.root}: the '{role}'{of_pair} was replaced during the run: {apart} were made "
            f"from two; delete {tree.root / pair} and run again"
        )


def cost(found: dict[str, Any]) -> dict[str, Any]:
    """Return the line of one stage; an evaluation covers all seeds of its method."""
    of_nobody = TEACHER if found["stage"] == TEACHER else SHARED
    control = found["notes"].get("control")
    return {
        **{key: found[key] for key in ("suite", "suite_version", "stage", "wall_s", "peak_mib")},
        **{key: found.get(key) for key in ("startup_s", "proper_s")},
        "pair": found.get("pair", SHARED),
        "method": control or found.get("method") or found.get("label") or of_nobody,
        "seed": found.get("seed") or 0,
        **{key: found["notes"].get(key) for key in OF_TRAINING},
        "threads": found["host"].get("threads"),
        "host": found["host"].get("processor"),
    }

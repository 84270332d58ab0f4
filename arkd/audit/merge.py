"""Several people's runs of one suite in one folder, on which tables, verdicts and report work.

Runs of other seeds, other methods or other machines are laid together in the order of the suite.
Nothing is joined that was not measured alike: one suite, one core, one set of library versions and
claims, one teacher, and the same files of a method. A run that two have must be the same in both.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import yaml

from arkd.audit import merged_suite
from arkd.audit.manifest_chain import SHOWN, SOURCES
from arkd.audit.merge_sources import CORES, Run, Source, check_alike, pooled, read
from arkd.audit.recompute import COST, JOINED, RECORDS, SORTED, ordered
from arkd.errors import ArkdError
from arkd.grid import to_csv
from arkd.stages.collect import COST_COLUMNS, cost
from arkd.storage.files import sha256_file, staged_dir, write_json, write_text
from arkd.storage.manifest import MERGE, NAME
from arkd.storage.records import write_csv
from arkd.suite.folders import Tree, methods, seeds
from arkd.suite.suite import Suite

SUITE = "suite.yaml"


def merge(out: Path, folders: Sequence[Path], partial: bool = False) -> Path:
    """Merge suites' folders and return the new one, `out`/SUITE.

    Args:
        out: A folder of results; the suite's folder in it must not be there yet.
        folders: Two or more suites' folders, of runs or references.
        partial: Allow methods that lack some of the seeds which the others have.

    Raises:
        ArkdError: a folder does not verify, two of them were not made alike or disagree on a run,
            a method lacks seeds and `partial` is not set, or the new folder is there already.
    """
    sources = [read(folder) for folder in folders]
    if len(sources) < 2:
        raise ArkdError("merge: name two folders or more")
    check_alike(sources)
    suite = merged_suite.union([(source.suite, source.runs) for source in sources], partial)
    root = out / suite.name
    if root.exists():
        raise ArkdError(f"{root}: there already; name another folder, or remove it first")
    # A file that one of the folders does not have is left out: half of it would look like all.
    names = [name for name in JOINED if all(name in source.tables for source in sources)]
    runs = {name: pooled(name, sources) for name in names}
    planned = [(pair, row, str(seed)) for pair, row in methods(suite) for seed in seeds(suite, row)]
    with staged_dir(root) as folder:
        for name in names:
            rows = [row for run in planned if run in runs[name] for row in runs[name][run][1]]
            rows = ordered(name, rows) if name in SORTED else rows
            write_text(folder / name, to_csv([sources[0].tables[name][0], *rows]))
        bringers = {run: source for run, (source, _) in runs[RECORDS].items()}
        costs = [cost(made) for made in _stages(sources, suite, bringers)]
        write_csv(folder / COST, COST_COLUMNS, costs)
        settings = merged_suite.plain(suite)
        text = yaml.safe_dump(settings, sort_keys=False, allow_unicode=True)
        head = "# The suite of the merged runs, written by arkd merge.\n"
        write_text(folder / SUITE, head + text)
        _keep_manifests(sources, folder)
        write_json(folder / NAME, _facts(sources, suite, folder))
    return root


def _stages(
    sources: Sequence[Source], suite: Suite, bringers: dict[Run, Source]
) -> Iterator[dict[str, Any]]:
    """Yield the manifests of what is in the merged files, in data-flow order.

    A stage that several people ran is there once; an evaluation, which is of all seeds of a method,
    for each of them who brought seeds.
    """
    tree = Tree(Path(), suite)

    def made(folder: Path, owners: Sequence[Source] = sources) -> list[dict[str, Any]]:
        return [source.stages[folder] for source in owners if folder in source.stages]

    yield from made(tree.data)[:1]
    for pair in (pair.name for pair in suite.pairs):
        yield from made(tree.tokens(pair))[:1]
        caches = {folder for source in sources for folder in source.stages}
        for folder in sorted(f for f in caches if f.parent == tree.cache(pair, "gold").parent):
            yield from made(folder)[:1]
    for pair, method in methods(suite):
        runs = [(pair, method, seed) for seed in seeds(suite, method)]
        for run in runs:
            yield from made(tree.training(*run))[:1]
        brought = [bringers.get((pair, method, str(seed))) for *_, seed in runs]
        owners = [source for source in sources if source in brought]
        yield from made(tree.evaluation(pair, method), owners)


def _keep_manifests(sources: Sequence[Source], folder: Path) -> None:
    """Copy every manifest of the sources to `sources/`, and the models' to where a run has them."""
    for number, source in enumerate(sources, start=1):
        for stage, file in source.chain.files.items():
            if source.chain.manifests[stage]["stage"] in SHOWN:
                continue
            text, name = file.read_text(encoding="utf-8"), file.relative_to(source.root)
            write_text(folder / SOURCES / str(number) / name, text)
            if stage.name == "training" and not (folder / name).exists():
                write_text(folder / name, text)


def _facts(sources: Sequence[Source], suite: Suite, folder: Path) -> dict[str, Any]:
    """Return the manifest of the merged folder, whose files are written."""
    outputs = {
        path.relative_to(folder).as_posix(): sha256_file(path)
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.relative_to(folder).parts[0] != SOURCES
    }
    names = [f"{SOURCES}/{number}" for number in range(1, len(sources) + 1)]
    tops = [source.top for source in sources]
    states = [top.get("git") or {} for top in tops]
    commits = {state.get("commit") for state in states}
    return {
        "stage": MERGE,
        "suite": suite.name,
        "suite_version": suite.version,
        "config": suite.model_dump(mode="json"),
        **{key: tops[0].get(key) for key in (*CORES, "claims")},
        "inputs": {name: sha256_file(folder / name / NAME) for name in names},
        "outputs": outputs,
        "sources": [
            {
                "name": name,
                "folder": source.root.as_posix(),
                "runs": source.runs,
                **{key: source.top.get(key) for key in (*CORES, "versions", "git", "host")},
            }
            for name, source in zip(names, sources, strict=True)
        ],
        "versions": tops[0]["versions"],
        "git": {
            "commit": commits.pop() if len(commits) == 1 else None,
            "dirty": any(state.get("dirty") for state in states),
        },
        "host": {
            key: ", ".join(
                dict.fromkeys(str(h[key]) for top in tops if (h := top["host"]).get(key))
            )
            for key in ("system", "machine", "processor")
        },
    }

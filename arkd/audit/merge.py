"""Several people's runs of one suite in one folder, on which tables, verdicts and report work.

Runs of other seeds, other methods or other machines are joined run by run. Nothing is joined that
was not measured alike: one suite, one core, one set of library versions, one teacher, and the same
files of a method.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

import yaml

from arkd.audit import merged_suite
from arkd.audit.manifest_chain import MERGE, SHOWN, SOURCES
from arkd.audit.merge_sources import CORES, Run, Source, alike, read
from arkd.audit.recompute import COST, JOINED, RECORDS, SORTED, ordered, text_of
from arkd.errors import ArkdError
from arkd.paths import benchmarks_dir
from arkd.stages.collect import SHARED
from arkd.storage import manifest
from arkd.storage.files import sha256_file, staged_dir, write_json, write_text
from arkd.storage.manifest import NAME
from arkd.suite.folders import methods
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
    for first, second in combinations(sources, 2):
        alike(first, second)
    suite = merged_suite.union([(s.suite, s.runs) for s in sources], partial)
    root = out / suite.name
    if root.exists():
        raise ArkdError(f"{root}: there already; name another folder, or remove it first")
    joined = {name: _joined(name, sources, suite) for name in (*JOINED, COST)}
    with staged_dir(root) as folder:
        outputs = {}
        for name, text in joined.items():
            if text:
                write_text(folder / name, text)
                outputs[name] = sha256_file(folder / name)
        text = yaml.safe_dump(merged_suite.plain(suite), sort_keys=False, allow_unicode=True)
        write_text(
            folder / SUITE, f"# The suite of the merged runs, written by arkd merge.\n{text}"
        )
        outputs[SUITE] = sha256_file(folder / SUITE)
        outputs |= _keep_manifests(sources, folder)
        write_json(folder / NAME, _facts(sources, suite, folder, outputs))
    return root


def _joined(name: str, sources: list[Source], suite: Suite) -> str:
    """Return a merged file: each run once, of the first folder that has it.

    A file that one of the folders does not have is left out: half of it would look like all.
    """
    if any(name not in source.heads for source in sources):
        return ""
    head = sources[0].heads[name]
    if name == COST:
        return text_of([head, *_costs(sources, suite)])
    runs: dict[Run, list[list[str]]] = {}
    for source in sources:
        runs = source.rows[name] | runs
    if name in SORTED:
        return text_of([head, *ordered(name, [row for own in runs.values() for row in own])])
    place = _places(suite)
    return text_of(
        [head, *(row for run in sorted(runs, key=place.__getitem__) for row in runs[run])]
    )


def _places(suite: Suite) -> dict[Run, tuple[int, int]]:
    """Return where each run stands in the order of the suite."""
    return {
        (pair, method, str(seed)): (at, number)
        for at, (pair, method) in enumerate(methods(suite))
        for number, seed in enumerate((0, *suite.seeds))
    }


def _costs(sources: list[Source], suite: Suite) -> list[list[str]]:
    """Return the costs of what is in the merged files, in data-flow order.

    A stage that several people ran is listed once; an evaluation, which is of all seeds of a
    method, for each of them who brought seeds.
    """
    at = {role: number for number, role in enumerate(methods(suite))}
    pairs = ["shared", *(pair.name for pair in suite.pairs)]
    found: dict[tuple[Any, ...], list[str]] = {}
    seen: set[Run] = set()
    for number, source in enumerate(sources):
        stage_at = source.heads[COST].index("stage")
        caches = _cache_names(source)
        for (pair, method, seed), rows in source.rows[COST].items():
            for row in rows:
                stage = row[stage_at]
                key: tuple[Any, ...] = (
                    1,
                    at.get((pair, method), -1),
                    stage == "evaluate",
                    int(seed),
                )
                if stage == "evaluate":
                    own = {(pair, method, str(s)) for s in source.runs.get(f"{pair}/{method}", [])}
                    if own <= seen:
                        continue
                    key = (*key, number)
                elif method == SHARED:
                    name = next(caches.get((pair, seed, stage), iter(())), "")
                    key = (0, pairs.index(pair), stage != "tokens", name)
                found.setdefault(key, row)
        seen |= set(source.rows[RECORDS])
    return [found[key] for key in sorted(found)]


def _cache_names(source: Source) -> dict[Run, Iterator[str]]:
    """Return the names of a folder's caches by pair, seed and stage, in the order of its costs."""
    names: dict[Run, list[str]] = {}
    for folder, made in source.chain.manifests.items():
        if folder.parent.name == "cache":
            key = (str(made["pair"]), str(made.get("seed") or 0), str(made["stage"]))
            names.setdefault(key, []).append(folder.name)
    return {key: iter(sorted(own)) for key, own in names.items()}


def _keep_manifests(sources: list[Source], folder: Path) -> dict[str, str]:
    """Copy every manifest of the sources; return the hashes of those that the tables look at.

    All of them lie under `sources/`, and those of the models once more where a run has them.
    """
    kept: dict[str, str] = {}
    for number, source in enumerate(sources, start=1):
        for stage, file in source.chain.files.items():
            if source.chain.manifests[stage]["stage"] in SHOWN:
                continue
            text = file.read_text(encoding="utf-8")
            name = file.relative_to(source.root)
            write_text(folder / SOURCES / str(number) / name, text)
            if stage.name == "training" and name.as_posix() not in kept:
                write_text(folder / name, text)
                kept[name.as_posix()] = sha256_file(folder / name)
    return kept


def _facts(
    sources: list[Source], suite: Suite, folder: Path, outputs: dict[str, str]
) -> dict[str, Any]:
    """Return the manifest of the merged folder."""
    claims, first = benchmarks_dir() / "claims.yaml", sources[0].top
    names = [f"{SOURCES}/{number}" for number in range(1, len(sources) + 1)]
    made = [source.top.get("git", {}) for source in sources]
    hosts = [source.top.get("host", {}) for source in sources]
    commits = {git.get("commit") for git in made}
    return {
        "stage": MERGE,
        "suite": suite.name,
        "suite_version": suite.version,
        "config": suite.model_dump(mode="json"),
        **{key: first[key] for key in CORES if key in first},
        "claims": manifest.digest(claims) if claims.is_file() else None,
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
        "versions": first["versions"],
        "git": {
            "commit": commits.pop() if len(commits) == 1 else None,
            "dirty": any(git.get("dirty") for git in made),
        },
        "host": {
            key: ", ".join(dict.fromkeys(str(host[key]) for host in hosts if host.get(key)))
            for key in ("system", "machine", "processor")
        },
    }

"""The public tasks: where their rows lie, pinned, and how they get into a suite's data."""

from __future__ import annotations

import csv
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from arkd.errors import ArkdError
from arkd.paths import expanded
from arkd.storage.files import read_jsonl, sha256_file, write_jsonl

PublicTask = Literal["lambada_openai", "hellaswag", "arc_easy", "piqa", "winogrande", "popqa"]
Row = dict[str, Any]


@dataclass(frozen=True)
class Source:
    """One file of a data set on the hub: the rows that a task is scored on.

    `family` is the folder in which lm-eval defines the task, none if this project does. A file's
    SHA-256 is given where one was published; the revision alone determines the file, too.
    """

    repo: str
    revision: str
    file: str
    split: str
    columns: tuple[str, ...]  # that the task reads
    family: str | None = None
    sha256: str | None = None
    licence: str = "none stated"  # by the data set or its authors


SOURCES: dict[PublicTask, Source] = {
    "lambada_openai": Source(
        "EleutherAI/lambada_openai",
        "900124bf3b8235c6daf21033af9948b3f07346c4",
        "data/lambada_test.jsonl",
        "test",
        ("text",),
        "lambada",
        "4aa8d02cd17c719165fc8a7887fddd641f43fcafa4b1c806ca8abc31fabdb226",
        licence="modified MIT, that of GPT-2",
    ),
    "hellaswag": Source(
        "Rowan/hellaswag",
        "218ec52e09a7e7462a5400043bb9a69a41d06b76",
        "data/validation-00000-of-00001.parquet",
        "validation",
        ("activity_label", "ctx_a", "ctx_b", "endings", "label"),
        "hellaswag",
        "899813071e1e95efafec90f856e1987d2150fa4d020fc005df6962c259f660cd",
        licence="MIT",
    ),
    "arc_easy": Source(
        "allenai/ai2_arc",
        "210d026faf9955653af8916fad021475a3f00453",
        "ARC-Easy/test-00000-of-00001.parquet",
        "test",
        ("question", "choices", "answerKey"),
        "arc",
        "4160597d618ae851c7eb04e281574f3f654776216ac6b6641588d64527b47177",
        licence="CC-BY-SA-4.0",
    ),
    "piqa": Source(
        "baber/piqa",
        "142f6d7367fd9877f0fb3b5734ea6a545f54cdd1",
        "piqa_validation.parquet",
        "validation",
        ("goal", "sol1", "sol2", "label"),
        "piqa",
        "2b17ee1215b1ceb2ddabf4c90a05c5a8b833bef9d207960f57d111c43a2080f3",
    ),
    "winogrande": Source(
        "allenai/winogrande",
        "01e74176c63542e6b0bcb004dcdea22d94fb67b5",
        "winogrande_xl/validation-00000-of-00001.parquet",
        "validation",
        ("sentence", "option1", "option2", "answer"),
        "winogrande",
        licence="CC-BY",
    ),
    "popqa": Source(
        "akariasai/PopQA",
        "098765c79ea10a2cb19c828324e33281b8336ec0",
        "test.tsv",
        "test",
        ("question", "possible_answers", "s_pop"),
        sha256="9a5227f41bff0e4c331d4a774d946b12f95307892b58f860a9606ef356e6089b",
    ),
}


def write(
    tasks: Iterable[PublicTask], items: int | None, folder: Path, data_dir: str | None = None
) -> dict[str, Row]:
    """Write the rows of public tasks to `folder/public/TASK/SPLIT.jsonl`.

    Args:
        tasks: The tasks.
        items: Rows to keep of each task, evenly spaced: the files are sorted by source or by
            relation, so that their first rows are of one kind. None keeps all.
        folder: A suite's data folder.
        data_dir: Where the user has put the hub's files, as `public/TASK.parquet`, `.jsonl` or
            `.tsv`; none: they are fetched.

    Returns:
        What each task was read from, and how many of its rows were kept.

    Raises:
        ArkdError: a file is missing, empty or of another schema, or the hub is out of reach.
    """
    facts: dict[str, Row] = {}
    for task in tasks:
        source = SOURCES[task]
        path = _own(task, expanded(data_dir)) if data_dir else _fetched(source)
        rows = _read(path)
        lacking = [column for column in source.columns if not rows or column not in rows[0]]
        if lacking:
            raise ArkdError(
                f"{path}: no rows with {', '.join(lacking)}; "
                f"give {source.file} of {source.repo} as the hub has it"
            )
        kept = rows if items is None else spread(rows, items)
        write_jsonl(folder / "public" / task / f"{source.split}.jsonl", kept)
        pinned = {"repo": source.repo, "revision": source.revision, "file": source.file}
        facts[task] = {"file": path.name} if data_dir else pinned
        facts[task] |= {"sha256": sha256_file(path), "rows": len(rows), "kept": len(kept)}
    return facts


def spread(rows: list[Row], items: int) -> list[Row]:
    """Return so many rows, evenly spaced and in their order; all if there are no more."""
    if items >= len(rows):
        return rows
    return [rows[place * len(rows) // items] for place in range(items)]


def own_files(tasks: Iterable[PublicTask], data_dir: str | None) -> dict[str, Path]:
    """Return the files of tasks that are in a user's folder, by what they are."""
    found: dict[str, Path] = {}
    for task in tasks if data_dir else ():
        stem = expanded(data_dir or "") / "public" / task
        there = [path for suffix in READERS if (path := stem.with_suffix(suffix)).is_file()]
        found |= {f"public.{task}": path for path in there[:1]}
    return found


def _own(task: PublicTask, data_dir: Path) -> Path:
    """Return the user's own file of a task."""
    if found := own_files([task], str(data_dir)):
        return found[f"public.{task}"]
    source, stem = SOURCES[task], data_dir / "public" / task
    raise ArkdError(
        f"{stem}.parquet: no such file, nor one in .jsonl or .tsv; put {source.file} of the hub's "
        f"data set {source.repo} there, or leave '{task}' out of public_tasks"
    )


def _fetched(source: Source) -> Path:
    """Return the hub's file of a task, from the machine's own store if it is there already."""
    from arkd.storage import hub

    checked = {source.file: source.sha256} if source.sha256 else None
    folder = hub.fetch(source.repo, source.revision, [source.file], kind="dataset", sha256=checked)
    return folder / source.file


def _read(path: Path) -> list[Row]:
    return READERS[path.suffix](path)


def _read_parquet(path: Path) -> list[Row]:
    import pyarrow.parquet

    try:
        rows: list[Row] = pyarrow.parquet.read_table(path).to_pylist()
    except (pyarrow.ArrowException, OSError) as error:
        first = next(iter(str(error).splitlines()), type(error).__name__)
        raise ArkdError(f"{path}: not a parquet file ({first}); fetch it again") from None
    return rows


def _read_tsv(path: Path) -> list[Row]:
    try:
        with path.open(encoding="utf-8", newline="") as lines:
            return list(csv.DictReader(lines, delimiter="\t"))
    except (UnicodeDecodeError, csv.Error) as error:
        raise ArkdError(f"{path}: not tab-separated text ({error}); fetch it again") from None


READERS = {".parquet": _read_parquet, ".jsonl": read_jsonl, ".tsv": _read_tsv}

"""The data of the paper's suites: instructions to follow, five sets, the first for training, too.

Dolly gives training, development and the test set in distribution; the questions of Self-Instruct,
Vicuna, Super-NaturalInstructions and Unnatural Instructions are tests alone. Two protocols:

- `arkd`: Dolly is filtered and dealt out at random, with a seed of our own, since the paper gives
  none. Where too few rows are left for its three sizes, test and development get theirs in full
  and training gets the rest.
- `minillm`: Dolly stays in its order; the first rows are development, the rest training. The test
  set is a file of its own, MiniLLM's 500 items; without one it is the last rows of Dolly.

Prompts, references and answers have no white space around them: a template ends where an answer
may begin.
"""

from __future__ import annotations

import random
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from pydantic import Field, model_validator

from arkd.data.instructions import formats
from arkd.data.instructions.filters import FILTERS, PUBLISHED, Counts, Filters, Protocol, sift
from arkd.data.instructions.formats import Item
from arkd.data.instructions.origins import (
    LICENCES,
    SETS,
    Origins,
    SetName,
    locate,
    own_files,
)
from arkd.data.instructions.plain_text import Corpus
from arkd.data.instructions.prompts import Template, prompt
from arkd.data.source import DataSource, DataSpec, Place, PlannedRows, Row
from arkd.errors import ArkdError
from arkd.paths import expanded
from arkd.seeding import derive_seed
from arkd.storage.files import write_jsonl

Pairs = list[tuple[str, Item]]  # prompt and item


class InstructionsSpec(DataSpec):
    """Sources, protocol, sizes and template."""

    source: Literal["instructions"] = Field("instructions", description="which builder it is")
    data_dir: str | None = Field(
        None, description="folder with a file for each set, from the suite's folder; none: fetched"
    )
    origins: Origins = Field(Origins(), description="the pinned files, fetched without data_dir")
    sets: tuple[SetName, ...] = Field(SETS, description="which to make; dolly is always needed")
    protocol: Protocol = Field("arkd", description="whose filters and splits")
    template: Template = Field("alpaca", description="how an instruction becomes a prompt")
    split_seed: int = Field(1, description="of the random split of `arkd`; the paper gives none")
    train_rows: int | None = Field(
        None, ge=1, description="at most so many; none: 12,000 for `arkd`, all that is left else"
    )
    dev_rows: int = Field(1_000, ge=1, description="rows for choices made before the tests")
    test_rows: int = Field(500, ge=1, description="rows of Dolly's test set that are split off")
    filters: dict[SetName, Filters] = Field({}, description="changes of the protocol's filters")
    corpus: Corpus | None = Field(None, description="D_p, the plain text of L_pt; none: none")

    @model_validator(mode="after")
    def _has_dolly(self) -> InstructionsSpec:
        if "dolly" not in self.sets or len(set(self.sets)) < len(self.sets):
            raise ValueError("sets: dolly is needed, and each set once")
        return self

    def placed(self, place: Place) -> InstructionsSpec:
        """Return the spec with its own files where a suite's paths lead."""
        folder = str(place(self.data_dir)) if self.data_dir else None
        corpus = self.corpus and self.corpus.placed(place)
        return self.model_copy(update={"data_dir": folder, "corpus": corpus})

    def filters_of(self, name: SetName) -> Filters:
        """Return the protocol's filters of a set with the changes that the spec makes."""
        changes = self.filters.get(name, Filters())
        return FILTERS[self.protocol][name].model_copy(
            update={key: getattr(changes, key) for key in changes.model_fields_set}
        )


def build(spec: InstructionsSpec, out_dir: Path) -> Row:
    """Write all data files of the spec into `out_dir` and return a summary for the manifest.

    Raises:
        ArkdError: a file is missing, malformed or out of reach, or has too few rows to split.
    """
    sources: dict[str, Row] = {}
    counts: dict[str, Counts] = {}
    dolly, counts["dolly"] = sift(
        _read(spec, "dolly", sources), spec.filters_of("dolly"), answered=True
    )
    given, of_test = sift(_read(spec, "dolly_test", sources), Filters(), answered=False)
    if given:
        counts["dolly_test"] = of_test
    tests = split(spec, dolly, given)
    training = {name: tests.pop(name) for name in ("train", "dev")}
    for name in spec.sets:
        if name != "dolly":
            tests[f"test_{name}"], counts[name] = sift(
                _read(spec, name, sources), spec.filters_of(name), answered=False
            )
    for file, pairs in training.items():
        write_jsonl(out_dir / f"{file}.jsonl", [_row(n, *pair) for n, pair in enumerate(pairs)])
    for file, pairs in tests.items():
        rows = [_test_row(n, *pair) for n, pair in enumerate(pairs)]
        write_jsonl(out_dir / f"{file}.jsonl", rows)
    if spec.corpus:
        plain = spec.corpus.documents(sources)
        write_jsonl(out_dir / "corpus.jsonl", plain)
    summary = _summary(spec, training, tests, counts)
    if spec.corpus:
        summary["rows"]["corpus"] = len(plain)
    for warning in summary["warnings"]:
        print(f"arkd: {warning}", file=sys.stderr, flush=True)
    return summary | {"sources": sources}


def split(spec: InstructionsSpec, dolly: Pairs, given: Pairs) -> dict[str, Pairs]:
    """Deal Dolly out to training, development and, where it is not given, the test set.

    Args:
        spec: Protocol, seed and sizes.
        dolly: The rows that passed the filters.
        given: The test set, if it is a file of its own.

    Raises:
        ArkdError: test and development leave nothing to train on.
    """
    held_out = spec.dev_rows + (0 if given else spec.test_rows)
    if len(dolly) <= held_out:
        raise ArkdError(
            f"dolly: {len(dolly)} rows are left after the filters, and data.dev_rows and "
            f"data.test_rows hold {held_out} out, which leaves none to train on: lower the two"
        )
    if spec.protocol == "arkd":
        rng = random.Random(derive_seed("instructions", spec.split_seed, "split"))
        dolly = rng.sample(dolly, len(dolly))
    rest = dolly if given else dolly[: -spec.test_rows]
    most = spec.train_rows or (12_000 if spec.protocol == "arkd" else len(dolly))
    return {
        "train": rest[spec.dev_rows : spec.dev_rows + most],
        "dev": rest[: spec.dev_rows],
        "test_dolly": given or dolly[-spec.test_rows :],
    }


def _read(spec: InstructionsSpec, name: str, sources: dict[str, Row]) -> Pairs:
    """Return the items of a set with their prompts, and note what they were read from."""
    paths, facts = locate(spec.data_dir, spec.origins, name)
    if paths:
        sources[name] = facts
    kind = name.removesuffix("_test")
    items = [item for path in paths for item in formats.read_items(path, kind)]
    if name == "vicuna":
        items = _with_answers(spec, items, sources)
    return [(i.prompt or prompt(spec.template, i.instruction, i.given), i) for i in items]


def _with_answers(spec: InstructionsSpec, items: list[Item], sources: dict[str, Row]) -> list[Item]:
    """Give Vicuna's questions the reference answers that are there."""
    paths, facts = locate(spec.data_dir, spec.origins, "vicuna_references")
    if not paths:
        return items
    sources["vicuna_references"] = facts
    answers = {key: texts for path in paths for key, texts in formats.read_answers(path).items()}
    return [i if i.references else formats.answered(i, answers.get(i.key, ())) for i in items]


def _row(number: int, text: str, item: Item) -> Row:
    response = item.references[0] if item.references else ""
    return {"id": number, "prompt": text, "response": response, "band": "none", "kind": item.kind}


def _test_row(number: int, text: str, item: Item) -> Row:
    return _row(number, text, item) | {"references": list(item.references)}


def _summary(
    spec: InstructionsSpec,
    training: dict[str, Pairs],
    tests: dict[str, Pairs],
    counts: dict[str, Counts],
) -> Row:
    """Count rows, dropped rows, shared prompts and what differs from the published sizes."""
    rows = {name: len(pairs) for name, pairs in (training | tests).items()}
    trained = {text for text, _ in training["train"]}
    held_out = {"dev": training["dev"], **tests}
    shared = {name: sum(text in trained for text, _ in pairs) for name, pairs in held_out.items()}
    found = {**rows, "dolly read": counts["dolly"]["read"]}
    warnings = [
        f"data: {name}: {found[name]:,} rows where {wanted:,} are published"
        for name, wanted in PUBLISHED[spec.protocol].items()
        if name in found and found[name] != wanted
    ]
    warnings += [
        f"data: {name}: {count:,} prompts also stand in training"
        for name, count in shared.items()
        if count
    ]
    return {
        "protocol": spec.protocol,
        "template": spec.template,
        "rows": rows,
        "counts": counts,
        "rows_without_references": {
            name: sum(not item.references for _, item in pairs) for name, pairs in tests.items()
        },
        "prompts_shared_with_training": shared,
        "warnings": warnings,
    }


def planned_rows(spec: InstructionsSpec, test_sets: Sequence[str]) -> PlannedRows:
    """Return the sizes as published, since filters decide only when the sets are read."""
    published = PUBLISHED[spec.protocol]
    left = PUBLISHED["arkd"]["dolly read"] - spec.dev_rows - spec.test_rows
    train = min(left, spec.train_rows or published.get("train", left))
    files = {name: count for name, count in published.items() if name.startswith("test_")}
    files |= {"train": train, "dev": spec.dev_rows, "test_dolly": spec.test_rows}
    return PlannedRows(files, (f"at most {train:,} training rows; filters may leave fewer",))


def _inputs(spec: InstructionsSpec) -> dict[str, Path]:
    """Return the user's own files that are there, by where they lie; what lacks is said later."""
    found: dict[str, Path] = {}
    if spec.data_dir:
        folder = expanded(spec.data_dir)
        for name in (*spec.sets, "dolly_test", "vicuna_references"):
            files = own_files(folder, name)
            found |= {f"data_dir.{path.relative_to(folder).as_posix()}": path for path in files}
    if spec.corpus and spec.corpus.path:
        found["corpus.path"] = expanded(spec.corpus.path)
    return found


def licences(spec: InstructionsSpec) -> dict[str, str]:
    """Return the licences of the sets as their authors state them, and of other origins none."""
    found = {}
    for name in spec.sets:
        origin = getattr(spec.origins, name)
        known = origin.repo == getattr(Origins(), name).repo
        found[f"{name}: {spec.data_dir or origin.repo}"] = (
            "your own file" if spec.data_dir else LICENCES[name] if known else "not declared"
        )
    if spec.corpus:
        found[f"corpus: {spec.corpus.path or spec.corpus.repo}"] = (
            "your own file" if spec.corpus.path else "not declared"
        )
    return found


SOURCE = DataSource(
    spec=InstructionsSpec,
    build=build,
    planned_rows=planned_rows,
    licences=licences,
    placed=InstructionsSpec.placed,
    inputs=_inputs,
)

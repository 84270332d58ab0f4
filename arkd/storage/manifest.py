"""The manifest beside a stage's files: read, and the files compared with it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from arkd.errors import ArkdError
from arkd.storage import received, seen
from arkd.storage.files import MARK, read_json, sha256_file
from arkd.validated import problem

NAME = "manifest.json"
MERGE = "merge"  # what the manifest of merged runs has as its stage
MOST_DEVICES = 100_000


def read(folder: Path, keys: Iterable[str] = (), remedy: str | None = None) -> dict[str, Any]:
    """Return the manifest of a stage's folder.

    Args:
        folder: The stage's folder.
        keys: What is read of it; none: all.
        remedy: What makes a damaged one anew; None: to delete the folder and run again.

    Raises:
        ArkdError: there is none, or it is not what a stage writes.
    """
    path = folder / NAME
    made = read_json(path)
    check_form(path, made, keys, remedy or _anew(folder))
    return made


def check_form(path: Path, made: dict[str, Any], keys: Iterable[str], remedy: str) -> None:
    """Make sure that a manifest has what a stage writes.

    Args:
        path: Its file.
        made: What was read there.
        keys: What has to be there; none: all.
        remedy: What makes a damaged one anew.

    Raises:
        ArkdError: a key is not there or not as stages write it.
    """
    wanted = tuple(keys) or tuple(FORM)
    wrong = [key for key in wanted if not isinstance(made.get(key), FORM[key])]
    wrong += [
        key
        for key in ("inputs", "outputs")
        if key in wanted
        and key not in wrong
        and not all(isinstance(sha, str) for sha in made[key].values())
    ]
    if not wrong and "outputs" in wanted:
        wrong = [f"outputs '{n:.80}'" for n in made["outputs"] if not received.inside(n)]
    if wrong:
        raise ArkdError(
            f"{path}: not a stage's manifest ({wrong[0]} is not as stages write it); {remedy}"
        )


def read_foreign(folder: Path) -> dict[str, Any]:
    """Return a manifest that somebody else sent, of which any key may be missing, or be anything.

    Raises:
        ArkdError: there is none, or a key that is read of one is not as stages write it.
    """
    made = read_json(folder / NAME)
    if wrong := foreign_problem(made):
        raise ArkdError(f"{folder / NAME}: not as stages write it: {wrong}")
    return made


def foreign_problem(made: dict[str, Any]) -> str:
    """Say the first key of a manifest that is not as stages write it; "" if all are."""
    try:
        Foreign.model_validate({key: made[key] for key in Foreign.model_fields if key in made})
    except ValidationError as error:
        return problem(error, made)
    return ""


def _below(hashes: dict[str, str]) -> dict[str, str]:
    for name in hashes:
        if not received.inside(name):
            raise ValueError(f"'{name:.80}' is no file below the folder")
    return hashes


Text = Annotated[str, AfterValidator(received.plain)]
Label = Annotated[str, AfterValidator(received.label)]
Outputs = Annotated[dict[str, str], AfterValidator(_below)]


class _Part(BaseModel):
    """A part of a manifest, of which only some keys are read."""

    model_config = ConfigDict(strict=True)


class _Commit(_Part):
    commit: Text | None = None
    dirty: bool | None = None


class _Host(_Part):
    processor: Text | None = None
    threads: int | None = None


class _Notes(_Part):
    control: str | None = None
    train_s: float | None = None
    train_processor_s: float | None = None
    tokens: float | None = None
    tokens_per_s: float | None = None
    padding_share: float | None = None


class _Budget(_Part):
    steps: int | None = None


class _Training(_Part):
    devices: int | None = Field(None, ge=1, le=MOST_DEVICES)


class _Config(_Part):
    description: str = ""
    device: str = ""
    kernels: Text = ""
    rouge: Literal["rouge_l", "rouge_l_unicode"] = "rouge_l"
    test_sets: list[str] = []
    worlds: list[int] = []
    methods: list[Any] = []
    beside: Annotated[str, AfterValidator(received.suite)] | None = None
    distillation: _Budget | None = None
    training: _Training | None = None


class _Source(_Part):
    folder: str = ""
    runs: dict[str, list[int]] = {}


class Foreign(_Part):
    """What is read of a manifest that may be of anybody."""

    stage: str = ""
    suite: str = ""
    suite_version: str = ""
    pair: Annotated[str, AfterValidator(received.folder)] = ""
    method: Label | None = None
    label: Label | None = None
    seed: int | None = None
    core: Text | None = None
    training_core: Text | None = None
    git: _Commit | None = None
    host: _Host | None = None
    config: _Config | None = None
    versions: dict[Text, Text] | None = None
    inputs: dict[str, str] = {}
    outputs: Outputs = {}
    notes: _Notes = _Notes()
    startup_s: float | None = None
    wall_s: float = 0.0
    proper_s: float | None = None
    peak_mib: float = 0.0
    sources: list[_Source] = []


FORM: dict[str, type | tuple[type, ...]] = {  # what others read of a stage's manifest
    **dict.fromkeys(("stage", "suite", "suite_version", "core"), str),
    **dict.fromkeys(("inputs", "outputs", "notes", "versions", "host", "config"), dict),
    **dict.fromkeys(("wall_s", "peak_mib"), (int, float)),
}


def weights(training: Path) -> str:
    """Return the hashes of a training's model, as its manifest tells; empty where there is none."""
    made = training / NAME
    outputs = read(training, ["outputs"])["outputs"] if made.is_file() else {}
    files = sorted(outputs.items())
    return " ".join(f"{name} {sha}" for name, sha in files if name.endswith(".safetensors"))


def hash_tree(folder: Path) -> dict[str, str]:
    """Return the SHA-256 of each file below a folder, its manifest left out."""
    passed = (NAME, MARK, seen.NAME)
    files = sorted(p for p in folder.rglob("*") if p.is_file() and p.name not in passed)
    return {path.relative_to(folder).as_posix(): sha256_file(path) for path in files}


def digest_of(outputs: dict[str, str]) -> str:
    """Return one hash of the hashes of a stage's files."""
    return hashlib.sha256(json.dumps(outputs, sort_keys=True).encode()).hexdigest()


def check_outputs(folder: Path, outputs: Mapping[str, str], remedy: str | None = None) -> None:
    """Make sure that a stage's files are still the ones it wrote.

    A large file is hashed once, and again when its size or time has changed.

    Args:
        folder: The stage's folder.
        outputs: Hashes by name, as its manifest has them.
        remedy: What brings a changed file back; None: to delete the folder and run again.

    Raises:
        ArkdError: one is not there or not as it was written.
    """
    for name, sha in outputs.items():
        file = folder / name
        if not file.is_file():
            raise ArkdError(f"{file}: lost since its stage wrote it; {remedy or _anew(folder)}")
        if seen.sha256(file, folder, name) != sha:
            raise ArkdError(
                f"{file}: not as its stage wrote it ({NAME} has another hash); "
                f"{remedy or _anew(folder)}"
            )


def _anew(folder: Path) -> str:
    return f"delete {folder} and run again"


def merged(root: Path) -> bool:
    """Tell whether a suite's folder was merged of several runs."""
    try:
        return bool(read_json(root / NAME).get("stage") == MERGE)
    except ArkdError:  # not there, or damaged
        return False


def check_collected(root: Path) -> None:
    """Make sure that the records that a suite has are those that `arkd collect` wrote.

    Raises:
        ArkdError: they were edited since.
    """
    if (root / NAME).is_file():
        again = "run `arkd collect` again"
        outputs = read(root, ["outputs"], again)["outputs"]
        check_outputs(root, outputs, f"restore it, or {again}")


def digest(path: Path) -> str:
    """Return one hash of a stage's outputs (times and hosts left out), or of a folder or file.

    Raises:
        ArkdError: there is nothing there, or a stage's files are not those it wrote.
    """
    if path.is_dir():
        made = path / NAME
        if not made.is_file():
            return digest_of(hash_tree(path))
        outputs = read(path, ["outputs"])["outputs"]
        check_outputs(path, outputs)
        return digest_of(outputs)
    if not path.exists():
        raise ArkdError(f"{path}: no such file; run the stage that writes it first")
    return sha256_file(path)

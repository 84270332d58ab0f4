"""What a suite is given under paths that stay the same while what lies there may not: its hash.

A model's folder or a data file may be replaced between two jobs of one run. Its hash is an input of
the stage that reads it, so that the workflow runs the stage again and no two are ever mixed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from arkd.errors import ArkdError
from arkd.storage import seen
from arkd.storage.files import read_json
from arkd.storage.manifest import digest_of

ROLE = "given "  # how the roles of such inputs begin in manifests
# What is read of a model's folder; the rest, such as a training's checkpoints, changes nothing.
WEIGHTS = ("*.safetensors",)
BESIDE_WEIGHTS = ("*.json", "*.txt", "*.model", "*.jinja")
ROWS = ("*.arrow", "*.parquet")  # of a data set's folder


def digest(path: Path, memory: Path, *, weights: bool = True) -> str:
    """Return the hash of a file, or of what is read of a model's or a data set's folder.

    Args:
        path: The file or the folder.
        memory: A folder of results, which remembers the hashes of large files by their size and
            times; nothing is remembered where it does not exist yet.
        weights: Whether the weights of a model are read, beside its settings and its tokenizer.

    Raises:
        ArkdError: there is nothing there.
    """
    if path.is_file():
        return seen.sha256(path, memory, str(path.absolute()))
    patterns = (*BESIDE_WEIGHTS, *ROWS, *(WEIGHTS if weights else ()))
    files = sorted(file for pattern in patterns for file in path.glob(pattern) if file.is_file())
    if not files:
        raise ArkdError(f"{path}: no such file, and no model's folder; correct the path")
    return digest_of({f.name: seen.sha256(f, memory, str(f.absolute())) for f in files})


def check_model(folder: Path) -> None:
    """Refuse a model's folder that leads Transformers to other weights than its own safe tensors.

    An adapter would be laid over the model without a word; a configuration can name another file
    (a pickle, too) or code of the hub for its attention, an index a file of another folder.

    Raises:
        ArkdError: it does one of these, or its JSON cannot be read.
    """
    if (folder / "adapter_config.json").is_file():
        raise ArkdError(
            f"{folder / 'adapter_config.json'}: an adapter beside a model; merge it into its model "
            "and save that"
        )
    config = folder / "config.json"
    for key, value in _entries(read_json(config)):
        if key == "transformers_weights":
            raise ArkdError(
                f"{config}: {key}: weights are read from the model*.safetensors of this folder "
                "alone; remove the key"
            )
        if key.endswith("attn_implementation") and "/" in str(value):
            raise ArkdError(f"{config}: {key}: '{value:.60}' is code of the hub; remove the key")
    for index in folder.glob("*.index.json"):
        for _, name in _entries(read_json(index).get("weight_map")):
            if not isinstance(name, str) or Path(name).name != name:
                raise ArkdError(
                    f"{index}: weight_map: '{name!s:.60}' is no file of this folder; save the "
                    "model again with `save_pretrained`"
                )


def _entries(value: Any) -> Iterator[tuple[str, Any]]:
    """Yield the keys and values of an object and of those inside."""
    for key, inner in value.items() if isinstance(value, dict) else ():
        yield key, inner
        yield from _entries(inner)


def mixed(manifests: Iterable[tuple[Path, dict[str, Any]]]) -> dict[tuple[str, str], list[Path]]:
    """Return what stages of one pair were made from more than one of: one of these stages for each.

    Args:
        manifests: The stages' manifests by folder, all those of one suite.
    """
    found: dict[tuple[str, str], dict[str, Path]] = {}
    for folder, made in manifests:
        role = made["stage"] if made["stage"] in ONE_OF_EACH else None
        named = dict(made["inputs"]) | ({role: digest_of(made["outputs"])} if role else {})
        for part, sha in named.items():
            if part in ONE_OF_EACH or part.startswith(ROLE):
                pair = "" if part == "data" else str(made.get("pair", ""))
                found.setdefault((pair, part), {}).setdefault(sha, folder)
    return {key: list(folders.values()) for key, folders in found.items() if len(folders) > 1}


# What a suite or a pair has one of, whatever reads it.
ONE_OF_EACH = ("data", "tokens", "teacher", "prefixes")

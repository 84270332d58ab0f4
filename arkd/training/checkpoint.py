"""A training that is killed goes on where it stood: its state on disk, safetensors and JSON only.

Tensors go to a safetensors file, everything else to JSON that names them by place. Of a model that
several processes share out each writes its own rows, to a file of its own, and reads those that it
has now, of whatever files: as many processes may go on as there are. A checkpoint knows what it was
made for; one of other settings, data or code is not taken up.
"""

from __future__ import annotations

import json
import time
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from arkd import ranks
from arkd.storage.files import read_json, recover, staged_dir
from arkd.training.shard_files import PREFIX, ShardFiles, file_of, is_shard

TENSORS, TREE = "tensors.safetensors", "state.json"
EVERY_S = 60.0  # from one save to the next, for each second that a save takes, and at least


def flatten(value: Any, tensors: dict[str, Tensor]) -> Any:
    """Return a value as JSON, its tensors moved to `tensors`.

    Dictionaries become lists of pairs, so that their keys may be numbers.

    Raises:
        TypeError: a value is of no kind that a state may hold.
    """
    if is_shard(value):
        name = f"{PREFIX}-{len(tensors)}"
        tensors[name] = value.to_local().detach().cpu().clone().contiguous()
        return {"shard": name}
    if isinstance(value, Tensor):
        name = str(len(tensors))
        tensors[name] = value.detach().cpu().clone().contiguous()
        return {"tensor": name}
    if isinstance(value, dict):
        return {"dict": [[key, flatten(item, tensors)] for key, item in value.items()]}
    if isinstance(value, list | tuple):
        return [flatten(item, tensors) for item in value]
    if value is None or isinstance(value, bool | int | float | str):
        return value
    raise TypeError(f"a state holds tensors, numbers, text, lists and dictionaries, not {value!r}")


def restore(tree: Any, tensors: dict[str, Tensor], shards: ShardFiles | None = None) -> Any:
    """Return what `flatten` took apart; tuples come back as lists."""
    if isinstance(tree, list):
        return [restore(item, tensors, shards) for item in tree]
    if isinstance(tree, dict):
        if "tensor" in tree:
            return tensors[tree["tensor"]]
        if "shard" in tree:
            assert shards is not None
            return shards.read(tree["shard"])
        return {key: restore(item, tensors, shards) for key, item in tree["dict"]}
    return tree


@dataclass
class Checkpoint:
    """The one checkpoint of a training, written now and then."""

    folder: Path
    made_for: dict[str, Any]  # settings, inputs and code, as the stage's manifest has them
    every_s: float = EVERY_S
    _last: float = field(default_factory=time.monotonic)
    _took_s: float = 0.0

    def load(self, mesh: Any = None) -> dict[str, Any] | None:
        """Return the saved state, or none if there is none that fits.

        Args:
            mesh: The processes that share out the model's weights now; none if each has all.
        """
        if ranks.number() == 0:
            recover(self.folder)
        ranks.wait()
        if not (self.folder / TREE).is_file():
            return None
        tree = read_json(self.folder / TREE)
        if tree.get("made_for") != json.loads(json.dumps(self.made_for)):
            return None
        shards = ShardFiles(self.folder, mesh)
        state: dict[str, Any] = restore(tree["state"], load_file(self.folder / TENSORS), shards)
        return state

    def due(self) -> bool:
        """Tell whether the last state is old enough for a new one, given what saving it took."""
        return time.monotonic() - self._last >= self.every_s * max(1.0, self._took_s)

    def save(self, state: dict[str, Any]) -> None:
        """Replace the saved state; a kill meanwhile leaves the old one.

        The first process writes what all of them have. Where a model is sharded all of them call
        it, and each writes its own shards.
        """
        started, first = time.monotonic(), ranks.number() == 0
        tensors: dict[str, Tensor] = {}
        tree = {"made_for": self.made_for, "state": flatten(state, tensors)}
        shards = {name: tensors.pop(name) for name in [*tensors] if name.startswith(PREFIX)}
        with ExitStack() as writing:
            folders = [writing.enter_context(staged_dir(self.folder))] if first else []
            if shards:
                (folder,) = ranks.joined(folders)
                save_file(shards, folder / file_of(ranks.number()))
                ranks.wait()  # until the folder is whole
            for folder in folders:
                save_file(tensors or {"none": torch.zeros(0)}, folder / TENSORS)
                (folder / TREE).write_text(json.dumps(tree), encoding="utf-8")
        self._last = time.monotonic()
        self._took_s = self._last - started

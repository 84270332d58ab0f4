"""Tensors of which each process has some rows, on disk: a safetensors file for each process."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from torch import Tensor

PREFIX = "shard"  # of a tensor of which each process has some rows, and of the file of a process's


def file_of(rank: int) -> str:
    """Return the name of the file that holds the rows of one process."""
    return f"{PREFIX}-{rank}.safetensors"


def is_shard(value: Any) -> bool:
    """Tell whether a value is a tensor of which this process has some rows."""
    return isinstance(value, Tensor) and hasattr(value, "device_mesh")


def rows_of(total: int, rank: int, processes: int) -> range:
    """Return the rows that a process has of so many: as `torch.chunk` cuts them."""
    each = -(-total // processes)
    return range(min(rank * each, total), min((rank + 1) * each, total))


class ShardFiles:
    """The files of a checkpoint, read by as many processes as there are now.

    Args:
        folder: Of the checkpoint.
        mesh: The processes that share the tensors out now; None if this one reads all rows.
    """

    def __init__(self, folder: Path, mesh: Any) -> None:
        self.folder = folder
        self.mesh = mesh

    @cached_property
    def files(self) -> list[Any]:
        """The open files, in the order of the processes that wrote them."""
        count = len([*self.folder.glob(f"{PREFIX}-*.safetensors")])
        return [safe_open(self.folder / file_of(rank), "pt") for rank in range(count)]

    def read(self, name: str) -> Tensor:
        """Return this process's rows of a tensor, on the device that the processes share it on."""
        parts = [file.get_slice(name) for file in self.files]
        lengths = [part.get_shape()[0] for part in parts]
        total = sum(lengths)
        if self.mesh is None:
            wanted = range(total)
        else:
            wanted = rows_of(total, self.mesh.get_local_rank(), self.mesh.size())
        found, start = [], 0
        for part, length in zip(parts, lengths, strict=True):
            first, last = max(wanted.start, start), min(wanted.stop, start + length)
            if first < last:
                found.append(part[first - start : last - start])
            start += length
        rows = torch.cat(found) if found else self.files[0].get_tensor(name)[:0]
        return rows if self.mesh is None else self._placed(rows, total)

    def _placed(self, rows: Tensor, total: int) -> Tensor:
        from torch.distributed.tensor import DTensor, Shard

        shape = torch.Size((total, *rows.shape[1:]))
        stride = torch.empty(shape, device="meta").stride()
        local = rows.to(self.mesh.device_type)
        return DTensor.from_local(
            local, self.mesh, [Shard(0)], run_check=False, shape=shape, stride=stride
        )

"""The teacher's states on the disk: shards and their index, written once, read as mapped memory.

A response set NAME has the shards `NAME_hidden-00000.safetensors`, … and `NAME_index.json`, which
says what they are made of and carries their hashes. While a cache is being built, the index lists
the shards that stand; so it is also what a killed build goes on from.

Shapes: S samples, N response tokens, R stored rows (identical samples share theirs), G the
teacher's hidden size.
"""

from __future__ import annotations

import hashlib
import json
import mmap
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor

from arkd.errors import ArkdError
from arkd.storage.files import parse_json, read_json, sha256_file, staged_file, write_json

FORMAT = 1
SHARD_BYTES = 256 * 2**20  # at most, of one shard; or one batch, where that is more
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}
STORED_AS = {torch.float32: "F32", torch.bfloat16: "BF16"}  # in a header
# What a row is: the state that predicts a response token, of each distinct sample once.
CONVENTION = {"mask": "response", "shift": "predicting", "order": "length, tokens, prompt length"}


@dataclass(frozen=True)
class Shard:
    """One file of states [rows, G], as the index knows it."""

    file: str
    rows: int
    bytes: int
    sha256: str


@dataclass(frozen=True)
class Index:
    """What the states of a response set are made of, and the shards that stand."""

    made_of: dict[str, Any]  # teacher, tokenizer, token set, dtype, hidden size, batch, convention
    shards: tuple[Shard, ...] = ()

    @property
    def key(self) -> str:
        """The hash of all that the values depend on."""
        return hashlib.sha256(json.dumps(self.made_of, sort_keys=True).encode()).hexdigest()

    @property
    def dtype(self) -> torch.dtype:
        """The type that the states are stored in."""
        return DTYPES[self.made_of["dtype"]]

    def save(self, folder: Path, name: str) -> None:
        """Write the index; a kill meanwhile leaves the old one."""
        value = {"format": FORMAT, "key": self.key, **asdict(self)}
        write_json(index_path(folder, name), value)

    @classmethod
    def load(cls, folder: Path, name: str) -> Index:
        """Read an index.

        Raises:
            ArkdError: it is missing, of another format, or not as it was written.
        """
        path = index_path(folder, name)
        if not path.is_file():
            raise broken(path, "no such file")
        value = read_json(path)
        if value.get("format") != FORMAT:
            raise broken(path, f"of format {value.get('format')}, where {FORMAT} is read")
        try:
            shards = tuple(Shard(**shard) for shard in value["shards"])
            index = cls(dict(value["made_of"]), shards)
            same = index.key == value["key"]
        except (LookupError, TypeError, ValueError) as error:
            raise broken(path, f"not as it was written ({error!s:.80})") from None
        if not same:
            raise broken(path, "its key is not that of what it says it is made of")
        return index


def index_path(folder: Path, name: str) -> Path:
    """Return where the index of a response set lies."""
    return folder / f"{name}_index.json"


def broken(path: Path, what: str) -> ArkdError:
    """Return the one line on a file that cannot be used, and what to do."""
    return ArkdError(f"{path}: {what}; delete the folder {path.parent} and run again")


def write_shard(folder: Path, name: str, number: int, states: Tensor) -> Shard:
    """Write one shard [rows, G] under a temporary name, and rename it when it is whole.

    Args:
        folder: Of the cache.
        name: Of the response set.
        number: Of the shard among those of the set, from 0.
        states: Rows of hidden states, in the type that they are stored in.
    """
    path = folder / f"{name}_hidden-{number:05}.safetensors"
    with staged_file(path) as temporary:
        save_file({"hidden": states}, temporary, {"arkd": json.dumps(CONVENTION)})
    return Shard(path.name, len(states), path.stat().st_size, sha256_file(path))


def standing(folder: Path, name: str, index: Index) -> tuple[Shard, ...]:
    """Return the shards of an unfinished build that can be kept: of this key, and unharmed."""
    try:
        found = Index.load(folder, name)
    except ArkdError:  # nothing there, or nothing that can be taken up
        return ()
    kept: list[Shard] = []
    for shard in found.shards if found.key == index.key else ():
        path = folder / shard.file
        if not path.is_file() or sha256_file(path) != shard.sha256:
            break  # those after it are written anew as well: they follow it row for row
        kept.append(shard)
    return tuple(kept)


def check(folder: Path, name: str, index: Index, rows: int, *, hashes: bool) -> None:
    """Compare shards with their index: size and header of each, and its SHA-256 if asked.

    Args:
        folder: Of the cache.
        name: Of the response set.
        index: What the shards should be.
        rows: Response tokens of the distinct samples, in all shards together.
        hashes: Whether every byte is read and hashed.

    Raises:
        ArkdError: a shard is missing, cut, changed, or of another shape or type, or all together
            have other than so many rows.
    """
    if (found_rows := sum(shard.rows for shard in index.shards)) != rows:
        what = f"shards of {found_rows:,} rows, where its tokens have {rows:,}"
        raise broken(index_path(folder, name), what)
    for shard in index.shards:
        path = folder / shard.file
        if not path.is_file():
            raise broken(path, "no such file")
        if (size := path.stat().st_size) != shard.bytes:
            raise broken(path, f"{size:,} bytes, where its index says {shard.bytes:,}")
        expected = [shard.rows, index.made_of["hidden"]], STORED_AS[index.dtype]
        found = _header(path)
        if found != expected:
            raise broken(path, f"states of {found}, where its index says {expected}")
        if hashes and sha256_file(path) != shard.sha256:
            raise broken(path, "its SHA-256 is not that of its index")


def _header(path: Path) -> tuple[list[int], str]:
    """Return shape and type that a shard's header tells; safetensors would read on behind it."""
    try:
        with path.open("rb") as stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as m:
            m.madvise(mmap.MADV_RANDOM)
            facts = parse_json(m[8 : 8 + int.from_bytes(m[:8], "little")].decode("utf-8"))["hidden"]
        return facts["shape"], facts["dtype"]
    except (ValueError, KeyError, TypeError, IndexError) as error:
        raise broken(path, f"not readable as safetensors ({error})") from error


class HiddenStates:
    """The teacher's states at the N response tokens of a set [N, G], read where they are asked for.

    Opening reads nothing. A gather reads the rows it needs and no others: the memory is mapped for
    random access, since reading ahead would fetch megabytes for each sample of a batch, and the
    kernel is told of a sample's rows at once, since it would fetch them page by page.

    Args:
        folder: Of the cache.
        index: The shards that stand.
        starts_S: Where each sample's response tokens start among all.
        first_rows_S: The row of each sample's first state in the shards; equal samples share one.
        tokens: N.
    """

    def __init__(
        self, folder: Path, index: Index, starts_S: Tensor, first_rows_S: Tensor, tokens: int
    ) -> None:
        self._starts_S = starts_S  # where a sample's response tokens start among all
        self._shifts_S = first_rows_S - starts_S  # from there to its rows in the shards
        rows = torch.tensor([shard.rows for shard in index.shards], dtype=torch.int64)
        self._ends = rows.cumsum(0)
        self._parts = [_Mapped(folder / shard.file, shard, index) for shard in index.shards]
        self.shape = torch.Size((tokens, index.made_of["hidden"]))

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, rows_N: Tensor | slice) -> Tensor:
        """Return the states of some response tokens, counted in the set's own order, in float32."""
        if isinstance(rows_N, slice):
            rows_N = torch.arange(*rows_N.indices(len(self)))
        sample_N = torch.searchsorted(self._starts_S, rows_N, right=True) - 1
        stored_N = rows_N + self._shifts_S[sample_N]
        if len(self._parts) == 1:
            return self._parts[0].gather(stored_N)
        part_N = torch.searchsorted(self._ends, stored_N, right=True)
        out_NG = torch.empty(len(rows_N), self.shape[1])
        for part in part_N.unique().tolist():
            mine_N = part_N == part
            start = int(self._ends[part - 1]) if part else 0
            out_NG[mine_N] = self._parts[part].gather(stored_N[mine_N] - start)
        return out_NG

    def whole(self) -> Tensor:
        """Return all states [N, G] in the set's own order, in memory."""
        return self[:]


class _Mapped:
    """The rows of one shard, as mapped memory."""

    def __init__(self, path: Path, shard: Shard, index: Index) -> None:
        with path.open("rb") as stream:  # a private mapping: PyTorch knows no read-only tensors
            self._map = mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_COPY)
        self._map.madvise(mmap.MADV_RANDOM)
        shape = shard.rows, index.made_of["hidden"]
        self._row_bytes = shape[1] * index.dtype.itemsize
        self._offset = shard.bytes - shard.rows * self._row_bytes  # the one tensor ends the file
        self._rows = torch.frombuffer(self._map, dtype=index.dtype, offset=self._offset).view(shape)

    def gather(self, rows_N: Tensor) -> Tensor:
        """Return some rows [N, G] in float32."""
        breaks = (torch.nonzero(rows_N.diff() != 1).squeeze(1) + 1).tolist()
        firsts = rows_N[[0, *breaks]].tolist() if len(rows_N) else []
        lengths = [b - a for a, b in zip([0, *breaks], [*breaks, len(rows_N)], strict=True)]
        for first, length in zip(firsts, lengths, strict=False):
            start = self._offset + first * self._row_bytes
            page = start - start % mmap.PAGESIZE
            size = start + length * self._row_bytes - page
            self._map.madvise(mmap.MADV_WILLNEED, page, size)
        return self._rows[rows_N].float()

"""The rows of a user's file: JSON lines, Parquet, or the folder of a Hugging Face data set."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from arkd.data.instructions.formats import read_object, read_rows
from arkd.errors import ArkdError
from arkd.storage.files import read_json

Row = dict[str, Any]
STATE = "state.json"  # of a data set that `save_to_disk` wrote


def rows(path: Path) -> Iterator[tuple[str, Row]]:
    """Yield the rows of a file or a data set's folder, each with the place to name in an error.

    Raises:
        ArkdError: there is nothing there, or it cannot be read as what its name says.
    """
    if path.is_dir():
        for part in parts(path):
            yield from _table(part)
    elif not path.is_file():
        raise ArkdError(f"{path}: no such file; correct the path in the suite's data")
    elif path.suffix == ".parquet":
        yield from _table(path)
    elif path.suffix == ".csv":
        yield from _csv(path)
    elif path.suffix == ".json":
        yield from read_rows(path)
    else:
        yield from _lines(path)


def count(path: Path) -> int:
    """Return how many rows a file or folder has; 0 where there is none."""
    if path.is_dir() or path.suffix == ".parquet":
        try:
            return sum(_count(part) for part in ([path] if path.is_file() else parts(path)))
        except ArkdError:
            return 0
    if not path.is_file():
        return 0
    with path.open("rb") as lines:
        return sum(bool(line.strip()) for line in lines)


def parts(folder: Path) -> list[Path]:
    """Return the files of a data set's folder, in its order.

    Raises:
        ArkdError: it holds none, or several splits.
    """
    if (folder / STATE).is_file():
        named = read_json(folder / STATE).get("_data_files")
        parts_ = named if isinstance(named, list) else ()
        names = [part.get("filename") for part in parts_ if isinstance(part, dict)]
        found = [folder / str(name) for name in names]
    else:
        found = sorted(folder.glob("*.parquet")) or sorted(folder.glob("*.arrow"))
    if not found:
        below = sorted(p.parent.name for p in folder.glob(f"*/{STATE}"))
        below += sorted({p.parent.name for p in folder.glob("*/*.parquet")})
        hint = f"name one of its splits: {', '.join(below)}" if below else "correct the path"
        raise ArkdError(f"{folder}: no data set with .arrow or .parquet files; {hint}")
    return found


def _table(path: Path) -> Iterator[tuple[str, Row]]:
    """Yield the rows of a Parquet or an Arrow file; cells without a value are left out."""
    number = 0
    for batch in _batches(path):
        for row in batch.to_pylist():
            number += 1
            yield f"{path}: row {number}", {k: v for k, v in row.items() if v is not None}


def _batches(path: Path) -> Iterator[Any]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        if path.suffix == ".parquet":
            with pq.ParquetFile(path) as file:
                yield from file.iter_batches(1000)
        else:
            with pa.memory_map(str(path)) as source:
                yield from pa.ipc.open_stream(source)
    except (pa.ArrowException, OSError) as error:
        what = " ".join(str(error).split())[:200]
        raise ArkdError(f"{path}: cannot be read ({what}); write it again") from error


def _csv(path: Path) -> Iterator[tuple[str, Row]]:
    """Yield the lines of a table with a heading; empty cells are left out.

    Raises:
        ArkdError: it is not UTF-8, or a line has more cells than the heading.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as lines:
            for number, line in enumerate(csv.DictReader(lines), start=1):
                if None in line:
                    raise ArkdError(f"{path}: row {number}: more cells than the heading has")
                yield f"{path}: row {number}", {k: v for k, v in line.items() if v}
    except (UnicodeDecodeError, csv.Error) as error:
        raise ArkdError(f"{path}: cannot be read ({error}); write it again as UTF-8") from None


def _count(path: Path) -> int:
    if path.suffix == ".parquet":
        import pyarrow.parquet as pq

        return int(pq.ParquetFile(path).metadata.num_rows)
    return sum(batch.num_rows for batch in _batches(path))


def _lines(path: Path) -> Iterator[tuple[str, Row]]:
    """Yield the objects of a JSONL file.

    Raises:
        ArkdError: a line is not UTF-8, not JSON or no object.
    """
    with path.open("rb") as lines:
        for number, line in enumerate(lines, start=1):
            place = f"{path}:{number}"
            if not line.strip():
                continue
            try:
                row = read_object(line.decode("utf-8-sig"), place)
                json.dumps(row, ensure_ascii=False).encode()  # a lone surrogate can be escaped
            except UnicodeError:
                raise ArkdError(f"{place}: not UTF-8 text; save the file as UTF-8") from None
            yield place, row

"""An archive that somebody sends, unpacked: plain files, inside one folder, of a bounded size."""

from __future__ import annotations

import gzip
import tarfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from arkd.errors import ArkdError
from arkd.exchange.held import LONGEST

ENDING = ".tar.gz"
MOST_BYTES, MOST_FILES = 2 * 2**30, 100_000  # of an archive unpacked: ten times a large suite
MOST_AT_ONCE = 2**16  # bytes: content is read by less, and headers, which are read whole, are less
# Of what is no archive; tarfile has the latter three for headers that are wrong or nested.
UNREADABLE = (
    *(tarfile.TarError, zlib.error, EOFError, OSError),
    *(ValueError, OverflowError, RecursionError),
)


class _Bounded(gzip.GzipFile):
    """What a file unpacks to, read in small parts and not beyond a limit.

    tarfile reads a header of any size into memory, and no member's size says how large it is.
    """

    def read(self, size: int | None = -1) -> bytes:
        """Return the next bytes.

        Raises:
            tarfile.ReadError: they are too many, or lie beyond the limit.
        """
        if size is None or not 0 <= size <= MOST_AT_ONCE:
            raise tarfile.ReadError("a header that is too large, or of no size")
        content = super().read(size)
        if self.tell() > MOST_BYTES:
            raise tarfile.ReadError(
                f"more than {MOST_BYTES // 2**30} GiB unpacked: unpack it yourself and name the "
                "folder"
            )
        return content


@contextmanager
def opened(path: Path) -> Iterator[tarfile.TarFile]:
    """Yield an archive.

    Raises:
        ArkdError: it is none, or what is read of it cannot be read.
    """
    try:
        with _Bounded(path) as content, tarfile.open(fileobj=content, mode="r:") as archive:
            yield archive
    except UNREADABLE as error:
        raise ArkdError(f"{path}: no archive that can be read ({error})") from None


def unpack(path: Path, folder: Path) -> None:
    """Unpack files and folders, and nothing outside of a folder that is empty.

    Python has a filter for that from 3.11.4 on; Debian 12 has 3.11.2.

    Raises:
        ArkdError: it is no archive, there is something else in it, or it leads elsewhere.
    """
    filtered: dict[str, Any] = {"filter": "data"} if hasattr(tarfile, "data_filter") else {}
    with opened(path) as archive:
        for count, member in enumerate(archive, start=1):
            if len(member.name) > LONGEST:
                raise tarfile.TarError(f"a name of more than {LONGEST} characters")
            plain = (member.isfile() and not member.issparse()) or member.isdir()
            inside = (folder / member.name).resolve().is_relative_to(folder.resolve())
            if not plain or not inside or member.size < 0:
                raise tarfile.TarError(f"{member.name!r} is no file or folder inside it")
            if count > MOST_FILES:
                raise tarfile.TarError(
                    f"more than {MOST_FILES:,} files: unpack it yourself and name the folder"
                )
            archive.extract(member, folder, set_attrs=False, **filtered)

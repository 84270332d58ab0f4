"""Parts of pages that are written from code; the prose around them is by hand."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from arkd.errors import ArkdError
from arkd.storage.files import write_text


def fill(path: Path, parts: Iterable[tuple[str, str]], end: str) -> Path:
    """Write texts into a page, each between its mark and the next `end`; return the file.

    Args:
        path: The page.
        parts: Marks, which are lines of their own, and texts.
        end: The line behind a text.

    Raises:
        ArkdError: there is no such page, or it lacks a mark.
    """
    if not path.is_file():
        raise ArkdError(f"{path}: no such page; run `arkd pages` in a checkout of the project")
    page = path.read_text(encoding="utf-8")
    for mark, text in parts:
        before, start, rest = page.partition(f"{mark}\n")
        _, found, after = rest.partition(end)
        if not found:
            raise ArkdError(f"{path}: no place for a table; put '{mark}' and '{end}' into it")
        page = before + start + text + end + after
    write_text(path, page)
    return path

"""`arkd audit --new FILE.py`: a file that tells the audit how to call a loss."""

from __future__ import annotations

from pathlib import Path

from arkd.errors import ArkdError
from arkd.storage.files import write_text
from arkd.templates import rendered


def create(path: Path) -> str:
    """Write the file and return what was written and what to do with it.

    Raises:
        ArkdError: it is no Python file, or is there already.
    """
    if path.suffix != ".py":
        raise ArkdError(f"audit: --new {path}: the file's name must end in .py")
    if path.exists():
        raise ArkdError(f"{path}: exists already; remove it or use another name")
    write_text(path, rendered("arkd.cli", "loss.py.j2", file=path.name))
    return f"wrote {path}; next: `arkd audit {path}:loss`, then put your own loss into it"

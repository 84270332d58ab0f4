"""A place for the caches of libraries where the user's home cannot be written to."""

from __future__ import annotations

import os
from pathlib import Path

CACHE, MATPLOTLIB = "XDG_CACHE_HOME", "MPLCONFIGDIR"


def place_caches() -> None:
    """Let Snakemake, Matplotlib and the hub's client keep caches in a temporary folder, if need be.

    What the user has set himself stays; child processes inherit the rest.
    """
    chosen = os.environ.get(CACHE)
    if _writable(Path(chosen) if chosen else Path(os.path.expanduser("~/.cache"))):  # noqa: PTH111
        return
    import tempfile

    folder = Path(tempfile.gettempdir()) / f"arkd-caches-{os.getuid()}"
    if not _writable(folder) or folder.is_symlink() or folder.stat().st_uid != os.getuid():
        folder = Path(tempfile.mkdtemp(prefix="arkd-caches-"))  # that name is somebody else's
    os.environ[CACHE] = str(folder)
    os.environ.setdefault(MATPLOTLIB, str(folder / "matplotlib"))


def _writable(folder: Path) -> bool:
    """Tell whether files can be written to a folder, which is made if it is not there."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError:
        return False
    return os.access(folder, os.W_OK | os.X_OK)

"""A suite's folder below the results: it is used only if this project made it, or nobody did."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from arkd.errors import ArkdError
from arkd.storage.checksums import LOGS
from arkd.storage.files import MARK, read_json
from arkd.storage.manifest import NAME

DEPTHS = ("", "*/", "*/*/", "*/*/*/", "*/*/*/*/")  # below a suite's folder, where stages lie


def claim(root: Path, suite: str) -> None:
    """Mark a folder as a suite's own, before anything is written or removed there.

    Snakemake removes what a job will make before it starts it, whoever made it.

    Args:
        root: The folder; it is made if it is not there.
        suite: The suite's name.

    Raises:
        ArkdError: a file stands there, or a folder with files that no run of the suite left.
    """
    mark = f"suite {suite}\n"
    if root.exists() and not root.is_dir():
        raise ArkdError(f"{root}: a file, where the suite has its folder; {_remedy(suite)}")
    found = root / MARK
    if found.is_file() and found.read_text(encoding="utf-8", errors="replace") == mark:
        return
    there = [path for path in _visible(root) if path.name != LOGS]
    if there and not any(_made_of(path) == suite for path in _manifests(root)):
        raise ArkdError(
            f"{root}: holds {there[0].name}, which no run of suite {suite} left there, and a run "
            f"would replace it; {_remedy(suite)}"
        )
    root.mkdir(parents=True, exist_ok=True)
    found.write_text(mark, encoding="utf-8")


def _remedy(suite: str) -> str:
    return f"give other --results, or the suite another name than {suite}"


def _visible(root: Path) -> list[Path]:
    there = root.iterdir() if root.is_dir() else ()
    return sorted(path for path in there if not path.name.startswith("."))


def _manifests(root: Path) -> Iterator[Path]:
    """Yield the manifests of stages, those nearest to the folder first."""
    for depth in DEPTHS:
        yield from sorted(root.glob(f"{depth}{NAME}"))


def _made_of(path: Path) -> str | None:
    """Return the suite that a manifest names; none of a file that is no manifest."""
    try:
        return str(read_json(path).get("suite"))
    except ArkdError:
        return None

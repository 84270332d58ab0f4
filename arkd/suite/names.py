"""Names of suites, folders and rows, by the rules that a suite's file is read by."""

from __future__ import annotations

from arkd.storage.names import FOLDER

MOST = 100  # characters, as the settings have it
RULE = f"letters, digits, '.', '_' and '-', at most {MOST}"


def method_of(label: str) -> str:
    """Return the method of a row's label, which may name parameters and settings behind an @."""
    return label.partition("@")[0]


def usable(name: str) -> bool:
    """Tell whether a name can be that of a suite, and so of a folder."""
    return bool(FOLDER.fullmatch(name)) and len(name) <= MOST

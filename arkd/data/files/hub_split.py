"""A split of a Hugging Face data set by its name: `hub:owner/name@COMMIT[:config][:split]`.

No code of a data set is run: which files make a split is told by the card's `configs`, else by the
hub's own naming of files and folders. A file of tables or lines of another kind is passed over.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath
from typing import Any

from arkd.errors import ArkdError
from arkd.storage import hub
from arkd.storage.yaml_text import parse_yaml

SCHEME = "hub:"
FORM = "hub:owner/name@COMMIT[:config][:split]"
SHAPE = re.compile(r"hub:([\w.-]+/[\w.-]+)@([0-9a-f]{40})(?::([\w.-]+))?(?::([\w.-]+))?")
READ = (".parquet", ".jsonl", ".json", ".csv")
CARD = "README.md"
SHARD = re.compile(r"-of-(\d+)")


@dataclass(frozen=True)
class HubSplit:
    """A split as a suite names it; without `config` the default one."""

    repo: str
    revision: str
    config: str | None
    split: str

    @classmethod
    def of(cls, named: str) -> HubSplit | None:
        """Return the split that a setting names; none if it is the path of a file.

        Raises:
            ValueError: it begins as a split and is none, or names no whole commit.
        """
        if not named.startswith(SCHEME):
            return None
        found = SHAPE.fullmatch(named)
        if not found:
            repo = re.split("[@:]", named.removeprefix(SCHEME))[0]
            raise ValueError(
                f"{FORM} is wanted, with a commit of 40 hexadecimal digits; "
                f"`git ls-remote https://huggingface.co/datasets/{repo} HEAD` prints the newest"
            )
        repo, revision, first, second = found.groups()
        config, split = (first, second) if second else (None, first)
        return cls(repo, revision, config, split or "train")

    @property
    def facts(self) -> dict[str, Any]:
        """What a manifest says of it."""
        named = {"repo": self.repo, "revision": self.revision}
        return named | {"config": self.config, "split": self.split}

    def fetch(self) -> list[Path]:
        """Return the split's files on this machine, fetched once, in their order.

        Raises:
            ArkdError: there is no such split, one of other files, or no network for what is absent.
        """
        listed = hub.listing(self.repo, self.revision)
        names = self._files(listed, self._card(listed))
        folder = hub.fetch(self.repo, self.revision, names, kind="dataset")
        return [folder / name for name in names]

    def _card(self, listed: Sequence[str]) -> list[dict[str, Any]]:
        """Return the `configs` of the data set's card; none if it has no such part."""
        if CARD not in listed:
            return []
        card = hub.fetch_card(self.repo, self.revision).read_text(encoding="utf-8")
        head = re.match(r"---\s*\n(.*?)\n---", card, re.DOTALL)
        try:
            said = parse_yaml(head[1], CARD) if head else None
        except ArkdError:  # as good as none: the hub's naming of files is left
            return []
        configs = said.get("configs") if isinstance(said, dict) else None
        if not isinstance(configs, list):
            return []
        return [each for each in configs if isinstance(each, dict)]

    def _files(self, listed: Sequence[str], configs: list[dict[str, Any]]) -> list[str]:
        """Return the names of the split's files in the repository.

        Raises:
            ArkdError: none is its, some are of another kind, or a part of it is missing.
        """
        readable = sorted(name for name in listed if name.endswith(READ))
        by_split = _declared(configs, self.config) or _by_name(readable, self.config)
        patterns = by_split.get(self.split, [])
        matching = {name for name in listed for p in patterns if fnmatchcase(name, p)}
        found = sorted(matching | ({*listed} & {*patterns}))
        unread = [name for name in found if name not in readable]
        where = f"{self.repo}@{self.revision[:8]}"
        if unread:
            raise ArkdError(f"{where}: {unread[0]}: only {', '.join(READ)} are read of a data set")
        if not found:
            there = f"it has {', '.join(by_split)}" if by_split else "it has no files that are read"
            names = ", ".join(str(c["config_name"]) for c in configs if "config_name" in c)
            there += f"; configs: {names}" if names else ""
            inside = f" of '{self.config}'" if self.config else ""
            raise ArkdError(f"{where}: no split '{self.split}'{inside}; {there}")
        parts = {int(shard[1]) for name in found if (shard := SHARD.search(name))}
        if len(parts) == 1 and len(found) % max(1, *parts):
            raise ArkdError(
                f"{where}: {len(found)} of {parts.pop()} files of '{self.split}' listed"
            )
        return found


def _declared(configs: Iterable[dict[str, Any]], wanted: str | None) -> dict[str, list[str]]:
    """Return the patterns of files by split, as the card has them."""
    chosen = [c for c in configs if c.get("config_name") == (wanted or "default")]
    if not wanted and not chosen:
        chosen = [c for c in configs if c.get("default")] or list(configs)[:1]
    found: dict[str, list[str]] = {}
    for files in (c.get("data_files") for c in chosen):
        for each in files if isinstance(files, list) else [files]:
            split, path = ("train", each) if isinstance(each, str) else _of_one(each)
            paths = path if isinstance(path, list) else [path]
            found.setdefault(split, []).extend(p for p in paths if isinstance(p, str))
    return {split: [p.removeprefix("./") for p in paths] for split, paths in found.items() if paths}


def _of_one(each: Any) -> tuple[str, Any]:
    """Return split and patterns of one entry of `data_files`."""
    if not isinstance(each, dict):
        return "train", []
    return str(each.get("split", "train")), each.get("path", [])


def _by_name(readable: Iterable[str], config: str | None) -> dict[str, list[str]]:
    """Return the files by split as the hub tells them apart: `CONFIG/train-00000-of-00001.parquet`.

    The only file of a data set is its `train`, whatever it is called.
    """
    inside = [name for name in readable if not config or config in PurePosixPath(name).parts[:-1]]
    found: dict[str, list[str]] = {}
    for name in inside:
        *folders, file = PurePosixPath(name).parts
        words = {*folders, *re.split(r"[^A-Za-z]+", file)}
        for split in ("train", "validation", "test", "dev"):
            if split in words:
                found.setdefault(split, []).append(name)
                break
    return found or ({"train": inside} if len(inside) == 1 else {})

"""Where the sets of instructions come from: a pinned file of the hub or GitHub, or a user's folder.

A folder of one's own holds one file a set, `dolly.jsonl`, `selfinst.jsonl`, `vicuna.jsonl`,
`sni.jsonl` and `unni.jsonl`, each in any of the formats of `formats`; S-NI may instead
be a folder `sni/` of its authors' task files. `dolly_test.jsonl` and `vicuna_references.jsonl` are
read where they are there.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, field_validator

from arkd.errors import ArkdError
from arkd.paths import expanded
from arkd.storage import hub
from arkd.storage.files import sha256_file
from arkd.validated import Frozen

SetName = Literal["dolly", "selfinst", "vicuna", "sni", "unni"]
SETS: tuple[SetName, ...] = ("dolly", "selfinst", "vicuna", "sni", "unni")
LICENCES: Mapping[SetName, str] = {  # of the pinned files, as their authors state them
    "dolly": "CC-BY-SA-3.0",
    "selfinst": "Apache-2.0",
    "vicuna": "Apache-2.0",
    "sni": "Apache-2.0; those of its own sources vary by task",
    "unni": "MIT",
}
TASK_LIST = "_tasks.txt"  # a file so named lists S-NI tasks, each a file of its own


class Remote(Frozen):
    """One file at a commit of a repository."""

    host: Literal["hub", "github"] = Field("hub", description="where the repository lies")
    repo: str = Field(pattern=r"^[\w.-]+/[\w.-]+$", description="owner/name")
    revision: str = Field(description="the commit, all 40 digits")
    file: str = Field(description="path in the repository; a list of S-NI tasks stands for them")
    sha256: str | None = Field(None, pattern=r"^[0-9a-f]{64}$", description="of the file")

    @field_validator("revision")
    @classmethod
    def _is_a_commit(cls, value: str) -> str:
        if not hub.COMMIT.fullmatch(value):
            raise ValueError(
                "a commit of 40 hexadecimal digits is wanted; `git ls-remote ADDRESS HEAD` prints "
                "one, where ADDRESS is https://huggingface.co/datasets/REPO or "
                "https://github.com/REPO"
            )
        return value

    def fetch(self) -> list[Path]:
        """Return the file on this machine, or the S-NI tasks that it lists.

        Raises:
            ArkdError: see `arkd.storage.hub`.
        """
        path = self._one(self.file, self.sha256)
        if not self.file.endswith(TASK_LIST):
            return [path]
        names = path.read_text(encoding="utf-8").split()
        return [self._one(f"tasks/{name}.json", None) for name in names]

    def _one(self, file: str, sha256: str | None) -> Path:
        if self.host == "github":
            return hub.fetch_raw(self.repo, self.revision, file, sha256)
        checked = {file: sha256} if sha256 else None
        return hub.fetch(self.repo, self.revision, [file], "dataset", checked) / file


class Origins(Frozen):
    """The pinned file of each set. MiniLLM's own files are on the hub: MiniLLM/dolly and so on."""

    dolly: Remote = Remote(
        host="hub",
        repo="databricks/databricks-dolly-15k",
        revision="bdd27f4d94b9c1f951818a7da7fd7aeea5dbff1a",
        file="databricks-dolly-15k.jsonl",
        sha256="2df9083338b4abd6bceb5635764dab5d833b393b55759dffb0959b6fcbf794ec",
    )
    dolly_test: Remote | None = Field(None, description="DollyEval; none: split off")
    selfinst: Remote = Remote(
        host="github",
        repo="yizhongw/self-instruct",
        revision="0b26ccaa415992100fa32df62d41b994cf928e23",
        file="human_eval/user_oriented_instructions.jsonl",
        sha256="81d60a117db495cecedecd9193504fd07c5b5a42f6699ef6b0f9da10fc22f42e",
    )
    vicuna: Remote = Remote(
        host="github",
        repo="lm-sys/FastChat",
        revision="0e6d3e4beaab66f4d3f93db72541a4abab8af28d",
        file="fastchat/llm_judge/data/vicuna_bench/question.jsonl",
        sha256="c248c5c98ba45bb0c2aadae2f270e643bd32679c6c306a3b2a503ac4254cdaa5",
    )
    vicuna_references: Remote | None = Field(None, description="none: no ROUGE-L on Vicuna")
    sni: Remote = Remote(
        host="github",
        repo="allenai/natural-instructions",
        revision="55a365637381ce7f3748fa2eac7aef1a113bbb82",
        file="splits/default/test_tasks.txt",
        sha256=None,
    )
    unni: Remote = Remote(
        host="github",
        repo="orhonovich/unnatural-instructions",
        revision="22a41c945a8b0f88d8254def75d574c53f1221be",
        file="data/core_data.zip",
        sha256=None,
    )


def locate(data_dir: str | None, origins: Origins, name: str) -> tuple[list[Path], dict[str, Any]]:
    """Return the files of a set on this machine, and what to say of them in the manifest.

    Args:
        data_dir: The user's folder; none: the pinned files.
        origins: The pinned files.
        name: A set, `dolly_test` or `vicuna_references`; the latter two may be nowhere.

    Raises:
        ArkdError: a set is not in the folder, or cannot be fetched.
    """
    if data_dir is None:
        origin: Remote | None = getattr(origins, name)
        paths = origin.fetch() if origin else []
        facts: dict[str, Any] = {}
        if origin:
            facts = {"host": origin.host, "repo": origin.repo, "revision": origin.revision}
            facts["file"] = origin.file
    else:
        paths = _own(expanded(data_dir), name)
        facts = {"files": [path.name for path in paths]}
    return paths, facts | {"sha256": _digest(paths)}


def own_files(folder: Path, name: str) -> list[Path]:
    """Return the files of a set in a user's folder; none where there are none."""
    file, tasks = folder / f"{name}.jsonl", folder / name
    if file.is_file():
        return [file]
    return sorted(tasks.glob("*.json")) if name == "sni" else []


def _own(folder: Path, name: str) -> list[Path]:
    files = own_files(folder, name)
    if not files and name in SETS:
        raise ArkdError(
            f"{folder / f'{name}.jsonl'}: no such file; data.data_dir holds one for each of "
            f"data.sets ({', '.join(f'{name}.jsonl' for name in SETS)})"
        )
    return files


def _digest(paths: list[Path]) -> Mapping[str, str] | str | None:
    hashes = {path.name: sha256_file(path) for path in paths}
    return hashes if len(hashes) > 1 else next(iter(hashes.values()), None)

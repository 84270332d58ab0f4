"""The frozen pack of a suite: all that a student is trained on elsewhere, with a hash of each file.

It is copied from a run's folders, so that whoever trains on it shares teacher, starts, rows and
tokens with the suite's own methods.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import yaml

from arkd.audit import merged_suite
from arkd.errors import ArkdError
from arkd.storage import manifest, stage_writer
from arkd.storage.files import MARK, sha256_file, write_text
from arkd.suite.folders import INIT, TEACHER, TEACHER_SEED, Tree
from arkd.templates import rendered

STAGE = "pack"
TAUGHT = "teacher_train.jsonl"  # of the teacher alone: no student of the suite sees it
TRAINED = ("train.jsonl", "dev.jsonl", "corpus.jsonl")
# Tensors and text: nothing that runs when it is read.
SAFE = (".safetensors", ".json", ".jsonl", ".jinja", ".md", ".txt", ".yaml")


def write(tree: Tree, out: Path) -> dict[str, Any]:
    """Copy a suite's pack to a folder and return its manifest.

    Args:
        tree: The suite's folders; data, tokens and teacher must be there, and one start at least.
        out: The pack's folder, replaced if it is an older pack of the same suite.

    Raises:
        ArkdError: a stage is missing, a file is not the one that its stage wrote, or the suite has
            several worlds.
    """
    tree.refuse_worlds()
    suite = tree.suite
    parts = {"data": tree.data}
    starts: dict[str, list[int]] = {}
    for pair in (pair.name for pair in suite.pairs):
        parts |= {f"{pair}/tokens": tree.tokens(pair)}
        parts |= {f"{pair}/teacher": tree.training(pair, TEACHER, TEACHER_SEED)}
        there = [s for s in suite.seeds if (tree.training(pair, INIT, s) / manifest.NAME).is_file()]
        if not there:
            raise ArkdError(
                f"{tree.training(pair, INIT, suite.seeds[0])}: no start to pack; "
                f"run `arkd init --suite {tree.named or suite.name} --pair {pair} "
                f"--seed {suite.seeds[0]}`"
            )
        parts |= {f"{pair}/starts/seed{seed}": tree.training(pair, INIT, seed) for seed in there}
        starts[pair] = there
    for folder in parts.values():
        if manifest.read(folder, ["notes"])["notes"].get("failed"):
            raise ArkdError(f"{folder}: this training left the finite numbers; nobody can start it")
    axes: dict[str, Any] = {"suite": suite.name, "suite_version": suite.version, "starts": starts}
    with stage_writer.stage(
        STAGE, out, inputs=parts, config=suite.model_dump(mode="json"), **axes
    ) as stage:
        for name, folder in parts.items():
            _copy(name, folder, stage.folder)
        text = yaml.safe_dump(merged_suite.plain(suite), sort_keys=False, allow_unicode=True)
        write_text(stage.folder / "suite.yaml", text)
        write_text(stage.folder / "README.md", _readme(tree, starts, stage.folder))
    return check(out)


def _copy(name: str, folder: Path, out: Path) -> None:
    """Copy what a student needs of one stage's folder."""
    if name == "data":
        for path in sorted(folder.glob("*.jsonl")):
            if path.name != TAUGHT:
                kind = "train" if path.name in TRAINED else "tests"
                _place(path, out / kind / path.name)
    elif name.endswith("/tokens"):
        for path in sorted(folder.rglob("*")):
            safe = path.suffix in SAFE and path.name != manifest.NAME
            if path.is_file() and safe and path.stem != Path(TAUGHT).stem:
                _place(path, out / name / path.relative_to(folder))
    else:
        for path in sorted((folder / "model").iterdir()):
            _place(path, out / name / path.name)


def _place(path: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(path, target)


def _readme(tree: Tree, starts: dict[str, list[int]], folder: Path) -> str:
    suite = tree.suite
    protocol = {
        "distillation": suite.distillation.model_dump(mode="json", exclude_none=True),
        "decoding": suite.decoding.model_dump(mode="json", exclude_defaults=True),
        "max_tokens": suite.max_tokens,
    }
    return rendered(
        "arkd.exchange",
        "pack.md.j2",
        suite=suite,
        named=tree.named or suite.name,
        starts=starts,
        pair=suite.pairs[0].name,
        protocol=yaml.safe_dump(protocol, sort_keys=False).rstrip(),
        corpus=(folder / "train" / "corpus.jsonl").is_file(),
    )


def check(folder: Path) -> dict[str, Any]:
    """Return the manifest of a pack whose every file is as the manifest names it.

    Raises:
        ArkdError: it is no pack, or a file is changed, lost, added or of a kind that can run.
    """
    made = manifest.read(folder)
    if made["stage"] != STAGE:
        raise ArkdError(f"{folder}: no pack (its manifest is of {made['stage']}); name a pack")
    starts, remedy = made.get("starts"), "take the pack anew"
    if not isinstance(starts, dict) or not all(isinstance(s, list) for s in starts.values()):
        raise ArkdError(f"{folder / manifest.NAME}: starts: not as packs have it; {remedy}")
    for name, sha in made["outputs"].items():
        file = folder / name
        if not file.is_file():
            raise ArkdError(f"{file}: {manifest.NAME} names it, and it is not here; {remedy}")
        if sha256_file(file) != sha:
            raise ArkdError(f"{file}: not the file that {manifest.NAME} names; {remedy}")
    for file in sorted(path for path in folder.rglob("*") if path.is_file()):
        name = file.relative_to(folder).as_posix()
        if name not in made["outputs"] and name not in (manifest.NAME, MARK):
            raise ArkdError(f"{file}: {manifest.NAME} does not name it; remove it, or {remedy}")
        if file.suffix not in SAFE and name != MARK:
            raise ArkdError(f"{file}: neither tensors nor text, and a pack has no other; {remedy}")
    return made


def digest(made: dict[str, Any]) -> str:
    """Return the one hash by which a pack is named, of its files' hashes."""
    return manifest.digest_of(made["outputs"])

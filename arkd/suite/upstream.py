"""Where the inputs of a stage lie that its manifest names: what the stages of a suite build on."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from arkd.storage.manifest import NAME
from arkd.suite.folders import INIT, TEACHER, TEACHER_SEED, Tree

MEASURED = re.compile("seed([0-9]{1,18})")  # a training, as an input of its evaluation


def folders(tree: Tree, made: dict[str, Any], role: str) -> list[Path]:
    """Return the stage's folder that an input is; several where its role does not say which.

    Args:
        tree: The folders of the suite.
        made: The manifest of a stage between text and evaluated students.
        role: What its input is called there; what is no stage, such as code, has no folder.
    """
    stage, pair = made["stage"], str(made.get("pair", ""))
    seed = made.get("seed") or TEACHER_SEED
    if stage == "evaluate" and (measured := MEASURED.fullmatch(role)):
        return [tree.training(pair, str(made.get("label")), int(measured[1]))]
    if role.endswith("_responses"):
        source = role.removesuffix("_responses")
        return [tree.cache(pair, source, seed if source == "student" else None)]
    if role == "replayed":
        roots = [tree.root, *([tree.results / b] if (b := tree.suite.beside) else [])]
        every = [p for root in roots for p in (root / pair).glob(f"*/seed{seed}/training/{NAME}")]
        return [path.parent for path in sorted(every)]
    known = {
        "data": tree.data,
        "tokens": tree.tokens(pair),
        "prefixes": tree.cache(pair, "prefixes"),
        TEACHER: tree.training(pair, TEACHER, TEACHER_SEED),
        INIT: tree.training(pair, INIT, seed),
    }
    return [known[role]] if role in known else []

"""A run goes on with the code that began it."""

from __future__ import annotations

from pathlib import Path

import pytest

from arkd.errors import ArkdError
from arkd.storage import provenance
from arkd.storage.files import write_json
from arkd.suite import one_core
from arkd.suite.command_line import again_command
from arkd.suite.folders import Tree, stages, tree


def made(folder: Path, core: str) -> None:
    stage = {"teacher": "teacher", "init": "init", "untrained": "init"}.get(folder.parts[-3], "")
    if not stage:
        kinds = {"data": "data", "tokens": "tokens", "training": "distill"}
        kinds |= {"evaluation": "evaluate"}
        stage = kinds.get(folder.name, "teacher_cache")
    folder.mkdir(parents=True, exist_ok=True)
    now = provenance.core_hash(stage)
    facts = {"stage": stage, "core": core or now, "git": {"commit": "0123456789abcdef"}}
    write_json(folder / "manifest.json", facts)


def run(root: Path, core: dict[int, str], left: int = 0) -> Tree:
    """Write the manifests of `smoke` but for the last `left`, some of them by another core."""
    found = tree("smoke", root)
    folders = [*stages(found)]
    for number, folder in enumerate(folders[: len(folders) - left]):
        made(folder, core.get(number, ""))
    return found


def test_a_half_done_run_of_this_code_goes_on(tmp_path: Path) -> None:
    one_core.check(run(tmp_path, {}, left=2))
    one_core.check(tree("smoke", tmp_path / "empty"))


def test_a_half_done_run_of_other_code_is_refused(tmp_path: Path) -> None:
    half = run(tmp_path, {1: "of other code"}, left=1)
    message = r"made by core of other code \(0123456789ab\), and this is core \w{16}; results of"
    with pytest.raises(ArkdError, match=message) as caught:
        one_core.check(half)
    assert str(caught.value).endswith(f"or by: {again_command(half, ['--forceall'])}")


def test_a_finished_run_of_other_code_stays_as_it_is(tmp_path: Path) -> None:
    one_core.check(run(tmp_path, {0: "of other code"}))

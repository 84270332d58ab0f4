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


def made(folder: Path, core: str, torch: str) -> None:
    stage = {"teacher": "teacher", "init": "init", "untrained": "init"}.get(folder.parts[-3], "")
    if not stage:
        kinds = {"data": "data", "tokens": "tokens", "training": "distill"}
        kinds |= {"evaluation": "evaluate"}
        stage = kinds.get(folder.name, "teacher_cache")
    folder.mkdir(parents=True, exist_ok=True)
    now = provenance.core_hash(stage)
    facts = {"stage": stage, "core": core or now, "git": {"commit": "0123456789abcdef"}}
    facts["versions"] = provenance.versions() | ({"torch": torch} if torch else {})
    write_json(folder / "manifest.json", facts)


def run(root: Path, core: dict[int, str], left: int = 0, torch: str = "") -> Tree:
    """Write the manifests of `smoke` but for the last `left`, some of them by another core.

    Args:
        root: The folder of all results.
        core: By what core a stage was made, by its place.
        left: How many are not done yet.
        torch: By what version; this one if it is not said.
    """
    found = tree("smoke", root)
    folders = [*stages(found)]
    for number, folder in enumerate(folders[: len(folders) - left]):
        made(folder, core.get(number, ""), torch)
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


def test_a_half_done_run_of_another_version_is_refused_unless_it_only_measures(
    tmp_path: Path,
) -> None:
    message = r"made with torch 1\.0, and here it is 2\.[0-9.+a-z]+; results of different versions"
    with pytest.raises(ArkdError, match=message):
        one_core.check(run(tmp_path / "training", {}, left=2, torch="1.0"))
    found = run(tmp_path / "measuring", {}, torch="1.0")
    measured = [folder for folder in stages(found) if folder.name == "evaluation"]
    for folder in measured:
        (folder / "manifest.json").unlink()
    one_core.check(found)  # one trained all, another measures all
    made(measured[0], "", "1.0")
    with pytest.raises(ArkdError, match=message):
        one_core.check(found)

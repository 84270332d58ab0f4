"""The lock files: every package pinned and hashed, and installed as they have it."""

from __future__ import annotations

import re
import tomllib
from importlib.metadata import version

import pytest
from conftest import ROOT
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

LOCKS = ("requirements.lock", "requirements-cpu.lock", "requirements-cuda.lock")
BUILD = "requirements-build.lock"
PERF = "requirements-perf.lock"
RELEASE = "requirements-release.lock"


def locked(name: str) -> dict[str, tuple[Requirement, set[str]]]:
    """Requirement and SHA-256 of each package of a lock file, read as pip reads it."""
    text = re.sub(r"^#.*\n", "", (ROOT / name).read_text(), flags=re.M).replace("\\\n", " ")
    found = {}
    for line in text.splitlines():
        words, *hashes = re.split(r"\s+--hash=sha256:", line.strip())
        requirement = Requirement(words)
        assert canonicalize_name(requirement.name) not in found, f"{words}: twice"
        found[canonicalize_name(requirement.name)] = (requirement, set(hashes))
    return found


@pytest.mark.parametrize("name", [*LOCKS, BUILD, PERF, RELEASE])
def test_every_line_is_pinned_and_hashed(name: str) -> None:
    assert locked(name)
    for requirement, hashes in locked(name).values():
        assert re.fullmatch(r"==[\w.+]+", str(requirement.specifier)), requirement
        assert hashes, requirement
        assert all(re.fullmatch("[0-9a-f]{64}", found) for found in hashes), requirement


def test_the_environment_is_the_locked_one() -> None:
    wanted = {
        name: str(requirement.specifier).removeprefix("==")
        for name, (requirement, _) in locked("requirements.lock").items()
        if requirement.marker is None or requirement.marker.evaluate()
    }
    assert {name: version(name).partition("+")[0] for name in wanted} == wanted


def test_every_dependency_is_locked_at_a_version_that_will_do() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    of_extra = {"perf": locked(PERF), "release": locked(RELEASE)}
    wanted = {"": project["dependencies"], **extras}
    for extra, texts in wanted.items():
        lock = of_extra.get(extra) or locked("requirements.lock")
        for requirement in map(Requirement, texts):
            pinned, _ = lock[canonicalize_name(requirement.name)]
            version_of = str(pinned.specifier).removeprefix("==")
            assert requirement.specifier.contains(version_of), requirement


def test_what_builds_is_what_the_environment_has() -> None:
    """Both what is installed first and what builds a release; and nothing else builds."""
    lock = locked("requirements.lock")
    assert locked(BUILD) == {"setuptools": lock["setuptools"]}
    assert locked(RELEASE)["setuptools"] == lock["setuptools"]
    build = tomllib.loads((ROOT / "pyproject.toml").read_text())["build-system"]["requires"]
    assert [Requirement(text).name for text in build] == ["setuptools"]


def test_both_builds_of_torch_are_locked_at_one_version() -> None:
    pinned, hashes = locked("requirements.lock")["torch"]
    cpu, cpu_hashes = locked("requirements-cpu.lock")["torch"]
    assert str(cpu.specifier) == f"{pinned.specifier}+cpu"
    assert cpu_hashes < hashes
    # What PyPI lists for CPython 3.11 on Linux x86-64, a CUDA build, and on macOS.
    assert {
        "60fcdcb2f3876e21146cb4524ef06397d727ca9ad5f020818547e25075fe3cb7",
        "e76f9bcecc52b8ff711239a2f7547d5353df95878ab232f0773c1d95928b92f8",
    } <= hashes - cpu_hashes

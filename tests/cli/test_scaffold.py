"""`arkd new` writes methods that pass at once; `list` and `cite` say what methods declare."""

from __future__ import annotations

import importlib
import subprocess
import sys
import tomllib
from importlib.metadata import entry_points
from pathlib import Path

import pytest
from conftest import ROOT
from packaging.requirements import Requirement
from packaging.version import Version

from arkd import __version__
from arkd.cli import main as cli
from arkd.cli import new_method as scaffold
from arkd.conformance import check
from arkd.errors import ArkdError
from arkd.suite import method_listing as catalogue
from arkd.suite import registry

KINDS = ("weights", "tokens", "step")


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder whose modules can be imported, and from which methods can be registered."""
    monkeypatch.syspath_prepend(tmp_path)
    importlib.invalidate_caches()
    return tmp_path


def register(folder: Path, name: str, code: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make a method known under the name of its file."""
    (folder / f"{name}.py").write_text(code)
    place = registry.Plugin(name, name, "somewhere", folder / f"{name}.py")
    monkeypatch.setitem(registry.plugins(), name, place)
    monkeypatch.delitem(sys.modules, name, raising=False)


@pytest.mark.parametrize("kind", KINDS)
def test_a_new_method_passes_with_its_value_compared(
    kind: scaffold.Kind, own: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = f"brand_new_{kind}"
    register(own, name, scaffold.method_file(name, kind), monkeypatch)
    found = {o.check: o for o in check.outcomes(check.subject(name))}
    assert not [o for o in found.values() if o.verdict == "FAIL"]
    assert found["value"].verdict == found["gradient"].verdict == "ok"
    assert catalogue.row(name).kind == kind


@pytest.mark.parametrize("kind", KINDS)
def test_a_new_file_is_linted_and_formatted(kind: scaffold.Kind, tmp_path: Path) -> None:
    path = tmp_path / "a_name_of_some_length.py"
    path.write_text(scaffold.method_file(path.stem, kind))
    config = ["--config", str(ROOT / "pyproject.toml"), str(path)]
    for command in (["check"], ["format", "--check"]):
        done = subprocess.run(
            ["ruff", *command, *config], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout


def test_in_a_checkout_it_is_a_file_of_the_baselines(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "arkd").mkdir()
    for file in ("pyproject.toml", "arkd/method.py"):
        (tmp_path / file).touch()
    (tmp_path / "docs").mkdir()
    monkeypatch.setattr(scaffold, "baselines_dir", lambda: tmp_path / "baselines")
    told = scaffold.create("my_method", "tokens", here=tmp_path / "docs")
    assert "class MyMethod(TokenDivergence)" in (tmp_path / "baselines/my_method.py").read_text()
    assert "arkd check my_method" in told
    with pytest.raises(ArkdError, match="exists already"):
        scaffold.create("my_method", "tokens", here=tmp_path)
    assert scaffold.find_checkout(tmp_path.parent) is None


def test_elsewhere_it_is_a_package_whose_entry_point_is_found(
    own: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.chdir(own)
    assert cli.main(["new", "my_method", "--kind", "weights"]) == 0
    folder = own / "arkd-method-my-method"
    assert str(folder.name) in capsys.readouterr().out
    project = tomllib.loads((folder / "pyproject.toml").read_text())
    assert project["project"]["entry-points"]["arkd.methods"] == {
        "my_method": "arkd_method_my_method"
    }
    (needed,) = map(Requirement, project["project"]["dependencies"])
    assert needed.specifier.contains(__version__)
    assert not needed.specifier.contains(f"{Version(__version__).major + 1}.0.0")
    site = own / "site"
    pip = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--no-build-isolation"]
    done = subprocess.run(
        [*pip, "--target", str(site), str(folder)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    monkeypatch.syspath_prepend(site)
    assert "my_method" in {point.name for point in entry_points(group=registry.ENTRY_POINTS)}
    registry._found.cache_clear()
    try:
        assert catalogue.row("my_method").origin == "arkd-method-my-method"
        outcomes = list(check.outcomes(check.subject("my_method")))
    finally:
        registry._found.cache_clear()
    assert not [o for o in outcomes if o.verdict == "FAIL"]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("forward_kl", "there is a method 'forward_kl' already"),
        ("teacher", "taken by a folder of the results"),
        ("My-Method", "use a Python identifier of lower-case"),
        ("class", "use a Python identifier"),
        ("../x", "use a Python identifier"),
    ],
)
def test_a_bad_name_is_one_line_and_writes_nothing(
    name: str,
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert cli.main(["new", name]) == 2
    told = capsys.readouterr().err
    assert message in told
    assert len(told.splitlines()) == 1
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("name", "cost"),
    [
        ("sft", "no teacher"),
        ("forward_kl", "cached teacher"),
        ("seqkd", "sampled beforehand"),
        ("contrastive", "sampled beforehand"),
        ("gkd", "samples while training"),
        ("minillm", "samples while training"),
        ("arkd_code", "cached teacher, rewards"),
    ],
)
def test_a_cost_is_derived_from_what_is_declared(name: str, cost: str) -> None:
    assert catalogue.row(name).cost == cost


BROKEN = {
    "cannot_import": ("import not_there\n", "not_there"),
    "no_method": ("x = 1\n", "must define exactly one subclass"),
    "no_summary": (
        "from dataclasses import dataclass\n"
        "from arkd.method import TokenDivergence\n"
        "@dataclass(frozen=True)\n"
        "class Silent(TokenDivergence):\n"
        "    def token_loss(self, log_q, log_p, labels, context): ...\n",
        "does not state its summary",
    ),
    "no_default": (
        "from dataclasses import dataclass\n"
        "from arkd.method import TokenDivergence\n"
        "@dataclass(frozen=True)\n"
        "class Silent(TokenDivergence):\n"
        "    a: float\n"
        "    summary = equation = reference = ''\n"
        "    def token_loss(self, log_q, log_p, labels, context): ...\n",
        "every parameter needs a default",
    ),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_method_is_one_line_and_the_others_are_listed(
    name: str, own: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    code, message = BROKEN[name]
    register(own, name, code, monkeypatch)
    assert cli.main(["list"]) == 0
    told = capsys.readouterr()
    assert "forward_kl" in told.out
    assert message in told.err
    assert len(told.err.splitlines()) == 1
    assert cli.main(["check", name]) == 1
    assert "FAIL" in capsys.readouterr().out


def test_an_entry_that_several_methods_share_is_cited_once(capsys: pytest.CaptureFixture) -> None:
    assert cli.main(["cite", "arkd", "arkd_sampled", "akl"]) == 0
    printed = capsys.readouterr().out
    assert printed.count("{liu2026arkd") == 1
    assert printed.count("@") == 2


@pytest.mark.parametrize("command", ["check", "new", "list", "cite"])
def test_help_has_examples(command: str, capsys: pytest.CaptureFixture) -> None:
    with pytest.raises(SystemExit):
        cli.main([command, "--help"])
    assert f"examples:\n  arkd {command}" in capsys.readouterr().out

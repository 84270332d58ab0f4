"""The README's lines for a method of one's own, typed in a fresh checkout of its own."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest
from conftest import ROOT

from arkd.storage.manifest import hash_tree


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tracked and new files, results left out, installed over this environment's libraries."""
    folder = tmp_path_factory.mktemp("checkout")
    listed = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed += ["--", ".", ":!results"]
    done = subprocess.run(listed, cwd=ROOT, check=False, capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"{ROOT} is no git checkout ({done.stderr.strip()}); run this in one")
    for name in done.stdout.split("\0")[:-1]:
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes((ROOT / name).read_bytes())
    venv = folder / ".venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(venv)], check=True)
    site = next(venv.glob("lib/python*/site-packages"))
    (site / "libraries.pth").write_text(sysconfig.get_path("purelib") + "\n")
    install = "python -m pip install --quiet --no-deps --no-build-isolation --editable ."
    run(folder, install)
    assert run(folder, "python -c 'import arkd; print(arkd.__file__)'").startswith(str(folder))
    return folder


def run(checkout: Path, command: str) -> str:
    """Run a line as if the checkout's environment were activated."""
    path = f"{checkout / '.venv' / 'bin'}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        shlex.split(command),
        cwd=checkout,
        env={**os.environ, "PATH": path, "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def files(checkout: Path) -> dict[str, str]:
    """The checkout's own files by hash."""
    found = hash_tree(checkout)
    return {k: v for k, v in found.items() if not k.startswith((".venv/", "arkd.egg-info/"))}


@pytest.fixture(scope="module")
def touched(checkout: Path) -> set[str]:
    """The files that are other than they were once the method is written and checked."""
    before = files(checkout)
    run(checkout, "arkd new mymethod")
    assert "mymethod: " in run(checkout, "arkd check mymethod")
    after = files(checkout)
    assert before.keys() <= after.keys()
    return {name for name in after if before.get(name) != after[name]}


def test_a_new_method_passes_and_touches_its_own_file_alone(
    checkout: Path, touched: set[str]
) -> None:
    assert touched == {"baselines/mymethod.py"}
    assert "mymethod " in run(checkout, "arkd list")


@pytest.mark.usefixtures("touched")
def test_its_page_and_its_golden_losses_are_written(checkout: Path) -> None:
    assert "pages/mymethod.md" in run(checkout, "arkd pages")
    assert "mymethod.json" in run(checkout, "python -m arkd.conformance.golden mymethod")
    assert (checkout / "tests" / "golden" / "mymethod.json").is_file()


def test_the_method_of_the_page_passes_in_the_place_of_the_file(checkout: Path) -> None:
    path = checkout / "baselines" / "linear_turn.py"
    run(checkout, "arkd new linear_turn --kind weights")
    assert "WeightedDivergences" in path.read_text()
    page = (ROOT / "docs" / "methods.md").read_text(encoding="utf-8")
    path.write_text(page.partition("```python\n")[2].partition("```")[0])
    assert "formula not compared" in run(checkout, "arkd check linear_turn")
    path.unlink()


def test_a_package_is_written_where_it_is_asked_for(checkout: Path) -> None:
    assert "arkd-method-another" in run(checkout, "arkd new another --package")
    assert (checkout / "arkd-method-another" / "pyproject.toml").is_file()


@pytest.mark.heavy
@pytest.mark.usefixtures("touched")
def test_all_methods_pass_and_the_new_one_has_its_row(checkout: Path) -> None:
    assert "fail" not in run(checkout, "arkd check --all")
    (checkout / "mine.yaml").write_text("extends: smoke\nname: mine\nmethods: [arkd, mymethod]\n")
    run(checkout, "python -m snakemake --cores 2 --config suites=[mine.yaml]")
    table = (checkout / "results" / "mine" / "tables" / "summary.md").read_text()
    assert "| mymethod | 1 |" in table

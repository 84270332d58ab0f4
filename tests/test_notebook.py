"""The quick start as a notebook: it holds no machine's output, its commands parse, and it runs."""

from __future__ import annotations

import json
import os
import re
import shlex
import sys
from pathlib import Path

import nbclient
import nbformat
import pytest
from conftest import ROOT

from arkd.cli.parser import parser

FILE = ROOT / "examples" / "quick-start.ipynb"
CELLS = json.loads(FILE.read_text(encoding="utf-8"))["cells"]
CODE = ["".join(cell["source"]) for cell in CELLS if cell["cell_type"] == "code"]
COMMANDS = [line for cell in CODE for line in cell.splitlines() if line.startswith("arkd ")]


def test_it_holds_nothing_of_a_machine() -> None:
    for cell in CELLS:
        assert cell.get("outputs", []) == []
        assert cell.get("execution_count") is None
        assert cell["metadata"] == {}


def test_it_has_commands() -> None:
    assert COMMANDS


@pytest.mark.parametrize("command", COMMANDS)
def test_each_command_parses(command: str) -> None:
    parser().parse_args(shlex.split(command)[1:])


def test_what_it_links_to_is_there() -> None:
    text = "".join("".join(cell["source"]) for cell in CELLS if cell["cell_type"] == "markdown")
    links = re.findall(r"\]\(([^)#]+)", text)
    assert links
    assert all((FILE.parent / link).is_file() for link in links)


@pytest.mark.heavy
def test_it_runs_from_the_first_cell_to_the_last(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    notebook = nbformat.read(FILE, as_version=4)
    where = {"metadata": {"path": str(tmp_path)}}
    nbclient.NotebookClient(notebook, timeout=1800, resources=where).execute()
    rows = (tmp_path / "results" / "smoke-plus" / "tables" / "summary.csv").read_text()
    assert "fixed_mix@alpha=0.25," in rows
    (verified,) = (cell for cell in notebook.cells if "arkd verify" in cell.source)
    said = "".join(output.get("text", "") for output in verified.outputs)
    assert "2 of 2 folders verify" in said

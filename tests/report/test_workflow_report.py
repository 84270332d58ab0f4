"""Snakemake's own report of a finished run, which needs no network: by category, with captions."""

from __future__ import annotations

import json
import re
import zipfile
from pathlib import Path

import pytest
from conftest import snakemake

from arkd.report.figures import captions
from arkd.suite.load import load_suite
from arkd.tables.kind import table_kinds

CATEGORIES = {"Report", "Tables", "Figures", "Claims"}


@pytest.fixture(scope="module")
def page(smoke: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    out = tmp_path_factory.mktemp("snakemake") / "out.html"
    done = snakemake(smoke, "--nolock", "--report", str(out))
    assert done.returncode == 0, done.stdout + done.stderr
    return out.read_text(encoding="utf-8")


def variable(page: str, name: str) -> dict:
    found = re.search(rf"\b{name} = (\{{.*\}});?$", page, re.MULTILINE)
    assert found is not None
    return json.loads(found[1].rstrip(";"))


def test_results_lie_in_categories_by_section(page: str) -> None:
    categories = variable(page, "categories")
    assert set(categories) == CATEGORIES
    sections = {name: {Path(f).stem for f in of} for name, of in categories["Tables"].items()}
    assert sections["Overview"] == {"summary"}
    assert {"table1", "table2"} <= sections["Quality"]
    assert "Further tables" not in sections
    assert [Path(file).name for file in categories["Claims"]["All"]] == ["claims.csv"]
    assert [Path(file).name for file in categories["Report"]["Other"]] == ["report.html"]


def test_every_table_and_figure_is_there_with_its_own_caption(page: str, smoke: Path) -> None:
    results = variable(page, "results")
    suite, root = load_suite("smoke"), smoke / "smoke"
    titles = {name: kind.title for name, kind in table_kinds().items()}
    drawn = {name: text["title"] for name, text in captions(suite).items()}
    for kind, folder, suffix in (("tables", "Tables", "csv"), ("figures", "Figures", "svg")):
        made = {path.stem for path in (root / kind).glob(f"*.{suffix}")}
        there = {Path(path).stem: of for path, of in results.items() if f"/{folder}/" in path}
        assert set(there) == made
        for name, of in there.items():
            title = (titles if kind == "tables" else drawn)[name]
            assert f"<strong>{title}" in of["caption"].replace("&#x27;", "'")
            assert of["labels"] == {"suite": "smoke", "name": name}
            assert "system-message" not in of["caption"]


def test_it_lists_the_page_the_drawings_and_the_tables_as_they_were_written(page: str) -> None:
    kinds = {of["mime_type"] for of in variable(page, "results").values()}
    assert kinds == {"text/html", "image/svg+xml", "text/csv"}


def test_it_says_what_the_workflow_is(page: str) -> None:
    found = re.search(r"\bworkflow_desc = (\".*\");?$", page, re.MULTILINE)
    assert found is not None
    described = json.loads(found[1].rstrip(";"))
    assert "trains ARKD (arXiv 2606.29869)" in described
    assert "system-message" not in described


def test_it_can_be_an_archive(smoke: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.zip"
    done = snakemake(smoke, "--nolock", "--report", str(out))
    assert done.returncode == 0, done.stdout + done.stderr
    with zipfile.ZipFile(out) as archive:
        names = archive.namelist()
    assert "out/report.html" in names
    assert any(name.endswith("/Tables/Quality/table1.csv") for name in names)

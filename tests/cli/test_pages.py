"""Every method has a page, made from its file and no older than it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from conftest import ROOT

from arkd.cli import method_pages as pages
from arkd.cli import schemas
from arkd.suite import method_listing as catalogue
from arkd.suite import registry
from arkd.suite.tuned import tuned_rates


def test_the_pages_are_those_of_the_files_as_they_are(tmp_path: Path) -> None:
    written = {path.relative_to(tmp_path): path.read_text() for path in pages.write(tmp_path)}
    folder = ROOT / "baselines"
    kept = {path.relative_to(folder): path.read_text() for path in folder.rglob("*.md")}
    assert written == kept, "run `arkd pages`"


def test_the_schemas_are_those_of_the_models_as_they_are(tmp_path: Path) -> None:
    written = {path.name: path.read_text(encoding="utf-8") for path in schemas.write(tmp_path)}
    folder = ROOT / "benchmarks" / "schema"
    kept = {path.name: path.read_text(encoding="utf-8") for path in folder.iterdir()}
    assert written == kept, "run `arkd pages`"


@pytest.mark.parametrize("name", catalogue.shipped())
def test_a_page_says_what_the_file_says(name: str) -> None:
    text = (ROOT / "baselines" / "pages" / f"{name}.md").read_text()
    cls = registry.method_class(name)
    method = cls()
    assert cls.equation in text
    assert cls.reference.url in text
    assert cls.reference.bibtex in text
    assert all(f"- {deviation}\n" in text for deviation in cls.deviations)
    assert all(f"| `{parameter}` |" in text for parameter in method.params)
    assert "not stated |" not in text.replace("| not stated;", "")  # every default has a source


def test_the_index_names_every_method_once_and_links_lead_somewhere() -> None:
    index = (ROOT / "baselines" / "README.md").read_text()
    named = re.findall(r"^\| \[(\w+)\]\(pages/\1\.md\)", index, re.M)
    assert sorted(named) == catalogue.shipped()
    for file in (ROOT / "baselines").rglob("*.md"):
        for link in re.findall(r"\]\(([^)#]+)\)", file.read_text()):
            assert link.startswith("https://") or (file.parent / link).exists(), (file, link)


@pytest.mark.parametrize("name", catalogue.shipped())
def test_a_page_says_whether_a_rate_was_chosen(name: str) -> None:
    text = (ROOT / "baselines" / "pages" / f"{name}.md").read_text()
    said = "is the one chosen for it" if name in tuned_rates("longtail") else "No learning rate was"
    assert said in text

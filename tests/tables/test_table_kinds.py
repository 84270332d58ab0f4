"""A table is one file of `arkd.tables.kinds`, found by its place, with its section and caption."""

from __future__ import annotations

import re
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest

from arkd.suite.load import load_suite
from arkd.tables import kind, kinds
from arkd.tables.kind import SECTIONS, TableKind, facts, table_kinds

ORDER = {
    "Overview": ["summary"],
    "Quality": ["table1", "table2", "generalisation", "weighted", "generation"],
    "Fidelity": ["tail", "temperature", "ablation", "grid", "sparse"],
    "Tail": ["bins", "weaknesses"],
    "Truth": ["truth", "recall"],
    "α": ["table5", "alpha", "adaptation"],
    "Statistics": ["aggregate", "variance", "new_items", "blocks"],
    "Cost": ["cost", "tuning"],
    "Further tables": ["public", "decoding"],
}


def test_every_file_is_a_table_and_stands_in_the_order_of_the_report() -> None:
    found = table_kinds()
    files = {path.stem for path in Path(next(iter(kinds.__path__))).glob("[!_]*.py")}
    assert set(found) == files
    assert list(found) == [name for names in ORDER.values() for name in names]
    assert {name: found[name].section for name in found} == {
        name: section for section, names in ORDER.items() for name in names
    }


def test_no_two_tables_have_one_title_or_one_place() -> None:
    found = table_kinds().values()
    assert len({table.title for table in found}) == len(found)
    assert len({(table.section, table.place) for table in found}) == len(found)


@pytest.mark.parametrize("name", table_kinds())
def test_a_caption_names_settings_that_there_are(name: str) -> None:
    text = table_kinds()[name].caption.format(**facts(load_suite("longtail")))
    assert re.fullmatch(r"[^{}]{100,}", text)


def test_a_new_file_is_a_table_in_a_section_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    mine = ModuleType("mine")
    mine.TABLE = TableKind("Mine", "My table", "My caption.", lambda make: None)  # type: ignore[attr-defined]
    load, modules = kind.import_module, kind.pkgutil.iter_modules
    monkeypatch.setattr(kind, "import_module", lambda name: mine if "mine" in name else load(name))
    monkeypatch.setattr(
        kind.pkgutil, "iter_modules", lambda path: [SimpleNamespace(name="mine"), *modules(path)]
    )
    assert list(table_kinds())[-1] == "mine"
    assert "Mine" not in SECTIONS

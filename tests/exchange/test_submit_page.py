"""What the pages on submissions tell to type is what the command line takes."""

from __future__ import annotations

import re
import shlex

import pytest
from conftest import ROOT

from arkd.cli.parser import parser
from arkd.exchange.declared import Declared

PAGES = (ROOT / "docs" / "submit.md", ROOT / "examples" / "trl-student" / "README.md")


def typed() -> list[str]:
    found = []
    for page in PAGES:
        for block in re.findall(r"```sh\n(.*?)```", page.read_text(encoding="utf-8"), re.S):
            lines = block.replace("\\\n", " ").splitlines()
            found += [line.strip() for line in lines if line.strip().startswith("arkd ")]
    return found


def test_the_pages_have_lines_to_type() -> None:
    assert typed()


@pytest.mark.parametrize("line", typed())
def test_a_line_is_understood(line: str) -> None:
    words = shlex.split(line, comments=True)
    assert parser().parse_args(words[1:]).command


def test_every_key_that_can_be_declared_is_explained() -> None:
    page = PAGES[0].read_text(encoding="utf-8")
    table = page.partition("| key | |")[2].partition("\n\n")[0]
    first = [line.split("|")[1] for line in table.splitlines() if line.startswith("| `")]
    assert set(re.findall(r"`([a-z_]+)`", "".join(first))) == Declared.model_fields.keys()

"""The documentation site: every link of every page leads somewhere, and it builds."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from urllib.parse import unquote

import pytest
import yaml
from conftest import ROOT

from arkd.suite.protocol import Distillation
from arkd.suite.settings import Decoding
from arkd.suite.suite import Suite

CONFIG = ROOT / "site" / "mkdocs.yml"


def run(*command: str) -> subprocess.CompletedProcess:
    environment = os.environ | {"NO_MKDOCS_2_WARNING": "1"}
    return subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )


# What `make site` does, elsewhere: what a user has built of the site is left alone.
STAGE = """
import sys
from pathlib import Path
sys.path.insert(0, "site")
import stage
stage.PAGES = Path(sys.argv[1])
stage.main()
"""


@pytest.fixture(scope="module")
def staged(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pages = tmp_path_factory.mktemp("site") / "pages"
    done = run(sys.executable, "-c", STAGE, str(pages))
    assert done.returncode == 0, done.stderr
    return pages


def test_every_page_of_the_docs_is_staged_and_in_the_contents(staged: Path) -> None:
    text = CONFIG.read_text(encoding="utf-8")
    for page in (ROOT / "docs").glob("*.md"):
        assert (staged / "docs" / page.name).is_file()
        assert f"docs/{page.name}" in text, f"{page.name} is not in the contents of the site"


def test_a_link_to_code_leads_to_the_repository(staged: Path) -> None:
    page = (staged / "docs" / "architecture.md").read_text(encoding="utf-8")
    assert "/blob/main/arkd/training/loop.py)" in page
    assert "](blocks.md)" in page


def test_every_setting_of_a_suite_is_listed(staged: Path) -> None:
    text = (staged / "docs" / "settings.md").read_text(encoding="utf-8")
    for model in (Suite, Distillation, Decoding):
        for key in model.model_fields:
            assert f"| `{key}` |" in text, key
    assert "| `device` | `cpu` |" in text
    assert "|  |" not in text  # every key has a meaning


def test_commands_and_reports_are_listed(staged: Path) -> None:
    commands = (staged / "docs" / "commands.md").read_text(encoding="utf-8")
    assert "## arkd distill" in commands
    reports = (staged / "results" / "reports.md").read_text(encoding="utf-8")
    for found in (ROOT / "results" / "reference").glob("*/*/report.html"):
        assert found.relative_to(ROOT / "results").as_posix() in reports


def test_every_link_of_a_report_leads_to_a_file_of_the_site_or_of_the_repository(
    staged: Path,
) -> None:
    reports = [*(staged / "results" / "reference").glob("*/*/report.html")]
    assert len(reports) == len([*(ROOT / "results" / "reference").glob("*/*/report.html")])
    for report in reports:
        links = set(re.findall(r'href="([^"#]+)"', report.read_text(encoding="utf-8")))
        code = {link for link in links if "/blob/main/" in link}
        dead = [
            link for link in code if not (ROOT / unquote(link.partition("/main/")[2])).is_file()
        ]
        local = {link for link in links if not re.match("[a-z]+:", link)}
        dead += [link for link in local if not (report.parent / unquote(link)).is_file()]
        assert not dead, f"{report.parent.name}: {len(dead)} links lead nowhere: {dead[:3]}"
        assert {Path(link).suffix for link in code} == {".md"}
        assert {".csv", ".tex", ".pdf", ".svg", ".json"} <= {Path(link).suffix for link in local}


def test_it_builds_without_a_warning(staged: Path, tmp_path: Path) -> None:
    settings = yaml.safe_load(CONFIG.read_text(encoding="utf-8"))
    assert settings["strict"] is True
    assert (CONFIG.parent / settings["docs_dir"]).resolve() == ROOT / "build" / "pages"
    settings |= {"docs_dir": str(staged), "site_dir": str(tmp_path / "site")}
    settings["theme"]["custom_dir"] = str(CONFIG.parent / settings["theme"]["custom_dir"])
    (code,) = (part["mkdocstrings"] for part in settings["plugins"] if "mkdocstrings" in part)
    code["handlers"]["python"]["paths"] = [str(ROOT)]
    file = tmp_path / "mkdocs.yml"
    file.write_text(yaml.safe_dump(settings), encoding="utf-8")
    done = run(sys.executable, "-m", "mkdocs", "build", "--quiet", "--config-file", str(file))
    assert done.returncode == 0, done.stdout + done.stderr
    front = (tmp_path / "site" / "index.html").read_text(encoding="utf-8")
    assert "reproducibility benchmark" in front
    assert "fonts.googleapis" not in front  # nothing is fetched from elsewhere
    assert "site.css" in front
    assert re.search(r'role="dialog" aria-label="[^"]+"', front)
    contents = re.findall(r'class="md-nav__link">\s*<span class="md-ellipsis">\s*([^<]*?)\s*<', front)
    named = [name for part in settings["nav"] for name in _pages_named(part)]
    missing = [name for name in named if name not in contents and name != "Home"]
    assert not missing, f"not in the contents of the built site: {missing}"


def _pages_named(part: dict) -> list[str]:
    """Return the names of a part of the contents that stand for pages."""
    ((name, inside),) = part.items()
    return [name] if isinstance(inside, str) else [n for each in inside for n in _pages_named(each)]

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
stage.PAGES, stage.BOARD = Path(sys.argv[1]), Path(sys.argv[2])
stage.repository = lambda: sys.argv[3]
stage.main()
"""
BOARD = """<body><header class="bar"><a class="name" href="#top">board</a></header>
<th><a href="../reference/1.0/smoke/">smoke</a> <a href="../reference/1.0/none/">none</a></th>
<code>docs/submit.md</code> <code>docs/no-such-page.md</code>
<script>const text = "see docs/submit.md";</script></body>
"""


def stage(folder: Path, repository: str, board: str = BOARD) -> subprocess.CompletedProcess:
    (folder / "leaderboard").mkdir()
    (folder / "leaderboard" / "index.html").write_text(board, encoding="utf-8")
    where = [str(folder / name) for name in ("pages", "leaderboard")]
    return run(sys.executable, "-c", STAGE, *where, repository)


@pytest.fixture(scope="module")
def staged(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The pages as long as nobody knows where the repository will lie."""
    folder = tmp_path_factory.mktemp("site")
    done = stage(folder, "")
    assert done.returncode == 0, done.stderr
    return folder / "pages"


def test_every_page_of_the_docs_is_staged_and_in_the_contents(staged: Path) -> None:
    text = CONFIG.read_text(encoding="utf-8")
    for page in (ROOT / "docs").glob("*.md"):
        assert (staged / "docs" / page.name).is_file()
        assert f"docs/{page.name}" in text, f"{page.name} is not in the contents of the site"


def test_a_link_to_code_leads_to_the_repository_where_that_is_known(tmp_path: Path) -> None:
    done = stage(tmp_path, "https://code.test/arkd")
    assert done.returncode == 0, done.stderr
    page = (tmp_path / "pages" / "docs" / "architecture.md").read_text(encoding="utf-8")
    assert "](https://code.test/arkd/blob/main/arkd/training/loop.py)" in page
    assert "](blocks.md)" in page
    assert not (tmp_path / "pages" / "arkd").exists()


def test_without_a_repository_a_link_to_code_leads_to_a_copy(staged: Path) -> None:
    page = (staged / "docs" / "architecture.md").read_text(encoding="utf-8")
    assert "](../arkd/training/loop.py)" in page
    copy = staged / "arkd" / "training" / "loop.py"
    assert copy.read_bytes() == (ROOT / "arkd" / "training" / "loop.py").read_bytes()


def test_no_link_leads_to_an_address_that_is_not_known_yet(staged: Path, tmp_path: Path) -> None:
    for file in staged.rglob("*.*"):
        if file.suffix in (".md", ".html"):
            text = file.read_text(encoding="utf-8")
            assert not re.search(r"(\]\(|href=\"|src=\")[a-z]+://[^/]*example\.org", text), file
    done = stage(tmp_path, "", BOARD.replace("../reference/1.0/none/", "https://example.org/x"))
    assert done.returncode != 0
    assert "results/leaderboard/index.html: https://example.org/x" in done.stderr


def test_a_folder_is_shown_by_its_page_or_is_no_link(staged: Path) -> None:
    pages = {file: file.read_text(encoding="utf-8") for file in staged.rglob("*.md")}
    for file, text in pages.items():
        for link in re.findall(r"\]\(([^)#:\s]+)\)", re.sub(r"(?ms)^```.*?^```", "", text)):
            assert not (ROOT / file.relative_to(staged).parent / unquote(link)).is_dir(), link


def test_the_leaderboard_leads_to_reports_pages_and_back(staged: Path) -> None:
    page = (staged / "results" / "leaderboard" / "index.html").read_text(encoding="utf-8")
    assert '<a href="../reference/1.0/smoke/report.html">smoke</a> <a>none</a>' in page
    assert '<code><a href="../../docs/submit.html">docs/submit.md</a></code>' in page
    assert "<code>docs/no-such-page.md</code>" in page
    assert '"see docs/submit.md"' in page  # a script, whose hash the page names, stays as it is
    assert '<a href="../../index.html">' in page


SMALL = STAGE.replace("stage.main()", "stage.ROOT = Path(sys.argv[4])\nstage.main()")


def test_nothing_that_was_sent_in_and_no_link_is_published(tmp_path: Path) -> None:
    small, board, script = tmp_path / "small", tmp_path / "leaderboard", "<script>alert(1)</script>"
    sent = small / "results" / "submissions" / "evil" / "longtail"
    reviewed = small / "results" / "reference" / "1.0" / "smoke"
    for folder in (sent / "figures", reviewed / "figures", small / "docs" / "figures", board):
        folder.mkdir(parents=True)
    for file in ("report.html", "notes.md", "figures/effects.svg"):
        (sent / file).write_text(script)
        (reviewed / file).write_text("reviewed")
    secret = tmp_path / "secret"
    secret.write_text("secret")
    for link in (sent / "leak.md", sent / "figures" / "leak.png", board / "leaderboard.json"):
        link.symlink_to(secret)
    for link in ("leak.md", "docs/leak.md", "docs/figures/leak.png"):
        (small / link).symlink_to(secret)
    (reviewed / "extra").mkdir()
    (reviewed / "extra" / "report.html").symlink_to(secret)
    (small / "README.md").write_text("front")
    (board / "notes.html").write_text(script)
    (board / "index.html").write_text(
        '<a href="../submissions/evil/longtail/">x</a> <a href="../reference/1.0/smoke/">y</a>'
    )
    for command in (("init", "--quiet"), ("add", "--all")):
        subprocess.run(["git", *command], cwd=small, check=True)
    pages = tmp_path / "pages"
    done = run(sys.executable, "-c", SMALL, str(pages), str(board), "", str(small))
    assert done.returncode == 0, done.stderr
    made = {p.relative_to(pages).as_posix(): p for p in pages.rglob("*") if not p.is_dir()}
    assert not [name for name in made if "submissions" in name or "leak" in name]
    assert not [name for name, p in made.items() if p.read_text() in (script, "secret")]
    home = "results/reference/1.0/smoke"
    assert {f"{home}/report.html", f"{home}/notes.md", f"{home}/figures/effects.svg"} <= {*made}
    page = made["results/leaderboard/index.html"].read_text()
    assert page == '<a>x</a> <a href="../reference/1.0/smoke/report.html">y</a>'
    (entry,) = re.findall(r"- \[.*", made["results/reports.md"].read_text())
    assert "reference/1.0/smoke/report.html" in entry


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


def test_every_link_of_a_report_leads_to_a_file_of_the_site(staged: Path) -> None:
    reports = [*(staged / "results" / "reference").glob("*/*/report.html")]
    assert len(reports) == len([*(ROOT / "results" / "reference").glob("*/*/report.html")])
    for report in reports:
        links = set(re.findall(r'href="([^"#]+)"', report.read_text(encoding="utf-8")))
        local = {link for link in links if not re.match("[a-z]+:", link)}
        pages = {link for link in local if link.startswith("../../../../")}  # mkdocs makes them
        assert {unquote(link) for link in pages} >= {"../../../../index.html"}
        files = {link: report.parent / unquote(link) for link in local - pages}
        files |= {link: report.parent / f"{unquote(link)[:-5]}.md" for link in pages}
        dead = [link for link, file in files.items() if not file.is_file()]
        assert not dead, f"{report.parent.name}: {len(dead)} links lead nowhere: {dead[:3]}"
        kinds = {Path(link).suffix for link in local}
        assert kinds >= {".csv", ".tex", ".pdf", ".svg", ".json", ".txt", ".html"}
        assert ".md" not in kinds
        assert any("/baselines/pages/" in link for link in pages)
        given = {link for link in local if link.endswith(".txt")}
        assert {f"tables/{table.name}.txt" for table in report.parent.glob("tables/*.md")} == {
            link for link in given if link.startswith("tables/")
        }
        for link in given:
            original = ROOT / report.parent.relative_to(staged) / link.removesuffix(".txt")
            assert (report.parent / link).read_bytes() == original.read_bytes()


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
    links = r'class="md-nav__link">\s*<span class="md-ellipsis">\s*([^<]*?)\s*<'
    contents = re.findall(links, front)
    named = [name for part in settings["nav"] for name in _pages_named(part)]
    missing = [name for name in named if name not in contents and name != "Home"]
    assert not missing, f"not in the contents of the built site: {missing}"


def _pages_named(part: dict) -> list[str]:
    """Return the names of a part of the contents that stand for pages."""
    ((name, inside),) = part.items()
    return [name] if isinstance(inside, str) else [n for each in inside for n in _pages_named(each)]

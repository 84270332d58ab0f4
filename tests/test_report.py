"""The report is one page that asks nothing of the network and shows what the tables hold."""

from __future__ import annotations

import re
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote

import pytest
from simulate import rows_of, save, suite_of

from arkd import figures, report, tables, tabular
from arkd.errors import ArkdError

METHODS = ("forward_kl", "fixed_mix@alpha=0.25", "arkd")
VOID = {"meta", "link", "br", "input"}


class Page(HTMLParser):
    """The parts of a page that the tests look at; refuses tags that do not match."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.ids: list[str] = []
        self.addresses: list[str] = []
        self.tables: dict[str, list[list[str]]] = {}
        self.images: list[str] = []
        self.headings: list[int] = []
        self._rows: list[list[str]] | None = None
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        known = {name: value or "" for name, value in attrs}
        self.ids += [known["id"]] if "id" in known else []
        self.addresses += [known[name] for name in ("src", "href", "srcset") if name in known]
        if tag == "table":
            self._rows = self.tables.setdefault(known["data-name"], [])
        if tag == "svg":
            self.images.append(known.get("aria-label", "") if known["role"] == "img" else "")
        if re.fullmatch(r"h[1-6]", tag):
            self.headings.append(int(tag[1]))
        if tag == "tr" and self._rows is not None:
            self._rows.append([])
        if tag in ("td", "th") and self._rows is not None:
            self._rows[-1].append("")
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag
        if tag == "table":
            self._rows = None

    def handle_data(self, data: str) -> None:
        if self._rows and self.open and {"td", "th"} & set(self.open):
            self._rows[-1][-1] += data


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("results")
    suite = suite_of(METHODS)
    save(suite, root, rows_of(suite, sd=1.0))
    tables.write(suite, root, root / suite.name / "tables")
    report.write(suite, root, root / suite.name / "report.html")
    return root


@pytest.fixture(scope="module")
def text(root: Path) -> str:
    return (root / "longtail" / "report.html").read_text(encoding="utf-8")


def test_the_page_is_well_formed_and_its_ids_are_unique(text: str) -> None:
    page = Page(text)
    assert len(page.ids) == len(set(page.ids))
    assert page.headings[0] == 1
    steps = zip(page.headings, page.headings[1:], strict=False)
    assert all(after <= before + 1 for before, after in steps)


def test_nothing_is_fetched(text: str) -> None:
    assert not [a for a in Page(text).addresses if re.match(r"(https?:)?//", a)]
    assert not re.search(r"url\((?!#)|@import|fetch\(|XMLHttpRequest|<iframe", text)


def test_every_table_is_there_with_its_numbers(root: Path, text: str) -> None:
    suite = suite_of(METHODS)
    shown = Page(text).tables
    for table in tables.build(suite, root):
        body = shown[table.name][1:]
        assert body == [tabular.row_texts(table, row) for row in table.rows]
        assert shown[table.name][0] == tabular.headings(table)


def test_every_figure_has_a_description(root: Path, text: str) -> None:
    page = Page(text)
    assert len(page.images) == len(figures.build(suite_of(METHODS), root)) == 4
    assert all(len(image) > 30 for image in page.images)


def test_links_lead_to_files(root: Path, text: str) -> None:
    links = [a for a in Page(text).addresses if not a.startswith(("#", "data:"))]
    found = {(root / "longtail" / unquote(link)).resolve() for link in links}
    assert all(path.is_file() for path in found)
    pair = suite_of(METHODS).pairs[0].name
    for method in METHODS:
        for seed in (1, 2, 3):
            run = root / "longtail" / pair / method / f"seed{seed}" / "training"
            assert (run / "manifest.json").resolve() in found
    assert (root / "longtail" / "tables" / "table1.tex").resolve() in found


def test_local_links_have_their_targets(text: str) -> None:
    page = Page(text)
    assert {a[1:] for a in page.addresses if a.startswith("#")} <= set(page.ids)


def test_what_was_run_is_said_and_escaped(text: str) -> None:
    for part in ("version 1.0", "0123456789abcdef", "torch 2.13.0", "snakemake --cores all"):
        assert part in text
    assert "a &lt;processor&gt; &amp; more" in text


def test_no_gap_is_shown_as_a_number(text: str) -> None:
    assert not re.search(r">\s*(nan|inf|None)\s*<", text, re.IGNORECASE)


def test_gaps_are_refused_or_said(tmp_path: Path) -> None:
    suite = suite_of(METHODS)
    save(suite, tmp_path, [row for row in rows_of(suite) if row["method"] != "forward_kl"])
    out = tmp_path / "report.html"
    with pytest.raises(ArkdError, match="missing"):
        report.write(suite, tmp_path, out)
    assert not out.exists()
    report.write(suite, tmp_path, out, partial=True)
    assert "This report is partial" in out.read_text(encoding="utf-8")


CHECK = """
const shown = () => [...document.querySelectorAll('[data-name=table1] tbody tr')]
  .filter(row => !row.hidden).map(row => row.cells[0].textContent);
const values = () => [...document.querySelectorAll('[data-name=table1] tbody td:last-child')]
  .map(cell => Number(cell.dataset.value));
const sorted = list => list.every((x, i) => !i || list[i - 1] <= x);
const head = document.querySelector('[data-name=table1] thead th:last-child');
head.firstChild.click();
const up = sorted(values()) && head.getAttribute('aria-sort') === 'ascending';
head.firstChild.click();
const down = sorted(values().reverse()) && head.getAttribute('aria-sort') === 'descending';
const field = document.getElementById('filter');
field.value = 'ALPHA=0.25'; field.dispatchEvent(new Event('input'));
const wide = document.documentElement.scrollWidth > document.documentElement.clientWidth;
document.title = JSON.stringify({up, down, rows: shown(), wide});
"""


@pytest.mark.skipif(not shutil.which("chromium"), reason="needs Debian's chromium")
def test_sorting_filtering_and_phone_width_in_a_browser(tmp_path: Path, text: str) -> None:
    page = tmp_path / "page.html"
    page.write_text(text.replace("</body>", f"<script>{CHECK}</script></body>"), encoding="utf-8")
    command = ["chromium", "--headless", "--no-sandbox", "--disable-gpu", "--dump-dom"]
    command += ["--disable-background-networking", "--window-size=500,900"]
    command += [f"--user-data-dir={tmp_path / 'profile'}", page.as_uri()]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    title = re.search(r"<title>(.*?)</title>", done.stdout)
    assert title is not None
    assert title[1] == ('{"up":true,"down":true,"rows":["fixed_mix@alpha=0.25"],"wide":false}')


def test_the_verdicts_are_those_that_were_written(tmp_path: Path) -> None:
    assert {view["verdict"] for view in report.claim_views(tmp_path)} == {
        "none yet: run `arkd claims`"
    }
    (tmp_path / "claims").mkdir()
    (tmp_path / "claims" / "claims.csv").write_text(
        "claim,statement,verdict,status,reason,comparisons,holds,refuted,open,decisive,effect,low,"
        "high,unit\n"
        "C3,R beats F.,contradicted,final,,5,0,4,1,rouge: r − f,-1.25,-2.5,-0.5,points\n"
        "C9,A.,supported,provisional,its seeds differ,1,1,0,0,x: a,0.5,,,nats\n"
        "C10,Many.,not testable,,one pair,0,0,0,0,,,,,\n",
        encoding="utf-8",
    )
    assert [(view["id"], view["verdict"]) for view in report.claim_views(tmp_path)] == [
        (
            "C3",
            "contradicted (final); 0 hold, 4 refuted, 1 open; rouge: r − f: −1.250 "
            "[−2.500, −0.500] points",
        ),
        (
            "C9",
            "supported (provisional): its seeds differ; 1 hold, 0 refuted, 0 open; "
            "x: a: 0.500 nats",
        ),
        ("C10", "not testable: one pair"),
    ]

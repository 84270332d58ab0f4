"""The report is one page that asks nothing of the network and shows what the tables hold."""

from __future__ import annotations

import hashlib
import json
import re
import shlex
import shutil
import subprocess
from html.parser import HTMLParser
from importlib.resources import files
from itertools import pairwise
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import numpy as np
import pytest
from conftest import ROOT
from report_pages import METHODS, claim_line, claims_file, comparison_line, drawn_rows, make_page
from scipy import stats
from simulate import rows_of, save, suite_of

from arkd.claims.registered import load_claims
from arkd.errors import ArkdError
from arkd.figures import build as figures
from arkd.metrics.declared import recorded
from arkd.report import claims as report_claims
from arkd.report import comparisons as report_comparisons
from arkd.report import page as report
from arkd.report import parts
from arkd.report.drawing import PROLOG, strange
from arkd.report.figures import drawings, inline
from arkd.report.stale import stale_parts
from arkd.report.views import span
from arkd.suite.folders import Tree
from arkd.suite.load import load_suite
from arkd.suite.method_listing import row
from arkd.tables import build as tables
from arkd.tables import write as tabular

VOID = {"meta", "link", "br", "input", "wbr"}
FULL = "`snakemake --cores all --config suites='[longtail-full]'`"
LIMIT = 4_000_000  # bytes of a page that a mail server still takes


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
        self.buttons = 0
        self.policy = ""
        self.data = ""
        self._rows: list[list[str]] | None = None
        self._json = False
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        known = {name: value or "" for name, value in attrs}
        self.ids += [known["id"]] if "id" in known else []
        self.addresses += [known[name] for name in ("src", "href", "srcset") if name in known]
        if tag == "meta" and known.get("http-equiv") == "Content-Security-Policy":
            self.policy = known["content"]
        if tag == "table" and "data-name" in known:
            self._rows = self.tables.setdefault(known["data-name"], [])
        if tag == "svg" and known.get("role") == "img":
            self.images.append(known.get("aria-label", ""))
        if re.fullmatch(r"h[1-6]", tag):
            self.headings.append(int(tag[1]))
        if tag == "tr" and self._rows is not None:
            self._rows.append([])
        if tag in ("td", "th") and self._rows is not None:
            self._rows[-1].append("")
        self.buttons += tag == "button"
        self._json = known.get("id") == "panel-data"
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
        if self._json and self.open[-1:] == ["script"]:
            self.data += data
        if self._rows and self.open and {"td", "th"} & set(self.open):
            self._rows[-1][-1] += data


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_page(tmp_path_factory.mktemp("results"))


@pytest.fixture(scope="module")
def text(root: Path) -> str:
    return (root / "longtail" / "report.html").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def data(text: str) -> dict[str, Any]:
    return json.loads(Page(text).data)


def test_the_page_is_well_formed_and_its_ids_are_unique(text: str) -> None:
    page = Page(text)
    assert len(page.ids) == len(set(page.ids))
    assert page.headings.count(1) == 1
    body = page.headings[:-1]  # the last is the panel's
    assert body[0] == 1
    assert all(after <= before + 1 for before, after in pairwise(body))
    for landmark in ("<main", "<nav", "<header", 'class="skip" href="#main"'):
        assert landmark in text


def test_nothing_is_fetched(text: str) -> None:
    page = Page(text)
    papers = {row(name.partition("@")[0]).reference.url for name in METHODS}
    assert {a for a in page.addresses if re.match(r"(https?:)?//", a)} == papers  # to be clicked
    assert not re.search(r"url\((?!#)|@import|fetch\(|XMLHttpRequest|<iframe|localStorage", text)
    assert page.policy.startswith("default-src 'none'; script-src 'sha256-")
    assert "connect-src" not in page.policy


def test_every_table_is_there_with_its_numbers(root: Path, text: str) -> None:
    suite = suite_of(METHODS)
    shown = Page(text).tables
    for table in tables.build(suite, root):
        lead = table.label_columns.index("Method") if "Method" in table.label_columns else 0
        lines = [tabular.row_texts(table, row)[lead:] for row in table.rows]
        rows = [row for row in shown[table.name][1:] if len(row) > 1]
        assert rows == lines
        heads = [head.replace("\u00a0", " ") for head in shown[table.name][0]]
        assert heads == tabular.headings(table)[lead:]
        groups = [row[0] for row in shown[table.name][1:] if len(row) == 1]
        assert groups == list(
            dict.fromkeys(" · ".join(r.labels[:lead]) for r in table.rows if lead)
        )


def test_every_figure_has_a_description(root: Path, text: str) -> None:
    page = Page(text)
    assert len(page.images) == len(figures.build(suite_of(METHODS), root)) > 3
    assert all(len(image) > 30 for image in page.images)


def test_links_lead_to_files(root: Path, text: str, data: dict[str, Any]) -> None:
    links = [a for a in Page(text).addresses if not a.startswith(("#", "data:", "https:"))]
    found = {(root / "longtail" / unquote(link)).resolve() for link in links}
    assert all(path.is_file() for path in found)
    pair = suite_of(METHODS).pairs[0].name
    for method in METHODS:
        for seed in (1, 2, 3):
            run = root / "longtail" / pair / method / f"seed{seed}" / "training"
            assert (run / "manifest.json").resolve() in found
    for name in ("tables/table1.tex", "claims/comparisons.csv"):
        assert (root / "longtail" / name).resolve() in found
    for run in data["runs"]:
        assert [*run["manifests"]] == (["1", "2", "3"] if run["method"] in METHODS else [])
        for link in run["manifests"].values():
            assert (root / "longtail" / unquote(link)).is_file()


def test_local_links_have_their_targets(text: str) -> None:
    page = Page(text)
    assert {unquote(a[1:]) for a in page.addresses if a.startswith("#")} <= set(page.ids)


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
    assert not out.with_suffix("").exists()
    report.write(suite, tmp_path, out, partial=True)
    assert "This report is partial" in out.read_text(encoding="utf-8")


def test_a_panel_has_what_the_records_say(root: Path, data: dict[str, Any]) -> None:
    """Oracle: the rows of records.csv averaged here, and scipy's t interval."""
    suite = suite_of(METHODS)
    rows = drawn_rows()
    place = ["teacher", "untrained", "init", *METHODS].index("arkd")
    task = suite.test_sets[0]
    column = data["tables"]["summary"]["keys"].index(f"{task} rouge_l")
    half, runs, quantity, seeds, values = data["tables"]["summary"]["rows"][place][column]
    assert data["seeds"][seeds] == [1, 2, 3]
    own = [
        np.mean([float(r["value"]) for r in rows if all(r[k] == v for k, v in wanted.items())])
        for seed in (1, 2, 3)
        for wanted in [{"method": "arkd", "seed": seed, "task": task, "metric": "rouge_l"}]
    ]
    assert values == pytest.approx(own, rel=1e-4)  # five digits
    reach = stats.t.ppf(0.975, 2) * np.std(own, ddof=1) / np.sqrt(3)
    assert half == pytest.approx(reach, rel=1e-9)
    assert [data["runs"][run]["method"] for run in runs] == ["arkd"]
    assert data["quantities"][quantity] == {
        **{"task": task, "metric": "rouge_l", "group": ""},
        **{"file": "records.csv", "decoded": 1, "unit": "points"},
        "means": recorded("rouge_l").definition.replace("`", ""),
    }


def test_what_is_not_in_the_records_as_it_stands_names_its_file(data: dict[str, Any]) -> None:
    def files(table: str) -> set[str]:
        cells = [cell for row in data["tables"][table]["rows"] for cell in row if cell]
        return {data["quantities"][cell[2]].get("file", "") for cell in cells}

    assert files("cost") == {"cost.csv"}
    assert files("alpha") == {"trajectories.csv"}
    assert files("bins") == {"records.csv"}


def test_a_score_leads_to_the_sentences_it_is_of() -> None:
    root = ROOT / "results" / "reference" / "1.0" / "longtail"
    page = Page((root / "report.html").read_text(encoding="utf-8"))
    runs = json.loads(page.data)["runs"]
    assert runs
    for run in runs:
        lines = (root / run["samples"]).read_text(encoding="utf-8").splitlines()
        first = json.loads(lines[0])
        assert {"seed", "task", "decode_seed", "id", "text"} == first.keys()
        assert len(lines) % len(run["manifests"]) == 0, run["method"]


def test_the_data_cannot_end_the_script_they_stand_in(tmp_path: Path) -> None:
    suite = suite_of(METHODS)
    save(suite, tmp_path, rows_of(suite))
    out = tmp_path / "</script>" / "report.html"
    report.write(suite, tmp_path, out)
    page = Page(out.read_text(encoding="utf-8"))
    assert json.loads(page.data)["files"]["records.csv"].endswith("longtail/records.csv")


@pytest.mark.parametrize("suite", ["smoke", "longtail"])
@pytest.mark.parametrize("kind", ["all", "one"])
def test_the_command_of_a_cell_is_one_that_snakemake_takes(suite: str, kind: str) -> None:
    from arkd.report.origins import evaluation_command, training_command

    tree = Tree(Path("again"), load_suite(suite), suite)
    pair, method = tree.suite.pairs[0].name, tree.suite.entries[-1].label
    if kind == "all":
        text = evaluation_command(tree, pair, method)
        rule, count = "evaluate", 1
    else:
        text = training_command(tree, pair, method, tree.suite.seeds_of(method)[0])
        rule, count = "distill", 1
    words = shlex.split(text)
    words[1:1] = ["--dry-run", "--nolock"]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    jobs = dict(re.findall(r"^(\w+) +(\d+)$", done.stdout, re.MULTILINE))
    assert int(jobs[rule]) == count
    assert "collect" not in jobs


def test_a_suite_of_ones_own_is_named_by_its_path() -> None:
    from arkd.report.origins import evaluation_command, suite_command

    suite = load_suite("smoke")
    assert suite_command(suite) == "snakemake --cores all --config suites='[smoke]'"
    tree = Tree(Path("again"), suite, "my suites/o'wn.yaml")
    words = shlex.split(evaluation_command(tree, "fixture", "arkd"))
    assert words[4] == "suites=[my suites/o'wn.yaml]"
    assert words[5:] == ["results=again", "--", "again/smoke/fixture/arkd/evaluation/manifest.json"]


def test_seeds_are_listed_short() -> None:
    assert span([3, 1, 2, 9, 10, 20]) == "1–3, 9, 10, 20"


def test_a_drawing_keeps_its_references_and_loses_what_it_needs_not() -> None:
    svg = (
        b'<?xml version="1.0"?><svg width="72pt" viewBox="0 0 72 72">'
        b'<metadata>x</metadata><defs><path id="m1" d="M1.23456 2.98765" style="a: b"/></defs>\n'
        b'<g id="axes_1"><use xlink:href="#m1" x="3.14159" style="a: b"/>'
        b'<g clip-path="url(#c)" style="a: b"/><clipPath id="c"/>'
        b'<text style="c: d">1.23456</text></g></svg>'
    )
    text = inline("name", svg, 'A "b"')
    assert 'aria-label="A &#34;b&#34;"' in text
    assert 'style="width:96px"' in text
    assert (
        '<style>.name-0{a: b}</style><defs><path id="name-m1" d="M1.23 2.99" class="name-0"/>'
        in text
    )
    assert '<g><use href="#name-m1" x="3.14" class="name-0"/>' in text
    assert 'clip-path="url(#name-c)"' in text
    assert 'id="name-c"' in text
    assert '<text style="c: d">1.23456</text>' in text


DRAWINGS = sorted((ROOT / "results").rglob("*.svg"))[::8]
PLAIN = PROLOG + (
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 9 9"><defs>'
    '<style type="text/css">*{stroke-linejoin: round}</style></defs>'
    '<text x="1" style="fill: #ffffff">a &lt; b</text></svg>'
)


@pytest.mark.parametrize("path", DRAWINGS, ids=lambda path: path.stem)
def test_what_matplotlib_writes_goes_into_a_page(path: Path) -> None:
    assert strange(path.read_bytes()) == ""


STRANGE = {
    "a script": ("<text", "<script>alert(1)</script><text"),
    "HTML": ("<text", '<foreignObject width="9"><p>x</p></foreignObject><text'),
    "a link": ("<text", '<a xlink:href="javascript:alert(1)"></a><text'),
    "an image": ("<text", '<image x="1"/><text'),
    "a handler": ("<text", '<text onclick="alert(1)"'),
    "a reference elsewhere": ("<text", '<use xlink:href="https://evil.example/#a"/><text'),
    "a picture in a style": ("fill: #ffffff", "fill: url(https://evil.example/)"),
    "a style in disguise": ("fill: #ffffff", r"fill: u\72l(https://evil.example/)"),
    "a place on the page": ("fill: #ffffff", "position: fixed"),
    "another sheet": ("*{stroke-linejoin", "@import 'https://evil.example/';*{stroke-linejoin"),
    "a sheet in parts": ("*{stroke", "<g/>@import 'x';*{stroke"),
    "a script in a comment": ("<text", "<!-- <svg><script>alert(1)</script> --><text"),
    "a section": ("<text", "<![CDATA[<script>]]><text"),
    "an entity": ('DTD/svg11.dtd">', "DTD/svg11.dtd\" [<!ENTITY a '<script/>'>]>"),
    "something before it": (PROLOG, PROLOG + "<?a <svg><script/> ?>"),
    "an end too many": ("</svg>", "</svg></svg>"),
    "another name space": ("http://www.w3.org/2000/svg", "http://www.w3.org/1999/xhtml"),
}


@pytest.mark.parametrize(("there", "instead"), STRANGE.values(), ids=STRANGE.keys())
def test_what_matplotlib_does_not_write_goes_into_no_page(there: str, instead: str) -> None:
    assert strange(PLAIN.encode()) == ""
    assert PLAIN.count(there) == 1
    assert strange(PLAIN.replace(there, instead).encode()) != ""


@pytest.mark.parametrize("known", [True, False])
def test_a_changed_drawing_is_named_with_what_draws_it_again(known: bool, tmp_path: Path) -> None:
    tree = Tree(tmp_path, load_suite("longtail"))
    path = tree.root / "figures" / "tail.svg"
    path.parent.mkdir(parents=True)
    path.write_text(PLAIN.replace("<text", "<script>alert(1)</script><text"))
    if known:
        made = {"inputs": {}, "outputs": {path.name: sha(path.read_bytes())}}
        (path.parent / "manifest.json").write_text(json.dumps(made))
    with pytest.raises(ArkdError, match=r"tail\.svg: an element script, .*arkd figures longtail"):
        drawings(tree, True, ())


# Verdicts


def test_the_verdicts_lead_the_page(root: Path, text: str) -> None:
    assert (
        text.index('id="verdicts"') < text.index('id="run"') < text.index('id="section-overview"')
    )
    lines = (root / "longtail" / "claims" / "claims.csv").read_text(encoding="utf-8").splitlines()
    assert len(re.findall(r"<tbody [^>]*data-verdict=", text)) == len(lines) - 1 > 20
    assert "Every verdict that rests on these runs is provisional: the training seeds" in text
    assert "snakemake --cores all --config suites=&#39;[longtail-full]&#39;" in text


def test_a_claim_has_effect_interval_power_and_its_comparisons(tmp_path: Path) -> None:
    lines = [
        comparison_line(
            "C3", "rouge", effect="-1.254", low="-2.5", high="-0.5", decision="refuted"
        ),
        comparison_line(
            "C3", "jsd", role="secondary", unit="nats", metric="jsd", effect="0.0123456"
        ),
    ]
    row = claim_line("C3", "contradicted", lines[0], holds=0, refuted=1, open=0, smallest="1.75")
    view = report_claims.claim_view(row, lines)
    assert (view["effect"], view["interval"], view["smallest"]) == (
        *("−1.25", "[−2.50, −0.50]", "1.75"),
    )
    assert (view["verdict"], view["symbol"]) == ("contradicted", "✗")
    assert view["told"] == "1 comparison: 1 refuted; 1 secondary"
    first, second = view["comparisons"]
    assert (first["what"], first["metric"], first["decision"]) == (
        *("rouge: arkd − sft, longtail_id", "rouge_l > 0", "refuted"),
    )
    assert second["effect"] == "0.0123"


def test_comparisons_of_too_few_seeds_are_counted_without_an_outcome() -> None:
    line = comparison_line("C3", "rouge", effect="", decision="")
    row = claim_line("C3", "not testable", line, holds=0, refuted=0, open=0)
    assert report_claims.claim_view(row, [line])["told"] == "1 comparison"


def test_comparisons_go_to_their_claims_in_order() -> None:
    rows = [{"claim": "C1", "comparisons": "1"}, {"claim": "C1", "comparisons": "2"}]
    rows += [{"claim": "C2", "comparisons": "0"}, {"claim": "C3", "comparisons": "1"}]
    roles = [("C1", "primary"), ("C1", "secondary"), ("C1", "primary"), ("C1", "primary")]
    lines = [{"claim": claim, "role": role} for claim, role in [*roles, ("C3", "primary")]]
    found = list(report_comparisons.of_claims(rows, lines))
    assert found == [lines[:2], lines[2:4], [], lines[4:]]


def test_an_interval_is_drawn_to_scale() -> None:
    """From −2.5 to 0, the boundary, in the 108 pixels between the margins of 6."""
    line = comparison_line("C1", "t", effect="-1.25", low="-2.5", high="-0.5", decision="refuted")
    text = report_comparisons.drawing(line, [line])
    assert 'd="M6.0 8H92.4"' in text  # −0.5 lies at 6 + 108 × 2 / 2.5
    assert 'cx="60.0"' in text
    assert '<rect class="claimed" x="114.0" y="0" width="6.0"' in text


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        (
            [("C1", "supported", "final", ""), ("C2", "contradicted", "final", "")],
            "Of 2 registered claims: 1 supported, 1 contradicted.",
        ),
        (
            [
                ("C1", "not testable", "", "twenty steps."),
                ("C2", "not testable", "", "twenty steps."),
            ],
            "No claim is judged by this suite: twenty steps; for verdicts, run "
            "`snakemake --cores all --config suites='[longtail-full]'`.",
        ),
        (
            [
                ("C1", "supported", "provisional", "other seeds"),
                ("X6", "contradicted", "final", ""),
            ],
            "Of 2 registered claims: 1 supported, 1 contradicted. Every verdict that rests on "
            f"these runs is provisional: other seeds; for final ones, run {FULL}.",
        ),
        (
            [("C1", "supported", "provisional", "few"), ("C2", "inconclusive", "final", "")],
            "Of 2 registered claims: 1 supported, 1 inconclusive. 1 of the verdicts is "
            f"provisional: few; for final ones, run {FULL}.",
        ),
    ],
    ids=["final", "nothing judged", "provisional", "mixed"],
)
def test_a_sentence_says_what_the_verdicts_are_worth(
    rows: list[tuple[str, str, str, str]], said: str
) -> None:
    keys = ("claim", "verdict", "status", "reason")
    lines = [dict(zip(keys, row, strict=True)) for row in rows]
    assert report_claims.lead(load_suite("longtail"), load_claims(), lines) == said


def test_an_identity_of_weights_must_be_that_of_every_seed() -> None:
    line = comparison_line("X1", "same_weights", kind="identity", direction="equal")
    assert report_comparisons.bounds(line) == (1.0, 1.0)
    assert report_comparisons.condition(line) == "1"
    equal = comparison_line("E3", "drop", direction="equal", margin="0.8")
    assert report_comparisons.condition(equal) == "−0.8 to 0.8"


def test_what_counts_as_no_effect_is_told_and_drawn() -> None:
    """An interval from 0.16 to 0.24 is above 0, and within ±0.4 all the same."""
    line = comparison_line("C5", "t", effect="0.2", low="0.16", high="0.24", equivalence="0.4")
    assert report_comparisons.condition(line) == "> 0; equivalent in −0.4 to 0.4"
    text = report_comparisons.drawing(line, [line])
    assert '<rect class="band" x="6.0" y="13" width="108.0" height="3"/>' in text
    assert 'd="M81.6 8H92.4"' in text  # 0.16 lies at 6 + 108 × 0.56 / 0.8
    without = line | {"equivalence": ""}
    assert report_comparisons.condition(without) == "> 0"
    assert "band" not in report_comparisons.drawing(without, [without])


def test_only_the_registered_seeds_and_world_give_final_verdicts() -> None:
    assert report_claims.verdict_suites(load_claims())[0] == "longtail-full"
    for name in report_claims.verdict_suites(load_claims()):
        suite = load_suite(name)
        assert suite.seeds == tuple(range(101, 111))
        assert suite.data.world_seed == 2606


def test_without_verdicts_the_page_says_how_to_get_them(tmp_path: Path) -> None:
    view = report_claims.claims_view(Tree(tmp_path, load_suite("longtail")), tmp_path / "a.html")
    assert view is not None
    assert view["lead"].endswith(f"run `arkd claims --suite longtail --results {tmp_path}`.")
    assert [claim for claim, _ in view["listed"]][:2] == ["C1", "C2"]


def remade(root: Path, tmp_path: Path, *stale: str) -> tuple[str, Path]:
    """Return the page of parts with manifests, some of other records, and the folder beside it."""
    folder = tmp_path / "longtail"
    shutil.copytree(root / "longtail", folder)
    for part in ("tables", "claims", "figures"):
        records = (folder / "records.csv").read_bytes() + (b"before" if part in stale else b"")
        outputs = {p.name: sha(p.read_bytes()) for p in (folder / part).iterdir() if p.is_file()}
        made = {"inputs": {"records": sha(records)}, "outputs": outputs}
        (folder / part / "manifest.json").write_text(json.dumps(made))
    report.write(suite_of(METHODS), tmp_path, folder / "report.html")
    return (folder / "report.html").read_text(encoding="utf-8"), folder / "report"


def sha(text: bytes) -> str:
    return hashlib.sha256(text).hexdigest()


def test_what_is_of_these_records_is_shown(root: Path, tmp_path: Path) -> None:
    text, folder = remade(root, tmp_path)
    assert 'class="warning"' not in text
    assert 'id="verdict-table"' in text
    assert {path.name for path in folder.iterdir() if path.is_dir()} == set(parts.KINDS)
    for link in ("tables/summary.csv", "figures/head_tail.svg", "claims/claims.csv"):
        assert (tmp_path / "longtail" / link).is_file(), link
        assert f'href="{link}"' in text, link


def test_verdicts_on_other_records_are_left_out_and_said(root: Path, tmp_path: Path) -> None:
    text, folder = remade(root, tmp_path, "claims")
    assert 'id="verdict-table"' not in text
    assert "claims/claims.csv" not in text
    assert "The saved verdicts are from other records or claims; to judge the claims, run" in text
    assert not (folder / "Claims").exists()
    assert 'href="tables/' in text


@pytest.mark.parametrize(("part", "kind"), [("tables", "Tables"), ("figures", "Figures")])
def test_files_of_other_records_are_no_downloads(
    part: str, kind: str, root: Path, tmp_path: Path
) -> None:
    text, folder = remade(root, tmp_path, part)
    assert f'href="{part}/' not in text
    assert f"The files in {part}/ were made from other records than this page" in text
    assert not (folder / kind).exists()
    assert 'id="verdict-table"' in text


def test_claims_that_were_registered_anew_have_other_verdicts(tmp_path: Path) -> None:
    tree = Tree(tmp_path, load_suite("longtail"))
    (tree.root / "claims").mkdir(parents=True)
    registered = (ROOT / "benchmarks" / "claims.yaml").read_bytes()
    for text, stale in ((registered, ()), (registered + b"#", ("claims",))):
        made = {"inputs": {"claims": sha(text)}, "outputs": {}}
        (tree.root / "claims" / "manifest.json").write_text(json.dumps(made))
        assert stale_parts(tree) == stale


@pytest.mark.parametrize("file", ["claims/claims.csv", "tables/summary.csv", "figures/tail.svg"])
def test_a_part_that_was_changed_after_it_was_written_is_refused(file: str, tmp_path: Path) -> None:
    tree = Tree(tmp_path, load_suite("longtail"))
    path = tree.root / file
    path.parent.mkdir(parents=True)
    path.write_text("inconclusive")
    made = {"inputs": {}, "outputs": {path.name: sha(path.read_bytes())}}
    (path.parent / "manifest.json").write_text(json.dumps(made))
    assert stale_parts(tree) == ()
    path.write_text("supported")
    with pytest.raises(ArkdError, match=path.name):
        stale_parts(tree)


def test_a_panel_counts_worlds_where_observations_are_worlds(root: Path, data: Any) -> None:
    assert data["observation"] == "training seed"
    suite = load_suite("longtail-2")
    assert suite.worlds
    assert suite.observation == "world"
    script = (files("arkd.report") / "templates" / "report_panel.js.j2").read_text("utf-8")
    assert "training seed" not in re.sub(r".*run\.samples.*", "", script)
    assert '"Seeds"' not in script


@pytest.mark.heavy  # a report of two pairs
def test_verdicts_of_two_pairs_have_ids_of_their_own(tmp_path: Path) -> None:
    suite = suite_of(METHODS)
    pair = suite.pairs[0]
    suite = suite.model_copy(update={"pairs": (pair, pair.model_copy(update={"name": "other"}))})
    save(suite, tmp_path, rows_of(suite))
    line = comparison_line("C3", "rouge", effect="-1.2", low="-2", high="-0.5", decision="refuted")
    rows = [
        claim_line("C3", "contradicted", line, holds=0, refuted=1, open=0, pair=name)
        for name in (pair.name, "other")
    ]
    claims_file(tmp_path / "longtail" / "claims", rows, [line, line])
    out = tmp_path / "longtail" / "report.html"
    report.write(suite, tmp_path, out)
    page = Page(out.read_text(encoding="utf-8"))
    assert len(page.ids) == len(set(page.ids))
    assert {"claim-C3-1", "claim-C3-2"} <= set(page.ids)


# Parts and size


def test_snakemakes_report_gets_the_files_themselves_each_with_its_caption(root: Path) -> None:
    suite, folder = suite_of(METHODS), root / "longtail" / "report"
    for table in tables.build(suite, root):
        (file,) = folder.glob(f"Tables/*/{table.name}.csv")
        assert file.read_bytes() == (root / "longtail" / "tables" / file.name).read_bytes()
        assert table.caption[:40] in file.with_suffix(".rst").read_text(encoding="utf-8")
    drawn = {path.stem for path in folder.glob("Figures/All/*.svg")}
    assert drawn == set(figures.build(suite, root))
    (verdicts,) = folder.glob("Claims/*/*.csv")
    assert verdicts.read_bytes() == (root / "longtail" / "claims" / "claims.csv").read_bytes()


def test_a_caption_is_text_in_restructuredtext_too() -> None:
    from docutils.core import publish_parts

    made = publish_parts(parts.rst("A|b", "|p − q| of arkd_code, *not* `x`"), writer="html")
    body = made["body"]
    assert "|p − q| of arkd_code, *not* x" in body
    assert "<strong>A|b.</strong>" in body
    assert "system-message" not in body


@pytest.mark.parametrize(
    "page",
    sorted((ROOT / "results" / "reference").rglob("report.html")),
    ids=lambda p: p.parent.name,
)
def test_a_kept_page_stays_small(page: Path) -> None:
    assert page.stat().st_size < LIMIT

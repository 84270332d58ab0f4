"""The report in a headless Chromium: sorted, filtered, opened by keyboard, in both colour schemes.

Skipped where there is no Chromium; `apt-get install chromium` brings one.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from browser import BROWSER, Browser
from report_pages import METHODS, SCHEMES, colours, drawn_rows, make_page
from scipy import stats
from simulate import suite_of

if BROWSER is None:
    pytest.skip(
        "no Chromium here: `apt-get install chromium` for the browser tests",
        allow_module_level=True,
    )

PHONE = 360


pytestmark = pytest.mark.heavy  # a real browser


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_page(tmp_path_factory.mktemp("results")) / "longtail" / "report.html"


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with Browser(tmp_path_factory.mktemp("profile")) as made:
        yield made


def column(browser: Browser, table: str, place: int) -> list[str]:
    """The values that the rows of a table are sorted by, in the order shown."""
    return browser.run(
        f"[...document.querySelectorAll('[data-name={table}] tbody tr[data-r]')]"
        f".map(row => row.querySelectorAll('td')[{place}].dataset.v ?? '')"
    )


def head(table: str, place: int) -> str:
    return f"[...document.querySelectorAll('[data-name={table}] thead th')].at({place})"


def shown(browser: Browser, table: str) -> list[str]:
    return browser.run(
        f"[...document.querySelectorAll('[data-name={table}] tbody tr[data-r]')]"
        ".filter(row => !row.hidden).map(row => row.cells[0].textContent)"
    )


def type_in(browser: Browser, text: str) -> None:
    browser.run(
        f"(() => {{ const field = document.getElementById('filter'); field.value = '{text}';"
        " field.dispatchEvent(new Event('input')); })()"
    )


def test_the_page_asks_for_nothing_and_complains_of_nothing(browser: Browser, page: Path) -> None:
    for width, dark in ((1280, False), (1280, True), (PHONE, False)):
        browser.open(page, width, dark=dark)
        browser.run("document.querySelector('tr[data-r] > td:not(.fixed)').click()")
        assert browser.complaints() == []
        assert browser.requests() == []


def test_the_driver_sees_complaints_and_requests(browser: Browser, tmp_path: Path) -> None:
    """Otherwise the test above would prove nothing."""
    bad = tmp_path / "bad.html"
    bad.write_text("<img src='http://127.0.0.1:9/a.png'><script>throw Error('x')</script>")
    browser.open(bad)
    assert browser.requests() == ["http://127.0.0.1:9/a.png"]
    assert any("Error: x" in text for text in browser.complaints())


def test_the_policy_of_the_page_keeps_other_scripts_out(browser: Browser, page: Path) -> None:
    browser.open(page)
    browser.run(
        "document.body.append(Object.assign(document.createElement('script'),"
        " {textContent: 'window.ran = 1'}))"
    )
    assert browser.run("window.ran ?? 0") == 0
    assert any("Content Security Policy" in text for text in browser.complaints())


def test_a_heading_sorts_up_and_down_and_back(browser: Browser, page: Path) -> None:
    browser.open(page)
    before = column(browser, "table1", 1)
    numbers = sorted(map(float, before))
    states = []
    for _ in range(3):
        browser.run(f"{head('table1', 2)}.firstElementChild.click()")
        states.append(browser.run(f"{head('table1', 2)}.getAttribute('aria-sort')"))
        states.append(column(browser, "table1", 1))
    assert states[0] == "ascending"
    assert [float(value) for value in states[1]] == numbers
    assert states[2] == "descending"
    assert [float(value) for value in states[3]] == numbers[::-1]
    assert states[4:] == [None, before]


def test_what_has_no_number_is_last_in_both_directions(browser: Browser, page: Path) -> None:
    browser.open(page)
    browser.run("document.querySelectorAll('[data-name=table1] tbody tr[data-r]')[1]"
                ".querySelectorAll('td')[1].removeAttribute('data-v')")  # fmt: skip
    for _ in range(2):
        browser.run(f"{head('table1', 2)}.firstElementChild.click()")
        values = column(browser, "table1", 1)
        assert values[-1] == ""
        assert "" not in values[:-1]


def test_rows_of_one_metric_stay_together_when_sorted(browser: Browser, page: Path) -> None:
    browser.open(page)
    browser.run(f"{head('bins', 2)}.firstElementChild.click()")
    groups = browser.run(
        "[...document.querySelectorAll('[data-name=bins] tbody')].map(body =>"
        " [...body.querySelectorAll('tr[data-r]')].map(row => Number(row.dataset.r)))"
    )
    size = len(METHODS) + 3
    assert [sorted(group) for group in groups] == [
        list(range(start, start + size)) for start in (0, size, 2 * size)
    ]
    firsts = browser.run(
        "[...document.querySelectorAll('[data-name=bins] tbody')].map(b => b.rows[0].className)"
    )
    assert firsts == ["group"] * 3


def test_rows_are_filtered_by_any_of_the_words(browser: Browser, page: Path) -> None:
    browser.open(page)
    every = len(shown(browser, "table1"))
    type_in(browser, "ALPHA=0.25 forward")
    controls = ["teacher", "untrained", "init"]
    assert shown(browser, "table1") == [*controls, "forward_kl", "fixed_mix@alpha=0.25"]
    browser.run("document.getElementById('controls').click()")
    assert shown(browser, "table1") == ["forward_kl", "fixed_mix@alpha=0.25"]
    assert re.fullmatch(
        r"\d+ of \d+ rows", browser.run("document.getElementById('count').innerText")
    )
    type_in(browser, "")
    browser.run("document.getElementById('controls').click()")
    browser.run("document.getElementById('variants').click()")
    assert shown(browser, "table1") == [*controls, "forward_kl", "arkd"]
    assert every == len(METHODS) + 3
    type_in(browser, "nowhere")
    browser.run("document.getElementById('controls').click()")
    hidden = browser.run("document.querySelector('[data-name=table1]').closest('.scroll').hidden")
    assert hidden is True


def test_claims_are_filtered_by_verdict_and_sorted_with_their_comparisons(
    browser: Browser, page: Path
) -> None:
    browser.open(page)
    bodies = "[...document.querySelectorAll('#verdict-table > tbody')]"
    counts = browser.run(f"{bodies}.map(body => body.dataset.verdict)")
    word = counts[0]
    browser.run(f"document.querySelector('[data-show=\"{word}\"]').click()")
    left = browser.run(f"{bodies}.filter(body => !body.hidden).map(body => body.dataset.verdict)")
    assert left == [word] * counts.count(word)
    pressed = "document.querySelector('[aria-pressed=true]')?.dataset.show ?? null"
    assert browser.run(pressed) == word
    browser.run(f"document.querySelector('[data-show=\"{word}\"]').click()")
    assert browser.run(pressed) is None
    browser.run(
        "document.querySelectorAll('#verdict-table > thead th')[4].firstElementChild.click()"
    )
    assert browser.run(f"{bodies}.map(body => body.dataset.verdict)") == sorted(counts)
    assert browser.run(
        f"{bodies}.every(body => body.rows.length === 1 || body.rows[1].querySelector('details'))"
    )


def test_a_verdict_is_told_without_colour(browser: Browser, page: Path) -> None:
    browser.open(page)
    texts = browser.run("[...document.querySelectorAll('.judged .verdict')].map(v => v.innerText)")
    known = {"✓": "supported", "✗": "contradicted", "○": "inconclusive", "–": "not testable"}
    assert texts
    for text in texts:
        mark, word = text.split(maxsplit=1)
        assert known[mark] == word


def test_a_number_opens_by_keyboard_and_shows_what_it_is_made_of(
    browser: Browser, page: Path
) -> None:
    """Oracle: the simulated rows averaged here, and scipy's t interval."""
    browser.open(page)
    suite = suite_of(METHODS)
    first = "document.querySelector('[data-name=summary] tr[data-r] > td:not(.fixed)')"
    browser.run(f"{first}.focus()")
    for key in ("ArrowDown",) * 5 + ("ArrowRight", "ArrowLeft", "End", "Home"):
        browser.press(key)
    browser.press("Enter")
    assert browser.run("document.getElementById('panel').open")
    text = browser.run("document.getElementById('panel').innerText")
    wanted = {"method": "arkd", "task": suite.test_sets[0], "metric": "rouge_l"}
    own = [
        np.mean([float(str(r["value"])) for r in drawn_rows()
                 if r["seed"] == seed and all(r[k] == v for k, v in wanted.items())])
        for seed in (1, 2, 3)
    ]  # fmt: skip
    shown_mean = float(browser.run("document.querySelector('#panel .big').innerText"))
    assert shown_mean == pytest.approx(np.mean(own), rel=1e-9)
    reach = stats.t.ppf(0.975, 2) * np.std(own, ddof=1) / np.sqrt(3)
    low, high = re.search(r"([\d.]+) to ([\d.]+)", text).groups()  # type: ignore[union-attr]
    assert float(low) == pytest.approx(np.mean(own) - reach, rel=1e-8)
    assert float(high) == pytest.approx(np.mean(own) + reach, rel=1e-8)
    seeds = browser.run(
        "[...document.querySelectorAll('#panel tbody tr')]"
        ".map(row => [...row.cells].map(cell => cell.innerText))"
    )
    assert [row[0] for row in seeds] == ["1", "2", "3"]
    assert [float(row[1]) for row in seeds] == pytest.approx(own, rel=1e-4)
    for part in ("records.csv", "arkd", suite.test_sets[0], "rouge_l", "snakemake --cores all"):
        assert part in text
    links = browser.run("[...document.querySelectorAll('#panel a')].map(a => a.href)")
    assert len(links) >= 4
    assert all(Path(link.removeprefix("file://")).is_file() for link in links)
    browser.press("Escape")
    assert not browser.run("document.getElementById('panel').open")
    focused = browser.run("document.activeElement.parentElement.dataset.r")
    assert focused == "5"  # where the reader was


def test_every_cell_opens_and_none_complains(browser: Browser, page: Path) -> None:
    browser.open(page)
    opened = browser.run("""
      [...document.querySelectorAll('tr[data-r] > td:not(.fixed)')].map(cell => {
        cell.click();
        const panel = document.getElementById('panel');
        const text = panel.innerText;
        panel.close();
        return /NaN|undefined|Infinity|null/.test(text) ? text : '';
      }).filter(Boolean)
    """)
    assert opened == []
    assert browser.complaints() == []


def test_a_table_is_one_stop_of_the_tab_key_besides_its_headings(
    browser: Browser, page: Path
) -> None:
    browser.open(page)
    stops = browser.run(
        "[...document.querySelectorAll('table.data[role=grid]')]"
        ".map(t => [...t.querySelectorAll('td')].filter(cell => cell.tabIndex === 0).length)"
    )
    assert stops
    assert set(stops) == {1}


@pytest.mark.parametrize("scheme", SCHEMES)
def test_the_colours_follow_the_system_and_then_the_button(
    browser: Browser, page: Path, scheme: str
) -> None:
    browser.open(page, dark=scheme == "dark")
    ground = "getComputedStyle(document.body).backgroundColor"
    before = browser.run(ground)
    assert before == rgb(colours(scheme)["paper"])
    browser.run("document.getElementById('theme').click()")
    other = next(name for name in SCHEMES if name != scheme)
    assert browser.run(ground) == rgb(colours(other)["paper"])
    assert browser.run("document.getElementById('theme').innerText") == f"{scheme.title()} colours"
    browser.run("document.getElementById('theme').click()")
    assert browser.run(ground) == before


@pytest.mark.parametrize("width", [PHONE, 768, 1280])
def test_the_page_is_never_wider_than_the_screen(browser: Browser, page: Path, width: int) -> None:
    browser.open(page, width)
    browser.run("document.querySelectorAll('details').forEach(one => { one.open = true; })")
    wide = "[document.documentElement.scrollWidth, document.documentElement.clientWidth]"
    shown_width, room = browser.run(wide)
    assert shown_width <= room == width
    browser.run("document.querySelector('tr[data-r] > td:not(.fixed)').click()")
    body = "document.getElementById('panel-body')"
    assert browser.run(f"{body}.scrollWidth <= {body}.clientWidth")


def test_a_printed_page_cuts_nothing_and_is_not_shrunk(browser: Browser, page: Path) -> None:
    paper = {"width": 1031, "height": 702}  # A4 on its side less margins of 12 mm, in CSS pixels
    browser.open(page, **paper)
    browser("Emulation.setEmulatedMedia", media="print")
    browser.run("document.querySelectorAll('details').forEach(one => { one.open = true; })")
    assert browser.run("document.querySelectorAll('[data-name=tail] thead th').length") > 12
    assert browser.run("document.documentElement.scrollWidth") <= paper["width"]
    widths = "[...document.querySelectorAll('main table')].map(one => one.scrollWidth)"
    assert max(browser.run(widths)) <= paper["width"]
    heights = "[...document.querySelectorAll('figure')].map(one => one.offsetHeight)"
    assert 0 < max(browser.run(heights)) <= paper["height"]
    size = "parseFloat(getComputedStyle(document.querySelector('[data-name=tail]')).fontSize)"
    assert browser.run(size) * 72 / 96 > 6  # points
    browser("Emulation.setEmulatedMedia", media="")


def test_a_wide_table_keeps_its_headings_and_names_in_sight(browser: Browser, page: Path) -> None:
    browser.open(page, PHONE, 640)
    region = "document.querySelector('[data-name=tail]').closest('.scroll')"
    browser.run(f"{region}.style.maxHeight = '120px'; {region}.scrollTo(200, 60)")
    left, top = browser.run(f"[{region}.scrollLeft, {region}.scrollTop]")
    assert left == 200
    assert top > 0
    places: Any = browser.run(f"""(() => {{
      const region = {region}, at = part => part.getBoundingClientRect();
      const name = at(region.querySelector('tbody th.first'));
      const head = at(region.querySelector('thead th'));
      return [name.left - at(region).left, head.top - at(region).top];
    }})()""")
    assert places == pytest.approx([0, 1], abs=1.01)  # a border of one pixel


def test_headings_of_the_contents_lead_to_what_they_name(browser: Browser, page: Path) -> None:
    browser.open(page)
    lost = browser.run(
        "[...document.querySelectorAll('.contents a')].filter(a => "
        "document.getElementById(decodeURIComponent(a.hash.slice(1)))?.textContent.trim()"
        " !== a.textContent.trim()).map(a => a.textContent)"
    )
    assert lost == ["Verdicts"]  # the heading has more words


@pytest.mark.parametrize("width", [1280, PHONE])
def test_a_link_of_the_contents_lands_on_its_heading(
    browser: Browser, page: Path, width: int
) -> None:
    """Whatever sizes the page guesses for what has not been seen; the end of the page may stop it.

    Each link is followed on a page just opened, and the place is looked at once it is at rest.
    """
    browser.open(page, width)
    missed = {}
    for place in range(browser.run("document.querySelectorAll('.contents a').length")):
        browser.open(page, width)
        name, top, bar, room = browser.run(f"""(async () => {{
          document.querySelector('.contents details').open = true;
          const link = document.querySelectorAll('.contents a')[{place}];
          const heading = document.getElementById(decodeURIComponent(link.hash.slice(1)));
          link.click();
          for (let before = null; before !== scrollY;) {{
            before = scrollY;
            await new Promise(done => setTimeout(done, 200));
          }}
          const left = document.documentElement.scrollHeight - innerHeight - scrollY;
          const covered = document.querySelector('.bar').getBoundingClientRect().bottom;
          return [link.textContent, heading.getBoundingClientRect().top, covered, left];
        }})()""")
        below_the_bar = top - max(bar, 0)
        if not (0 <= below_the_bar <= 40 or (room <= 1 and top > 0)):
            missed[name] = top
    assert missed == {}


def test_a_methods_name_leads_to_what_it_is_and_its_paper(browser: Browser, page: Path) -> None:
    browser.open(page)
    browser.run("document.querySelector('[data-name=summary] a[href=\"#method-arkd\"]').click()")
    row = "document.querySelector('tr:target')"
    cells = browser.run(f"[...{row}.cells].map(cell => cell.innerText)")
    assert cells[0] == "arkd"
    assert "ARKD: Adaptive Reinforcement Learning-Guided" in cells[2]
    assert "baselines/pages/arkd.md" in cells[2]
    assert browser.run(f"{row}.querySelector('a').href") == "https://arxiv.org/abs/2606.29869"


def test_the_contents_tell_where_the_reader_is(browser: Browser, page: Path) -> None:
    browser.open(page)
    for name in ("summary", "bins"):
        current = browser.run(f"""(async () => {{
          document.querySelector('.contents a[href="#{name}"]').click();
          await new Promise(done => setTimeout(done, 500));
          return document.querySelector('.contents [aria-current]').hash;
        }})()""")
        assert current == f"#{name}"


def rgb(colour: str) -> str:
    red, green, blue = (int(colour[place : place + 2], 16) for place in (1, 3, 5))
    return f"rgb({red}, {green}, {blue})"

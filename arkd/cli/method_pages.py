"""A page for every shipped method, and the paper index: written from what the methods declare."""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from arkd.errors import ArkdError
from arkd.method import Method
from arkd.paths import baselines_dir, benchmarks_dir
from arkd.results import published
from arkd.storage.files import write_text
from arkd.suite import method_listing as catalogue
from arkd.suite import registry
from arkd.suite.names import method_of
from arkd.suite.tuned import tuned_rates
from arkd.templates import rendered

TUNING = "longtail"
RESULTS = "results/reference/1.0/longtail-full/tables/summary.md"
SAYS = {
    "weights": "how much forward and reverse KL weigh at each step",
    "tokens": "what each token costs",
    "step": "the whole loss of a step, from responses of its choice",
}
TRAINS_ON = {
    "gold": "the gold responses",
    "teacher": "responses that the teacher sampled beforehand",
    "student": "responses that the start sampled beforehand",
}
INDEX_HEAD = """# Methods and their papers

Each method is one file and has its name: the methods that ARKD is compared with are in this
folder, ARKD's own variants and the controls in [`arkd/methods`](../arkd/methods). `arkd list` shows
the same table in a terminal, `arkd check NAME` compares a method with its formula, and `arkd cite
NAME` prints its BibTeX. `arkd pages` generates this page and those it links to from the files.

| method | what it is | paper | needs | cost |
|---|---|---|---|---|
"""


@dataclass(frozen=True)
class Results:
    """A method's rows of the reference table."""

    title: str
    link: str
    head: str
    rows: list[str]


def write(folder: Path | None = None) -> list[Path]:
    """Write the index and every method's page; return the files.

    Args:
        folder: Where `README.md` and `pages/` go; the checkout's `baselines` if none is given.

    Raises:
        ArkdError: there is no checkout to write them into.
    """
    folder = folder or baselines_dir()
    if folder == baselines_dir() and not (folder.parent / "pyproject.toml").is_file():
        raise ArkdError(f"{folder}: not in a checkout of the project, where the pages belong")
    files = {folder / "README.md": index()}
    files |= {folder / "pages" / f"{name}.md": page(name) for name in catalogue.shipped()}
    for path, text in files.items():
        write_text(path, text)
    return list(files)


def index() -> str:
    """Return the paper index: methods by paper, oldest first."""
    rows = [catalogue.row(name) for name in catalogue.shipped()]
    rows.sort(key=lambda row: (row.reference.year, row.reference.title, row.name))
    lines = [
        f"| [{row.name}](pages/{row.name}.md) | {row.summary} | [{row.reference.title}]"
        f"({row.reference.url}) ({row.reference.year}) | {_words(row.needs)} | {row.cost} |"
        for row in rows
    ]
    return INDEX_HEAD + "\n".join(lines) + "\n"


def page(name: str) -> str:
    """Return a method's page as Markdown."""
    row, cls = catalogue.row(name), registry.method_class(name)
    method = cls()
    file = Path(inspect.getfile(cls))
    inside = f"{file.parent.name}/{file.name}"
    shown = f"arkd/{inside}" if file.parent.name == "methods" else inside
    trains_on = [TRAINS_ON[source] for source in method.responses]
    if "samples while training" in row.cost:
        trains_on.append("responses sampled while training")
    return rendered(
        "arkd.cli",
        "method.md.j2",
        row=row,
        cls=cls,
        code=_code(row.reference.code),
        file=shown,
        link=f"../../{shown}",
        says=SAYS,
        rate=_rate(name),
        protocol=_protocol(method),
        trains_on=" and ".join(trains_on),
        parameters=[
            (name, "–" if value is None else value, cls.defaults.get(name, "not stated"))
            for name, value in method.params.items()
        ],
        results=_results(name),
        published=_published(name),
    )


def _rate(name: str) -> str:
    """Say where the learning rate of a suite tuned by `TUNING` comes from."""
    link = f"[`{TUNING}.csv`](../../benchmarks/tuning/{TUNING}.csv)"
    if name in tuned_rates(TUNING):
        return f"In `longtail` its learning rate is the one chosen for it in {link}."
    return (
        f"No learning rate was chosen for it in {link}; in `longtail` it runs at the suite's "
        "shared rate."
    )


def _protocol(method: Method) -> str:
    """Say what of the suite's protocol is for methods that read the teacher."""
    if not method.reads_teacher:
        return "It reads no teacher's values: temperature and λ·L_pt are not for it."
    term = "λ·L_pt is added as for every method that reads the teacher's values."
    if not method.softened:
        return f"It works at temperature 1, whatever the suite's. {term}"
    return f"The temperature is the suite's. {term}"


def _code(code: str | None) -> str | None:
    """Return a link to a repository at the commit that was read."""
    if code is None:
        return None
    repository, _, commit = code.partition("@")
    return (
        f"[{repository.removeprefix('github.com/')}@{commit}](https://{repository}/tree/{commit})"
    )


def _results(name: str) -> Results | None:
    """Return the method's rows of the committed reference table, if it has any."""
    path = benchmarks_dir().parent / RESULTS
    if not path.is_file():
        return None
    lines = [x for x in path.read_text(encoding="utf-8").splitlines() if x.startswith("|")]
    rows = [x for x in lines[2:] if method_of(x.split("|")[1].strip()) in (name, "init")]
    title = "Suite `longtail-full`; `init` is the start that all methods share"
    return Results(title, f"../../{RESULTS}", "\n".join(lines[:2]), rows) if len(rows) > 1 else None


def _published(name: str) -> dict[str, Any] | None:
    """Return the ARKD paper's numbers for the method, if it has any."""
    rouge = [
        printed
        for printed in published.of_paper()
        if method_of(printed.method) == name
        and printed.metric == "rouge_l"
        and printed.table in ("1", "2 and 4")
    ]
    if not rouge:
        return None
    sets = list(dict.fromkeys(printed.dataset for printed in rouge))
    found = {(printed.pair, printed.dataset): printed.text for printed in rouge}
    pairs = list(dict.fromkeys(printed.pair for printed in rouge))
    return {
        "title": "ROUGE-L in the ARKD paper's Tables 1, 2 and 4 (other data, other models):",
        "columns": ["pair", *sets],
        "rows": [[pair, *(found.get((pair, s), "–") for s in sets)] for pair in pairs],
    }


def _words(needs: tuple[str, ...]) -> str:
    return ", ".join(need.replace("_", " ") for need in needs)

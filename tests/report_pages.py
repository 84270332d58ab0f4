"""A page of simulated results with verdicts, for the tests of the report."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from simulate import rows_of, save, suite_of

from arkd.claims import judge as judgement
from arkd.claims import write as verdict_table
from arkd.claims.registered import load_claims
from arkd.claims.wording import CLAIM_COLUMNS, COMPARISON_COLUMNS
from arkd.figures import build as figures
from arkd.report import page as report
from arkd.storage.records import write_csv
from arkd.suite.folders import Tree
from arkd.tables import build as tables

SCHEMES = ("light", "dark")
METHODS = ("forward_kl", "fixed_mix@alpha=0.25", "arkd")


def level(method: str, task: str, metric: str) -> float:
    """Give methods one expectation; the teacher is nearest to itself, the untrained farthest."""
    if metric == "rouge_l":
        return 30.0
    return {"teacher": 0.1, "untrained": 9.0}.get(method, 0.5)


def drawn_rows() -> list[dict[str, object]]:
    """Return the rows of `records.csv` that the page is made of."""
    return rows_of(suite_of(METHODS), level, sd=0.05)


def make_page(root: Path) -> Path:
    """Write results, tables, figures, verdicts and the report of a small suite below `root`."""
    suite = suite_of(METHODS)
    save(suite, root, drawn_rows())
    folder = root / suite.name
    tables.write(suite, root, folder / "tables")
    figures.write(suite, root, folder / "figures")
    registered = load_claims()
    found = judgement.judge(Tree(root, suite), registered, partial=True)
    verdict_table.write(suite, registered, found, folder / "claims")
    report.write(suite, root, folder / "report.html")
    return root


def comparison_line(claim: str, test: str, **own: str) -> dict[str, str]:
    """Return a line of `comparisons.csv`: arkd above sft, in ROUGE-L points."""
    line = dict.fromkeys(COMPARISON_COLUMNS, "") | {"claim": claim, "test": test}
    line |= {"role": "primary", "kind": "paired_difference", "a": "arkd", "b": "sft", "n": "3"}
    line |= {"task": "longtail_id", "metric": "rouge_l", "unit": "ROUGE-L points (0-100)"}
    line |= {"direction": "greater", "margin": "0", "target": "0", "decision": "open"}
    return line | own


def claim_line(
    claim: str, verdict: str, decisive: dict[str, str], smallest: str = "", **own: str | int
) -> dict[str, str]:
    """Return the line of `claims.csv` whose verdict hangs on a comparison."""
    line = dict.fromkeys(CLAIM_COLUMNS, "") | {"claim": claim, "verdict": verdict}
    line |= {"statement": "R beats F.", "status": "final", "comparisons": "1", "rule": "all"}
    line |= {key: decisive[key] for key in ("effect", "low", "high", "level", "unit")}
    line |= {"decisive": f"{decisive['test']}: arkd − sft, longtail_id", "seeds": decisive["n"]}
    return line | {"smallest_effect": smallest} | {key: str(value) for key, value in own.items()}


def claims_file(
    folder: Path, rows: Iterable[dict[str, str]], lines: Iterable[dict[str, str]]
) -> None:
    """Write both files of verdicts."""
    folder.mkdir(parents=True, exist_ok=True)
    write_csv(folder / "claims.csv", CLAIM_COLUMNS, rows)
    write_csv(folder / "comparisons.csv", COMPARISON_COLUMNS, lines)


def colours(scheme: str) -> dict[str, str]:
    """The colours of a scheme as the style sheet sets them, those of light where dark has none."""
    _, page = report.templates()
    style = str(page["css"])
    light = re.search(r":root \{(.*?)\}", style, re.DOTALL)
    dark = re.search(r':root\[data-theme="dark"\] \{(.*?)\}', style, re.DOTALL)
    assert light
    assert dark
    found = dict(re.findall(r"--([\w-]+): ([^;]+);", light[1]))
    return found | (dict(re.findall(r"--([\w-]+): ([^;]+);", dark[1])) if scheme == "dark" else {})

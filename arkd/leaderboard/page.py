"""The leaderboard as files: one page that needs no server, JSON with a schema, and CSV."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from operator import attrgetter
from pathlib import Path
from typing import Any

from markupsafe import Markup

from arkd.leaderboard.boards import build
from arkd.leaderboard.form import Board, Effect, Leaderboard, Measure, Row
from arkd.results import published
from arkd.storage.files import refuse_unlike, write_text
from arkd.storage.records import significant, write_csv
from arkd.suite.folders import INIT
from arkd.templates import environment, label, policy

PAGE, JSON, CSV = "index.html", "leaderboard.json", "leaderboard.csv"
SIGNS = {  # what each file has near its beginning, whatever the release
    PAGE: "<title>Leaderboard: white-box distillation",
    JSON: '{\n  "form": ',
    CSV: "suite,suite_version,pair,measure,group,method,",
}
COLUMNS = (
    *("suite", "suite_version", "pair", "measure", "group", "method", "run", "origin", "effect"),
    *("low", "high", "seeds", "value", "base", "prefixes", "family", "foreign", "failed"),
    *("cost_s", "cost_kind", "cost_declared", "core", "core_differs", "commit", "kernels"),
)
WIDTH, HEIGHT, INSET = 150, 18, 6  # of a drawn interval, in CSS pixels
DIGITS = {"rouge_l": 1, "outside": 1, "jsd": 4}  # else three
MINUS = str.maketrans("-", "−")


def write(results: Path, out: Path) -> Leaderboard:
    """Write page, JSON and CSV into a folder and return what they hold.

    Args:
        results: The folder that has `reference/` and `submissions/`.
        out: The folder to write to.

    Raises:
        ArkdError: no run has a place, or another file stands where one of the three will be.
    """
    for name, sign in SIGNS.items():
        refuse_unlike(out / name, sign)
    found = build(results, out / PAGE)
    write_text(out / JSON, found.model_dump_json(indent=2) + "\n")
    write_csv(out / CSV, COLUMNS, _lines(found))
    write_text(out / PAGE, render(found))
    return found


def _lines(found: Leaderboard) -> Iterable[dict[str, Any]]:
    """Yield the lines of the CSV: one a measure of a row."""
    runs = {run.id: run for run in found.runs}
    for board in found.boards:
        for measure in found.measures:
            for row, effect in placed(board, measure):
                run, cost = runs[row.run], row.cost
                yield {
                    **{"suite": board.suite, "suite_version": board.version, "pair": board.pair},
                    **{"measure": measure.key, "group": effect.group, "method": row.method},
                    **{"run": run.id, "origin": run.origin, "effect": effect.mean},
                    **{key: getattr(effect, key) for key in ("low", "high", "seeds", "value")},
                    "base": effect.base,
                    **{key: getattr(row, key) for key in ("prefixes", "family", "foreign")},
                    "failed": row.failed,
                    "cost_s": cost and cost.seconds,
                    "cost_kind": cost and cost.kind,
                    "cost_declared": cost and cost.declared,
                    **{key: getattr(run, key) for key in ("core", "core_differs", "commit")},
                    "kernels": run.kernels,
                }


def placed(board: Board, measure: Measure) -> list[tuple[Row, Effect]]:
    """Return a board's rows in one measure: by group, the larger gain first."""
    sign = -1 if measure.higher_is_better else 1
    rows = [(row, row.effects[measure.key]) for row in board.rows if measure.key in row.effects]
    last = len(rows) + 1
    return sorted(rows, key=lambda pair: (pair[1].group or last, sign * pair[1].mean))


def render(found: Leaderboard) -> str:
    """Return the page."""
    templates = environment("arkd.leaderboard", "arkd.report", html=True)
    templates.filters["label"] = label
    script, style = (
        "".join(templates.get_template(name).render() for name in names)
        for names in (("theme.js.j2", "leaderboard.js.j2"), ("report.css.j2", "leaderboard.css.j2"))
    )
    rows = [row for board in found.boards for row in board.rows]
    return templates.get_template("leaderboard.html.j2").render(
        found=found,
        css=Markup(style),
        script=Markup(script),
        policy=policy(script),
        boards=[_board_view(board, found) for board in found.boards],
        runs={run.id: run for run in found.runs},
        measures=[(measure.key, measure.title) for measure in found.measures],
        suites=[(name, name) for name in dict.fromkeys(board.suite for board in found.boards)],
        prefixes=_known(row.prefixes for row in rows),
        families=_known(row.family for row in rows),
        published=_published(),
        files=(JSON, CSV),
    )


def _known(values: Iterable[str | None]) -> list[tuple[str, str]]:
    return [(value, value) for value in sorted({value for value in values if value})]


def _board_view(board: Board, found: Leaderboard) -> dict[str, Any]:
    """Return a board as the template draws it: a table for each measure that any row has."""
    tables = []
    for measure in found.measures:
        rows = placed(board, measure)
        if not rows:
            continue
        bases = {row.run: effect.value for row, effect in rows if row.method == found.base}
        low, high = _reach([effect for row, effect in rows if row.method != INIT])
        tables.append(
            {
                "measure": measure,
                "rows": [_row_view(*each, measure, (low, high), bases) for each in rows],
                "few": min(effect.seeds for _, effect in rows),
            }
        )
    slug = f"{board.suite}-{board.version}-{board.pair}"
    return {"board": board, "tables": tables, "id": slug}


def _reach(effects: list[Effect]) -> tuple[float, float]:
    """Return the ends of an axis that has zero and every interval on it."""
    ends = [0.0]
    for effect in effects:
        ends += [effect.mean, *(end for end in (effect.low, effect.high) if end is not None)]
    return min(ends), max(ends) if max(ends) > min(ends) else min(ends) + 1


def _row_view(
    row: Row,
    effect: Effect,
    measure: Measure,
    reach: tuple[float, float],
    bases: Mapping[str, float],
) -> dict[str, Any]:
    """Return a row as the template draws it.

    Args:
        row: The row.
        effect: Its difference from forward KL.
        measure: In which.
        reach: The ends of the drawing's axis.
        bases: Forward KL's value over all of its seeds, by run.
    """
    digits = DIGITS.get(measure.key, 3)
    low, high = reach

    def text(value: float, sign: str = "") -> str:
        shown = f"{value:{sign}.{digits}f}"
        return (shown.lstrip("+-") if float(shown) == 0 else shown).translate(MINUS)

    def at(value: float) -> float:
        share = (min(max(value, low), high) - low) / (high - low)
        return round(INSET + share * (WIDTH - 2 * INSET), 1)

    better = effect.mean > 0 if measure.higher_is_better else effect.mean < 0
    decided = effect.low is not None and effect.high is not None and effect.low * effect.high > 0
    verdict = ("holds" if better else "refuted") if decided else "open"
    half = None if effect.low is None else effect.mean - effect.low
    margin = "" if half is None else f"± {half:.{digits}f}"
    return {
        "row": row,
        "effect": effect,
        "text": text(effect.mean, "+"),
        "margin": margin,
        "value": text(effect.value),
        "base": "" if bases.get(row.run) == effect.base else text(effect.base),
        "sort": significant(effect.mean),
        "verdict": verdict,
        "drawing": {
            "zero": at(0.0),
            "mean": at(effect.mean),
            "ends": None
            if effect.low is None or effect.high is None
            else (at(effect.low), at(effect.high)),
            "beyond": not low <= effect.mean <= high,
        },
    }


def _published() -> list[dict[str, Any]]:
    """Return what papers print of ROUGE-L: by pair a line a method, from the lowest to the highest.

    Each source counts once, and none of it is measured here.
    """
    cells: dict[str, dict[str, dict[str, list[published.Printed]]]] = {}
    for printed in published.counted(published.numbers()):
        if printed.metric == "rouge_l" and printed.dataset in published.SETS:
            of_pair = cells.setdefault(printed.pair, {})
            of_pair.setdefault(printed.method, {}).setdefault(printed.dataset, []).append(printed)
    return [
        {
            "pair": pair,
            "sets": published.SETS,
            "rows": [
                (method, [_spread(found.get(name, [])) for name in published.SETS])
                for method, found in sorted(methods.items())
            ],
        }
        for pair, methods in cells.items()
    ]


def _spread(numbers: list[published.Printed]) -> str:
    """Return the lowest and the highest of some printed numbers, and how many sources they have."""
    if not numbers:
        return "–"
    values = sorted(map(attrgetter("value"), numbers))
    low, high = f"{values[0]:.1f}", f"{values[-1]:.1f}"
    sources = len({number.origin for number in numbers})
    span = low if low == high else f"{low}–{high}"
    return f"{span} ({sources})" if sources > 1 else span

"""Boards: every row of every run of one suite and pair, less its own run's forward KL."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from arkd import __version__, exact
from arkd.errors import ArkdError, printable
from arkd.exchange.lacks import BASE
from arkd.leaderboard.form import Board, Effect, Leaderboard, Measure, Row
from arkd.leaderboard.groups import Ranked, groups
from arkd.leaderboard.runs import FAULTS, Entry, find
from arkd.method import Method
from arkd.results.records import SeedValues
from arkd.statistics.intervals import paired_difference
from arkd.storage.provenance import core_hash, git_state
from arkd.suite import method_listing, rows
from arkd.suite.folders import CONTROLS, FOREIGN, INIT
from arkd.suite.protocol import Distillation, MethodEntry
from arkd.tables.builder import GOLD

MEASURES = (
    Measure(key="rouge_l", title="ROUGE-L in distribution", unit="points", higher_is_better=True),
    Measure(
        key="outside", title="ROUGE-L out of distribution", unit="points", higher_is_better=True
    ),
    Measure(key="jsd", title="JSD to the teacher", unit="nats per token", higher_is_better=False),
    Measure(
        key="truth", title="Error on tail facts", unit="total variation", higher_is_better=False
    ),
)


@dataclass(frozen=True)
class Facets:
    """What rows are filtered by."""

    prefixes: str | None = None
    family: str | None = None


def build(results: Path, page: Path) -> Leaderboard:
    """Return the leaderboard of all references and submissions below a folder of results.

    Args:
        results: The folder that has `reference/` and `submissions/`.
        page: Where the page will stand: links are relative to its folder.

    Raises:
        ArkdError: no run has a place.
    """
    entries, left_out = find(results)
    by_board: dict[tuple[str, str, str], list[Entry]] = {}
    for entry in entries:
        if wrong := _wrong(entry, page):
            left_out[entry.id] = wrong
            continue
        for key in _keys(entry):
            by_board.setdefault(key, []).append(entry)
    if not by_board:
        first = "".join(f"; left out: {run}: {why}" for run, why in [*left_out.items()][:1])
        raise ArkdError(f"{results}: no run with {BASE} below reference/ and submissions/{first}")
    firsts = {entry.id: runs[0] for runs in reversed([*by_board.values()]) for entry in runs}
    return Leaderboard(
        base=BASE,
        made_by={"arkd": __version__, "core": core_hash(), "commit": git_state()["commit"]},
        measures=MEASURES,
        runs=tuple(e.facts(page, firsts[e.id]) for e in entries if e.id in firsts),
        boards=tuple(_board(*key, runs) for key, runs in by_board.items()),
        left_out=left_out,
    )


def _keys(entry: Entry) -> list[tuple[str, str, str]]:
    """Return suite, version and pair of the boards that a run stands on."""
    pairs = [pair for pair, row in entry.side.by_seed if row == BASE]
    return [(entry.side.suite, entry.side.version, pair) for pair in pairs]


def _wrong(entry: Entry, page: Path) -> str:
    """Say why a run has no place, "" if it has: it must stand on boards of its own."""
    keys = _keys(entry)
    if not keys:
        return f"it has no {BASE}, with which every effect is paired"
    try:
        entry.facts(page, entry)
        for key in keys:
            _board(*key, [entry])
    except FAULTS as error:
        return printable(f"its effects cannot be computed: {error}")
    return ""


def _board(suite: str, version: str, pair: str, entries: Sequence[Entry]) -> Board:
    """Return the board of one suite's version and pair, its rows by the first measure."""
    made: list[tuple[Entry, str]] = []
    for number, entry in enumerate(entries):
        shown = [row for of_pair, row in entry.sides if of_pair == pair]
        # Forward KL is zero by its definition in every run: the first stands for all.
        made += [(entry, r) for r in shown if r not in CONTROLS or (r == INIT and not number)]
    made = [(e, r) for n, (e, r) in enumerate(made) if r != BASE or e is entries[0]]
    effects: list[dict[str, Effect]] = [{} for _ in made]
    for measure in MEASURES:
        sign = 1 if measure.higher_is_better else -1
        found: list[tuple[int, Effect]] = []
        ranked: list[Ranked] = []
        for place, (entry, row) in enumerate(made):
            values, base = (_values(entry, pair, name, measure.key) for name in (row, BASE))
            seeds = sorted(values.keys() & base.keys())
            if seeds:
                found.append((place, _effect([values[s] for s in seeds], [base[s] for s in seeds])))
                by_seed = {s: sign * (values[s] - base[s]) for s in seeds}
                ranked.append(Ranked(entry.id, by_seed))
        for (place, effect), group in zip(found, groups(ranked), strict=True):
            effects[place][measure.key] = effect.model_copy(update={"group": group})
    of_rows = [
        _row(entry, pair, row, found)
        for (entry, row), found in zip(made, effects, strict=True)
        if found
    ]
    return Board(
        suite=suite,
        version=version,
        pair=pair,
        description=str(entries[0].config.get("description", "")),
        unit=entries[0].unit,
        runs=tuple(entry.id for entry in entries),
        rows=tuple(of_rows),
    )


def _effect(values: Sequence[float], base: Sequence[float]) -> Effect:
    gap = paired_difference(values, base)
    return Effect(
        mean=gap.mean,
        low=gap.low,
        high=gap.high,
        seeds=gap.n,
        value=exact.mean(values),
        base=exact.mean(base),
    )


def _values(entry: Entry, pair: str, row: str, measure: str) -> SeedValues:
    """Return a headline measure of a row by training seed."""
    rouge = entry.config.get("rouge", "rouge_l")
    if measure == "jsd":
        return entry.values(pair, row, (GOLD, "jsd", ""))
    if measure == "truth":
        return entry.values(pair, row, ("truth", "truth_error", "certain_tail"))
    first, *outside = ((task, rouge, "") for task in entry.test_sets)
    if measure == "rouge_l":
        return entry.values(pair, row, first)
    # Over the sets that forward KL has: a mean over fewer would be one of easier or harder sets.
    scored = [quantity for quantity in outside if entry.values(pair, BASE, quantity)]
    parts = [entry.values(pair, row, quantity) for quantity in scored]
    seeds = set.intersection(*map(set, parts)) if parts else set()
    return {s: exact.mean([part[s] for part in parts]) for s in sorted(seeds)}


def _row(entry: Entry, pair: str, row: str, effects: Mapping[str, Effect]) -> Row:
    facets = _facets(entry, pair, row)
    return Row(
        method=row,
        run=entry.id,
        foreign=row.startswith(f"{FOREIGN}:"),
        variant="@" in row,
        prefixes=facets.prefixes,
        family=facets.family,
        failed=entry.failed(pair, row),
        cost=entry.costs.get((pair, row)),
        effects=dict(effects),
    )


def _facets(entry: Entry, pair: str, row: str) -> Facets:
    """Return what a row is filtered by: as it declares, else as its method here does."""
    said = entry.declared(pair, row)
    stated_facets = Facets(said.prefixes, said.family)
    if row.startswith(f"{FOREIGN}:") or row == INIT:
        return stated_facets
    try:
        stated = next(
            found
            for value in entry.config.get("methods", ())
            if (found := MethodEntry.model_validate(value)).label == row
        )
        method = rows.build(stated)
    except (ArkdError, ValidationError, StopIteration):
        return stated_facets  # of code that this checkout lacks
    chosen = stated_facets.prefixes or _prefixes(stated, method)
    return Facets(chosen, stated_facets.family or method_listing.varies(method))


def _prefixes(stated: MethodEntry, method: Method) -> str:
    """Return on whose responses a row's loss is taken."""
    settings = Distillation.model_construct(**{"prefixes": None, **stated.changes})
    if settings.prefixes:
        return str(settings.prefixes)
    if rows.draws(method, settings, "student"):
        return "mixed" if rows.drawing_share(method, settings) < 1 else "student"
    sources = set(rows.sources(method, settings))
    return sources.pop() if len(sources) == 1 else "mixed"

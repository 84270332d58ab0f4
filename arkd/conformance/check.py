"""The suite itself: every check on one method, each with a verdict and a reason."""

from __future__ import annotations

import multiprocessing
import sys
import time
import traceback
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import ExitStack, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from rich.console import Console
from rich.text import Text

from arkd.conformance import (
    at_scale,
    declarations,
    draws,
    invariance,
    positions,
    runs,
    values,
    variants,
    without_formula,
)
from arkd.conformance.method_under_test import (
    GIVEN,
    NOT_COMPARED,
    Failure,
    NotApplicable,
    Subject,
)
from arkd.errors import ArkdError
from arkd.models.device import prepare
from arkd.storage.provenance import cores
from arkd.suite import registry, rows
from arkd.suite.protocol import MethodEntry
from arkd.training.termination import TERMINATED

Check = Callable[[Subject], str | None]
CHECKS: tuple[Check, ...] = (
    *declarations.CHECKS,
    *values.CHECKS,
    *draws.CHECKS,
    *at_scale.CHECKS,
    *without_formula.CHECKS,
    *variants.CHECKS,
    *invariance.CHECKS,
    *positions.CHECKS,
    *runs.CHECKS,
)
CAVEATS = (NOT_COMPARED, GIVEN)
MOST_WORKERS = 8
COLOURS = {"ok": "green", "FAIL": "bold red", "not applicable": "dim"}


@dataclass(frozen=True)
class Outcome:
    """What a check says of a method."""

    check: str
    verdict: Literal["ok", "FAIL", "not applicable"]
    detail: str = ""


@dataclass(frozen=True)
class Checked:
    """A method with all that was found of it."""

    name: str
    outcomes: list[Outcome]
    wall_s: float

    @property
    def caveats(self) -> list[str]:
        """What a pass does not say: that no formula was compared, or one that was told too much."""
        details = [o.detail for o in self.outcomes if o.check == "value"]
        return [c for detail in details for c in CAVEATS if c in detail]


def subject(name: str) -> Subject:
    """Return a registered method, with the published defaults, as the suite sees it.

    Raises:
        ArkdError: there is no such method, or its file is broken.
    """
    method = rows.build(MethodEntry(name=name))
    return Subject.of(name, method, registry.plugin(name).module)


def outcomes(candidate: Subject) -> Iterator[Outcome]:
    """Run every check, in order."""
    for check in CHECKS:
        yield outcome(check, candidate)


def outcome(check: Check, candidate: Subject) -> Outcome:
    """Run one check; an error of the method's own is a failure.

    Raises:
        SystemExit: SIGTERM came while the method trained.
    """
    name = title(check)
    try:
        return Outcome(name, "ok", check(candidate) or "")
    except NotApplicable as reason:
        return Outcome(name, "not applicable", str(reason))
    except Failure as failure:
        return Outcome(name, "FAIL", str(failure))
    except ArkdError as error:
        return Outcome(name, "FAIL", str(error))
    except (Exception, SystemExit) as error:  # a method that ends the process has not passed
        if isinstance(error, SystemExit) and error.code == TERMINATED:
            raise
        said = (str(error).strip().splitlines() or [""])[0]
        return Outcome(name, "FAIL", f"{type(error).__name__}: {said} ({_where(error)})")


def title(check: Check) -> str:
    """Return a check's name as it is printed."""
    name: str = getattr(check, "__name__", "check")
    return name.replace("_", " ")


def _where(error: BaseException) -> str:
    """Return the innermost place of an error, as file:line."""
    frame = traceback.extract_tb(error.__traceback__)[-1]
    return f"{Path(frame.filename).name}:{frame.lineno}"


def report(names: Sequence[str], *, every_line: bool) -> bool:
    """Check methods and print what came of it; return whether all passed.

    Args:
        names: The methods; many are shared out to the processor's cores.
        every_line: Print a line a check; otherwise a line a method, and its failures.
    """
    console = Console(highlight=False, soft_wrap=True)
    workers = min(cores(), MOST_WORKERS, len(names) // 4)
    with ExitStack() as stack:
        checked: Iterable[Checked] = map(_checked, names)
        if workers > 1:
            pool = stack.enter_context(_pool(workers))
            checked = map(_collected, names, [pool.submit(_checked, name) for name in names])
        bad = [found.name for found in checked if not _report(found, console, every_line)]
    if len(names) > 1:
        tally = f"{len(names)} methods: {len(names) - len(bad)} pass"
        console.print(f"{tally}, {len(bad)} fail ({', '.join(bad)})" if bad else tally)
    return not bad


def _checked(name: str) -> Checked:
    prepare("cpu")  # one thread, which tiny matrices want; the same results on every processor
    started = time.monotonic()
    try:
        with redirect_stdout(sys.stderr):  # stdout is the report's alone
            found = list(outcomes(subject(name)))
    except ArkdError as error:
        found = [Outcome("import", "FAIL", str(error))]
    return Checked(name, found, time.monotonic() - started)


def _pool(workers: int) -> ProcessPoolExecutor:
    return ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn"))


def _collected(name: str, running: Future[Checked]) -> Checked:
    """Return what came of a method; if a process ended, by whatever method, it is checked alone."""
    try:
        return running.result()
    except BrokenProcessPool:
        pass
    with _pool(1) as pool:
        try:
            return pool.submit(_checked, name).result()
        except BrokenProcessPool:
            text = "it ended the process that checked it"
            return Checked(name, [Outcome("run", "FAIL", text)], 0.0)


def _report(checked: Checked, console: Console, every_line: bool) -> bool:
    counts = {verdict: sum(o.verdict == verdict for o in checked.outcomes) for verdict in COLOURS}
    tally = ", ".join(f"{count} {verdict}" for verdict, count in counts.items() if count)
    summary = ", ".join([tally, *checked.caveats, f"{checked.wall_s:.1f} s"])
    bad = counts["FAIL"] > 0
    if every_line:
        _print(console, checked.outcomes)
        console.print(f"{checked.name}: {summary}")
    else:
        colour = COLOURS["FAIL" if bad else "ok"]
        console.print(Text(f"{checked.name:<16} "), Text(summary, style=colour), sep="")
        _print(console, [o for o in checked.outcomes if o.verdict == "FAIL"])
    return not bad


def _print(console: Console, found: list[Outcome]) -> None:
    """Print a line a check; a cause that failed several is told once."""
    first: dict[str, str] = {}
    for o in found:
        detail = o.detail
        if o.verdict == "FAIL" and (same := first.setdefault(detail, o.check)) != o.check:
            detail = f"as {same}"
        verdict = Text(f"{o.verdict:<15}", style=COLOURS[o.verdict])
        console.print(Text(f"  {o.check:<20} "), verdict, Text(detail), sep="")

"""The verdict on each registered claim in a finished suite."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from arkd.claims.arms import Results
from arkd.claims.comparisons import comparisons
from arkd.claims.decision import UNTESTED, Comparison, Decided, decisive, step_down, verdict
from arkd.claims.kinds import IN_PRINT
from arkd.claims.registered import Claim, Claims
from arkd.errors import ArkdError
from arkd.suite.folders import Tree
from arkd.suite.suite import Suite

WITHHELD = "withheld"  # a precondition failed: no verdict is given
ALL_PAIRS = "all pairs"


@dataclass(frozen=True)
class Judgement:
    """The verdict on one claim in one pair (or over all pairs) with what it rests on."""

    claim: Claim
    pair: str
    verdict: str
    reason: str = ""  # why there is none
    primary: tuple[Decided, ...] = ()
    secondary: tuple[Decided, ...] = ()
    provisional: str = ""  # why the verdict is not final; empty if it is

    @property
    def decisive(self) -> Decided | None:
        """The comparison that the verdict hangs on."""
        return decisive(self.verdict, self.primary)


def judge(tree: Tree, claims: Claims, partial: bool = False) -> list[Judgement]:
    """Return the verdicts of a suite, in the claims' order, pair by pair.

    Args:
        tree: The folders of the suite.
        claims: The registered claims.
        partial: Judge by the runs that are there; such verdicts are provisional.

    Raises:
        ArkdError: results are missing, and `partial` is not set or no file is there at all.
    """
    suite = tree.suite
    pairs = [pair.name for pair in suite.pairs]
    excluded = claims.rule.excluded_suites.get(suite.name)
    if excluded:
        return [
            Judgement(claim, pair, UNTESTED, excluded) for claim in claims.claims for pair in pairs
        ]
    results = Results(tree, claims.roles)
    broken = {pair: _preconditions(results, claims, pair) for pair in pairs}
    found = []
    for claim in claims.claims:
        for group in [[pair] for pair in pairs] if claim.min_pairs == 1 else [pairs]:
            judgement = _judge(results, claims, claim, group)
            failed = [broken[pair][0] for pair in group if broken[pair][0]]
            unchecked = [broken[pair][1] for pair in group if broken[pair][1]]
            if failed:
                judgement = Judgement(claim, judgement.pair, WITHHELD, failed[0])
            elif unchecked and judgement.verdict != UNTESTED and not claim.in_print:
                judgement = replace(judgement, provisional=judgement.provisional or unchecked[0])
            found.append(judgement)
    if results.gaps and not partial:
        raise ArkdError(results.gap_message("judge by what is there"))
    return found


def _preconditions(results: Results, claims: Claims, pair: str) -> tuple[str, str]:
    """Return the first precondition that fails, and the first that could not be checked."""
    failed, unchecked = "", ""
    for test in claims.preconditions:
        for comparison in comparisons(results, "", test, pair):
            name = f"precondition '{test.name}'"
            if comparison.reason:
                unchecked = unchecked or f"{name} could not be checked: {comparison.reason}"
            elif not comparison.outcome:
                failed = (
                    failed
                    or f"{name} fails on {comparison.task} {comparison.metric}: {comparison.note}"
                )
    return failed, unchecked


def _judge(results: Results, claims: Claims, claim: Claim, pairs: list[str]) -> Judgement:
    """Return the verdict on a claim in some pairs."""
    name = pairs[0] if len(pairs) == 1 and claim.min_pairs == 1 else ALL_PAIRS
    reason = _untestable(results, claims, claim, len(pairs))
    if reason:
        return Judgement(claim, name, UNTESTED, reason)
    rule = claims.rule
    decided: dict[str, tuple[Decided, ...]] = {}
    for role in ("primary", "secondary"):  # two families
        family = [
            _enough(comparison, claim.min_seeds, results.suite.observation)
            for pair in pairs
            for test in claim.tests
            if test.role == role
            for comparison in comparisons(results, claim.id, test, pair)
        ]
        decided[role] = tuple(step_down(family, rule.level, rule.power))
    word = verdict(claim.rule, [result.decision for result in decided["primary"]])
    reasons = [
        result.comparison.reason for result in decided["primary"] if result.comparison.reason
    ]
    provisional = "" if claim.in_print else _provisional(results, claims, claim, decided["primary"])
    return Judgement(
        claim,
        name,
        word,
        "; ".join(dict.fromkeys(reasons)),
        decided["primary"],
        decided["secondary"],
        "" if word == UNTESTED else provisional,
    )


def _untestable(results: Results, claims: Claims, claim: Claim, pairs: int) -> str:
    """Say why a suite cannot test a claim, whatever its runs gave; empty if it can."""
    suite = results.suite
    lacking = [arm for arm in claim.needs if results.arm(arm) is None]
    if claim.not_testable:
        return claim.not_testable
    for name in _names(suite, claims):
        if name in claim.suites:
            return claim.suites[name]
    if lacking:
        return f"the suite has no arm {', '.join(lacking)}"
    if results.steps < claim.min_steps:
        return f"the suite trains for {results.steps} steps, {claim.min_steps} are needed"
    if pairs < claim.min_pairs:
        return f"the suite has {pairs} pair, {claim.min_pairs} are needed"
    return ""


def _names(suite: Suite, claims: Claims) -> list[str]:
    """Return the names under which a claim may list a suite: its own and its families'."""
    return [
        suite.name,
        *(name for name, members in claims.suite_families.items() if suite.name in members),
    ]


def _enough(comparison: Comparison, needed: int, observation: str) -> Comparison:
    """Refuse a comparison of too few seeds or worlds (`failed_runs`, `min_seeds`)."""
    if (
        comparison.reason
        or comparison.kind in (*IN_PRINT, "order")
        or len(comparison.values) >= needed
    ):
        return comparison
    arms = " and ".join(filter(None, (comparison.a, comparison.b)))
    lost = f", {len(comparison.failed)} failed" if comparison.failed else ""
    what, count = observation.split()[-1], len(comparison.values)
    left = f"1 {what}" if count == 1 else f"{count} {what}s"
    return replace(
        comparison, reason=f"{arms}: {left} left{lost}, {needed} are needed", outcome=None
    )


def _provisional(results: Results, claims: Claims, claim: Claim, primary: Iterable[Decided]) -> str:
    """Say why a verdict is not final: other seeds or another world than registered."""
    rule, suite = claims.rule, results.suite
    if (rule.observation == "world") != bool(suite.worlds):
        registered_for = {"world": "several worlds", "training_seed": "one world"}
        return f"the claims were registered for suites of {registered_for[rule.observation]}"
    what, registered = "training seeds", set(rule.registered_seeds)
    if suite.worlds:
        what, registered = "worlds", set(rule.registered_worlds)
        arms = {results.arm(arm) for test in claim.primary for arm in test.arms}
        rows = [entry.label for entry in suite.entries if entry.label in arms]
        of_a_world = suite.block(suite.worlds[0])
        for planned in (suite.seeds, *map(of_a_world.seeds_of, rows)):
            if set(planned) != set(rule.registered_seeds):
                return "the training seeds are not the registered ones"
    for result in primary:
        if result.comparison.kind in IN_PRINT:
            continue
        comparison = result.comparison
        seeds = {*comparison.values, *comparison.failed}
        if not seeds <= registered:
            return f"the {what} are not the registered ones"
        all_of_them = f"the {len(registered)} registered {what.split()[-1]}"
        if seeds != registered:
            return f"only {len(seeds)} of {all_of_them} were run"
        if suite.worlds:  # the second registration wants every world, the first wants it run
            whole = registered & {*comparison.values} & {*(comparison.gaps or registered)}
            if whole != registered:
                return f"only {len(whole)} of {all_of_them} are left, in the others a run failed"
    world = getattr(suite.data, "world_seed", None)
    if not suite.worlds and world is not None and world != rule.registered_world_seed:
        return f"world seed {world} is not the registered one"
    return ""

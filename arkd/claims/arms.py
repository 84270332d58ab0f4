"""What the tests of claims read of a finished suite: one number a training seed, or a gap."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from arkd import exact
from arkd.claims.kinds import Trajectory
from arkd.claims.registered import Role
from arkd.claims.trajectory_statistic import statistic
from arkd.errors import ArkdError
from arkd.metrics.declared import names
from arkd.results.records import SeedValues, read_frame
from arkd.results.suite_results import SuiteResults
from arkd.results.trajectories import FILE, read_windows, trained_steps
from arkd.storage.yaml_text import parse_yaml
from arkd.suite.folders import CONTROLS, INIT, TEACHER, Tree
from arkd.suite.protocol import ROW_SETTINGS

COST = "cost"


def _value(text: str) -> Any:
    """Return what a label's text is the setting of; itself where it is no YAML."""
    try:
        return parse_yaml(text, "label")
    except ArkdError:
        return text


class Results(SuiteResults):
    """Records, costs, trajectories and manifests of one suite.

    Values that the suite plans but that are not there are collected in `gaps`.

    Raises:
        ArkdError: a file is absent or malformed, or of another version of the suite.
    """

    def __init__(self, tree: Tree, roles: Mapping[str, Role]) -> None:
        super().__init__(tree)
        self._roles = roles
        costs = read_frame(tree.result("cost.csv"), self.suite, [], newer=names("cost"))
        metrics = [name for name in names("cost") if name in costs.columns]
        self._costs: dict[tuple[str, ...], SeedValues] = {}
        for row in costs.to_dict("records"):
            for metric in metrics:
                if not math.isnan(row[metric]):
                    key = (row["pair"], row["method"], COST, metric, row["stage"])
                    self._costs.setdefault(key, {})[int(row["seed"])] = row[metric]
        self._runs = read_windows(tree)
        self._rows = [*CONTROLS, *(entry.label for entry in self.suite.entries)]
        self._arms = {self._spelled(entry.label): entry.label for entry in self.suite.entries}

    def rows(self) -> list[str]:
        """Return the labels of all arms, controls first."""
        return [*self._rows]

    def arm(self, label: str) -> str | None:
        """Return the suite's row of an arm; None where it has none.

        An arm that spells out a setting which the suite has anyway is the plain arm.
        """
        return label if label in self._rows else self._arms.get(self._spelled(label))

    def rates(self, labels: Sequence[str]) -> tuple[float, ...]:
        """Return the peak learning rate of each row that is trained by a method."""
        entries = self.suite.rows_by_label
        return tuple(self.suite.settings(entries[row]).lr for row in labels if row in entries)

    def _spelled(self, label: str) -> tuple[Any, ...]:
        """Return a label as name and set of settings, without those that are the suite's own."""
        name, _, text = label.partition("@")
        parts = [part.partition("=")[::2] for part in text.split(",") if part]
        given = {key: _value(value) for key, value in parts}
        defaults = {key: getattr(self.suite.distillation, key) for key in ROW_SETTINGS[1:]}
        kept = {key: value for key, value in given.items() if defaults.get(key) != value}
        return name, frozenset((key, str(value)) for key, value in kept.items())

    def tasks(self, name: str) -> list[str]:
        """Return the suite's tasks of a role; a name that is no role is a task's own."""
        role = self._roles.get(name)
        if role is None:
            return [name]
        found = self._picked(role)
        return [name] if role.mean and found else found

    def _picked(self, role: Role) -> list[str]:
        """Return the suite's tasks that a role picks."""
        first, *rest = self.suite.test_sets
        suffix = role.suffix or ""
        every = [*self.suite.test_sets, *self.suite.choice_tasks]
        ending = [task for task in every if suffix and task.endswith(suffix)]
        return {"first": [first], "rest": rest, "suffix": ending}[role.select]

    def _averaged(self, task: str) -> list[str]:
        """Return the tasks whose mean goes by the name of a role; none for any other name."""
        role = self._roles.get(task)
        sets = self._picked(role) if role and role.mean else []
        return [name for name in sets if not self.records.without_references(name)]

    def measured(self, task: str, metric: str, group: str) -> bool:
        """Tell whether any arm has such a value."""
        if sets := self._averaged(task):
            return all(self.measured(name, metric, group) for name in sets)
        if task == COST:
            return any(key[3:] == (metric, group) for key in self._costs)
        return group in self.records.groups(task, metric)

    @property
    def steps(self) -> int:
        """How many steps the suite trains for."""
        return trained_steps(self.suite, self._runs.values())

    def values(self, pair: str, arm: str, task: str, metric: str, group: str = "") -> SeedValues:
        """Return the value of each planned seed, decoding seeds averaged; failed runs have none.

        Args:
            pair: Name of teacher and student in the suite.
            arm: A row's label, as `arm` returns it.
            task: A task of the suite, or `cost`, whose values are those of `cost.csv`, or a role
                that stands for the mean of its tasks.
            metric: A declared metric; of costs a column.
            group: Of the metric's values within a task; of costs the stage that caused them.
        """
        if sets := self._averaged(task):
            parts = [self.values(pair, arm, name, metric, group) for name in sets]
            whole = [seed for seed in parts[0] if all(seed in part for part in parts)]
            return {seed: exact.mean([part[seed] for part in parts]) for seed in whole}
        if task == COST:
            found = self._costs.get((pair, arm, COST, metric, group), {})
        else:
            found = self.records.values(pair, arm, task, metric, group)
        return self.planned(found, pair, arm, " ".join(filter(None, (task, metric, group))))

    def statistic(self, pair: str, arm: str, test: Trajectory) -> SeedValues:
        """Return the statistic of a trajectory test for each planned seed."""
        found: SeedValues = {}
        for seed in self.expected(arm):
            run = self._runs.get((pair, arm, seed))
            value = None if run is None else statistic(run, test)
            if value is not None:
                found[seed] = value
        return self.planned(found, pair, arm, f"{FILE} {test.metric}")

    def logs(self, pair: str, arm: str, metric: str) -> bool:
        """Tell whether an arm can be expected to log a column: a seed does, or none has a run."""
        runs = [r for s in self.expected(arm) if (r := self._runs.get((pair, arm, s))) is not None]
        return not runs or any(metric in run and run[metric].notna().any() for run in runs)

    def weights(self, pair: str, arm: str) -> dict[int, str]:
        """Return the SHA-256 of each planned seed's student, as the trainings' manifests say."""
        hashes_by_seed = {s: self.student_weights(pair, arm, s) for s in self.expected(arm)}
        found = {seed: hashes for seed, hashes in hashes_by_seed.items() if hashes}
        kept = self.planned(dict.fromkeys(found, 0.0), pair, arm, "SHA-256 of the student")
        return {seed: found[seed] for seed in kept}

    def gap(
        self, pair: str, task: str, metric: str, group: str, start: str = INIT
    ) -> tuple[SeedValues, SeedValues]:
        """Return the teacher's and the start's values by seed, between which a gap may lie.

        Args:
            pair: Name of teacher and student in the suite.
            task: A task of the suite.
            metric: A declared metric, in whose unit both values are.
            group: Of the metric's values within the task; "" where it has none.
            start: The row from which the gap counts.
        """
        found = self.values(pair, start, task, metric, group)
        return self.spread(self.values(pair, TEACHER, task, metric, group), TEACHER, found), found

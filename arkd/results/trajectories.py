"""What training logged, as curves over steps: by row and seed, smoothed, averaged over seeds.

The source is a suite's `trajectories.csv`, a hundred windows a run, so that tables and figures can
be made again from the files that are kept with the results.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pandas as pd

from arkd import exact
from arkd.metrics.declared import CONDENSED
from arkd.results.records import RUN, SeedValues, read_frame
from arkd.results.suite_results import SuiteResults
from arkd.suite.folders import Tree
from arkd.suite.suite import Suite

SMOOTHED_SHARE = 0.05  # of training
NUMBERS = ("first_step", "last_step", *CONDENSED)
FILE = "trajectories.csv"


def read_windows(tree: Tree) -> dict[tuple[str, str, int], pd.DataFrame]:
    """Return what each run of a suite logged, window by window, by (pair, method, seed).

    Raises:
        ArkdError: the file is absent or malformed.
    """
    frame = read_frame(tree.result(FILE), tree.suite, NUMBERS)
    return {
        (run["pair"].iloc[0], run["method"].iloc[0], int(run["seed"].iloc[0])): run
        for _, run in frame.groupby(RUN, sort=False)
    }


def trained_steps(suite: Suite, runs: Iterable[pd.DataFrame]) -> int:
    """Return how many steps a suite trains for; one given in epochs, how many its runs took."""
    if suite.distillation.epochs is None:
        return suite.distillation.steps
    return max((int(run["last_step"].max()) + 1 for run in runs), default=0)


class Curves:
    """The logged columns of every run of a suite."""

    def __init__(self, make: SuiteResults) -> None:
        self.make = make
        self._runs = {
            key: run.set_index((run["first_step"] + run["last_step"]) / 2)
            for key, run in read_windows(make.tree).items()
        }

    def of(self, pair: str, method: str, column: str) -> dict[int, pd.Series]:
        """Return a column by seed, indexed by step; steps without a value are left out.

        A row that logs it in one seed should in all: the runs that lack it are noted as missing.
        """
        found: dict[int, pd.Series] = {}
        failed = self.make.failed(pair, method)
        expected = [seed for seed in self.make.expected(method) if seed not in failed]
        for seed in expected:
            run = self._runs.get((pair, method, seed))
            series = None if run is None else run[column].dropna()
            if series is not None and len(series):
                found[seed] = series
        for seed in expected:
            if found and seed not in found:
                gaps = self.make.gaps.setdefault(f"{pair}/{method}/seed{seed}", {})
                gaps[f"{FILE} {column}"] = None
        return found

    def alpha(self, pair: str, method: str) -> dict[int, pd.Series]:
        """Return the weight of forward KL by seed.

        Of a method that draws its α it is the mean that the policy gave, where that is logged. A
        method whose two weights do not add up to 1, so that one exceeds it, has no α.
        """
        found = self.of(pair, method, "policy_alpha") or self.of(pair, method, "alpha")
        return found if all((series <= 1).all() for series in found.values()) else {}

    def above_half(self, pair: str, method: str) -> SeedValues:
        """Return the share of steps with α above one half, by seed.

        A window whose α lies on one side counts whole. One that holds both sides counts by where
        its mean lies between its extremes, which is exact for an α of two values.
        """
        shares: SeedValues = {}
        for seed, mean in self.alpha(pair, method).items():
            run = self._runs[pair, method, seed].loc[mean.index]
            low, high = run["alpha_min"], run["alpha_max"]
            if run["policy_alpha"].notna().any():  # the extremes are those of the drawn α
                low = high = mean
            between = ((mean - low) / (high - low).where(high > low, 1.0)).to_numpy()
            share = np.where(low > 0.5, 1.0, np.where(high <= 0.5, 0.0, between))
            steps = (run["last_step"] - run["first_step"] + 1).to_numpy()
            shares[seed] = exact.weighted_mean(share, steps)
        return shares


def first(series: pd.Series, share: float) -> float:
    """Return the mean over the first `share` of a run."""
    return exact.mean(series.iloc[: _windows(series, share)].to_numpy())


def last(series: pd.Series, share: float) -> float:
    """Return the mean over the last `share` of a run."""
    return exact.mean(series.iloc[-_windows(series, share) :].to_numpy())


def rolled(series: pd.Series) -> pd.Series:
    """Return a centred moving average over a small share of training."""
    window = _windows(series, SMOOTHED_SHARE)
    return series.rolling(window, center=True, min_periods=1).apply(exact.mean, raw=True)


def mean_series(seeds: dict[int, pd.Series]) -> pd.Series:
    """Return the mean over seeds at each step."""
    frame = pd.concat(seeds.values(), axis=1).sort_index()  # seeds may have logged other windows
    means = [exact.mean(values[~np.isnan(values)]) for values in frame.to_numpy()]
    return pd.Series(means, index=frame.index)


def progress(series: pd.Series) -> np.ndarray:
    """Return the steps as a share of training, 0 to 1."""
    steps = series.index.to_numpy(dtype=float)
    return (steps - steps[0]) / max(steps[-1] - steps[0], 1.0)


def _windows(series: pd.Series, share: float) -> int:
    return max(1, round(share * len(series)))

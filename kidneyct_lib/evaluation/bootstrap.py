"""How sure a number is: the cluster bootstrap over groups, and Wilson's interval beside it."""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import binomtest

from kidneyct_lib.evaluation.predictions import EvaluationError

FEW_GROUPS = 10
"""With fewer groups than this, a number says little about the next patient, and is marked."""


@dataclass(frozen=True)
class Bootstrap:
    """Cluster bootstrap: groups are resampled whole, since slices of one patient are dependent.

    Equal objects draw equal resamples, so two results with as many groups are compared on the same
    resamples (Davison and Hinkley 1997, section 3.8).

    Attributes
    ----------
    resamples, seed
        Number of resamples behind each interval; seed of the random draws.
    """

    resamples: int
    seed: int

    def times(self, groups: int) -> np.ndarray:
        """Draw as many groups as there are, with replacement: times each is drawn, int (B, G)."""
        rng = np.random.default_rng(self.seed)
        return rng.multinomial(groups, np.full(groups, 1 / groups), size=self.resamples)

    def ratio(
        self,
        name: str,
        numerator: np.ndarray,
        denominator: np.ndarray,
        group: np.ndarray,
        *,
        bounds: tuple[float, float] = (0, 1),
    ) -> dict[str, Any]:
        """Give sum(numerator) / sum(denominator), and its 95 % interval over resampled groups.

        A resample's sums are those of its groups, so one product replaces drawing slices. Resamples
        that happen to miss every group with a denominator are left out.

        Parameters
        ----------
        name
            Key of the ratio; its interval [low, high] stands under ``<name>_ci95``.
        numerator, denominator
            One value per slice, (N,); for a mean the denominator is 1, for a recall it says
            whether the slice is of the class.
        group
            Group of each slice, (N,).
        bounds
            Smallest and largest possible ratio: the interval where fewer than two groups have a
            denominator, for one group says nothing of other ones.
        """
        _, code = np.unique(group, return_inverse=True)
        above, below = np.bincount(code, numerator), np.bincount(code, denominator)
        times = self.times(len(below))
        totals = times @ below
        drawn = (times @ above)[totals > 0] / totals[totals > 0]
        ratio = numerator.sum() / denominator.sum()
        return estimate(name, ratio, drawn, int(np.count_nonzero(below)), bounds=bounds)


NO_INTERVAL = Bootstrap(resamples=1, seed=0)
"""Where scores are wanted without intervals: the cheapest one."""


def wilson_interval(successes: int, n: int) -> list[float]:
    """Give Wilson's 95 % interval of a proportion, valid where the trials are independent.

    Slices of one patient are not independent; shown beside the cluster interval to say so.

    Returns
    -------
    [low, high], proportions from 0 to 1 (Wilson 1927).

    Raises
    ------
    EvaluationError
        If `n`, the number of trials, is below 1.
    """
    if n < 1:
        raise EvaluationError("A proportion of no images has no interval.")
    interval = binomtest(successes, n).proportion_ci(0.95, method="wilson")
    return [float(interval.low), float(interval.high)]


def group_confusions(
    true: np.ndarray, predicted: np.ndarray, group: np.ndarray, k: int
) -> np.ndarray:
    """Count (group, true, predicted): int (G, K, K) from three int arrays (N,)."""
    counts = np.zeros((group.max() + 1, k, k), int)
    np.add.at(counts, (group, true, predicted), 1)
    return counts


def resampled_scores(confusions: np.ndarray, times: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Score every resample of the groups: accuracy and macro-F1, float (B,) each.

    A resample's confusion matrix is the sum of its groups' matrices, so one product replaces
    drawing and scoring slices.
    """
    resampled = np.einsum("bg,gtp->btp", times, confusions, optimize=True)
    right = np.einsum("bkk->bk", resampled)
    accuracy = right.sum(axis=1) / resampled.sum(axis=(1, 2))
    either = resampled.sum(axis=1) + resampled.sum(axis=2)
    f1 = np.divide(2 * right, either, out=np.zeros(right.shape), where=either > 0)
    return accuracy, f1.mean(axis=1)


def percentile_interval(values: np.ndarray) -> list[float]:
    """Cut 2.5 % off each side: the 95 % percentile interval of resampled values."""
    return np.quantile(values, [0.025, 0.975]).tolist()


def group_interval(
    values: np.ndarray, groups: int, *, bounds: tuple[float, float] = (0, 1)
) -> list[float]:
    """Give the `percentile_interval` of values resampled by group, or `bounds` of one group."""
    return percentile_interval(values) if groups > 1 else [float(bound) for bound in bounds]


def estimate(
    name: str,
    value: float,
    drawn: np.ndarray,
    groups: int,
    *,
    bounds: tuple[float, float] = (0, 1),
) -> dict[str, Any]:
    """Give a value as `name`, and as ``<name>_ci95`` the `group_interval` of its resamples."""
    interval = group_interval(drawn, groups, bounds=bounds)
    return {name: float(value), f"{name}_ci95": interval}


def flat_row(metrics: Mapping[str, Any]) -> dict[str, Any]:
    """Give the numbers of a result as one row of a table.

    [low, high] under ``<name>_ci95`` becomes ``<name>_low`` and ``<name>_high``, that under
    ``<name>_wilson95`` ``<name>_wilson_low`` and ``<name>_wilson_high``; other lists and nested
    results are left out.
    """
    row = {}
    for key, value in metrics.items():
        if key.endswith(("_ci95", "_wilson95")):
            name = key.removesuffix("_ci95").removesuffix("95")
            row[f"{name}_low"], row[f"{name}_high"] = value
        elif not isinstance(value, list | dict):
            row[key] = value
    return row


def flat_table(
    results: Mapping[tuple[Hashable, ...], Mapping[str, Any]], columns: Sequence[str]
) -> pd.DataFrame:
    """Give one row per result: the parts of its key in these `columns`, then its `flat_row`."""
    return pd.DataFrame(
        [dict(zip(columns, key, strict=True)) | flat_row(result) for key, result in results.items()]
    )

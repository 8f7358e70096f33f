"""Cluster bootstrap of means and ratios: whole groups are drawn, since their slices are alike."""

from collections.abc import Mapping
from typing import Any

import numpy as np


def drawn_times(groups: int, bootstrap: int, seed: int) -> np.ndarray:
    """Draw as many groups as there are, with replacement: times each is drawn, int (B, G)."""
    rng = np.random.default_rng(seed)
    return rng.multinomial(groups, np.full(groups, 1 / groups), size=bootstrap)


def percentile_interval(values: np.ndarray) -> list[float]:
    """Cut 2.5 % off each side."""
    return np.quantile(values, [0.025, 0.975]).tolist()


def ratio_interval(
    numerator: np.ndarray,
    denominator: np.ndarray,
    group: np.ndarray,
    *,
    bounds: tuple[float, float],
    bootstrap: int,
    seed: int,
) -> list[float]:
    """Give the 95 % interval of sum(numerator) / sum(denominator) over resampled groups.

    A resample's sums are those of its groups, so one product replaces drawing slices. Resamples
    that happen to miss every group with a denominator are left out.

    Parameters
    ----------
    numerator, denominator
        One value a slice, (N,); for a mean the denominator is 1, for a recall it says whether
        the slice is of the class.
    group
        Group of each slice, (N,).
    bounds
        What the ratio can be at all: the answer where fewer than two groups have a denominator,
        for one group says nothing of other ones.
    bootstrap, seed
        Number of resamples, and their seed.

    Returns
    -------
    [low, high]
    """
    _, code = np.unique(group, return_inverse=True)
    above, below = np.bincount(code, numerator), np.bincount(code, denominator)
    if np.count_nonzero(below) < 2:
        return [float(bound) for bound in bounds]
    times = drawn_times(len(below), bootstrap, seed)
    totals = times @ below
    return percentile_interval((times @ above)[totals > 0] / totals[totals > 0])


def flat_row(metrics: Mapping[str, Any]) -> dict[str, Any]:
    """Give the numbers of a result as one row of a table.

    [low, high] under ``<name>_ci95`` becomes ``<name>_low`` and ``<name>_high``; other lists and
    nested results are left out.
    """
    row = {}
    for key, value in metrics.items():
        if key.endswith("_ci95"):
            name = key.removesuffix("_ci95")
            row[f"{name}_low"], row[f"{name}_high"] = value
        elif not isinstance(value, list | dict):
            row[key] = value
    return row

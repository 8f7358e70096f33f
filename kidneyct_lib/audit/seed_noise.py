"""How much of what a score varies is the seed's noise, and how many seeds tell a difference."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from scipy import stats

from kidneyct_lib.audit.sweep_effects import SEED, label

_HALF = stats.norm.ppf(0.975)  # standard errors in half a 95 % interval


def components(scores: pd.DataFrame, axes: Sequence[str]) -> pd.DataFrame:
    """Split the variance of a score between the levels of an axis, the seeds and the rest.

    Levels and seeds are crossed, one cell each, so the mean squares of a two-way table give the
    components of a random-effects model, those below 0 set to 0 (Searle, Casella and McCulloch
    1992, chapter 4). Where the seed is the only axis, its component is the variance over seeds.

    Parameters
    ----------
    scores
        One metric of one scheme, one row per finished cell: its level on each axis, ``value`` with
        ``low`` and ``high``.
    axes
        Names of the columns of levels; "seed" must be one to tell its noise.

    Returns
    -------
    DataFrame with one row per axis and place: ``axis`` ("seed" where it is alone), ``where``,
    ``cells``, ``mean``, and the standard deviations ``between_levels``, ``between_seeds``,
    ``rest`` and ``groups`` (a cell's standard error over its groups); not a number where the cells
    do not tell. Empty without two seeds.
    """
    if SEED not in axes:
        return pd.DataFrame(columns=["axis", "where", "cells"])
    varied = [axis for axis in axes if axis != SEED]
    rows = []
    for axis in varied or [SEED]:
        others = [one for one in varied if one != axis]
        for held, block in scores.groupby(others, sort=False) if others else [((), scores)]:
            if block[SEED].nunique() < 2:
                continue
            place = label(dict(zip(others, held, strict=True)))
            error = (block["high"] - block["low"]).mean() / 2 / _HALF
            row = {"axis": axis, "where": place, "cells": len(block), "mean": block["value"].mean()}
            rows.append(row | _deviations(block, axis) | {"groups": error})
    return pd.DataFrame(rows)


def _deviations(block: pd.DataFrame, axis: str) -> dict[str, float]:
    """Standard deviations between the levels, between the seeds, and of the rest."""
    if axis == SEED:
        spread = block["value"].std(ddof=1)
        return {"between_levels": np.nan, "between_seeds": spread, "rest": np.nan}
    table = block.pivot(index=axis, columns=SEED, values="value").dropna(axis="columns").to_numpy()
    levels, seeds = table.shape
    if levels < 2 or seeds < 2:
        return dict.fromkeys(("between_levels", "between_seeds", "rest"), np.nan)
    over_levels, over_seeds = table.mean(axis=1), table.mean(axis=0)
    rest = table - over_levels[:, None] - over_seeds + table.mean()
    square = (rest**2).sum() / ((levels - 1) * (seeds - 1))
    variances = {
        "between_levels": over_levels.var(ddof=1) - square / seeds,
        "between_seeds": over_seeds.var(ddof=1) - square / levels,
        "rest": square,
    }
    return {name: float(np.sqrt(max(value, 0))) for name, value in variances.items()}


def deviation_interval(values: Sequence[float]) -> list[float]:
    """Give the 95 % interval of a standard deviation, of normal values (chi-squared).

    Raises
    ------
    ValueError
        If there are fewer than two values.
    """
    if len(values) < 2:
        raise ValueError("one value has no spread")
    free, spread = len(values) - 1, np.std(values, ddof=1)
    return [float(spread * np.sqrt(free / stats.chi2.ppf(q, free))) for q in (0.975, 0.025)]


def seeds_needed(deviation: float, difference: float, *, power: float = 0.8) -> int:
    """Seeds on each side that show a difference of the means at the 5 % level, with this power.

    For two independent sets of seeds with equal standard deviations (Student's test, two-sided;
    Colas et al. 2018).

    Raises
    ------
    ValueError
        If a size is not above 0, or the power not between 0 and 1.
    """
    if deviation < 0 or difference <= 0 or not 0 < power < 1:
        raise ValueError("sizes must be above 0, and the power between 0 and 1")
    low, high = 1, 2  # the power grows with the seeds: double them, then halve the gap
    while _power(deviation, difference, high) < power:
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        enough = _power(deviation, difference, middle) >= power
        low, high = (low, middle) if enough else (middle, high)
    return high


def _power(deviation: float, difference: float, seeds: int) -> float:
    """Chance that Student's test of two sets of so many seeds finds a difference."""
    if deviation == 0:
        return 1.0
    free = 2 * (seeds - 1)
    shift, limit = difference / deviation * np.sqrt(seeds / 2), stats.t.ppf(0.975, free)
    return float(stats.nct.sf(limit, free, shift) + stats.nct.cdf(-limit, free, shift))

"""Sets of classes that hold the true one with a nominal probability, and whether they do.

Split conformal prediction (Angelopoulos and Bates 2021, arXiv 2107.07511): a threshold on a
nonconformity score is taken from validation slices so that a new exchangeable slice's true class
is in its set with at least the requested probability. Slices of a new patient are not exchangeable
with those of other patients; patients are. What a unit of calibration is therefore decides
whether the guarantee holds.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from kidneyct_lib.evaluation.bootstrap import Bootstrap, flat_table
from kidneyct_lib.evaluation.predictions import Fold, Predictions, pooled_test, slice_weights

_ROUNDING = 1e-9  # of (n + 1) * coverage, which is often a whole number


def lac_scores(probabilities: np.ndarray) -> np.ndarray:
    """Nonconformity of a class: 1 minus its probability (Sadinle et al. 2019): (N, K).

    Gives the smallest sets on average; a set may be empty.
    """
    return 1 - probabilities


def aps_scores(probabilities: np.ndarray) -> np.ndarray:
    """Nonconformity of a class: probability of all likelier ones (Romano et al. 2020): (N, K).

    Without the random part of the original, which would give one image different sets: the
    likeliest class has score 0 and is always in the set, so coverage may exceed the nominal one.
    """
    order = np.argsort(-probabilities, axis=1, kind="stable")
    ranked = np.take_along_axis(probabilities, order, axis=1)
    scores = np.empty_like(ranked)
    np.put_along_axis(scores, order, ranked.cumsum(axis=1) - ranked, axis=1)
    return scores.clip(0, 1)


METHODS: dict[str, Callable[[np.ndarray], np.ndarray]] = {"lac": lac_scores, "aps": aps_scores}
"""Nonconformity scores by name; none exceeds 1."""

UNITS = ("slices", "one_per_group", "groups")
"""What counts as one unit of calibration, see `unit_weights`."""


def unit_weights(group: np.ndarray, unit: str, *, seed: int) -> np.ndarray:
    """Weigh validation slices so that every unit of calibration weighs 1: float (N,).

    Parameters
    ----------
    group
        Group of each slice, (N,).
    unit
        "slices": every slice is a unit, as if all were exchangeable. "one_per_group": one slice of
        each group, drawn at random, the others weigh 0 (Dunn et al. 2022, arXiv 1809.07441).
        "groups": each group's slices share one unit (Lee et al. 2023, arXiv 2306.06342). The last
        two keep the guarantee for a random slice of a new group.
    seed
        Of the drawn slices.
    """
    if unit == "slices":
        return np.ones(len(group))
    if unit == "groups":
        return slice_weights(group)
    shuffled = np.random.default_rng(seed).permutation(len(group))
    first = shuffled[np.unique(group[shuffled], return_index=True)[1]]
    return np.isin(np.arange(len(group)), first).astype(float)


def conformal_threshold(scores: np.ndarray, weights: np.ndarray, coverage: float) -> float:
    """Give the score that the requested share of units, one of them yet to come, stay below.

    With n units of weight 1 this is the ceil((n + 1) * coverage)-th smallest score. The unit to
    come has weight 1 too and counts as infinitely nonconforming.

    Parameters
    ----------
    scores
        Nonconformity of the true class, 0 to 1, (N,).
    weights
        From `unit_weights`.
    coverage
        Asked probability, 0 to 1.

    Returns
    -------
    The threshold; 1, which every class passes, where there are too few units to guarantee more.
    """
    scores, weights = np.append(scores, 1), np.append(weights, 1)
    share = coverage - _ROUNDING / weights.sum()
    return float(np.quantile(scores, share, weights=weights, method="inverted_cdf"))


class Sets(NamedTuple):
    """Conformal sets of all test slices.

    Attributes
    ----------
    member
        Whether a class is in a slice's set, bool (N, K), rows as in ``predictions``.
    predictions
        The test slices of all folds, pooled.
    thresholds
        For each fold, one threshold per class (all equal where they are not conditional), (F, K).
    """

    member: np.ndarray
    predictions: Predictions
    thresholds: np.ndarray


def conformal_sets(
    folds: Sequence[Fold], *, method: str, unit: str, conditional: bool, coverage: float, seed: int
) -> Sets:
    """Calibrate on each fold's validation slices and give its test slices their sets.

    Parameters
    ----------
    folds
        From `predictions.study_folds`.
    method, unit
        A key of `METHODS` and one of `UNITS`.
    conditional
        Calibrate each class on its own validation slices (Mondrian), so that the guarantee is made
        for each class; a class without any is in every set.
    coverage, seed
        Asked probability; seed of "one_per_group".
    """
    score = METHODS[method]
    thresholds, members = [], []
    for validation, test in folds:
        scores = score(validation.probabilities)
        of_truth = scores[np.arange(len(scores)), validation.true]
        limits = np.empty(scores.shape[1])
        for code in range(len(limits)):
            used = validation.true == code if conditional else np.ones(len(scores), bool)
            weights = unit_weights(validation.group[used], unit, seed=seed)
            limits[code] = conformal_threshold(of_truth[used], weights, coverage)
        thresholds.append(limits)
        members.append(score(test.probabilities) <= limits)
    return Sets(np.concatenate(members), pooled_test(folds), np.array(thresholds))


def summarise_sets(sets: Sets, classes: Sequence[str], *, bootstrap: Bootstrap) -> dict:
    """Say how often the sets hold the true class, and how large they are.

    Intervals are 95 %, by bootstrap over groups, thresholds held fixed.

    Returns
    -------
    dict of plain numbers: ``coverage`` (share of slices), ``group_coverage`` (mean over groups of
    their share), both with ``_ci95``, ``per_class`` {class: {``coverage``, ``coverage_ci95``}}
    for the classes that have test slices, ``size`` (mean number of classes in a set), ``empty``,
    ``single`` and ``full`` (shares of sets of no, one and every class), and ``thresholds`` (for
    each fold, one per class).
    """
    true, _, group = sets.predictions
    covered = sets.member[np.arange(len(true)), true].astype(float)
    size, share = sets.member.sum(axis=1), slice_weights(group)
    per_class = {}
    for code, name in enumerate(classes):
        of_class = (true == code).astype(float)
        if of_class.any():
            per_class[name] = bootstrap.ratio("coverage", covered * of_class, of_class, group)
    return {
        **bootstrap.ratio("coverage", covered, np.ones(len(true)), group),
        **bootstrap.ratio("group_coverage", covered * share, share, group),
        "per_class": per_class,
        "size": float(size.mean()),
        "empty": float((size == 0).mean()),
        "single": float((size == 1).mean()),
        "full": float((size == len(classes)).mean()),
        "thresholds": sets.thresholds.tolist(),
    }


def assess(
    folds: Sequence[Fold], classes: Sequence[str], *, coverage: float, bootstrap: Bootstrap
) -> dict:
    """Summarise the sets of every method, kind of guarantee and unit of calibration.

    Returns
    -------
    {method: {"marginal" or "class_conditional": {unit: what `summarise_sets` gives}}}
    """

    def summary(**chosen: Any) -> dict:
        sets = conformal_sets(folds, **chosen, coverage=coverage, seed=bootstrap.seed)
        return summarise_sets(sets, classes, bootstrap=bootstrap)

    return {
        method: {
            guarantee: {
                unit: summary(method=method, unit=unit, conditional=conditional) for unit in UNITS
            }
            for guarantee, conditional in (("marginal", False), ("class_conditional", True))
        }
        for method in METHODS
    }


def table(results: Mapping[tuple[str, int], Mapping]) -> pd.DataFrame:
    """Set all sets of {(scheme, stage): what `assess` gives} side by side.

    There is a row per scheme, stage, ``method``, ``guarantee`` and ``unit``, with the numbers of
    `summarise_sets` and ``coverage_<class>`` for each class.
    """
    rows = {
        (*key, method, guarantee, unit): summary
        | {f"coverage_{k}": values["coverage"] for k, values in summary["per_class"].items()}
        for key, result in results.items()
        for method, guarantees in result.items()
        for guarantee, units in guarantees.items()
        for unit, summary in units.items()
    }
    return flat_table(rows, ["scheme", "stage", "method", "guarantee", "unit"])

"""What a study of two classes reports: how many are found, how many are spared, how well ranked.

One of the two classes is the positive one, the class that must not be missed; its probability is
the score. The prediction of the highest probability is the standard operating point (0.5);
Youden's and the one for a target sensitivity are those of `uncertainty.operating_points`.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from kidneyct_lib.evaluation.bootstrap import (
    FEW_GROUPS,
    Bootstrap,
    flat_row,
    flat_table,
    group_interval,
    wilson_interval,
)
from kidneyct_lib.evaluation.predictions import EvaluationError, check_predictions


def summarise(
    predictions: pd.DataFrame,
    classes: Sequence[str],
    positive: str,
    *,
    bootstrap: Bootstrap,
) -> dict:
    """Compute what a study of two classes reports of one scheme, stage and part.

    The 95 % intervals are those of `metrics.summarise`. Resamples without a slice that a measure
    needs are left out. Where fewer than two groups have such slices nothing is known of other
    patients, and the interval is [0, 1].

    Predictive values hold for these slices' own prevalence: where the class is rarer, more of the
    alarms are false. PR-AUC is the average precision (no interpolation); chance reaches the
    prevalence. Slices of several folds are ranked together although each fold has its own model,
    so that models whose probabilities are not on one scale lose by it.

    Parameters
    ----------
    predictions, classes, bootstrap
        As in `metrics.summarise`, of two classes and at least one row of each.
    positive
        The class that must not be missed.

    Returns
    -------
    dict of plain Python values: ``positive_class``; ``n``, ``groups``, ``positives`` (slices of
    the positive class), ``positive_groups``, ``negative_groups``, ``prevalence`` (share of the
    slices); ``sensitivity`` and ``specificity``, each also with ``_wilson95`` (the interval if
    slices were independent, which they are not); ``balanced_accuracy``,
    ``positive_predictive_value``, ``negative_predictive_value`` (None where no prediction is of
    that class), ``roc_auc`` and ``pr_auc``. Each measure has its [low, high] under ``<name>_ci95``.

    Raises
    ------
    EvaluationError
        If there are not two classes, `positive` is none of them, the table fails
        `check_predictions` or holds slices of one class alone.
    """
    if len(classes) != 2:
        raise EvaluationError(
            f"These measures are of two classes, not of {len(classes)} ({', '.join(classes)})."
        )
    if positive not in classes:
        raise EvaluationError(
            f"The positive class {positive!r} is none of {', '.join(classes)}: "
            "must_not_miss names it."
        )
    checked = check_predictions(predictions, classes)
    code, group = list(classes).index(positive), checked.group
    of_class, alarm = checked.true == code, checked.predicted == code
    if of_class.all() or not of_class.any():
        raise EvaluationError("All slices are of one class: two are needed to tell them apart.")
    rates: dict[str, Any] = {}
    for name, right, among in (
        ("sensitivity", alarm & of_class, of_class),
        ("specificity", ~alarm & ~of_class, ~of_class),
    ):
        rates |= bootstrap.ratio(name, right, among, group)
        rates[f"{name}_wilson95"] = wilson_interval(int(right.sum()), int(among.sum()))
    return {
        "positive_class": positive,
        "n": len(group),
        "groups": int(group.max()) + 1,
        "positives": int(of_class.sum()),
        "positive_groups": len(np.unique(group[of_class])),
        "negative_groups": len(np.unique(group[~of_class])),
        "prevalence": float(of_class.mean()),
        **rates,
        **_both_classes(of_class, alarm, checked.probabilities[:, code], group, bootstrap),
    }


def table(results: Mapping[tuple[str, int], Mapping]) -> pd.DataFrame:
    """Set the schemes and stages of a study of two classes side by side.

    Parameters
    ----------
    results
        {(scheme, stage): what `summarise` gives, and `operating_points.youden_point` under
        ``youden``}.

    Returns
    -------
    DataFrame with one row per scheme and stage: its numbers, those of Youden's point as
    ``youden_<name>``, and ``few_groups``: whether either class has fewer than `FEW_GROUPS`.
    """
    rows: dict[tuple, Mapping] = {}
    for key, result in results.items():
        youden = {f"youden_{name}": value for name, value in flat_row(result["youden"]).items()}
        few_groups = min(result["positive_groups"], result["negative_groups"]) < FEW_GROUPS
        rows[key] = {**result, **youden, "few_groups": few_groups}
    return flat_table(rows, ["scheme", "stage"])


def _both_classes(
    positive: np.ndarray,
    alarm: np.ndarray,
    score: np.ndarray,
    group: np.ndarray,
    bootstrap: Bootstrap,
) -> dict:
    """Give the measures that depend on both classes, with their intervals."""
    # Sorted once, for all resamples: counts of the slices at or above each score are then
    # cumulative sums. Slices of equal score are one point of the curves.
    order = np.argsort(-score, kind="stable")
    positive, alarm, group = positive[order], alarm[order], group[order]
    ends = np.append(np.flatnonzero(np.diff(score[order])), len(score) - 1)

    def measures(times: np.ndarray) -> dict[str, float]:
        """Measures with each group `times` times, NaN where there are none; {} of one class."""
        weight = times[group]
        hits, alarms = (weight * positive).cumsum(), weight.cumsum()
        positives, negatives = hits[-1], alarms[-1] - hits[-1]
        if not positives or not negatives:
            return {}
        hits, alarms = (np.append(0, sums[ends]) for sums in (hits, alarms))
        precision = hits / np.maximum(alarms, 1)  # no slice so far: none was found either
        right = (weight * positive) @ alarm
        wrong = weight @ alarm - right
        return {
            "balanced_accuracy": (right / positives + 1 - wrong / negatives) / 2,
            "positive_predictive_value": _share(right, wrong),
            "negative_predictive_value": _share(negatives - wrong, positives - right),
            "roc_auc": np.trapezoid(hits, alarms - hits) / (positives * negatives),
            "pr_auc": np.diff(hits) @ precision[1:] / positives,
        }

    times = bootstrap.times(int(group.max()) + 1)
    once = measures(np.ones_like(times[0]))
    drawn = pd.DataFrame([measures(row) for row in times], columns=list(once))
    needed = {"positive_predictive_value": alarm, "negative_predictive_value": ~alarm}
    scores: dict[str, Any] = {}
    for name, value in once.items():
        among = (positive, ~positive, needed.get(name, positive))
        groups = min(len(np.unique(group[mask])) for mask in among)
        scores[name] = None if np.isnan(value) else float(value)
        scores[f"{name}_ci95"] = group_interval(drawn[name].dropna().to_numpy(), groups)
    return scores


def _share(part: float, rest: float) -> float:
    """Part of the whole; NaN of nothing."""
    return part / (part + rest) if part + rest else np.nan

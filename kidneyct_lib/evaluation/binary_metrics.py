"""What a study of two classes reports: how many are found, how many are spared, how well ranked.

One of the two classes is the positive one, the class that must not be missed; its probability is
the score. The prediction of the highest probability is the standard operating point (0.5).
Youden's, chosen on validation slices, stands beside it; the threshold for a target sensitivity
is that of `uncertainty.operating_points`.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from sklearn.metrics import roc_curve

from kidneyct_lib.evaluation.bootstrap import (
    FEW_GROUPS,
    Bootstrap,
    flat_row,
    percentile_interval,
    wilson_interval,
)
from kidneyct_lib.evaluation.fold_predictions import Fold, pooled_test
from kidneyct_lib.evaluation.predictions import EvaluationError, check_predictions

_ROUNDING = 1e-9  # of a difference of rates: equal gains shall be equal
_OF_BOTH = (
    "balanced_accuracy",
    "positive_predictive_value",
    "negative_predictive_value",
    "roc_auc",
    "pr_auc",
)


class _Slices(NamedTuple):
    """Slices of two classes, the highest score first; each field (N,) but for `ends`."""

    positive: np.ndarray  # bool
    alarm: np.ndarray  # bool: the prediction is the positive class
    group: np.ndarray  # int: code of the group, from 0
    ends: np.ndarray  # int: the last place of each run of equal scores


def summarise(
    predictions: pd.DataFrame,
    classes: Sequence[str],
    positive: str,
    *,
    bootstrap: Bootstrap,
) -> dict:
    """Compute what a study of two classes reports of one scheme, stage and part.

    The 95 % intervals are percentile intervals of a cluster bootstrap over groups, as in
    `kidneyct_lib.evaluation.summarise`. Resamples without a slice that a measure needs are left
    out. Where fewer than two groups have such slices nothing is known of other patients, and the
    interval is [0, 1].

    Predictive values hold for these slices' own prevalence: where the class is rarer, more of the
    alarms are false. PR-AUC is the average precision (no interpolation); chance reaches the
    prevalence. Slices of several folds are ranked together although each fold has its own model,
    so that models whose probabilities are not on one scale lose by it.

    Parameters
    ----------
    predictions
        ``label``, ``group`` and the probability columns, at least one row of each class.
    classes
        The study's two classes; the class of the highest probability (the first of equals) is
        the prediction.
    positive
        The class that must not be missed.
    bootstrap
        Resamples of the groups.

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
    true, probabilities = check_predictions(predictions, classes, columns=["group"])
    code = list(classes).index(positive)
    of_class, alarm = true == code, probabilities.argmax(axis=1) == code
    group, _ = pd.factorize(predictions["group"])
    return {
        "positive_class": positive,
        "n": len(true),
        "groups": int(group.max()) + 1,
        "positives": int(of_class.sum()),
        "positive_groups": _count(group[of_class]),
        "negative_groups": _count(group[~of_class]),
        "prevalence": float(of_class.mean()),
        **_rates(of_class, alarm, group, wilson=True, bootstrap=bootstrap),
        **_both_classes(of_class, alarm, probabilities[:, code], group, bootstrap=bootstrap),
    }


def youden_threshold(positive: np.ndarray, probability: np.ndarray) -> float:
    """Give the threshold with the largest sensitivity + specificity (Youden 1950).

    Parameters
    ----------
    positive
        Whether a slice is of the positive class, bool (N,).
    probability
        Of the positive class, (N,); found means at or above the threshold.

    Returns
    -------
    The probability of one of the slices, the highest of equals; 0.5, the standard, where slices
    of one class alone have nothing to teach.
    """
    if positive.all() or not positive.any():
        return 0.5
    fpr, tpr, thresholds = roc_curve(positive, probability, drop_intermediate=False)
    gain = (tpr - fpr)[1:]  # without the first threshold, which is infinite and finds nothing
    return float(thresholds[1:][np.argmax(gain >= gain.max() - _ROUNDING)])


def youden_point(folds: Sequence[Fold], code: int, *, bootstrap: Bootstrap) -> dict:
    """Choose Youden's threshold on validation slices and read what it does on test slices.

    It weighs a lost point of sensitivity and one of specificity alike; for a class that must not
    be missed, `uncertainty.operating_points` sets the threshold.

    Parameters
    ----------
    folds
        From `fold_predictions.study_folds`; each has its own threshold.
    code
        Index of the positive class.
    bootstrap
        Resamples of the groups.

    Returns
    -------
    dict of plain numbers: ``thresholds`` (one per fold), ``sensitivity`` and ``specificity`` with
    ``_ci95``.

    Raises
    ------
    EvaluationError
        If all test slices are of one class.
    """
    thresholds = [
        youden_threshold(validation.true == code, validation.probabilities[:, code])
        for validation, _ in folds
    ]
    alarms = [
        fold.test.probabilities[:, code] >= threshold
        for fold, threshold in zip(folds, thresholds, strict=True)
    ]
    true, _, group = pooled_test(folds)
    rates = _rates(true == code, np.concatenate(alarms), group, bootstrap=bootstrap)
    return {"thresholds": thresholds, **rates}


def table(results: Mapping[tuple[str, int], Mapping]) -> pd.DataFrame:
    """Set the schemes and stages of a study of two classes side by side.

    Parameters
    ----------
    results
        {(scheme, stage): what `summarise` gives, and `youden_point` under ``youden``}.

    Returns
    -------
    DataFrame with one row per scheme and stage: its numbers, those of Youden's point as
    ``youden_<name>``, and ``few_groups``: whether either class has fewer than `FEW_GROUPS`.
    """
    return pd.DataFrame(
        [
            {"scheme": scheme, "stage": stage}
            | flat_row(result)
            | {f"youden_{name}": value for name, value in flat_row(result["youden"]).items()}
            | {"few_groups": min(result["positive_groups"], result["negative_groups"]) < FEW_GROUPS}
            for (scheme, stage), result in results.items()
        ]
    )


def _count(groups: np.ndarray) -> int:
    """How many different groups."""
    return len(np.unique(groups))


def _rates(
    positive: np.ndarray,
    alarm: np.ndarray,
    group: np.ndarray,
    *,
    bootstrap: Bootstrap,
    wilson: bool = False,
) -> dict:
    """Give sensitivity and specificity with their intervals."""
    if positive.all() or not positive.any():
        raise EvaluationError("All slices are of one class: two are needed to tell them apart.")
    rates: dict[str, Any] = {}
    for name, right, among in (
        ("sensitivity", alarm & positive, positive),
        ("specificity", ~alarm & ~positive, ~positive),
    ):
        rates[name] = float(right.sum() / among.sum())
        rates[f"{name}_ci95"] = bootstrap.ratio_interval(right, among, group, bounds=(0, 1))
        if wilson:
            rates[f"{name}_wilson95"] = wilson_interval(int(right.sum()), int(among.sum()))
    return rates


def _both_classes(
    positive: np.ndarray,
    alarm: np.ndarray,
    score: np.ndarray,
    group: np.ndarray,
    *,
    bootstrap: Bootstrap,
) -> dict:
    """Give the measures that depend on both classes, with their intervals."""
    order = np.argsort(-score, kind="stable")
    ends = np.append(np.flatnonzero(np.diff(score[order])), len(score) - 1)
    slices = _Slices(positive[order], alarm[order], group[order], ends)
    times = bootstrap.times(int(group.max()) + 1)
    drawn = np.array([_measures(slices, row) for row in times])
    once = _measures(slices, np.ones(times.shape[1], int))
    of_both = [positive, ~positive]
    needed = {"positive_predictive_value": alarm, "negative_predictive_value": ~alarm}
    scores: dict[str, Any] = {}
    for name, value, values in zip(_OF_BOTH, once, drawn.T, strict=True):
        among = [*of_both, *([needed[name]] if name in needed else [])]
        known = min(_count(group[mask]) for mask in among) > 1
        interval = percentile_interval(values[~np.isnan(values)]) if known else [0.0, 1.0]
        scores[name] = None if np.isnan(value) else float(value)
        scores[f"{name}_ci95"] = interval
    return scores


def _measures(slices: _Slices, times: np.ndarray) -> np.ndarray:
    """Compute `_OF_BOTH` with each slice occurring as often as its group was drawn.

    The slices are sorted once, for all resamples: counts of those at or above each score are then
    cumulative sums. Slices of equal score are one point of the curves.

    Returns
    -------
    float (5,); NaN where a measure does not exist, all of them without a slice of either class.
    """
    weight = times[slices.group]
    positive = weight * slices.positive
    hits, alarms = positive.cumsum(), weight.cumsum()
    positives, negatives = hits[-1], alarms[-1] - hits[-1]
    if not positives or not negatives:
        return np.full(len(_OF_BOTH), np.nan)
    hits, alarms = (np.append(0, sums[slices.ends]) for sums in (hits, alarms))
    precision = hits / np.maximum(alarms, 1)  # no slice so far: none was found either
    right = positive @ slices.alarm
    wrong = weight @ slices.alarm - right
    return np.array(
        [
            (right / positives + 1 - wrong / negatives) / 2,
            _share(right, wrong),
            _share(negatives - wrong, positives - right),
            np.trapezoid(hits, alarms - hits) / (positives * negatives),
            np.diff(hits) @ precision[1:] / positives,
        ]
    )


def _share(part: float, rest: float) -> float:
    """Part of the whole; NaN of nothing."""
    return part / (part + rest) if part + rest else np.nan

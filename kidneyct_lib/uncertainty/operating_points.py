"""Operating points: thresholds learned on validation slices, and what they do on test slices.

For a class that must not be missed the threshold is to find nearly all of its slices. Youden's
weighs a lost point of sensitivity and one of specificity alike.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import partial

import numpy as np
import pandas as pd
from sklearn.metrics import roc_curve

from kidneyct_lib.evaluation.bootstrap import Bootstrap, flat_table
from kidneyct_lib.evaluation.predictions import EvaluationError, Fold, Predictions, pooled_test

_ROUNDING = 1e-9  # of counts and differences of rates, which are often equal or whole numbers


def recall_threshold(positive: np.ndarray, probability: np.ndarray, recall: float) -> float:
    """Give the highest threshold at which at least this share of a class is found.

    Parameters
    ----------
    positive
        Whether a slice is of the class, bool (N,).
    probability
        Of the class, (N,); found means at or above the threshold.
    recall
        Asked share, 0 to 1.

    Returns
    -------
    The probability of one of the slices; 0, which finds every slice of any class, where there is
    none of the class to learn from.
    """
    falling = np.sort(probability[positive])[::-1]
    if not len(falling):
        return 0.0
    needed = int(np.ceil(recall * len(falling) - _ROUNDING))
    return float(falling[max(needed, 1) - 1])


def youden_threshold(positive: np.ndarray, probability: np.ndarray) -> float:
    """Give the threshold with the largest sensitivity + specificity (Youden 1950).

    Takes `positive` and `probability` as `recall_threshold` does.

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


def operating_point(
    folds: Sequence[Fold], code: int, *, recall: float, bootstrap: Bootstrap
) -> dict:
    """Fix a class's threshold on validation slices and read its cost on test slices.

    Parameters
    ----------
    folds
        From `predictions.study_folds`; each has its own threshold.
    code, recall
        Index of the class, and the asked share of it, 0 to 1.
    bootstrap
        Resamples of the groups.

    Returns
    -------
    dict of plain numbers: ``target_recall``, ``thresholds`` (one per fold), ``recall`` and
    ``specificity`` with ``_ci95``, ``false_alarms_per_100`` (slices of other classes), ``ppv``
    (share of alarms that are right, at the test slices' own ``prevalence``; None without alarms),
    ``groups`` of the class and ``groups_missed`` (those without any alarm), and ``on_test_roc``:
    the ``recall``, ``specificity`` and ``false_alarms_per_100`` at the first point of the pooled
    test slices' ROC that reaches the target recall, as if the test labels had been known.

    Raises
    ------
    EvaluationError
        If no test slice, or every one, is of the class.
    """
    choose = partial(recall_threshold, recall=recall)
    thresholds, alarm, test = _alarms(folds, code, choose)
    positive, group = test.true == code, test.group
    point = {
        "target_recall": recall,
        "thresholds": thresholds,
        **bootstrap.ratio("recall", alarm & positive, positive, group),
        **bootstrap.ratio("specificity", ~alarm & ~positive, ~positive, group),
    }
    of_class, alarmed = set(group[positive]), set(group[positive & alarm])
    fpr, tpr, _ = roc_curve(positive, test.probabilities[:, code], drop_intermediate=False)
    first = int(np.argmax(tpr >= recall - _ROUNDING))
    return point | {
        "false_alarms_per_100": 100 * (1 - point["specificity"]),
        "ppv": float(positive[alarm].mean()) if alarm.any() else None,
        "prevalence": float(positive.mean()),
        "groups": len(of_class),
        "groups_missed": len(of_class - alarmed),
        "on_test_roc": {
            "recall": float(tpr[first]),
            "specificity": float(1 - fpr[first]),
            "false_alarms_per_100": float(100 * fpr[first]),
        },
    }


def youden_point(folds: Sequence[Fold], code: int, *, bootstrap: Bootstrap) -> dict:
    """Choose Youden's threshold on validation slices and read what it does on test slices.

    Takes and raises as `operating_point` does.

    Returns
    -------
    dict of plain numbers: ``thresholds`` (one per fold), ``sensitivity`` and ``specificity`` with
    ``_ci95``.
    """
    thresholds, alarm, test = _alarms(folds, code, youden_threshold)
    positive = test.true == code
    return {
        "thresholds": thresholds,
        **bootstrap.ratio("sensitivity", alarm & positive, positive, test.group),
        **bootstrap.ratio("specificity", ~alarm & ~positive, ~positive, test.group),
    }


def _alarms(
    folds: Sequence[Fold], code: int, choose: Callable[[np.ndarray, np.ndarray], float]
) -> tuple[list[float], np.ndarray, Predictions]:
    """Give each fold's threshold, and of all test slices: whether they reach it; predictions."""
    thresholds, alarms = [], []
    for validation, test in folds:
        thresholds.append(choose(validation.true == code, validation.probabilities[:, code]))
        alarms.append(test.probabilities[:, code] >= thresholds[-1])
    tested = pooled_test(folds)
    positive = tested.true == code
    if positive.all() or not positive.any():
        raise EvaluationError(
            "An operating point needs test slices of the class and of another one."
        )
    return thresholds, np.concatenate(alarms), tested


def assess(
    folds: Sequence[Fold],
    classes: Sequence[str],
    chosen: Sequence[str],
    *,
    recall: float,
    bootstrap: Bootstrap,
) -> dict[str, dict]:
    """Give the `operating_point` of each chosen class: {class: result}."""
    return {
        name: operating_point(folds, list(classes).index(name), recall=recall, bootstrap=bootstrap)
        for name in chosen
    }


def table(results: Mapping[tuple[str, int], Mapping[str, Mapping]]) -> pd.DataFrame:
    """Set all points of {(scheme, stage): what `assess` gives} side by side.

    There is a row per scheme, stage and class (``label``), with the numbers of `operating_point`;
    those on the test ROC are ``roc_<name>``.
    """
    rows = {
        (*key, name): point | {f"roc_{k}": value for k, value in point["on_test_roc"].items()}
        for key, points in results.items()
        for name, point in points.items()
    }
    return flat_table(rows, ["scheme", "stage", "label"])

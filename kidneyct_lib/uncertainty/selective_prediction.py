"""What silence buys, and what it costs to miss nearly nothing."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from sklearn.metrics import roc_curve

from kidneyct_lib.core.errors import StudyError
from kidneyct_lib.evaluation.bootstrap import Bootstrap, flat_row, percentile_interval
from kidneyct_lib.evaluation.fold_predictions import Answers, Fold, pooled_test

_ROUNDING = 1e-9  # of count * recall, which is often a whole number


def risk_coverage(answers: Answers) -> pd.DataFrame:
    """Trace the error among the slices answered, the surest first (El-Yaniv and Wiener 2010).

    Confidence is the highest probability. Slices of equal confidence are answered together.

    Returns
    -------
    DataFrame with one row for each confidence, falling: ``confidence``, ``coverage`` (share of
    the slices with at least this confidence) and ``risk`` (share of errors among them).
    """
    confidence, wrong, last, _ = _surest_first(answers)
    ends = np.unique(last)
    return pd.DataFrame(
        {
            "confidence": confidence[ends],
            "coverage": (ends + 1) / len(wrong),
            "risk": wrong.cumsum()[ends] / (ends + 1),
        }
    )


def summarise_silence(answers: Answers, silent: Sequence[float], *, bootstrap: Bootstrap) -> dict:
    """Say what is gained by not answering the least sure slices.

    The area under the risk-coverage curve (AURC, Geifman et al. 2019) is the mean over slices of
    the error among those at least as sure. Without any sense of its own errors a model has the
    AURC of its error rate; one that is surest where it is right has ``aurc_best``.

    Parameters
    ----------
    answers
        Pooled test slices.
    silent
        Shares of slices to leave unanswered, each from 0 to 1. Where slices of equal confidence
        would be parted all of them are answered, so that fewer stay silent.
    bootstrap
        Resamples of the groups.

    Returns
    -------
    dict of plain numbers: ``error``, ``aurc``, ``aurc_ci95`` and ``aurc_best``; ``silent``
    {share, as text: {``answered`` (share of the slices), ``accuracy`` (among them)}}.
    """
    _, wrong, last, group = _surest_first(answers)
    curve = risk_coverage(answers)
    gains = {}
    for share in silent:
        reached = curve["coverage"].searchsorted(1 - share - _ROUNDING)
        point = curve.iloc[min(reached, len(curve) - 1)]
        accuracy = float(1 - point["risk"])
        gains[f"{share:g}"] = {"answered": float(point["coverage"]), "accuracy": accuracy}
    n = len(wrong)
    best = np.sort(wrong).cumsum() / np.arange(1, n + 1)
    return {
        "error": float(wrong.mean()),
        "aurc": _aurc(wrong, last, np.ones(n)),
        "aurc_ci95": _aurc_interval(wrong, last, group, bootstrap),
        "aurc_best": float(best.mean()),
        "silent": gains,
    }


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


def operating_point(
    folds: Sequence[Fold], code: int, *, recall: float, bootstrap: Bootstrap
) -> dict:
    """Fix a class's threshold on validation slices and read its cost on test slices.

    Parameters
    ----------
    folds
        From `fold_predictions.study_folds`; each has its own threshold.
    code
        Index of the class.
    recall
        Asked share of the class, 0 to 1.
    bootstrap
        Resamples of the groups.

    Returns
    -------
    dict of plain numbers: ``asked``, ``thresholds`` (one a fold), ``recall`` and ``specificity``
    with ``_ci95``, ``false_alarms_per_100`` (slices of other classes), ``ppv`` (share of alarms
    that are right, at the test slices' own ``prevalence``; None without alarms), ``groups`` of
    the class and ``groups_missed`` (those without any alarm), and ``on_test_roc``: the
    ``recall``, ``specificity`` and ``false_alarms_per_100`` at the first point of the pooled test
    slices' ROC that reaches the asked recall, as if the test labels had been known.

    Raises
    ------
    StudyError
        If no test slice, or every one, is of the class.
    """
    thresholds = [
        recall_threshold(validation.true == code, validation.probabilities[:, code], recall)
        for validation, _ in folds
    ]
    alarm = np.concatenate(
        [
            fold.test.probabilities[:, code] >= threshold
            for fold, threshold in zip(folds, thresholds, strict=True)
        ]
    )
    true, probabilities, group = pooled_test(folds)
    positive = true == code
    if positive.all() or not positive.any():
        raise StudyError("An operating point needs test slices of the class and of another one.")
    point = {"asked": recall, "thresholds": thresholds}
    for name, right, among in (
        ("recall", alarm & positive, positive),
        ("specificity", ~alarm & ~positive, ~positive),
    ):
        point[name] = float(right.sum() / among.sum())
        point[f"{name}_ci95"] = bootstrap.ratio_interval(right, among, group, bounds=(0, 1))
    of_class, found = set(group[positive]), set(group[positive & alarm])
    fpr, tpr, _ = roc_curve(positive, probabilities[:, code], drop_intermediate=False)
    first = int(np.argmax(tpr >= recall - _ROUNDING))
    return point | {
        "false_alarms_per_100": 100 * (1 - point["specificity"]),
        "ppv": float(positive[alarm].mean()) if alarm.any() else None,
        "prevalence": float(positive.mean()),
        "groups": len(of_class),
        "groups_missed": len(of_class - found),
        "on_test_roc": {
            "recall": float(tpr[first]),
            "specificity": float(1 - fpr[first]),
            "false_alarms_per_100": float(100 * fpr[first]),
        },
    }


def operating_points(
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


def silence_table(results: Mapping[tuple[str, int], Mapping]) -> pd.DataFrame:
    """Set what silence buys side by side.

    Parameters
    ----------
    results
        {(scheme, stage): what `summarise_silence` gives}.

    Returns
    -------
    DataFrame with one row a scheme and stage: its numbers, and ``accuracy_without_<share>`` for
    each share left unanswered.
    """
    return pd.DataFrame(
        [
            {"scheme": scheme, "stage": stage}
            | flat_row(result)
            | {f"accuracy_without_{k}": gain["accuracy"] for k, gain in result["silent"].items()}
            for (scheme, stage), result in results.items()
        ]
    )


def point_table(results: Mapping[tuple[str, int], Mapping[str, Mapping]]) -> pd.DataFrame:
    """Set all operating points side by side.

    Parameters
    ----------
    results
        {(scheme, stage): what `operating_points` gives}.

    Returns
    -------
    DataFrame with one row a scheme, stage and class (``label``): the numbers of
    `operating_point`, those on the test ROC as ``roc_<name>``.
    """
    return pd.DataFrame(
        [
            {"scheme": scheme, "stage": stage, "label": name}
            | flat_row(point)
            | {f"roc_{key}": value for key, value in point["on_test_roc"].items()}
            for (scheme, stage), points in results.items()
            for name, point in points.items()
        ]
    )


def _surest_first(answers: Answers) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Sort slices by falling confidence.

    Returns confidence, whether the answer is wrong (0 or 1), the last place of equal confidence,
    and the group's code.
    """
    confidence = answers.probabilities.max(axis=1)
    wrong = (answers.probabilities.argmax(axis=1) != answers.true).astype(float)
    order = np.argsort(-confidence, kind="stable")
    falling = -confidence[order]
    last = np.searchsorted(falling, falling, side="right") - 1
    _, group = np.unique(answers.group, return_inverse=True)
    return -falling, wrong[order], last, group[order]


def _aurc(wrong: np.ndarray, last: np.ndarray, times: np.ndarray) -> float:
    """AURC of slices, the surest first, each occurring `times` times."""
    answered = times.cumsum()[last]
    errors = (times * wrong).cumsum()[last]
    risk = errors / np.maximum(answered, 1)  # none answered: none weighs anything either
    return float((times * risk).sum() / times.sum())


def _aurc_interval(
    wrong: np.ndarray, last: np.ndarray, group: np.ndarray, bootstrap: Bootstrap
) -> list[float]:
    groups = int(group.max()) + 1
    if groups < 2:
        return [0.0, 1.0]
    times = bootstrap.times(groups)
    return percentile_interval(np.array([_aurc(wrong, last, drawn[group]) for drawn in times]))

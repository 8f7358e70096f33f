"""Predictions to metrics: one table of probabilities in, numbers and tables out.

A predictions table has one row per image with ``label``, ``group`` and one probability column
a class (see `evaluation.predictions`). Metrics are of one scheme, stage and part at a time.
Slices of one patient are not independent, so every interval is clustered by group.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from sklearn.metrics import (
    auc,
    average_precision_score,
    confusion_matrix,
    f1_score,
    precision_recall_curve,
    precision_recall_fscore_support,
    roc_curve,
)

from kidneyct_lib.evaluation.bootstrap import Bootstrap, group_confusions, wilson_interval
from kidneyct_lib.evaluation.predictions import (
    EvaluationError,
    check_predictions,
    probability_columns,
)

__all__ = [
    "EvaluationError",
    "by_group",
    "confusion",
    "curves",
    "headline",
    "probability_columns",
    "summarise",
    "worst_errors",
]

_SMALLEST_PROBABILITY = 1e-7


def summarise(predictions: pd.DataFrame, classes: Sequence[str], *, bootstrap: Bootstrap) -> dict:
    """Compute the headline metrics of one scheme, stage and part.

    The 95 % intervals are percentile intervals of a cluster bootstrap: whole groups are drawn
    with replacement, as many as there are (Field and Welsh 2007). They say how far the number
    would move with other patients, not with other slices of the same ones. With fewer than two
    groups nothing is known of that, and the interval is [0, 1].

    F1 follows scikit-learn's ``zero_division=0``: a class that is neither present nor predicted
    counts 0 in the macro mean. A resample may lack every group of a rare class and then counts
    it 0 as well, so with one or two groups of a class the lower end of the macro-F1 interval
    errs on the low side.

    Parameters
    ----------
    predictions
        ``label``, ``group`` and the probability columns, at least one row.
    classes
        The study's classes; the class of highest probability (the first of equals) is the
        prediction.
    bootstrap
        Resamples of the groups.

    Returns
    -------
    dict of plain Python numbers: ``n``, ``groups``, ``accuracy``, ``accuracy_ci95`` [low, high],
    ``accuracy_wilson95`` (the interval if slices were independent, which they are not: it shows
    how falsely narrow that is), ``loss`` (mean negative log likelihood in nats, probabilities
    clipped at 1e-7), ``macro_f1``, ``macro_f1_ci95``, and ``per_class``: {class: {``precision``,
    ``recall``, ``f1``, ``support`` (slices), ``groups``}}.

    Raises
    ------
    EvaluationError
        If the table fails `check_predictions`.
    """
    true, probabilities = check_predictions(predictions, classes, columns=["group"])
    predicted = probabilities.argmax(axis=1)
    group, _ = pd.factorize(predictions["group"])
    right = true == predicted
    accuracy_ci95, macro_f1_ci95 = bootstrap.score_intervals(
        group_confusions(true, predicted, group, len(classes))
    )
    of_truth = probabilities[np.arange(len(true)), true]
    return {
        "n": len(true),
        "groups": int(group.max()) + 1,
        "accuracy": float(right.mean()),
        "accuracy_ci95": accuracy_ci95,
        "accuracy_wilson95": wilson_interval(int(right.sum()), len(right)),
        "loss": float(-np.log(np.clip(of_truth, _SMALLEST_PROBABILITY, 1)).mean()),
        "macro_f1": float(
            f1_score(true, predicted, labels=range(len(classes)), average="macro", zero_division=0)
        ),
        "macro_f1_ci95": macro_f1_ci95,
        "per_class": _per_class(true, predicted, group, classes),
    }


def confusion(predictions: pd.DataFrame, classes: Sequence[str]) -> pd.DataFrame:
    """Count slices by true class (rows) and predicted class (columns).

    Parameters
    ----------
    predictions
        ``label`` and the probability columns.
    classes
        The study's classes, in the order of rows and columns.

    Returns
    -------
    int DataFrame (K, K), index named "true" and columns named "predicted".

    Raises
    ------
    EvaluationError
        If the table fails `check_predictions`.
    """
    true, probabilities = check_predictions(predictions, classes, columns=[])
    counts = confusion_matrix(true, probabilities.argmax(axis=1), labels=range(len(classes)))
    return pd.DataFrame(
        counts,
        index=pd.Index(classes, name="true"),
        columns=pd.Index(classes, name="predicted"),
    )


def by_group(predictions: pd.DataFrame, classes: Sequence[str]) -> pd.DataFrame:
    """Summarise each group of slices.

    Parameters
    ----------
    predictions
        ``label``, ``group`` and the probability columns.
    classes
        The study's classes.

    Returns
    -------
    DataFrame with one row per group (and class, where a group mixes classes), in order of class
    and group: ``group``, ``label``, ``n`` (slices), ``accuracy``, ``p_true`` (mean probability
    of the true class) and ``vote`` (class of the highest mean probability).

    Raises
    ------
    EvaluationError
        If the table fails `check_predictions`.
    """
    true, probabilities = check_predictions(predictions, classes, columns=["group"])
    slices = pd.DataFrame(
        {
            "group": predictions["group"].to_numpy(),
            "label": pd.Categorical.from_codes(true, pd.Index(classes)),
            "correct": probabilities.argmax(axis=1) == true,
            "p_true": probabilities[np.arange(len(true)), true],
        }
    )
    codes = list(range(len(classes)))
    slices[codes] = probabilities
    grouped = slices.groupby(["label", "group"], observed=True)
    table = grouped.agg(
        n=("correct", "size"), accuracy=("correct", "mean"), p_true=("p_true", "mean")
    )
    table["vote"] = np.array(classes)[grouped[codes].mean().to_numpy().argmax(axis=1)]
    table = table.reset_index().astype({"label": str})
    return table[["group", "label", "n", "accuracy", "p_true", "vote"]]


def named_predictions(predictions: pd.DataFrame, classes: Sequence[str]) -> pd.DataFrame:
    """Name the class that each prediction decides for.

    Parameters
    ----------
    predictions
        ``path``, ``label``, ``group`` and the probability columns.
    classes
        The study's classes.

    Returns
    -------
    DataFrame, most confident first: ``path``, ``group``, ``label``, ``predicted``,
    ``confidence`` (probability of the predicted class) and ``p_true`` (of the true class);
    the index is that of `predictions`.

    Raises
    ------
    EvaluationError
        If the table fails `check_predictions`.
    """
    true, probabilities = check_predictions(predictions, classes, columns=["path", "group"])
    named = predictions[["path", "group", "label"]].assign(
        predicted=np.array(classes)[probabilities.argmax(axis=1)],
        confidence=probabilities.max(axis=1),
        p_true=probabilities[np.arange(len(true)), true],
    )
    return named.sort_values("confidence", ascending=False, kind="stable")


def worst_errors(predictions: pd.DataFrame, classes: Sequence[str], n: int) -> pd.DataFrame:
    """List the at most `n` wrong predictions made with the highest confidence.

    Takes, returns and raises as `named_predictions` does.
    """
    named = named_predictions(predictions, classes)
    return named[named["predicted"] != named["label"]].head(n)


def examples(predictions: pd.DataFrame, classes: Sequence[str]) -> pd.DataFrame:
    """Pick the most confident right and the most confident wrong prediction of each class.

    Takes and raises as `named_predictions` does.

    Returns
    -------
    DataFrame as `named_predictions` gives, indexed by ``right`` (True first) and ``label``, in that
    order; values are missing where no prediction of a class is right, or none wrong.
    """
    named = named_predictions(predictions, classes)
    named = named.assign(right=named["predicted"] == named["label"])
    order = pd.MultiIndex.from_product([[True, False], classes], names=["right", "label"])
    return named.groupby(["right", "label"]).head(1).set_index(["right", "label"]).reindex(order)


def curves(predictions: pd.DataFrame, classes: Sequence[str]) -> pd.DataFrame:
    """Trace the ROC and precision-recall curves of each class against the others.

    Parameters
    ----------
    predictions
        ``label`` and the probability columns.
    classes
        The study's classes.

    Returns
    -------
    DataFrame with one row per point: ``label``, ``curve`` ("roc" or "pr"), ``x`` (false positive
    rate; recall), ``y`` (true positive rate; precision), ``area`` (area under the ROC curve;
    average precision) and ``prevalence`` (share of the class). A class that no slice or every
    slice belongs to has no curves.

    Raises
    ------
    EvaluationError
        If the table fails `check_predictions`.
    """
    true, probabilities = check_predictions(predictions, classes, columns=[])
    frames = []
    for code, name in enumerate(classes):
        positive, score = true == code, probabilities[:, code]
        if positive.all() or not positive.any():
            continue
        fpr, tpr, _ = roc_curve(positive, score)
        precision, recall, _ = precision_recall_curve(positive, score, drop_intermediate=True)
        areas = auc(fpr, tpr), average_precision_score(positive, score)
        for curve, x, y, area in zip(
            ("roc", "pr"), (fpr, recall), (tpr, precision), areas, strict=True
        ):
            points = {"label": name, "curve": curve, "x": x, "y": y, "area": area}
            frames.append(pd.DataFrame(points).assign(prevalence=positive.mean()))
    if not frames:
        raise EvaluationError("Curves need slices of at least two classes.")
    return pd.concat(frames, ignore_index=True)


def headline(metrics_by_scheme: Mapping[str, Mapping]) -> pd.DataFrame:
    """Set the headline numbers of the schemes and stages side by side.

    Parameters
    ----------
    metrics_by_scheme
        {scheme: what `summarise` gives for the final stage, and the same for the first stage
        under ``stage1`` where there is one}, as in metrics/test.json. Either may hold the same for
        slices in other display windows under ``other_window``.

    Returns
    -------
    DataFrame with one row per scheme, stage and window: ``scheme``, ``stage`` (1 or 2), ``window``
    ("as shown" or "another class's", the latter where it is there), ``n``,
    ``groups``, ``accuracy``, ``accuracy_low``, ``accuracy_high``, ``accuracy_wilson_low``,
    ``accuracy_wilson_high``, ``loss``, ``macro_f1``, ``macro_f1_low``, ``macro_f1_high`` and
    ``recall_<class>`` for each class.
    """
    rows = []
    for scheme, final in metrics_by_scheme.items():
        stages = {1: final.get("stage1"), 2: final}
        rows += [
            {"scheme": scheme, "stage": stage, "window": window, **_headline_row(metrics)}
            for stage, shown in stages.items()
            if shown is not None
            for window, metrics in (
                ("as shown", shown),
                ("another class's", shown.get("other_window")),
            )
            if metrics is not None
        ]
    return pd.DataFrame(rows)


def _headline_row(metrics: Mapping) -> dict:
    """Flatten one result of `summarise`."""
    row = {}
    for key in ("n", "groups", "accuracy", "loss", "macro_f1"):
        row[key] = metrics[key]
        for interval, name in (("ci95", key), ("wilson95", f"{key}_wilson")):
            if f"{key}_{interval}" in metrics:
                row[f"{name}_low"], row[f"{name}_high"] = metrics[f"{key}_{interval}"]
    recalls = {f"recall_{name}": values["recall"] for name, values in metrics["per_class"].items()}
    return row | recalls


def _per_class(
    true: np.ndarray, predicted: np.ndarray, group: np.ndarray, classes: Sequence[str]
) -> dict[str, dict]:
    """Give precision, recall, F1, slices and groups of each class."""
    scores = precision_recall_fscore_support(
        true, predicted, labels=range(len(classes)), zero_division=0
    )
    return {
        name: {
            "precision": float(precision),
            "recall": float(recall),
            "f1": float(f1),
            "support": int(support),
            "groups": len(np.unique(group[true == code])),
        }
        for code, (name, precision, recall, f1, support) in enumerate(
            zip(classes, *scores, strict=True)
        )
    }

"""Predictions to metrics: one table of probabilities in, numbers and tables out.

A predictions table has one row per image with ``label``, ``group`` and one probability column
a class, one for each of the study's classes; what fails `predictions.check_predictions` raises its
EvaluationError. Metrics are of one scheme, stage and part at a time.
Slices of one patient are not independent, so every interval is clustered by group.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from sklearn.metrics import (
    auc,
    average_precision_score,
    confusion_matrix,
    precision_recall_curve,
    precision_recall_fscore_support,
    roc_curve,
)

from kidneyct_lib.evaluation.bootstrap import (
    Bootstrap,
    flat_row,
    group_confusions,
    group_interval,
    resampled_scores,
    wilson_interval,
)
from kidneyct_lib.evaluation.predictions import (
    EvaluationError,
    check_predictions,
    probability_columns,
)


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
    checked = check_predictions(predictions, classes)
    right = checked.right
    confusions = group_confusions(checked.true, checked.predicted, checked.group, len(classes))
    groups = len(confusions)
    accuracy, macro_f1 = resampled_scores(confusions, bootstrap.times(groups))
    precision, recall, f1, support = precision_recall_fscore_support(
        checked.true, checked.predicted, labels=range(len(classes)), zero_division=0
    )
    per_class = pd.DataFrame(
        {"precision": precision, "recall": recall, "f1": f1, "support": support}, list(classes)
    )
    per_class["groups"] = (confusions.sum(axis=2) > 0).sum(axis=0)
    return {
        "n": len(right),
        "groups": groups,
        "accuracy": float(right.mean()),
        "accuracy_ci95": group_interval(accuracy, groups),
        "accuracy_wilson95": wilson_interval(int(right.sum()), len(right)),
        "loss": float(checked.nll.mean()),
        "macro_f1": float(f1.mean()),
        "macro_f1_ci95": group_interval(macro_f1, groups),
        "per_class": per_class.to_dict("index"),
    }


def confusion(predictions: pd.DataFrame, classes: Sequence[str]) -> pd.DataFrame:
    """Count slices by true class (rows) and predicted class (columns), in the order of `classes`.

    Returns
    -------
    int DataFrame (K, K), index named "true" and columns named "predicted".
    """
    checked = check_predictions(predictions, classes)
    counts = confusion_matrix(checked.true, checked.predicted, labels=range(len(classes)))
    true, predicted = (pd.Index(classes, name=name) for name in ("true", "predicted"))
    return pd.DataFrame(counts, true, predicted)


def by_group(predictions: pd.DataFrame, classes: Sequence[str]) -> pd.DataFrame:
    """Summarise each group of slices.

    Returns
    -------
    DataFrame with one row per group (and class, where a group mixes classes), in order of class
    and group: ``group``, ``label``, ``n`` (slices), ``accuracy``, ``p_true`` (mean probability
    of the true class) and ``vote`` (class of the highest mean probability).
    """
    checked = check_predictions(predictions, classes)
    columns = probability_columns(classes)
    slices = predictions[["group", *columns]].assign(
        label=pd.Categorical(predictions["label"], pd.Index(classes)),
        correct=checked.right,
        p_true=checked.of_truth,
    )
    grouped = slices.groupby(["label", "group"], observed=True)
    table = grouped.agg(
        n=("correct", "size"), accuracy=("correct", "mean"), p_true=("p_true", "mean")
    )
    table["vote"] = np.array(classes)[grouped[columns].mean().to_numpy().argmax(axis=1)]
    table = table.reset_index().astype({"label": str})
    return table[["group", "label", "n", "accuracy", "p_true", "vote"]]


def named_predictions(predictions: pd.DataFrame, classes: Sequence[str]) -> pd.DataFrame:
    """Name the class that each prediction, with the ``path`` of its image, decides for.

    Returns
    -------
    DataFrame, most confident first: ``path``, ``group``, ``label``, ``predicted``,
    ``confidence`` (probability of the predicted class) and ``p_true`` (of the true class);
    the index is that of `predictions`.
    """
    checked = check_predictions(predictions, classes, columns=["path"])
    named = predictions[["path", "group", "label"]].assign(
        predicted=np.array(classes)[checked.predicted],
        confidence=checked.confidence,
        p_true=checked.of_truth,
    )
    return named.sort_values("confidence", ascending=False, kind="stable")


def worst_errors(predictions: pd.DataFrame, classes: Sequence[str]) -> pd.DataFrame:
    """List the wrong `named_predictions`, most confident first."""
    named = named_predictions(predictions, classes)
    return named[named["predicted"] != named["label"]]


def examples(predictions: pd.DataFrame, classes: Sequence[str]) -> pd.DataFrame:
    """Pick the most confident right and the most confident wrong prediction of each class.

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

    Returns
    -------
    DataFrame with one row per point: ``label``, ``curve`` ("roc" or "pr"), ``x`` (false positive
    rate; recall), ``y`` (true positive rate; precision), ``area`` (area under the ROC curve;
    average precision) and ``prevalence`` (share of the class). A class that no slice or every
    slice belongs to has no curves; where none has, that raises EvaluationError.
    """
    true, probabilities, _ = check_predictions(predictions, classes)
    frames = []
    for code, name in enumerate(classes):
        positive, score = true == code, probabilities[:, code]
        if positive.all() or not positive.any():
            continue
        fpr, tpr, _ = roc_curve(positive, score)
        precision, recall, _ = precision_recall_curve(positive, score, drop_intermediate=True)
        average_precision = average_precision_score(positive, score)
        traced = ("roc", fpr, tpr, auc(fpr, tpr)), ("pr", recall, precision, average_precision)
        for curve, x, y, area in traced:
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
        for stage, shown in {1: final.get("stage1"), 2: final}.items():
            windows = {"as shown": shown, "another class's": (shown or {}).get("other_window")}
            for window, metrics in windows.items():
                if metrics is None:
                    continue
                of_classes = metrics["per_class"].items()
                recalls = {f"recall_{name}": values["recall"] for name, values in of_classes}
                named = {"scheme": scheme, "stage": stage, "window": window}
                rows.append(named | flat_row(metrics) | recalls)
    flips = ["flips", "flips_low", "flips_high"]
    return pd.DataFrame(rows).drop(columns=flips, errors="ignore")

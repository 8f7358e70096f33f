"""Are the probabilities true? Proper scores, calibration error, reliability, temperature."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from scipy.optimize import minimize_scalar
from scipy.special import softmax

from kidneyct_lib.evaluation.bootstrap import Bootstrap, estimate, flat_table
from kidneyct_lib.evaluation.predictions import (
    CLIP,
    Fold,
    Predictions,
    pooled_test,
    slice_weights,
    unseen,
)
from kidneyct_lib.study.run_folder import Run

_SMALLEST_FLOAT = np.finfo(np.float32).tiny  # a softmax in single precision may reach 0
_TEMPERATURES = (0.01, 100.0)


def brier(predictions: Predictions) -> np.ndarray:
    """Squared error of each slice's probabilities, summed over the classes: (N,), 0 to 2.

    Brier 1950; scikit-learn's ``brier_score_loss`` for more than two classes.
    """
    truth = np.eye(predictions.probabilities.shape[1])[predictions.true]
    return ((predictions.probabilities - truth) ** 2).sum(axis=1)


def scores(predictions: Predictions, *, bins: int, bootstrap: Bootstrap) -> dict:
    """Score the probabilities, with 95 % intervals by bootstrap over groups.

    NLL and Brier score are proper: they are lowest for the true probabilities. The expected
    calibration error (Guo et al. 2017, arXiv 1706.04599) is the mean distance between confidence
    and accuracy over bins of the confidence; it is biased upwards where bins hold few slices, and
    so are its resamples: its interval may lie above it.

    Parameters
    ----------
    predictions, bins, bootstrap
        Of any number of slices from 1; bins of the calibration errors; resamples of the groups.

    Returns
    -------
    dict of plain numbers: ``n``, ``groups``, ``accuracy``, ``confidence`` (mean probability of
    the prediction), ``nll``, ``brier``, ``ece_width`` (bins of equal width), ``ece_mass`` (bins of
    about equally many slices), and [low, high] of the last four under ``<name>_ci95``.
    """
    confidence, right = predictions.confidence, predictions.right
    _, code, sizes = np.unique(predictions.group, return_inverse=True, return_counts=True)
    result = {
        "n": len(right),
        "groups": len(sizes),
        "accuracy": float(right.mean()),
        "confidence": float(confidence.mean()),
    }
    once = np.ones(len(right))
    result |= bootstrap.ratio("nll", predictions.nll, once, code, bounds=(0, -np.log(CLIP)))
    result |= bootstrap.ratio("brier", brier(predictions), once, code, bounds=(0, 2))
    times = bootstrap.times(len(sizes))
    for name in ("width", "mass"):
        number = _bin_numbers(confidence, bins, equal=name)
        # Sums of confidence minus correctness, by group and bin; resamples keep the bins.
        gaps = np.zeros((len(sizes), number.max() + 1))
        np.add.at(gaps, (code, number), confidence - right)
        drawn = np.abs(times @ gaps).sum(axis=1) / (times @ sizes)
        ece = np.abs(gaps.sum(axis=0)).sum() / len(right)
        result |= estimate(f"ece_{name}", ece, drawn, len(sizes))
    return result


def fit_temperature(predictions: Predictions, *, weigh: str) -> float:
    """Fit the one number that the logits are divided by (Guo et al. 2017, arXiv 1706.04599).

    The logarithms of the probabilities are the logits up to a constant that softmax ignores. The
    likelihood decides, and with it a weak prior: log T is normal around 0 with standard deviation
    1. Where the validation slices hold next to no error the likelihood alone would drive T to 0
    and every probability to 0 or 1; where they hold errors the prior hardly counts.

    Parameters
    ----------
    predictions
        Validation slices.
    weigh
        "groups": every group counts like one slice, since neighbouring slices tell little beyond
        the first. "slices": every slice counts.

    Returns
    -------
    The temperature T, 0.01 to 100; above 1 softens.
    """
    true, probabilities, group = predictions
    weight = slice_weights(group) if weigh == "groups" else np.ones(len(true))
    logits = _logits(probabilities)
    # Distances from the true class: their soft maximum is the NLL, and nothing overflows.
    behind = logits - logits[np.arange(len(true)), true][:, None]

    def loss(log_temperature: float) -> float:
        values = np.logaddexp.reduce(behind / np.exp(log_temperature), axis=1)
        return float(weight @ values + log_temperature**2 / 2)

    return float(np.exp(minimize_scalar(loss, bounds=np.log(_TEMPERATURES)).x))


def saved_temperature(run: Run, saved: str) -> float:
    """Temperature of a saved model, fitted on what `predictions.unseen` gives of it."""
    classes = run.provenance()["parameters"]["classes"]
    return fit_temperature(unseen(run.read_table("predictions"), classes, saved), weigh="groups")


def at_temperature(probabilities: np.ndarray, temperature: float) -> np.ndarray:
    """Divide the logits by a temperature: float64 (N, K), rows summing to 1.

    At 1 the probabilities come back as they were.
    """
    return softmax(_logits(probabilities) / temperature, axis=1)


def rescaled(folds: Sequence[Fold], temperatures: Sequence[float]) -> list[Fold]:
    """Apply each fold's temperature to both of its parts."""
    return [
        Fold(*(part._replace(probabilities=at_temperature(part.probabilities, t)) for part in fold))
        for fold, t in zip(folds, temperatures, strict=True)
    ]


def assess(folds: Sequence[Fold], *, bins: int, bootstrap: Bootstrap) -> dict:
    """Score the pooled test slices before and after temperature scaling.

    Parameters
    ----------
    folds, bins, bootstrap
        From `predictions.study_folds`; as in `scores`.

    Returns
    -------
    dict of plain numbers: ``before`` and ``after`` as from `scores`, ``temperature`` (one per fold,
    groups weighing alike), and, for comparison, ``after_by_slice`` and ``temperature_by_slice``
    with slices weighing alike.
    """
    result = {"before": scores(pooled_test(folds), bins=bins, bootstrap=bootstrap)}
    for weigh, ending in (("groups", ""), ("slices", "_by_slice")):
        temperatures = [fit_temperature(fold.validation, weigh=weigh) for fold in folds]
        after = rescaled(folds, temperatures)
        result[f"temperature{ending}"] = temperatures
        result[f"after{ending}"] = scores(pooled_test(after), bins=bins, bootstrap=bootstrap)
    return result


def table(results: Mapping[tuple[str, int], Mapping]) -> pd.DataFrame:
    """Set all scores of {(scheme, stage): what `assess` gives} side by side.

    There is a row per scheme, stage and ``probabilities`` ("uncalibrated", "temperature by group",
    "temperature by slice"), with ``temperature`` (mean over folds) and the numbers of `scores`.
    """
    rows = {}
    for key, result in results.items():
        rows[*key, "uncalibrated"] = {"temperature": 1.0} | result["before"]
        for unit, ending in (("group", ""), ("slice", "_by_slice")):
            mean = np.mean(result[f"temperature{ending}"])
            rows[*key, f"temperature by {unit}"] = {"temperature": mean} | result[f"after{ending}"]
    return flat_table(rows, ["scheme", "stage", "probabilities"])


def reliability(
    folds: Sequence[Fold], temperatures: Sequence[float], *, bins: int
) -> dict[str, pd.DataFrame]:
    """Set confidence against accuracy of the pooled test slices, in bins equally wide from 0 to 1.

    Returns
    -------
    {"before" and "after" temperature scaling: DataFrame with one row for each bin that holds
    slices: ``n``, ``confidence`` and ``accuracy`` (means over its slices)}.
    """
    curves = {}
    for when, parts in {"before": folds, "after": rescaled(folds, temperatures)}.items():
        test = pooled_test(parts)
        slices = pd.DataFrame({"confidence": test.confidence, "accuracy": test.right})
        grouped = slices.groupby(_bin_numbers(test.confidence, bins, equal="width"))
        curves[when] = grouped.mean().assign(n=grouped.size()).reset_index(drop=True)
    return curves


def _logits(probabilities: np.ndarray) -> np.ndarray:
    return np.log(np.maximum(probabilities, _SMALLEST_FLOAT))


def _bin_numbers(confidence: np.ndarray, bins: int, *, equal: str) -> np.ndarray:
    """Number the bin of each confidence (N,), a confidence on an edge in the bin below it.

    Bins are `equal` in "width" from 0 to 1, or in "mass"; where many slices have one confidence
    they stay together and the bins of equal mass become fewer.
    """
    edges = np.linspace(0, 1, bins + 1)
    if equal == "mass":
        edges = np.unique(np.quantile(confidence, edges))
    return np.digitize(confidence, edges[1:-1], right=True)

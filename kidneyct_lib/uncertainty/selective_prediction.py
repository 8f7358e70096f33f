"""Selective prediction: the error that is left when the least confident slices are withheld."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from kidneyct_lib.evaluation.bootstrap import Bootstrap, estimate, flat_table
from kidneyct_lib.evaluation.predictions import Predictions

_ROUNDING = 1e-9  # of shares of slices, which are often whole numbers of them


def risk_coverage(predictions: Predictions) -> pd.DataFrame:
    """Trace the error among the most confident slices (El-Yaniv and Wiener 2010).

    Confidence is the highest probability. Slices of equal confidence are classified together.

    Returns
    -------
    DataFrame with one row for each confidence, falling: ``confidence``, ``coverage`` (share of
    the slices with at least this confidence) and ``risk`` (share of errors among them).
    """
    slices = pd.DataFrame({"confidence": predictions.confidence, "wrong": ~predictions.right})
    counts = slices.groupby("confidence")["wrong"].agg(["size", "sum"])[::-1].cumsum().reset_index()
    curve = counts[["confidence"]].assign(coverage=counts["size"] / len(slices))
    return curve.assign(risk=counts["sum"] / counts["size"])


def summarise(predictions: Predictions, withheld: Sequence[float], *, bootstrap: Bootstrap) -> dict:
    """Say what is gained by withholding the least confident slices.

    The area under the risk-coverage curve (AURC, Geifman et al. 2019) is the mean over slices of
    the error among those at least as sure. Without any sense of its own errors a model has the
    AURC of its error rate; one that is surest where it is right has ``aurc_best``.

    Parameters
    ----------
    predictions
        Pooled test slices.
    withheld
        Shares of slices to withhold, each from 0 to 1. Where slices of equal confidence
        would be parted all of them are classified, so that fewer are withheld.
    bootstrap
        Resamples of the groups.

    Returns
    -------
    dict of plain numbers: ``error``, ``aurc``, ``aurc_ci95`` and ``aurc_best``; ``withheld``
    {share, as text: {``coverage`` (share of the slices), ``accuracy`` (among them)}}.
    """
    curve = risk_coverage(predictions)
    gains = {}
    for share in withheld:
        reached = curve["coverage"].searchsorted(1 - share - _ROUNDING)
        point = curve.iloc[min(reached, len(curve) - 1)]
        accuracy = float(1 - point["risk"])
        gains[f"{share:g}"] = {"coverage": float(point["coverage"]), "accuracy": accuracy}

    order = np.argsort(-predictions.confidence, kind="stable")
    falling = -predictions.confidence[order]
    last = np.searchsorted(falling, falling, side="right") - 1  # place of equal confidence
    wrong = (~predictions.right[order]).astype(float)
    _, group = np.unique(predictions.group[order], return_inverse=True)

    def aurc(times: np.ndarray) -> float:
        """AURC where each slice occurs `times` times."""
        classified = times.cumsum()[last]
        errors = (times * wrong).cumsum()[last]
        risk = errors / np.maximum(classified, 1)  # none classified: none weighs anything either
        return float((times * risk).sum() / times.sum())

    n, groups = len(wrong), int(group.max()) + 1
    drawn = np.array([aurc(times[group]) for times in bootstrap.times(groups)])
    return {
        "error": float(wrong.mean()),
        **estimate("aurc", aurc(np.ones(n)), drawn, groups),
        "aurc_best": float((np.sort(wrong).cumsum() / np.arange(1, n + 1)).mean()),
        "withheld": gains,
    }


def table(results: Mapping[tuple[str, int], Mapping]) -> pd.DataFrame:
    """Set the numbers of {(scheme, stage): what `summarise` gives} side by side.

    There is a row per scheme and stage, with ``accuracy_without_<share>`` for each share withheld.
    """
    rows = {
        key: result
        | {f"accuracy_without_{k}": gain["accuracy"] for k, gain in result["withheld"].items()}
        for key, result in results.items()
    }
    return flat_table(rows, ["scheme", "stage"])

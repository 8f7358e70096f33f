"""Is this image one of the kind the model was trained on? A distance to the training images.

Arrays in, arrays out: features are one row per image, from whatever layer the caller chose.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy.linalg import LinAlgError, cholesky, solve_triangular, svd
from sklearn.covariance import ledoit_wolf, ledoit_wolf_shrinkage
from sklearn.metrics import roc_auc_score
from sklearn.neighbors import NearestNeighbors

from kidneyct_lib.core.errors import StudyError
from kidneyct_lib.evaluation.bootstrap import Bootstrap, flat_table

SCHEMES = ("slice", "patient")
_NEIGHBOURS = 10
_SAME_FEATURES = (
    "The training images have the same features, so nothing can be far from them: is the "
    "backbone trained, and do the images differ?"
)

Score = Callable[[np.ndarray], np.ndarray]
"""Features float (N, D) to a distance of each row, (N,): the larger, the stranger."""


def mahalanobis(training: np.ndarray) -> Score:
    """Measure the distance to the mean of the training features in their own spread.

    The distance of Lee et al. 2018 (arXiv 1807.03888) with one Gaussian for all classes: a slice
    is in distribution whatever it shows. The covariance is shrunk towards a sphere (Ledoit and Wolf
    2004), so that it can be inverted with fewer slices than features.

    Parameters
    ----------
    training
        Features, float (M, D), of at least two images that differ.

    Raises
    ------
    StudyError
        If the features do not vary or are not finite.
    """
    _require_finite(training)
    mean = training.mean(axis=0, dtype=np.float64)
    covariance, _ = ledoit_wolf(training - mean, assume_centered=True)
    try:
        factor = cholesky(covariance, lower=True)
    except LinAlgError:
        raise StudyError(_SAME_FEATURES) from None
    whiten = solve_triangular(factor, np.eye(len(factor)), lower=True).T
    return lambda features: np.linalg.norm((features - mean) @ whiten, axis=1)


@dataclass(frozen=True)
class PrincipalDistance:
    """Mahalanobis distance whose spread is known along some axes, and alike along all others.

    The Gaussian of probabilistic PCA (Tipping and Bishop 1999). A hundredth of the numbers of a
    whole matrix, so that a model can carry it along.

    Attributes
    ----------
    mean
        float64 (D,).
    axes
        float64 (D, R), orthonormal columns.
    variances
        float64 (R,), above 0: along the axes.
    rest
        Variance along every other direction, above 0.
    """

    mean: np.ndarray
    axes: np.ndarray
    variances: np.ndarray
    rest: float

    def __call__(self, features: np.ndarray) -> np.ndarray:
        """Distances (N,) of features (N, D)."""
        off = features - self.mean
        along = np.square(off @ self.axes)
        beside = np.square(off).sum(axis=1) - along.sum(axis=1)
        return np.sqrt((along / self.variances).sum(axis=1) + beside.clip(0) / self.rest)


def principal_distance(training: np.ndarray, *, axes: int = 64) -> PrincipalDistance:
    """Keep the axes of largest spread of the covariance behind `mahalanobis`.

    Parameters
    ----------
    training
        As in `mahalanobis`, which raises the same errors.
    axes
        How many to keep, of at most one fewer than the features, D, and than the images, M.
    """
    _require_finite(training)
    mean = training.mean(axis=0, dtype=np.float64)
    off = training - mean
    images, width = off.shape
    kept = min(axes, width - 1, images - 1)
    shrinkage = ledoit_wolf_shrinkage(off, assume_centered=True)
    total = np.square(off).sum() / images  # what shrinking towards a sphere leaves as it is
    _, spread, directions = svd(off, full_matrices=False)
    own = (1 - shrinkage) * np.square(spread[:kept]) / images
    variances = own + shrinkage * total / width
    rest = float(total - variances.sum()) / (width - kept)
    if rest <= 0:
        raise StudyError(_SAME_FEATURES)
    return PrincipalDistance(mean, directions[:kept].T, variances, rest)


def nearest_neighbours(training: np.ndarray) -> Score:
    """Measure the distance to the tenth nearest training image.

    As Sun et al. 2022 (arXiv 2204.06507): features are scaled to length 1 first. With fewer
    training images than ten, the farthest counts. Takes what `mahalanobis` does, of at least one
    image, and raises StudyError if the features are not finite.
    """
    _require_finite(training)
    count = min(_NEIGHBOURS, len(training))
    index = NearestNeighbors(n_neighbors=count, algorithm="brute").fit(_unit(training))
    return lambda features: index.kneighbors(_unit(features))[0][:, -1]


SCORES: dict[str, Callable[[np.ndarray], Score]] = {
    "mahalanobis": mahalanobis,
    "nearest neighbours": nearest_neighbours,
}


class Gate(NamedTuple):
    """A score with the threshold above which it refuses.

    Attributes
    ----------
    score
        Fitted on the training slices of a fold, or on all.
    threshold
        The least score that the requested share of slices stays within that it was not fitted on.
    test
        Scores of the fold's test slices, or of all folds', (T,).
    """

    score: Score
    threshold: float
    test: np.ndarray


def fit_gate(
    features: np.ndarray, part: Sequence[str], fit: Callable[[np.ndarray], Score], *, kept: float
) -> Gate:
    """Fit a score on the training slices of a fold, and its threshold on the validation slices.

    Parameters
    ----------
    features
        Of every image, float (N, D).
    part
        "train", "validation" or "test" for each, (N,).
    fit
        A value of `SCORES`.
    kept
        Share of the validation slices to accept, 0 to 1.
    """
    part = np.asarray(part)
    score = fit(features[part == "train"])
    threshold = np.quantile(score(features[part == "validation"]), kept, method="higher")
    return Gate(score, float(threshold), score(features[part == "test"]))


def fit_final_gate(
    features: np.ndarray,
    folds: Sequence[Sequence[str]],
    fit: Callable[[np.ndarray], Score],
    *,
    kept: float,
) -> Gate:
    """Fit a score on all slices, and its threshold on slices of which it was not fitted.

    Parameters
    ----------
    features, fit
        As in `fit_gate`.
    folds
        The parts of each fold by patient, (N,). Its test slices are scored without what shows
        their patients.
    kept
        Share of the test slices of all folds to accept, 0 to 1.
    """
    test = np.concatenate([fit_gate(features, part, fit, kept=kept).test for part in folds])
    return Gate(fit(features), float(np.quantile(test, kept, method="higher")), test)


def assess(
    features: np.ndarray,
    split: pd.DataFrame,
    ood: Mapping[str, np.ndarray],
    known: Mapping[str, np.ndarray],
    *,
    fit: Callable[[np.ndarray], Score],
    kept: float,
    bootstrap: Bootstrap,
) -> dict:
    """Count the rejected images of each kind.

    The test slices of all folds are counted; other images are judged by the gate of the first
    fold by patient, which is that of the saved model.

    Parameters
    ----------
    features, fit, kept
        As in `fit_gate`.
    split
        tables/splits.csv: ``group``, ``fold``, ``slice`` and ``patient``, each fold in the
        features' order.
    ood, known
        {kind: features (n, D)} of images that should be rejected, and of others that should be
        accepted.
    bootstrap
        Resamples of the groups.

    Returns
    -------
    dict of plain numbers: ``quantile`` (`kept`), ``threshold`` (of the saved model),
    ``in_distribution_rejected`` (share of the test slices of new patients) with ``_ci95``,
    ``thresholds`` {scheme: one per fold}, ``in_distribution`` {scheme: {``n``, ``rejected``,
    ``rejected_ci95``}}, and ``ood_images`` and ``id_images`` {kind: {``n``, ``auroc`` (area under
    the ROC curve against the first fold's test slices), ``rejected`` (share)}}.
    """
    folds = [rows for _, rows in split.groupby("fold")]
    gates, in_distribution = {}, {}
    for scheme in SCHEMES:
        gates[scheme] = [fit_gate(features, rows[scheme], fit, kept=kept) for rows in folds]
        rejected = np.concatenate([gate.test > gate.threshold for gate in gates[scheme]])
        group = np.concatenate([rows.loc[rows[scheme] == "test", "group"] for rows in folds])
        ratio = bootstrap.ratio("rejected", rejected, np.ones(len(rejected)), group)
        in_distribution[scheme] = {"n": len(rejected)} | ratio
    deployed = gates["patient"][0]
    return {
        "quantile": kept,
        "threshold": deployed.threshold,
        "in_distribution_rejected": in_distribution["patient"]["rejected"],
        "in_distribution_rejected_ci95": in_distribution["patient"]["rejected_ci95"],
        "thresholds": {s: [gate.threshold for gate in fitted] for s, fitted in gates.items()},
        "in_distribution": in_distribution,
        "ood_images": {kind: _judged(deployed, values) for kind, values in ood.items()},
        "id_images": {kind: _judged(deployed, values) for kind, values in known.items()},
    }


def table(results: Mapping[str, Mapping]) -> pd.DataFrame:
    """Set the kinds of images of {name of the score: what `assess` gives} side by side.

    There is a row per ``score`` and ``kind``: ``in_distribution`` (whether it should be accepted),
    ``n``, ``rejected`` with its interval for the test slices, and ``auroc``.
    """
    rows: dict[tuple[str, str, bool], Mapping] = {}
    for score, result in results.items():
        for scheme, counted in result["in_distribution"].items():
            rows[score, f"test slices, by {scheme}", True] = counted
        for kinds, accepted in (("id_images", True), ("ood_images", False)):
            rows |= {(score, kind, accepted): judged for kind, judged in result[kinds].items()}
    return flat_table(rows, ["score", "kind", "in_distribution"])


def _judged(gate: Gate, features: np.ndarray) -> dict:
    scores = gate.score(features)
    strange = np.repeat([0, 1], [len(gate.test), len(scores)])
    auroc = roc_auc_score(strange, np.concatenate([gate.test, scores]))
    caught = float((scores > gate.threshold).mean())
    return {"n": len(scores), "auroc": float(auroc), "rejected": caught}


def _unit(features: np.ndarray) -> np.ndarray:
    """Scale each row to length 1; a row of zeros stays."""
    length = np.linalg.norm(features, axis=1, keepdims=True)
    return features / np.where(length > 0, length, 1)


def _require_finite(features: np.ndarray) -> None:
    if not np.isfinite(features).all():
        raise StudyError("A training image has features that are not finite numbers.")

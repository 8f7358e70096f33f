"""Shallow classifiers on fixed features of the images, and their out-of-fold predictions.

They cost seconds where a network costs hours, so they can be fitted hundreds of times: what
they reach says how much of a task is solved before any network is trained.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import pandas as pd
from sklearn.base import ClassifierMixin, clone
from sklearn.decomposition import PCA
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits
from tqdm import tqdm

from kidneyct_lib.core import engine
from kidneyct_lib.evaluation import metrics
from kidneyct_lib.evaluation.bootstrap import Bootstrap
from kidneyct_lib.evaluation.predictions import (
    predictions_table,
    probability_columns,
    slice_weights,
)

_MOST_ITERATIONS = 2000


@dataclass(frozen=True)
class Probe:
    """A classifier on fixed features of a study's images.

    Attributes
    ----------
    estimator : scikit-learn classifier
        Cloned for each fit. Whatever it learns, scaling and components included, it learns from
        the training rows.
    features : float array (N, D)
        One row per image.
    table : pandas.DataFrame
        ``path``, ``label``, ``sha256`` and ``group`` of each image, in the same order.
    classes : sequence of str
        The study's classes: the order of the predictions' columns.
    by_group : bool
        Weigh slices so that every group counts alike, whatever its number of slices.
    also : float array (N, D) or None
        The same images seen in another way, to which the classifier is fitted as well: each image
        counts once in all.
    """

    estimator: ClassifierMixin
    features: np.ndarray
    table: pd.DataFrame
    classes: Sequence[str]
    by_group: bool = False
    also: np.ndarray | None = None

    def predict(self, train: np.ndarray, test: np.ndarray) -> np.ndarray:
        """Fit on some images and predict others: `fit` on the features of the images `test`."""
        return self.fit(train)(self.features[test])

    def fit(self, train: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
        """Fit on some images.

        Parameters
        ----------
        train
            bool (N,): which.

        Returns
        -------
        function of features (M, D) to class probabilities, float64 (M, K); 0 for a class that no
        training image has.
        """
        known, code = np.unique(self.table["label"].to_numpy()[train], return_inverse=True)
        columns = pd.Index(self.classes).get_indexer(known)
        fitted = None  # nothing to tell apart
        if len(known) > 1:
            # On products this narrow several BLAS threads are slower than one, most of all where
            # other processes are at work, and the last digits would depend on their number.
            sets = [one[train] for one in (self.features, self.also) if one is not None]
            with threadpool_limits(1):
                fitted = clone(self.estimator).fit(
                    np.concatenate(sets), np.tile(code, len(sets)), **self._weights(train)
                )

        def predict(features: np.ndarray) -> np.ndarray:
            probabilities = np.zeros((len(features), len(self.classes)))
            scores = np.ones((len(features), 1))
            if fitted is not None:
                with threadpool_limits(1):
                    scores = fitted.predict_proba(features).astype(np.float64)
            # Sums of single precision are 1 only nearly.
            probabilities[:, columns] = scores / scores.sum(axis=1, keepdims=True)
            return probabilities

        return predict

    def _weights(self, train: np.ndarray) -> dict[str, np.ndarray]:
        """Weights for the last step's fit; balanced classes are of what these weigh."""
        if not self.by_group and self.also is None:
            return {}
        sets = 1 if self.also is None else 2
        weights = np.ones(train.sum())
        if self.by_group:
            weights = slice_weights(self.table["group"].to_numpy()[train])
        last = self.estimator.steps[-1][0]
        # The penalty stays as it is.
        return {f"{last}__sample_weight": np.tile(weights / weights.mean() / sets, sets)}

    def out_of_fold(self, tested: np.ndarray, shown: np.ndarray | None = None) -> np.ndarray:
        """Predict every image by a classifier that was fitted on the other folds.

        Parameters
        ----------
        tested
            int (N,): number of the fold that tests each image.
        shown
            float (N, D): features of the images as they are tested; as they are fitted by default.

        Returns
        -------
        float64 (N, K): class probabilities.
        """
        shown = self.features if shown is None else shown
        probabilities = np.empty((len(tested), len(self.classes)))
        for fold in np.unique(tested):
            probabilities[tested == fold] = self.fit(tested != fold)(shown[tested == fold])
        return probabilities

    def score(
        self, probabilities: np.ndarray, images: np.ndarray | None = None, *, bootstrap: Bootstrap
    ) -> dict:
        """Score predictions as `metrics.summarise` does.

        Parameters
        ----------
        probabilities
            float (number of images, K): class probabilities.
        images
            bool (N,): which they are for; all by default.
        bootstrap
            Of the intervals.
        """
        known = self.table if images is None else self.table[images]
        scores = pd.DataFrame(probabilities, known.index, probability_columns(self.classes))
        rows = known[["label", "group"]].join(scores)
        return metrics.summarise(rows, self.classes, bootstrap=bootstrap)

    def rows(
        self, probabilities: np.ndarray, tested: np.ndarray, *, scheme: str, model: str
    ) -> pd.DataFrame:
        """Put out-of-fold predictions into the form of the predictions table.

        Parameters
        ----------
        probabilities, tested
            As returned and taken by `out_of_fold`.
        scheme, model
            One value each for all rows.

        Returns
        -------
        DataFrame as tables/predictions.csv with ``model`` in place of ``stage``: each image once,
        in the part "test" of its fold.
        """
        named = {"scheme": scheme, "model": model, "fold": tested}
        split = np.full(len(tested), "test")
        return predictions_table(self.table, split, probabilities, self.classes, **named)


def predict_each(
    probes: Sequence[Probe], tested: Sequence[np.ndarray], *, label: str, unit: str
) -> list[np.ndarray]:
    """Predict out of fold by several probes, wherever there is somebody to compute.

    Parameters
    ----------
    probes, tested
        Each probe, and the folds as `Probe.out_of_fold` takes them.
    label, unit
        Names of the whole and of one probe, on the progress bar.

    Returns
    -------
    list of float64 (N, K): what `Probe.out_of_fold` gives for each.
    """
    # Classes and groups are all that a fit needs of the catalog.
    light = [replace(probe, table=probe.table[["label", "group"]]) for probe in probes]
    calls = [{"self": one, "tested": folds} for one, folds in zip(light, tested, strict=True)]
    return engine.run_all(Probe.out_of_fold, calls, label=label, unit=unit)


def logistic_regression(*, c: float) -> Pipeline:
    """Build a linear classifier: standardised features, ridge penalty, balanced classes.

    Parameters
    ----------
    c
        Inverse strength of the penalty, above 0.
    """
    solver = LogisticRegression(C=c, class_weight="balanced", max_iter=_MOST_ITERATIONS)
    return make_pipeline(StandardScaler(), solver)


def pca_forest(shape: tuple[int, int], *, components: int, trees: int, seed: int) -> Pipeline:
    """Build a random forest on principal components.

    Parameters
    ----------
    shape
        Of the features, (N, D). Fewer components are used where D is smaller, or half of N: what
        the training part of two or more folds is about sure to hold.
    components, trees
        Numbers of them.
    seed
        Of the randomised decomposition and of the forest.
    """
    kept = max(1, min(components, shape[0] // 2, shape[1]))
    pca = PCA(kept, svd_solver="randomized", random_state=seed)
    return make_pipeline(pca, RandomForestClassifier(trees, random_state=seed))


class Nearest(NamedTuple):
    """The training slice most like each test slice.

    Attributes
    ----------
    row
        int64 (N,): its row number.
    correlation
        float32 (N,): the correlation of the two thumbnails, -1 to 1.
    """

    row: np.ndarray
    correlation: np.ndarray

    def predict(self, labels: Sequence[str], classes: Sequence[str]) -> np.ndarray:
        """Predict that slice's class, as a classifier by the nearest neighbour does.

        Returns
        -------
        float64 (N, K): 1 for the class, 0 for the others.
        """
        return (np.asarray(labels)[self.row][:, None] == np.asarray(classes)).astype(np.float64)


def nearest_training(thumbs: np.ndarray, tested: np.ndarray, *, block: int) -> Nearest:
    """Find the most similar slice of the other folds for every slice.

    Parameters
    ----------
    thumbs
        float32 (N, D) from `near_duplicates.thumbnails`: a dot product is a correlation.
    tested
        int (N,): number of the fold that tests each slice; two or more folds.
    block
        Slices compared with the training part at a time: bounds the memory.
    """
    row = np.empty(len(thumbs), np.int64)
    correlation = np.empty(len(thumbs), np.float32)
    for fold in tqdm(np.unique(tested), desc="nearest training slices", unit="fold", leave=False):
        (test,), (train,) = np.nonzero(tested == fold), np.nonzero(tested != fold)
        training = thumbs[train]
        for start in range(0, len(test), block):
            rows = test[start : start + block]
            alike = thumbs[rows] @ training.T
            best = alike.argmax(axis=1)
            row[rows] = train[best]
            correlation[rows] = alike[np.arange(len(rows)), best].clip(-1, 1)
    return Nearest(row, correlation)

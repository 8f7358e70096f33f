"""The predictions table, one row per image and one probability column per class; and its arrays.

Whatever is fitted to a model's predictions is fitted to the validation slices of a fold and
applied to its test slices; the test slices of all folds are then pooled.
"""

from collections.abc import Sequence
from typing import NamedTuple, cast

import numpy as np
import pandas as pd

from kidneyct_lib.core.errors import StudyError

CLIP = 1e-7
"""Smallest probability in a logarithm."""

# Rounding that a softmax in single precision, written to CSV, may leave in a row's sum.
_SUM_TOLERANCE = 1e-3


class EvaluationError(StudyError):
    """A predictions table that metrics cannot be computed from."""


class Predictions(NamedTuple):
    """What a model said of some slices.

    Attributes
    ----------
    true
        Index of the true class, int (N,).
    probabilities
        float64 (N, K).
    group
        Code of each slice's group, from 0, int (N,).
    """

    true: np.ndarray
    probabilities: np.ndarray
    group: np.ndarray

    @property
    def predicted(self) -> np.ndarray:
        """Index of the class of highest probability, the first of equals, int (N,)."""
        return self.probabilities.argmax(axis=1)

    @property
    def confidence(self) -> np.ndarray:
        """Probability of each predicted class, float64 (N,)."""
        return self.probabilities.max(axis=1)

    @property
    def of_truth(self) -> np.ndarray:
        """Probability of each true class, float64 (N,)."""
        return self.probabilities[np.arange(len(self.true)), self.true]

    @property
    def nll(self) -> np.ndarray:
        """Negative log likelihood in nats, probabilities clipped at `CLIP`, float64 (N,)."""
        return -np.log(self.of_truth.clip(CLIP, 1))

    @property
    def right(self) -> np.ndarray:
        """Whether each predicted class is the true one, bool (N,)."""
        return self.predicted == self.true


class Fold(NamedTuple):
    """The two parts of one fold that training did not fit; a group has one code in all folds."""

    validation: Predictions
    test: Predictions


def probability_columns(classes: Sequence[str]) -> list[str]:
    """Name the probability column of each class: ``p_<class>``."""
    return [f"p_{name}" for name in classes]


def check_predictions(
    predictions: pd.DataFrame, classes: Sequence[str], *, columns: Sequence[str] = ()
) -> Predictions:
    """Check that metrics can be computed from a table, and take its arrays out.

    Parameters
    ----------
    predictions
        One row per image: ``label``, ``group``, the probability columns, and `columns`. Where it
        has them, ``scheme``, ``stage`` and ``split`` hold one value each and ``path`` holds no
        value twice.
    classes
        The study's classes.
    columns
        Further columns that the caller needs.

    Raises
    ------
    EvaluationError
        If the table is empty, lacks a column, mixes schemes, stages or parts, lists an image
        twice, or holds an unknown label, a missing value or probabilities that do not sum to 1.
    """
    if predictions.empty:
        raise EvaluationError("There are no predictions to evaluate.")
    needed = ["label", "group", *columns, *probability_columns(classes)]
    for column in needed:
        if column not in predictions:
            raise EvaluationError(f"The predictions have no column {column!r}.")
        if predictions[column].isna().any():
            raise EvaluationError(f"Column {column!r} of the predictions has missing values.")
    for column in ("scheme", "stage", "split"):
        if column in predictions and predictions[column].nunique() > 1:
            values = ", ".join(map(str, predictions[column].unique()))
            raise EvaluationError(f"The predictions mix {column} {values}: evaluate one at a time.")
    if "path" in predictions and predictions["path"].duplicated().any():
        path = predictions.loc[predictions["path"].duplicated(), "path"].iloc[0]
        raise EvaluationError(f"The predictions list {path} more than once.")
    true = pd.Index(classes).get_indexer(pd.Index(predictions["label"]))
    if (true < 0).any():
        unknown = predictions["label"].iloc[int((true < 0).argmax())]
        raise EvaluationError(f"Label {unknown!r} is not one of the classes {', '.join(classes)}.")
    probabilities = _checked_probabilities(predictions[probability_columns(classes)])
    return Predictions(true, probabilities, pd.factorize(predictions["group"])[0])


def _checked_probabilities(table: pd.DataFrame) -> np.ndarray:
    """Return the probabilities as float64 (N, K) if each row is a distribution."""
    probabilities = table.to_numpy(np.float64)
    if probabilities.min() < 0:
        raise EvaluationError(f"A probability is negative: {probabilities.min():g}.")
    off = np.abs(probabilities.sum(axis=1) - 1)
    if not off.max() <= _SUM_TOLERANCE:
        row = int(off.argmax())
        raise EvaluationError(
            f"The probabilities of row {row} sum to {probabilities[row].sum():g}, not to 1."
        )
    return probabilities


def predictions_table(
    catalog: pd.DataFrame,
    split: Sequence[str],
    probabilities: np.ndarray,
    classes: Sequence[str],
    *,
    scheme: str,
    fold: int | np.ndarray,
    **source: int | str,
) -> pd.DataFrame:
    """Put one model's predictions for the images of a catalog into the predictions table's form.

    Parameters
    ----------
    catalog
        Columns ``path``, ``label`` and ``group``, one row per image.
    split, probabilities
        Part of each image ("train", "validation" or "test"), and float (N, K) with columns in the
        order of `classes`; both in the catalog's order.
    scheme
        How images are split; one value for the whole table.
    fold
        The model's, or that of the model that predicted each image, (N,).
    source
        ``stage`` or ``model``: which one predicts; one value for the whole table.

    Raises
    ------
    EvaluationError
        If the catalog, the split and the probabilities are not of one length.
    """
    if not len(catalog) == len(split) == len(probabilities):
        raise EvaluationError(
            f"{len(probabilities)} predictions and {len(split)} parts do not fit "
            f"{len(catalog)} images."
        )
    known = catalog[["path", "label", "group"]].reset_index(drop=True)
    known = known.assign(scheme=scheme, **source, split=np.asarray(split), fold=fold)
    scores = pd.DataFrame(np.asarray(probabilities), columns=probability_columns(classes))
    return pd.concat([known, scores], axis=1)


def study_folds(
    predictions: pd.DataFrame, classes: Sequence[str]
) -> dict[tuple[str, int], list[Fold]]:
    """Take validation and test predictions out of tables/predictions.csv.

    Returns
    -------
    {(scheme, stage): folds}, in the table's order.

    Raises
    ------
    StudyError
        If a fold has no validation or no test rows, or the table fails `check_predictions`.
    """
    grouped = predictions.reset_index(drop=True).groupby(["scheme", "stage"], sort=False)
    keyed = {cast(tuple[str, int], key): rows for key, rows in grouped}
    return {key: _folds(rows, classes) for key, rows in keyed.items()}


def _folds(predictions: pd.DataFrame, classes: Sequence[str]) -> list[Fold]:
    group = pd.Series(pd.factorize(predictions["group"])[0], predictions.index)
    folds = []
    for number, rows in predictions.groupby("fold"):
        parts = []
        for name in ("validation", "test"):
            chosen = rows[rows["split"] == name]
            if chosen.empty:
                raise StudyError(f"Fold {number} of the predictions has no {name} rows.")
            part = check_predictions(chosen, classes)
            parts.append(part._replace(group=group[chosen.index].to_numpy()))
        folds.append(Fold(*parts))
    return folds


def unseen(predictions: pd.DataFrame, classes: Sequence[str], saved: str) -> Predictions:
    """Take the predictions by which a saved model is calibrated: of slices not fitted to.

    Parameters
    ----------
    predictions, classes
        As in `study_folds`.
    saved
        "slice" or "patient": the first fold's model, and so that fold's validation slices. "final":
        the model fitted on all patients, which has no such slices; the test slices of all folds by
        patient stand in, each predicted by a model of the same recipe.
    """
    folds = study_folds(predictions, classes)
    return pooled_test(folds["patient", 2]) if saved == "final" else folds[saved, 2][0].validation


def pooled_test(folds: Sequence[Fold]) -> Predictions:
    """Put the test predictions of all folds one after the other."""
    parts = [fold.test for fold in folds]
    return Predictions(*(np.concatenate(arrays) for arrays in zip(*parts, strict=True)))


def slice_weights(group: np.ndarray) -> np.ndarray:
    """Weigh slices so that each group weighs 1 in all: float (N,)."""
    _, code, sizes = np.unique(group, return_inverse=True, return_counts=True)
    return 1 / sizes[code]

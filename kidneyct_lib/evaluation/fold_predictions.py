"""Validation and test predictions of every fold as arrays, from the predictions table.

Whatever is fitted to a model's predictions is fitted to the validation slices of a fold and
applied to its test slices; the test slices of all folds are then pooled.
"""

from collections.abc import Hashable, Sequence
from typing import NamedTuple, cast

import numpy as np
import pandas as pd

from kidneyct_lib.core.errors import StudyError
from kidneyct_lib.evaluation.predictions import check_predictions


class FoldPredictions(NamedTuple):
    """What a model said of some slices.

    Attributes
    ----------
    true
        Index of the true class, int (N,).
    probabilities
        float64 (N, K).
    group
        Code of each slice's group, from 0 and the same in all parts and folds, int (N,).
    """

    true: np.ndarray
    probabilities: np.ndarray
    group: np.ndarray

    @property
    def confidence(self) -> np.ndarray:
        """Probability of each predicted class, float64 (N,)."""
        return self.probabilities.max(axis=1)

    @property
    def right(self) -> np.ndarray:
        """Whether each predicted class is the true one, bool (N,)."""
        return self.probabilities.argmax(axis=1) == self.true


class Fold(NamedTuple):
    """The two parts of one fold that training did not fit."""

    validation: FoldPredictions
    test: FoldPredictions


def study_folds(
    predictions: pd.DataFrame, classes: Sequence[str]
) -> dict[tuple[str, int], list[Fold]]:
    """Take validation and test predictions out of tables/predictions.csv.

    Parameters
    ----------
    predictions
        The table.
    classes
        The study's classes.

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
    return {key: _fold_predictions(rows, classes) for key, rows in keyed.items()}


def _fold_predictions(predictions: pd.DataFrame, classes: Sequence[str]) -> list[Fold]:
    group = pd.Series(pd.factorize(predictions["group"])[0], predictions.index)

    def part(rows: pd.DataFrame, number: Hashable, name: str) -> FoldPredictions:
        chosen = rows[rows["split"] == name]
        if chosen.empty:
            raise StudyError(f"Fold {number} of the predictions has no {name} rows.")
        true, probabilities = check_predictions(chosen, classes, columns=["group"])
        return FoldPredictions(true, probabilities, group[chosen.index].to_numpy())

    return [
        Fold(part(rows, number, "validation"), part(rows, number, "test"))
        for number, rows in predictions.groupby("fold")
    ]


def unseen(predictions: pd.DataFrame, classes: Sequence[str], saved: str) -> FoldPredictions:
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


def pooled_test(folds: Sequence[Fold]) -> FoldPredictions:
    """Put the test predictions of all folds one after the other."""
    parts = [fold.test for fold in folds]
    return FoldPredictions(*(np.concatenate(arrays) for arrays in zip(*parts, strict=True)))


def slice_weights(group: np.ndarray) -> np.ndarray:
    """Weigh slices so that each group weighs 1 in all: float (N,)."""
    _, code, sizes = np.unique(group, return_inverse=True, return_counts=True)
    return 1 / sizes[code]

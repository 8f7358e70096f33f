"""The predictions table: one row per image, one probability column a class."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from kidneyct_lib.core.errors import StudyError

# Rounding that a softmax in single precision, written to CSV, may leave in a row's sum.
_SUM_TOLERANCE = 1e-3


class EvaluationError(StudyError):
    """A predictions table that metrics cannot be computed from."""


def probability_columns(classes: Sequence[str]) -> list[str]:
    """Name the probability column of each class: ``p_<class>``."""
    return [f"p_{name}" for name in classes]


def check_predictions(
    predictions: pd.DataFrame, classes: Sequence[str], *, columns: Sequence[str]
) -> tuple[np.ndarray, np.ndarray]:
    """Check that metrics can be computed from a table, and take its arrays out.

    Parameters
    ----------
    predictions
        One row per image: ``label``, the probability columns, and `columns`. Where it has them,
        ``scheme``, ``stage`` and ``split`` hold one value each and ``path`` holds no value twice.
    classes
        The study's classes.
    columns
        Further columns that the caller needs.

    Returns
    -------
    The true class of each row as an index into `classes`, int (N,), and the probabilities,
    float64 (N, K).

    Raises
    ------
    EvaluationError
        If the table is empty, lacks a column, mixes schemes, stages or parts, lists an image
        twice, or holds an unknown label, a missing value or probabilities that do not sum to 1.
    """
    if predictions.empty:
        raise EvaluationError("There are no predictions to evaluate.")
    needed = ["label", *columns, *probability_columns(classes)]
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
    return true, _checked_probabilities(predictions[probability_columns(classes)])


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
    stage: int,
    fold: int,
) -> pd.DataFrame:
    """Put one model's predictions for every image of a catalog into the predictions table's form.

    Parameters
    ----------
    catalog
        Columns ``path``, ``label`` and ``group``, one row per image.
    split
        Part of each image ("train", "validation" or "test"), in the catalog's order.
    probabilities
        Float (N, K), rows in the catalog's order, columns in the order of `classes`.
    classes
        The study's classes.
    scheme, stage, fold
        What the model was trained on; one value each for the whole table.

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
    known = known.assign(scheme=scheme, stage=stage, split=np.asarray(split), fold=fold)
    scores = pd.DataFrame(np.asarray(probabilities), columns=probability_columns(classes))
    return pd.concat([known, scores], axis=1)

"""The splits of a study under both schemes: one split, or folds that test every image once."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from sklearn.model_selection import StratifiedGroupKFold

from kidneyct_lib.splitting import holdout
from kidneyct_lib.splitting.holdout import UNITS, SplitError

_TRIES = 50


def study_splits(
    table: pd.DataFrame, *, folds: int, test_fraction: float, validation_fraction: float, seed: int
) -> pd.DataFrame:
    """Split a study's images by slice and by patient.

    Parameters
    ----------
    table
        One row per image: ``path``, ``label``, ``sha256``, ``group``, and ``part`` where the images
        come with a test part.
    folds
        1: one split by the fractions. k (2 or more): k splits; each image is in the test part of
        one of them and, with 3 folds or more, in the validation part of another. With 2, all that
        two patients of a class allow, none is left to validate: a share of the other half's
        slices does, whose patients are in training. A predefined test set makes one split in any
        case: it is the slice scheme's, and a number beside the published one needs no other.
    test_fraction, validation_fraction
        Shares of the images in these parts; only for one split. Beside a predefined test set (by
        slice) and with 2 folds, the latter is a share of what is not tested.
    seed
        Of the random choices.

    Returns
    -------
    DataFrame with the table's rows once per fold: ``path``, ``label``, ``group``, ``fold``
    (from 0), and ``slice`` and ``patient``, the part of the image under each scheme.

    Raises
    ------
    SplitError
        If a class has too few groups (or images) for the parts or folds.
    """
    named = table[["path", "label", "group"]].reset_index(drop=True)
    options: dict[str, Any] = {"validation_fraction": validation_fraction, "seed": seed}
    if folds == 1 or "part" in table:
        if "part" in table:
            by_slice = holdout.predefined_split(table, **options)
        else:
            by_slice = holdout.split(table, "slice", test_fraction=test_fraction, **options)
        by_patient = holdout.split(table, "patient", test_fraction=test_fraction, **options)
        return named.assign(fold=0, slice=by_slice.to_numpy(), patient=by_patient.to_numpy())
    tested = {scheme: assign_folds(table, scheme, folds=folds, seed=seed) for scheme in UNITS}
    splits = []
    for fold in range(folds):
        parts = {scheme: _parts(table, tested[scheme], fold, options) for scheme in UNITS}
        splits.append(named.assign(fold=fold, **parts))
    return pd.concat(splits, ignore_index=True)


def assign_folds(table: pd.DataFrame, scheme: str, *, folds: int, seed: int) -> np.ndarray:
    """Number of the fold that tests each image: int (N,), every class in every fold.

    scikit-learn's StratifiedGroupKFold assigns whole units; where it leaves a fold without a
    class, the next seed is tried.

    Raises
    ------
    SplitError
        If a class has fewer units than there are folds, or no assignment served every fold.
    """
    unit = holdout.linked_rows(table, UNITS[scheme])
    labels = table["label"].to_numpy()
    held = pd.Series(unit).groupby(labels).nunique()
    if held.min() < folds:
        raise SplitError(
            f"{folds} folds by {scheme} are impossible: class {held.idxmin()!r} has {held.min()} "
            f"{'groups' if scheme == 'patient' else 'images'}. Choose fewer folds."
        )
    for attempt in range(_TRIES):
        splitter = StratifiedGroupKFold(folds, shuffle=True, random_state=seed + attempt)
        fold = np.empty(len(table), int)
        for number, (_, test) in enumerate(splitter.split(unit, labels, unit)):
            fold[test] = number
        if pd.crosstab(labels, fold).to_numpy().min() > 0:
            return fold
    raise SplitError(
        f"No assignment to {folds} folds by {scheme} put every class into every fold; "
        "choose fewer folds."
    )


def assert_disjoint(table: pd.DataFrame, split: pd.DataFrame) -> None:
    """Check every fold of both schemes at the moment of use; raises SplitError on a leak.

    Files must not be in two parts. Groups must not be under the patient scheme, but for two folds,
    where training and validation share them: there they must not be on both sides of the test.
    """
    halves = split["fold"].nunique() == 2
    for _, rows in split.groupby("fold"):
        for scheme, units in UNITS.items():
            holdout.assert_disjoint(table, rows[scheme], by=["path", *UNITS["slice"]])
            sides = rows[scheme].replace("validation", "train") if halves else rows[scheme]
            holdout.assert_disjoint(table, sides, by=units)


def _parts(
    table: pd.DataFrame, tested: np.ndarray, fold: int, options: Mapping[str, Any]
) -> np.ndarray:
    """Part of each image in one fold: the next fold's images validate, the others train.

    Of two folds the next one is all that is left to train on, so a share of it validates.
    """
    folds = tested.max() + 1
    if folds == 2:
        halves = table.assign(part=np.where(tested == fold, "test", "train"))
        return holdout.predefined_split(halves, **options).to_numpy()
    validating = tested == (fold + 1) % folds
    return np.select([tested == fold, validating], ["test", "validation"], "train")

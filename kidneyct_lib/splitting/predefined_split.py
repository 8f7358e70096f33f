"""A test part that the images came with: kept by the slice scheme, and what it shares.

Some public sets are published divided into Train and Test. A number by slice can be set beside
theirs only on the same test images. Whether the two parts share patients is not known from such a
set; the recovered groups tell, and the patient scheme does not look at the given parts.

A table has one row per image, with ``part`` ("train" or "test") beside what `splits` needs.
"""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from kidneyct_lib.splitting import holdout
from kidneyct_lib.splitting.holdout import SplitError


def slice_split(table: pd.DataFrame, *, validation_fraction: float, seed: int) -> pd.Series:
    """Keep the predefined test set, and divide the given training part for validation.

    Stratified by class, identical files on one side, every class in every part.

    Parameters
    ----------
    table
        Columns ``label``, ``sha256`` and ``part``.
    validation_fraction
        Share of each class's training slices, above 0 and below 1.
    seed
        Of the shuffle.

    Returns
    -------
    Series of "train", "validation" or "test", named "split", on the table's index.

    Raises
    ------
    SplitError
        If a class is not in the predefined test set or has fewer than two different training files.
    """
    split = table["part"].rename("split").copy()
    training = table[split == "train"]
    tested = set(table.loc[split == "test", "label"])
    for label in sorted(set(table["label"]) - tested):
        raise SplitError(
            f"The predefined test set holds no image of the class {label!r}. Add some, or put all "
            "images into one folder per class, so that the study chooses a test part."
        )
    rng = np.random.default_rng(seed)
    unit = holdout.linked_rows(training, ["sha256"])
    majority, sizes = holdout.majority_and_size(training, unit)
    part = np.empty(len(sizes), object)
    for label in sorted(tested):
        members = np.flatnonzero(majority == label)
        if len(members) < 2:
            raise SplitError(
                f"Beside the test part there are {len(members)} different files of the class "
                f"{label!r}, and two are needed, one for training and one for validation."
            )
        quota = round(validation_fraction * sizes[members].sum())
        part[members] = holdout.fill_quotas(sizes[members], {"validation": quota}, rng)
    split[training.index] = part[unit]
    return split


def shared(table: pd.DataFrame) -> dict[str, int]:
    """Count what the given parts share; `table` has ``part`` and ``group``.

    The keys are ``test_slices``, ``groups`` (in all) and ``groups_in_both`` parts.
    """
    parts = table.groupby("group")["part"].nunique()
    return {
        "test_slices": int((table["part"] == "test").sum()),
        "groups": len(parts),
        "groups_in_both": int((parts > 1).sum()),
    }


def describe(counted: Mapping[str, int], *, folds: int) -> str:
    """Tell in words what the predefined test set means for a study that asks for so many folds."""
    message = (
        f"The images come with a test part of {counted['test_slices']:,} slices. The slice scheme "
        "keeps it; the patient scheme goes by groups over all images. "
        f"{counted['groups_in_both']:,} of {counted['groups']:,} groups stand in both given parts."
    )
    if folds > 1:
        message += (
            f" A predefined test set makes one split, so the {folds} folds asked for are not made: "
            "put all images into one folder per class to have every image tested."
        )
    return message

"""Class weights of a training part, computed from its slices or from its groups."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from sklearn.utils.class_weight import compute_class_weight

from kidneyct_lib.splitting.holdout import SplitError


def by_slice(labels: Sequence[str], classes: Sequence[str]) -> dict[str, float]:
    """Weigh classes inversely to their number of slices: N / (K * N_class).

    scikit-learn's "balanced" weights (King and Zeng 2001), as the published recipe has them.

    Parameters
    ----------
    labels, classes
        Class of each training slice; the study's classes.

    Returns
    -------
    dict from class to weight, in the order of `classes`; the mean weight over slices is 1.

    Raises
    ------
    SplitError
        If a class has no slice, or a label is not one of the classes.
    """
    present, classes = set(labels), list(classes)
    for absent in (name for name in classes if name not in present):
        raise SplitError(f"Class {absent!r} has no training images, so it has no class weight.")
    for unknown in sorted(present - set(classes), key=str):
        raise SplitError(f"Label {unknown!r} is not one of the classes {', '.join(classes)}.")
    weights = compute_class_weight("balanced", classes=np.array(classes), y=np.asarray(labels))
    return dict(zip(classes, weights.tolist(), strict=True))


def weightings(
    labels: Sequence[str], groups: Sequence, classes: Sequence[str]
) -> dict[str, dict[str, float]]:
    """Collect the class weights of a training part by name: "none", "slice" and "group".

    Those by group are inverse to the number of groups: G / (K * G_class), as slices per patient are
    so unequal that weights counted on slices follow a few patients. A group that mixes classes
    counts once for each; the mean weight over slices is not 1.

    Parameters
    ----------
    labels, groups, classes
        Class and group of each training slice; the study's classes.

    Returns
    -------
    dict of dicts from class to weight, in the order of `classes`.

    Raises
    ------
    SplitError
        As in `by_slice`.
    """
    pairs = pd.DataFrame({"group": np.asarray(groups), "label": np.asarray(labels)})
    return {
        "none": dict.fromkeys(classes, 1.0),
        "slice": by_slice(labels, classes),
        "group": by_slice(pairs.drop_duplicates()["label"].tolist(), classes),
    }


def of_images(
    table: pd.DataFrame, part: np.ndarray, classes: Sequence[str], weighting: str
) -> np.ndarray:
    """Weight of every image in the training loss, from the training part alone.

    Parameters
    ----------
    table
        Catalog of the N images: ``label`` and ``group``.
    part
        str (N,): "train" where an image belongs to the training part.
    classes, weighting
        The study's classes; a name of `weightings`.

    Returns
    -------
    float (N,), in the catalog's order.
    """
    training = table[np.asarray(part) == "train"]
    by_class = weightings(training["label"], training["group"], classes)[weighting]
    return table["label"].map(by_class).to_numpy()

"""Metrics by subgroup: plane, series size, and brightness as a proxy of contrast phase.

The public set tells neither age, sex, scanner nor phase; these three can be had from the images.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from kidneyct_lib.evaluation.bootstrap import FEW_GROUPS, Bootstrap, flat_row
from kidneyct_lib.evaluation.metrics import summarise

# What is brighter than the darkest 1 % of an image by more than this is tissue, not air.
_TISSUE_CONTRAST = 15


def tissue_gray(image: np.ndarray) -> float:
    """Mean gray level (0 to 255) of what is not air in a uint8 image (H, W)."""
    tissue = image[image > np.percentile(image, 1) + _TISSUE_CONTRAST]
    return float(tissue.mean() if tissue.size else image.mean())


def levels(table: pd.DataFrame, gray: Sequence[float]) -> pd.DataFrame:
    """Tell the level of each image in each subgroup.

    Parameters
    ----------
    table
        The catalog: ``path``, ``group``, ``plane``.
    gray
        Mean gray level of each image's tissue, (N,).

    Returns
    -------
    DataFrame with one row per image: ``path`` and, as ordered categories, ``plane``,
    ``series size`` (terciles of the groups by their slices in the study) and ``brightness``
    (terciles of the images by `gray`).
    """
    size = table.groupby("group")["path"].size()
    return pd.DataFrame(
        {
            "path": table["path"].to_numpy(),
            "plane": pd.Categorical(table["plane"]),
            "series size": terciles(size, "series of {}")[table["group"]].array,
            "brightness": terciles(pd.Series(gray).round(), "gray level {}").array,
        }
    )


def terciles(values: pd.Series, name: str) -> pd.Series:
    """Cut values in three parts of about equal number; equal values stay in one part.

    Returns
    -------
    Series of ordered categories; each bears `name`, its {} filled by the values that the part
    holds, such as "series of 4 to 9".
    """
    part = np.searchsorted(np.quantile(values, [1 / 3, 2 / 3]), values)
    names = {}
    for number, held in values.groupby(part):
        low, high = f"{held.min():g}", f"{held.max():g}"
        names[number] = name.format(low if low == high else f"{low} to {high}")
    named = pd.Categorical([names[number] for number in part], list(names.values()), ordered=True)
    return pd.Series(named, index=values.index)


def by_subgroup(
    predictions: pd.DataFrame,
    levels: pd.DataFrame,
    classes: Sequence[str],
    *,
    bootstrap: Bootstrap,
) -> pd.DataFrame:
    """Summarise the predictions of each level of each subgroup.

    Parameters
    ----------
    predictions
        Of one scheme, stage and part: ``path``, ``label``, ``group``, the probability columns.
    levels
        As from `levels`: ``path``, and one column per subgroup.
    classes, bootstrap
        As in `metrics.summarise`.

    Returns
    -------
    DataFrame with one row per level: ``subgroup``, ``level``, ``n`` (slices), ``groups``,
    ``accuracy`` with the ends ``accuracy_low`` and ``accuracy_high`` of its 95 % interval over
    groups, ``classes`` (how many occur in it), ``macro_f1`` (the mean over those), and
    ``few_groups`` (fewer than ten: the row says little).
    """
    rows = []
    known = predictions.merge(levels, on="path", validate="one_to_one")
    for subgroup in levels.columns.drop("path"):
        for level, members in known.groupby(subgroup, observed=True):
            result = summarise(members, classes, bootstrap=bootstrap)
            f1 = [values["f1"] for values in result["per_class"].values() if values["support"]]
            row = {"subgroup": subgroup, "level": level} | flat_row(result)
            row |= {"classes": len(f1), "macro_f1": float(np.mean(f1))}
            rows.append(row | {"few_groups": result["groups"] < FEW_GROUPS})
    columns = ["subgroup", "level", "n", "groups", "accuracy", "accuracy_low", "accuracy_high"]
    return pd.DataFrame(rows, columns=[*columns, "classes", "macro_f1", "few_groups"])

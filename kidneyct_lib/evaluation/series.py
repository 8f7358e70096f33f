"""Slices predicted together with their neighbours in the series: what more of a patient adds.

A lesion reaches over several slices, and a scan is read as a series. Where nearly every slice of a
series shows its class, as in data of chosen slices, long reaches look better than they would on
whole scans, in which a stone is seen in few slices.
"""

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import pandas as pd

from kidneyct_lib.data.image_folder import natural_key
from kidneyct_lib.evaluation import metrics
from kidneyct_lib.evaluation.bootstrap import Bootstrap, flat_table
from kidneyct_lib.evaluation.predictions import probability_columns

REACHES = {"0": 0, "1": 1, "2": 2, "4": 4, "8": 8, "whole series": None}
"""How many slices on either side are taken in; None: one vote of the whole series."""


def with_neighbours(
    predictions: pd.DataFrame, classes: Sequence[str], reach: int | None
) -> pd.DataFrame:
    """Give each slice the mean class probabilities of its part of the series.

    Parameters
    ----------
    predictions
        Test rows of one model, in the form of tables/predictions.csv. A group's slices follow each
        other in the natural order of their paths.
    classes
        The study's classes.
    reach
        Slices on either side, fewer where the series ends; None: all of the group.

    Returns
    -------
    DataFrame: the same rows with other probabilities.
    """
    columns = probability_columns(classes)
    order = predictions["path"].map(natural_key).sort_values().index
    series = predictions.loc[order].groupby("group", sort=False)[columns]
    if reach is None:
        means = series.transform("mean")
    else:
        means = series.rolling(2 * reach + 1, center=True, min_periods=1).mean().droplevel(0)
    return predictions.assign(**means.loc[predictions.index])


def by_reach(
    predictions: pd.DataFrame, classes: Sequence[str], *, bootstrap: Bootstrap
) -> dict[str, dict]:
    """Summarise the predictions for each of `REACHES`: {name: what `metrics.summarise` gives}."""
    return {
        name: metrics.summarise(
            with_neighbours(predictions, classes, reach), classes, bootstrap=bootstrap
        )
        for name, reach in REACHES.items()
    }


def votes(predictions: pd.DataFrame, classes: Sequence[str]) -> pd.DataFrame:
    """One row per patient: the mean class probabilities of all slices of the series.

    A group with slices of several classes votes once for each. `metrics.summarise` of these rows
    counts patients, not slices.
    """
    pooled = with_neighbours(predictions, classes, None)
    return pooled.drop_duplicates(["group", "label"])


def table(results: Mapping[str, Mapping[str, Mapping]]) -> pd.DataFrame:
    """Set {window: what `by_reach` gives} side by side.

    There is a row per ``window`` and ``reach`` (of `REACHES`): the numbers of
    `metrics.summarise`, and ``recall_<class>``.
    """
    rows: dict[tuple[Hashable, ...], dict[str, Any]] = {
        (window, name): {**scores, **{f"recall_{k}": v["recall"] for k, v in of_classes}}
        for window, by_name in results.items()
        for name, scores in by_name.items()
        for of_classes in [scores["per_class"].items()]
    }
    return flat_table(rows, ["window", "reach"])

"""The same slices in the display windows of other classes: what a model owes to the window.

A model that looks at the disease gives the same class whatever the window; one that has learnt in
which window each class was exported follows the window. The images are counterfactual in this one
respect: anatomy, noise and order stay, and tissue that the own window has clipped stays clipped.
"""

import os
from collections.abc import Sequence

import numpy as np
import pandas as pd
from tqdm import tqdm
from tqdm.contrib.concurrent import thread_map

from kidneyct_lib.data import display_window
from kidneyct_lib.data.body import body_mask
from kidneyct_lib.data.display_window import Levels
from kidneyct_lib.evaluation import metrics
from kidneyct_lib.evaluation.bootstrap import Bootstrap
from kidneyct_lib.evaluation.predictions import probability_columns


def body_masks(images: np.ndarray) -> list[np.ndarray]:
    """Find the body in every slice uint8 (N, S, S): N masks bool (S, S), side by side."""
    workers = os.cpu_count()
    return thread_map(
        body_mask,
        images,
        tqdm_class=tqdm,
        desc="bodies",
        unit="image",
        chunksize=8,
        max_workers=workers,
    )


def series_levels(
    images: np.ndarray, bodies: Sequence[np.ndarray], group: Sequence[int] | pd.Series
) -> pd.DataFrame:
    """Estimate the display window of every series: the median of its slices' levels.

    Parameters
    ----------
    images
        Gray slices, uint8 (N, S, S).
    bodies
        From `body_masks`.
    group
        Recovered patient of each slice, (N,).

    Returns
    -------
    DataFrame (N rows) of floats: ``fat``, ``soft`` of the slice's group.
    """
    levels = pd.DataFrame(map(display_window.levels, images, bodies))
    return levels.groupby(np.asarray(group)).transform("median")


def other_windows(table: pd.DataFrame, levels: pd.DataFrame, *, seed: int) -> pd.DataFrame:
    """Draw for every group the window of a series of another class.

    Parameters
    ----------
    table
        Catalog: ``label``, ``group``.
    levels
        From `series_levels`.
    seed
        Of the draws; a group's draw does not depend on the other groups' order.

    Returns
    -------
    DataFrame (N rows) of floats: ``fat``, ``soft`` of the series drawn for the slice's group; the
    own ones where there is no other class.
    """
    series = table[["label", "group"]].join(levels).groupby("group").first()
    drawn = series[["fat", "soft"]].copy()
    for group, label in zip(series.index.tolist(), series["label"], strict=True):
        others = np.flatnonzero(series["label"] != label)
        if len(others):
            one = np.random.default_rng([seed, int(group)]).choice(others)
            drawn.loc[group] = series[["fat", "soft"]].iloc[one]
    return drawn.loc[table["group"]].set_index(table.index)


def in_other_windows(images: np.ndarray, table: pd.DataFrame, *, seed: int) -> np.ndarray:
    """Show every slice in the window that `other_windows` draws for its group.

    Parameters
    ----------
    images
        Gray slices, uint8 (N, S, S).
    table
        Their catalog: ``label``, ``group``.
    seed
        Of the draws.

    Returns
    -------
    uint8 (N, S, S), a new array.
    """
    bodies = body_masks(images)
    own = series_levels(images, bodies, table["group"])
    return shown(images, bodies, own, other_windows(table, own, seed=seed))


def shown(
    images: np.ndarray, bodies: Sequence[np.ndarray], own: pd.DataFrame, other: pd.DataFrame
) -> np.ndarray:
    """Show each slice in another window: uint8 (N, S, S), from bodies and levels of N rows each."""
    windows = ([Levels(*row) for row in rows.itertuples(index=False)] for rows in (own, other))
    result = np.empty_like(images)  # filled slice by slice: a list of them would be a second copy
    for i, seen in enumerate(map(display_window.shown, images, bodies, *windows)):
        result[i] = seen
    return result


def summarise(
    as_shown: pd.DataFrame, elsewhere: pd.DataFrame, classes: Sequence[str], *, bootstrap: Bootstrap
) -> dict:
    """Score predictions in other windows, and how many differ from those for the slices as shown.

    Parameters
    ----------
    as_shown, elsewhere
        Test rows of one model, in the form of tables/predictions.csv and in the same order.
    classes
        The study's classes.
    bootstrap
        Resamples of the groups.

    Returns
    -------
    dict: what `metrics.summarise` gives for `elsewhere`, and ``flips``, the share of slices whose
    predicted class differs, with ``flips_ci95``.
    """
    columns = probability_columns(classes)
    before, after = (rows[columns].to_numpy().argmax(axis=1) for rows in (as_shown, elsewhere))
    flips, ones = (before != after).astype(float), np.ones(len(after))
    scores = metrics.summarise(elsewhere, classes, bootstrap=bootstrap)
    return scores | bootstrap.ratio("flips", flips, ones, elsewhere["group"].to_numpy())

"""The same slices in the display windows of other classes: what a model owes to the window.

A model that looks at the disease gives the same class whatever the window; one that has learnt in
which window each class was exported follows the window. The images are counterfactual in this one
respect: anatomy, noise and order stay, and tissue that the own window has clipped stays clipped.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pandas as pd
from tqdm import tqdm

from kidneyct_lib.audit.probes import Probe
from kidneyct_lib.data import display_window
from kidneyct_lib.data.body import body_mask
from kidneyct_lib.data.display_window import Levels
from kidneyct_lib.evaluation import metrics
from kidneyct_lib.evaluation.bootstrap import Bootstrap
from kidneyct_lib.evaluation.predictions import probability_columns


def series_levels(images: np.ndarray, group: Sequence[int]) -> pd.DataFrame:
    """Estimate the display window of every series: the median of its slices' levels.

    Parameters
    ----------
    images
        Gray slices, uint8 (N, S, S).
    group
        Recovered patient of each slice, (N,).

    Returns
    -------
    DataFrame (N rows) of floats: ``fat``, ``soft`` of the slice's group.
    """
    bar = tqdm(images, desc="display windows", unit="image")
    levels = pd.DataFrame([display_window.levels(gray, body_mask(gray)) for gray in bar])
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
    for group, label in series["label"].items():
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
    levels = series_levels(images, table["group"])
    return shown(images, levels, other_windows(table, levels, seed=seed))


def shown(images: np.ndarray, own: pd.DataFrame, other: pd.DataFrame) -> np.ndarray:
    """Show each slice in another window: uint8 (N, S, S), from levels of N rows each."""
    pairs = zip(images, own.itertuples(index=False), other.itertuples(index=False), strict=True)
    bar = tqdm(pairs, total=len(images), desc="other windows", unit="image")
    return np.stack(
        [
            display_window.shown(gray, body_mask(gray), Levels(*mine), Levels(*theirs))
            for gray, mine, theirs in bar
        ]
    )


def out_of_fold(probe: Probe, elsewhere: np.ndarray, tested: np.ndarray) -> np.ndarray:
    """Predict slices in other windows by a classifier fitted on the other folds as shown.

    Parameters
    ----------
    probe
        Classifier and features of the N slices as shown.
    elsewhere
        The same features of the slices in other windows, (N, D).
    tested
        int (N,): number of the fold that tests each slice.

    Returns
    -------
    float64 (N, K): class probabilities.
    """
    features = np.concatenate([probe.features, elsewhere])
    both = replace(probe, features=features, table=pd.concat([probe.table, probe.table]))
    nothing = np.zeros(len(tested), bool)
    probabilities = np.empty((len(tested), len(probe.classes)))
    for fold in np.unique(tested):
        test = tested == fold
        train, shown_elsewhere = np.r_[~test, nothing], np.r_[nothing, test]
        probabilities[test] = both.predict(train, shown_elsewhere)
    return probabilities


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
    interval = bootstrap.ratio_interval(flips, ones, elsewhere["group"].to_numpy(), bounds=(0, 1))
    scores = metrics.summarise(elsewhere, classes, bootstrap=bootstrap)
    return scores | {"flips": float(flips.mean()), "flips_ci95": interval}

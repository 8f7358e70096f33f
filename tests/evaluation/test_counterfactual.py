"""Slices in other windows: whose window, what it looks like, and what predictions owe to it."""

import numpy as np
import pandas as pd
import pytest
from drawn_slices import slice_in

from kidneyct_lib.data import display_window
from kidneyct_lib.data.body import body_mask
from kidneyct_lib.evaluation import counterfactual
from kidneyct_lib.evaluation.bootstrap import Bootstrap
from kidneyct_lib.evaluation.predictions import predictions_table

CLASSES = ["Normal", "Stone"]
WINDOWS = {"Normal": (40, 400), "Stone": (70, 500)}  # center and width, HU


@pytest.fixture(scope="module")
def table():
    """Three groups per class, two slices each, whose window is that of their class."""
    rows = [
        (f"{label}/{group}-{k}", label, f"{group}-{k}", group)
        for label in CLASSES
        for group in np.arange(3) + 3 * CLASSES.index(label)
        for k in range(2)
    ]
    return pd.DataFrame(rows, columns=["path", "label", "sha256", "group"])


@pytest.fixture(scope="module")
def images(table):
    return np.stack([slice_in(*WINDOWS[label], seed=i)[0] for i, label in enumerate(table.label)])


@pytest.fixture(scope="module")
def bodies(images):
    return counterfactual.body_masks(images)


@pytest.fixture(scope="module")
def levels(table, images, bodies):
    return counterfactual.series_levels(images, bodies, table["group"])


def levels_of(images, table):
    return counterfactual.series_levels(images, counterfactual.body_masks(images), table["group"])


def test_bodies_are_those_of_each_slice(images, bodies):
    expected = [body_mask(gray) for gray in images]
    np.testing.assert_array_equal(bodies, expected)


def test_levels_are_the_medians_of_each_group(table, images, levels):
    one = images.copy()
    one[0] = 0  # a black slice has levels of its own
    changed = levels_of(one, table)
    assert changed.iloc[2:].equals(levels.iloc[2:])
    assert (levels.groupby(table["group"]).nunique() == 1).all(axis=None)
    expected = np.median([display_window.levels(g, g > 5).soft for g in images[2:4]])
    assert levels["soft"][2] == pytest.approx(expected, abs=2)


def test_every_group_gets_the_window_of_a_series_of_another_class(table, levels):
    drawn = counterfactual.other_windows(table, levels, seed=1)
    series = levels.groupby(table["label"]).agg(["min", "max"])["soft"]
    for label, other in zip(CLASSES, CLASSES[::-1], strict=True):
        mine = drawn.loc[table["label"] == label, "soft"]
        assert mine.between(*series.loc[other]).all()
    assert (drawn.groupby(table["group"]).nunique() == 1).all(axis=None)
    assert drawn.equals(counterfactual.other_windows(table, levels, seed=1))
    shuffled = table.sample(frac=1, random_state=3)
    again = counterfactual.other_windows(shuffled, levels.loc[shuffled.index], seed=1)
    assert again.loc[table.index].equals(drawn)


def test_a_single_class_keeps_its_windows(table, levels):
    rows = table["label"] == "Stone"
    drawn = counterfactual.other_windows(table[rows], levels[rows], seed=1)
    assert drawn.equals(levels[rows])


def test_a_slice_is_shown_with_the_levels_that_were_drawn(table, images, bodies, levels):
    drawn = counterfactual.other_windows(table, levels, seed=1)
    result = counterfactual.shown(images, bodies, levels, drawn)
    assert result.shape == images.shape
    whole = counterfactual.in_other_windows(images, table, seed=1)
    np.testing.assert_array_equal(whole, result)
    measured = levels_of(result, table)
    np.testing.assert_allclose(measured, drawn, atol=4)


def test_a_model_of_the_window_follows_it_and_one_of_anatomy_stays(table, images, bodies, levels):
    drawn = counterfactual.other_windows(table, levels, seed=1)
    elsewhere = counterfactual.shown(images, bodies, levels, drawn)

    def rows_of(images, predicted):
        p = np.eye(2)[predicted] * 0.8 + 0.1
        part = ["test"] * len(images)
        return predictions_table(table, part, p, CLASSES, scheme="patient", stage=2, fold=0)

    middle = levels["soft"].mean()
    dark = [levels_of(i, table)["soft"] < middle for i in (images, elsewhere)]
    by_window = [rows_of(images, d.to_numpy().astype(int)) for d in dark]
    truth = table["label"].map(CLASSES.index).to_numpy()
    by_anatomy = [rows_of(images, truth)] * 2
    sampling = Bootstrap(50, 0)
    for pair, accuracy, flips in ((by_window, 0, 1), (by_anatomy, 1, 0)):
        result = counterfactual.summarise(*pair, CLASSES, bootstrap=sampling)
        assert result["accuracy"] == accuracy
        assert result["flips"] == flips
        assert result["flips_ci95"] == [flips, flips]
        assert result["groups"] == 6

"""Nested cross-validation is held against a plain loop over folds."""

import numpy as np
import pandas as pd
import pytest

from kidneyct_lib.audit import nested_cv


@pytest.fixture(scope="module")
def recipes(synthetic_probe):
    """One whose features tell the class and one whose features tell the patient alone."""
    return {"blind": synthetic_probe(), "seeing": synthetic_probe(informed=3.0)}


@pytest.fixture(scope="module")
def elsewhere(recipes):
    """Features that are no longer quite the same, as those of images in other windows."""
    rng = np.random.default_rng(5)
    return {
        name: one.features + rng.normal(0, 0.1, one.features.shape) for name, one in recipes.items()
    }


@pytest.fixture(scope="module")
def first(recipes):
    table = recipes["blind"].table
    return nested_cv.repeated_folds(table, np.arange(len(table)) % 4, repeats=2, seed=0)[1]


def test_repeats_keep_patients_whole_and_differ(recipes, first):
    table = recipes["blind"].table
    repeats = nested_cv.repeated_folds(table, first, repeats=3, seed=7)
    assert repeats[0] is first
    for one in repeats:
        assert (pd.Series(one).groupby(table["group"].to_numpy()).nunique() == 1).all()
        assert set(one) == set(range(4))
    assert not (repeats[1] == repeats[2]).all()


def test_the_better_recipe_is_chosen_in_the_inner_folds_and_predicts_the_outer_ones(
    recipes, elsewhere, first
):
    repeats = nested_cv.repeated_folds(recipes["blind"].table, first, repeats=2, seed=3)
    result = nested_cv.nested_cv(recipes, elsewhere, repeats)
    assert result.choices == {"blind": 0, "seeing": 8}
    assert result.inner_macro_f1["seeing"] > result.inner_macro_f1["blind"] + 0.2
    np.testing.assert_array_equal(result.chosen, result.elsewhere["seeing"])
    for name, probe in recipes.items():
        expected = np.stack([probe.out_of_fold(one) for one in repeats])
        np.testing.assert_array_equal(result.predictions[name], expected)
        expected = np.stack([probe.out_of_fold(one, elsewhere[name]) for one in repeats])
        np.testing.assert_array_equal(result.elsewhere[name], expected)


def test_a_recipe_that_lives_on_the_window_is_not_chosen(recipes, first):
    """Two recipes that are equal as shown, one of which is misled in other windows."""
    seeing = recipes["seeing"]
    elsewhere = {"window": -seeing.features, "anatomy": seeing.features}
    result = nested_cv.nested_cv({"window": seeing, "anatomy": seeing}, elsewhere, [first])
    assert result.choices == {"window": 0, "anatomy": 4}


def test_two_folds_leave_nothing_to_choose_by(recipes, elsewhere, first):
    result = nested_cv.nested_cv(recipes, elsewhere, [first // 2])
    assert result.inner_macro_f1 == {}
    assert result.choices == {"blind": 2, "seeing": 0}
    np.testing.assert_array_equal(result.chosen, result.elsewhere["blind"])

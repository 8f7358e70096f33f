import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kidneyct_lib.evaluation.bootstrap import Bootstrap
from kidneyct_lib.evaluation.metrics import summarise
from kidneyct_lib.evaluation.predictions import probability_columns
from kidneyct_lib.evaluation.subgroups import by_subgroup, levels, terciles, tissue_gray
from kidneyct_lib.plots import errors as errors_plots

CLASSES = ["A", "B"]


def study(n=180, n_groups=30, seed=0):
    """A catalog and predictions of it."""
    rng = np.random.default_rng(seed)
    table = pd.DataFrame({"path": [f"{k}.png" for k in range(n)], "label": rng.choice(CLASSES, n)})
    table["group"] = np.sort(rng.choice(n_groups, n, p=rng.dirichlet([1] * n_groups)))
    table["plane"] = np.where(table["group"] < n_groups / 2, "axial", "coronal")
    predictions = table[["path", "label", "group"]].copy()
    predictions[probability_columns(CLASSES)] = rng.dirichlet([1, 1], n)
    return table, predictions, rng.uniform(20, 90, n)


def test_the_gray_level_is_that_of_the_tissue():
    image = np.zeros((100, 100), np.uint8)
    image[30:70, 30:70] = 80
    image[40:50, 40:50] = 240
    assert tissue_gray(image) == pytest.approx((80 * 1500 + 240 * 100) / 1600)
    assert tissue_gray(np.full((8, 8), 7, np.uint8)) == 7
    bordered = np.pad(image, 40)
    assert tissue_gray(bordered) == tissue_gray(image)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(0, 40), min_size=1, max_size=80))
def test_terciles_keep_order_and_equal_values_together(values):
    part = terciles(pd.Series(values), "series of {}")
    codes = part.cat.codes.to_numpy()
    order = np.argsort(values, kind="stable")
    assert (np.diff(codes[order]) >= 0).all()
    assert part.groupby(values).nunique().max() == 1
    for name, held in pd.Series(values).groupby(part, observed=True):
        low, high = held.min(), held.max()
        assert name == (f"series of {low}" if low == high else f"series of {low} to {high}")


def test_terciles_of_different_values_are_of_one_size():
    part = terciles(pd.Series(np.random.default_rng(0).permutation(90)), "{}")
    assert part.value_counts(sort=False).to_dict() == {
        "0 to 29": 30,
        "30 to 59": 30,
        "60 to 89": 30,
    }


def test_levels_tell_plane_series_size_and_brightness_of_each_image():
    table, _, gray = study()
    found = levels(table, gray)
    assert list(found) == ["path", "plane", "series size", "brightness"]
    assert list(found["path"]) == list(table["path"])
    size = table.groupby("group")["path"].transform("size")
    for name, sizes in size.groupby(found["series size"], observed=True):
        numbers = [int(word) for word in name.removeprefix("series of ").split(" to ")]
        assert {sizes.min(), sizes.max()} == set(numbers)
    # Terciles of the groups, not of the slices: large series hold more slices.
    assert found["series size"].value_counts(sort=False).is_monotonic_increasing
    assert found["brightness"].value_counts().max() < 1.25 * len(table) / 3


def test_each_row_is_the_summary_of_its_slices():
    table, predictions, gray = study()
    found = levels(table, gray)
    result = by_subgroup(predictions.iloc[::-1], found, CLASSES, bootstrap=Bootstrap(80, 3))
    assert len(result) == 2 + 3 + 3
    for row in result.itertuples():
        members = predictions[(found[row.subgroup] == row.level).to_numpy()].iloc[::-1]
        expected = summarise(members, CLASSES, bootstrap=Bootstrap(80, 3))
        assert (row.n, row.groups) == (len(members), members["group"].nunique())
        assert row.accuracy == expected["accuracy"]
        assert [row.accuracy_low, row.accuracy_high] == expected["accuracy_ci95"]
        assert row.macro_f1 == pytest.approx(expected["macro_f1"])
        assert row.few_groups == (row.groups < 10)
    for _, rows in result.groupby("subgroup"):
        assert rows["n"].sum() == len(table)
    assert result["few_groups"].any()
    assert not result["few_groups"].all()


def test_a_class_that_a_level_lacks_does_not_count_in_its_macro_f1():
    table, predictions, gray = study()
    predictions["label"] = "A"
    result = by_subgroup(predictions, levels(table, gray), CLASSES, bootstrap=Bootstrap(20, 0))
    assert set(result["classes"]) == {1}
    recall = result["accuracy"]
    np.testing.assert_allclose(result["macro_f1"], 2 * recall / (1 + recall))  # precision is 1


def test_the_figure_has_one_mark_a_row_and_hollow_ones_for_few_groups():
    table, predictions, gray = study()
    found = by_subgroup(predictions, levels(table, gray), CLASSES, bootstrap=Bootstrap(20, 0))
    frame = pd.concat([found.assign(scheme=s) for s in ("slice", "patient")])
    (axes,) = errors_plots.subgroup_accuracy(frame).axes
    drawn = [points for points in axes.collections if len(points.get_offsets()) == len(found)]
    assert len(drawn) == 2
    for points in drawn:
        np.testing.assert_allclose(points.get_offsets()[:, 0], found["accuracy"])
        hollow = (points.get_facecolor()[:, :3] == 1).all(axis=1)
        np.testing.assert_array_equal(hollow, found["few_groups"])

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kidneyct_lib.splitting import holdout, predefined_split
from kidneyct_lib.splitting.cross_validation import assert_disjoint, study_splits
from kidneyct_lib.splitting.holdout import SplitError

FRACTIONS = {"test_fraction": 0.2, "validation_fraction": 0.2}


def table_of(train=(20, 30), test=(6, 4), duplicated=()):
    """Slices of two classes in two given parts; five slices in a row are one group."""
    rows = []
    for label, *counts in zip(("Normal", "Stone"), train, test, strict=True):
        for part, count in zip(("train", "test"), counts, strict=True):
            rows += [
                {"path": f"{part}/{label}-{n}", "label": label, "part": part} for n in range(count)
            ]
    table = pd.DataFrame(rows)
    table["sha256"] = table["path"]
    table["group"] = pd.factorize(
        table["label"] + (table.groupby("label").cumcount() // 5).astype(str)
    )[0]
    for one, other in duplicated:
        table.loc[other, "sha256"] = table.loc[one, "sha256"]
    return table


@given(
    train=st.tuples(*[st.integers(2, 40)] * 2),
    test=st.tuples(*[st.integers(1, 9)] * 2),
    fraction=st.floats(0.05, 0.6),
    seed=st.integers(0, 99),
)
@settings(max_examples=40, deadline=None)
def test_the_given_test_part_is_kept_and_the_rest_divided(train, test, fraction, seed):
    table = table_of(train, test)
    split = predefined_split.slice_split(table, validation_fraction=fraction, seed=seed)
    assert ((split == "test") == (table["part"] == "test")).all()
    held = pd.crosstab(table["label"], split)
    assert held.to_numpy().min() > 0
    for label, count in zip(("Normal", "Stone"), train, strict=True):
        wanted = min(max(round(fraction * count), 1), count - 1)
        assert held.loc[label, "validation"] == wanted


def test_identical_training_files_stay_on_one_side():
    table = table_of(duplicated=[(0, 1), (1, 2), (30, 41)])
    for seed in range(20):
        split = predefined_split.slice_split(table, validation_fraction=0.4, seed=seed)
        holdout.assert_disjoint(table, split, by=["path", "sha256"])


def test_the_seed_decides_who_validates_and_nothing_else():
    table = table_of()
    one, same, other = (
        predefined_split.slice_split(table, validation_fraction=0.2, seed=seed)
        for seed in (1, 1, 2)
    )
    pd.testing.assert_series_equal(one, same)
    assert (one != other).any()
    assert ((one == "test") == (other == "test")).all()


def test_a_class_that_is_not_tested_or_too_small_is_named():
    with pytest.raises(SplitError, match="test set holds no image of the class 'Stone'"):
        predefined_split.slice_split(table_of(test=(6, 0)), validation_fraction=0.2, seed=0)
    with pytest.raises(SplitError, match="are 1 different files of the class 'Normal'"):
        predefined_split.slice_split(table_of(train=(1, 9)), validation_fraction=0.2, seed=0)
    with pytest.raises(SplitError, match="are 0 different files of the class 'Normal'"):
        predefined_split.slice_split(table_of(train=(0, 9)), validation_fraction=0.2, seed=0)


@pytest.mark.parametrize("folds", [1, 5])
def test_a_study_of_a_given_test_part_has_one_split(folds):
    table = table_of()
    result = study_splits(table, folds=folds, **FRACTIONS, seed=3)
    assert list(result) == ["path", "label", "group", "fold", "slice", "patient"]
    assert set(result["fold"]) == {0}
    assert ((result["slice"] == "test") == (table["part"] == "test")).all()
    without = table.drop(columns="part")
    assert (
        result["patient"].tolist()
        == holdout.split(without, "patient", **FRACTIONS, seed=3).tolist()
    )
    assert_disjoint(table, result)
    assert result.groupby("group")["slice"].nunique().max() > 1  # the given parts share a group


def test_a_copy_on_both_given_sides_is_not_passed_over():
    table = table_of(duplicated=[(0, 21)])
    assert table.loc[[0, 21], "part"].tolist() == ["train", "test"]
    with pytest.raises(SplitError, match="leaks: sha256"):
        assert_disjoint(table, study_splits(table, folds=1, **FRACTIONS, seed=3))


def test_shared_groups_are_counted_as_by_hand():
    table = table_of(train=(4, 7), test=(3, 2))  # Normal 5 + 2 and Stone 5 + 4 slices a group
    literal = [{"train", "test"} <= set(rows["part"]) for _, rows in table.groupby("group")]
    counted = predefined_split.shared(table)
    assert counted == {"test_slices": 5, "groups": 4, "groups_in_both": 2}
    assert counted["groups_in_both"] == np.sum(literal)


def test_what_is_told_names_the_folds_that_are_not_dealt():
    counted = {"test_slices": 1346, "groups": 433, "groups_in_both": 61}
    message = predefined_split.describe(counted, folds=5)
    assert "1,346 slices" in message
    assert "61 of 433 groups" in message
    assert "5 folds asked for are not made" in message
    assert "folds" not in predefined_split.describe(counted, folds=1)

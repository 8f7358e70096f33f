import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kidneyct_lib.splitting import holdout
from kidneyct_lib.splitting.cross_validation import assert_disjoint, study_splits
from kidneyct_lib.splitting.holdout import SplitError

FRACTIONS = {"test_fraction": 0.15, "validation_fraction": 0.15}


def table_of(groups_per_class=6, slices_per_group=5, duplicated=()):
    rows = []
    for label in ("Normal", "Stone"):
        for group in range(groups_per_class):
            for number in range(slices_per_group):
                name = f"{label}-{group}-{number}"
                rows.append({"path": name, "label": label, "sha256": name, "group": (label, group)})
    table = pd.DataFrame(rows)
    table["group"] = pd.factorize(table["group"])[0]
    for one, other in duplicated:
        table.loc[other, "sha256"] = table.loc[one, "sha256"]
    return table


def test_one_fold_is_the_published_split():
    table = table_of()
    result = study_splits(table, folds=1, **FRACTIONS, seed=3)
    assert set(result["fold"]) == {0}
    assert list(result["slice"]) == list(holdout.split(table, "slice", **FRACTIONS, seed=3))
    assert list(result["patient"]) == list(holdout.split(table, "patient", **FRACTIONS, seed=3))


@given(folds=st.integers(3, 6), seed=st.integers(0, 1000))
@settings(max_examples=15, deadline=None)
def test_every_image_is_tested_once_and_validated_once(folds, seed):
    table = table_of(groups_per_class=8, duplicated=[(0, 7), (3, 41)])
    result = study_splits(table, folds=folds, **FRACTIONS, seed=seed)
    assert len(result) == folds * len(table)
    for scheme in ("slice", "patient"):
        by_path = result.groupby("path")[scheme]
        for part in ("test", "validation"):
            assert (by_path.apply(lambda parts, part=part: (parts == part).sum()) == 1).all()
        held = result.groupby(["fold", scheme, "label"]).size().unstack(fill_value=0)
        assert held.to_numpy().min() > 0
    assert_disjoint(table, result)
    groups = result.groupby(["fold", "group"])["patient"].nunique()
    assert groups.max() == 1


@given(seed=st.integers(0, 200))
@settings(max_examples=15, deadline=None)
def test_two_folds_test_every_image_once_and_validate_within_the_other_half(seed):
    table = table_of(groups_per_class=2, slices_per_group=10, duplicated=[(0, 7), (23, 28)])
    result = study_splits(table, folds=2, **FRACTIONS, seed=seed)
    assert_disjoint(table, result)
    for scheme in ("slice", "patient"):
        tests = result[result[scheme] == "test"]
        assert sorted(tests["path"]) == sorted(table["path"])
        for _, rows in result.groupby("fold"):
            held = rows.groupby([scheme, "label"]).size()
            assert held.unstack().shape == (3, 2)
            rest = held["train"] + held["validation"]
            assert (held["validation"] - 0.15 * rest).abs().max() <= 1.5  # a pair of files moves
    tested = result.groupby(["fold", "group"])["patient"].agg(set)
    assert all(parts in ({"test"}, {"train", "validation"}) for parts in tested)


def test_two_folds_may_share_patients_with_validation_but_not_with_the_test():
    table = table_of(groups_per_class=2, slices_per_group=10)
    result = study_splits(table, folds=2, **FRACTIONS, seed=0)
    for part in ("train", "validation"):
        leaking = result.copy()
        row = np.flatnonzero((leaking["fold"] == 1) & (leaking["patient"] == "test"))[0]
        leaking.loc[row, "patient"] = part
        with pytest.raises(SplitError, match="leaks: group"):
            assert_disjoint(table, leaking)
    three = study_splits(table_of(), folds=3, **FRACTIONS, seed=0)
    row = np.flatnonzero((three["fold"] == 0) & (three["patient"] == "train"))[0]
    three.loc[row, "patient"] = "validation"
    with pytest.raises(SplitError, match="leaks: group"):
        assert_disjoint(table_of(), three)


def test_files_stay_apart_in_two_folds_as_well():
    table = table_of(groups_per_class=2, slices_per_group=10)
    result = study_splits(table, folds=2, **FRACTIONS, seed=0)
    first = result[result["fold"] == 0]
    one, other = (first.index[first["patient"] == part][0] for part in ("train", "validation"))
    with pytest.raises(SplitError, match="leaks: sha256"):
        assert_disjoint(
            table.assign(sha256=table["path"].replace({table["path"][one]: table["path"][other]})),
            result,
        )


def test_seeds_decide():
    table = table_of()
    one, same, other = (study_splits(table, folds=5, **FRACTIONS, seed=s) for s in (1, 1, 2))
    pd.testing.assert_frame_equal(one, same)
    assert not one["slice"].equals(other["slice"])


def test_too_few_groups_are_told():
    with pytest.raises(SplitError, match="5 folds by patient are impossible: class 'Normal' has 4"):
        study_splits(table_of(groups_per_class=4), folds=5, **FRACTIONS, seed=0)


def test_a_leak_in_any_fold_is_found():
    table = table_of()
    result = study_splits(table, folds=3, **FRACTIONS, seed=0)
    last = np.flatnonzero((result["fold"] == 2) & (result["patient"] == "test"))[0]
    result.loc[last, "patient"] = "train"
    with pytest.raises(SplitError, match="group"):
        assert_disjoint(table, result)

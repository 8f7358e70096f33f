from functools import partial

import numpy as np
import pandas as pd
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from kidneyct_lib.core.errors import StudyError
from kidneyct_lib.splitting import cross_validation, holdout
from kidneyct_lib.splitting.holdout import PARTS, SplitError, assert_disjoint

slice_split = partial(holdout.split, scheme="slice")
patient_split = partial(holdout.split, scheme="patient")
CLASSES = ["Cyst", "Normal", "Stone", "Tumor"]
SHARES = {"test_fraction": 0.15, "validation_fraction": 0.15}
FIFTHS = {"test_fraction": 0.2, "validation_fraction": 0.2}


def table_of(labels, groups=None, files=None):
    labels = list(labels)
    table = pd.DataFrame({"path": [f"{k}.png" for k in range(len(labels))], "label": labels})
    table["sha256"] = [f"{k:064x}" for k in (range(len(labels)) if files is None else files)]
    if groups is not None:
        table["group"] = groups
    return table


def public_set():
    """The label counts of the public data set."""
    return table_of(np.repeat(CLASSES, [3709, 5077, 1377, 2283]))


@st.composite
def cohorts(draw):
    """Draw tables of groups of one class each, with some files repeated, also across groups."""
    labels, groups = [], []
    for name in CLASSES[: draw(st.integers(1, 4))]:
        for _ in range(draw(st.integers(3, 9))):
            size = draw(st.integers(1, 12))
            labels += [name] * size
            groups += [len(set(groups))] * size
    files = np.arange(len(labels))
    for _ in range(draw(st.integers(0, 3))):
        files[draw(st.integers(0, len(files) - 1))] = files[draw(st.integers(0, len(files) - 1))]
    return table_of(labels, groups, files)


# --- by slice --------------------------------------------------------------------------------


def test_the_public_set_has_1867_test_slices():
    table = public_set()
    split = slice_split(table, **SHARES, seed=0)
    assert split.value_counts().to_dict() == {"train": 8712, "validation": 1867, "test": 1867}
    tested = table["label"][split == "test"].value_counts()
    # Largest remainder: 556.35, 761.55, 206.55 and 342.45 sum to 1,866.9.
    assert tested.to_dict() == {"Normal": 762, "Cyst": 556, "Tumor": 342, "Stone": 207}


def test_the_quota_is_met_with_duplicates_on_one_side():
    table = public_set()
    rng = np.random.default_rng(0)
    for name in CLASSES:
        rows = np.flatnonzero(table["label"] == name)
        copies = rng.choice(rows, (60, 3), replace=False)
        table.loc[copies[:, 1], "sha256"] = table["sha256"][copies[:, 0]].to_numpy()
        table.loc[copies[:, 2], "sha256"] = table["sha256"][copies[:, 0]].to_numpy()
    split = slice_split(table, **SHARES, seed=1)
    assert (split == "test").sum() == (split == "validation").sum() == 1867
    assert split.groupby(table["sha256"]).nunique().max() == 1
    repeated = table["sha256"].duplicated(keep=False)
    assert set(split[repeated]) == set(PARTS)


@settings(max_examples=40, deadline=None)
@given(cohorts(), st.integers(0, 5), st.sampled_from([0.1, 0.15, 0.3]))
def test_slice_split_keeps_its_promises(table, seed, fraction):
    assume(table.groupby("sha256")["label"].nunique().max() == 1)
    assume(table.groupby("label")["sha256"].nunique().min() >= 3)
    options = {"test_fraction": fraction, "validation_fraction": fraction, "seed": seed}
    split = slice_split(table, **options)
    assert split.index.equals(table.index)
    assert split.isin(PARTS).all()
    assert split.groupby(table["sha256"]).nunique().max() == 1
    assert table["label"].groupby(split).nunique().eq(table["label"].nunique()).all()
    assert split.equals(slice_split(table, **options))
    assert_disjoint(table, split, by=["path", "sha256"])


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(7, 60), min_size=1, max_size=4), st.integers(0, 9))
def test_without_duplicates_the_counts_are_exact(counts, seed):
    table = table_of(np.repeat(CLASSES[: len(counts)], counts))
    split = slice_split(table, **SHARES, seed=seed)
    assert (split == "test").sum() == (split == "validation").sum() == round(0.15 * sum(counts))
    per_class = table["label"][split == "test"].value_counts()
    for name, count in zip(CLASSES, counts, strict=False):
        assert abs(per_class[name] - 0.15 * count) < 1


def test_every_slice_is_tested_on_by_some_seed():
    table = table_of(np.repeat(CLASSES, 20))
    tested = sum(
        (slice_split(table, **SHARES, seed=seed) == "test").astype(int) for seed in range(80)
    )
    assert tested.min() > 0
    assert tested.max() < 25


def test_another_seed_gives_another_split():
    table = public_set()
    first, second = (slice_split(table, **SHARES, seed=seed) for seed in (0, 1))
    assert 0.2 < (first != second).mean() < 0.8


def test_a_class_of_two_files_cannot_be_split_by_slice():
    table = table_of(["Cyst"] * 9 + ["Stone"] * 4, files=[*range(9), 20, 20, 21, 21])
    with pytest.raises(SplitError, match=r"'Stone' has 2 different files and needs at least 3"):
        slice_split(table, **SHARES, seed=0)


@pytest.mark.parametrize(("test", "validation"), [(0, 0.1), (0.1, 0), (0.5, 0.5), (-0.1, 0.2)])
def test_impossible_fractions_are_refused(test, validation):
    with pytest.raises(SplitError, match=f"test_fraction={test}"):
        slice_split(public_set(), test_fraction=test, validation_fraction=validation, seed=0)


# --- by patient ------------------------------------------------------------------------------


@settings(max_examples=40, deadline=None)
@given(cohorts(), st.integers(0, 5))
def test_patient_split_keeps_its_promises(table, seed):
    try:
        split = patient_split(table, **SHARES, seed=seed)
    except SplitError:
        # Only files shared across groups can leave too few of the three or more groups.
        assert table.groupby("sha256")["group"].nunique().max() > 1
        return
    assert split.index.equals(table.index)
    assert split.isin(PARTS).all()
    for column in ("group", "sha256"):
        assert split.groupby(table[column]).nunique().max() == 1
    assert table["label"].groupby(split).nunique().eq(table["label"].nunique()).all()
    assert split.equals(patient_split(table, **SHARES, seed=seed))
    assert_disjoint(table, split, by=["path", "sha256", "group"])


def test_many_groups_come_near_their_quotas_in_slices_and_groups():
    rng = np.random.default_rng(0)
    sizes = rng.integers(1, 247, 80)
    labels = np.repeat(np.resize(CLASSES, 80), sizes)
    table = table_of(labels, np.repeat(np.arange(80), sizes))
    for seed in range(5):
        split = patient_split(table, **SHARES, seed=seed)
        slices = pd.crosstab(table["label"], split, normalize="index")
        groups = table.drop_duplicates("group")
        groups = pd.crosstab(groups["label"], split[groups.index], normalize="index")
        assert (slices[["test", "validation"]] - 0.15).abs().to_numpy().max() < 0.05
        assert (groups[["test", "validation"]] - 0.15).abs().to_numpy().max() <= 0.1


def test_seeds_change_which_groups_are_tested():
    table = table_of(np.repeat(CLASSES, 100), np.repeat(np.arange(40), 10))
    tested = {
        tuple(table["group"][patient_split(table, **SHARES, seed=seed) == "test"].unique())
        for seed in range(10)
    }
    assert len(tested) == 10


def test_exactly_three_groups_give_one_to_each_part():
    table = table_of(["Cyst"] * 30, np.repeat([7, 8, 9], [25, 3, 2]))
    split = patient_split(table, **SHARES, seed=0)
    assert sorted(split.groupby(table["group"]).first()) == sorted(PARTS)
    assert split[table["group"] == 7].iloc[0] == "train"


@pytest.mark.parametrize("fractions", [(0.01, 0.98), (0.98, 0.01), (0.01, 0.01)])
def test_no_part_is_empty_however_small_its_share(fractions):
    table = table_of(["Cyst"] * 40, np.repeat(np.arange(4), 10))
    options = dict(zip(("test_fraction", "validation_fraction"), fractions, strict=True))
    for split_by in (patient_split, slice_split):
        assert set(split_by(table, **options, seed=0)) == set(PARTS)


@pytest.mark.parametrize(
    ("groups", "message"),
    [
        ([0] * 12, "'Cyst' has 1 groups and needs at least 3"),
        ([0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1], "'Cyst' has 2 groups and needs at least 3"),
    ],
)
def test_too_few_patients_cannot_be_split_and_the_message_says_so(groups, message):
    with pytest.raises(StudyError, match=rf"split by patient is impossible: class {message}"):
        patient_split(table_of(["Cyst"] * 12, groups), **SHARES, seed=0)


def test_a_class_hidden_in_mixed_groups_has_no_group_of_its_own():
    table = table_of(["Cyst", "Cyst", "Stone"] * 5, np.repeat(np.arange(5), 3))
    with pytest.raises(SplitError, match="'Stone' has 0 groups"):
        patient_split(table, **SHARES, seed=0)


def test_a_mixed_group_counts_as_its_majority_and_stays_whole():
    labels = ["Cyst"] * 20 + ["Stone"] * 20
    groups = np.repeat(np.arange(10), 4)
    labels[0] = "Stone"  # group 0: three Cyst, one Stone
    for seed in range(10):
        split = patient_split(table_of(labels, groups), **SHARES, seed=seed)
        assert split[:4].nunique() == 1
        assert set(split[4:20]) | set(split[:4]) == set(PARTS)


def test_groups_that_share_a_file_stay_together():
    labels, groups = ["Cyst"] * 24, np.repeat(np.arange(8), 3)
    files = np.arange(24)
    files[3] = files[0]  # groups 0 and 1
    files[6] = files[4]  # groups 1 and 2: a chain
    table = table_of(labels, groups, files)
    for seed in range(20):
        split = patient_split(table, **SHARES, seed=seed)
        assert split[:9].nunique() == 1
    merged = table_of(labels[:12], groups[:12], files[:12])
    with pytest.raises(SplitError, match="'Cyst' has 2 groups"):
        patient_split(merged, **SHARES, seed=0)


@pytest.mark.parametrize("split_by", [slice_split, patient_split])
def test_missing_columns_and_values_are_named(split_by):
    table = table_of(["Cyst"] * 9, range(9))
    with pytest.raises(SplitError, match="no column 'sha256'"):
        split_by(table.drop(columns="sha256"), **SHARES, seed=0)
    table.loc[4, "sha256"] = None
    with pytest.raises(SplitError, match=r"'sha256' is empty for 4\.png"):
        split_by(table, **SHARES, seed=0)
    with pytest.raises(SplitError, match="no images"):
        split_by(table.iloc[:0], **SHARES, seed=0)


def test_the_index_of_the_table_is_kept():
    table = table_of(["Cyst"] * 9, range(9)).set_index(pd.Index(range(100, 109)))
    for split in (slice_split(table, **SHARES, seed=0), patient_split(table, **SHARES, seed=0)):
        assert split.index.tolist() == list(range(100, 109))


# --- disjointness ----------------------------------------------------------------------------


def test_a_leak_is_named_with_an_example():
    table = table_of(["Cyst"] * 6, [0, 0, 1, 1, 2, 2])
    split = ["train", "train", "validation", "validation", "test", "train"]
    with pytest.raises(SplitError, match=r"group 2 is in test \(4\.png\) and train \(5\.png\)"):
        assert_disjoint(table, split, by=["path", "group"])
    assert_disjoint(table, split, by=["path", "sha256"])


@pytest.mark.parametrize("column", ["path", "sha256"])
def test_a_repeated_path_or_file_leaks(column):
    table = table_of(["Cyst"] * 3)
    table.loc[2, column] = table.loc[0, column]
    with pytest.raises(SplitError, match=f"leaks: {column}"):
        assert_disjoint(table, ["train", "validation", "test"], by=["path", "sha256"])


def test_disjointness_is_judged_by_position_not_by_index():
    table = table_of(["Cyst"] * 4, [0, 0, 1, 1])
    split = pd.Series(["train", "train", "test", "test"], index=[3, 2, 1, 0])
    assert_disjoint(table, split, by=["group"])
    with pytest.raises(SplitError):
        assert_disjoint(table.iloc[[0, 2, 1, 3]], split, by=["group"])


def test_a_split_that_does_not_fit_is_refused():
    table = table_of(["Cyst"] * 3, [0, 1, None])
    with pytest.raises(SplitError, match="2 entries for 3 images"):
        assert_disjoint(table, ["train", "test"], by=["path"])
    with pytest.raises(SplitError, match="holds 'val'"):
        assert_disjoint(table, ["train", "val", "test"], by=["path"])
    with pytest.raises(SplitError, match=r"'group' is empty for 2\.png"):
        assert_disjoint(table, ["train", "test", "test"], by=["group"])


# --- a predefined test set -----------------------------------------------------------------


def divided_table(train=(20, 30), test=(6, 4), duplicated=()):
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
    table = divided_table(train, test)
    split = holdout.predefined_split(table, validation_fraction=fraction, seed=seed)
    assert ((split == "test") == (table["part"] == "test")).all()
    held = pd.crosstab(table["label"], split)
    assert held.to_numpy().min() > 0
    for label, count in zip(("Normal", "Stone"), train, strict=True):
        wanted = min(max(round(fraction * count), 1), count - 1)
        assert held.loc[label, "validation"] == wanted


def test_identical_training_files_stay_on_one_side():
    table = divided_table(duplicated=[(0, 1), (1, 2), (30, 41)])
    for seed in range(20):
        split = holdout.predefined_split(table, validation_fraction=0.4, seed=seed)
        assert_disjoint(table, split, by=["path", "sha256"])


def test_the_seed_decides_who_validates_and_nothing_else():
    table = divided_table()
    one, same, other = (
        holdout.predefined_split(table, validation_fraction=0.2, seed=seed) for seed in (1, 1, 2)
    )
    pd.testing.assert_series_equal(one, same)
    assert (one != other).any()
    assert ((one == "test") == (other == "test")).all()


def test_a_class_that_is_not_tested_or_too_small_is_named():
    with pytest.raises(SplitError, match="test set holds no image of the class 'Stone'"):
        holdout.predefined_split(divided_table(test=(6, 0)), validation_fraction=0.2, seed=0)
    with pytest.raises(SplitError, match="are 1 different files of the class 'Normal'"):
        holdout.predefined_split(divided_table(train=(1, 9)), validation_fraction=0.2, seed=0)
    with pytest.raises(SplitError, match="are 0 different files of the class 'Normal'"):
        holdout.predefined_split(divided_table(train=(0, 9)), validation_fraction=0.2, seed=0)


@pytest.mark.parametrize("folds", [1, 5])
def test_a_study_of_a_given_test_part_has_one_split(folds):
    table = divided_table()
    result = cross_validation.study_splits(table, folds=folds, **FIFTHS, seed=3)
    assert list(result) == ["path", "label", "group", "fold", "slice", "patient"]
    assert set(result["fold"]) == {0}
    assert ((result["slice"] == "test") == (table["part"] == "test")).all()
    without = table.drop(columns="part")
    assert (
        result["patient"].tolist() == holdout.split(without, "patient", **FIFTHS, seed=3).tolist()
    )
    cross_validation.assert_disjoint(table, result)
    assert result.groupby("group")["slice"].nunique().max() > 1  # the given parts share a group


def test_a_copy_on_both_given_sides_is_not_passed_over():
    table = divided_table(duplicated=[(0, 21)])
    assert table.loc[[0, 21], "part"].tolist() == ["train", "test"]
    with pytest.raises(SplitError, match="leaks: sha256"):
        cross_validation.assert_disjoint(
            table, cross_validation.study_splits(table, folds=1, **FIFTHS, seed=3)
        )


def test_shared_groups_are_counted_as_by_hand():
    table = divided_table(train=(4, 7), test=(3, 2))  # slices per group: Normal 5 + 2, Stone 5 + 4
    literal = [{"train", "test"} <= set(rows["part"]) for _, rows in table.groupby("group")]
    counted = holdout.shared(table)
    assert counted == {"test_slices": 5, "groups": 4, "groups_in_both": 2}
    assert counted["groups_in_both"] == np.sum(literal)


def test_what_is_told_names_the_folds_that_are_not_drawn():
    counted = {"test_slices": 1346, "groups": 433, "groups_in_both": 61}
    message = holdout.describe(counted, folds=5)
    assert "1,346 slices" in message
    assert "61 of 433 groups" in message
    assert "5 folds asked for are not made" in message
    assert "folds" not in holdout.describe(counted, folds=1)

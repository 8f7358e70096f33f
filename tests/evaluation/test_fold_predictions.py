import numpy as np
import pandas as pd
import pytest

from kidneyct_lib.core.errors import StudyError
from kidneyct_lib.evaluation.fold_predictions import (
    Fold,
    FoldPredictions,
    pooled_test,
    slice_weights,
    study_folds,
    unseen,
)

CLASSES = ["A", "B"]


def predictions(folds=3, n=30):
    """Every image once per fold, scheme and stage; its probability tells its row."""
    frames = []
    for scheme in ("slice", "patient"):
        for stage in (1, 2):
            for fold in range(folds):
                number = np.arange(n)
                part = np.select(
                    [number % folds == fold, number % folds == (fold + 1) % folds],
                    ["test", "validation"],
                    "train",
                )
                p = (number + 1) / 100 + fold / 1000
                frames.append(
                    pd.DataFrame(
                        {
                            "path": [f"{k}.png" for k in number],
                            "label": np.where(number < n / 2, "A", "B"),
                            "group": [f"g{k // 5}" for k in number],
                            "scheme": scheme,
                            "stage": stage,
                            "split": part,
                            "fold": fold,
                            "p_A": p,
                            "p_B": 1 - p,
                        }
                    )
                )
    return pd.concat(frames)  # with repeated index values, as a caller may hand them over


def test_each_fold_gives_its_own_validation_and_test_rows():
    folds = study_folds(predictions(), CLASSES)
    assert list(folds) == [("slice", 1), ("slice", 2), ("patient", 1), ("patient", 2)]
    assert [len(parts) for parts in folds.values()] == [3] * 4
    second = folds["patient", 2][1]
    rows = np.arange(1, 30, 3)
    np.testing.assert_allclose(second.test.probabilities[:, 0], (rows + 1) / 100 + 0.001)
    assert second.test.true.tolist() == [int(row >= 15) for row in rows]
    np.testing.assert_allclose(
        second.validation.probabilities[:, 0], (np.arange(2, 30, 3) + 1) / 100 + 0.001
    )


def test_a_group_has_one_code_in_all_parts_and_folds():
    for validation, test in study_folds(predictions(), CLASSES)["slice", 2]:
        for part in (validation, test):
            row = np.rint(part.probabilities[:, 0] * 100 - 1.2)
            assert part.group.tolist() == (row // 5).tolist()


def test_the_pooled_test_rows_are_every_image_once():
    pooled = pooled_test(study_folds(predictions(), CLASSES)["patient", 1])
    rows = np.floor(pooled.probabilities[:, 0] * 100 - 1 + 1e-6)
    assert sorted(rows) == list(range(30))


def test_a_saved_model_is_calibrated_on_slices_it_was_not_fitted_to():
    folds = study_folds(predictions(), CLASSES)
    for scheme in ("slice", "patient"):
        given, expected = unseen(predictions(), CLASSES, scheme), folds[scheme, 2][0].validation
        np.testing.assert_array_equal(given.probabilities, expected.probabilities)
    final = unseen(predictions(), CLASSES, "final")
    np.testing.assert_array_equal(
        final.probabilities, pooled_test(folds["patient", 2]).probabilities
    )
    assert len(final.true) == 30


def test_one_split_is_one_fold():
    (fold,) = study_folds(predictions(folds=3).query("fold == 0"), CLASSES)["slice", 1]
    assert len(fold.test.true) == 10


@pytest.mark.parametrize("missing", ["test", "validation"])
def test_a_fold_without_a_part_is_named(missing):
    table = predictions()
    with pytest.raises(StudyError, match=f"Fold 1 .* no {missing} rows"):
        study_folds(table[(table["fold"] != 1) | (table["split"] != missing)], CLASSES)


def test_a_missing_group_is_refused():
    with pytest.raises(StudyError, match="'group'"):
        study_folds(predictions().replace({"group": {"g1": None}}), CLASSES)


def test_every_group_weighs_one():
    group = np.array([4, 4, 4, 0, 7, 7])
    np.testing.assert_allclose(slice_weights(group), [1 / 3, 1 / 3, 1 / 3, 1, 1 / 2, 1 / 2])


def test_pooling_keeps_the_order_of_the_folds():
    one = FoldPredictions(np.array([0]), np.array([[0.9, 0.1]]), np.array([3]))
    two = FoldPredictions(np.array([1]), np.array([[0.4, 0.6]]), np.array([5]))
    pooled = pooled_test([Fold(two, one), Fold(one, two)])
    assert pooled.true.tolist() == [0, 1]
    assert pooled.group.tolist() == [3, 5]

import numpy as np
import pandas as pd
import pytest

from kidneyct_lib.core.errors import StudyError
from kidneyct_lib.evaluation.predictions import (
    EvaluationError,
    Fold,
    Predictions,
    check_predictions,
    pooled_test,
    predictions_table,
    slice_weights,
    study_folds,
    unseen,
)

CLASSES = ["Normal", "Stone"]
FOLD_CLASSES = ["A", "B"]
CATALOG = pd.DataFrame(
    {"path": ["b", "a"], "label": ["Stone", "Normal"], "group": [7, 3], "width": 512},
    index=[40, 12],
)
ANSWERS = np.array([[0.1, 0.9], [0.6, 0.4]])
NAMED = {"scheme": "slice", "stage": 2, "fold": 0}


def test_rows_keep_the_catalogs_order_and_columns_the_contracts():
    table = predictions_table(CATALOG, ["test", "train"], ANSWERS, CLASSES, **NAMED)
    columns = ["path", "label", "group", "scheme", "stage", "split", "fold"]
    assert list(table) == [*columns, "p_Normal", "p_Stone"]
    assert list(table["path"]) == ["b", "a"]
    assert list(table["split"]) == ["test", "train"]
    assert list(table["p_Stone"]) == [0.9, 0.4]


def test_what_is_collected_can_be_checked():
    table = predictions_table(CATALOG, ["test", "test"], ANSWERS, CLASSES, **NAMED)
    checked = check_predictions(table, CLASSES)
    assert list(checked.true) == [1, 0]
    assert list(checked.group) == [0, 1]
    np.testing.assert_array_equal(checked.probabilities, ANSWERS)


def test_what_predictions_say_of_each_slice():
    said = Predictions(np.array([1, 1]), ANSWERS, np.array([0, 1]))
    assert said.predicted.tolist() == [1, 0]
    assert said.right.tolist() == [True, False]
    assert said.confidence.tolist() == [0.9, 0.6]
    assert said.of_truth.tolist() == [0.9, 0.4]
    np.testing.assert_allclose(said.nll, -np.log([0.9, 0.4]))
    certain = said._replace(probabilities=np.array([[1.0, 0.0]] * 2))
    np.testing.assert_allclose(certain.nll, -np.log(1e-7))


def test_a_column_that_the_caller_needs_is_asked_for():
    table = predictions_table(CATALOG, ["test", "test"], ANSWERS, CLASSES, **NAMED)
    with pytest.raises(EvaluationError, match="'path'"):
        check_predictions(table.drop(columns="path"), CLASSES, columns=["path"])


@pytest.mark.parametrize(("split", "answers"), [(["test"], ANSWERS), (["test"] * 2, ANSWERS[:1])])
def test_other_lengths_than_the_catalogs_are_refused(split, answers):
    with pytest.raises(EvaluationError, match="do not fit 2 images"):
        predictions_table(CATALOG, split, answers, CLASSES, **NAMED)


# --- folds ------------------------------------------------------------------------------------


def every_fold(folds=3, n=30):
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
    folds = study_folds(every_fold(), FOLD_CLASSES)
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
    for validation, test in study_folds(every_fold(), FOLD_CLASSES)["slice", 2]:
        for part in (validation, test):
            row = np.rint(part.probabilities[:, 0] * 100 - 1.2)
            assert part.group.tolist() == (row // 5).tolist()


def test_the_pooled_test_rows_are_every_image_once():
    pooled = pooled_test(study_folds(every_fold(), FOLD_CLASSES)["patient", 1])
    rows = np.floor(pooled.probabilities[:, 0] * 100 - 1 + 1e-6)
    assert sorted(rows) == list(range(30))


def test_a_saved_model_is_calibrated_on_slices_it_was_not_fitted_to():
    folds = study_folds(every_fold(), FOLD_CLASSES)
    for scheme in ("slice", "patient"):
        given = unseen(every_fold(), FOLD_CLASSES, scheme)
        expected = folds[scheme, 2][0].validation
        np.testing.assert_array_equal(given.probabilities, expected.probabilities)
    final, pooled = unseen(every_fold(), FOLD_CLASSES, "final"), pooled_test(folds["patient", 2])
    np.testing.assert_array_equal(final.probabilities, pooled.probabilities)
    assert len(final.true) == 30


def test_one_split_is_one_fold():
    (fold,) = study_folds(every_fold(folds=3).query("fold == 0"), FOLD_CLASSES)["slice", 1]
    assert len(fold.test.true) == 10


@pytest.mark.parametrize("missing", ["test", "validation"])
def test_a_fold_without_a_part_is_named(missing):
    table = every_fold()
    with pytest.raises(StudyError, match=f"Fold 1 .* no {missing} rows"):
        study_folds(table[(table["fold"] != 1) | (table["split"] != missing)], FOLD_CLASSES)


def test_a_missing_group_is_refused():
    with pytest.raises(StudyError, match="'group'"):
        study_folds(every_fold().replace({"group": {"g1": None}}), FOLD_CLASSES)


def test_every_group_weighs_one():
    group = np.array([4, 4, 4, 0, 7, 7])
    np.testing.assert_allclose(slice_weights(group), [1 / 3, 1 / 3, 1 / 3, 1, 1 / 2, 1 / 2])


def test_pooling_keeps_the_order_of_the_folds():
    one = Predictions(np.array([0]), np.array([[0.9, 0.1]]), np.array([3]))
    two = Predictions(np.array([1]), np.array([[0.4, 0.6]]), np.array([5]))
    pooled = pooled_test([Fold(two, one), Fold(one, two)])
    assert pooled.true.tolist() == [0, 1]
    assert pooled.group.tolist() == [3, 5]

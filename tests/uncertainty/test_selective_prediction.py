import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import recall_score, roc_curve

from kidneyct_lib.core.errors import StudyError
from kidneyct_lib.evaluation.bootstrap import Bootstrap
from kidneyct_lib.evaluation.predictions import EvaluationError, Fold, Predictions, pooled_test
from kidneyct_lib.uncertainty import operating_points, selective_prediction

SAMPLING = Bootstrap(100, 0)


def two_class(confidence, right, group=None):
    """Answer class A with this confidence; the truth is A where it is right."""
    confidence = np.asarray(confidence, float)
    true = np.where(right, 0, 1)
    group = np.arange(len(true)) if group is None else np.asarray(group)
    return Predictions(true, np.column_stack([confidence, 1 - confidence]), group)


def random_predictions(n, seed, groups=20, k=3):
    rng = np.random.default_rng(seed)
    probabilities = rng.dirichlet([0.7] * k, n)
    true = (probabilities.cumsum(axis=1) < rng.random((n, 1))).sum(axis=1).clip(0, k - 1)
    return Predictions(true, probabilities, rng.integers(0, groups, n))


def literal_aurc(predictions):
    """Mean over slices of the error among those at least as sure."""
    confidence = predictions.probabilities.max(axis=1)
    wrong = predictions.probabilities.argmax(axis=1) != predictions.true
    return np.mean([wrong[confidence >= c].mean() for c in confidence])


# --- silence ----------------------------------------------------------------------------------


def test_the_curve_and_its_area_by_hand():
    predictions = two_class([0.6, 0.9, 0.8, 0.7], [False, True, False, True])
    curve = selective_prediction.risk_coverage(predictions)
    assert curve["confidence"].tolist() == [0.9, 0.8, 0.7, 0.6]
    assert curve["coverage"].tolist() == [0.25, 0.5, 0.75, 1]
    assert curve["risk"].tolist() == [0, 1 / 2, 1 / 3, 2 / 4]
    result = selective_prediction.summarise(predictions, [0.25, 0.5], bootstrap=SAMPLING)
    assert result["aurc"] == pytest.approx((0 + 1 / 2 + 1 / 3 + 1 / 2) / 4)
    assert result["aurc_best"] == pytest.approx((0 + 0 + 1 / 3 + 2 / 4) / 4)
    assert result["error"] == 0.5
    assert result["withheld"] == {
        "0.25": {"coverage": 0.75, "accuracy": pytest.approx(2 / 3)},
        "0.5": {"coverage": 0.5, "accuracy": 0.5},
    }


def test_slices_of_equal_confidence_are_answered_together():
    predictions = two_class([0.9, 0.9, 0.9, 0.6], [True, False, True, True])
    curve = selective_prediction.risk_coverage(predictions)
    assert curve["coverage"].tolist() == [0.75, 1]
    assert curve["risk"].tolist() == [1 / 3, 1 / 4]
    result = selective_prediction.summarise(predictions, [0.5], bootstrap=SAMPLING)
    assert result["withheld"]["0.5"] == {"coverage": 0.75, "accuracy": pytest.approx(2 / 3)}
    shuffled = Predictions(*(values[[2, 0, 3, 1]] for values in predictions))
    assert (
        selective_prediction.summarise(shuffled, [], bootstrap=SAMPLING)["aurc"] == result["aurc"]
    )


@pytest.mark.parametrize("seed", range(3))
def test_the_area_equals_its_definition(seed):
    predictions = random_predictions(300, seed)
    rounded = predictions._replace(probabilities=predictions.probabilities.round(1))  # many ties
    for given_predictions in (predictions, rounded):
        result = selective_prediction.summarise(given_predictions, [0.1], bootstrap=SAMPLING)
        assert result["aurc"] == pytest.approx(literal_aurc(given_predictions))


def test_the_interval_of_the_area_is_that_of_resampled_slices():
    predictions = random_predictions(120, 1, groups=9)
    drawn = []
    for times in np.random.default_rng(5).multinomial(9, np.full(9, 1 / 9), size=100):
        rows = np.concatenate(
            [np.flatnonzero(predictions.group == g) for g in np.repeat(range(9), times)]
        )
        drawn.append(literal_aurc(Predictions(*(values[rows] for values in predictions))))
    result = selective_prediction.summarise(predictions, [], bootstrap=Bootstrap(100, 5))
    np.testing.assert_allclose(result["aurc_ci95"], np.quantile(drawn, [0.025, 0.975]))


def test_a_model_that_knows_its_errors_gains_by_silence():
    predictions = random_predictions(2000, 3)
    result = selective_prediction.summarise(predictions, [0.1, 0.5], bootstrap=SAMPLING)
    assert result["aurc_best"] < result["aurc"] < result["error"]
    assert 1 - result["error"] < result["withheld"]["0.1"]["accuracy"]
    assert result["withheld"]["0.1"]["accuracy"] < result["withheld"]["0.5"]["accuracy"]


def test_one_group_and_certain_answers_give_finite_numbers():
    predictions = two_class([1.0, 1.0, 1.0], [True, True, False], group=[0, 0, 0])
    result = selective_prediction.summarise(predictions, [0.1, 1.0], bootstrap=SAMPLING)
    json.dumps(result, allow_nan=False)
    assert result["aurc_ci95"] == [0.0, 1.0]
    assert result["withheld"]["1"]["coverage"] == 1


def test_the_selective_table():
    results = {
        ("slice", 2): selective_prediction.summarise(
            random_predictions(50, 0), [0.2], bootstrap=SAMPLING
        )
    }
    (row,) = selective_prediction.table(results).to_dict("records")
    assert row["scheme"] == "slice"
    assert row["aurc_low"] <= row["aurc_high"]
    assert row["accuracy_without_0.2"] == results["slice", 2]["withheld"]["0.2"]["accuracy"]


# --- operating points -------------------------------------------------------------------------


@given(
    st.lists(st.tuples(st.booleans(), st.sampled_from([0.0, 0.1, 0.3, 0.5, 0.9, 1.0])), min_size=1),
    st.sampled_from([0.5, 0.9, 0.99, 1.0]),
)
@settings(max_examples=100, deadline=None)
def test_the_threshold_is_the_highest_that_reaches_the_recall(slices, recall):
    positive, probability = (np.array(values) for values in zip(*slices, strict=True))
    found = operating_points.recall_threshold(positive, probability, recall)
    if not positive.any():
        assert found == 0
        return
    reaching = [
        t for t in np.unique(probability) if (probability[positive] >= t).mean() >= recall - 1e-9
    ]
    assert found == max(reaching)


def test_the_operating_point_by_brute_force():
    folds = [Fold(random_predictions(200, k), random_predictions(150, 10 + k)) for k in range(3)]
    point = operating_points.operating_point(folds, 1, recall=0.9, bootstrap=SAMPLING)
    counts = np.zeros((2, 2), int)
    for (validation, test), threshold in zip(folds, point["thresholds"], strict=True):
        found = validation.probabilities[validation.true == 1, 1] >= threshold
        assert 0.9 <= found.mean() < 0.93
        for true, row in zip(test.true, test.probabilities, strict=True):
            counts[int(true == 1), int(row[1] >= threshold)] += 1
    (rejected, false), (missed, right) = counts
    assert point["recall"] == pytest.approx(right / (right + missed))
    assert point["specificity"] == pytest.approx(rejected / (rejected + false))
    assert point["false_alarms_per_100"] == pytest.approx(100 * false / (rejected + false))
    assert point["ppv"] == pytest.approx(right / (right + false))
    assert point["prevalence"] == pytest.approx((right + missed) / 450)
    low, high = point["recall_ci95"]
    assert low < point["recall"] < high


def test_the_cost_on_the_test_roc_is_scikit_learns():
    folds = [Fold(random_predictions(200, 1), random_predictions(300, 2))]
    read = operating_points.operating_point(folds, 0, recall=0.95, bootstrap=SAMPLING)[
        "on_test_roc"
    ]
    test = pooled_test(folds)
    fpr, tpr, _ = roc_curve(test.true == 0, test.probabilities[:, 0], drop_intermediate=False)
    assert read["recall"] == tpr[tpr >= 0.95][0]
    assert read["specificity"] == pytest.approx(1 - fpr[tpr >= 0.95].min())
    assert read["false_alarms_per_100"] == pytest.approx(100 * fpr[tpr >= 0.95].min())


def test_a_group_is_missed_where_no_slice_of_it_alarms():
    validation = two_class([0.5, 0.1], [True, False])
    test = two_class([0.9, 0.2, 0.3, 0.1, 0.8], [True, True, True, True, False], [0, 0, 1, 1, 2])
    point = operating_points.operating_point(
        [Fold(validation, test)], 0, recall=1.0, bootstrap=SAMPLING
    )
    assert point["thresholds"] == [0.5]
    assert point["recall"] == 0.25
    assert (point["groups"], point["groups_missed"]) == (2, 1)
    assert point["false_alarms_per_100"] == 100


def test_a_class_absent_from_validation_alarms_always():
    validation = two_class([0.5, 0.6], [False, False])
    test = two_class([0.9, 0.0], [True, False])
    point = operating_points.operating_point(
        [Fold(validation, test)], 0, recall=0.99, bootstrap=SAMPLING
    )
    assert (point["recall"], point["specificity"]) == (1, 0)
    json.dumps(point, allow_nan=False)


def test_without_alarms_there_is_no_predictive_value():
    validation = two_class([1.0], [True])
    test = two_class([0.9, 0.3], [True, False])
    point = operating_points.operating_point(
        [Fold(validation, test)], 0, recall=0.99, bootstrap=SAMPLING
    )
    assert point["ppv"] is None
    assert point["recall"] == 0


@pytest.mark.parametrize("right", [True, False])
def test_a_test_part_of_one_kind_is_refused(right):
    fold = Fold(two_class([0.9], [True]), two_class([0.9, 0.8], [right, right]))
    with pytest.raises(StudyError, match="another one"):
        operating_points.operating_point([fold], 0, recall=0.99, bootstrap=SAMPLING)


def test_the_point_table_has_a_row_a_class():
    folds = [Fold(random_predictions(100, 1), random_predictions(100, 2))]
    found = operating_points.assess(folds, "ABC", ["C", "A"], recall=0.9, bootstrap=SAMPLING)
    assert list(found) == ["C", "A"]
    assert found["C"] == operating_points.operating_point(folds, 2, recall=0.9, bootstrap=SAMPLING)
    table = operating_points.table({("patient", 1): found})
    assert table["label"].tolist() == ["C", "A"]
    assert table["roc_recall"].tolist() == [p["on_test_roc"]["recall"] for p in found.values()]
    assert "thresholds" not in table


# --- Youden's point ---------------------------------------------------------------------------


@given(st.lists(st.tuples(st.booleans(), st.sampled_from(np.arange(1, 16) / 16)), min_size=2))
@settings(max_examples=100, deadline=None)
def test_youdens_threshold_is_the_highest_that_gains_most(slices):
    stone, score = (np.array(values) for values in zip(*slices, strict=True))
    found = operating_points.youden_threshold(stone, score)
    if stone.all() or not stone.any():
        assert found == 0.5
        return
    gain = {t: (score >= t)[stone].mean() - (score >= t)[~stone].mean() for t in np.unique(score)}
    most = max(gain.values())
    assert found == max(t for t in gain if gain[t] > most - 1e-9)


def test_youdens_point_is_chosen_on_validation_and_read_on_test():
    folds = [
        Fold(random_predictions(80, k, k=2), random_predictions(60, 10 + k, k=2)) for k in range(3)
    ]
    point = operating_points.youden_point(folds, 1, bootstrap=SAMPLING)
    true, alarm, thresholds = [], [], []
    for validation, test in folds:
        learned = validation.true == 1, validation.probabilities[:, 1]
        thresholds.append(operating_points.youden_threshold(*learned))
        true += list(test.true == 1)
        alarm += list(test.probabilities[:, 1] >= thresholds[-1])
    assert point["thresholds"] == thresholds
    assert len(set(thresholds)) == 3
    assert point["sensitivity"] == pytest.approx(recall_score(true, alarm))
    assert point["specificity"] == pytest.approx(recall_score(true, alarm, pos_label=False))
    for name in ("sensitivity", "specificity"):
        low, high = point[f"{name}_ci95"]
        assert low < point[name] < high


def test_a_model_that_is_wrong_throughout_still_has_a_finite_threshold():
    part = two_class([0.1, 0.9], [True, False])
    point = operating_points.youden_point([Fold(part, part)], 0, bootstrap=SAMPLING)
    assert point["thresholds"] == [0.1]
    json.dumps(point, allow_nan=False)


def test_youdens_point_needs_test_slices_of_both_classes():
    part = two_class([0.1, 0.9], [True, True])
    with pytest.raises(EvaluationError, match="another one"):
        operating_points.youden_point([Fold(part, part)], 0, bootstrap=SAMPLING)

import json
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import softmax
from sklearn.metrics import brier_score_loss, log_loss

from kidneyct_lib.evaluation.bootstrap import Bootstrap
from kidneyct_lib.evaluation.metrics import summarise
from kidneyct_lib.evaluation.predictions import Fold, Predictions, probability_columns
from kidneyct_lib.uncertainty import calibration

CLASSES = ["A", "B", "C"]
SAMPLING = Bootstrap(100, 0)


def logits_and_truth(n, seed=0, scale=2.0):
    """Logits whose softmax is the true distribution."""
    rng = np.random.default_rng(seed)
    logits = scale * rng.normal(size=(n, 3))
    draw = rng.random((n, 1))
    true = (softmax(logits, axis=1).cumsum(axis=1) < draw).sum(axis=1).clip(0, 2)
    return logits, true


def predictions_of(n=400, seed=0, factor=1.0, groups=40):
    logits, true = logits_and_truth(n, seed)
    group = np.random.default_rng(seed + 1).integers(0, groups, n)
    return Predictions(true, softmax(factor * logits, axis=1), group)


def literal_ece(predictions, edges):
    """The definition, slice by slice and bin by bin."""
    total = 0.0
    for low, high in pairwise(edges):
        confidences, rights = [], []
        for true, row in zip(predictions.true, predictions.probabilities, strict=True):
            inside = low < max(row) <= high or (low == edges[0] and max(row) == low)
            if inside:
                confidences.append(max(row))
                rights.append(int(row.argmax() == true))
        if rights:
            share = len(rights) / len(predictions.true)
            total += share * abs(np.mean(confidences) - np.mean(rights))
    return total


# --- scores -----------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(3))
def test_scores_are_those_of_scikit_learn(seed):
    predictions = predictions_of(seed=seed)
    result = calibration.scores(predictions, bins=10, bootstrap=SAMPLING)
    assert result["nll"] == pytest.approx(log_loss(predictions.true, predictions.probabilities))
    assert result["brier"] == pytest.approx(
        brier_score_loss(predictions.true, predictions.probabilities, scale_by_half=False)
    )
    assert result["n"] == 400
    assert result["groups"] == len(np.unique(predictions.group))


def test_the_brier_score_sums_over_the_classes():
    predictions = Predictions(np.array([2]), np.array([[0.5, 0.3, 0.2]]), np.array([0]))
    assert calibration.brier(predictions)[0] == pytest.approx(0.25 + 0.09 + 0.64)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("bins", [2, 7, 15])
def test_calibration_errors_equal_the_literal_loop(seed, bins):
    predictions = predictions_of(seed=seed, factor=2.0)
    result = calibration.scores(predictions, bins=bins, bootstrap=SAMPLING)
    even = np.arange(bins + 1) / bins
    assert result["ece_width"] == pytest.approx(literal_ece(predictions, even))
    full = np.quantile(predictions.probabilities.max(axis=1), even)
    assert result["ece_mass"] == pytest.approx(literal_ece(predictions, full))


def test_bins_of_equal_mass_hold_equally_many_and_keep_ties_together():
    confidence = predictions_of().confidence
    assert np.bincount(calibration._bin_numbers(confidence, 8, equal="mass")).tolist() == [50] * 8
    assert set(calibration._bin_numbers(np.full(100, 0.9), 8, equal="mass")) == {0}


def test_a_confidence_on_an_edge_belongs_below():
    probabilities = np.array([[0.5, 0.5, 0], [0.6, 0.4, 0], [1, 0, 0]])
    predictions = Predictions(np.zeros(3, int), probabilities, np.arange(3))
    bins = calibration.reliability([Fold(predictions, predictions)], [1.0], bins=2)["before"]
    assert bins["n"].tolist() == [1, 2]
    assert bins["confidence"].tolist() == [0.5, 0.8]


def test_true_probabilities_have_a_small_error_and_sharpened_ones_a_large():
    errors = {
        factor: calibration.scores(
            predictions_of(20_000, factor=factor), bins=15, bootstrap=SAMPLING
        )
        for factor in (1.0, 3.0)
    }
    for name in ("ece_width", "ece_mass"):
        assert errors[1.0][name] < 0.02
        assert errors[3.0][name] > 0.1
    assert errors[1.0]["nll"] < errors[3.0]["nll"]


def test_the_loss_is_that_of_the_headline():
    predictions = predictions_of()
    predictions.probabilities[0] = [1, 0, 0]
    predictions.true[0] = 1  # a certain error: infinite without the clip
    table = pd.DataFrame({"label": np.array(CLASSES)[predictions.true], "group": predictions.group})
    table[probability_columns(CLASSES)] = predictions.probabilities
    headline = summarise(table, CLASSES, bootstrap=SAMPLING)
    result = calibration.scores(predictions, bins=15, bootstrap=SAMPLING)
    assert result["nll"] == pytest.approx(headline["loss"])
    assert result["accuracy"] == headline["accuracy"]


def test_intervals_are_those_of_resampled_slices():
    predictions = predictions_of(factor=2.0, groups=12)
    result = calibration.scores(predictions, bins=5, bootstrap=Bootstrap(200, 3))
    names = np.unique(predictions.group)
    edges = np.arange(6) / 5
    drawn = {"nll": [], "brier": [], "ece_width": []}
    for times in np.random.default_rng(3).multinomial(12, np.full(12, 1 / 12), size=200):
        rows = np.concatenate(
            [np.flatnonzero(predictions.group == g) for g in np.repeat(names, times)]
        )
        resample = Predictions(*(values[rows] for values in predictions))
        drawn["nll"].append(resample.nll.mean())
        drawn["brier"].append(calibration.brier(resample).mean())
        drawn["ece_width"].append(literal_ece(resample, edges))
    for name, values in drawn.items():
        expected = np.quantile(values, [0.025, 0.975])
        np.testing.assert_allclose(result[f"{name}_ci95"], expected, rtol=1e-9)


# --- temperature ------------------------------------------------------------------------------


@pytest.mark.parametrize("temperature", [0.5, 1.0, 3.0])
@pytest.mark.parametrize("weigh", ["groups", "slices"])
def test_a_known_temperature_is_recovered(temperature, weigh):
    predictions = predictions_of(20_000, factor=temperature, groups=20_000)
    found = calibration.fit_temperature(predictions, weigh=weigh)
    assert found == pytest.approx(temperature, rel=0.05)


def test_scaling_undoes_the_temperature():
    logits, _ = logits_and_truth(50)
    scaled = calibration.at_temperature(softmax(logits * 2.5, axis=1), 2.5)
    np.testing.assert_allclose(scaled, softmax(logits, axis=1), rtol=1e-9)


@given(
    st.lists(st.floats(0, 1), min_size=3, max_size=3).filter(lambda p: sum(p) > 0.1),
    st.floats(0.05, 50),
)
@settings(max_examples=50, deadline=None)
def test_scaling_keeps_the_order_and_sums_to_one(parts, temperature):
    row = np.array([parts]) / sum(parts)
    scaled = calibration.at_temperature(row, temperature)
    assert scaled.sum() == pytest.approx(1)
    assert (np.diff(scaled[0, np.argsort(row[0])]) >= -1e-12).all()
    np.testing.assert_allclose(calibration.at_temperature(row, 1.0), row, atol=1e-12)


def test_the_fit_minimises_what_it_says():
    predictions = predictions_of(300, factor=2.0, groups=20)
    _, code, sizes = np.unique(predictions.group, return_inverse=True, return_counts=True)

    def literal(temperature):
        scaled = calibration.at_temperature(predictions.probabilities, temperature)
        loss = -np.log(scaled[np.arange(300), predictions.true])
        return (loss / sizes[code]).sum() + np.log(temperature) ** 2 / 2

    grid = np.exp(np.linspace(-2, 2, 4001))
    best = grid[np.argmin([literal(temperature) for temperature in grid])]
    assert calibration.fit_temperature(predictions, weigh="groups") == pytest.approx(best, rel=2e-3)


def test_a_large_group_outvotes_others_only_where_slices_are_weighed():
    sure = Predictions(np.zeros(90, int), np.tile([0.9, 0.1], (90, 1)), np.zeros(90, int))
    wrong = Predictions(np.ones(9, int), np.tile([0.9, 0.1], (9, 1)), np.arange(1, 10))
    predictions = Predictions(*(np.concatenate(pair) for pair in zip(sure, wrong, strict=True)))
    by_slice = calibration.fit_temperature(predictions, weigh="slices")
    by_group = calibration.fit_temperature(predictions, weigh="groups")
    assert by_slice == pytest.approx(1, abs=0.1)  # 90 of 99 are right at 0.9
    assert by_group > 3


@pytest.mark.parametrize(
    "row", [[1.0, 0.0, 0.0], [0.6, 0.4, 0.0], [1 / 3, 1 / 3, 1 / 3]], ids=["sure", "zero", "flat"]
)
@pytest.mark.parametrize("true", [0, 1])
def test_degenerate_answers_give_finite_numbers(row, true):
    predictions = Predictions(np.full(5, true), np.tile(row, (5, 1)), np.zeros(5, int))
    temperature = calibration.fit_temperature(predictions, weigh="groups")
    assert 0.01 <= temperature <= 100
    result = calibration.assess([Fold(predictions, predictions)], bins=15, bootstrap=SAMPLING)
    json.dumps(result, allow_nan=False)
    assert result["before"]["nll_ci95"] == [0.0, pytest.approx(-np.log(1e-7))]
    assert result["before"]["ece_width_ci95"] == [0.0, 1.0]


def test_validation_without_errors_does_not_make_the_answers_certain():
    predictions = Predictions(np.zeros(50, int), np.tile([0.8, 0.2], (50, 1)), np.arange(50))
    assert 0.2 < calibration.fit_temperature(predictions, weigh="groups") < 1


# --- all together -----------------------------------------------------------------------------


def test_each_fold_is_scaled_by_its_own_validation_slices():
    folds = [
        Fold(
            predictions_of(4000, factor=factor, seed=seed),
            predictions_of(4000, factor=factor, seed=9),
        )
        for seed, factor in enumerate((1.0, 4.0))
    ]
    result = calibration.assess(folds, bins=15, bootstrap=SAMPLING)
    one, four = result["temperature"]
    assert one == pytest.approx(1, rel=0.2)
    assert four == pytest.approx(4, rel=0.2)
    assert result["after"]["nll"] < result["before"]["nll"]
    assert result["after"]["accuracy"] == result["before"]["accuracy"]
    swapped = calibration.rescaled(folds, [four, one])
    worse = np.mean([fold.test.nll.mean() for fold in swapped])
    assert worse > result["after"]["nll"]
    json.dumps(result, allow_nan=False)


def test_the_table_has_a_row_for_each_way():
    folds = [Fold(predictions_of(factor=2.0), predictions_of(factor=2.0, seed=5))]
    results = {("slice", 1): calibration.assess(folds, bins=15, bootstrap=SAMPLING)}
    table = calibration.table(results)
    assert table["probabilities"].tolist() == [
        "uncalibrated",
        "temperature by group",
        "temperature by slice",
    ]
    assert table["temperature"].iloc[0] == 1
    before = results["slice", 1]["before"]
    assert table["nll"].iloc[0] == before["nll"]
    assert table.loc[0, ["nll_low", "nll_high"]].tolist() == before["nll_ci95"]
    assert table.notna().all(axis=None)


def test_the_reliability_pair_is_before_and_after():
    folds = [Fold(predictions_of(factor=3.0), predictions_of(factor=3.0, seed=5))]
    pair = calibration.reliability(folds, [3.0], bins=10)
    for when, bins in pair.items():
        assert bins["n"].sum() == 400, when
    gap = {
        when: np.average(abs(b["confidence"] - b["accuracy"]), weights=b["n"])
        for when, b in pair.items()
    }
    assert gap["after"] < gap["before"] / 2

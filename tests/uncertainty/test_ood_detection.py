import json

import numpy as np
import pandas as pd
import pytest
from scipy.spatial.distance import mahalanobis as scipy_mahalanobis
from sklearn.covariance import LedoitWolf
from sklearn.metrics import roc_auc_score

from kidneyct_lib.core.errors import StudyError
from kidneyct_lib.evaluation.bootstrap import Bootstrap
from kidneyct_lib.uncertainty import ood_detection

SAMPLING = Bootstrap(100, 0)
KEPT = 0.9


def features_of(n=600, d=12, seed=0):
    """Features of unequal spread around a mean far from 0."""
    rng = np.random.default_rng(seed)
    mixing = rng.normal(size=(d, d))
    return (5 + rng.normal(size=(n, d)) @ mixing).astype(np.float32)


def split_of(n=600, folds=3):
    number = np.arange(n)
    rows = []
    for fold in range(folds):
        part = np.select(
            [number % folds == fold, number % folds == (fold + 1) % folds],
            ["test", "validation"],
            "train",
        )
        group = number // 6
        by_patient = np.select(
            [group % folds == fold, group % folds == (fold + 1) % folds],
            ["test", "validation"],
            "train",
        )
        rows.append(
            pd.DataFrame({"group": group, "fold": fold, "slice": part, "patient": by_patient})
        )
    return pd.concat(rows, ignore_index=True)


# --- distances --------------------------------------------------------------------------------


def test_the_mahalanobis_distance_is_that_of_its_definition():
    training, new = features_of(), features_of(20, seed=3)
    fitted = LedoitWolf().fit(training)
    expected = [scipy_mahalanobis(row, fitted.location_, fitted.precision_) for row in new]
    np.testing.assert_allclose(ood_detection.mahalanobis(training)(new), expected, rtol=1e-4)


def test_the_principal_distance_is_the_mahalanobis_distance_of_its_own_spread():
    training, new = features_of(), features_of(20, seed=3)
    found = ood_detection.principal_distance(training, axes=3)
    assert found.axes.shape[1] == 3
    others = np.eye(training.shape[1]) - found.axes @ found.axes.T
    covariance = (found.axes * found.variances) @ found.axes.T + found.rest * others
    precision = np.linalg.inv(covariance)
    expected = [scipy_mahalanobis(row, training.mean(axis=0), precision) for row in new]
    np.testing.assert_allclose(found(new), expected, rtol=1e-4)
    assert np.trace(covariance) == pytest.approx(np.trace(LedoitWolf().fit(training).covariance_))


def test_with_nearly_all_axes_it_is_the_whole_distance():
    training, new = features_of(), features_of(20, seed=3)
    found = ood_detection.principal_distance(training, axes=training.shape[1])
    np.testing.assert_allclose(found(new), ood_detection.mahalanobis(training)(new), rtol=1e-4)


def test_fewer_pictures_than_features_still_have_a_distance():
    training, new = features_of(8, d=40), features_of(5, d=40, seed=2)
    distances = ood_detection.mahalanobis(training)(new)
    assert np.isfinite(distances).all()
    # Beyond the seven axes that eight pictures span, the spread is alike in all directions.
    found = ood_detection.principal_distance(training)
    assert found.axes.shape == (40, 7)
    np.testing.assert_allclose(found(new), distances, rtol=1e-4)


def test_the_neighbour_distance_is_brute_force():
    training, new = features_of(60), features_of(15, seed=3)
    unit = [
        rows / np.sqrt((rows.astype(float) ** 2).sum(axis=1))[:, None] for rows in (training, new)
    ]
    expected = [sorted(np.sqrt(((row - unit[0]) ** 2).sum(axis=1)))[9] for row in unit[1]]
    found = ood_detection.nearest_neighbours(training)(new)
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-5)


def test_few_training_pictures_have_fewer_neighbours():
    training = np.array([[1.0, 0.0], [0.0, 1.0]])
    found = ood_detection.nearest_neighbours(training)(np.array([[2.0, 0.0], [0.0, 0.0]]))
    np.testing.assert_allclose(found, [np.sqrt(2), 1], rtol=1e-6)


@pytest.mark.parametrize("name", list(ood_detection.SCORES))
def test_shifted_pictures_are_rejected_and_like_ones_are_not(name):
    gate = ood_detection.fit_gate(
        features_of(), split_of()["slice"][:600], ood_detection.SCORES[name], kept=0.99
    )
    alike, shifted = gate.score(features_of(seed=0)[::3]), gate.score(features_of(50, seed=0) - 30)
    assert (shifted > gate.threshold).all()
    assert (alike > gate.threshold).mean() < 0.05


@pytest.mark.parametrize("fit", ood_detection.SCORES.values(), ids=list(ood_detection.SCORES))
def test_features_that_are_no_numbers_are_refused(fit):
    training = features_of(30)
    training[3, 2] = np.inf
    with pytest.raises(StudyError, match="finite"):
        fit(training)


def test_features_that_do_not_vary_are_refused():
    with pytest.raises(StudyError, match="same features"):
        ood_detection.mahalanobis(np.ones((9, 4)))
    with pytest.raises(StudyError, match="same features"):
        ood_detection.principal_distance(np.ones((9, 4)))


# --- gates ------------------------------------------------------------------------------------


def test_a_gate_is_fitted_on_training_and_set_on_validation():
    features, part = features_of(), split_of().query("fold == 0")["patient"].to_numpy()
    gate = ood_detection.fit_gate(features, part, ood_detection.mahalanobis, kept=KEPT)
    score = ood_detection.mahalanobis(features[part == "train"])
    validation = np.sort(score(features[part == "validation"]))
    assert (validation <= gate.threshold).mean() >= KEPT
    assert gate.threshold in validation
    assert (validation < gate.threshold).mean() < KEPT
    np.testing.assert_array_equal(gate.test, score(features[part == "test"]))
    moved = features.copy()
    moved[part == "test"] += 100  # the test part decides nothing
    again = ood_detection.fit_gate(moved, part, ood_detection.mahalanobis, kept=KEPT)
    assert again.threshold == gate.threshold
    assert (again.test > again.threshold).all()


def test_the_final_gate_is_fitted_on_all_and_set_on_slices_unseen():
    features = features_of()
    folds = [rows["patient"].to_numpy() for _, rows in split_of().groupby("fold")]
    gate = ood_detection.fit_final_gate(features, folds, ood_detection.mahalanobis, kept=KEPT)
    score = ood_detection.mahalanobis(features)
    np.testing.assert_array_equal(gate.score(features), score(features))
    assert len(gate.test) == len(features)
    assert (gate.test < gate.threshold).mean() <= KEPT <= (gate.test <= gate.threshold).mean()
    assert gate.threshold > np.quantile(score(features), KEPT)  # what was fitted lies nearer


@pytest.fixture(scope="module")
def judged():
    features = features_of()
    features[:6] += 40  # one patient unlike all others
    images = {"odd": features_of(25, seed=1) - 30}, {"like": features_of(10, seed=0)}
    return features, ood_detection.assess(
        features,
        split_of(),
        *images,
        fit=ood_detection.mahalanobis,
        kept=KEPT,
        bootstrap=SAMPLING,
    )


def test_test_slices_of_all_folds_are_counted(judged):
    features, result = judged
    for scheme, counted in result["in_distribution"].items():
        refused = []
        for fold, rows in split_of().groupby("fold"):
            part = rows[scheme].to_numpy()
            gate = ood_detection.fit_gate(features, part, ood_detection.mahalanobis, kept=KEPT)
            assert gate.threshold == result["thresholds"][scheme][fold]
            refused.extend(gate.test > gate.threshold)
        assert counted["n"] == 600
        assert counted["rejected"] == pytest.approx(np.mean(refused))
        low, high = counted["rejected_ci95"]
        assert low <= counted["rejected"] <= high
    assert result["in_distribution_rejected"] == result["in_distribution"]["patient"]["rejected"]


def test_other_pictures_are_judged_by_the_saved_models_gate(judged):
    features, result = judged
    part = split_of().query("fold == 0")["patient"].to_numpy()
    gate = ood_detection.fit_gate(features, part, ood_detection.mahalanobis, kept=KEPT)
    scores = gate.score(features_of(25, seed=1) - 30)
    assert result["threshold"] == gate.threshold
    assert result["ood_images"]["odd"] == {
        "n": 25,
        "auroc": pytest.approx(
            roc_auc_score([0] * len(gate.test) + [1] * 25, np.r_[gate.test, scores])
        ),
        "rejected": 1.0,
    }
    assert result["id_images"]["like"]["rejected"] < 0.5
    json.dumps(result, allow_nan=False)


def test_the_table_tells_what_should_be_rejected(judged):
    table = ood_detection.table({"mahalanobis": judged[1]})
    assert table["kind"].tolist() == [
        "test slices, by slice",
        "test slices, by patient",
        "like",
        "odd",
    ]
    assert table["in_distribution"].tolist() == [True, True, True, False]
    assert table["rejected"].iloc[3] == 1
    assert table["rejected_low"].notna().tolist() == [True, True, False, False]

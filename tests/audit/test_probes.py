from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.preprocessing import StandardScaler

from kidneyct_lib.audit import probes
from kidneyct_lib.evaluation import metrics
from kidneyct_lib.evaluation.bootstrap import Bootstrap
from kidneyct_lib.evaluation.predictions import check_predictions
from kidneyct_lib.splitting import cross_validation

CLASSES = ["Cyst", "Normal", "Stone"]


FITS = []


class Spy(ClassifierMixin, BaseEstimator):
    """Notes the rows it is fitted on and asked about; its features are row numbers."""

    def fit(self, features, code):
        self.classes_ = np.unique(code)
        FITS.append([features.ravel().astype(int), None])
        return self

    def predict_proba(self, features):
        FITS[-1][1] = features.ravel().astype(int)
        return np.full((len(features), len(self.classes_)), 1 / len(self.classes_))


@pytest.fixture
def probe(synthetic_probe):
    return synthetic_probe(classes=CLASSES, informed=1.0)


@pytest.fixture
def tested(probe):
    return cross_validation.assign_folds(probe.table, "patient", folds=4, seed=1)


# --- out of fold --------------------------------------------------------------------------------


def test_out_of_fold_answers_are_those_of_a_plain_loop(probe, tested):
    expected = np.zeros((len(tested), 3))
    for row in range(len(tested)):
        train = [other for other in range(len(tested)) if tested[other] != tested[row]]
        scaler = StandardScaler().fit(probe.features[train])
        model = LogisticRegression(C=1.0, class_weight="balanced", max_iter=2000)
        model.fit(scaler.transform(probe.features[train]), probe.table["label"].iloc[train])
        expected[row] = model.predict_proba(scaler.transform(probe.features[[row]]))[0]
    answers = probe.out_of_fold(tested)
    assert answers.dtype == np.float64
    np.testing.assert_allclose(answers, expected, atol=1e-5)
    np.testing.assert_allclose(answers.sum(axis=1), 1, atol=1e-12)


def test_a_fit_sees_all_other_folds_and_no_group_of_its_own(probe, tested):
    group = probe.table["group"].to_numpy()
    rows = np.arange(len(group), dtype=np.float32)[:, None]
    FITS.clear()
    replace(probe, estimator=Spy(), features=rows).out_of_fold(tested)
    assert len(FITS) == 4
    for train, test in FITS:
        assert sorted([*train, *test]) == list(range(len(group)))
        assert not set(group[train]) & set(group[test])
    assert sorted(row for _, test in FITS for row in test) == list(range(len(group)))


def test_no_test_row_moves_anothers_answer(probe, tested):
    """Neither scaling nor components may be learned from what is tested."""
    train, test = tested != 0, tested == 0
    spoiled = probe.features.copy()
    spoiled[np.flatnonzero(test)[1:]] *= 1000
    labels = probe.table["label"].mask(test, "Stone")
    forest = probes.pca_forest(probe.features.shape, components=5, trees=5, seed=0)
    for estimator in (probe.estimator, forest):
        one = replace(probe, estimator=estimator)
        other = replace(one, features=spoiled, table=probe.table.assign(label=labels))
        np.testing.assert_array_equal(one.predict(train, test)[0], other.predict(train, test)[0])


def test_a_class_without_training_images_gets_no_probability(probe):
    label = probe.table["label"]
    test = (label == "Normal").to_numpy()
    without = (label != "Normal").to_numpy()
    answers = probe.predict(without, test)
    assert (answers[:, 1] == 0).all()
    np.testing.assert_allclose(answers.sum(axis=1), 1)
    alone = probe.predict((label == "Stone").to_numpy(), test)
    np.testing.assert_array_equal(alone, np.tile([0.0, 0, 1], (test.sum(), 1)))


def test_the_same_seed_grows_the_same_forest(probe, tested):
    def answers(seed):
        forest = probes.pca_forest(probe.features.shape, components=100, trees=10, seed=seed)
        return replace(probe, estimator=forest).out_of_fold(tested)

    np.testing.assert_array_equal(answers(3), answers(3))
    assert not np.array_equal(answers(3), answers(4))


@pytest.mark.parametrize(
    ("shape", "kept"), [((500, 4096), 100), ((500, 64), 64), ((90, 4096), 45), ((1, 9), 1)]
)
def test_components_are_no_more_than_a_training_part_holds(shape, kept):
    assert probes.pca_forest(shape, components=100, trees=1, seed=0)[0].n_components == kept


# --- tables and scores --------------------------------------------------------------------------


def test_rows_have_the_form_of_the_predictions_table(probe, tested):
    answers = probe.out_of_fold(tested)
    rows = probe.rows(answers, tested, scheme="patient", model="mine")
    columns = ["path", "label", "group", "scheme", "model", "split", "fold"]
    assert list(rows) == columns + [f"p_{name}" for name in CLASSES]
    assert list(rows["path"]) == list(probe.table["path"])
    np.testing.assert_array_equal(rows["fold"], tested)
    assert set(rows["split"]) == {"test"}
    result = check_predictions(rows, CLASSES).probabilities
    np.testing.assert_array_equal(result, answers)


def test_scores_are_those_of_the_evaluation(probe, tested):
    answers = probe.out_of_fold(tested)
    rows = probe.rows(answers, tested, scheme="patient", model="mine")
    chosen = tested < 2
    scores = probe.score(answers[chosen], chosen, bootstrap=Bootstrap(100, 1))
    assert scores == metrics.summarise(rows[chosen], CLASSES, bootstrap=Bootstrap(100, 1))
    assert scores["n"] == chosen.sum()


# --- nearest training slice ---------------------------------------------------------------------


@pytest.mark.parametrize("block", [1, 7, 1000])
def test_the_nearest_slice_is_that_of_a_plain_loop(block):
    rng = np.random.default_rng(0)
    thumbs = rng.normal(size=(40, 9)).astype(np.float32)
    thumbs /= np.linalg.norm(thumbs, axis=1, keepdims=True)
    tested = rng.integers(3, size=40)
    result = probes.nearest_training(thumbs, tested, block=block)
    for row in range(40):
        others = [other for other in range(40) if tested[other] != tested[row]]
        alike = [float(thumbs[row] @ thumbs[other]) for other in others]
        assert result.row[row] == others[int(np.argmax(alike))]
        assert result.correlation[row] == pytest.approx(max(alike), abs=1e-6)


def test_its_class_is_the_answer_of_a_nearest_neighbour_classifier():
    rng = np.random.default_rng(1)
    thumbs = rng.normal(size=(60, 9)).astype(np.float32)
    thumbs /= np.linalg.norm(thumbs, axis=1, keepdims=True)
    labels, tested = rng.choice(CLASSES, 60), np.arange(60) % 2
    answers = probes.nearest_training(thumbs, tested, block=16).predict(labels, CLASSES)
    for fold in (0, 1):
        model = KNeighborsClassifier(1).fit(thumbs[tested != fold], labels[tested != fold])
        expected = model.predict_proba(thumbs[tested == fold])
        np.testing.assert_array_equal(answers[tested == fold], expected)


def test_a_blank_slice_is_like_nothing():
    thumbs = np.zeros((2, 4), np.float32)
    thumbs[1, 0] = 1
    result = probes.nearest_training(thumbs, np.array([0, 1]), block=1)
    assert list(result.correlation) == [0, 0]
    assert list(result.row) == [1, 0]


def test_labels_may_come_as_a_column(probe, tested):
    nearest = probes.nearest_training(probe.features, tested, block=8)
    answers = nearest.predict(pd.Series(probe.table["label"]), CLASSES)
    assert (answers.sum(axis=1) == 1).all()


def test_images_seen_in_two_ways_count_once(probe, tested):
    train = tested != 0
    twice = replace(probe, also=probe.features).predict(train, ~train)
    np.testing.assert_allclose(twice, probe.predict(train, ~train), atol=1e-4)
    other = probe.features[:, ::-1]
    both = replace(probe, also=other).predict(train, ~train)
    code = probe.table["label"].map(CLASSES.index).to_numpy()[train]
    expected = clone(probe.estimator).fit(
        np.concatenate([probe.features[train], other[train]]),
        np.tile(code, 2),
        logisticregression__sample_weight=np.full(2 * train.sum(), 0.5),
    )
    np.testing.assert_allclose(both, expected.predict_proba(probe.features[~train]), atol=1e-6)


def test_groups_may_count_alike_whatever_their_size(probe):
    """A slice stored twice more changes nothing then, and does where slices count alike."""
    few = probe.table["group"].unique()[:3]
    again = np.flatnonzero(probe.table["group"].isin(few))
    rows = np.concatenate([np.arange(len(probe.table)), again, again])

    def answers(rows, by_group):
        more = replace(
            probe,
            estimator=probes.logistic_regression(c=0.01),
            features=probe.features[rows],
            table=probe.table.iloc[rows].reset_index(drop=True),
            by_group=by_group,
        )
        train = np.ones(len(rows), bool)
        test = np.zeros(len(rows), bool)
        test[: len(probe.table)] = True
        return more.predict(train, test)

    once = np.arange(len(probe.table))
    plain = answers(rows, False) - answers(once, False)
    alike = answers(rows, True) - answers(once, True)
    # The scaling still sees slices, so the answers are not equal to the digit.
    assert np.abs(alike).max() < 0.3 * np.abs(plain).max()

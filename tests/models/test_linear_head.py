"""Against scikit-learn's own answers, on features of very different scales."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from kidneyct_lib.core.errors import StudyError
from kidneyct_lib.models import linear_head


def drawn(classes, n=90, width=6, seed=0):
    rng = np.random.default_rng(seed)
    targets = rng.integers(0, classes, n)
    features = rng.normal(size=(n, width)) + targets[:, None] * rng.normal(size=width)
    scale = 10.0 ** np.arange(-2, width - 2)
    return (features * scale + 5 * scale).astype(np.float32), targets, rng.uniform(0.2, 3, n)


def test_strong_features_are_penalised_less():
    features, targets, weights = drawn(3)
    scaled = StandardScaler().fit_transform(features)
    scaled[:, -2:] *= 5
    theirs = LogisticRegression(C=0.01, max_iter=2000).fit(scaled, targets, weights)
    how = {"classes": list("abc"), "c": 0.01}
    ours = linear_head.fit(features, targets, weights, **how, strong=2)
    expected = theirs.predict_proba(scaled)
    np.testing.assert_allclose(ours.probabilities(features), expected, atol=1e-5)
    alike = linear_head.fit(features, targets, weights, **how).probabilities(features)
    assert np.abs(alike - expected).max() > 0.01


@pytest.mark.parametrize("classes", [2, 3, 4])
def test_answers_are_those_of_scikit_learn(classes):
    features, targets, weights = drawn(classes)
    theirs = make_pipeline(StandardScaler(), LogisticRegression(C=0.3, max_iter=2000))
    theirs.fit(features, targets, logisticregression__sample_weight=weights)
    ours = linear_head.fit(features, targets, weights, classes=list("abcd")[:classes], c=0.3)
    assert (ours.kernel.shape, ours.bias.shape) == ((6, classes), (classes,))
    result = ours.probabilities(features)
    np.testing.assert_allclose(result, theirs.predict_proba(features), atol=1e-5)
    np.testing.assert_allclose(result.sum(axis=1), 1)


def test_weights_of_rows_count():
    features, targets, _ = drawn(3)
    even = linear_head.fit(features, targets, np.ones(len(targets)), classes=list("abc"), c=0.3)
    heavy = np.where(targets == 1, 50.0, 1.0)
    leaning = linear_head.fit(features, targets, heavy, classes=list("abc"), c=0.3)
    assert leaning.probabilities(features)[:, 1].mean() > even.probabilities(features)[:, 1].mean()


def test_a_channel_that_never_changes_does_no_harm():
    features, targets, weights = drawn(3)
    features[:, 2] = 7
    head = linear_head.fit(features, targets, weights, classes=list("abc"), c=0.3)
    assert np.isfinite(head.probabilities(features)).all()


def test_a_class_without_rows_is_named():
    features, targets, weights = drawn(3)
    with pytest.raises(StudyError, match="class 'd'"):
        linear_head.fit(features, targets, weights, classes=list("abcd"), c=0.3)

"""The small network learns what it is shown, and equal seeds give equal networks."""

import numpy as np
import pytest

from kidneyct_lib.models.small_cnn import SmallCNN


@pytest.fixture(scope="module")
def images():
    """Bright bars on noise, of three classes by height; one class has few."""
    rng = np.random.default_rng(0)
    labels = np.repeat(["low", "middle", "tall"], [60, 60, 12])
    drawn = rng.integers(0, 60, (len(labels), 32, 32)).astype(np.uint8)
    for image, label in zip(drawn, labels, strict=True):
        row = rng.integers(0, 24)
        height = {"low": 2, "middle": 5, "tall": 8}[label]
        image[row : row + height, 8:24] = 250
    return drawn, labels


def test_the_small_network_learns_and_answers_in_the_order_of_its_classes(images):
    drawn, labels = images
    fitted = SmallCNN(epochs=12, batch_size=8, seed=1).fit(drawn, labels)
    predictions = fitted.predict_proba(drawn)
    assert list(fitted.classes_) == ["low", "middle", "tall"]
    np.testing.assert_allclose(predictions.sum(axis=1), 1, atol=1e-5)
    right = fitted.classes_[predictions.argmax(axis=1)] == labels
    assert min(right[labels == label].mean() for label in fitted.classes_) > 0.8


def test_equal_seeds_give_equal_small_networks(images):
    drawn, labels = images
    one, again, other = (
        SmallCNN(epochs=1, seed=seed).fit(drawn, labels).predict_proba(drawn) for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(one, again)
    assert np.abs(one - other).max() > 0.001

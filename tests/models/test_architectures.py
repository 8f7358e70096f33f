"""Costs are held against published counts, pixels and weights against Keras's own models."""

import keras
import numpy as np
import pytest

from kidneyct_lib.models import architectures, backbones, freezing, multiply_adds, roi_crops
from kidneyct_lib.models.pretrained_weights import WeightsError
from kidneyct_lib.models.small_cnn import SmallCNN, small_cnn

PUBLISHED = {  # billion multiplications of one picture of 224 pixels, from the papers
    "resnet50": 3.8,  # https://arxiv.org/abs/1512.03385, table 1
    "densenet121": 2.87,  # https://arxiv.org/abs/1608.06993, half of figure 3's operations
    "efficientnetb0": 0.39,  # https://arxiv.org/abs/1905.11946, table 2
}
PARAMETERS = {  # millions without the top, https://keras.io/api/applications less 1000 classes
    "resnet50": 25.6 - 2.05,
    "densenet121": 8.1 - 1.03,
    "efficientnetb0": 5.3 - 1.28,
}


def built(name):
    return architectures.features(name, region="kidneys", image_size=224, crop_size=224, seed=3)


@pytest.mark.parametrize("backbone", list(PUBLISHED))
def test_costs_are_the_published_ones(backbone):
    found = multiply_adds.costs(built(f"{backbone}-none"))
    assert found["gflops"] / 2 == pytest.approx(PUBLISHED[backbone], rel=0.03)
    assert found["parameters"] / 1e6 == pytest.approx(PARAMETERS[backbone], abs=0.06)


def test_costs_of_the_small_network_are_those_counted_by_hand():
    found = multiply_adds.costs(small_cnn(32, 4))
    kernels = [9 * 1 * 16, 9 * 16 * 32, 9 * 32 * 64, 9 * 64 * 128]
    places = [32**2, 16**2, 8**2, 4**2]
    multiplications = sum(k * n for k, n in zip(kernels, places, strict=True)) + 128 * 4
    assert found["gflops"] == pytest.approx(2e-9 * multiplications)
    normalised = 4 * (16 + 32 + 64 + 128)
    assert found["parameters"] == sum(kernels) + normalised + 128 * 4 + 4


def test_densenet_is_given_what_keras_own_preprocessing_gives():
    pixels = np.random.default_rng(0).integers(0, 256, (2, 8, 8, 3)).astype(np.float32)
    theirs = keras.applications.densenet.preprocess_input(pixels.copy())
    ours = backbones.BACKBONES["densenet121"].preprocessing()(pixels)
    np.testing.assert_allclose(ours, theirs, atol=1e-5)


def test_features_are_means_of_the_look_through_keras_own_network():
    ours = built("efficientnetb0-none")
    pixels = np.random.default_rng(1).integers(0, 256, (2, 224, 224, 3)).astype(np.float32)
    seen = freezing.part(ours, None, "roi_crops").predict_on_batch(pixels)
    theirs = keras.applications.EfficientNetB0(include_top=False, weights=None, pooling="avg")
    theirs.set_weights(ours.get_weights())
    expected = theirs.predict_on_batch(seen)
    assert expected.std() > 0
    np.testing.assert_allclose(ours.predict_on_batch(pixels), expected, rtol=1e-4, atol=1e-6)


def test_weights_of_keras_are_the_ones_used_and_their_lack_is_told(monkeypatch):
    known = backbones.BACKBONES["densenet121"]
    donors = []

    def downloads(**options):
        assert options["weights"] == "imagenet"
        donors.append(known.build(**options | {"weights": None}))
        return donors[-1]

    monkeypatch.setitem(backbones.BACKBONES, "densenet121", known._replace(build=downloads))
    loaded = built("densenet121-imagenet")
    for one, other in zip(loaded.get_weights(), donors[0].get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)

    def refuses(**options):
        raise OSError("no address")

    monkeypatch.setitem(backbones.BACKBONES, "densenet121", known._replace(build=refuses))
    with pytest.raises(WeightsError, match=r"no address.*densenet121-none"):
        built("densenet121-imagenet")


def test_crops_are_those_of_the_look():
    images = np.zeros((3, 96, 96), np.uint8)
    images[:, 20:70, 10:80] = np.arange(60, 130)[None, None]
    found = architectures.crops(images, crop="kidneys", size=32, batch=2)
    gray = images.astype(np.float32)
    (box,) = roi_crops.boxes_of(gray, ["kidneys"])
    expected = np.array(roi_crops.crop(gray, box, 32))
    assert found.shape == (3, 32, 32)
    assert found.dtype == np.uint8
    np.testing.assert_allclose(found, expected, atol=1)
    assert found.std() > 5


@pytest.fixture(scope="module")
def pictures():
    """Bright bars on noise, of three classes by height; one class has few."""
    rng = np.random.default_rng(0)
    labels = np.repeat(["low", "middle", "tall"], [60, 60, 12])
    drawn = rng.integers(0, 60, (len(labels), 32, 32)).astype(np.uint8)
    for picture, label in zip(drawn, labels, strict=True):
        row = rng.integers(0, 24)
        height = {"low": 2, "middle": 5, "tall": 8}[label]
        picture[row : row + height, 8:24] = 250
    return drawn, labels


def test_the_small_network_learns_and_answers_in_the_order_of_its_classes(pictures):
    drawn, labels = pictures
    fitted = SmallCNN(epochs=12, batch_size=8, seed=1).fit(drawn, labels)
    answers = fitted.predict_proba(drawn)
    assert list(fitted.classes_) == ["low", "middle", "tall"]
    np.testing.assert_allclose(answers.sum(axis=1), 1, atol=1e-5)
    right = fitted.classes_[answers.argmax(axis=1)] == labels
    assert min(right[labels == label].mean() for label in fitted.classes_) > 0.8


def test_equal_seeds_give_equal_small_networks(pictures):
    drawn, labels = pictures
    one, again, other = (
        SmallCNN(epochs=1, seed=seed).fit(drawn, labels).predict_proba(drawn) for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(one, again)
    assert np.abs(one - other).max() > 0.001

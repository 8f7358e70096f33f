"""Pixels and weights are held against Keras's own models."""

import keras
import numpy as np
import pytest

from kidneyct_lib.models import backbones, builder, freezing, roi_crops
from kidneyct_lib.models.pretrained_weights import WeightsError

pytestmark = pytest.mark.usefixtures("untraced")


def built(name):
    settings = backbones.BackboneSettings(*name.split("-"), 224, 224, seed=3)
    return builder.last_means(settings, region="kidneys")


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
    result = builder.crop_gray(images, crop="kidneys", size=32, batch=2)
    gray = images.astype(np.float32)
    (box,) = roi_crops.boxes_of(gray, ["kidneys"])
    expected = np.array(roi_crops.crop(gray, box, 32))
    assert result.shape == (3, 32, 32)
    assert result.dtype == np.uint8
    np.testing.assert_allclose(result, expected, atol=1)
    assert result.std() > 5

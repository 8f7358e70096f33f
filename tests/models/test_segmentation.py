"""The U-Nets of the patient recipe: shapes, what their scores are, a network that holds them."""

import keras
import numpy as np
import pytest
from short_resnet import SHORT

from kidneyct_lib.core.errors import StudyError
from kidneyct_lib.models import builder, freezing, segmentation
from kidneyct_lib.models.builder import NetworkSettings

pytestmark = pytest.mark.usefixtures("untraced")
SETTINGS = NetworkSettings(
    backbone=SHORT,
    weights="none",
    image_size=64,
    crop_size=48,
    seed=1,
    recipe="patient",
    classes=["Cyst", "Normal", "Stone"],
    head_units=8,
    dropout=0.1,
    lesions=[0, 2],
)


@pytest.fixture(scope="module")
def net():
    return builder.build(SETTINGS)


@pytest.fixture(scope="module")
def images():
    rng = np.random.default_rng(0)
    drawn = np.zeros((3, 64, 64, 1))
    drawn[:, 8:56, 6:58] = rng.normal(110, 30, (3, 48, 52, 1))
    return np.repeat(drawn.clip(0, 255), 3, axis=-1).astype(np.float32)


@pytest.mark.parametrize("size", [48, 96])
def test_a_cell_is_four_pixels_wide_and_each_lesion_has_its_own(size):
    net = segmentation.unet(size, 2, name="u")
    logits = net.predict_on_batch(np.zeros((1, size, size, 3), np.float32))
    assert logits.shape == (1, size // segmentation.CELL, size // segmentation.CELL, 2)
    assert 0 < 1 / (1 + np.exp(-logits)).max() < 0.1  # a lesion is rare before anything is learnt


def test_a_size_that_halves_unevenly_is_refused():
    with pytest.raises(StudyError, match=r"crop_size is 100; .* multiple of 16"):
        segmentation.unet(100, 1, name="u")


def test_the_scores_are_the_highest_places_of_all_crops(net, images):
    names = ["roi_crops", *(f"{half}_places" for half in segmentation.HALVES)]
    crops, *places = (freezing.part(net, None, name).predict_on_batch(images) for name in names)
    logits = net.get_layer(segmentation.HALVES[0]).predict_on_batch(crops)
    by_hand = logits[:, :-1, :-1] + logits[:, 1:, :-1] + logits[:, :-1, 1:] + logits[:, 1:, 1:]
    np.testing.assert_allclose(places[0], by_hand / 4, atol=1e-5)
    each = [one.reshape(3, 2, -1, 2).max(axis=(1, 2)) for one in places]
    pooled = freezing.part(net, None, builder.POOL).predict_on_batch(images)
    channels = freezing.part(net, None, builder.CHANNELS).predict_on_batch(images)
    np.testing.assert_allclose(pooled[:, :-2], channels, rtol=1e-5)
    np.testing.assert_allclose(pooled[:, -2:], np.mean(each, axis=0), atol=1e-5)
    assert np.abs(each[0] - each[1]).max() > 1e-3  # two U-Nets, not one twice


def test_without_lesions_the_network_is_as_it_was(net):
    plain = builder.build(SETTINGS.__class__(**{**SETTINGS.__dict__, "lesions": ()}))
    names = {layer.name for layer in plain.layers}
    assert names.isdisjoint({builder.CHANNELS, *segmentation.HALVES})
    assert (
        plain.get_layer(builder.POOL).output.shape[-1]
        == net.get_layer(builder.CHANNELS).output.shape[-1]
    )


def test_a_saved_network_predicts_the_same(net, images, tmp_path):
    net.save(tmp_path / "net.keras")
    loaded = builder.load(tmp_path / "net.keras")
    assert builder.digest(loaded) == builder.digest(net)
    np.testing.assert_array_equal(loaded.predict_on_batch(images), net.predict_on_batch(images))


def test_equal_seeds_give_equal_u_nets(net):
    again = builder.build(SETTINGS)
    freezing.unfreeze_last(again, 0)  # what may train is no part of a digest, nor are names
    assert builder.digest(again) == builder.digest(net)
    assert builder.digest(again.get_layer("lesions_0")) != builder.digest(
        again.get_layer("lesions_1")
    )
    for half in segmentation.HALVES:
        weights = zip(*(one.get_layer(half).get_weights() for one in (net, again)), strict=True)
        assert all((one == other).all() for one, other in weights)


def test_the_strongest_crop_counts():
    scores = keras.ops.convert_to_tensor([[1.0, -2.0], [0.5, 4.0], [-3.0, 0.0], [-1.0, -1.0]])
    highest = keras.ops.convert_to_numpy(segmentation.StrongestCrop(2, [0, 1])(scores))
    np.testing.assert_array_equal(highest, [[1.0, 4.0], [-1.0, 0.0]])

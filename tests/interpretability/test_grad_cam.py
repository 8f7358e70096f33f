"""Class maps: equal to automatic differentiation, and in their places."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from short_resnet import SHORT

from kidneyct_lib.interpretability import grad_cam
from kidneyct_lib.models import builder, roi_crops

pytestmark = pytest.mark.usefixtures("untraced")
CLASSES = ["Cyst", "Normal", "Stone", "Tumor"]


def built(recipe, size):
    net = builder.build(
        builder.NetworkSettings(
            recipe=recipe,
            backbone=SHORT,
            weights="none",
            image_size=size,
            classes=CLASSES,
            head_units=16,
            dropout=0.3,
            seed=3,
            crop_size=96,
        )
    )
    rng = np.random.default_rng(0)
    head = net.get_layer(builder.PROBABILITIES)
    shape = head.kernel.shape
    head.set_weights([rng.normal(size=shape).astype("float32"), np.ones(4, "float32")])
    return net


@pytest.fixture(scope="module")
def body():
    """Two slices with a bright body on a dark ground."""
    rng = np.random.default_rng(1)
    images = np.zeros((2, 96, 96), np.float32)
    images[0, 20:80, 10:90], images[1, 30:70, 30:80] = 120, 90
    noisy = (images + rng.normal(0, 8, images.shape)).clip(0, 255) * (images > 0)
    return np.repeat(noisy[..., None], 3, axis=-1).astype(np.float32)


@pytest.fixture(scope="module")
def published():
    return built("published", 96)


def automatic(net, layer, images, number):
    """Grad-CAM by the tape: mean gradient of a logit by each channel, times the channel."""
    head = net.get_layer(builder.PROBABILITIES)
    inner = keras.Model([net.input], [net.get_layer(layer).output, head.input])
    pooled = keras.layers.GlobalAveragePooling2D()
    hidden = net.get_layer("head_dense")
    activations = tf.convert_to_tensor(inner(images)[0])
    with tf.GradientTape() as tape:
        tape.watch(activations)
        logits = tf.matmul(hidden(pooled(activations)), head.kernel) + head.bias
        logit = tf.reduce_sum(logits[:, number])
    gradient = tape.gradient(logit, activations).numpy()
    cells = gradient.shape[1] * gradient.shape[2]
    weight = gradient.mean(axis=(1, 2), keepdims=True) * cells
    return (activations.numpy() * weight).sum(axis=-1)


def test_the_maps_equal_automatic_differentiation(published, body):
    predictions, maps = grad_cam.with_class_maps(published).predict_on_batch(body)
    np.testing.assert_allclose(predictions, published.predict_on_batch(body), atol=1e-6)
    assert maps.shape == (2, 3, 3, 4)
    for number in range(4):
        expected = automatic(published, "conv5_block3_out", body, number)
        scale = np.abs(expected).max()
        assert scale > 0
        np.testing.assert_allclose(maps[..., number] / scale, expected / scale, atol=1e-5)


def logits(net, images):
    head = net.get_layer(builder.PROBABILITIES)
    features = keras.Model(net.input, head.input).predict_on_batch(images)
    return features @ head.get_weights()[0]


@pytest.fixture(scope="module")
def patient():
    return built("patient", 96)


def test_the_patient_recipes_maps_sum_up_to_the_logits(patient, body):
    """Every part of a logit has a place: the crops' means are the picture's."""
    predictions, maps = grad_cam.with_class_maps(patient).predict_on_batch(body)
    np.testing.assert_allclose(predictions, patient.predict_on_batch(body), atol=1e-5)
    assert maps.shape == (2, 28, 28, 4)
    expected = logits(patient, body)
    # Boxes end between cells: what their edges share out is some per cent.
    np.testing.assert_allclose(maps.mean(axis=(1, 2)), expected, atol=0.2 * np.abs(expected).max())


def test_no_map_lies_outside_the_crops(patient, body):
    _, maps = grad_cam.with_class_maps(patient).predict_on_batch(body)
    flanks = np.stack(roi_crops.boxes_of(roi_crops.luminance(body), ["left", "right"]))
    left, top = flanks[..., 0].min(axis=0), flanks[..., 2].min(axis=0)
    right, bottom = flanks[..., 1].max(axis=0), flanks[..., 3].max(axis=0)
    centre = (np.arange(28) + 0.5) / 28
    for number, one in enumerate(np.abs(maps).sum(axis=-1)):
        outside = (centre < left[number]) | (centre > right[number])
        assert outside.any()
        assert not one[:, outside].any()
        above = (centre < top[number]) | (centre > bottom[number])
        assert not one[above].any()
        assert one.any()


def test_peaks_equal_gradient_times_activation_through_a_maximum():
    activations = tf.constant(np.random.default_rng(5).random((2, 3, 4, 6)), tf.float32)
    with tf.GradientTape() as tape:
        tape.watch(activations)
        highest = tf.reduce_sum(keras.layers.GlobalMaxPooling2D()(activations))
    expected = tape.gradient(highest, activations) * activations * 12  # a mean of 12 places
    np.testing.assert_allclose(grad_cam.peaks(activations), expected, rtol=1e-6)


def test_marked_places_are_maps_of_their_classes():
    places = np.random.default_rng(6).normal(size=(2, 3, 4, 2)).astype(np.float32)
    maps = np.array(grad_cam.marked_places(places, [3, 0], 4))
    np.testing.assert_allclose(maps[..., [3, 0]], 1 / (1 + np.exp(-places)), rtol=1e-5)
    assert not maps[..., [1, 2]].any()


@pytest.mark.parametrize("place", [(0, 0), (17, 30), (18, 31), (19, 33), (54, 54)])
def test_a_lesion_of_one_place_is_the_highest_point_of_the_slice(place):
    """Beside a wide patch of half its probability, in a crop of a third of the slice."""
    logits = np.full((1, 55, 55, 1), -20, np.float32)
    logits[0, 35:45, 5:15] = 0
    logits[(0, *place)] = 20
    maps = grad_cam.marked_places(logits, [0], 1)
    box = np.array([[0.1, 0.45, 0.3, 0.8]], np.float32)
    slice_map = np.array(roi_crops.paste(maps, box, 28))[0, ..., 0]
    peak = np.unravel_index(slice_map.argmax(), slice_map.shape)
    down, right = (place[0] + 0.5) / 55 * 0.5 + 0.3, (place[1] + 0.5) / 55 * 0.35 + 0.1
    assert (np.array(peak) + 0.5) / 28 == pytest.approx((down, right), abs=1.5 / 28)


def test_equal_peaks_share_their_height():
    activations = np.zeros((1, 2, 2, 2), np.float32)
    activations[0, 0, :, 0] = 3
    peaks = np.array(grad_cam.peaks(activations))
    assert peaks[..., 0].tolist() == [[[6, 6], [0, 0]]]
    assert not peaks[..., 1].any()


def test_saved_maps_are_the_same_after_loading(published, patient, body, tmp_path):
    for net in (published, patient):
        with_maps = grad_cam.with_class_maps(net)
        with_maps.save(tmp_path / "with_maps.keras")
        loaded = builder.load(tmp_path / "with_maps.keras")
        for a, b in zip(
            with_maps.predict_on_batch(body), loaded.predict_on_batch(body), strict=True
        ):
            np.testing.assert_allclose(a, b, atol=1e-5)


def test_pasting_is_the_way_back_of_cropping():
    image = np.zeros((1, 64, 64), np.float32)
    image[0, 20:28, 36:44] = 1
    box = np.array([[0.25, 0.875, 0.125, 0.75]], np.float32)
    small = np.asarray(roi_crops.crop(image, box, 40))
    back = np.array(roi_crops.paste(small[..., None], box, 64))[0, ..., 0]
    area = (0.875 - 0.25) * (0.75 - 0.125)
    assert back[22:26, 38:42].min() * area == pytest.approx(1, abs=0.05)
    assert back.mean() == pytest.approx(small.mean(), rel=0.02)
    back[18:30, 34:46] = 0
    assert not back.any()


def test_maps_of_classes_are_those_of_the_graph_in_batches_and_for_no_slice(published):
    with_maps = grad_cam.with_class_maps(published)
    images = np.random.default_rng(4).integers(0, 256, (3, 96, 96), np.uint8)
    codes = np.array([2, 0, 1])
    whole = with_maps.predict_on_batch(np.repeat(images[..., None], 3, axis=-1))[1]
    expected = np.stack([one[..., code] for one, code in zip(whole, codes, strict=True)])
    result = grad_cam.of_classes(with_maps, images, codes, batch=2)
    np.testing.assert_allclose(result, expected, atol=1e-4 * np.abs(expected).max())
    assert grad_cam.of_classes(with_maps, images[:0], codes[:0], batch=2).shape == (
        0,
        *whole.shape[1:3],
    )

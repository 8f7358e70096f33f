"""The graph to export answers as the library does, from raw pixels on."""

import numpy as np
import pytest
from short_resnet import SHORT

from kidneyct_lib.data import image_io
from kidneyct_lib.deployment import inference_graph
from kidneyct_lib.interpretability import grad_cam
from kidneyct_lib.models import builder, freezing
from kidneyct_lib.models.keras_setup import keras
from kidneyct_lib.uncertainty import calibration, ood_detection

pytestmark = pytest.mark.usefixtures("untraced")
CLASSES = ["Normal", "Stone"]
LAYERS = {"published": "conv4_block6_out", "patient": builder.POOL}


def built(recipe):
    net = builder.build(
        builder.NetworkSettings(
            recipe=recipe,
            backbone=SHORT,
            weights="none",
            image_size=64,
            classes=CLASSES,
            head_units=8,
            dropout=0.3,
            seed=1,
            crop_size=96,
        )
    )
    kernel, bias = net.get_layer(builder.PROBABILITIES).get_weights()
    drawn = np.random.default_rng(0).normal(0, 0.5, kernel.shape).astype(np.float32)
    net.get_layer(builder.PROBABILITIES).set_weights([drawn, bias])
    return net


@pytest.fixture(scope="module", params=LAYERS)
def parts(request):
    net, layer = built(request.param), LAYERS[request.param]
    width = net.get_layer(layer).output.shape[-1]
    rng = np.random.default_rng(2)
    training = rng.normal(size=(40, 6)) @ rng.normal(size=(6, width)) / 10
    distance = ood_detection.principal_distance(training, axes=5)
    whole = inference_graph.build(net, layer=layer, temperature=1.7, distance=distance)
    return net, layer, distance, whole


def test_it_answers_raw_pixels_of_any_size_as_the_library_does(parts):
    net, layer, distance, whole = parts
    rng = np.random.default_rng(3)
    with_maps, until_layer = grad_cam.with_class_maps(net), freezing.part(net, None, layer)
    for shape in ((64, 64), (128, 128)):
        images = rng.integers(0, 256, (2, *shape, 3)).astype(np.uint8)
        squares = [image_io.resize(image_io.rgb_to_gray(image), 64) for image in images]
        prepared = image_io.gray_to_rgb(np.stack(squares)).astype(np.float32)
        result = whole.predict_on_batch(images)
        probabilities, maps = with_maps.predict_on_batch(prepared)
        expected = calibration.at_temperature(probabilities.astype(np.float64), 1.7)
        np.testing.assert_allclose(result["probabilities"], expected, atol=1e-4)
        np.testing.assert_allclose(result["maps"], maps, atol=1e-4 * np.abs(maps).max())
        features = until_layer.predict_on_batch(prepared)
        means = features if features.ndim == 2 else features.mean(axis=(1, 2))
        np.testing.assert_allclose(result["distance"], distance(means), rtol=1e-3)


def test_it_is_the_same_after_saving(parts, tmp_path):
    *_, whole = parts
    whole.save(tmp_path / "whole.keras")
    loaded = keras.models.load_model(tmp_path / "whole.keras")
    images = np.random.default_rng(4).integers(0, 256, (1, 70, 90, 3)).astype(np.uint8)
    a, b = whole.predict_on_batch(images), loaded.predict_on_batch(images)
    assert set(a) == set(b) == {"probabilities", "maps", "distance"}
    for name in a:
        np.testing.assert_allclose(a[name], b[name], rtol=1e-5)

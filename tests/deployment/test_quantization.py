"""Graphs in the formats that run without Keras."""

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from kidneyct_lib.deployment import quantization, runtimes
from kidneyct_lib.deployment.preprocessing import Prepare
from kidneyct_lib.models import segmentation
from kidneyct_lib.models.keras_setup import keras, set_seed

RNG = np.random.default_rng(0)


SHIPPED = quantization._MANY
MANY = 2**12  # weights of a layer that count as large here, where graphs are small


@pytest.fixture(scope="module", autouse=True)
def small_layers_are_large():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(quantization, "_MANY", MANY)
        yield


@pytest.fixture(scope="module")
def graph():
    set_seed(1)
    pixels = keras.Input((None, None, 3), dtype="uint8", name="pixels")
    x = Prepare(32)(pixels)
    x = keras.layers.Conv2D(64, 5, activation="relu")(keras.layers.Rescaling(1 / 255)(x))
    x = keras.layers.Conv2D(32, 3, activation="relu")(x)
    x = keras.layers.GlobalAveragePooling2D()(x)
    x = keras.layers.Dense(256, activation="relu")(x)
    model = keras.Model(pixels, {"probabilities": keras.layers.Dense(3, activation="softmax")(x)})
    model(np.zeros((1, 8, 8, 3), np.uint8))
    return model


@pytest.fixture(scope="module")
def files(graph, tmp_path_factory):
    folder = tmp_path_factory.mktemp("files")
    paths = {name: folder / name for name in ("a.onnx", "b.onnx", "a.tflite", "b.tflite")}
    with quantization.saved_graph(graph) as saved:
        quantization.to_litert(saved, paths["a.tflite"])
        quantization.to_litert(saved, paths["b.tflite"], eight_bits=True)
    quantization.to_onnx(paths["a.tflite"], paths["a.onnx"])
    quantization.to_int8_onnx(paths["a.onnx"], paths["b.onnx"], images(8, 40, 50))
    return paths


def images(count, height, width):
    return RNG.integers(0, 256, (count, height, width, 3)).astype(np.uint8)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["a.onnx", "a.tflite"])
def test_whole_files_answer_as_keras_does_whatever_the_size(graph, files, name):
    prediction = runtimes.RUNNERS["onnx" if name.endswith("onnx") else "litert"](files[name], 1)
    for shape in ((2, 32, 32), (1, 47, 90), (3, 20, 64)):
        given = images(*shape)
        expected = graph.predict_on_batch(given)["probabilities"]
        np.testing.assert_allclose(prediction(given)["probabilities"], expected, atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["b.onnx", "b.tflite"])
def test_files_of_8_bits_are_a_quarter_and_answer_nearly_the_same(graph, files, name):
    whole = files[name.replace("b", "a", 1)]
    assert files[name].stat().st_size < 0.6 * whole.stat().st_size
    kind = "onnx" if name.endswith("onnx") else "litert"
    given = images(6, 40, 40)
    exact, near = (
        runtimes.RUNNERS[kind](p, 1)(given)["probabilities"] for p in (whole, files[name])
    )
    off = np.abs(exact - near).max()
    assert 0 < off < 0.01


@pytest.mark.slow
def test_only_weights_are_in_8_bits_and_all_large_ones(files):
    known = {w.name: w for w in onnx.load(files["b.onnx"]).graph.initializer}
    small = [numpy_helper.to_array(w) for w in known.values() if w.data_type == 3]
    assert sorted(w.size for w in small) == [4800, 8192, 18432]
    assert max(np.abs(w.astype(int)).max() for w in small) == 127
    others = [numpy_helper.to_array(w) for w in known.values() if w.data_type != 3]
    assert max(w.size for w in others) < MANY


@pytest.mark.slow
def test_layers_of_u_nets_stay_whole_and_the_backbones_do_not():
    lesions = segmentation.unet(96, 1, name="lesions_0")
    assert max(w.size for w in lesions.get_weights()) < SHIPPED
    kernels = [w.size for w in keras.applications.ResNet50(weights=None).get_weights()]
    rounded = sum(size for size in kernels if size >= SHIPPED)
    assert rounded > 0.97 * sum(kernels)


@pytest.mark.slow
def test_biases_make_up_for_rounding_in_the_mean(tmp_path, monkeypatch):
    set_seed(2)
    pixels = keras.Input((None, None, 3), dtype="uint8", name="pixels")
    x = keras.layers.Conv2D(96, 4)(Prepare(32)(pixels))
    model = keras.Model(pixels, {"means": keras.layers.GlobalAveragePooling2D()(x)})
    given = images(8, 40, 50)
    model(given)
    with quantization.saved_graph(model) as saved:
        quantization.to_litert(saved, tmp_path / "exact.tflite")
    quantization.to_onnx(tmp_path / "exact.tflite", tmp_path / "exact.onnx")
    quantization.to_int8_onnx(tmp_path / "exact.onnx", tmp_path / "corrected.onnx", given)
    measured = quantization._mean_inputs

    def nothing(model, shown):
        return {name: 0 * mean for name, mean in measured(model, shown).items()}

    monkeypatch.setattr(quantization, "_mean_inputs", nothing)
    quantization.to_int8_onnx(tmp_path / "exact.onnx", tmp_path / "rounded.onnx", given)
    exact, corrected, rounded = (
        runtimes.onnx(tmp_path / f"{name}.onnx", 1)(given)["means"].mean(axis=0)
        for name in ("exact", "corrected", "rounded")
    )
    off = np.abs(rounded - exact).mean()
    assert off > 0
    assert np.abs(corrected - exact).mean() < 0.1 * off


def test_each_channel_is_rounded_in_steps_of_its_own():
    kernel = (
        RNG.normal(size=(4, 3, 5)).astype(np.float32) * np.array([1, 10, 0], np.float32)[:, None]
    )
    rounded, step = quantization.round_kernel(kernel, 1)
    assert rounded.dtype == np.int8
    assert list(np.abs(rounded).max(axis=(0, 2))) == [127, 127, 0]
    off = np.abs(rounded * step[:, None] - kernel)
    assert (off <= step[:, None] / 2 + 1e-7).all()
    np.testing.assert_allclose(step[:2], np.abs(kernel).max(axis=(0, 2))[:2] / 127, rtol=1e-6)

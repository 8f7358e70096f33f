"""The shared path against each network on its own."""

import numpy as np
import pytest

from kidneyct_lib.core.errors import StudyError
from kidneyct_lib.data.image_io import gray_to_rgb
from kidneyct_lib.robustness import corruptions, inference
from kidneyct_lib.robustness.corruptions import CORRUPTIONS, SEVERITIES
from kidneyct_lib.robustness.inference import StagePredictions

SIZE, N = 64, 2
KEYS = ["aa", "bb"]
NAMES = list(CORRUPTIONS)[:2]


@pytest.fixture(scope="module")
def first(build_network):
    return build_network()


@pytest.fixture(scope="module")
def second(build_network):
    """As after a stage 2: other weights in the last layers, the same before them."""
    net = build_network()
    layer = net.get_layer("conv5_block3_3_conv")
    layer.set_weights([500 * value for value in layer.get_weights()])
    return net


@pytest.fixture(scope="module")
def prediction(first, second):
    return StagePredictions(first, second, unfreeze_layers=50)


@pytest.fixture
def images():
    return np.random.default_rng(0).integers(0, 256, (N, SIZE, SIZE)).astype(np.uint8)


@pytest.fixture
def few(monkeypatch):
    monkeypatch.setattr(inference, "CORRUPTIONS", {n: CORRUPTIONS[n] for n in NAMES})


def test_each_stage_answers_as_its_own_network(first, second, prediction, images):
    result = prediction(images)
    pixels = gray_to_rgb(images)
    assert result.shape == (N, 2, 4)
    np.testing.assert_allclose(result[:, 0], first.predict_on_batch(pixels), atol=1e-5)
    np.testing.assert_allclose(result[:, 1], second.predict_on_batch(pixels), atol=1e-5)
    assert np.abs(result[:, 0] - result[:, 1]).max() > 1e-3


def test_another_scheme_answers_as_its_own_networks_beside_the_first(
    first, second, prediction, images
):
    other = StagePredictions(second, first, unfreeze_layers=50, beside=prediction)
    np.testing.assert_allclose(other(images)[:, ::-1], prediction(images), atol=1e-5)
    pixels = gray_to_rgb(images)
    np.testing.assert_allclose(other(images)[:, 0], second.predict_on_batch(pixels), atol=1e-5)


def test_stages_that_differ_before_the_cut_are_refused(build_network, first, prediction, images):
    other = build_network(seed=9)
    layer = other.get_layer("conv2_block3_1_conv")
    layer.set_weights([1.5 * value for value in layer.get_weights()])
    with pytest.raises(StudyError, match="both should have frozen"):
        StagePredictions(first, other, unfreeze_layers=50)
    # Two schemes may differ there: each has its own U-Nets.
    own = StagePredictions(other, other, unfreeze_layers=50, beside=prediction)(images)
    np.testing.assert_allclose(own[:, 0], other.predict_on_batch(gray_to_rgb(images)), atol=1e-5)
    assert np.abs(own - prediction(images)).max() > 1e-3


def requested(prediction, images, folder, **changes):
    options = {"cache": folder, "batch": 3, "seed": 5} | changes
    return inference.of_corrupted(prediction, images, KEYS, **options)


def test_every_corruption_is_answered_in_its_place(prediction, images, tmp_path, few):
    result = requested(prediction, images, tmp_path)
    assert list(result) == NAMES
    for name in NAMES:
        assert result[name].shape == (len(SEVERITIES), N, 2, 4)
        for i, severity in enumerate(SEVERITIES):
            degraded = np.stack(
                [
                    corruptions.corrupt(image, key, name, severity, seed=5)
                    for image, key in zip(images, KEYS, strict=True)
                ]
            )
            np.testing.assert_allclose(result[name][i], prediction(degraded), atol=1e-5)


class Counted(StagePredictions):
    """Counts the slices that it predicts; may be interrupted."""

    def __init__(self, prediction):
        self.__dict__.update(prediction.__dict__)
        self.requested, self.most = 0, None

    def __call__(self, images):
        if self.most is not None and self.requested >= self.most:
            raise KeyboardInterrupt
        self.requested += len(images)
        return super().__call__(images)


def test_what_was_answered_is_not_asked_again(prediction, images, tmp_path, few):
    counted = Counted(prediction)
    counted.most = 9
    with pytest.raises(KeyboardInterrupt):
        requested(counted, images, tmp_path)
    counted.most = None
    result = requested(counted, images, tmp_path)
    assert counted.requested == len(NAMES) * len(SEVERITIES) * N
    again = requested(counted, images, tmp_path)
    assert counted.requested == len(NAMES) * len(SEVERITIES) * N
    for name in NAMES:
        np.testing.assert_array_equal(result[name], again[name])


def test_another_seed_or_model_is_answered_anew(prediction, first, images, tmp_path, few):
    counted = Counted(prediction)
    requested(counted, images, tmp_path)
    requested(counted, images, tmp_path, seed=6)
    assert counted.requested == 2 * len(NAMES) * len(SEVERITIES) * N
    other = Counted(StagePredictions(first, first, unfreeze_layers=50))
    requested(other, images, tmp_path)
    assert other.requested == len(NAMES) * len(SEVERITIES) * N

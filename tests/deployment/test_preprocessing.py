"""Preparing in the graph gives what `images` gives."""

import numpy as np
import pytest

from kidneyct_lib.data import image_io
from kidneyct_lib.deployment.preprocessing import Prepare
from kidneyct_lib.models.keras_setup import keras


def expected(rgb, size):
    return image_io.gray_to_rgb(image_io.resize(image_io.rgb_to_gray(rgb), size))


@pytest.mark.parametrize(
    "shape", [(64, 64), (128, 128), (100, 77), (40, 30), (50, 90), (63, 65), (1, 1), (200, 31)]
)
@pytest.mark.parametrize("gray", [True, False])
def test_pictures_of_any_size_become_what_the_library_makes_of_them(shape, gray):
    rng = np.random.default_rng(0)
    rgb = rng.integers(0, 256, (*shape, 3)).astype(np.uint8)
    if gray:
        rgb[:] = rgb[..., :1]
    result = np.asarray(Prepare(64)(rgb[None]))[0]
    assert result.shape == (64, 64, 3)
    assert np.array_equal(result, np.round(result))
    off = np.abs(result - expected(rgb, 64))
    assert off.max() <= 1
    grown = min(shape) < 64  # OpenCV interpolates in fixed point
    assert (off > 0).mean() < (0.2 if grown else 0.001)


def test_a_graph_is_built_once_for_all_sizes():
    pixels = keras.Input((None, None, 3), dtype="uint8")
    model = keras.Model(pixels, Prepare(32)(pixels))
    assert model.output_shape == (None, 32, 32, 3)
    for side in (20, 32, 64):
        square = np.full((1, side, side, 3), 77, np.uint8)
        assert (model.predict_on_batch(square) == 77).all()

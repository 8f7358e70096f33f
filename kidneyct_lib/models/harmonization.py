"""Every slice in one display window: a layer, so that saved and exported models do it, too."""

import math

import numpy as np

from kidneyct_lib.models.keras_setup import keras
from kidneyct_lib.models.roi_crops import _between, body_box, luminance

ops = keras.ops

SOFT = 110.0
"""Gray level of soft tissue after harmonisation; fat becomes 0."""

_SAMPLES = 64  # pixels across the grid whose gray levels are counted
_BIN = 2.0  # gray levels of a bin of the histogram
_BINS = 128
_BACKGROUND = 8.0  # gray level: what is darker is air, or fat in a narrow window
_SMOOTH = 4.0  # sigma of the histogram's blur, gray levels
_SOFT_RANGE = (0.85, 2.2)  # of soft tissue's peak, times the mean of what is not background
_FAT_HIGHEST = 0.72  # of fat's peak, times the level of soft tissue
_FAT_PEAK = 0.15  # least height of fat's peak, times that of soft tissue
_VALLEY = 0.75  # highest share of fat's peak that the valley beside it may have


@keras.saving.register_keras_serializable("kidneyct")
class HarmonizeWindow(keras.layers.Layer):
    """Map the gray levels of each slice so that fat is 0 and soft tissue `SOFT`.

    Both levels are peaks of the histogram inside the body's box. Where a window shows fat as black
    as air, its level counts as 0. The map is linear; what leaves 0..255 is clipped. A slice that
    is in the common window already stays as it is, but for the bins' width.
    """

    def call(self, images):
        """RGB pixels in 0..255 (N, H, W, 3) to gray pixels as RGB, the same shape."""
        gray = luminance(ops.cast(images, self.compute_dtype))
        fat, soft = levels(gray)
        shown = (gray - fat[:, None, None]) * (SOFT / (soft - fat))[:, None, None]
        return ops.repeat(ops.clip(shown, 0, 255)[..., None], 3, axis=-1)

    def compute_output_shape(self, input_shape):
        """As the input."""
        return input_shape


def levels(gray):
    """Estimate the levels of fat and of soft tissue of slices.

    Parameters
    ----------
    gray
        Gray levels in 0..255, float (N, H, W).

    Returns
    -------
    fat, soft : float (N,), 0 <= fat < soft. Fat is 0 where no peak of it is seen.
    """
    height = _histogram(gray)
    level = ops.arange(_BINS, dtype=gray.dtype)[None] * _BIN
    bright = height * ops.cast(level >= _BACKGROUND, gray.dtype)
    mean = ops.sum(bright * level, 1) / ops.maximum(ops.sum(bright, 1), 1e-6)
    within = (level >= _SOFT_RANGE[0] * mean[:, None]) & (level <= _SOFT_RANGE[1] * mean[:, None])
    soft, soft_height = _peak(height, within, level)
    below = (level >= _BACKGROUND) & (level <= _FAT_HIGHEST * soft[:, None])
    # A peak, not the flank of black: higher than the bin before it.
    rising = height > ops.pad(height, ((0, 0), (1, 0)))[:, :-1]
    fat, fat_height = _peak(height, below & rising, level)
    between = (level >= fat[:, None]) & (level <= soft[:, None])
    valley = ops.min(ops.where(between, height, math.inf), 1)
    seen = (fat_height >= _FAT_PEAK * soft_height) & (valley < _VALLEY * fat_height)
    fat = ops.where(seen, fat, 0.0)
    return fat, ops.maximum(soft, fat + 1)


def _histogram(gray):
    """Smoothed counts of gray levels inside the body's box, float (N, bins)."""
    height, width = gray.shape[1:]
    box = body_box(gray)
    rows = _between(box[:, 2] * height, box[:, 3] * height, height)
    columns = _between(box[:, 0] * width, box[:, 1] * width, width)
    step = max(1, height // _SAMPLES)
    weight = rows[:, ::step, None] * columns[:, None, ::step]
    sample = gray[:, ::step, ::step]
    # What is clipped says nothing: where it would have been is not known.
    weight = weight * ops.cast((sample > 0.5) & (sample < 254.5), gray.dtype)
    sample, weight = (ops.reshape(x, (-1, int(np.prod(x.shape[1:])))) for x in (sample, weight))
    places = ops.arange(_BINS, dtype=gray.dtype)
    cover = ops.relu(1 - ops.abs(sample[:, :, None] / _BIN - places[None, None]))
    counts = ops.matmul(weight[:, None], cover)[:, 0]
    away = (np.arange(_BINS)[:, None] - np.arange(_BINS)) * _BIN / _SMOOTH
    return ops.matmul(counts, ops.convert_to_tensor(np.exp(-(away**2) / 2), gray.dtype))


def _peak(height, allowed, level):
    """Level (N,) and height (N,) of the highest allowed bin; 0 where none is allowed."""
    shown = ops.where(allowed, height, 0.0)
    top = ops.max(shown, axis=1)
    place = ops.cast(ops.argmax(shown, axis=1), height.dtype)
    return place * _BIN, top

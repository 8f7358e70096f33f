"""One display window for all slices, found in each slice by itself: a layer of the network.

A slice says in which window it was exported by the gray levels of two tissues, fat and soft tissue
(`data.display_window` finds them in NumPy, for whole series). The layer finds both in the slice's
histogram and maps them to fixed levels, so that the window tells the network as little as possible,
however the model is saved or exported. A window that shows fat as black has lost how dark fat is;
there black stands for fat.

Only operations that every backend and export format has.
"""

import numpy as np

from kidneyct_lib.data import display_window as window
from kidneyct_lib.models.keras_setup import keras
from kidneyct_lib.models.roi_crops import between, body_box, luminance

ops = keras.ops

SOFT = 110
"""Gray level that soft tissue gets; fat gets 0."""

CEILING = 200
"""Highest gray level: a bright window shows as white what a dark one tells apart from bone."""

_GRID = 128  # pixels across the coarse image whose histogram is taken
# Where the peak of fat lies at most, times the level of soft tissue: lower than for whole series,
# since in the body's box fluid can fill more than fat does.
_HIGHEST_FAT = 0.55
# Where fat is the higher peak: where soft tissue lies at least, times fat's level; and its least
# height, times fat's.
_BEYOND_FAT = 1.5
_BESIDE_FAT = 0.4


@keras.saving.register_keras_serializable("kidneyct")
class HarmonizeWindow(keras.layers.Layer):
    """Show every slice in the one window where fat is black and soft tissue has the level `SOFT`.

    Gray values change linearly and end at `CEILING`: above it, windows differ in what they clip.
    Tissue that the own window has clipped stays clipped.
    """

    def call(self, images):
        """RGB pixels in 0..255 (N, H, W, 3) to gray pixels as RGB, of the same shape."""
        gray = luminance(ops.cast(images, self.compute_dtype))
        fat, soft = (level[:, None, None] for level in levels(gray))
        harmonized = ops.clip((gray - fat) * (SOFT / (soft - fat)), 0, CEILING)
        return ops.repeat(ops.expand_dims(harmonized, -1), 3, axis=-1)


def levels(gray):
    """Estimate the gray levels of fat and of soft tissue from the body's histogram.

    Parameters
    ----------
    gray
        Gray levels in 0..255, float (N, H, W).

    Returns
    -------
    tuple of float (N,), float (N,): fat, 0 where it can't be told from black; soft tissue, above
    it. A slice without tissue gets (0, 1).
    """
    counts = _histogram(*_body_pixels(gray))
    level = np.arange(256)
    kernel = np.exp(-((level - level[:, None]) ** 2) / (2 * window.SMOOTH**2))
    height = ops.round(ops.matmul(counts, ops.convert_to_tensor(kernel, counts.dtype)))
    bright = counts[:, window.BACKGROUND :]
    total = ops.maximum(ops.sum(bright, axis=1), 1)
    mean = ops.matmul(bright, ops.arange(window.BACKGROUND, 256, dtype=counts.dtype)[:, None])[:, 0]
    first, last = (ops.round(share * mean / total) for share in window.SOFT_RANGE)
    highest = ops.maximum(_peak(height, first, last), 1)
    # In a window that shows fat bright, a fat patient's highest peak is that of fat: none is below.
    alone = _fat(height, highest) == 0
    soft = ops.where(alone, _beyond(height, highest, last), highest)
    return _fat(height, soft), soft


def _fat(height, soft):
    """Level of the peak of fat below that of soft tissue, 0 where there is none: float (N,)."""
    lowest, highest = window.LOWEST_FAT + 0 * soft, ops.round(_HIGHEST_FAT * soft)
    fat = _peak(height, lowest, highest - 1)
    peak, below, beside = (_at(height, place) for place in (fat, fat - 1, soft))
    seen = (highest > lowest) & (below < peak)  # a peak, not the flank of black
    seen = seen & (peak >= window.FAT_PEAK * beside)
    seen = seen & (_valley(height, fat, soft) < window.VALLEY * peak)
    return ops.where(seen, fat, 0 * fat)


def _beyond(height, fat, last):
    """Level of soft tissue beyond a peak if that is of fat, else of the peak itself: float (N,)."""
    soft = _peak(height, ops.round(_BEYOND_FAT * fat), last)
    peak = _at(height, soft)
    apart = _valley(height, fat, soft) < window.VALLEY * peak
    return ops.where((soft > fat) & apart & (peak >= _BESIDE_FAT * _at(height, fat)), soft, fat)


def _body_pixels(gray):
    """Gray levels of the slice's coarse pixels, (N, P), and 1 inside the body's box, else 0."""
    step = max(1, gray.shape[1] // _GRID)
    coarse = ops.average_pool(ops.expand_dims(gray, -1), step, step)[..., 0]
    height, width = coarse.shape[1:]
    left, right, top, bottom = (edge[:, 0] for edge in ops.split(body_box(gray), 4, axis=1))
    rows = between(top * height, bottom * height, height)
    columns = between(left * width, right * width, width)
    flat = (-1, height * width)
    return ops.reshape(coarse, flat), ops.reshape(rows[:, :, None] * columns[:, None], flat)


def _histogram(values, weights):
    """Sum of weights at each gray level but the two that clip: (N, 256) of (N, P) values.

    A level is sixteen times a number and another number, each below sixteen; one product counts
    the pairs, with a sixteenth of the memory that a column for each level takes.
    """
    values = ops.round(values)
    weights = weights * ops.cast((values > 0) & (values < 255), values.dtype)
    digit = ops.arange(16, dtype=values.dtype)
    high = ops.floor(values / 16)
    highs = ops.cast(high[:, :, None] == digit, values.dtype) * weights[:, :, None]
    lows = ops.cast((values - 16 * high)[:, :, None] == digit, values.dtype)
    return ops.reshape(ops.matmul(ops.transpose(highs, (0, 2, 1)), lows), (-1, 256))


def _range(first, last):
    """Which of the 256 levels lie from `first` to `last`, both included: bool (N, 256)."""
    level = ops.arange(256, dtype=first.dtype)[None]
    return (level >= first[:, None]) & (level <= last[:, None])


def _peak(height, first, last):
    """Level of the highest place from `first` to `last`, the lowest of equals: float (N,)."""
    held = ops.where(_range(first, last), height, 0 * height - 1)
    # Whole numbers: argmax of floats minds the sign of 0, and no export has that.
    return ops.cast(ops.argmax(ops.cast(held, "int32"), axis=1), first.dtype)


def _valley(height, first, last):
    """Least height from one level to another, both included: float (N,)."""
    return ops.min(ops.where(_range(first, last), height, _at(height, last)[:, None]), axis=1)


def _at(height, level):
    """Height at one level of each slice, float (N,)."""
    return ops.sum(ops.where(_range(level, level), height, 0 * height), axis=1)

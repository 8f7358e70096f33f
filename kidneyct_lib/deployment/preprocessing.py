"""From a raw image of any size to what the network was trained on, as a layer of the network.

The same arithmetic as `image_io.rgb_to_gray` and `image_io.resize`, so that an exported model is
given raw pixels and nothing is prepared a second time in another language.
"""

from kidneyct_lib.models.keras_setup import keras

ops = keras.ops


@keras.saving.register_keras_serializable("kidneyct")
class Prepare(keras.layers.Layer):
    """8-bit RGB to the gray square, `size` pixels a side in three equal channels, of a network."""

    def __init__(self, size: int, **kwargs) -> None:
        super().__init__(**kwargs)
        self.size = size

    def call(self, pixels):
        """RGB in 0..255, uint8 (N, H, W, 3), to float (N, size, size, 3) of whole gray levels."""
        gray = _gray(ops.cast(pixels, self.compute_dtype))
        height, width = ops.shape(gray)[1], ops.shape(gray)[2]
        halved = ops.logical_and(height == 2 * self.size, width == 2 * self.size)
        gray = _resampled(gray, _shrinking(height, self.size), _shrinking(width, self.size))
        # OpenCV rounds a half to the even level, but upwards where both sides are halved.
        gray = ops.where(halved, _half_up(gray), ops.round(gray))
        gray = _resampled(gray, _growing(height, self.size), _growing(width, self.size))
        gray = ops.clip(_half_up(gray), 0, 255)
        return ops.repeat(ops.expand_dims(gray, -1), 3, axis=-1)


def _resampled(gray, down, across):
    """Images (N, H, W) by the shares of their lines and columns in the new ones."""
    # One matrix for all images, as a batch of one: exports have no other product of such.
    return ops.matmul(down[None], ops.matmul(gray, ops.transpose(across[None], (0, 2, 1))))


def _half_up(levels):
    return ops.floor(levels + 0.5)


def _gray(rgb):
    """Gray levels in OpenCV's fixed point, exact in single precision."""
    parts = rgb[..., 0] * 9798 + rgb[..., 1] * 19235 + rgb[..., 2] * 3735
    return ops.floor((parts + 16384) / 32768)


def _shrinking(length, size: int):
    """Shares of the old lines in the new ones, (min(length, size), length): by area."""
    new = ops.minimum(length, size)
    # In parts of an old line of which each has `new`, all ends are whole numbers, and sums exact.
    start = ops.cast(ops.arange(new) * length, "float32")[:, None]
    line = ops.cast(ops.arange(length) * new, "float32")[None]
    part, whole = ops.cast(new, "float32"), ops.cast(length, "float32")
    shared = ops.minimum(start + whole, line + part) - ops.maximum(start, line)
    return ops.relu(shared) / whole


def _growing(length, size: int):
    """Shares of the old lines in the new ones, (size, min(length, size)): linear interpolation."""
    old = ops.minimum(length, size)
    last = ops.cast(old, "float32") - 1
    place = (ops.cast(ops.arange(size), "float32") + 0.5) * ((last + 1) / size) - 0.5
    place = ops.clip(place, 0, last)[:, None]
    return ops.relu(1 - ops.abs(place - ops.cast(ops.arange(old), "float32")[None]))

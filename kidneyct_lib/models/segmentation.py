"""A small U-Net that marks lesions in a slice's crops, and its scores as features of a softmax.

Pooled channels of a frozen network hardly tell a stone of a few pixels from a vessel. Where masks
of lesions are known, a U-Net learns to mark them (Ronneberger et al. 2015, arXiv 1505.04597); its
highest value over all crops of a slice is one more feature. Two U-Nets stand side by side, each
fitted to half of the groups, so that one of them has not seen the group of any training slice.
"""

from collections.abc import Sequence

from kidneyct_lib.core.errors import StudyError
from kidneyct_lib.models.keras_setup import keras

ops = keras.ops

CELL = 4
"""Pixels along a crop's side that share one cell of the U-Net's output."""

HALVES = ("lesions_0", "lesions_1")
"""Names of the two U-Nets in a network.

The places that they score are the layer ``<name>_places``, what is made of these ``<name>_scores``.
"""

_CHANNELS = (12, 24, 48, 72)  # each block halves the crop
_SOFT, _SPREAD = 80.0, 60.0  # gray level and range about which inputs are centred
_RARE = -4.0  # first logit of a cell: few hold a lesion


def unet(size: int, lesions: int, *, name: str) -> keras.Model:
    """Build the U-Net, with initial values of Keras's own seed.

    Parameters
    ----------
    size
        Side of a crop in pixels, a multiple of 16.
    lesions
        Kinds of lesions, each marked on its own.
    name
        Of the model.

    Returns
    -------
    keras.Model
        RGB crops (N, size, size, 3) in 0..255 to logits (N, size / 4, size / 4, lesions).

    Raises
    ------
    StudyError
        If the size is no multiple of 16.
    """
    if size % 2 ** len(_CHANNELS):
        raise StudyError(
            f"crop_size is {size}; to learn from masks of lesions it must be a multiple of 16."
        )
    layers, pixels = keras.layers, keras.Input((size, size, 3))
    x = layers.Rescaling(1 / _SPREAD, offset=-_SOFT / _SPREAD)(pixels)
    scales: list = []
    for channels in _CHANNELS:
        x = _block(x, channels, strides=2)
        if scales:  # the first, of most detail, is passed once
            x = _block(x, channels)
        scales.append(x)
    for before in scales[-2:0:-1]:  # up to cells of 4 pixels
        channels = before.shape[-1]
        x = layers.Add()([layers.UpSampling2D()(layers.Conv2D(channels, 1)(x)), before])
        x = _block(x, channels)
    rare = keras.initializers.Constant(_RARE)
    return keras.Model(pixels, layers.Conv2D(lesions, 1, bias_initializer=rare)(x), name=name)


def scores_of_crops(crops, size: int, codes: Sequence[int], *, number: int):
    """Score a slice's crops by both U-Nets, built here.

    Parameters
    ----------
    crops
        Symbolic RGB crops (N * number, size, size, 3), those of a slice one after the other.
    size
        As in `unet`.
    codes
        Number of the class whose lesion each output marks.
    number
        Crops a slice.

    Returns
    -------
    Symbolic (N, outputs): the mean of both U-Nets' highest logit over all places of all crops.
    """
    scores = []
    for name in HALVES:
        logits = unet(size, len(codes), name=name)(crops)
        scores.append(_score(logits, number, list(codes), name=name))
    return keras.layers.Average(name="lesion_scores")(scores)


def scoring(half: keras.Model, number: int) -> keras.Model:
    """One `unet` as it scores slices of so many crops: RGB crops (N * number, S, S, 3) to (N, L).

    Its layers are shared.
    """
    codes = list(range(half.output.shape[-1]))
    return keras.Model(half.inputs[0], _score(half.output, number, codes, name="alone"))


def _score(logits, number: int, codes: list[int], *, name: str):
    """Highest logit (N, L) over the places of a slice's crops (N * number, h, w, L)."""
    # A mean of four cells: one cell alone is noise.
    places = keras.layers.AveragePooling2D(2, strides=1, name=f"{name}_places")(logits)
    highest = keras.layers.GlobalMaxPooling2D()(places)
    return StrongestCrop(number, codes, name=f"{name}_scores")(highest)


@keras.saving.register_keras_serializable("kidneyct")
class StrongestCrop(keras.layers.Layer):
    """Keep the highest of the scores of a slice's crops.

    Parameters
    ----------
    crops
        Crops a slice.
    codes
        Number of the class whose lesion each score is of.
    """

    def __init__(self, crops: int, codes: list[int], **kwargs) -> None:
        super().__init__(**kwargs)
        self.crops, self.codes = crops, list(codes)

    def call(self, scores):
        """Scores (N * crops, L) to (N, L)."""
        return ops.max(ops.reshape(scores, (-1, self.crops, scores.shape[-1])), axis=1)


def _block(x, channels: int, *, strides: int = 1):
    """Convolution, batch normalisation and ReLU."""
    x = keras.layers.Conv2D(channels, 3, strides, padding="same", use_bias=False)(x)
    # Few steps train it, so the statistics move quickly.
    return keras.layers.ReLU()(keras.layers.BatchNormalization(momentum=0.9)(x))

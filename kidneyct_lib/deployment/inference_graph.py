"""A trained network and its preprocessing as one graph to export: raw pixels in, outputs out."""

import numpy as np

from kidneyct_lib.deployment.preprocessing import Prepare
from kidneyct_lib.interpretability.grad_cam import with_class_maps
from kidneyct_lib.models.keras_setup import keras
from kidneyct_lib.uncertainty.ood_detection import PrincipalDistance

ops = keras.ops

_LEAST = 1e-30  # a probability's logarithm is taken of no less


def build(
    net: keras.Model, *, layer: str, temperature: float, distance: PrincipalDistance
) -> keras.Model:
    """Put preparation, network, calibration, maps and the out-of-distribution score into one graph.

    Parameters
    ----------
    net
        As built by `builder.build`, trained; its layers are shared.
    layer
        Layer of it whose channel means tell what is out of distribution.
    temperature
        Of the softmax, as fitted by `calibration.fit_temperature`.
    distance
        Fitted on those means of the training slices.

    Returns
    -------
    keras.Model
        RGB uint8 (N, H, W, 3) of any size to a dict: ``probabilities`` (N, K), calibrated;
        ``maps`` (N, h, w, K), what speaks for each class where; ``distance`` (N,).
    """
    net_with_maps = with_class_maps(net)
    means = net.get_layer(layer).output
    if len(means.shape) == 4:
        means = keras.layers.GlobalAveragePooling2D(name="ood_features")(means)
    inner = keras.Model(net.inputs, [*net_with_maps.outputs, means], name=net.name)
    pixels = keras.Input((None, None, 3), dtype="uint8", name="pixels")
    probabilities, maps, features = inner(Prepare(net.inputs[0].shape[1], name="prepare")(pixels))
    logits = ops.log(ops.maximum(probabilities, _LEAST))
    predictions = {
        "probabilities": ops.softmax(logits / temperature, axis=-1),  # as `calibration` does
        "maps": maps,
        "distance": _distance(features, distance),
    }
    whole = keras.Model(pixels, predictions, name="kidneyct")
    whole(np.zeros((1, 8, 8, 3), np.uint8))  # Keras exports only what was called
    return whole


def _distance(features, distance: PrincipalDistance):
    """Distances (N,) of features (N, D), in operations of the graph."""
    numbers = distance.mean, distance.axes, 1 / distance.variances, 1 / distance.rest
    mean, axes, precisions, rest = (np.asarray(number, np.float32) for number in numbers)
    off = features - mean
    along = ops.square(ops.matmul(off, axes))
    beside = ops.relu(ops.sum(ops.square(off), axis=-1) - ops.sum(along, axis=-1))
    return ops.sqrt(ops.sum(along * precisions, axis=-1) + beside * rest)

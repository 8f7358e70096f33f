"""Multiply-adds of a model, counted from its layers; two floating-point operations each.

Convolutions and dense layers only: what normalisation, activations and pooling add is below 1 %.
"""

import math

from kidneyct_lib.models.keras_setup import keras


def of_layer(layer: keras.layers.Layer) -> int:
    """Multiply-adds of one layer for one image.

    Every value of a kernel is used once at every place of the output, be it a (grouped, depthwise)
    convolution or a dense layer.

    Raises
    ------
    ValueError
        If the layer has a matrix of weights that is no `kernel`, so that it can't be counted.
    """
    kernel = getattr(layer, "kernel", None)
    if kernel is None:
        if any(len(weight.shape) > 1 for weight in layer.weights):
            raise ValueError(f"{layer.name} ({type(layer).__name__}) can't be counted.")
        return 0
    return math.prod(layer.output.shape[1:-1]) * math.prod(kernel.shape)


def forward(model: keras.Model) -> int:
    """Multiply-adds of one image's way through the model."""
    return sum(of_layer(layer) for layer in model.layers)


def training(model: keras.Model) -> int:
    """Multiply-adds of one image in a training step: forward, and backward as far as it must go.

    The gradient of a kernel, where it trains, and the gradient of a layer's input, where something
    trains before it, cost as much as the layer's forward pass each. Layers are taken in order, so
    a side branch counts as coming after everything that is listed before it.
    """
    total, something_trains_before = 0, False
    for layer in model.layers:
        kernel = getattr(layer, "kernel", None)
        passes = 1 + something_trains_before + (kernel is not None and kernel.trainable)
        total += of_layer(layer) * passes
        something_trains_before |= bool(layer.trainable_weights)
    return total


def costs(model: keras.Model) -> dict[str, float]:
    """Count what a model holds and computes.

    Returns
    -------
    dict with ``parameters`` and ``gflops``: billion floating-point operations an image, a
    multiplication and an addition counting as two.
    """
    return {"parameters": model.count_params(), "gflops": 2 * forward(model) / 1e9}

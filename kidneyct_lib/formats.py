"""A graph in the formats that run without Keras: ONNX and LiteRT, each whole and in 8 bits.

In 8 bits are the weights of the large layers, nearly all of the file, each channel in steps of its
own (Jacob et al. 2018, arXiv 1712.05877). ONNX Runtime computes with them in single precision, so
that every machine and browser gives the same answer; LiteRT may round what flows between layers,
each time by its own range. Neither needs pictures to be calibrated on.
"""

import contextlib
import logging
import math
import os
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import keras

_MANY = 2**12  # weights of a layer that are worth rounding
_LARGEST = 127  # of a number of 8 bits with a sign


def to_onnx(graph: "keras.Model", path: Path) -> None:
    """Write a graph as ONNX; it must be on Keras's TensorFlow backend."""
    with _quiet():
        graph.export(path, format="onnx", verbose=False)


def to_int8_onnx(source: Path, path: Path) -> None:
    """Write an ONNX file anew with the weights of convolutions and dense layers in 8 bits.

    The output channels are the first axis of a convolution's kernel and the last of a matrix.
    """
    import onnx
    from onnx import helper, numpy_helper

    model = onnx.load(source)
    stored = {weights.name: weights for weights in model.graph.initializer}
    for number, node in reversed(list(enumerate(model.graph.node))):
        kernel = stored.get(node.input[1]) if node.op_type in ("Conv", "MatMul") else None
        if kernel is None or math.prod(kernel.dims) < _MANY:
            continue
        axis = 0 if node.op_type == "Conv" else len(kernel.dims) - 1
        rounded, step = round_kernel(numpy_helper.to_array(kernel), axis)
        names = [f"{kernel.name}_{part}" for part in ("rounded", "step", "kernel")]
        for name, array in zip(names, (rounded, step), strict=False):
            model.graph.initializer.append(numpy_helper.from_array(array, name))
        restore = helper.make_node("DequantizeLinear", names[:2], names[2:], axis=axis)
        model.graph.node.insert(number, restore)
        model.graph.initializer.remove(kernel)
        node.input[1] = names[2]
    onnx.save(model, path)


def round_kernel(kernel: np.ndarray, axis: int) -> tuple[np.ndarray, np.ndarray]:
    """Round weights to whole steps, of which the largest of a channel is 127.

    Parameters
    ----------
    kernel
        float32, any shape.
    axis
        Of the channels, C of them.

    Returns
    -------
    int8 of the kernel's shape, and the step of each channel, float32 (C,): their product is the
    kernel, rounded.
    """
    others = tuple(number for number in range(kernel.ndim) if number != axis)
    step = np.abs(kernel).max(axis=others, keepdims=True) / np.float32(_LARGEST)
    step = np.where(step > 0, step, np.float32(1))
    return np.rint(kernel / step).astype(np.int8), step.ravel()


def to_litert(graph: "keras.Model", path: Path) -> None:
    """Write a graph for LiteRT (once TensorFlow Lite); it must be on Keras's TensorFlow backend."""
    with _quiet():
        graph.export(path, format="litert", verbose=False)


def to_int8_litert(graph: "keras.Model", path: Path) -> None:
    """Write a graph for LiteRT with weights in 8 bits."""
    import tensorflow

    smaller = [tensorflow.lite.Optimize.DEFAULT]
    with _quiet():
        graph.export(path, format="litert", verbose=False, optimizations=smaller)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep the converters' chatter off the screen; what goes wrong raises."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings(), Path(os.devnull).open("w") as nowhere:
            warnings.simplefilter("ignore")
            with contextlib.redirect_stdout(nowhere):
                yield
    finally:
        logging.disable(before)

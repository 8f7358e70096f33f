"""A graph in the formats that run without Keras: ONNX and LiteRT, each whole and in 8 bits.

In 8 bits are the weights of the large layers, nearly all of the file, each channel in steps of its
own (Jacob et al. 2018, arXiv 1712.05877). ONNX Runtime computes with them in single precision, so
that every machine and browser gives the same result; LiteRT may round what flows between layers,
each time by its own range.
"""

import contextlib
import logging
import math
import os
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING
from unittest.mock import patch

import numpy as np

if TYPE_CHECKING:
    import keras

# Each pass of tf2onnx's optimiser takes the memory of all weights anew: these four are what graphs
# from LiteRT need.
_PASSES = ("optimize_transpose", "fold_constants", "remove_identity", "remove_back_to_back")
# Weights of a layer that are worth rounding: smaller layers are few, and those of U-Nets bear it
# badly, whose logits decide alone.
_MANY = 2**16
_LARGEST = 127  # of a number of 8 bits with a sign


@contextlib.contextmanager
def saved_graph(graph: "keras.Model") -> Iterator[Path]:
    """Save a graph for `to_litert`, in a folder that is gone afterwards.

    The graph must be on Keras's TensorFlow backend. `graph.export` does the same in three times the
    time: it traces anew and keeps what serves training.
    """
    import tensorflow

    kept = tensorflow.Module()
    kept.weights = [variable.value for variable in graph.variables]
    signature = [tensorflow.TensorSpec(x.shape, x.dtype, x.name) for x in graph.inputs]
    kept.predict = tensorflow.function(
        lambda *given: graph(given[0] if len(given) == 1 else given, training=False),
        input_signature=signature,
        autograph=False,
    )
    with tempfile.TemporaryDirectory() as folder, _quiet():
        concrete = kept.predict.get_concrete_function()
        tensorflow.saved_model.save(kept, folder, signatures=concrete)
        yield Path(folder)


def to_litert(saved: Path, path: Path, *, eight_bits: bool = False) -> None:
    """Write a graph from `saved_graph` for LiteRT (once TensorFlow Lite), its weights in 8 bits."""
    import tensorflow

    with _quiet():
        converter = tensorflow.lite.TFLiteConverter.from_saved_model(str(saved))
        converter.optimizations = [tensorflow.lite.Optimize.DEFAULT] if eight_bits else []
        path.write_bytes(converter.convert())


def to_onnx(whole: Path, path: Path) -> None:
    """Write a file from `to_litert` as ONNX: its graph is simplified, and its numbers frozen.

    From TensorFlow's own graph the same takes five times as long and twice the memory.
    """
    from ai_edge_litert.interpreter import Interpreter

    runner = Interpreter(str(whole)).get_signature_runner()
    details = {**runner.get_input_details(), **runner.get_output_details()}
    names = {facts["name"]: name for name, facts in details.items()}
    with _quiet():
        import tf2onnx
        from tf2onnx.optimizer import _optimizers as passes

        kept = {name: passes[name] for name in _PASSES}
        with patch.dict(passes, kept, clear=True):
            model, _ = tf2onnx.convert.from_tflite(str(whole))
    graph = model.graph
    for node in graph.node:
        node.input[:] = [names.get(name, name) for name in node.input]
        node.output[:] = [names.get(name, name) for name in node.output]
    for value in (*graph.input, *graph.output):
        value.name = names[value.name]
    path.write_bytes(model.SerializeToString())


def to_int8_onnx(source: Path, path: Path, images: np.ndarray) -> None:
    """Write an ONNX file anew with the weights of convolutions and dense layers in 8 bits.

    A convolution is off in the mean by the rounding errors of its weights times its mean input;
    its bias makes up for that (Nagel et al. 2019, arXiv 1906.04721, section 4.2).

    Parameters
    ----------
    source, path
        A file from `to_onnx`; where to write.
    images
        RGB uint8 (N, H, W, 3), of the training part, on which mean inputs are measured.
    """
    import onnx

    model = onnx.load(source)
    means = _mean_inputs(model, images)
    stored = {weights.name: weights for weights in model.graph.initializer}
    for node in list(model.graph.node):
        kernel = stored.get(node.input[1]) if node.op_type in ("Conv", "MatMul") else None
        if kernel is not None and math.prod(kernel.dims) >= _MANY:
            _round(model.graph, node, stored, means)
    used = {name for node in model.graph.node for name in node.input}
    for weights in [w for w in model.graph.initializer if w.name not in used]:  # old biases
        model.graph.initializer.remove(weights)
    _shorten_names(model.graph)
    onnx.save(model, path)


def _round(graph, node, stored, means) -> None:
    """Put a node's kernel in 8 bits in place; output channels come first in a convolution's."""
    from onnx import helper, numpy_helper

    kernel = stored[node.input[1]]
    values = numpy_helper.to_array(kernel)
    axis = 0 if node.op_type == "Conv" else values.ndim - 1
    rounded, step = round_kernel(values, axis)
    names = [f"{kernel.name}_{part}" for part in ("rounded", "step", "kernel")]
    for name, array in zip(names, (rounded, step), strict=False):
        graph.initializer.append(numpy_helper.from_array(array, name))
    restore = helper.make_node("DequantizeLinear", names[:2], names[2:], axis=axis)
    graph.node.insert(list(graph.node).index(node), restore)
    graph.initializer.remove(kernel)
    node.input[1] = names[2]
    if node.op_type == "Conv":
        off = (rounded * step[:, None, None, None] - values).sum(axis=(2, 3)) @ means[node.input[0]]
        given = node.input[2:]
        bias = (numpy_helper.to_array(stored[given[0]]) if given else 0) - off
        corrected = numpy_helper.from_array(bias.astype(np.float32), f"{kernel.name}_bias")
        graph.initializer.append(corrected)
        node.input[2:] = [corrected.name]


def _mean_inputs(model, images: np.ndarray) -> dict[str, np.ndarray]:
    """Mean of each channel of what every convolution is given: {name: (C,)}."""
    import onnx
    import onnxruntime
    from onnx import helper

    watched = onnx.ModelProto()
    watched.CopyFrom(model)
    given = sorted({node.input[0] for node in model.graph.node if node.op_type == "Conv"})
    for name in given:
        mean = helper.make_node("ReduceMean", [name], [f"{name}_mean"], axes=[0, 2, 3], keepdims=0)
        watched.graph.node.append(mean)
        watched.graph.output.append(helper.make_empty_tensor_value_info(f"{name}_mean"))
    session = onnxruntime.InferenceSession(watched.SerializeToString())
    (pixels,) = (node.name for node in session.get_inputs())
    outputs = [f"{name}_mean" for name in given]
    result = [session.run(outputs, {pixels: one[None]}) for one in images]
    return {name: np.mean([one[i] for one in result], axis=0) for i, name in enumerate(given)}


def _shorten_names(graph) -> None:
    """Call what flows inside the graph by numbers: names of layers are a hundredth of the file."""
    kept = {node.name for node in (*graph.input, *graph.output)}
    short: dict[str, str] = {"": ""}

    def brief(name: str) -> str:
        return name if name in kept else short.setdefault(name, str(len(short)))

    for node in graph.node:
        node.name = ""
        node.input[:] = [brief(name) for name in node.input]
        node.output[:] = [brief(name) for name in node.output]
    for weights in graph.initializer:
        weights.name = brief(weights.name)
    del graph.value_info[:]


def round_kernel(kernel: np.ndarray, axis: int) -> tuple[np.ndarray, np.ndarray]:
    """Round weights to whole steps, of which the largest of a channel is 127.

    Parameters
    ----------
    kernel, axis
        float32, any shape; the axis of the channels, C of them.

    Returns
    -------
    int8 of the kernel's shape, and the step of each channel, float32 (C,): their product is the
    kernel, rounded.
    """
    others = tuple(number for number in range(kernel.ndim) if number != axis)
    step = np.abs(kernel).max(axis=others, keepdims=True) / np.float32(_LARGEST)
    step = np.where(step > 0, step, np.float32(1))
    return np.rint(kernel / step).astype(np.int8), step.ravel()


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep the converters' chatter off the screen; what goes wrong raises."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    # Without this, tf2onnx copies the whole graph before each of its passes.
    os.environ.setdefault("TF2ONNX_CATCH_ERRORS", "FALSE")
    try:
        with warnings.catch_warnings(), Path(os.devnull).open("w") as nowhere:
            warnings.simplefilter("ignore")
            with contextlib.redirect_stdout(nowhere):
                yield
    finally:
        logging.disable(before)

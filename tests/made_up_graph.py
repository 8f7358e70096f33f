"""A tiny ONNX file that answers as an exported model does."""

import onnx
from onnx import TensorProto, helper


def constant(name, value):
    return helper.make_tensor(name, TensorProto.FLOAT, [len(value)] if value else [], value)


def write_graph(path):
    """Red means Stone: the mean of the first channel / 255; the distance is that of the third.

    The maps of both classes are the first two channels, averaged in blocks of 8 x 8.
    """
    nodes = [
        helper.make_node("Cast", ["pixels"], ["real"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMean", ["real"], ["means"], axes=[1, 2], keepdims=0),
        helper.make_node("Div", ["means", "white"], ["shares"]),
        helper.make_node("Split", ["shares"], ["red", "green", "blue"], axis=1),
        helper.make_node("Sub", ["one", "red"], ["rest"]),
        helper.make_node("Concat", ["rest", "red"], ["probabilities"], axis=1),
        helper.make_node("Squeeze", ["blue", "axis"], ["distance"]),
        helper.make_node("Transpose", ["real"], ["channels"], perm=[0, 3, 1, 2]),
        helper.make_node(
            "AveragePool", ["channels"], ["blocks"], kernel_shape=[8, 8], strides=[8, 8]
        ),
        helper.make_node("Transpose", ["blocks"], ["pooled"], perm=[0, 2, 3, 1]),
        helper.make_node("Split", ["pooled", "two_and_one"], ["maps", "rest_of_maps"], axis=3),
    ]
    weights = [constant("white", [255.0]), constant("one", [1.0])]
    weights.append(helper.make_tensor("axis", TensorProto.INT64, [1], [1]))
    weights.append(helper.make_tensor("two_and_one", TensorProto.INT64, [2], [2, 1]))
    pixels = helper.make_tensor_value_info("pixels", TensorProto.UINT8, ["N", "H", "W", 3])
    predictions = [
        helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["N", 2]),
        helper.make_tensor_value_info("distance", TensorProto.FLOAT, ["N"]),
        helper.make_tensor_value_info("maps", TensorProto.FLOAT, ["N", "h", "w", 2]),
    ]
    graph = helper.make_graph(nodes, "red", [pixels], predictions, weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 15)], ir_version=8)
    onnx.checker.check_model(model)
    onnx.save(model, path)

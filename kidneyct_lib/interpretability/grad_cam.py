"""Where in a slice the network finds its classes: Grad-CAM in closed form, part of the graph.

Between a convolution and a class's logit lie only means or maxima, dense layers and ReLUs, so the
gradient that Grad-CAM (https://arxiv.org/abs/1610.02391) asks for is a product of weights, of which
ReLUs are open and of where the maxima lie. No automatic differentiation is needed: every backend
and export has it.
"""

from itertools import chain, count

import numpy as np

from kidneyct_lib.models import builder
from kidneyct_lib.models.keras_setup import keras
from kidneyct_lib.models.roi_crops import JoinRegions, boxes_of, luminance, paste
from kidneyct_lib.models.segmentation import HALVES

ops = keras.ops

_GRID = 28  # cells across the map of a network that is given crops
_CELLS = 8  # of these, at least, across a flank of a body that is 0.57 of the slice wide or more


@keras.saving.register_keras_serializable("kidneyct")
class PlacedHead(keras.layers.Layer):
    """The dense ReLU layer on channel means, computed place by place, and the maps that it gives.

    A mean of products is the product of means: the `hidden` units are those of the head, and one
    kernel serves both. There is one map for each of the `classes` (K) logits.
    """

    def __init__(self, hidden: int, classes: int, **kwargs) -> None:
        super().__init__(**{"trainable": False} | kwargs)
        self.hidden, self.classes = hidden, classes

    def build(self, input_shape):
        """Weights of the head, set by `with_class_maps`."""
        self.kernel = self.add_weight(shape=(input_shape[-1], self.hidden), name="kernel")
        self.bias = self.add_weight(shape=(self.hidden,), name="bias")
        self.last = self.add_weight(shape=(self.hidden, self.classes), name="last")

    def call(self, activations):
        """Activations (N, h, w, C) to units (N, hidden) and maps (N, h, w, K)."""
        shape = ops.shape(activations)
        flat = ops.reshape(activations, (-1, shape[1] * shape[2], activations.shape[-1]))
        places = ops.matmul(flat, self.kernel)
        units = ops.relu(ops.mean(places, axis=1) + self.bias)
        gates = ops.cast(units > 0, activations.dtype)[:, :, None]
        maps = ops.matmul(places, gates * self.last)
        return units, ops.reshape(maps, (-1, shape[1], shape[2], self.classes))


def peaks(activations):
    """Keep the highest place of each channel of (N, h, w, C): the mean over places is its height.

    The gradient through a maximum is 0 at every other place, so that it is taken place by place, as
    HiResCAM does (https://arxiv.org/abs/2011.08891). Equals share it.
    """
    highest = ops.max(activations, axis=(1, 2), keepdims=True)
    there = ops.cast(activations >= highest, activations.dtype)
    return there * highest / ops.mean(there, axis=(1, 2), keepdims=True)


def marked_places(places, codes: list[int], classes: int):
    """Probability of a lesion near each place, as maps of the classes that the lesions belong to.

    A lesion may be one place of a crop, and the map of the slice has several places a cell: each
    place gets the highest probability around, so that none is lost between two cells.

    Parameters
    ----------
    places
        Logits (N, h, w, L).
    codes
        Number of the class whose lesion each channel marks.
    classes
        How many maps there are (K); those of other classes stay 0.

    Returns
    -------
    Maps (N, h, w, K).
    """
    around = max(places.shape[1:3]) // _CELLS | 1  # odd, so that it has a middle
    nearby = ops.max_pool(ops.sigmoid(places), around, strides=1, padding="same")
    return ops.matmul(nearby, np.eye(classes, dtype=np.float32)[codes])


@keras.saving.register_keras_serializable("kidneyct")
class PasteCrops(keras.layers.Layer):
    """Put maps of crops back where these lie in the slice, and add them up.

    Parameters
    ----------
    names
        Of `roi_crops.CROPS`: every crop that is made, in their order.
    kept
        For each map, the number of the crop that it belongs to.
    size
        Side of the joint map in cells.
    """

    def __init__(self, names: list[str], kept: list[int], size: int, **kwargs) -> None:
        super().__init__(**kwargs)
        self.names, self.kept, self.size = list(names), list(kept), size

    def call(self, inputs):
        """RGB pixels (N, H, W, 3), then maps (N * crops, h, w, K), to one (N, size, size, K)."""
        images, *maps = inputs
        boxes = boxes_of(luminance(ops.cast(images, self.compute_dtype)), self.names)
        pasted = []
        for each, number in zip(maps, self.kept, strict=True):
            height, width, kinds = each.shape[1:]
            # Flat, since LiteRT takes no part of an array of five axes.
            crops = ops.reshape(each, (-1, len(self.names), height * width * kinds))
            rows = ops.reshape(crops[:, number], (-1, height, width, kinds))
            pasted.append(paste(rows, boxes[number], self.size))
        return ops.sum(ops.stack(pasted), axis=0)  # in one order, unlike a chain of additions


def with_class_maps(net: keras.Model) -> keras.Model:
    """Let a network tell where it finds each class.

    Parameters
    ----------
    net
        As built by `builder.build` for either recipe, trained; its layers are shared.

    Returns
    -------
    keras.Model
        (N, S, S, 3) in 0..255 to probabilities (N, K) and maps (N, h, w, K). A map's mean is the
        logit, but for what does not hang on the image where the ReLUs stay as they are; what is
        above 0 speaks for the class. The map of a class whose lesions U-Nets mark shows their marks
        alone, the probability of a lesion: other parts of its logit lie wherever its patients
        differ. h and w are the last convolution's (7 at 224 pixels); 28 for the patient recipe,
        whose crops are put back into their places.
    """
    head = net.get_layer(builder.PROBABILITIES)
    if _is_published(net):
        layer = PlacedHead(net.get_layer("head_dense").units, head.units, name="maps")
        units, maps = layer(net.get_layer(builder.POOL).input)
        probabilities = head(units)
    else:
        probabilities, maps = net.output, _maps_of_regions(net)
    # A loaded network has a list of one input, a built one its only input.
    net_with_maps = keras.Model(net.inputs[0], [probabilities, maps], name=f"{net.name}_with_maps")
    copy_head(net, net_with_maps)
    return net_with_maps


def copy_head(net: keras.Model, net_with_maps: keras.Model) -> None:
    """Copy the present weights of `net`'s head to its `with_class_maps` network."""
    kernel = net.get_layer(builder.PROBABILITIES).get_weights()[0]
    if _is_published(net):
        dense = net.get_layer("head_dense").get_weights()
        net_with_maps.get_layer("maps").set_weights([*dense, kernel])
        return
    start = 0
    kernel[:, _marked(net)] = 0
    for number, crops in enumerate(chain(*_regions(net).kept)):
        share = net_with_maps.get_layer(f"maps_of_region{number}")
        width = share.kernel.shape[0]
        share.set_weights([kernel[start : start + width] / len(crops)])
        start += width


def of_classes(
    net_with_maps: keras.Model, images: np.ndarray, codes: np.ndarray, *, batch: int
) -> np.ndarray:
    """Maps float32 (N, h, w) of one class (int (N,)) each, from a `with_class_maps` network.

    Images are gray slices uint8 (N, S, S), also none.
    """
    if not len(images):
        return np.empty((0, *net_with_maps.output_shape[1][1:3]), np.float32)
    _, maps = builder.predict_gray(net_with_maps, images, batch=batch, label="class maps")
    return maps[np.arange(len(images)), :, :, codes]


def _is_published(net: keras.Model) -> bool:
    return isinstance(net.get_layer(builder.POOL), keras.layers.GlobalAveragePooling2D)


def _marked(net: keras.Model) -> list[int]:
    """Numbers of the classes whose lesions U-Nets of a network mark."""
    name = f"{HALVES[0]}_scores"
    return next((layer.codes for layer in net.layers if layer.name == name), [])


def _regions(net: keras.Model) -> JoinRegions:
    """The layer that joins the pooled regions of a network of the patient recipe."""
    return net.get_layer(builder.CHANNELS if _marked(net) else builder.POOL)


def _maps_of_regions(net: keras.Model) -> keras.KerasTensor:
    """The joint map of all pooled regions, each with a layer for its share, and of lesions."""
    join, units = _regions(net), net.get_layer(builder.PROBABILITIES).units
    numbers, maps, crop_of_map = count(), [], []
    for pooled, regions in zip(join.input, join.kept, strict=True):
        pool = pooled._keras_history.operation
        highest = isinstance(pool, keras.layers.GlobalMaxPooling2D)
        activations = peaks(pool.input) if highest else pool.input
        for crops in regions:
            name = f"maps_of_region{next(numbers)}"
            share = keras.layers.Dense(units, use_bias=False, trainable=False, name=name)
            maps += [share(activations)] * len(crops)
            crop_of_map += crops
    cropped = net.get_layer("roi_crops")
    every, codes = list(range(len(cropped.names))), _marked(net)
    for half in HALVES if codes else ():
        marks = marked_places(net.get_layer(f"{half}_places").output, codes, units)
        maps += [marks / len(HALVES)] * len(every)
        crop_of_map += every
    return PasteCrops(cropped.names, crop_of_map, _GRID, name="maps")([cropped.input, *maps])

"""Regions of a slice: the body without the couch, the band of it where the kidneys lie, the flanks.

Layers of the network, so that a saved or exported model crops by itself and is given whole slices.
Only operations that every backend and export format has: a few pools, sums and products.

Keras saves a layer's arguments where these are plain numbers, texts and lists of them, followed by
`**kwargs` of just this name. It infers the shapes from `call`.
"""

from kidneyct_lib.models.keras_setup import keras

ops = keras.ops

CROPS = {
    "slice": None,
    "body": (-0.03, 1.03, -0.03, 1.03),
    "kidneys": (0.04, 0.96, 0.25, 0.97),
    "left": (0.02, 0.52, 0.25, 0.97),
    "right": (0.48, 0.98, 0.25, 0.97),
}
"""Margins of each crop as shares of the body's box: left, right, top, bottom; None: all is shown.

In an axial slice the kidneys lie behind the middle, beside the spine."""

REGIONS = {
    "slice": ["slice"],
    "body": ["body"],
    "kidneys": ["kidneys"],
    "flanks": ["left", "right"],
}
"""Regions of interest, each with its crops, whose features are averaged."""

_LUMINANCE = ((0.299,), (0.587,), (0.114,))  # of red, green and blue, ITU-R BT.601
_GRID = 224  # pixels across the coarse image in which the body is sought
_BACKGROUND = 10  # gray level: darker is air, or fat in a narrow window
_BONE = 1.5  # times the mean of all tissue: brighter is bone or contrast agent
_DARKEST = 0.5  # times soft tissue: darker is fat or air, whatever the series' window
_OPENING = 5  # coarse pixels: thinner is the table or skin
_SUBSTANTIAL = 0.12  # of the longest line: lines that hold less are not of the body


@keras.saving.register_keras_serializable("kidneyct")
class RoiCrops(keras.layers.Layer):
    """Crop every slice in several ways and bring each crop to one size.

    Windows and scanners differ between series, and so does the patient's place in the image; the
    box goes by what is as bright as soft tissue, in proportion to the slice's own brightness.

    Parameters
    ----------
    names
        Of `CROPS`, in the order in which they are given.
    size
        Side of a crop in pixels; the aspect is not kept.
    """

    def __init__(self, names: list[str], size: int, **kwargs) -> None:
        super().__init__(**kwargs)
        self.names, self.size = list(names), size

    def call(self, images):
        """RGB pixels in 0..255 (N, H, W, 3) to gray crops as RGB (N * crops, size, size, 3).

        The crops of one slice follow each other.
        """
        gray = luminance(ops.cast(images, self.compute_dtype))
        boxes = boxes_of(gray, self.names)
        crops = ops.stack([crop(gray, box, self.size) for box in boxes], 1)
        crops = ops.reshape(crops, (-1, self.size, self.size, 1))
        return ops.repeat(crops, 3, axis=-1)


@keras.saving.register_keras_serializable("kidneyct")
class JoinRegions(keras.layers.Layer):
    """Put the features of a slice's crops, computed as rows of their own, into one row.

    Parameters
    ----------
    kept
        For each input the regions that are kept of it, each as the numbers of its crops.
    crops
        Crops a slice.
    """

    def __init__(self, kept: list[list[list[int]]], crops: int, **kwargs) -> None:
        super().__init__(**kwargs)
        self.kept, self.crops = kept, crops

    def call(self, features):
        """Arrays (N * crops, D) to (N, sum of D over the kept regions): means of crops."""
        rows = [ops.reshape(x, (-1, self.crops, x.shape[-1])) for x in features]
        means = [
            ops.mean(ops.stack([x[:, number] for number in numbers], axis=1), axis=1)
            for x, regions in zip(rows, self.kept, strict=True)
            for numbers in regions
        ]
        return ops.concatenate(means, axis=-1)

    def compute_output_shape(self, input_shape):
        """(N, sum of D over the kept regions); JAX can't divide an unknown number of rows."""
        kept = zip(input_shape, self.kept, strict=True)
        return (None, sum(shape[-1] * len(regions) for shape, regions in kept))


def luminance(pixels):
    """Gray levels (N, H, W) of RGB pixels (N, H, W, 3), by ITU-R BT.601 as OpenCV does.

    One product, not a sum of three images: of that, TensorFlow's last digits differ from call to
    call.
    """
    return ops.matmul(pixels, ops.convert_to_tensor(_LUMINANCE, pixels.dtype))[..., 0]


def body_box(gray):
    """Find the box around the patient's muscle, bone and organs.

    Soft tissue is what is brighter than half its own mean level; thin lines (the table, skin) are
    removed by a morphological opening; the box ends where rows and columns hold little of the rest.

    Parameters
    ----------
    gray
        Gray levels in 0..255, float (N, H, W).

    Returns
    -------
    float (N, 4): left, right, top, bottom as shares of the image's width and height; the whole
    image where nothing is found.
    """
    step = max(1, gray.shape[1] // _GRID)
    coarse = ops.average_pool(ops.expand_dims(gray, -1), step, step)
    tissue = ops.cast(coarse > ops.maximum(_DARKEST * _soft_level(coarse), 6), gray.dtype)
    eroded = -ops.max_pool(-tissue, _OPENING, 1, padding="same")
    solid = ops.max_pool(eroded, _OPENING, 1, padding="same")[..., 0]
    top, bottom = _span(ops.sum(solid, axis=2))
    for _ in range(2):  # the table's remains widen the columns only while its rows count
        left, right = _span(ops.sum(solid * between(top, bottom, solid.shape[1])[:, :, None], 1))
        top, bottom = _span(ops.sum(solid * between(left, right, solid.shape[2])[:, None], 2))
    height, width = solid.shape[1:]
    return ops.stack([left / width, right / width, top / height, bottom / height], axis=1)


def boxes_of(gray, names):
    """Box of each crop, in shares of the image: list of float (N, 4)."""
    left, right, top, bottom = (edge[:, 0] for edge in ops.split(body_box(gray), 4, axis=1))
    whole = ops.stack([left * 0, left * 0 + 1, left * 0, left * 0 + 1], axis=1)
    width, height = right - left, bottom - top
    result = []
    for margins in (CROPS[name] for name in names):
        if margins is None:
            result.append(whole)
            continue
        across = [left + share * width for share in margins[:2]]
        down = [top + share * height for share in margins[2:]]
        result.append(ops.stack(across + down, axis=1))
    return result


def crop(gray, box, size: int):
    """Resample boxes of images to squares.

    Parameters
    ----------
    gray
        float (N, H, W).
    box
        float (N, 4) as `body_box` gives it; where it lies outside, the image's edge is repeated.
    size
        Side of the squares in pixels.

    Returns
    -------
    float (N, size, size): linear interpolation, averaged over the pixels that a new one covers.
    """
    across = _weights(box[:, 0], box[:, 1], gray.shape[2], size)
    down = _weights(box[:, 2], box[:, 3], gray.shape[1], size)
    return ops.matmul(ops.matmul(down, gray), ops.transpose(across, (0, 2, 1)))


def paste(maps, box, size: int):
    """Put maps of crops back into their places, so that means over the image are kept.

    Parameters
    ----------
    maps
        float (N, h, w, K): values by place in the crop.
    box
        float (N, 4) as `body_box` gives it: where the crop lies.
    size
        Side of the result in cells.

    Returns
    -------
    float (N, size, size, K): linear interpolation over the box's area, 0 outside of it.
    """
    across = _places(box[:, 0], box[:, 1], maps.shape[2], size)
    down = _places(box[:, 2], box[:, 3], maps.shape[1], size)
    height, width, kinds = maps.shape[1:]
    rows = ops.matmul(down, ops.reshape(maps, (-1, height, width * kinds)))
    return ops.matmul(across[:, None], ops.reshape(rows, (-1, size, width, kinds)))


def _soft_level(gray):
    """Mean level of soft tissue, (N, 1, 1, 1): of what is neither background nor bone."""
    tissue = ops.cast(gray > _BACKGROUND, gray.dtype)
    mean = _masked_mean(gray, tissue)
    return _masked_mean(gray, tissue * ops.cast(gray < _BONE * mean, gray.dtype))


def _masked_mean(values, mask):
    total = ops.sum(values * mask, axis=(1, 2, 3), keepdims=True)
    return total / ops.maximum(ops.sum(mask, axis=(1, 2, 3), keepdims=True), 1)


def _span(profile):
    """First and last line that holds enough: ends (N,) of a range in lines, from sums (N, L)."""
    enough = profile >= _SUBSTANTIAL * ops.max(profile, axis=1, keepdims=True)
    enough = ops.cast(enough, "int32")  # argmax of floats minds the sign of 0: no export has that
    first = ops.argmax(enough, axis=1)
    last = profile.shape[1] - ops.argmax(ops.flip(enough, axis=1), axis=1)
    return ops.cast(first, profile.dtype), ops.cast(last, profile.dtype)


def between(start, end, length: int):
    """1 for lines from `start` to `end` (float (N,), in lines), else 0: float (N, length)."""
    line = ops.arange(length, dtype=start.dtype)[None]
    return ops.cast((line >= start[:, None]) & (line < end[:, None]), start.dtype)


def _weights(start, end, length: int, size: int):
    """What each old line gives to each new one, (N, size, length): triangles that sum to 1."""
    step = (end - start)[:, None] * length / size
    centre = start[:, None] * length + (ops.arange(size, dtype=start.dtype)[None] + 0.5) * step
    centre = ops.clip(centre, 0.5, length - 0.5)
    line = ops.arange(length, dtype=start.dtype) + 0.5
    distance = ops.abs(line[None, None] - centre[:, :, None])
    triangle = ops.relu(1 - distance / ops.maximum(step, 1)[:, :, None])
    return triangle / ops.sum(triangle, axis=2, keepdims=True)


def _places(start, end, length: int, size: int):
    """What each of a crop's lines gives to each line of the image, (N, size, length)."""
    extent = (end - start)[:, None]
    place = ((ops.arange(size, dtype=start.dtype)[None] + 0.5) / size - start[:, None]) / extent
    inside = ops.cast((place >= 0) & (place <= 1), start.dtype)[:, :, None]
    line = ops.arange(length, dtype=start.dtype) + 0.5
    distance = ops.abs(line[None, None] - ops.clip(place * length, 0.5, length - 0.5)[:, :, None])
    return ops.relu(1 - distance) * inside / extent[:, :, None]

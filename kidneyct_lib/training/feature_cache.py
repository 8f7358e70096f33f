"""The frozen prefix computed once per image and kept on disk, keyed by content."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import compress
from pathlib import Path
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

import numpy as np
from tqdm import tqdm

from kidneyct_lib.core.array_cache import RowStore, content_keys
from kidneyct_lib.data.augmentation import AugmentedImages
from kidneyct_lib.data.image_io import gray_to_rgb
from kidneyct_lib.models.builder import digest  # loads Keras, without its noise
from kidneyct_lib.models.freezing import part

if TYPE_CHECKING:
    import keras

_PARTS: "WeakKeyDictionary[keras.Model, dict[tuple, keras.Model]]" = WeakKeyDictionary()


@dataclass(frozen=True)
class Activations:
    """Stored output of a frozen layer for a study's images, in the catalog's order.

    Where the images have views, these follow, ordered as in `AugmentedImages`.

    Attributes
    ----------
    layer : str
        Name of the layer whose output is stored.
    store : RowStore
        Rows of the layer's output shape.
    keys : sequence of str
        Content key of each row.
    compute : callable
        Gives the output for rows that are not stored, where the store was to stay small.
    batch : int
        How many of these are computed at a time.
    """

    layer: str
    store: RowStore
    keys: Sequence[str]
    compute: Callable[[np.ndarray], np.ndarray]
    batch: int

    def __len__(self) -> int:
        """Number of rows, views included."""
        return len(self.keys)

    def __getitem__(self, rows: np.ndarray) -> np.ndarray:
        """Activations of these rows, float32 (len(rows), *layer shape)."""
        rows = np.asarray(rows)
        keys = [self.keys[row] for row in rows]
        held = self.store.holds(keys)
        values = np.empty((len(rows), *self.store.shape), self.store.dtype)
        values[held] = self.store.take(list(compress(keys, held)))
        missing = np.flatnonzero(~held)
        starts = range(0, len(missing), self.batch)
        hidden = len(starts) < 2  # no bar for each batch of a training
        label = f"activations of {self.layer}"
        for start in tqdm(starts, desc=label, unit="batch", leave=False, disable=hidden):
            places = missing[start : start + self.batch]
            values[places] = self.compute(rows[places])
        return values.astype(np.float32)


@dataclass(frozen=True)
class Storage:
    """Where activations are kept, and how they are computed.

    Attributes
    ----------
    cache : Path
        Folder of all stores; a store's name is derived from the prefix's weights and the dtype.
    batch : int
        Images computed at a time.
    most_gb : float or None
        How large one store may become; what does not fit is computed at every use. 0: nothing is
        stored or read. None: no limit.
    """

    cache: Path
    batch: int
    most_gb: float | None = None


def of_layer(
    network: "keras.Model",
    layer: str,
    source: np.ndarray | AugmentedImages | Activations,
    storage: Storage,
    *,
    dtype: str = "float32",
) -> Activations:
    """Output of a frozen layer for gray images, from the store where it is there already.

    Parameters
    ----------
    network : keras.Model
        Everything up to `layer` must be frozen.
    layer : str
        Where the frozen prefix ends.
    source : uint8 array (N, H, W), AugmentedImages or Activations
        Gray pixels in 0..255, views of which are made only where their rows are not stored; or the
        images' activations of an earlier layer.
    storage : Storage
        Where rows are kept.
    dtype : {"float16", "float32"}
        Type of the stored values.
    """
    start = None
    if isinstance(source, Activations):
        start = source.layer
        # What these rows are computed from is part of their content: its precision included.
        keys = [f"{key}-{source.store.folder.name}" for key in source.keys]
    else:
        keys = source.keys if isinstance(source, AugmentedImages) else content_keys(source)
    parts = _PARTS.setdefault(network, {})
    if (start, layer) not in parts:  # one for all images: it is traced at its first use
        parts[start, layer] = part(network, start, layer)
    model = parts[start, layer]

    def compute(rows: np.ndarray) -> np.ndarray:
        given = source[rows]
        return model.predict_on_batch(gray_to_rgb(given) if start is None else given)

    # By what computes it: a layer of another name, in another network, may be the same function.
    folder = storage.cache / f"activations-{dtype}-{digest(model)[:16]}"
    store = RowStore(folder, model.output.shape[1:], dtype)
    most_bytes = math.inf if storage.most_gb is None else storage.most_gb * 1e9
    if most_bytes:
        label = f"activations of {layer}"
        store.fill(keys, compute, batch=storage.batch, label=label, most_bytes=most_bytes)
    return Activations(layer, store, keys, compute, storage.batch)


def channel_means(stored: Activations, *, batch: int) -> np.ndarray:
    """Mean over the image of every channel of a stored layer: float32 (N, channels).

    `stored` holds rows (height, width, channels), or channel means already; `batch` of them are
    read at a time.
    """
    if len(stored.store.shape) == 1:
        return stored[np.arange(len(stored))]
    starts = tqdm(range(0, len(stored), batch), desc="channel means", unit="batch", leave=False)
    rows = (np.arange(start, min(start + batch, len(stored))) for start in starts)
    return np.concatenate([stored[part].mean(axis=(1, 2)) for part in rows])

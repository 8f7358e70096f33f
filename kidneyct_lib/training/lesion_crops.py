"""What the U-Nets of the patient recipe are shown: crops of slices, and where lesions lie in them.

Slices of one class come from few series, so a network that is shown these alone learns the series.
Lesions are therefore pasted into slices of the other classes, too (Ghiasi et al. 2021, arXiv
2012.07177): what a pasted stone and one in place have in common is the stone.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import keras
import numpy as np
import pandas as pd
from tqdm import tqdm

from kidneyct_lib.data import augmentation, datasets
from kidneyct_lib.data.augmentation import Augmentation
from kidneyct_lib.data.image_io import gray_to_rgb
from kidneyct_lib.models import freezing, roi_crops, segmentation
from kidneyct_lib.models.harmonization import SOFT

ops = keras.ops

_WITH_LESION = 0.4  # of the crops of a step: from slices with a mask
_ON_LESION = 0.7  # of these: of a crop that the lesion lies in, whichever crop it is otherwise
_PASTED = 0.4  # of the others: lesions are pasted into them
_MOST_PASTED = 3  # lesions in one crop
_LEAST_AREA = 6  # pixels of a lesion that is pasted
_TISSUE = (0.55 * SOFT, 1.6 * SOFT)  # median gray level there: neither fat nor bone
_APART = 14 / 224  # of a crop's side: spread of pasted lesions about where others lie
_COVERED = 0.3  # of a cell, from which on it counts as lesion


@dataclass(frozen=True)
class Examples:
    """What the U-Nets of a study learn from: crops of N slices, R of each, and their lesions.

    Attributes
    ----------
    crops
        uint8 (N, R, S, S), gray, as the network makes them.
    masks
        {row: uint8 (R, S, S), the share of each pixel that is lesion, 255 for all of it} of the
        slices with a known lesion.
    codes
        int (N,): which of the U-Nets' outputs is the lesion of the slice's class; -1: none.
    group
        Group of each slice, (N,).
    """

    crops: np.ndarray
    masks: Mapping[int, np.ndarray]
    codes: np.ndarray
    group: np.ndarray


@dataclass(frozen=True)
class SegmentationSettings:
    """How a U-Net trains.

    Attributes
    ----------
    steps, batch_size, seed
        Steps of Adam; crops a step; seed of all draws.
    augmentation
        How strongly crops are moved, toned and blurred.
    """

    steps: int
    batch_size: int
    seed: int
    augmentation: Augmentation


def crops_of(net: keras.Model, images: np.ndarray, *, batch: int) -> np.ndarray:
    """Crop gray slices uint8 (N, H, W) as a network with `roi_crops` does: uint8 (N, R, S, S)."""
    model, crops = freezing.part(net, None, "roi_crops"), net.get_layer("roi_crops")
    shape = len(images), len(crops.names), crops.size, crops.size
    result = np.empty(shape, np.uint8)
    for start in tqdm(range(0, len(images), batch), desc="crops", unit="batch", leave=False):
        pixels = model.predict_on_batch(gray_to_rgb(images[start : start + batch]))
        result[start : start + batch] = pixels[..., 0].round().reshape(-1, *shape[1:])
    return result


def masks_of(
    net: keras.Model, images: np.ndarray, lesions: Callable[[int], np.ndarray]
) -> dict[int, np.ndarray]:
    """Crop the lesions of slices as the slices are cropped.

    Parameters
    ----------
    net
        With layers `roi_crops` and what stands before it.
    images
        Gray slices, uint8 (N, H, W).
    lesions
        Gives the mask of a row, bool (H, W); all False where no lesion is known.

    Returns
    -------
    {row: uint8 (R, S, S), 0 to 255} of the rows whose crops show some of a lesion.
    """
    crops, result = net.get_layer("roi_crops"), {}
    shown = keras.Model(net.inputs[0], crops.input)
    for row, image in enumerate(tqdm(images, desc="lesions", unit="image", leave=False)):
        mask = lesions(row)
        if not mask.any():
            continue
        seen = shown.predict_on_batch(gray_to_rgb(image[None]))
        boxes = roi_crops.boxes_of(roi_crops.luminance(ops.convert_to_tensor(seen)), crops.names)
        share = ops.convert_to_tensor(mask[None].astype(np.float32))
        cropped = [roi_crops.crop(share, box, crops.size)[0] for box in boxes]
        pixels = np.stack([ops.convert_to_numpy(one) for one in cropped])
        if pixels.max() >= 0.5:
            result[row] = (255 * pixels.clip(0, 1)).round().astype(np.uint8)
    return result


def examples(
    net: keras.Model,
    crops: np.ndarray,
    images: np.ndarray,
    table: pd.DataFrame,
    masks: Path,
    kinds: Sequence[str],
) -> Examples:
    """Collect what the U-Nets learn from.

    Parameters
    ----------
    net
        With `roi_crops`.
    crops
        From `crops_of` the images.
    images, table
        Gray slices, uint8 (N, H, H), and their catalog: ``path``, ``label``, ``group``.
    masks
        Folder of the masks, as `datasets.lesion_masks` reads it.
    kinds
        The classes whose lesions are known.
    """
    paths, size = table["path"].tolist(), images.shape[1]

    def lesions(row: int) -> np.ndarray:
        return datasets.lesion_masks(masks, paths[row : row + 1], size)[0]

    codes = table["label"].map({name: code for code, name in enumerate(kinds)}).fillna(-1)
    known = masks_of(net, images, lesions)
    return Examples(crops, known, codes.to_numpy(int), table["group"].to_numpy())


class Batches:
    """Random crops with the cells that hold lesions: some as they are, some with pasted lesions.

    Parameters
    ----------
    examples, rows
        Crops of a study, and which slices of it to take.
    settings
        Of the training.
    """

    def __init__(
        self, examples: Examples, rows: np.ndarray, settings: SegmentationSettings
    ) -> None:
        self._examples, self._settings = examples, settings
        held = np.array([row in examples.masks for row in rows], bool)
        without = rows[examples.codes[rows] < 0]
        if not len(without):  # every class has lesions: any slice may get another's
            without = rows
        self._with, self._without = _Drawn(rows[held], examples), _Drawn(without, examples)
        self._lesions = int(examples.codes.max()) + 1
        self._bank = [
            lesion for row in self._with.rows for lesion in _pieces(examples, row, _LEAST_AREA)
        ]

    def draw(self, step: int) -> tuple[np.ndarray, np.ndarray]:
        """Draw the crops of a step: RGB uint8 (B, S, S, 3), and float32 cells (B, h, w, L)."""
        rng = np.random.default_rng([self._settings.seed, step])
        pairs = [self._one(rng) for _ in range(self._settings.batch_size)]
        crops, cells = (np.stack(arrays) for arrays in zip(*pairs, strict=True))
        return gray_to_rgb(crops), cells

    def _one(self, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        known = self._examples
        bears = len(self._with.rows) > 0 and rng.random() < _WITH_LESION
        row = (self._with if bears else self._without).draw(rng)
        choice = np.arange(known.crops.shape[1])
        if bears and rng.random() < _ON_LESION:
            (choice,) = np.nonzero(known.masks[row].any(axis=(1, 2)))
        number = int(rng.choice(choice))
        crop = known.crops[row, number].copy()
        masks = np.zeros((*crop.shape, self._lesions), np.uint8)
        if row in known.masks:
            masks[..., known.codes[row]] = known.masks[row][number]
        elif self._bank and rng.random() < _PASTED:
            for _ in range(rng.integers(1, _MOST_PASTED, endpoint=True)):
                _paste(crop, masks, self._bank, rng)
        change = augmentation.draw(rng, self._settings.augmentation)
        moved = [augmentation.moved(mask, change, 0) for mask in masks.transpose(2, 0, 1)]
        shares = np.stack([_cells(mask) for mask in moved], axis=-1)
        return augmentation.apply(crop, change, rng), (shares > _COVERED).astype(np.float32)


class _Drawn:
    """Slices to draw from; a group of n of them weighs as the root of n."""

    def __init__(self, rows: np.ndarray, examples: Examples) -> None:
        _, code, sizes = np.unique(examples.group[rows], return_inverse=True, return_counts=True)
        weights = sizes[code] ** -0.5
        self.rows, self._shares = rows, weights / weights.sum()

    def draw(self, rng: np.random.Generator) -> int:
        """Draw a row."""
        return int(rng.choice(self.rows, p=self._shares))


def _pieces(examples: Examples, row: int, least: int) -> list[tuple]:
    """Lesions of a slice apart: gray levels, alpha (0 to 1), output and place (x, y) of each."""
    found = []
    for crop, mask in zip(examples.crops[row], examples.masks[row], strict=True):
        inside = (mask >= 128).astype(np.uint8)
        count, labels, stats, centres = cv2.connectedComponentsWithStats(inside)
        for piece in range(1, count):
            x, y, width, height, area = stats[piece]
            if area >= least:
                part = np.s_[max(y - 2, 0) : y + height + 2, max(x - 2, 0) : x + width + 2]
                alpha = cv2.GaussianBlur((labels[part] == piece).astype(np.float32), (0, 0), 0.8)
                found.append((crop[part], alpha, int(examples.codes[row]), tuple(centres[piece])))
    return found


def _paste(
    crop: np.ndarray, masks: np.ndarray, bank: Sequence[tuple], rng: np.random.Generator
) -> None:
    """Paste one lesion, turned and scaled, near where another lies, in place; or not at all."""
    gray, alpha, output, _ = bank[int(rng.integers(len(bank)))]
    turns, scale = int(rng.integers(4)), float(rng.uniform(0.5, 1.6))
    gray, alpha = (
        cv2.resize(np.ascontiguousarray(np.rot90(one, turns)), None, fx=scale, fy=scale)
        for one in (gray, alpha)
    )
    height, width = alpha.shape
    side = len(crop)
    for _ in range(10):
        x, y = bank[int(rng.integers(len(bank)))][3] + rng.normal(0, _APART * side, 2)
        left, top = int(x - width / 2), int(y - height / 2)
        if min(left, top) < 0 or left + width > side or top + height > side:
            continue
        there = np.s_[top : top + height, left : left + width]
        if _TISSUE[0] < np.median(crop[there]) < _TISSUE[1]:
            blend = crop[there] + alpha * (gray.astype(np.float32) - crop[there])
            crop[there] = blend.round().clip(0, 255).astype(np.uint8)
            own = masks[(*there, output)]
            np.maximum(own, (255 * alpha).astype(np.uint8), out=own)
            return


def _cells(mask: np.ndarray) -> np.ndarray:
    """Share of each cell that is lesion, float32 (S / 4, S / 4), of a mask uint8 (S, S)."""
    side = len(mask) // segmentation.CELL
    return cv2.resize(mask.astype(np.float32) / 255, (side, side), interpolation=cv2.INTER_AREA)

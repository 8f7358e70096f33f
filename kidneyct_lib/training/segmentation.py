"""Training of the U-Nets that mark lesions in the crops of a slice, from masks of these lesions.

Slices of one class come from few series, so a network that is shown these alone learns the series.
Lesions are therefore pasted into slices of the other classes, too (Ghiasi et al. 2021, arXiv
2012.07177): what a pasted stone and one in place have in common is the stone.
"""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import cv2
import keras
import numpy as np
import pandas as pd
from sklearn.model_selection import StratifiedGroupKFold
from tqdm import tqdm

from kidneyct_lib.core.errors import StudyError
from kidneyct_lib.core.files import replacement
from kidneyct_lib.data import augmentation, datasets
from kidneyct_lib.data.augmentation import Augmentation
from kidneyct_lib.data.image_io import gray_to_rgb
from kidneyct_lib.models import builder, freezing, roi_crops, segmentation
from kidneyct_lib.models.harmonization import SOFT
from kidneyct_lib.training.stage import Rows

ops = keras.ops

_WITH_LESION = 0.4  # of the crops of a step: from slices with a mask
_ON_LESION = 0.7  # of these: of a crop that the lesion lies in, whichever crop it is otherwise
_PASTED = 0.4  # of the others: lesions are pasted into them
_MOST_PASTED = 3  # lesions in one crop
_LEAST_AREA = 6  # pixels of a lesion that is pasted
# Median gray level where one is pasted: neither fat nor bone.
_TISSUE = (0.55 * SOFT, 1.6 * SOFT)
_APART = 14 / 224  # of a crop's side: spread of pasted lesions about where others lie
_COVERED = 0.3  # of a cell, from which on it counts as lesion
_HEAVIER = 4.0  # weight of a cell with a lesion
_PER_SLICE = 20.0  # cells that weigh as much as the question whether there is a lesion at all
_RATE, _DECAY = 2e-3, 1e-3  # learning rate, which falls to 0 along a cosine; weight decay


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


class LesionScores:
    """Both U-Nets of a network, trained on one split after the other.

    Parameters
    ----------
    net
        With the U-Nets of `segmentation.HALVES`; holds the weights of the last training.
    examples
        Of all slices.
    settings
        How each trains.
    """

    def __init__(
        self, net: keras.Model, examples: Examples, settings: SegmentationSettings
    ) -> None:
        self._halves = [net.get_layer(name) for name in segmentation.HALVES]
        self._initial = [half.get_weights() for half in self._halves]
        self._examples, self._settings = examples, settings
        self._models = [_scoring(half) for half in self._halves]
        # Of the same layers: how a part is compiled would be saved with the whole network.
        self._trained = [keras.Model(half.inputs[0], half.outputs[0]) for half in self._halves]

    def train(self, rows: np.ndarray, labels: np.ndarray, checkpoint: Path) -> np.ndarray:
        """Train both U-Nets, each on half of the groups of some slices, and score all slices.

        Parameters
        ----------
        rows
            bool (N,): the slices to train on, of two groups of each class at least.
        labels
            Class of each slice, (N,): both halves get some of each.
        checkpoint
            Beginning of the names of the files that keep what is trained; trained again from the
            same, it is read from there.

        Returns
        -------
        float32 (N, L): of the slices trained on, the score by the U-Net that has not seen their
        group; of all others the mean of both.
        """
        (trained,) = np.nonzero(rows)
        halves = StratifiedGroupKFold(2, shuffle=True, random_state=self._settings.seed)
        scores = np.empty((len(rows), self._halves[0].output.shape[-1]), np.float32)
        parts = halves.split(trained, labels[trained], self._examples.group[trained])
        for number, (learn, held) in enumerate(parts):
            file = Path(f"{checkpoint}-{segmentation.HALVES[number]}.npz")
            self._train_half(number, trained[learn], file)
            scores[trained[held]] = self._score(number, self._examples.crops, trained[held])
        others = np.flatnonzero(~rows)
        scores[others] = self.of(self._examples.crops, others)
        return scores

    def of(self, crops: Rows, rows: np.ndarray) -> np.ndarray:
        """Mean score of both U-Nets as they are now for some rows of crops: float32 (M, L)."""
        both = [self._score(number, crops, rows) for number in range(len(self._halves))]
        return np.mean(both, axis=0)

    def _score(self, number: int, crops: Rows, rows: np.ndarray) -> np.ndarray:
        parts = [np.empty((0, self._halves[number].output.shape[-1]), np.float32)]
        for some in np.split(rows, range(32, len(rows), 32)) if len(rows) else ():
            shown = crops[some]
            pixels = gray_to_rgb(shown.reshape(-1, *shown.shape[2:]))
            highest = self._models[number].predict_on_batch(pixels)
            parts.append(highest.reshape(len(some), shown.shape[1], -1).max(axis=1))
        return np.concatenate(parts)

    def _train_half(self, number: int, rows: np.ndarray, file: Path) -> None:
        half = self._halves[number]
        half.set_weights(self._initial[number])
        identity = self._identity(half, rows)
        kept = _kept(file, identity, half.get_weights())
        if kept is not None:
            half.set_weights(kept)
            return
        steps, model = self._settings.steps, self._trained[number]
        half.trainable = True  # as part of a frozen network it may not train
        if not model.compiled:
            rate = keras.optimizers.schedules.CosineDecay(_RATE, steps)
            adam = keras.optimizers.AdamW(rate, weight_decay=_DECAY, global_clipnorm=1.0)
            model.compile(adam, loss=lesion_loss)
            adam.build(model.trainable_variables)
        for variable in model.optimizer.variables:
            variable.assign(ops.zeros_like(variable))
        batches = Batches(self._examples, rows, self._settings)
        for step in tqdm(range(steps), desc="U-Net", unit="step", leave=False):
            loss = model.train_on_batch(*batches.draw(step))
            if not np.isfinite(loss):
                raise StudyError(f"The U-Net's loss is no longer a number in step {step + 1}.")
        weights = {f"w{i}": value for i, value in enumerate(half.get_weights())}
        with replacement(file) as temporary:
            np.savez(temporary, allow_pickle=False, identity=np.array(identity), **weights)

    def _identity(self, half: keras.Model, rows: np.ndarray) -> str:
        """sha256 of all that a training depends on, this code included."""
        known = self._examples
        sha = hashlib.sha256(builder.digest(half).encode() + Path(__file__).read_bytes())
        sha.update(json.dumps(asdict(self._settings)).encode())
        for array in (rows, known.codes[rows], known.group[rows]):
            sha.update(np.ascontiguousarray(array).data)
        for row in rows.tolist():
            sha.update(np.ascontiguousarray(known.crops[row]).data)
            sha.update(known.masks[row].data if row in known.masks else b"")
        return sha.hexdigest()


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
        self._with, self._without = rows[held], rows[examples.codes[rows] < 0]
        if not len(self._without):  # every class has lesions: any slice may get another's
            self._without = rows
        self._lesions = int(examples.codes.max()) + 1
        self._bank = [
            lesion for row in self._with for lesion in _pieces(examples, row, _LEAST_AREA)
        ]

    def draw(self, step: int) -> tuple[np.ndarray, np.ndarray]:
        """Draw the crops of a step: RGB uint8 (B, S, S, 3), and float32 cells (B, h, w, L)."""
        rng = np.random.default_rng([self._settings.seed, step])
        pairs = [self._one(rng) for _ in range(self._settings.batch_size)]
        crops, cells = (np.stack(arrays) for arrays in zip(*pairs, strict=True))
        return gray_to_rgb(crops), cells

    def _one(self, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        known = self._examples
        bears = len(self._with) > 0 and rng.random() < _WITH_LESION
        row = self._choose(self._with if bears else self._without, rng)
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

    def _choose(self, rows: np.ndarray, rng: np.random.Generator) -> int:
        """One of the rows; a group of n of them weighs as the root of n."""
        _, code, sizes = np.unique(
            self._examples.group[rows], return_inverse=True, return_counts=True
        )
        weights = sizes[code] ** -0.5
        return int(rng.choice(rows, p=weights / weights.sum()))


def lesion_loss(cells, logits):
    """Loss of each crop (B,): of its cells, and of whether there is a lesion at all.

    Cells (B, h, w, L) of 0 and 1. Those with a lesion are few and weigh more, cells that are right
    already weigh less (focal loss, Lin et al. 2017, arXiv 1708.02002). The whole crop is judged by
    its highest place, as the softmax will be.
    """
    missed = ops.abs(cells - ops.sigmoid(logits))
    weights = missed * (1 + (_HEAVIER - 1) * cells)
    of_cells = ops.sum(weights * _cross_entropy(cells, logits), axis=(1, 2, 3))
    places = ops.average_pool(logits, 2, 1, padding="valid")
    there, highest = ops.max(cells, axis=(1, 2)), ops.max(places, axis=(1, 2))
    return of_cells / _PER_SLICE + ops.sum(_cross_entropy(there, highest), axis=-1)


def _cross_entropy(targets, logits):
    """Binary cross-entropy of logits, of the same shape."""
    return ops.softplus(logits) - targets * logits


def _scoring(half: keras.Model) -> keras.Model:
    """A U-Net to its highest place: crops (M, S, S, 3) to (M, L)."""
    places = keras.layers.AveragePooling2D(2, strides=1)(half.output)
    return keras.Model(half.inputs[0], keras.layers.GlobalMaxPooling2D()(places))


def _kept(file: Path, identity: str, like: Sequence[np.ndarray]) -> list[np.ndarray] | None:
    """Weights that a file keeps of the same training; None where it does not."""
    try:
        with np.load(file, allow_pickle=False) as arrays:
            weights = [arrays[f"w{i}"] for i in range(len(like))]
            same = str(arrays["identity"]) == identity
    except Exception:  # none yet, or damaged, which raises nearly anything: train anew
        return None
    fits = [value.shape for value in weights] == [value.shape for value in like]
    return weights if same and fits else None


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

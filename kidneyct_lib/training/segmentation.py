"""Training of the U-Nets that mark lesions in the crops of a slice, each on half of the groups."""

import hashlib
import json
from dataclasses import asdict
from pathlib import Path

import keras
import numpy as np
from sklearn.model_selection import StratifiedGroupKFold

from kidneyct_lib.core import progress
from kidneyct_lib.core.ahead import one_ahead
from kidneyct_lib.core.errors import StudyError
from kidneyct_lib.data import augmentation
from kidneyct_lib.data.image_io import gray_to_rgb
from kidneyct_lib.models import builder, segmentation
from kidneyct_lib.training import checkpoints, lesion_crops
from kidneyct_lib.training.lesion_crops import Batches, Examples, SegmentationSettings
from kidneyct_lib.training.stage import Rows

ops = keras.ops

_HEAVIER = 4.0  # weight of a cell with a lesion
_PER_SLICE = 20.0  # cells that weigh as much as the question whether there is a lesion at all
_RATE, _DECAY = 2e-3, 1e-3  # learning rate, which falls to 0 along a cosine; weight decay


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
        crops = examples.crops.shape[1]
        self._models = [segmentation.scoring(half, crops) for half in self._halves]
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
            parts.append(self._models[number].predict_on_batch(pixels))
        return np.concatenate(parts)

    def _train_half(self, number: int, rows: np.ndarray, file: Path) -> None:
        half = self._halves[number]
        half.set_weights(self._initial[number])
        identity = self._identity(half, rows)
        _, parts = checkpoints.load(file, identity)
        if checkpoints.fit(parts.get("weights", []), half.weights):
            half.set_weights(parts["weights"])
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
        with progress.bar(total=steps, desc="U-Net", unit="step", leave=False) as bar:
            for step, batch in enumerate(one_ahead(batches.draw, range(steps)), 1):
                progress.stop_if_unwanted()
                if not np.isfinite(model.train_on_batch(*batch)):
                    raise StudyError(f"The U-Net's loss is no longer a number in step {step}.")
                bar.update()
        checkpoints.save(file, identity, {}, {"weights": half.get_weights()})

    def _identity(self, half: keras.Model, rows: np.ndarray) -> str:
        """sha256 of all that a training depends on, this code included."""
        known = self._examples
        sha = hashlib.sha256(builder.digest(half).encode())
        for source in (__file__, lesion_crops.__file__, augmentation.__file__):
            sha.update(Path(source).read_bytes())
        sha.update(json.dumps(asdict(self._settings)).encode())
        for array in (rows, known.codes[rows], known.group[rows]):
            sha.update(np.ascontiguousarray(array).data)
        for row in rows.tolist():
            sha.update(np.ascontiguousarray(known.crops[row]).data)
            sha.update(known.masks[row].data if row in known.masks else b"")
        return sha.hexdigest()


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

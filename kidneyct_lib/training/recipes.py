"""Both recipes in two stages, on activations that are computed once for all their uses.

Where the patient recipe learns from masks of lesions, its U-Nets train before stage 1.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import keras
import numpy as np
import pandas as pd

from kidneyct_lib.data.augmentation import AugmentedImages
from kidneyct_lib.models import builder, freezing, linear_head
from kidneyct_lib.models.backbones import BackboneSettings
from kidneyct_lib.training import feature_cache, lesion_crops
from kidneyct_lib.training.feature_cache import Activations, Storage
from kidneyct_lib.training.segmentation import LesionScores
from kidneyct_lib.training.stage import Rows, StageSettings, predict, train_stage


class Stage(NamedTuple):
    """Outcome of one stage.

    Attributes
    ----------
    history : pandas.DataFrame
        One row per epoch, from `stage.train_stage`.
    probabilities : float array (held out, K)
        Class probabilities of the validation and test images, in the catalog's order, at the best
        epoch.
    """

    history: pd.DataFrame
    probabilities: np.ndarray


def frozen_prefix(
    net: keras.Model,
    images: np.ndarray | AugmentedImages,
    storage: Storage,
    *,
    unfreeze_layers: int,
) -> Activations:
    """Activations of the longest prefix that stays frozen in stage 2, of gray images uint8.

    float16, or float32 where all of the backbone stays frozen, which is pooled then: that is as far
    as the frozen layers reach where U-Nets score lesions beside them. The arguments are those of
    `frozen_body`.
    """
    freezing.unfreeze_last(net, unfreeze_layers)
    beside = any(layer.name == builder.CHANNELS for layer in net.layers)
    cut = builder.CHANNELS if beside else freezing.frozen_cut(net)
    dtype = "float32" if cut in (builder.POOL, builder.CHANNELS) else "float16"
    return feature_cache.of_layer(net, cut, images, storage, dtype=dtype)


def frozen_body(
    net: keras.Model,
    images: np.ndarray | AugmentedImages,
    storage: Storage,
    *,
    unfreeze_layers: int,
) -> dict[int, Rows]:
    """Activations that each stage trains on, of gray images uint8 (N, S, S), stored or computed.

    Stage 1 has the pooled output of the whole frozen backbone (float32), stage 2 that of
    `frozen_prefix`, which may be the same; 0 are the crops that the network's U-Nets look at, uint8
    (N, R, S, S), if it has any. A stage that trains on `AugmentedImages` sees their
    views, as `stage.train_stage` tells. `storage` is of each of both stores.
    """
    prefix = frozen_prefix(net, images, storage, unfreeze_layers=unfreeze_layers)
    if prefix.layer == builder.CHANNELS:
        pixels = images.images if isinstance(images, AugmentedImages) else images
        crops = lesion_crops.crops_of(net, pixels, batch=storage.batch)
        return {0: crops, 1: prefix, 2: prefix}
    if prefix.layer == builder.POOL:
        return {1: prefix, 2: prefix}
    return {1: feature_cache.of_layer(net, builder.POOL, prefix, storage), 2: prefix}


def as_shown(
    settings: BackboneSettings, images: np.ndarray | AugmentedImages, storage: Storage
) -> Activations:
    """Pooled channels that the patient recipe is fitted to as well: of slices in their own windows.

    Parameters
    ----------
    settings
        The network's.
    images, storage
        As in `frozen_body`.
    """
    net = builder.region_features(builder.PATIENT_FEATURES, settings, harmonize=False)
    return feature_cache.of_layer(net, builder.POOL, images, storage)


class TwoStageTraining:
    """The published recipe on one network, trained on as many splits as are wanted.

    The network is built and each stage traced once; every split starts from the initial weights.

    Parameters
    ----------
    net : keras.Model
        As built by `builder.build`; holds the weights of the last trained stage afterwards.
    body : mapping of int to rows
        `frozen_body` of an equal network; its views, if any, serve training alone.
    unfreeze_layers : int
        Layers of the backbone, counted from its end, that stage 2 trains; stage 1 trains none.
    settings : mapping of int to StageSettings
        How each stage trains: both, or stage 1 alone.
    """

    def __init__(
        self,
        net: keras.Model,
        body: Mapping[int, Activations],
        *,
        unfreeze_layers: int,
        settings: Mapping[int, StageSettings],
    ) -> None:
        self.net = net
        self._initial = net.get_weights()
        self._inputs = body
        self._layers = {1: 0, 2: unfreeze_layers}
        self._settings = settings
        self._models = {
            stage: freezing.part(net, self._inputs[stage].layer, None) for stage in settings
        }

    def train(
        self, targets: np.ndarray, weights: np.ndarray, split: np.ndarray, checkpoints: Path
    ) -> Iterator[tuple[int, Stage]]:
        """Train the stages in turn on one split, from the initial weights.

        Gives each stage's number and outcome as it is done; the network holds its weights then.

        Parameters
        ----------
        targets, weights
            As in `stage.train_stage`.
        split : str array (N,)
            "train", "validation" or "test"; the last two are predicted.
        checkpoints : Path
            Beginning of the file names of the stages' states.
        """
        self.net.set_weights(self._initial)
        held_out = np.flatnonzero(split != "train")
        for stage, settings in self._settings.items():
            freezing.unfreeze_last(self.net, self._layers[stage])
            model, inputs = self._models[stage], self._inputs[stage]
            history = train_stage(
                model,
                inputs,
                targets,
                weights,
                train=np.flatnonzero(split == "train"),
                validation=np.flatnonzero(split == "validation"),
                settings=settings,
                checkpoint=Path(f"{checkpoints}-stage{stage}.npz"),
            )
            yield stage, Stage(history, predict(model, inputs, held_out))

    def predict(self, stage: int, body: Mapping[int, Activations], rows: np.ndarray) -> np.ndarray:
        """Class probabilities (len(rows), K) of other images by the network as it is now.

        Parameters
        ----------
        stage : int
            Which one it holds the weights of.
        body : mapping of int to Activations
            `frozen_body` of the other images by an equal network.
        rows : int array
            Which of the images.
        """
        return predict(self._models[stage], body[stage], rows)


class LinearTraining:
    """The patient recipe on one network, fitted on as many splits as are wanted.

    A softmax on frozen features, fitted twice: stage 1 to the training slices, stage 2 to those and
    the validation slices. In stage 2 the validation slices keep the predictions of stage 1, which
    has not seen them, so that what is calibrated on them is not optimistic.

    Parameters
    ----------
    net : keras.Model
        As built by `builder.build`; holds the weights of the last fitted stage afterwards.
    body : mapping of int to rows
        `frozen_body` of an equal network; its views, if any, serve training alone.
    classes : sequence of str
        The study's classes.
    c : float
        Inverse strength of the penalty, as in `linear_head.fit`.
    also : sequence of Activations
        The same images seen in other ways, as by `as_shown`, for training alone.
    lesions : LesionScores, optional
        The network's U-Nets, which train before stage 1, on all slices but the tested ones.
    """

    def __init__(
        self,
        net: keras.Model,
        body: Mapping[int, Rows],
        *,
        classes: Sequence[str],
        c: float,
        also: Sequence[Activations] = (),
        lesions: LesionScores | None = None,
    ) -> None:
        self.net = net
        self._features = np.concatenate([one[np.arange(len(one))] for one in (body[1], *also)])
        self._classes, self._c, self._lesions = classes, c, lesions
        self._scored: tuple[Rows, np.ndarray, np.ndarray] | None = None

    def train(
        self, targets: np.ndarray, weights: np.ndarray, split: np.ndarray, checkpoints: Path
    ) -> Iterator[tuple[int, Stage]]:
        """Fit both stages on one split, as `TwoStageTraining.train` does.

        `checkpoints` keeps the U-Nets alone: a fit takes seconds.
        """
        sets, own = len(self._features) // len(targets), np.arange(len(targets))
        features, held, strong = self._features, split == "validation", 0
        self._scored = None
        if self._lesions is not None:
            scores = self._lesions.train(split != "test", targets, checkpoints)
            features, strong = np.hstack([features, np.tile(scores, (sets, 1))]), scores.shape[1]
        for stage, used in {1: split == "train", 2: split != "test"}.items():
            rows = np.flatnonzero(np.tile(used, sets))
            images = rows % len(own)
            # An image weighs the same however often it is seen, so that the penalty does, too.
            samples = features[rows], targets[images], weights[images] / sets
            head = linear_head.fit(*samples, classes=self._classes, c=self._c, strong=strong)
            self._head = head
            self.net.get_layer(builder.PROBABILITIES).set_weights(list(head))
            predictions = head.probabilities(features[own])
            if stage == 1:
                first = predictions[held]
            predictions[held] = first
            history = _history(predictions, targets, weights, split)
            yield stage, Stage(history, predictions[split != "train"])

    def predict(self, stage: int, body: Mapping[int, Rows], rows: np.ndarray) -> np.ndarray:
        """Class probabilities of other images, as `TwoStageTraining.predict` gives them."""
        features = body[1][rows]
        if self._lesions is not None:
            features = np.hstack([features, self._scores(self._lesions, body[0], rows)])
        return self._head.probabilities(features)

    def _scores(self, lesions: LesionScores, crops: Rows, rows: np.ndarray) -> np.ndarray:
        """Scores of these crops, kept for the other stage, which has the same U-Nets."""
        last = self._scored
        if last is None or last[0] is not crops or not np.array_equal(last[1], rows):
            last = self._scored = crops, rows, lesions.of(crops, rows)
        return last[2]


def _history(
    predictions: np.ndarray, targets: np.ndarray, weights: np.ndarray, split: np.ndarray
) -> pd.DataFrame:
    """One row in the form of `stage.train_stage`'s history."""
    train, validation = split == "train", split == "validation"
    loss = -np.log(predictions[np.arange(len(targets)), targets].clip(1e-12))
    right = predictions.argmax(axis=1) == targets
    row = {"epoch": 1, "loss": np.average(loss[train], weights=weights[train])}
    row |= {"accuracy": right[train].mean(), "val_loss": loss[validation].mean()}
    return pd.DataFrame([row | {"val_accuracy": right[validation].mean(), "best": True}])


def training(
    recipe: str,
    net: keras.Model,
    body: Mapping[int, Activations],
    *,
    unfreeze_layers: int,
    settings: Mapping[int, StageSettings],
    classes: Sequence[str],
    c: float,
    also: Sequence[Activations] = (),
    lesions: LesionScores | None = None,
) -> TwoStageTraining | LinearTraining:
    """Training of the recipe "published" or "patient"; each takes what it needs."""
    if recipe == "patient":
        return LinearTraining(net, body, classes=classes, c=c, also=also, lesions=lesions)
    return TwoStageTraining(net, body, unfreeze_layers=unfreeze_layers, settings=settings)

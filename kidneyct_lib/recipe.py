"""The published two-stage recipe, on activations that are computed once for all its uses."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import keras
import numpy as np
import pandas as pd

from kidneyct_lib import activations, network
from kidneyct_lib.activations import Activations
from kidneyct_lib.augmentation import AugmentedImages
from kidneyct_lib.training import StageSettings, predict, train_stage


@dataclass(frozen=True)
class FrozenBody:
    """What the frozen layers say of every image, and of its views where it has any.

    Attributes
    ----------
    prefix : Activations
        Output of the longest prefix that stays frozen in stage 2 (float16).
    pooled : Activations
        Pooled output of the whole frozen backbone, the features of stage 1 (float32).
    """

    prefix: Activations
    pooled: Activations


class Stage(NamedTuple):
    """Outcome of one stage.

    Attributes
    ----------
    history : pandas.DataFrame
        One row an epoch, from `training.train_stage`.
    probabilities : float array (N, K)
        Class probabilities of every image, in the catalog's order, at the best epoch.
    """

    history: pd.DataFrame
    probabilities: np.ndarray


def frozen_body(
    net: keras.Model,
    images: np.ndarray | AugmentedImages,
    *,
    unfreeze_layers: int,
    cache: Path,
    batch: int,
    most_gb: float | None = None,
) -> FrozenBody:
    """Activations of both stages for gray images uint8 (N, S, S), computed where not yet stored.

    A stage that trains on `AugmentedImages` sees their views, as `training.train_stage` tells.
    `cache`, `batch` and `most_gb` (of each of both stores) as in `activations.of_images`.
    """
    network.unfreeze_last(net, unfreeze_layers)
    options = {"cache": cache, "batch": batch, "most_gb": most_gb}
    prefix = activations.of_images(net, network.frozen_cut(net), images, dtype="float16", **options)
    pooled = activations.of_activations(net, network.POOL, prefix, dtype="float32", **options)
    return FrozenBody(prefix, pooled)


class TwoStageTraining:
    """The published recipe on one network, trained on as many splits as are wanted.

    The network is built and each stage traced once; every split starts from the initial weights.

    Parameters
    ----------
    net : keras.Model
        As built by `network.build`; holds the weights of the last trained stage afterwards.
    body : FrozenBody
        Activations of an equal network; their views, if any, serve training alone.
    unfreeze_layers : int
        Layers of the backbone, counted from its end, that stage 2 trains; stage 1 trains none.
    settings : mapping of int to StageSettings
        How each stage trains: both, or stage 1 alone.
    """

    def __init__(
        self,
        net: keras.Model,
        body: FrozenBody,
        *,
        unfreeze_layers: int,
        settings: Mapping[int, StageSettings],
    ) -> None:
        self.net = net
        self._initial = net.get_weights()
        self._inputs = {1: body.pooled, 2: body.prefix}
        self._layers = {1: 0, 2: unfreeze_layers}
        self._settings = settings
        self._models = {
            stage: network.part(net, self._inputs[stage].layer, None) for stage in settings
        }

    def train(
        self, targets: np.ndarray, weights: np.ndarray, split: np.ndarray, checkpoints: Path
    ) -> Iterator[tuple[int, Stage]]:
        """Train the stages in turn on one split, from the initial weights.

        Gives each stage's number and outcome as it is done; the network holds its weights then.

        Parameters
        ----------
        targets : int array (N,)
            Index of the true class.
        weights : float array (N,)
            Weight of each image in the training loss.
        split : str array (N,)
            "train", "validation" or "test"; the test part is only predicted.
        checkpoints : Path
            Beginning of the file names of the stages' states.
        """
        self.net.set_weights(self._initial)
        for stage in self._settings:
            checkpoint = Path(f"{checkpoints}-stage{stage}.npz")
            yield stage, self.run_stage(stage, targets, weights, split, checkpoint)

    def run_stage(
        self,
        stage: int,
        targets: np.ndarray,
        weights: np.ndarray,
        split: np.ndarray,
        checkpoint: Path,
    ) -> Stage:
        """Train one stage, going on from the network's present weights; predict every image."""
        network.unfreeze_last(self.net, self._layers[stage])
        model, inputs = self._models[stage], self._inputs[stage]
        history = train_stage(
            model,
            inputs,
            targets,
            weights,
            train=np.flatnonzero(split == "train"),
            validation=np.flatnonzero(split == "validation"),
            settings=self._settings[stage],
            checkpoint=checkpoint,
        )
        return Stage(history, predict(model, inputs, np.arange(len(targets))))

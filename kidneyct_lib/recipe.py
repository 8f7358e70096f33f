"""The published two-stage recipe, on activations that are computed once for all its uses."""

from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import keras
import numpy as np
import pandas as pd

from kidneyct_lib import activations, network
from kidneyct_lib.activations import Activations
from kidneyct_lib.training import StageSettings, predict, train_stage


@dataclass(frozen=True)
class FrozenBody:
    """What the frozen layers say of every image.

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
    images: np.ndarray,
    *,
    unfreeze_layers: int,
    cache: Path,
    batch: int,
    most_gb: float | None = None,
) -> FrozenBody:
    """Activations of both stages for gray images uint8 (N, S, S), computed where not yet stored.

    `cache`, `batch` and `most_gb` (of each of both stores) as in `activations.of_images`.
    """
    network.unfreeze_last(net, unfreeze_layers)
    options = {"cache": cache, "batch": batch, "most_gb": most_gb}
    prefix = activations.of_images(net, network.frozen_cut(net), images, dtype="float16", **options)
    pooled = activations.of_activations(net, network.POOL, prefix, dtype="float32", **options)
    return FrozenBody(prefix, pooled)


def run_stage(
    net: keras.Model,
    inputs: Activations,
    targets: np.ndarray,
    weights: np.ndarray,
    split: np.ndarray,
    *,
    unfreeze_layers: int,
    settings: StageSettings,
    checkpoint: Path,
) -> Stage:
    """Train the head and the last layers of the backbone, then predict every image.

    Stage 1 of the published recipe unfreezes no layer and sees `FrozenBody.pooled`; stage 2 goes
    on with the same network, unfreezes the last 50 and sees `FrozenBody.prefix`.

    Parameters
    ----------
    net : keras.Model
        As built by `network.build`; holds the weights of the best epoch afterwards.
    inputs : Activations
        Stored output of a frozen layer of an equal network.
    targets : int array (N,)
        Index of the true class.
    weights : float array (N,)
        Weight of each image in the training loss.
    split : str array (N,)
        "train", "validation" or "test"; the test part is only predicted.
    unfreeze_layers : int
        Layers of the backbone to train, counted from its end.
    settings : StageSettings
        How to train.
    checkpoint : Path
        File of the stage's state.
    """
    network.unfreeze_last(net, unfreeze_layers)
    model = network.part(net, inputs.layer, None)
    parts = {name: np.flatnonzero(split == name) for name in ("train", "validation")}
    history = train_stage(
        model, inputs, targets, weights, **parts, settings=settings, checkpoint=checkpoint
    )
    return Stage(history, predict(model, inputs, np.arange(len(targets))))

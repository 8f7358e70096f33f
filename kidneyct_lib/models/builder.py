"""The networks of both recipes, built from a study's parameters; saved ones, loaded again."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from kidneyct_lib.core.errors import StudyError
from kidneyct_lib.data.image_io import gray_to_rgb
from kidneyct_lib.models import segmentation
from kidneyct_lib.models.backbones import BACKBONES, BackboneSettings, build_body
from kidneyct_lib.models.harmonization import HarmonizeWindow
from kidneyct_lib.models.keras_setup import keras
from kidneyct_lib.models.roi_crops import CROPS, REGIONS, JoinRegions, RoiCrops

POOL = "pool"
"""Name of the layer of pooled features, the head's input."""

CHANNELS = "channels"
"""Name of the layer of pooled channels where `POOL` holds scores of lesions beside them."""

PROBABILITIES = "probabilities"
"""Name of the output layer."""

_POOLS = {"mean": keras.layers.GlobalAveragePooling2D, "max": keras.layers.GlobalMaxPooling2D}
PATIENT_FEATURES = {
    ("conv4_block6_out", "max"): ["flanks"],
    ("conv5_block3_out", "mean"): ["flanks"],
}
"""Layers whose channels the patient recipe pools over the image, how, and of which regions."""


@dataclass(frozen=True)
class NetworkSettings(BackboneSettings):
    """What the network of a recipe is built from.

    Attributes
    ----------
    recipe : {"published", "patient"}
        Which of the two.
    classes : sequence of str
        One output each, in this order.
    head_units : int
        Width of the published head's hidden layer.
    dropout : float
        Dropout rate of the published head, 0 to 1.
    lesions : sequence of int
        Numbers of the classes whose lesions U-Nets of the patient recipe mark (`segmentation`).
    """

    recipe: str
    classes: Sequence[str]
    head_units: int
    dropout: float
    lesions: Sequence[int] = ()


def build(settings: NetworkSettings) -> keras.Model:
    """Build the network of a recipe, one flat graph on raw RGB pixels.

    The published one is backbone, GAP, Dense ReLU, Dropout, Dense softmax. The patient recipe's is
    a softmax straight on `PATIENT_FEATURES` of slices shown in one display window: it has few
    weights to learn patients with, and hardly sees in which window a series was exported
    (`recipes.LinearTraining` fits it). With `lesions`, what U-Nets score is among its features.
    BatchNorm layers stay in inference mode: their statistics never move, whatever is unfrozen
    (https://keras.io/guides/transfer_learning).

    Returns
    -------
    keras.Model
        (N, image_size, image_size, 3) in 0..255 to (N, len(classes)) probabilities.

    Raises
    ------
    WeightsError
        If ImageNet weights can be had in none of the three ways.
    """
    if settings.recipe == "patient":
        name = CHANNELS if settings.lesions else POOL
        features = region_features(PATIENT_FEATURES, settings, harmonize=True, name=name)
        image, x = features.input, features.output
        if settings.lesions:
            crops = features.get_layer("roi_crops")
            shape = settings.crop_size, settings.lesions
            scores = segmentation.scores_of_crops(crops.output, *shape, number=len(crops.names))
            x = keras.layers.Concatenate(name=POOL)([x, scores])
    else:
        body = build_body(settings)
        image = body.input
        x = keras.layers.GlobalAveragePooling2D(name=POOL)(body.output)
        x = keras.layers.Dense(settings.head_units, activation="relu", name="head_dense")(x)
        x = keras.layers.Dropout(settings.dropout, seed=settings.seed, name="head_dropout")(x)
    x = keras.layers.Dense(len(settings.classes), activation="softmax", name=PROBABILITIES)(x)
    return keras.Model(image, x, name=settings.backbone)


def region_features(
    kept: Mapping[tuple[str, str], Sequence[str]],
    settings: BackboneSettings,
    *,
    harmonize: bool,
    name: str = POOL,
) -> keras.Model:
    """Build the part of a network that turns slices into pooled channels of their regions.

    Parameters
    ----------
    kept : mapping of (str, str) to sequence of str
        Layers of the backbone with "mean" or "max" over the image, and the regions (of
        `roi_crops.REGIONS`) of which that is kept.
    settings
        Of the backbone.
    harmonize
        Whether slices are brought to one display window first (`harmonization.HarmonizeWindow`).
    name
        Of the last layer.

    Returns
    -------
    keras.Model
        (N, image_size, image_size, 3) in 0..255 to (N, D): layer by layer, the kept regions side by
        side. `feature_columns` tells which is which.
    """
    used = {crop for regions in kept.values() for region in regions for crop in REGIONS[region]}
    crops = [name for name in CROPS if name in used]
    before = [HarmonizeWindow(name="harmonize_window")] if harmonize else []
    before.append(RoiCrops(crops, settings.crop_size, name="roi_crops"))
    body = build_body(settings, before)
    pooled = [
        _POOLS[how](name=f"{layer}_{how}")(body.get_layer(layer).output) for layer, how in kept
    ]
    numbers = [
        [[crops.index(crop) for crop in REGIONS[region]] for region in regions]
        for regions in kept.values()
    ]
    return keras.Model(body.input, JoinRegions(numbers, len(crops), name=name)(pooled))


def last_means(settings: BackboneSettings, *, region: str) -> keras.Model:
    """Build a backbone's channel means of its last feature map, over one region of a slice.

    Parameters
    ----------
    settings
        Of the backbone.
    region
        Of `roi_crops.REGIONS`.

    Returns
    -------
    keras.Model
        (N, image_size, image_size, 3) in 0..255 to (N, D).

    Raises
    ------
    WeightsError
        If ImageNet weights are asked for and can't be had.
    """
    kept = {(BACKBONES[settings.backbone].last, "mean"): [region]}
    return region_features(kept, settings, harmonize=False)


def feature_columns(
    features: keras.Model, kept: Mapping[tuple[str, str], Sequence[str]]
) -> dict[tuple[str, str, str], slice]:
    """Columns of each (layer, "mean" or "max", region) in the output of `region_features`."""
    columns, start = {}, 0
    for (layer, how), regions in kept.items():
        width = features.get_layer(layer).output.shape[-1]
        for region in regions:
            columns[layer, how, region] = slice(start, start + width)
            start += width
    return columns


def load(path: Path) -> keras.Model:
    """A saved network, for predicting.

    Raises
    ------
    StudyError
        If the file can't be read as one.
    """
    try:
        return keras.models.load_model(path, compile=False)
    except (ValueError, OSError, TypeError) as error:
        raise StudyError(f"{path} is no Keras model that can be read: {error}") from error


def predict_gray(model: keras.Model, images: np.ndarray, *, batch: int, label: str) -> Any:
    """Outputs of a model of RGB pixels for gray slices uint8 (N, S, S), `batch` at a time.

    `label` names the bar that shows the progress where there are several batches.
    """
    starts = range(0, len(images), batch)
    bar = tqdm(starts, desc=label, unit="batch", leave=False, disable=len(starts) == 1)
    parts = [model.predict_on_batch(gray_to_rgb(images[i : i + batch])) for i in bar]
    return keras.tree.map_structure(lambda *arrays: np.concatenate(arrays), *parts)


def crop_gray(
    images: np.ndarray, *, crop: str, size: int, batch: int, harmonize: bool = False
) -> np.ndarray:
    """Crop gray slices (N, H, W) in 0..255, as `roi_crops.CROPS` says: uint8 (N, size, size).

    With `harmonize` each is first brought to one display window.
    """
    pixels = keras.Input((*images.shape[1:], 3))
    given = HarmonizeWindow()(pixels) if harmonize else pixels
    shown = keras.Model(pixels, RoiCrops([crop], size)(given))
    cropped = predict_gray(shown, images, batch=batch, label="crops")
    return cropped[..., 0].round().astype(np.uint8)


def digest(model: keras.Model) -> str:
    """sha256 (hex) of a model's layers, settings and weights, whatever is trained or called how."""
    sha = hashlib.sha256()
    for layer in model.layers:
        if isinstance(layer, keras.Model):  # its settings name its layers and what of them trains
            sha.update(digest(layer).encode())
            continue
        settings = {k: v for k, v in layer.get_config().items() if k not in ("name", "trainable")}
        text = json.dumps(settings, sort_keys=True, default=str)
        sha.update(f"{type(layer).__name__}{layer.output.shape}{text}".encode())
        for value in layer.get_weights():
            sha.update(np.ascontiguousarray(value).data)
    return sha.hexdigest()

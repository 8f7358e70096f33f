"""Other architectures beside ResNet50, shown one region of a slice."""

import numpy as np

from kidneyct_lib.models.backbones import BACKBONES
from kidneyct_lib.models.builder import BackboneSettings, predict_gray, region_features
from kidneyct_lib.models.keras_setup import keras
from kidneyct_lib.models.roi_crops import RoiCrops


def features(name: str, *, region: str, image_size: int, crop_size: int, seed: int) -> keras.Model:
    """Build an architecture's channel means of its last feature map, over one region of a slice.

    Parameters
    ----------
    name
        Backbone and weights, as "densenet121-none": seeded random where they are none.
    region
        Of `roi_crops.REGIONS`.
    image_size, crop_size
        Sides of a slice and of a crop of it in pixels.
    seed
        Of random weights.

    Returns
    -------
    keras.Model
        (N, image_size, image_size, 3) in 0..255 to (N, D).

    Raises
    ------
    WeightsError
        If ImageNet weights are asked for and can't be had.
    """
    backbone, weights = name.split("-")
    kept = {(BACKBONES[backbone].last, "mean"): [region]}
    settings = BackboneSettings(backbone, weights, image_size, crop_size, seed)
    return region_features(kept, settings, harmonize=False)


def crops(images: np.ndarray, *, crop: str, size: int, batch: int) -> np.ndarray:
    """Crop gray slices (N, H, W) in 0..255, as `roi_crops.CROPS` says: uint8 (N, size, size)."""
    pixels = keras.Input((*images.shape[1:], 3))
    shown = keras.Model(pixels, RoiCrops([crop], size)(pixels))
    cropped = predict_gray(shown, images, batch=batch, label="crops")
    return cropped[..., 0].round().astype(np.uint8)

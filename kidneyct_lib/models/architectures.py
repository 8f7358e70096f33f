"""Other architectures beside ResNet50: features of one region, and what they cost."""

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils.class_weight import compute_sample_weight
from tqdm import tqdm

from kidneyct_lib.data.image_io import gray_to_rgb
from kidneyct_lib.models.backbones import BACKBONES
from kidneyct_lib.models.builder import BackboneSettings, region_features
from kidneyct_lib.models.keras_setup import keras
from kidneyct_lib.models.roi_crops import RoiCrops

SMALL_CNN = "small CNN"
_BLOCKS = (16, 32, 64, 128)  # channels; each block halves the picture


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
    return region_features(kept, settings)


def crops(images: np.ndarray, *, crop: str, size: int, batch: int) -> np.ndarray:
    """Crop gray slices (N, H, W) in 0..255, as `roi_crops.CROPS` says: uint8 (N, size, size)."""
    pixels = keras.Input((*images.shape[1:], 3))
    shown = keras.Model(pixels, RoiCrops([crop], size)(pixels))
    starts = tqdm(range(0, len(images), batch), desc="crops", unit="batch", leave=False)
    parts = [shown.predict_on_batch(gray_to_rgb(images[i : i + batch])) for i in starts]
    return np.concatenate(parts)[..., 0].round().astype(np.uint8)


def small_cnn(size: int, classes: int) -> keras.Model:
    """Build a network small enough to learn from a few thousand slices alone.

    Four blocks of convolution, batch normalisation, ReLU and max pooling, then the channel means,
    dropout and a softmax: about 100,000 weights.

    Parameters
    ----------
    size
        Side of the gray pictures in pixels, 16 or more.
    classes
        Number of outputs.

    Returns
    -------
    keras.Model
        (N, size, size, 1) in 0..255 to (N, classes) probabilities.
    """
    layers = [keras.Input((size, size, 1)), keras.layers.Rescaling(1 / 127.5, offset=-1)]
    for channels in _BLOCKS:
        layers += [
            keras.layers.Conv2D(channels, 3, padding="same", use_bias=False),
            keras.layers.BatchNormalization(momentum=0.9),  # a training has few steps
            keras.layers.ReLU(),
            keras.layers.MaxPooling2D(),
        ]
    layers += [keras.layers.GlobalAveragePooling2D(), keras.layers.Dropout(0.3)]
    return keras.Sequential([*layers, keras.layers.Dense(classes, activation="softmax")])


class SmallCNN(ClassifierMixin, BaseEstimator):
    """`small_cnn` as a scikit-learn classifier, every class weighing the same.

    Equal seeds give equal weights.

    Parameters
    ----------
    epochs
        Passes over the training pictures; no part of them is held back to choose by.
    batch_size, seed
        Pictures a step; seed of the weights, the order and dropout.
    """

    def __init__(self, *, epochs: int, batch_size: int = 32, seed: int = 0) -> None:
        self.epochs, self.batch_size, self.seed = epochs, batch_size, seed

    def fit(self, X: np.ndarray, y: np.ndarray) -> "SmallCNN":
        """Train from nothing on gray pictures (N, size, size) and their classes (N,)."""
        keras.utils.set_random_seed(self.seed)
        self.classes_, code = np.unique(y, return_inverse=True)
        self.network_ = small_cnn(X.shape[1], len(self.classes_))
        self.network_.compile(keras.optimizers.Adam(), "sparse_categorical_crossentropy")
        weights = compute_sample_weight("balanced", code)
        for _ in tqdm(range(self.epochs), desc=SMALL_CNN, unit="epoch", leave=False):
            self.network_.fit(
                X[..., None], code, sample_weight=weights, batch_size=self.batch_size, verbose=0
            )
        return self

    def predict_proba(self, X: np.ndarray) -> np.ndarray:
        """Class probabilities (N, K) of gray pictures, in the order of ``classes_``."""
        return self.network_.predict(X[..., None], batch_size=self.batch_size, verbose=0)


def costs(model: keras.Model) -> dict[str, float]:
    """Count what a model holds and computes.

    Returns
    -------
    dict with ``parameters`` and ``gflops``: billion floating-point operations a picture
    in its convolutions and dense layers, a multiplication and an addition counting as two.
    """
    operations = sum(2 * _multiplications(layer) for layer in model.layers)
    return {"parameters": model.count_params(), "gflops": operations / 1e9}


def _multiplications(layer: keras.layers.Layer) -> int:
    """Of one picture: every weight of a kernel is used once at each place of the output."""
    if isinstance(layer, keras.layers.DepthwiseConv2D | keras.layers.Conv2D):
        return int(np.prod(layer.kernel.shape)) * int(np.prod(layer.output.shape[1:3]))
    return int(np.prod(layer.kernel.shape)) if isinstance(layer, keras.layers.Dense) else 0

"""A network small enough to learn from a few thousand slices alone."""

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils.class_weight import compute_sample_weight
from tqdm import tqdm

from kidneyct_lib.models.keras_setup import keras, set_seed

SMALL_CNN = "small CNN"
_BLOCKS = (16, 32, 64, 128)  # channels; each block halves the image


def small_cnn(size: int, classes: int) -> keras.Model:
    """Build a network small enough to learn from a few thousand slices alone.

    Four blocks of convolution, batch normalisation, ReLU and max pooling, then the channel means,
    dropout and a softmax: about 100,000 weights.

    Parameters
    ----------
    size
        Side of the gray images in pixels, 16 or more.
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
        Passes over the training images; no part of them is held back to choose by.
    batch_size, seed
        Images per step; seed of the weights, the order and dropout.
    """

    def __init__(self, *, epochs: int, batch_size: int = 32, seed: int = 0) -> None:
        self.epochs, self.batch_size, self.seed = epochs, batch_size, seed

    def fit(self, X: np.ndarray, y: np.ndarray) -> "SmallCNN":
        """Train from nothing on gray images (N, size, size) and their classes (N,)."""
        set_seed(self.seed)
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
        """Class probabilities (N, K) of gray images, in the order of ``classes_``."""
        return self.network_.predict(X[..., None], batch_size=self.batch_size, verbose=0)

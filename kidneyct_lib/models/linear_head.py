"""A softmax straight on fixed features, fitted to its optimum: the same result at every run."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy.special import softmax
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

from kidneyct_lib.core.errors import StudyError

_MOST_ITERATIONS = 2000
_STRONG = 5.0  # factor of standardised features that are penalised less


class LinearHead(NamedTuple):
    """Weights of a dense softmax layer.

    Attributes
    ----------
    kernel
        float32 (D, K).
    bias
        float32 (K,).
    """

    kernel: np.ndarray
    bias: np.ndarray

    def probabilities(self, features: np.ndarray) -> np.ndarray:
        """Class probabilities float64 (N, K) of features (N, D), rows summing to 1."""
        return softmax(features.astype(np.float64) @ self.kernel + self.bias, axis=1)


def fit(
    features: np.ndarray,
    targets: np.ndarray,
    weights: np.ndarray,
    *,
    classes: Sequence[str],
    c: float,
    strong: int = 0,
) -> LinearHead:
    """Fit multinomial logistic regression with a ridge penalty on standardised features.

    The standardisation is part of the weights given back, so that they take features as they are.

    Parameters
    ----------
    features, targets, weights
        float (N, D); index of the true class, int (N,); weight of each row in the loss, float (N,).
    classes
        The study's classes, K.
    c
        Inverse strength of the penalty, above 0, as scikit-learn's.
    strong
        How many of the last features are penalised `_STRONG` squared times less: each of them
        stands for what a thousand others can't tell.

    Raises
    ------
    StudyError
        If a class has no row.
    """
    missing = [name for code, name in enumerate(classes) if not (targets == code).any()]
    if missing:
        raise StudyError(f"There is nothing to learn class {missing[0]!r} from.")
    scaler, regression = StandardScaler(), LogisticRegression(C=c, max_iter=_MOST_ITERATIONS)
    with threadpool_limits(1):  # the last digits would depend on the number of threads
        scaled = scaler.fit_transform(features)
        scale = scaler.scale_.copy()
        if strong:
            scaled[:, -strong:] *= _STRONG
            scale[-strong:] /= _STRONG
        regression.fit(scaled, targets, weights)
    coefficients, intercepts = regression.coef_, regression.intercept_
    if len(classes) == 2:  # scikit-learn keeps the second class's alone; the first one's are 0
        coefficients = np.vstack([np.zeros_like(coefficients), coefficients])
        intercepts = np.concatenate([[0.0], intercepts])
    kernel = (coefficients / scale).T
    bias = intercepts - scaler.mean_ @ kernel
    return LinearHead(kernel.astype(np.float32), bias.astype(np.float32))

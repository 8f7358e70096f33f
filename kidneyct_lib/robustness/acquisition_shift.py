"""The same slices as other places would store them, and what a model makes of each variant."""

from collections.abc import Callable, Mapping, Sequence
from io import BytesIO
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image

from kidneyct_lib.core.errors import StudyError
from kidneyct_lib.data.image_io import gray_to_rgb, read_gray, resize
from kidneyct_lib.evaluation.bootstrap import Bootstrap, flat_table
from kidneyct_lib.evaluation.metrics import summarise
from kidneyct_lib.evaluation.predictions import predictions_table

CAST = (1.0, 0.85, 0.65)
"""Gains of red, green and blue of a warm colour cast, as of a photographed screen."""


def _png(pixels: np.ndarray) -> bytes:
    file = BytesIO()
    Image.fromarray(pixels).save(file, format="PNG", compress_level=1)
    return file.getvalue()


def _rewindowed(gray: np.ndarray, contrast: float, shift: float) -> np.ndarray:
    """Gray values under another window: `contrast` > 1 is a narrower one, around mid-gray."""
    return np.rint((gray - 127.5) * contrast + 127.5 + shift).clip(0, 255).astype(np.uint8)


SHIFTS: dict[str, Callable[[np.ndarray], bytes]] = {
    "RGB, as published": lambda gray: _png(gray_to_rgb(gray)),
    "one channel": _png,
    "16 bit": lambda gray: _png(gray.astype(np.uint16) * 257),
    "colour cast": lambda gray: _png(np.rint(gray_to_rgb(gray) * CAST).astype(np.uint8)),
    "narrow window": lambda gray: _png(gray_to_rgb(_rewindowed(gray, 1.5, 0))),
    "wide window": lambda gray: _png(gray_to_rgb(_rewindowed(gray, 0.67, 0))),
    "shifted window": lambda gray: _png(gray_to_rgb(_rewindowed(gray, 1, 30))),
}
"""Name of each variant, and how it stores a gray image uint8 (H, W) as a PNG file."""


def with_gray_step(file: bytes) -> np.ndarray:
    """What the model gets with the OpenCV step: gray, then RGB; uint8 (H, W, 3)."""
    return gray_to_rgb(read_gray(file))


def without_gray_step(file: bytes) -> np.ndarray | None:
    """What the model gets as the file holds it; None where that has not three channels."""
    pixels = np.asarray(Image.open(BytesIO(file)))
    return pixels if pixels.ndim == 3 and pixels.shape[2] == 3 else None


def unchanged_by_gray_step(gray: np.ndarray) -> bool:
    """Whether the RGB file of a gray image uint8 (H, W) comes through the step pixel for pixel."""
    file = SHIFTS["RGB, as published"](gray)
    return np.array_equal(with_gray_step(file), without_gray_step(file))


def evaluate(
    model: Any,
    files: Sequence[bytes],
    rows: pd.DataFrame,
    classes: Sequence[str],
    *,
    bootstrap: Bootstrap,
) -> dict[str, dict | None]:
    """Score a model on image files, with and without the gray step.

    Parameters
    ----------
    model
        Its ``image_size`` is read, and ``batch`` called: class probabilities (N, K) of RGB pixels
        uint8 (N, S, S, 3). A `predictor.Predictor` has both.
    files
        Contents of the files: a variant of `SHIFTS`, or external images.
    rows
        Their rows of a catalog with groups.
    classes, bootstrap
        As in `metrics.summarise`.

    Returns
    -------
    {"with": metrics, "without": metrics, or None where the model can't be fed}.

    Raises
    ------
    StudyError
        If there are no files.
    """
    if not files:
        raise StudyError("There are no images to evaluate.")

    def score(pixels: list[np.ndarray]) -> dict:
        squares = np.stack([resize(image, model.image_size) for image in pixels])
        scored = predictions_table(
            rows, ["test"] * len(rows), model.batch(squares), classes, scheme="", stage=2, fold=0
        )
        return summarise(scored, classes, bootstrap=bootstrap)

    stepped = [with_gray_step(file) for file in files]
    plain = [without_gray_step(file) for file in files]
    scores = score(stepped)
    if any(image is None for image in plain):
        return {"with": scores, "without": None}
    same = all(np.array_equal(a, b) for a, b in zip(stepped, plain, strict=True))
    return {"with": scores, "without": scores if same else score(plain)}


def comparison_table(results: Mapping[str, Mapping[str, Mapping]]) -> pd.DataFrame:
    """One row per scheme, variant and step: n, groups, accuracy with its interval, macro-F1.

    Where no prediction was possible the metrics are missing.
    """
    numbers = {"n": "Int64", "groups": "Int64"}
    numbers |= dict.fromkeys(("accuracy", "macro_f1", "accuracy_low", "accuracy_high"), float)
    rows = {
        (scheme, variant, step): metrics or {}
        for scheme, variants in results.items()
        for variant, by_step in variants.items()
        for step, metrics in by_step.items()
    }
    table = flat_table(rows, ["scheme", "condition", "gray_step"])
    return table.reindex(columns=[*table.columns[:3], *numbers]).astype(numbers)

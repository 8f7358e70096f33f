"""A slice shown otherwise, and what the exported model makes of it."""

from dataclasses import dataclass

import cv2
import numpy as np

from kidneyct_lib.data import augmentation
from kidneyct_lib.data.hounsfield import SOFT_TISSUE, apply_window
from kidneyct_lib.data.image_io import gray_to_rgb
from kidneyct_lib.deployment.predictor import Answer, ExportedModel
from kidneyct_lib.robustness.corruptions import changes, corrupt

_SEED = 0  # of noise and corruption: the same grains wherever a slider stands


@dataclass(frozen=True)
class Change:
    """How a slice is shown otherwise; by default as it is stored.

    Attributes
    ----------
    center, width
        Display window in Hounsfield units; the slice is taken to be stored in that of soft tissue.
    noise
        Standard deviation of added normal noise, as a share of white.
    rotation
        Degrees, anticlockwise.
    corruption, severity
        One of `corruptions.CORRUPTIONS`, or "" for none; 1 to 5.
    """

    center: float = SOFT_TISSUE[0]
    width: float = SOFT_TISSUE[1]
    noise: float = 0.0
    rotation: float = 0.0
    corruption: str = ""
    severity: int = 1


def changed(gray: np.ndarray, change: Change, key: str) -> np.ndarray:
    """Show a slice otherwise: it turns, gets noise, is windowed and at last corrupted.

    Parameters
    ----------
    gray
        uint8 (H, W); left as it is. What its own window has clipped stays clipped.
    change
        What is done to it.
    key
        The slice's own, such as its file's sha256: what is random in a corruption hangs on it.

    Returns
    -------
    uint8 array (H, W)

    Raises
    ------
    StudyError
        If there is no such corruption or severity.
    """
    if change.rotation:
        gray = augmentation.moved(gray, augmentation.Change(turn=change.rotation))
    if change.noise:
        gray = changes.gaussian_noise(gray, change.noise, np.random.default_rng(_SEED))
    window = change.center, change.width
    if window != SOFT_TISSUE:
        center, width = SOFT_TISSUE
        units = center + width * (np.arange(256) / 255 - 0.5)  # of each gray level
        gray = cv2.LUT(gray, apply_window(units, *window, function="LINEAR_EXACT"))
    if change.corruption:
        gray = corrupt(gray, key, change.corruption, change.severity, seed=_SEED)
    return gray


def answer(model: ExportedModel, gray: np.ndarray) -> Answer:
    """Give what the exported model makes of a gray slice, uint8 (H, W)."""
    return model.look(gray_to_rgb(gray))


def enlarged(class_map: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Interpolate a map (h, w) to a slice's shape: float32 (H, W), as a share of its highest value.

    What is below 0 speaks against the class and is cut; a map that is nowhere above 0 is 0.
    """
    positive = np.maximum(class_map, 0).astype(np.float32)
    whole = cv2.resize(positive, shape[::-1], interpolation=cv2.INTER_LINEAR)
    return whole / max(float(whole.max()), np.finfo(np.float32).tiny)

"""The scanner's couch, and all else around the person, taken out of a slice."""

import cv2
import numpy as np

from kidneyct_lib.data.body import body_mask


def couch_removed(gray: np.ndarray, margin: float, rng: np.random.Generator) -> np.ndarray:
    """Blacken what lies farther from the body than `margin`, a share of the image's side.

    An image without a body stays as it is.
    """
    outside = (~body_mask(gray)).astype(np.uint8)
    away = cv2.distanceTransform(outside, cv2.DIST_L2, cv2.DIST_MASK_5)
    return np.where(away > margin * max(gray.shape), np.uint8(0), gray)

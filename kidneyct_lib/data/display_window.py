"""In which display window a slice was exported, and the same slice shown in another one.

CT slices are stored as 8-bit images after a display window has mapped Hounsfield units to gray
levels. Two tissues of every abdomen give it away: subcutaneous fat (about -100 HU) and soft tissue
(about 50 HU). Where both levels are known, any other window is a linear map of the gray values,
as far as the first one has not clipped them.
"""

from typing import NamedTuple

import cv2
import numpy as np

BACKGROUND = 8  # gray level: what is darker is air, or fat in a narrow window
SMOOTH = 3  # sigma, in gray levels, of the blur of the histogram
SOFT_RANGE = (0.85, 2.2)  # where the peak of soft tissue lies, times the mean of the bright
LOWEST_FAT = 6  # gray level from which on fat has a peak
FAT_PEAK = 0.15  # least height of the peak of fat, times that of soft tissue
VALLEY = 0.75  # highest share of the peak of fat that the valley beside it may have
_HIGHEST_FAT = 0.72  # where the peak of fat lies at most, times the level of soft tissue


class Levels(NamedTuple):
    """Gray levels of two tissues, which stand for the display window of a slice."""

    fat: float  # of subcutaneous fat; 0 where the window shows it as black as air
    soft: float  # of soft tissue (muscle, liver, spleen), above `fat`


def levels(gray: np.ndarray, body: np.ndarray) -> Levels:
    """Estimate the levels from the peaks of the histogram of a slice, uint8 (H, W).

    `body`, bool (H, W), says where the patient is. A slice without tissue gets the levels of a
    black image, (0, 1).
    """
    counts = np.bincount(gray[body], minlength=256).astype(np.float32)
    counts[[0, 255]] = 0  # clipped, whatever they would have been
    bright = counts[BACKGROUND:]
    if not bright.any():
        return Levels(0.0, 1.0)
    height = cv2.GaussianBlur(counts[None], (0, 0), SMOOTH, borderType=cv2.BORDER_CONSTANT)[0]
    mean = np.average(np.arange(BACKGROUND, 256), weights=bright)
    first, last = (round(share * mean) for share in SOFT_RANGE)
    soft = first + int(height[first : last + 1].argmax())
    lowest, highest = LOWEST_FAT, round(_HIGHEST_FAT * soft)
    if highest <= lowest:
        return Levels(0.0, float(soft))
    fat = lowest + int(height[lowest:highest].argmax())
    seen = (
        height[fat] >= FAT_PEAK * height[soft]
        and height[fat:soft].min() < VALLEY * height[fat]
        and height[fat - 1] < height[fat]  # a peak, not the flank of black
    )
    return Levels(float(fat) if seen else 0.0, float(soft))


def shown(gray: np.ndarray, body: np.ndarray, own: Levels, other: Levels) -> np.ndarray:
    """Show a slice in another window: its own levels become the other's, linearly in between.

    A slice uint8 (H, W) gives a new one. What lies outside the body, bool (H, W), stays as it is,
    and what the own window (of the slice or its series) has clipped stays clipped: no tissue is
    invented.
    """
    scale = (other.soft - other.fat) / (own.soft - own.fat)
    table = (np.arange(256) - own.fat) * scale + other.fat
    lut = table.round().clip(0, 255).astype(np.uint8)
    return np.where(body, cv2.LUT(gray, lut), gray)

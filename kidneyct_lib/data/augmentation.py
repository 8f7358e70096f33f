"""Random views of training images: another position, another window, a worse scanner.

A view depends on the seed, the image's key and the view's number alone, so what the frozen layers
say of it is computed once and found again, as for the image itself.
"""

import hashlib
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np

from kidneyct_lib.core.array_cache import content_keys

AIR = 10
"""Gray values below are mostly air, black in every window of soft tissue."""


@dataclass(frozen=True)
class Augmentation:
    """How strongly views differ from their image: 0 leaves a kind out, 1 is its most."""

    geometry: float  # turn, shift, scale and left-right flip, which half of the views have at 1
    intensity: float  # window level and width, gamma
    noise: float  # blur and Gaussian noise, each in half of the views

    def __post_init__(self) -> None:
        if not all(0 <= strength <= 1 for strength in astuple(self)):
            raise ValueError(f"{self}: each strength is from 0 to 1")


class Change(NamedTuple):
    """What makes one view; the defaults change nothing."""

    turn: float = 0.0  # degrees, counter-clockwise, about the middle
    right: float = 0.0  # shift as a share of the width
    down: float = 0.0  # shift as a share of the height
    scale: float = 1.0  # factor of size about the middle
    flip: bool = False  # whether left and right change places
    level: float = 0.0  # gray values added
    contrast: float = 1.0  # factor about the middle gray
    gamma: float = 1.0  # exponent
    blur: float = 0.0  # standard deviation as a share of the height
    noise: float = 0.0  # standard deviation as a share of 255


def draw(rng: np.random.Generator, augmentation: Augmentation) -> Change:
    """Draw the change of one view; a kind's strength only scales what is drawn."""
    geometry, intensity, noise = astuple(augmentation)
    turn, right, down, scale = geometry * rng.uniform(-1, 1, 4)
    # A flip puts the liver on the wrong side, which hardly any patient has. But no class depends
    # on the side: there is a kidney on both, and either may bear any finding. What a flip takes
    # away is one way of knowing a patient again.
    flip = rng.random() < 0.5 * geometry
    level, contrast, gamma = intensity * rng.uniform(-1, 1, 3)
    # Sharp and clean in half of the views each: a stone of a few pixels must stay to be seen.
    blur, grain = noise * rng.uniform(-1, 1, 2).clip(0)
    # The most at strength 1; turn, shifts and level go as far to the other side, the factors and
    # the exponent to their inverses.
    return Change(
        turn=15.0 * turn,
        right=0.1 * right,
        down=0.1 * down,
        scale=1.15**scale,
        flip=bool(flip),
        level=40.0 * level,
        contrast=1.4**contrast,
        gamma=1.4**gamma,
        blur=0.005 * blur,  # 1.1 of 224 pixels
        noise=0.08 * grain,
    )


def apply(image: np.ndarray, change: Change, rng: np.random.Generator) -> np.ndarray:
    """Make the view of one gray image: uint8 (H, W) to a new uint8 (H, W); `rng` draws the noise.

    The image is interpolated once, by one affine map; what comes in from outside is background.
    """
    result = cv2.LUT(moved(image, change), _tone(change))
    if change.blur:
        result = cv2.GaussianBlur(result, (0, 0), change.blur * len(image))
    if change.noise:
        grain = rng.standard_normal(image.shape, np.float32)
        result = (result + 255 * change.noise * grain).round().clip(0, 255).astype(np.uint8)
    return result


def view(
    image: np.ndarray, key: str, number: int, augmentation: Augmentation, *, seed: int
) -> np.ndarray:
    """Make one random view of a gray image, uint8 (H, W), whatever views are made beside it.

    Images of one content key get the same change; `seed` is of all draws. The view is a new array.
    Views are numbered from 1: ValueError if `number` is below.
    """
    if number < 1:
        raise ValueError(f"views are numbered from 1, not {number}")
    digest = int(hashlib.sha256(key.encode()).hexdigest(), 16)
    rng = np.random.default_rng([seed, number, digest])
    return apply(image, draw(rng, augmentation), rng)


class AugmentedImages:
    """Images and random views of them, as rows: N images, then view 1 of each, then view 2...

    Row ``i + N * v`` is view v of image i. Views are made when they are indexed and not kept.

    Parameters
    ----------
    images : uint8 array (N, H, W)
        Gray values in 0..255, at least one image.
    views : int
        Views of each image; 0: the images alone.
    augmentation, seed
        How strongly views differ; seed of all of them.

    Attributes
    ----------
    images : uint8 array (N, H, W)
        The images themselves.
    keys : list of str
        Content key of each row; an image's own is that of its pixels.
    """

    def __init__(
        self, images: np.ndarray, views: int, augmentation: Augmentation, *, seed: int
    ) -> None:
        self.images, self._augmentation, self._seed = images, augmentation, seed
        self._own = content_keys(images)
        text = f"{augmentation} {seed} ".encode() + Path(__file__).read_bytes()
        made_by = hashlib.sha256(text).hexdigest()[:16]
        self.keys = self._own + [
            f"{key}-{made_by}-view{number}" for number in range(1, views + 1) for key in self._own
        ]

    def __len__(self) -> int:
        """Number of rows, views included."""
        return len(self.keys)

    def __getitem__(self, rows: np.ndarray) -> np.ndarray:
        """Images and views of these rows, a new uint8 array (len(rows), H, W)."""
        numbers, sources = np.divmod(rows, len(self.images))
        result = self.images[sources]
        for i in np.flatnonzero(numbers):
            key, number = self._own[sources[i]], int(numbers[i])
            result[i] = view(result[i], key, number, self._augmentation, seed=self._seed)
        return result


def moved(image: np.ndarray, change: Change, outside: float | None = None) -> np.ndarray:
    """Flip, turn, scale and shift uint8 (H, W) by one affine map, bilinear.

    What comes in from outside has the given gray level, by default that of air.
    """
    height, width = image.shape
    middle = ((width - 1) / 2, (height - 1) / 2)
    matrix = cv2.getRotationMatrix2D(middle, change.turn, change.scale)
    if change.flip:
        matrix = matrix @ np.array([[-1, 0, width - 1], [0, 1, 0], [0, 0, 1]])
    matrix[:, 2] += change.right * width, change.down * height
    # Air is as gray as the median of the darkest edge: a body may run off at the others.
    if outside is None:
        edges = image[0], image[-1], image[:, 0], image[:, -1]
        outside = min(float(np.median(edge)) for edge in edges)
    return cv2.warpAffine(image, matrix, (width, height), borderValue=outside)


def _tone(change: Change) -> np.ndarray:
    """Gray value of each gray value under another window and gamma, uint8 (256,).

    Air lies far below any window of soft tissue, so black stays black.
    """
    gray = np.arange(256.0)
    windowed = (gray - 127.5) * change.contrast + 127.5 + change.level
    curve = 255 * (windowed / 255).clip(0, 1) ** change.gamma
    brighter = gray + (gray / AIR).clip(0, 1) * (curve - gray)
    return np.minimum(brighter, curve).round().astype(np.uint8)

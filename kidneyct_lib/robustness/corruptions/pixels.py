"""What MedMNIST-C does to an abdominal CT slice (Di Salvo et al. 2024, arXiv 2406.17536).

Every function takes a gray image uint8 (H, W), an amount and a random generator, which those
that draw nothing leave alone, and returns a new uint8 (H, W). Shares are of white (255). Results
are rounded and clipped to 0 to 255.
"""

from collections.abc import Callable

import cv2
import numpy as np

WHITE = 255.0
PUBLISHED_SIDE = 224
"""Side in pixels of the images that the amounts given in pixels were published for."""

_LEVELS = np.arange(256, dtype=np.float64)


def to_gray(values: np.ndarray) -> np.ndarray:
    """Round and clip values of any shape to uint8, 0 to 255."""
    return np.rint(values).clip(0, WHITE).astype(np.uint8)


def map_levels(gray: np.ndarray, function: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    """Apply a function of the gray level (float, 0 to 255) to an image uint8 (H, W)."""
    return cv2.LUT(gray, to_gray(function(_LEVELS)))


def relative_side(gray: np.ndarray) -> float:
    """Give the image's longer side over the published one."""
    return max(gray.shape) / PUBLISHED_SIDE


def pixelate(gray: np.ndarray, share: float, rng: np.random.Generator) -> np.ndarray:
    """Keep this share of the rows and columns, averaged, and show them as blocks."""
    height, width = gray.shape
    small = (max(int(width * share), 1), max(int(height * share), 1))
    coarse = cv2.resize(gray, small, interpolation=cv2.INTER_AREA)
    return cv2.resize(coarse, (width, height), interpolation=cv2.INTER_NEAREST_EXACT)


def jpeg(gray: np.ndarray, quality: int, rng: np.random.Generator) -> np.ndarray:
    """Store as JPEG of this quality, 0 to 100, and read again."""
    _, data = cv2.imencode(".jpg", gray, [cv2.IMWRITE_JPEG_QUALITY, quality])
    return cv2.imdecode(data, cv2.IMREAD_GRAYSCALE)


def gaussian_noise(gray: np.ndarray, sigma: float, rng: np.random.Generator) -> np.ndarray:
    """Add normal noise of this standard deviation, as a share of white."""
    return to_gray(gray + WHITE * sigma * rng.standard_normal(gray.shape, np.float32))


def speckle_noise(gray: np.ndarray, sigma: float, rng: np.random.Generator) -> np.ndarray:
    """Add normal noise of this standard deviation, as a share of each pixel's own level."""
    return to_gray(gray * (1 + sigma * rng.standard_normal(gray.shape, np.float32)))


def impulse_noise(gray: np.ndarray, share: float, rng: np.random.Generator) -> np.ndarray:
    """Turn this share of the pixels black or white, half of them each."""
    draw = rng.random(gray.shape, np.float32)
    noisy = gray.copy()
    noisy[draw < share] = 0
    noisy[draw < share / 2] = WHITE
    return noisy


def shot_noise(gray: np.ndarray, photons: float, rng: np.random.Generator) -> np.ndarray:
    """Draw each pixel from a Poisson distribution in which white means this many photons."""
    return to_gray(rng.poisson(gray * (photons / WHITE)) * (WHITE / photons))


def gaussian_blur(gray: np.ndarray, kernel: int, rng: np.random.Generator) -> np.ndarray:
    """Blur as a kernel of so many pixels does at the published side, by OpenCV's rule.

    The rule is sigma = 0.15 kernel + 0.35 pixels; sigma grows with the image's side, so that an
    image of any size loses the same detail.
    """
    return cv2.GaussianBlur(gray, (0, 0), (0.15 * kernel + 0.35) * relative_side(gray))


def brightness(gray: np.ndarray, factor: float, rng: np.random.Generator) -> np.ndarray:
    """Multiply all levels."""
    return map_levels(gray, lambda level: factor * level)


def contrast(gray: np.ndarray, factor: float, rng: np.random.Generator) -> np.ndarray:
    """Multiply each level's distance from the image's mean, as Pillow's ImageEnhance does."""
    mean = np.rint(gray.mean())
    return map_levels(gray, lambda level: mean + factor * (level - mean))


def gamma(gray: np.ndarray, exponent: float, rng: np.random.Generator) -> np.ndarray:
    """Raise levels, as shares of white, to a power; above 1 dark tissue grows darker."""
    return map_levels(gray, lambda level: WHITE * (level / WHITE) ** exponent)

"""What each corruption does to a CT slice.

Those of MedMNIST-C to an abdominal CT slice (Di Salvo et al. 2024, arXiv 2406.17536) stand first,
then what else happens between the scanner and the model.

Every function takes a gray image uint8 (H, W), an amount and a random generator, which those
that draw nothing leave alone, and returns a new uint8 (H, W), rounded and clipped to 0 to 255.
Shares are of white (255). Where Hounsfield units count the gray levels are taken to span the
soft-tissue window (`hounsfield.SOFT_TISSUE`).
"""

from collections.abc import Callable, Sequence

import cv2
import numpy as np

from kidneyct_lib.data.body import body_mask
from kidneyct_lib.data.hounsfield import SOFT_TISSUE
from kidneyct_lib.data.image_io import rgb_to_gray

WHITE = 255.0
PUBLISHED_SIDE = 224
"""Side in pixels of the images that the amounts given in pixels were published for."""

_LEVELS = np.arange(256, dtype=np.float64)
_GRAY_PER_HU = WHITE / SOFT_TISSUE[1]
_WATER_GRAY = (SOFT_TISSUE[1] / 2 - SOFT_TISSUE[0]) * _GRAY_PER_HU
_WATER = 0.19  # attenuation per cm at 70 keV, about the mean energy of a 120 kV beam
_FIELD = 38.0  # cm across an image
_FULL_DOSE_NOISE = 10.0  # HU, mean over the body, in abdominal CT at the usual dose
_GRAIN, _CLUMP = 0.7, 2.0  # sigmas between which noise lives, pixels of a 224-pixel image
_DARK = 16  # gray levels over which noise fades to none, since the window clips air to black


def _to_gray(values: np.ndarray) -> np.ndarray:
    """Round and clip values of any shape to uint8, 0 to 255."""
    return np.rint(values).clip(0, WHITE).astype(np.uint8)


def _map_levels(gray: np.ndarray, function: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    """Apply a function of the gray level (float, 0 to 255) to an image uint8 (H, W)."""
    return cv2.LUT(gray, _to_gray(function(_LEVELS)))


def _relative_side(gray: np.ndarray) -> float:
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
    return _to_gray(gray + WHITE * sigma * rng.standard_normal(gray.shape, np.float32))


def speckle_noise(gray: np.ndarray, sigma: float, rng: np.random.Generator) -> np.ndarray:
    """Add normal noise of this standard deviation, as a share of each pixel's own level."""
    return _to_gray(gray * (1 + sigma * rng.standard_normal(gray.shape, np.float32)))


def impulse_noise(gray: np.ndarray, share: float, rng: np.random.Generator) -> np.ndarray:
    """Turn this share of the pixels black or white, half of them each."""
    draw = rng.random(gray.shape, np.float32)
    noisy = gray.copy()
    noisy[draw < share] = 0
    noisy[draw < share / 2] = WHITE
    return noisy


def shot_noise(gray: np.ndarray, photons: float, rng: np.random.Generator) -> np.ndarray:
    """Draw each pixel from a Poisson distribution in which white means this many photons."""
    return _to_gray(rng.poisson(gray * (photons / WHITE)) * (WHITE / photons))


def gaussian_blur(gray: np.ndarray, kernel: int, rng: np.random.Generator) -> np.ndarray:
    """Blur as a kernel of so many pixels does at the published side, by OpenCV's rule.

    The rule is sigma = 0.15 kernel + 0.35 pixels; sigma grows with the image's side, so that an
    image of any size loses the same detail.
    """
    return cv2.GaussianBlur(gray, (0, 0), (0.15 * kernel + 0.35) * _relative_side(gray))


def brightness(gray: np.ndarray, factor: float, rng: np.random.Generator) -> np.ndarray:
    """Multiply all levels by a factor."""
    return _map_levels(gray, lambda level: factor * level)


def contrast(gray: np.ndarray, factor: float, rng: np.random.Generator) -> np.ndarray:
    """Multiply each level's distance from the image's mean, as Pillow's ImageEnhance does."""
    mean = np.rint(gray.mean())
    return _map_levels(gray, lambda level: mean + factor * (level - mean))


def gamma(gray: np.ndarray, exponent: float, rng: np.random.Generator) -> np.ndarray:
    """Raise levels, as shares of white, to a power; above 1 dark tissue grows darker."""
    return _map_levels(gray, lambda level: WHITE * (level / WHITE) ** exponent)


def window_shift(gray: np.ndarray, shift: float, rng: np.random.Generator) -> np.ndarray:
    """Raise the window's level by so many Hounsfield units: all tissue grows darker.

    What the first window had clipped to white can't come back, so bone turns gray too.
    """
    return _map_levels(gray, lambda level: level - _GRAY_PER_HU * shift)


def low_dose(gray: np.ndarray, dose: float, rng: np.random.Generator) -> np.ndarray:
    """Add the noise that this share of the usual dose brings.

    Variance goes with 1 / dose and with the exponential of the attenuation along the rays
    (Brooks and Di Chiro 1976, Med Phys 3:237). Of all rays through a pixel its row and its
    column are taken, with gray levels up to water's for attenuation. Noise has grains, since
    reconstruction filters it, but no streaks, and leaves black air black.
    """
    side = _relative_side(gray)
    white = rng.standard_normal(gray.shape, np.float32)
    grains = cv2.GaussianBlur(white, (0, 0), _GRAIN * side)
    grains -= cv2.GaussianBlur(white, (0, 0), _CLUMP * side)
    grains /= max(grains.std(), 1e-6)  # an image of one pixel has no grains
    sigma = _GRAY_PER_HU * _FULL_DOSE_NOISE * np.sqrt(1 / dose - 1)
    return _to_gray(gray + sigma * _noise_share(gray) * grains)


def _noise_share(gray: np.ndarray) -> np.ndarray:
    """Noise of each pixel over the mean of the body's pixels, float32 (H, W)."""
    pixel = _FIELD / max(gray.shape)
    paths = np.minimum(gray / np.float32(_WATER_GRAY), 1) * np.float32(_WATER * pixel)
    rows, columns = np.exp(paths.sum(axis=1)), np.exp(paths.sum(axis=0))
    noise = np.sqrt((rows[:, None] + columns) / 2)
    shown = np.minimum(gray / np.float32(_DARK), 1)
    return shown * noise / np.average(noise, weights=shown) if shown.any() else shown


def lost_resolution(gray: np.ndarray, factor: float, rng: np.random.Generator) -> np.ndarray:
    """Shrink by a factor, averaging, and enlarge again, smoothly."""
    height, width = gray.shape
    small = (max(round(width / factor), 1), max(round(height / factor), 1))
    coarse = cv2.resize(gray, small, interpolation=cv2.INTER_AREA)
    return cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)


def rotation(gray: np.ndarray, degrees: float, rng: np.random.Generator) -> np.ndarray:
    """Turn about the middle, to the left or the right by chance.

    What comes in from outside is as dark as the image's darkest pixel: background.
    """
    height, width = gray.shape
    sign = rng.choice((-1, 1))
    turn = cv2.getRotationMatrix2D(((width - 1) / 2, (height - 1) / 2), sign * degrees, 1)
    return cv2.warpAffine(gray, turn, (width, height), borderValue=int(gray.min()))


def burned_in_text(
    gray: np.ndarray, amount: tuple[int, int, float], rng: np.random.Generator
) -> np.ndarray:
    """Write white labels into corners drawn by chance.

    `amount` is in how many corners, how many lines in each, and the letters' height as a share
    of the image's.
    """
    corners, lines, share = amount
    labels = rng.permutation(_labels(rng))
    written = gray.copy()
    for k, corner in enumerate(rng.permutation(4)[:corners]):
        own = labels[k * lines : (k + 1) * lines]
        _write(written, own, share, right=corner % 2, low=corner // 2)
    return written


def _labels(rng: np.random.Generator) -> list[str]:
    """Twelve lines that a viewer writes, with numbers of their own; no name and no date."""
    number = rng.integers
    return [
        f"{'LR'[number(2)]} {rng.choice((100, 120, 140))}kV",
        f"{number(90, 450)}mA",
        f"W {number(30, 46)}0",
        f"L {number(3, 7)}0",
        f"Se {number(1, 9)}",
        f"Im {number(1, 300)}",
        f"{rng.choice((1, 3, 5))}.0mm",
        f"DFOV {number(30, 46)}cm",
        f"Z {number(10, 90)}%",
        f"{number(40, 160)}s",
        "ABDOMEN",
        "FFS",
    ]


def _write(gray: np.ndarray, lines: Sequence[str], share: float, *, right: bool, low: bool) -> None:
    """Write lines into one corner of an image, in place."""
    height, width = gray.shape
    font, thick = cv2.FONT_HERSHEY_SIMPLEX, max(round(share * height / 12), 1)
    scale = share * height / 22  # the font's capitals are 22 pixels high at scale 1
    step, edge = 1.6 * share * height, 0.02 * width
    first = height - edge - step * (len(lines) - 1) if low else edge + share * height
    for k, line in enumerate(lines):
        (length, _), _ = cv2.getTextSize(line, font, scale, thick)
        x = width - edge - length if right else edge
        place = (round(x), round(first + k * step))
        cv2.putText(gray, line, place, font, scale, WHITE, thick, cv2.LINE_AA)


def couch_removed(gray: np.ndarray, margin: float, rng: np.random.Generator) -> np.ndarray:
    """Blacken what lies farther from the body than `margin`, a share of the image's side.

    The couch and all else around the person go; an image without a body stays as it is.
    """
    outside = (~body_mask(gray)).astype(np.uint8)
    away = cv2.distanceTransform(outside, cv2.DIST_L2, cv2.DIST_MASK_5)
    return np.where(away > margin * max(gray.shape), np.uint8(0), gray)


def colour_screen(gray: np.ndarray, cast: float, rng: np.random.Generator) -> np.ndarray:
    """Show on a screen with a colour cast and turn the colours to gray again.

    The channels are multiplied by 1 + cast * cos(hue + 0, 120, 240 degrees), the hue drawn by
    chance; what leaves the range is clipped in each.
    """
    hue = rng.uniform(0, 2 * np.pi) + np.radians([0, 120, 240])
    gains = 1 + cast * np.cos(hue)
    channels = [_map_levels(gray, lambda level, gain=gain: gain * level) for gain in gains]
    return rgb_to_gray(cv2.merge(channels))


def bit_depth(gray: np.ndarray, bits: int, rng: np.random.Generator) -> np.ndarray:
    """Keep the highest bits alone, spread over black to white."""
    dropped = 2 ** (8 - bits)
    return _map_levels(gray, lambda level: level // dropped * (WHITE / (2**bits - 1)))

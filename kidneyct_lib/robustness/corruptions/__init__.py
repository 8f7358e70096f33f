"""CT-relevant image corruptions by name, in five severities, in NumPy and OpenCV."""

import difflib
import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from kidneyct_lib.core.errors import StudyError
from kidneyct_lib.robustness.corruptions import ct_artifacts, pixels

SEVERITIES = (1, 2, 3, 4, 5)


class CorruptionError(StudyError):
    """A corruption or severity that is not there; the message names what is."""


@dataclass(frozen=True)
class Corruption:
    """One way to corrupt a slice.

    Attributes
    ----------
    change : callable
        (gray uint8 (H, W), amount, rng) to a new uint8 (H, W).
    amounts : tuple of five
        What `change` is given at severities 1 to 5.
    cause : str
        What happens in a clinic that makes it.
    """

    change: Callable[[np.ndarray, Any, np.random.Generator], np.ndarray]
    amounts: tuple
    cause: str

    def __call__(self, gray: np.ndarray, severity: int, rng: np.random.Generator) -> np.ndarray:
        """Corrupt one slice uint8 (H, W) at severity 1 to 5; the slice itself is left as it is."""
        return self.change(gray, self.amounts[SEVERITIES.index(severity)], rng)


MEDMNIST_C = {
    "pixelate": Corruption(
        pixels.pixelate,
        (0.7, 0.6, 0.5, 0.4, 0.35),  # share of rows and columns kept
        "a small preview is enlarged without smoothing",
    ),
    "JPEG": Corruption(
        pixels.jpeg,
        (50, 30, 15, 10, 7),  # quality
        "slices are sent by messenger or stored with heavy compression",
    ),
    "Gaussian noise": Corruption(
        pixels.gaussian_noise,
        (0.04, 0.08, 0.12, 0.16, 0.2),  # standard deviation, share of white
        "electronics of the detector, or of a camera that films the screen",
    ),
    "speckle noise": Corruption(
        pixels.speckle_noise,
        (0.05, 0.1, 0.2, 0.3, 0.4),  # standard deviation, share of the level
        "the detector's gain varies from place to place",
    ),
    "impulse noise": Corruption(
        pixels.impulse_noise,
        (0.01, 0.02, 0.03, 0.05, 0.08),  # share of pixels
        "dead detector elements, or bits lost in transfer",
    ),
    "shot noise": Corruption(
        pixels.shot_noise,
        (200, 100, 50, 25, 15),  # photons in white
        "few photons reach a detector or a camera",
    ),
    "Gaussian blur": Corruption(
        pixels.gaussian_blur,
        (11, 13, 15, 17, 21),  # kernel in pixels at a side of 224
        "a soft reconstruction kernel, or a photograph out of focus",
    ),
    "brighter": Corruption(
        pixels.brightness,
        (1.2, 1.3, 1.4, 1.5, 1.6),  # factor
        "a brighter screen or print is photographed",
    ),
    "darker": Corruption(
        pixels.brightness,
        (0.8, 0.75, 0.7, 0.65, 0.6),  # factor
        "a dimmed screen or print is photographed",
    ),
    "contrast up": Corruption(
        pixels.contrast,
        (1.3, 1.4, 1.6, 1.7, 1.8),  # factor
        "a narrower window is chosen at the workstation",
    ),
    "contrast down": Corruption(
        pixels.contrast,
        (0.8, 0.7, 0.6, 0.55, 0.5),  # factor
        "a wider window is chosen, or light falls on the screen",
    ),
    "gamma up": Corruption(
        pixels.gamma,
        (1.3, 1.4, 1.6, 1.8, 2.0),  # exponent
        "the display curve of another screen darkens soft tissue",
    ),
    "gamma down": Corruption(
        pixels.gamma,
        (0.9, 0.8, 0.7, 0.6, 0.4),  # exponent
        "the display curve of another screen lightens soft tissue",
    ),
}
"""MedMNIST-C's corruptions of abdominal CT with its amounts (its registry's organamnist)."""

CT_OWN = {
    "window shift": Corruption(
        ct_artifacts.window_shift,
        (20, 40, 60, 80, 100),  # HU that the level moves up
        "the slice is exported at another reader's window level",
    ),
    "low dose": Corruption(
        ct_artifacts.low_dose,
        (1 / 2, 1 / 4, 1 / 8, 1 / 16, 1 / 32),  # share of the usual dose
        "a low-dose protocol for stones or follow-up, or a large person",
    ),
    "lost resolution": Corruption(
        ct_artifacts.lost_resolution,
        (1.5, 2, 2.5, 3, 4),  # factor
        "a report's thumbnail or a wide field of view is enlarged",
    ),
    "rotation": Corruption(
        ct_artifacts.rotation,
        (2, 4, 7, 10, 15),  # degrees
        "the person lies turned on the table, or a print is scanned askew",
    ),
    "burned-in text": Corruption(
        ct_artifacts.burned_in_text,
        # corners, lines in each, height as share of the image's
        ((1, 1, 0.035), (2, 1, 0.04), (3, 2, 0.04), (4, 2, 0.045), (4, 3, 0.05)),
        "a screenshot carries the viewer's labels",
    ),
    "couch removed": Corruption(
        ct_artifacts.couch_removed,
        (0.08, 0.05, 0.03, 0.015, 0.0),  # margin kept around the body, share of the side
        "software or another centre's export masks all but the person",
    ),
    "colour screen": Corruption(
        ct_artifacts.colour_screen,
        (0.15, 0.3, 0.45, 0.6, 0.75),  # colour cast
        "a tinted screen is photographed, and the colours turned to gray",
    ),
    "bit depth": Corruption(
        ct_artifacts.bit_depth,
        (6, 5, 4, 3, 2),  # bits
        "a GIF, a fax or a cheap screen keeps few gray levels",
    ),
}
"""Corruptions of CT's own; their amounts are this project's choice."""

CORRUPTIONS: dict[str, Corruption] = {**MEDMNIST_C, **CT_OWN}


def corrupt(
    images: np.ndarray, keys: Sequence[str], name: str, severity: int, *, seed: int
) -> np.ndarray:
    """Corrupt slices in one way, each with its own random numbers.

    What is drawn for a slice depends on seed, name, severity and its key alone, so it is the same
    whatever other slices stand beside it and in whichever order.

    Parameters
    ----------
    images
        uint8 (N, H, W); left as they are.
    keys
        One for each image, such as its file's sha256.
    name
        One of CORRUPTIONS.
    severity
        1 to 5.
    seed
        0 or more.

    Returns
    -------
    uint8 array (N, H, W)

    Raises
    ------
    CorruptionError
        If there is no such corruption or severity.
    """
    if name not in CORRUPTIONS:
        lower = {known.lower(): known for known in CORRUPTIONS}
        near = [lower[one] for one in difflib.get_close_matches(str(name).lower(), lower)]
        hint = f"did you mean {' or '.join(map(repr, near))}? " if near else ""
        raise CorruptionError(
            f"There is no corruption {name!r}; {hint}Known are: {', '.join(CORRUPTIONS)}."
        )
    if severity not in SEVERITIES:
        raise CorruptionError(f"severity is {severity!r}; it must be 1, 2, 3, 4 or 5.")
    corrupted = np.empty_like(images)
    for row, gray, key in zip(corrupted, images, keys, strict=True):
        digest = hashlib.sha256(f"{name}/{severity}/{key}".encode()).digest()
        rng = np.random.default_rng([seed, int.from_bytes(digest[:16])])
        row[:] = CORRUPTIONS[name](gray, severity, rng)
    return corrupted

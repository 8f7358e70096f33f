"""CT-relevant image corruptions by name, in five severities, in NumPy and OpenCV."""

import difflib
import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from kidneyct_lib.core.errors import StudyError
from kidneyct_lib.robustness.corruptions import changes

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
        What `change` is given at severities 1 to 5, in the unit that its docstring tells.
    """

    change: Callable[[np.ndarray, Any, np.random.Generator], np.ndarray]
    amounts: tuple

    def __call__(self, gray: np.ndarray, severity: int, rng: np.random.Generator) -> np.ndarray:
        """Corrupt one slice uint8 (H, W) at severity 1 to 5; the slice itself is left as it is."""
        return self.change(gray, self.amounts[SEVERITIES.index(severity)], rng)


MEDMNIST_C = {
    "pixelate": Corruption(changes.pixelate, (0.7, 0.6, 0.5, 0.4, 0.35)),
    "JPEG": Corruption(changes.jpeg, (50, 30, 15, 10, 7)),
    "Gaussian noise": Corruption(changes.gaussian_noise, (0.04, 0.08, 0.12, 0.16, 0.2)),
    "speckle noise": Corruption(changes.speckle_noise, (0.05, 0.1, 0.2, 0.3, 0.4)),
    "impulse noise": Corruption(changes.impulse_noise, (0.01, 0.02, 0.03, 0.05, 0.08)),
    "shot noise": Corruption(changes.shot_noise, (200, 100, 50, 25, 15)),
    "Gaussian blur": Corruption(changes.gaussian_blur, (11, 13, 15, 17, 21)),
    "brighter": Corruption(changes.brightness, (1.2, 1.3, 1.4, 1.5, 1.6)),
    "darker": Corruption(changes.brightness, (0.8, 0.75, 0.7, 0.65, 0.6)),
    "contrast up": Corruption(changes.contrast, (1.3, 1.4, 1.6, 1.7, 1.8)),
    "contrast down": Corruption(changes.contrast, (0.8, 0.7, 0.6, 0.55, 0.5)),
    "gamma up": Corruption(changes.gamma, (1.3, 1.4, 1.6, 1.8, 2.0)),
    "gamma down": Corruption(changes.gamma, (0.9, 0.8, 0.7, 0.6, 0.4)),
}
"""MedMNIST-C's corruptions of abdominal CT with its amounts (its registry's organamnist)."""

CT_OWN = {
    "window shift": Corruption(changes.window_shift, (20, 40, 60, 80, 100)),
    "low dose": Corruption(changes.low_dose, (1 / 2, 1 / 4, 1 / 8, 1 / 16, 1 / 32)),
    "lost resolution": Corruption(changes.lost_resolution, (1.5, 2, 2.5, 3, 4)),
    "rotation": Corruption(changes.rotation, (2, 4, 7, 10, 15)),
    "burned-in text": Corruption(
        changes.burned_in_text,
        ((1, 1, 0.035), (2, 1, 0.04), (3, 2, 0.04), (4, 2, 0.045), (4, 3, 0.05)),
    ),
    "couch removed": Corruption(changes.couch_removed, (0.08, 0.05, 0.03, 0.015, 0.0)),
    "colour screen": Corruption(changes.colour_screen, (0.15, 0.3, 0.45, 0.6, 0.75)),
    "bit depth": Corruption(changes.bit_depth, (6, 5, 4, 3, 2)),
}
"""Corruptions of CT's own; their amounts are this project's choice."""

CAUSES = {
    "pixelate": "a small preview is enlarged without smoothing",
    "JPEG": "slices are sent by messenger or stored with heavy compression",
    "Gaussian noise": "electronics of the detector, or of a camera that films the screen",
    "speckle noise": "the detector's gain varies from place to place",
    "impulse noise": "dead detector elements, or bits lost in transfer",
    "shot noise": "few photons reach a detector or a camera",
    "Gaussian blur": "a soft reconstruction kernel, or a photograph out of focus",
    "brighter": "a brighter screen or print is photographed",
    "darker": "a dimmed screen or print is photographed",
    "contrast up": "a narrower window is chosen at the workstation",
    "contrast down": "a wider window is chosen, or light falls on the screen",
    "gamma up": "the display curve of another screen darkens soft tissue",
    "gamma down": "the display curve of another screen lightens soft tissue",
    "window shift": "the slice is exported at another reader's window level",
    "low dose": "a low-dose protocol for stones or follow-up, or a large person",
    "lost resolution": "a report's thumbnail or a wide field of view is enlarged",
    "rotation": "the person lies turned on the table, or a print is scanned askew",
    "burned-in text": "a screenshot carries the viewer's labels",
    "couch removed": "software or another centre's export masks all but the person",
    "colour screen": "a tinted screen is photographed, and the colours turned to gray",
    "bit depth": "a GIF, a fax or a cheap screen keeps few gray levels",
}
"""What happens in a clinic that makes each corruption."""

CORRUPTIONS = MEDMNIST_C | CT_OWN


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
    name, severity, seed
        One of CORRUPTIONS; 1 to 5; 0 or more.

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

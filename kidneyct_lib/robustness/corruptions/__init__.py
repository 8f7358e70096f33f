"""CT-relevant image corruptions by name, in five severities, in NumPy and OpenCV."""

import difflib
import hashlib
from collections.abc import Callable
from typing import Any

import numpy as np

from kidneyct_lib.core.errors import StudyError
from kidneyct_lib.robustness.corruptions import changes

SEVERITIES = (1, 2, 3, 4, 5)

Corruption = tuple[Callable[[np.ndarray, Any, np.random.Generator], np.ndarray], tuple]
"""A function of `changes`, and its amounts at severities 1 to 5 in the unit that it tells."""

MEDMNIST_C: dict[str, Corruption] = {
    "pixelate": (changes.pixelate, (0.7, 0.6, 0.5, 0.4, 0.35)),
    "JPEG": (changes.jpeg, (50, 30, 15, 10, 7)),
    "Gaussian noise": (changes.gaussian_noise, (0.04, 0.08, 0.12, 0.16, 0.2)),
    "speckle noise": (changes.speckle_noise, (0.05, 0.1, 0.2, 0.3, 0.4)),
    "impulse noise": (changes.impulse_noise, (0.01, 0.02, 0.03, 0.05, 0.08)),
    "shot noise": (changes.shot_noise, (200, 100, 50, 25, 15)),
    "Gaussian blur": (changes.gaussian_blur, (11, 13, 15, 17, 21)),
    "brighter": (changes.brightness, (1.2, 1.3, 1.4, 1.5, 1.6)),
    "darker": (changes.brightness, (0.8, 0.75, 0.7, 0.65, 0.6)),
    "contrast up": (changes.contrast, (1.3, 1.4, 1.6, 1.7, 1.8)),
    "contrast down": (changes.contrast, (0.8, 0.7, 0.6, 0.55, 0.5)),
    "gamma up": (changes.gamma, (1.3, 1.4, 1.6, 1.8, 2.0)),
    "gamma down": (changes.gamma, (0.9, 0.8, 0.7, 0.6, 0.4)),
}
"""MedMNIST-C's corruptions of abdominal CT with its amounts (its registry's organamnist)."""

CT_OWN: dict[str, Corruption] = {
    "window shift": (changes.window_shift, (20, 40, 60, 80, 100)),
    "low dose": (changes.low_dose, (1 / 2, 1 / 4, 1 / 8, 1 / 16, 1 / 32)),
    "lost resolution": (changes.lost_resolution, (1.5, 2, 2.5, 3, 4)),
    "rotation": (changes.rotation, (2, 4, 7, 10, 15)),
    "burned-in text": (
        changes.burned_in_text,
        ((1, 1, 0.035), (2, 1, 0.04), (3, 2, 0.04), (4, 2, 0.045), (4, 3, 0.05)),
    ),
    "couch removed": (changes.couch_removed, (0.08, 0.05, 0.03, 0.015, 0.0)),
    "colour screen": (changes.colour_screen, (0.15, 0.3, 0.45, 0.6, 0.75)),
    "bit depth": (changes.bit_depth, (6, 5, 4, 3, 2)),
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


def corrupt(gray: np.ndarray, key: str, name: str, severity: int, *, seed: int) -> np.ndarray:
    """Corrupt a slice in one way, with random numbers of its own.

    What is drawn depends on seed, name, severity and key alone, so it is the same whatever other
    slices are corrupted and in whichever order.

    Parameters
    ----------
    gray
        uint8 (H, W); left as it is.
    key
        The slice's own, such as its file's sha256.
    name, severity, seed
        One of CORRUPTIONS; 1 to 5; 0 or more.

    Returns
    -------
    uint8 array (H, W)

    Raises
    ------
    StudyError
        If there is no such corruption or severity; the message names what there is.
    """
    if name not in CORRUPTIONS:
        lower = {known.lower(): known for known in CORRUPTIONS}
        near = [lower[one] for one in difflib.get_close_matches(str(name).lower(), lower)]
        hint = f"did you mean {' or '.join(map(repr, near))}? " if near else ""
        raise StudyError(
            f"There is no corruption {name!r}; {hint}Known are: {', '.join(CORRUPTIONS)}."
        )
    if severity not in SEVERITIES:
        raise StudyError(f"severity is {severity!r}; it must be 1, 2, 3, 4 or 5.")
    change, amounts = CORRUPTIONS[name]
    digest = hashlib.sha256(f"{name}/{severity}/{key}".encode()).digest()
    rng = np.random.default_rng([seed, int.from_bytes(digest[:16])])
    return change(gray, amounts[SEVERITIES.index(severity)], rng)

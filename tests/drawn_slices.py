"""Slices of a drawn body whose Hounsfield values and display window are known."""

import cv2
import numpy as np

FAT, SOFT = -100, 50  # HU


def slice_in(center, width, *, noise=8, seed=0, size=128):
    """A disk of soft tissue with a bone in a ring of fat: uint8 (S, S), and its body, bool."""
    hu = np.full((size, size), -1000.0)
    rings = np.zeros((2, size, size), np.uint8)
    for ring, radius in zip(rings, (0.42, 0.33), strict=True):
        cv2.circle(ring, (size // 2, size // 2), round(radius * size), 1, -1)
    hu[rings[0] > 0], hu[rings[1] > 0] = FAT, SOFT
    hu[size // 2 : size // 2 + 8, size // 2 - 8 : size // 2 + 8] = 600
    hu += np.random.default_rng(seed).normal(0, noise, hu.shape)
    return level_of(hu, center, width).round().clip(0, 255).astype(np.uint8), rings[0] > 0


def level_of(hu, center, width):
    """Gray level of Hounsfield values in a window."""
    return (hu - center) * 255 / width + 127.5

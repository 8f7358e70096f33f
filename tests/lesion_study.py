"""Slices of a drawn body, every second with a bright dot, for U-Nets to mark."""

import cv2
import numpy as np
from short_resnet import SHORT

from kidneyct_lib.data.augmentation import Augmentation
from kidneyct_lib.models import builder
from kidneyct_lib.models.builder import NetworkSettings
from kidneyct_lib.training import lesion_crops
from kidneyct_lib.training.lesion_crops import Examples, SegmentationSettings

SIZE, SIDE, N = 96, 48, 32
CLASSES = ["Normal", "Stone"]
TARGETS = np.arange(N) % 2
GROUP = np.arange(N) // 2 % 8 * 2 + TARGETS  # eight groups of each class
SETTINGS = SegmentationSettings(30, 8, 1, Augmentation(0.3, 0.3, 0.3))


def drawn():
    """The slices, uint8 (N, S, S), and the masks of their dots, bool."""
    rng = np.random.default_rng(0)
    images, masks = np.zeros((N, SIZE, SIZE), np.uint8), np.zeros((N, SIZE, SIZE), bool)
    for image, mask, target in zip(images, masks, TARGETS, strict=True):
        cv2.ellipse(image, (48, 48), (40, 30), 0, 0, 360, 110, -1)
        noisy = image + rng.normal(0, 4, image.shape) * (image > 0)
        image[:] = noisy.round().clip(0, 255)
        if target:
            dot = np.zeros((SIZE, SIZE), np.uint8)
            place = int(rng.integers(25, 70)), int(rng.integers(45, 62))
            cv2.circle(dot, place, 4, 1, -1)
            mask[:] = dot > 0
            image[mask] = 230
    return images, masks


def network(lesions=(1,)):
    """The patient recipe's network, with U-Nets for the dots, on an untrained backbone."""
    settings = NetworkSettings(
        backbone=SHORT,
        weights="none",
        image_size=SIZE,
        crop_size=SIDE,
        seed=1,
        recipe="patient",
        classes=CLASSES,
        head_units=8,
        dropout=0.1,
        lesions=lesions,
    )
    return builder.build(settings)


def examples(net, images, masks):
    """What the network's U-Nets learn from."""
    crops = lesion_crops.crops_of(net, images, batch=8)
    known = lesion_crops.masks_of(net, images, lambda row: masks[row])
    return Examples(crops, known, np.where(TARGETS == 1, 0, -1), GROUP)

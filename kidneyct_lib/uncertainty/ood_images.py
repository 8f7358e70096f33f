"""Images that a kidney CT model should refuse: what people upload by mistake, drawn or taken.

Some are no CT at all, some are a CT slice corrupted or of the wrong part of the body. All are made
here or come with scikit-learn, so that every study can be tested on them.
"""

import itertools
from collections.abc import Sequence

import cv2
import numpy as np

from kidneyct_lib.data import phantom
from kidneyct_lib.data.image_io import resize, rgb_to_gray
from kidneyct_lib.data.phantom.lesions import CLASSES

_WORDS = ("REPORT", "Patient", "kidney", "CT", "12.04.", "left", "normal", "No.", "cm", "series")


def make(
    slices: np.ndarray,
    count: int,
    *,
    phantom_plane: str | None,
    classes: Sequence[str],
    phantom_size: int,
    seed: int,
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Make images of every kind.

    Out of distribution are "blank", "noise", "pattern", "text", "photograph", "drawn chest",
    "inverted slice", "upside-down slice", "enlarged corner", and phantoms of both planes. Where
    the study is of phantoms, those of its own plane are in distribution instead, from the other
    scanner.

    Parameters
    ----------
    slices
        uint8 (M, S, S), CT slices to corrupt, at least one; taken evenly over their order.
    count
        Images of each kind, at least 1.
    phantom_plane
        "axial" or "coronal" where the study is of phantoms in this plane, else None.
    classes
        The study's classes, which phantoms in distribution show.
    phantom_size
        Pixels at which phantoms are drawn before they are resized to S.
    seed
        Of everything drawn; another than that of a study's own phantoms.

    Returns
    -------
    Images by kind, each uint8 (count, S, S): those out of distribution, to be rejected; and those
    not of the study's making but of its kind, to be accepted.
    """
    size = slices.shape[1]
    rng = np.random.default_rng(seed)

    def phantoms(classes: Sequence[str], plane: str, scanner: str) -> np.ndarray:
        """Slices of these classes in turn, two of each patient."""
        patients = -(-count // (2 * len(classes)))
        spec = phantom.CohortSpec(classes, patients, (2, 2), phantom_size, seed, plane, scanner)
        images = np.stack([resize(one.image, size) for one in phantom.generate(spec)])
        in_turn = np.arange(len(images)).reshape(len(classes), -1).T.ravel()
        return images[in_turn[:count]]

    chosen = slices[np.linspace(0, len(slices) - 1, count).round().astype(int)]
    levels = np.linspace(0, 255, count).astype(np.uint8)
    ood = {
        "blank": np.broadcast_to(levels[:, None, None], (count, size, size)).copy(),
        "photograph": _photographs(rng, size, count),
    }
    drawn = {"noise": _noise, "pattern": _pattern, "text": _text, "drawn chest": _chest}
    ood |= {kind: np.stack([draw(rng, size) for _ in range(count)]) for kind, draw in drawn.items()}
    ood |= {
        "inverted slice": 255 - chosen,
        "upside-down slice": chosen[:, ::-1, ::-1],
        "enlarged corner": np.stack([resize(i[: size // 2, : size // 2], size) for i in chosen]),
    }
    for plane in ("axial", "coronal"):
        if plane != phantom_plane:
            ood[f"{plane} phantom"] = phantoms(CLASSES, plane, "A")
    known = {"other scanner": phantoms(classes, phantom_plane, "B")} if phantom_plane else {}
    return ood, known


def _noise(rng: np.random.Generator, size: int) -> np.ndarray:
    """Normal noise with grains of one pixel up to an eighth of the image."""
    side = max(8, size // 2 ** rng.integers(0, 4))
    grains = rng.normal(rng.uniform(60, 200), rng.uniform(15, 80), (side, side))
    return resize(grains.clip(0, 255).astype(np.uint8), size)


def _pattern(rng: np.random.Generator, size: int) -> np.ndarray:
    """A gradient, stripes or a checkerboard, turned by any angle."""
    angle, period = rng.uniform(0, 2 * np.pi), size / rng.integers(2, 16)
    y, x = np.mgrid[:size, :size] - size / 2
    along = x * np.cos(angle) + y * np.sin(angle)
    across = y * np.cos(angle) - x * np.sin(angle)
    waves = np.sin(2 * np.pi * along / period)
    value = [
        along / np.abs(along).max(),
        np.sign(waves),
        np.sign(waves * np.sin(2 * np.pi * across / period)),
    ][rng.integers(3)]
    return (127.5 + 127.5 * value).round().clip(0, 255).astype(np.uint8)


def _text(rng: np.random.Generator, size: int) -> np.ndarray:
    """Lines of printed words, dark on white or white on dark."""
    page = np.full((size, size), 255, np.uint8)
    scale = size / 224 * rng.uniform(0.4, 1.0)
    step = int(34 * scale) + 2
    for y in range(step, size, step):
        line = " ".join(rng.choice(_WORDS, 8))
        place = (int(rng.integers(2, size // 8)), y)
        cv2.putText(page, line, place, cv2.FONT_HERSHEY_SIMPLEX, scale, 0, 1, cv2.LINE_AA)
    return page if rng.random() < 0.5 else 255 - page


def _chest(rng: np.random.Generator, size: int) -> np.ndarray:
    """A slice through a chest in outline: soft tissue, two black lungs, heart and spine."""
    canvas = np.zeros((size, size), np.uint8)
    middle = size / 2 + rng.uniform(-0.03, 0.03, 2) * size

    def ellipse(dx: float, dy: float, wide: float, high: float, gray: int) -> None:
        center = tuple(int(v) for v in middle + np.array((dx, dy)) * size)
        axes = (int(wide * size), int(high * size))
        cv2.ellipse(canvas, center, axes, rng.uniform(-6, 6), 0, 360, gray, -1, cv2.LINE_AA)

    wide, high = rng.uniform(0.38, 0.46), rng.uniform(0.26, 0.33)
    ellipse(0, 0, wide, high, 130)
    ellipse(0, 0, 0.93 * wide, 0.92 * high, 105)
    for side in (-1, 1):
        ellipse(side * 0.48 * wide, 0, 0.36 * wide, 0.75 * high, int(rng.integers(2, 25)))
    ellipse(0.1 * wide, -0.2 * high, 0.33 * wide, 0.42 * high, 150)
    ellipse(0, 0.62 * high, 0.11 * wide, 0.17 * high, 235)
    grain = rng.normal(0, rng.uniform(3, 10), canvas.shape)
    return (cv2.GaussianBlur(canvas, (0, 0), 1) + grain).round().clip(0, 255).astype(np.uint8)


def _photographs(rng: np.random.Generator, size: int, count: int) -> np.ndarray:
    """Gray squares from anywhere in scikit-learn's two sample photographs, in turn."""
    from sklearn.datasets import load_sample_images  # slow to import

    photographs = [rgb_to_gray(image) for image in load_sample_images().images]
    crops = []
    for image in itertools.islice(itertools.cycle(photographs), count):
        side = int(rng.uniform(1 / 3, 1) * min(image.shape))
        top, left = (int(rng.integers(0, length - side + 1)) for length in image.shape)
        crops.append(resize(image[top : top + side, left : left + side], size))
    return np.stack(crops)

"""What a scanner does to a synthetic slice: view, couch, kernel, noise and window."""

from dataclasses import dataclass

import cv2
import numpy as np

from kidneyct_lib.data.phantom.paint import AIR, Trunk, View

COUCH = 600.0  # HU of the couch's shell, carbon fibre or plastic

# Directions of columns, rows and slices in the person.
AXES = {
    "axial": ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0)),
    "coronal": ((1.0, 0.0, 0.0), (0.0, 0.0, -1.0), (0.0, 1.0, 0.0)),
}

SCANNERS = ("A", "B")

# Ranges from which a series of scanner A, and of scanner B, is drawn: the values of `Series`, and
# the zoom, the field of view over the person's width.
RANGES = {
    "blur": ((0.58, 0.68), (0.4, 0.55)),
    "sharpen": ((0.0, 0.1), (0.5, 0.9)),
    "clump": ((0.8, 0.95), (0.35, 0.5)),
    "noise": ((6.0, 9.0), (18.0, 28.0)),
    # Abdominal windows are about 400 wide at 40; series of the public set differ as much.
    "center": ((38.0, 48.0), (55.0, 75.0)),
    "width": ((355.0, 400.0), (420.0, 500.0)),
    "zoom": ((1.03, 1.1), (1.12, 1.28)),
}


@dataclass(frozen=True)
class Series:
    """One series: its view and what the scanner adds to each slice."""

    view: View
    couch: np.ndarray  # float32 (S, S): cover of the couch, 0 to 1
    blur: float  # standard deviation of the reconstruction kernel, pixels
    sharpen: float  # overshoot of the kernel at edges, 0 for none
    clump: float  # size of the noise's grains, pixels
    noise: float  # standard deviation, HU; drawn for a person of medium size
    streak: float  # how much longer the noise's grains are from side to side
    center: float  # of the window, HU
    width: float  # of the window, HU


def draw_series(
    rng: np.random.Generator, scanner: str, plane: str, trunk: Trunk, size: int
) -> Series:
    """Draw position, field of view, couch, kernel, noise and window of one series."""
    ranges = {name: pair[SCANNERS.index(scanner)] for name, pair in RANGES.items()}
    col, row, normal = np.array(AXES[plane])
    turn = np.radians(rng.normal(0, 1.5))
    col, row = np.cos(turn) * col + np.sin(turn) * row, np.cos(turn) * row - np.sin(turn) * col
    side, front, back = trunk.skin
    zoom = rng.uniform(*ranges["zoom"])
    if plane == "axial":
        field = max(2 * side, 1.25 * (front + back)) * zoom
        center = rng.normal([0, 0.5 * (back - front), 0], [4, 5, 0])
    else:
        field = rng.uniform(400, 440) * zoom**0.3
        center = rng.normal([0, 0, -45], [10, 0, 14])
    pixel = field / size
    view = View(pixel * row, pixel * col, normal, center, size)
    kernel = {key: rng.uniform(*ranges[key]) for key in ("blur", "sharpen", "clump")}
    gap = back - center[1]  # mm from the middle of the image to the person's back
    axial = plane == "axial"
    couch = _couch(rng, scanner, size, pixel, gap) if axial else np.zeros(1, np.float32)
    return Series(
        view,
        couch,
        **kernel,
        noise=rng.uniform(*ranges["noise"]) * side / 150,  # thicker persons let less through
        streak=rng.uniform(1.1, 1.5),
        center=rng.uniform(*ranges["center"]),
        width=rng.uniform(*ranges["width"]),
    )


def develop(rng: np.random.Generator, series: Series, hu: np.ndarray) -> np.ndarray:
    """Turn a slice's Hounsfield values float32 (S, S) into the image uint8 (S, S)."""
    hu = np.maximum(hu, AIR + series.couch * (COUCH - AIR))
    soft = cv2.GaussianBlur(hu, (0, 0), series.blur)
    if series.sharpen:
        soft = soft + np.float32(series.sharpen) * (soft - cv2.GaussianBlur(soft, (0, 0), 1.5))
    soft = soft + np.float32(series.noise) * _noise(rng, series)
    gray = (soft - np.float32(series.center)) * np.float32(255 / series.width) + np.float32(127.5)
    return np.clip(np.rint(gray), 0, 255).astype(np.uint8)


def _noise(rng, series) -> np.ndarray:
    """Correlated noise of standard deviation 1 with little power at low frequencies."""
    size = series.view.size
    white = rng.standard_normal((size, size), dtype=np.float32)
    grains = cv2.GaussianBlur(white, (0, 0), series.clump * series.streak, sigmaY=series.clump)
    grains -= cv2.blur(grains, (9, 9))
    return grains / grains.std()


def _couch(rng, scanner, size, pixel, gap) -> np.ndarray:
    """Cover of the couch, float32 (S, S), its top a few mm under the person's back."""
    cover = np.zeros((size, size), dtype=np.uint8)
    top = size / 2 + (gap + rng.uniform(4, 32)) / pixel
    middle = size / 2 + rng.normal(0, 6) / pixel
    half, dip, thick = rng.uniform([195, 20, 28], [235, 48, 60]) / pixel
    if scanner == "A":  # curved, on struts
        across = np.linspace(-1, 1, 65)
        shell = np.column_stack([middle + half * across, top - dip * across**2])
        low = rng.uniform(0.55, 0.75) * half
        tray = np.column_stack([middle + low * across, top + thick - 0.25 * dip * across**2])
        lines = [shell, tray, *(np.array([shell[end], tray[end]]) for end in (0, -1))]
    else:  # a flat box
        box = np.array([[-1, 0], [1, 0], [0.86, 0.5], [-0.86, 0.5], [-1, 0]])
        lines = [box * [half, thick] + [middle, top]]
    width = max(1, round(2.2 / pixel))
    points = [np.rint(line * 16).astype(np.int32) for line in lines]
    cv2.polylines(cover, points, False, 255, width, cv2.LINE_AA, shift=4)
    return cover.astype(np.float32) / 255

"""What a scanner does to a synthetic slice: view, table, kernel, noise and window."""

from dataclasses import dataclass

import cv2
import numpy as np

from kidneyct_lib.data.phantom.paint import AIR, Trunk, View

TABLE = 600.0  # HU of the table's shell, carbon fibre or plastic

# Directions of columns, rows and slices in the person.
AXES = {
    "axial": ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0)),
    "coronal": ((1.0, 0.0, 0.0), (0.0, 0.0, -1.0), (0.0, 1.0, 0.0)),
}


@dataclass(frozen=True)
class Scanner:
    """Ranges from which each series is drawn.

    Attributes
    ----------
    blur : (float, float)
        Standard deviation of the reconstruction kernel, pixels.
    sharpen : (float, float)
        Overshoot of the kernel at edges, 0 for none.
    noise : (float, float)
        Standard deviation in a person of medium size, HU.
    clump : (float, float)
        Size of the noise's grains, pixels.
    center, width : (float, float)
        Window, HU.
    zoom : (float, float)
        Field of view over the person's width.
    cradle : bool
        A curved table on struts, else a flat box.
    """

    blur: tuple[float, float]
    sharpen: tuple[float, float]
    noise: tuple[float, float]
    clump: tuple[float, float]
    center: tuple[float, float]
    width: tuple[float, float]
    zoom: tuple[float, float]
    cradle: bool


SCANNERS = {
    # Abdominal windows are about 400 wide at 40; series of the public set differ as much.
    "A": Scanner(
        blur=(0.58, 0.68),
        sharpen=(0.0, 0.1),
        noise=(6.0, 9.0),
        clump=(0.8, 0.95),
        center=(38.0, 48.0),
        width=(355.0, 400.0),
        zoom=(1.03, 1.1),
        cradle=True,
    ),
    "B": Scanner(
        blur=(0.4, 0.55),
        sharpen=(0.5, 0.9),
        noise=(18.0, 28.0),
        clump=(0.35, 0.5),
        center=(55.0, 75.0),
        width=(420.0, 500.0),
        zoom=(1.12, 1.28),
        cradle=False,
    ),
}


@dataclass(frozen=True)
class Series:
    """One series: its view and what the scanner adds to each slice.

    Attributes
    ----------
    view : View
    table : float32 (S, S)
        Cover of the table, 0 to 1.
    blur, sharpen, noise, clump, center, width : float
        As in Scanner, drawn.
    streak : float
        How much longer the noise's grains are from side to side.
    """

    view: View
    table: np.ndarray
    blur: float
    sharpen: float
    noise: float
    clump: float
    streak: float
    center: float
    width: float


def draw_series(
    rng: np.random.Generator, scanner: Scanner, plane: str, trunk: Trunk, size: int
) -> Series:
    """Draw position, field of view, table, kernel, noise and window of one series."""
    col, row, normal = (np.array(axis) for axis in AXES[plane])
    turn = np.radians(rng.normal(0, 1.5))
    col, row = np.cos(turn) * col + np.sin(turn) * row, np.cos(turn) * row - np.sin(turn) * col
    side, front, back = trunk.skin
    zoom = rng.uniform(*scanner.zoom)
    if plane == "axial":
        field = max(2 * side, 1.25 * (front + back)) * zoom
        center = np.array([0.0, 0.5 * (back - front), 0.0]) + rng.normal(0, [4, 5, 0])
    else:
        field = rng.uniform(400, 440) * zoom**0.3
        center = np.array([0.0, 0.0, -45.0]) + rng.normal(0, [10, 0, 14])
    pixel = field / size
    view = View(pixel * row, pixel * col, normal, center, size)
    draws = {key: rng.uniform(*getattr(scanner, key)) for key in ("blur", "sharpen", "clump")}
    gap = back - center[1]  # mm from the middle of the image to the person's back
    table = _table(rng, scanner, size, pixel, gap) if plane == "axial" else np.zeros(1, np.float32)
    return Series(
        view,
        table,
        **draws,
        noise=rng.uniform(*scanner.noise) * side / 150,  # thicker persons let less through
        streak=rng.uniform(1.1, 1.5),
        center=rng.uniform(*scanner.center),
        width=rng.uniform(*scanner.width),
    )


def develop(rng: np.random.Generator, series: Series, hu: np.ndarray) -> np.ndarray:
    """Turn a slice's Hounsfield values float32 (S, S) into the image uint8 (S, S)."""
    hu = np.maximum(hu, AIR + series.table * (TABLE - AIR))
    soft = cv2.GaussianBlur(hu, (0, 0), series.blur)
    if series.sharpen:
        soft += np.float32(series.sharpen) * (soft - cv2.GaussianBlur(soft, (0, 0), 1.5))
    soft += np.float32(series.noise) * _noise(rng, series)
    gray = (soft - np.float32(series.center)) * np.float32(255 / series.width) + np.float32(127.5)
    return np.clip(np.rint(gray), 0, 255).astype(np.uint8)


def _noise(rng, series) -> np.ndarray:
    """Correlated noise of standard deviation 1 with little power at low frequencies."""
    size = series.view.size
    white = rng.standard_normal((size, size), dtype=np.float32)
    grains = cv2.GaussianBlur(
        white, (0, 0), sigmaX=series.clump * series.streak, sigmaY=series.clump
    )
    grains -= cv2.blur(grains, (9, 9))
    return grains / grains.std()


def _table(rng, scanner, size, pixel, gap) -> np.ndarray:
    """Cover of the table, float32 (S, S), its top a few mm under the person's back."""
    cover = np.zeros((size, size), dtype=np.uint8)
    top = size / 2 + (gap + rng.uniform(4, 32)) / pixel
    middle = size / 2 + rng.normal(0, 6) / pixel
    half = rng.uniform(195, 235) / pixel
    across = np.linspace(-1, 1, 65)
    dip = rng.uniform(20, 48) / pixel
    thick = rng.uniform(28, 60) / pixel
    if scanner.cradle:
        shell = np.column_stack([middle + half * across, top - dip * across**2])
        low = rng.uniform(0.55, 0.75)
        tray = top + thick - 0.25 * dip * across**2
        lines = [shell, np.column_stack([middle + low * half * across, tray])]
        for sign in (-1, 1):
            ends = [[middle + sign * half, top - dip], [middle + sign * low * half, tray[0]]]
            lines.append(np.array(ends))
    else:
        box = np.array([[-1, 0], [1, 0], [0.86, 0.5], [-0.86, 0.5], [-1, 0]])
        lines = [box * [half, thick] + [middle, top]]
    width = max(1, round(2.2 / pixel))
    for line in lines:
        points = np.rint(line * 16).astype(np.int32)
        cv2.polylines(cover, [points], False, 255, width, cv2.LINE_AA, shift=4)
    return cover.astype(np.float32) / 255

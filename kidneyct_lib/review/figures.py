"""Figures of two runs, before and after, with a picture of where they differ."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from kidneyct_lib.core.errors import StudyError

_PALE = 0.25
"""Share of the figure's own darkness that the difference picture keeps behind the marks."""

_MARK = np.array([200, 0, 90], np.float32)
"""Colour of a pixel that differs fully, red and blue enough for any kind of sight."""

_FAINTEST = 0.35
"""A pixel that differs by one level is marked at least so strongly, or nobody would see it."""


@dataclass(frozen=True)
class FigureChange:
    """A figure that differs.

    Attributes
    ----------
    name, state
        "figures/<name>.png" without folder and ending; "changed", "added" or "removed".
    before, after
        Files of the figure; None where a run lacks it.
    share
        Share of the pixels that differ, 0 to 1; 1 where one side lacks it.
    """

    name: str
    state: str
    before: Path | None
    after: Path | None
    share: float = 1.0


def figure_changes(before: Path, after: Path) -> tuple[list[FigureChange], int | None]:
    """Compare the figures of two run folders, pixel by pixel.

    Returns
    -------
    Those that differ, and how many are equal; nothing and None if a folder keeps no figures.

    Raises
    ------
    StudyError
        If a file is no picture.
    """
    sides = [{path.stem: path for path in _figures(folder)} for folder in (before, after)]
    if not all(sides):
        return [], None
    changes, same = [], 0
    for name in sorted(sides[0] | sides[1]):
        one, other = (side.get(name) for side in sides)
        if one is None or other is None:
            changes.append(FigureChange(name, "removed" if one else "added", one, other))
        elif share := _share_of_pixels(one, other):
            changes.append(FigureChange(name, "changed", one, other, share))
        else:
            same += 1
    return changes, same


def _figures(folder: Path) -> Iterator[Path]:
    return folder.glob("figures/[!.]*.png")


def _share_of_pixels(before: Path, after: Path) -> float:
    if before.read_bytes() == after.read_bytes():
        return 0.0
    return float(_apart(*on_one_canvas(before, after)).astype(bool).mean())


def difference_picture(before: Image.Image, after: Image.Image) -> Image.Image:
    """Mark each pixel that differs, the stronger the more, on a pale copy of the figure after.

    Parameters
    ----------
    before, after
        RGB pictures of one size, as from `on_one_canvas`.
    """
    apart = _apart(before, after)
    gray = np.asarray(after, np.float32).mean(axis=2, keepdims=True)
    paper = 255 - _PALE * (255 - gray)
    strength = np.where(apart > 0, _FAINTEST + (1 - _FAINTEST) * apart / 255, 0)[..., None]
    return Image.fromarray((paper * (1 - strength) + _MARK * strength).astype(np.uint8))


def _apart(before: Image.Image, after: Image.Image) -> np.ndarray:
    """Largest difference of the three colours of each pixel, 0 to 255, float32 (H, W)."""
    one, other = (np.asarray(picture, np.float32) for picture in (before, after))
    return np.abs(one - other).max(axis=2)


def on_one_canvas(*files: Path) -> list[Image.Image]:
    """Read pictures in one size, that of the largest: white where one has no pixel.

    Raises
    ------
    StudyError
        If a file is no picture.
    """
    pictures = [read(file) for file in files]
    width = max(picture.width for picture in pictures)
    height = max(picture.height for picture in pictures)
    canvases = [Image.new("RGB", (width, height), "white") for _ in pictures]
    for canvas, picture in zip(canvases, pictures, strict=True):
        canvas.paste(picture)
    return canvases


def read(file: Path) -> Image.Image:
    """Read a figure as RGB, on white where it is transparent.

    Raises
    ------
    StudyError
        If it is no picture that can be read.
    """
    try:
        with Image.open(file) as picture:
            whole = picture.convert("RGBA")
    except (OSError, ValueError, Image.DecompressionBombError) as error:
        raise StudyError(f"{file} can't be read as a picture ({error}); draw it anew.") from None
    white = Image.new("RGBA", whole.size, "white")
    return Image.alpha_composite(white, whole).convert("RGB")

"""Image files to 8-bit gray: one path for training, test and external images.

Pillow decodes JPEG, PNG and TIFF, pydicom decodes DICOM, OpenCV turns colour to gray, gray to
RGB, and resizes. The format is decided by the content of a file, never by its suffix.
"""

import re
import warnings
from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from PIL import Image, ImageOps
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile
from PIL.TiffImagePlugin import TiffImageFile

from kidneyct_lib.core.errors import ImageError
from kidneyct_lib.data.hounsfield import SOFT_TISSUE, Window, apply_window

Source = Path | str | bytes

PIXEL_LIMIT = 8192 * 8192
"""Largest accepted width x height; a CT slice has 512 x 512 to 2048 x 2048 pixels."""

SUFFIXES = frozenset({".bmp", ".dcm", ".gif", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp"})
"""Suffixes that promise an image, also of formats that are refused when read."""

_HEAD_BYTES = 132  # from the start of a file that `format_of` needs
_MOST_BYTES = 2**30  # of a file that may be a slice

# Opened by class: Image.open's own guard against huge images only warns below twice its limit.
_READERS: dict[str, tuple[Callable[[BytesIO], Image.Image], tuple[bytes, ...]]] = {
    "JPEG": (JpegImageFile, (b"\xff\xd8\xff",)),
    "PNG": (PngImageFile, (b"\x89PNG\r\n\x1a\n",)),
    "TIFF": (TiffImageFile, (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")),
}
"""{format: (its reader, what its files may begin with)}."""

# Old archives leave out the preamble: a file begins with its meta group or with group 8.
_DICOM_START = re.compile(
    rb"\x02\0[\0-\x02]\0(UL|OB|UI)|\x08\0[\0-\x18]\0((UL|CS|UI|DA|TM)|[\0-\x40]\0\0\0)", re.DOTALL
)
_PNG_END = b"IEND\xaeB`\x82"
_TIFF_PHOTOMETRIC, _TIFF_SAMPLE_FORMAT = 262, 339
_WHITE_IS_ZERO, _SIGNED = 0, 2


class Picture(NamedTuple):
    """A decoded image file.

    Attributes
    ----------
    pixels : uint8 array (H, W) or (H, W, 3)
        Gray or RGB, as stored.
    warning : str
        Why this may not be a CT slice in its true gray levels; "" where nothing says so.
    """

    pixels: np.ndarray
    warning: str = ""

    @property
    def gray(self) -> np.ndarray:
        """Gray uint8 (H, W): colour weighed as in ITU-R BT.601."""
        return self.pixels if self.pixels.ndim == 2 else rgb_to_gray(self.pixels)

    @property
    def rgb(self) -> np.ndarray:
        """RGB uint8 (H, W, 3): three equal channels of gray."""
        return gray_to_rgb(self.pixels) if self.pixels.ndim == 2 else self.pixels


def read(source: Source, *, window: Window | None = None) -> Picture:
    """Decode an image file as it is stored, with what may be wrong about it.

    All is as in `read_gray`, errors too, but for the gray step.
    """
    if isinstance(source, bytes):
        with quiet_decoders():
            return _decode(source, window)
    try:
        return read(read_file(Path(source)), window=window)
    except ImageError as error:
        raise ImageError(f"{source}: {error}") from error


def read_gray(source: Source, *, window: Window | None = None) -> np.ndarray:
    """Decode an image file to 8-bit gray.

    Colour is weighed by OpenCV (ITU-R BT.601: 0.299 R + 0.587 G + 0.114 B), so an image with
    three equal channels gives that channel. Transparent pixels are laid on black and the EXIF
    orientation is obeyed. A file of several pages or frames is refused, since its first one is
    seldom the slice that is meant.

    Unsigned values of more than 8 bits are scaled by the smallest common bit depth (8, 10, 12,
    14, 16) that holds their maximum. Signed TIFF values and rescaled CT values of a DICOM file are
    Hounsfield units and are windowed; a DICOM file's own window counts before the soft-tissue
    window. `kidneyct_lib.data.dicom` tells which DICOM files are read.

    Parameters
    ----------
    source : path or bytes
        A JPEG, PNG, TIFF or DICOM file, or its content.
    window : (center, width), optional
        Window in Hounsfield units, in place of the file's own; no effect on display values.

    Returns
    -------
    uint8 array (H, W)
        Gray values, 0 black to 255 white.

    Raises
    ------
    ImageError
        If the file is missing, empty, cut short, too large, or of a kind that can't be read.
        The message names the file where `source` is a path.
    """
    return read(source, window=window).gray


def read_color(source: Source) -> np.ndarray:
    """Decode an image file to RGB uint8 (H, W, 3) as it is stored, without the gray step.

    Gray files get three equal channels. Everything else is as in `read_gray`, errors too.
    """
    return read(source).rgb


def rgb_to_gray(rgb: np.ndarray) -> np.ndarray:
    """Gray uint8 (H, W) of RGB uint8 (H, W, 3), weighed as in ITU-R BT.601."""
    return cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY)


def gray_to_rgb(gray: np.ndarray) -> np.ndarray:
    """RGB uint8 (..., H, W, 3) with three equal channels from gray uint8 (..., H, W)."""
    if gray.size == 0:
        return np.empty((*gray.shape, 3), gray.dtype)
    rows = gray.reshape(-1, gray.shape[-1])
    return cv2.cvtColor(rows, cv2.COLOR_GRAY2RGB).reshape(*gray.shape, 3)


def resize(image: np.ndarray, size: int) -> np.ndarray:
    """Squash an image to a square, as the published recipe does: the aspect is not kept.

    Parameters
    ----------
    image : uint8 array (H, W) or (H, W, 3)
        Gray or RGB.
    size : int
        Side of the square, in pixels.

    Returns
    -------
    uint8 array (size, size) or (size, size, 3)
        Area-averaged along a side that shrinks, linearly interpolated along one that grows.
    """
    height, width = image.shape[:2]
    # OpenCV's INTER_AREA averages only where neither side grows, so shrinking goes first.
    shrunk = cv2.resize(image, (min(width, size), min(height, size)), interpolation=cv2.INTER_AREA)
    return cv2.resize(shrunk, (size, size), interpolation=cv2.INTER_LINEAR)


def format_of(data: bytes) -> str | None:
    """Name of the format that the content of a file shows; None if it is not read here."""
    if data[128:132] == b"DICM" or _DICOM_START.match(data):
        return "DICOM"
    return next((kind for kind, (_, magic) in _READERS.items() if data.startswith(magic)), None)


def quiet_decoders() -> AbstractContextManager[None]:
    """Keep the decoders' warnings off the screen; what is wrong with an image raises instead.

    The filters of `warnings` belong to the whole process: who decodes in several threads holds
    this around the pool, since each thread's own entry and exit may cross another's.
    """
    return warnings.catch_warnings(action="ignore")


def read_file(path: Path) -> bytes:
    """Content of an image file; the first bytes alone of a file that is no image.

    Raises
    ------
    ImageError
        If there is none, it can't be read, or it is larger than any slice.
    """
    if path.is_dir():
        raise ImageError("this is a folder; give one image file.")
    if path.exists() and not path.is_file():
        raise ImageError("this is a device or a pipe; give an image file.")
    try:
        with path.open("rb") as file:
            head = file.read(_HEAD_BYTES)
            size = path.stat().st_size
            if format_of(head) and size > _MOST_BYTES:
                raise ImageError(f"the file has {size / 1e9:.1f} GB; give one of a single slice.")
            return head + file.read() if format_of(head) else head
    except FileNotFoundError:
        raise ImageError("there is no such file; check the path.") from None
    except OSError as error:
        raise ImageError(f"the file can't be read ({error.strerror}).") from error


def _decode(data: bytes, window: Window | None) -> Picture:
    if not data:
        raise ImageError("the file is empty; copy or download it again.")
    kind = format_of(data)
    if kind is None:
        raise ImageError(
            f"this is not a JPEG, PNG, TIFF or DICOM image (it begins with {data[:8]!r}); "
            "save it as one of these."
        )
    try:
        if kind == "DICOM":
            from kidneyct_lib.data import (
                dicom,
            )  # slow to import, and most studies hold no such file

            decode_jpeg = partial(_decode_raster, kind="JPEG", window=None)
            return Picture(
                *dicom.decode(data, window, decode_jpeg=decode_jpeg, check_size=_check_size)
            )
        return Picture(_decode_raster(data, kind, window))
    except ImageError:
        raise
    # Decoders meet damaged bytes with errors of every kind: OSError, SyntaxError, struct.error...
    except Exception as error:
        raise ImageError(
            f"the {kind} image is damaged, cut short or of an unknown variant "
            f"({str(error).partition(chr(10))[0]}); "
            "copy or export it again."
        ) from error


def _check_size(width: int, height: int) -> None:
    if width * height > PIXEL_LIMIT:
        raise ImageError(
            f"the image has {width} x {height} = {width * height:,} pixels, above the limit of "
            f"{PIXEL_LIMIT:,}; scale it down."
        )


def _decode_raster(data: bytes, kind: str, window: Window | None) -> np.ndarray:
    if kind == "PNG" and _PNG_END not in data:  # Pillow needs only the pixels to be complete
        raise ImageError("the PNG image is cut short; copy or export it again.")
    reader, _ = _READERS[kind]
    image = reader(BytesIO(data))
    _check_size(*image.size)
    if (pages := getattr(image, "n_frames", 1)) > 1:
        raise ImageError(f"the {kind} file holds {pages} pages; save one file per slice.")
    tags = getattr(image, "tag_v2", {})
    image = ImageOps.exif_transpose(image)
    if image.mode == "F":
        raise ImageError(
            "floating-point pixels have no known scale; save Hounsfield units as a signed 16-bit "
            "TIFF, or gray values as an 8- or 16-bit PNG."
        )
    if not image.mode.startswith("I"):
        if image.has_transparency_data:
            black = Image.new("RGBA", image.size, "black")
            image = Image.alpha_composite(black, image.convert("RGBA"))
        return np.array(image.convert("L" if image.mode in ("1", "L") else "RGB"))
    values = np.asarray(image)
    if values.min() < 0 or _SIGNED in tags.get(_TIFF_SAMPLE_FORMAT, ()):
        return apply_window(values, *(window or SOFT_TISSUE))
    gray = _scale_unsigned(values)
    return 255 - gray if tags.get(_TIFF_PHOTOMETRIC) == _WHITE_IS_ZERO else gray


def _scale_unsigned(values: np.ndarray) -> np.ndarray:
    """Gray uint8 from unsigned values of the smallest common bit depth that holds them."""
    top = int(values.max())
    bits = next((bits for bits in (8, 10, 12, 14, 16) if top < 2**bits), None)
    if bits is None:
        raise ImageError(f"the values reach {top:,}, more than 16 bits hold; save it as 16-bit.")
    return np.rint(values * (255 / (2**bits - 1))).astype(np.uint8)

"""Image files to 8-bit gray: one path for training, test and external images.

Pillow decodes JPEG, PNG and TIFF, pydicom decodes DICOM, OpenCV turns colour to gray, gray to
RGB, and resizes. The format is decided by the content of a file, never by its suffix.
"""

import warnings
from collections.abc import Callable
from contextlib import AbstractContextManager
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np
from PIL import Image, ImageOps
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile
from PIL.TiffImagePlugin import TiffImageFile

from kidneyct_lib.core.errors import StudyError

if TYPE_CHECKING:
    from pydicom import Dataset

Source = Path | str | bytes
Window = tuple[float, float]

SOFT_TISSUE: Window = (40.0, 400.0)
"""Centre and width, in Hounsfield units, of the usual abdominal window."""

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

_PNG_END = b"IEND\xaeB`\x82"
_TIFF_PHOTOMETRIC, _TIFF_SAMPLE_FORMAT = 262, 339
_WHITE_IS_ZERO, _SIGNED = 0, 2


class ImageError(StudyError):
    """A file that can't be used as an image; the message says what is wrong and what to do."""


def read_gray(source: Source, *, window: Window | None = None) -> np.ndarray:
    """Decode an image file to 8-bit gray.

    Colour is weighed by OpenCV (ITU-R BT.601: 0.299 R + 0.587 G + 0.114 B), so an image with
    three equal channels gives that channel. Transparent pixels are laid on black and the EXIF
    orientation is obeyed. Of a multi-page TIFF or an animated PNG the first page is taken; a
    multi-frame DICOM file is refused, since its first frame is seldom the slice that is meant.

    Unsigned values of more than 8 bits are scaled by the smallest common bit depth (8, 10, 12,
    14, 16) that holds their maximum. Signed TIFF values and DICOM values are Hounsfield units and
    are windowed; a DICOM file's own window counts before the soft-tissue window.

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
    pixels = _read(source, window)
    return pixels if pixels.ndim == 2 else rgb_to_gray(pixels)


def read_color(source: Source) -> np.ndarray:
    """Decode an image file to RGB uint8 (H, W, 3) as it is stored, without the gray step.

    Gray files get three equal channels. Everything else is as in `read_gray`, errors too.
    """
    pixels = _read(source, None)
    return gray_to_rgb(pixels) if pixels.ndim == 2 else pixels


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


def apply_window(hounsfield: np.ndarray, center: float, width: float) -> np.ndarray:
    """Window Hounsfield units to gray: DICOM PS3.3 C.11.2.1.2.1, the LINEAR function.

    An array of any shape gives a uint8 array of the same: 0 at and below the window's lower end,
    255 at and above its upper end. ValueError if `width` is not above 1.
    """
    if not width > 1:
        raise ValueError(f"window width {width} is not above 1")
    share = (np.asarray(hounsfield, np.float64) - (center - 0.5)) / (width - 1) + 0.5
    return np.rint(255 * share.clip(0, 1)).astype(np.uint8)


def format_of(data: bytes) -> str | None:
    """Name of the format that the content of a file shows; None if it is not read here."""
    if data[128:132] == b"DICM":
        return "DICOM"
    return next((kind for kind, (_, magic) in _READERS.items() if data.startswith(magic)), None)


def quiet_decoders() -> AbstractContextManager[None]:
    """Keep the decoders' warnings off the screen; what is wrong with an image raises instead.

    The filters of `warnings` belong to the whole process: who decodes in several threads holds
    this around the pool, since each thread's own entry and exit may cross another's.
    """
    return warnings.catch_warnings(action="ignore")


def _read(source: Source, window: Window | None) -> np.ndarray:
    """Gray uint8 (H, W) or RGB uint8 (H, W, 3); a path's errors begin with the path."""
    if isinstance(source, bytes):
        with quiet_decoders():
            return _decode(source, window)
    try:
        return _read(read_file(Path(source)), window)
    except ImageError as error:
        raise ImageError(f"{source}: {error}") from error


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


def _decode(data: bytes, window: Window | None) -> np.ndarray:
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
            return _decode_dicom(data, window)
        return _decode_raster(data, kind, window)
    except ImageError:
        raise
    # Decoders meet damaged bytes with errors of every kind: OSError, SyntaxError, struct.error...
    except Exception as error:
        raise ImageError(
            f"the {kind} image is damaged, cut short or of an unknown variant ({error}); "
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


def _decode_dicom(data: bytes, window: Window | None) -> np.ndarray:
    import pydicom  # slow to import, and most studies hold no DICOM file

    dataset = pydicom.dcmread(BytesIO(data))
    if "PixelData" not in dataset:
        raise ImageError(
            f"the DICOM file ({dataset.get('Modality', 'no modality')}) holds no image or is cut "
            "short; export the image series."
        )
    _check_size(dataset.Columns, dataset.Rows)
    frames = int(dataset.get("NumberOfFrames") or 1)
    if frames > 1:
        raise ImageError(f"the DICOM file holds {frames} frames; export one file per slice.")
    try:
        pixels = dataset.pixel_array
    except (NotImplementedError, RuntimeError) as error:  # a compression without an installed codec
        syntax = dataset.file_meta.TransferSyntaxUID.name
        raise ImageError(
            f"the DICOM compression '{syntax}' can't be decoded here; decompress the file first, "
            "for example with 'gdcmconv --raw IN OUT'."
        ) from error
    if pixels.ndim == 3 and pixels.dtype == np.uint8:
        return pixels
    if not dataset.PhotometricInterpretation.startswith("MONOCHROME"):
        raise ImageError(
            f"DICOM colours of the kind {dataset.PhotometricInterpretation} with "
            f"{dataset.BitsStored} bits are not read; export the image as PNG."
        )
    gray = _dicom_gray(dataset, pixels, window)
    return 255 - gray if dataset.PhotometricInterpretation == "MONOCHROME1" else gray


def _dicom_gray(dataset: "Dataset", pixels: np.ndarray, window: Window | None) -> np.ndarray:
    from pydicom.pixels import apply_modality_lut

    window = window or _dicom_window(dataset)
    rescaled = "RescaleSlope" in dataset or "ModalityLUTSequence" in dataset
    if window is None and not rescaled and pixels.dtype == np.uint8:
        return pixels  # a screenshot: already display values
    return apply_window(apply_modality_lut(pixels, dataset), *(window or SOFT_TISSUE))


def _dicom_window(dataset: "Dataset") -> Window | None:
    """First window of the tags, or None where there is no usable one."""
    first = [np.atleast_1d(dataset.get(name, ()))[:1] for name in ("WindowCenter", "WindowWidth")]
    if any(values.size == 0 or values[0] in (None, "") for values in first):
        return None
    center, width = (float(values[0]) for values in first)
    return (center, width) if width > 1 else None

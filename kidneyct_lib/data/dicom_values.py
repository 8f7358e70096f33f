"""Values of a DICOM file's pixels as they are stored, decompressed where they are compressed."""

import re
import struct
from collections.abc import Callable

import numpy as np
from pydicom import Dataset
from pydicom.encaps import generate_frames
from pydicom.pixels import pixel_array
from pydicom.uid import (
    JPEG2000,
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGLossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    JPEGLSNearLossless,
    RLELossless,
)

from kidneyct_lib.core.errors import ImageError

_JPEG_FRAME = re.compile(rb"\xff[\xc3\xf7]..(.{6})", re.DOTALL)  # of JPEG lossless and JPEG-LS
_JPEG_2000_HEAD = re.compile(rb"\xff\x4f\xff\x51.{4}(.{34})", re.DOTALL)  # Xsiz to Csiz

DecodeJpeg = Callable[[bytes], np.ndarray]
"""Gray uint8 (H, W) or RGB uint8 (H, W, 3) of a JPEG file's content."""

_PLAIN = {
    ImplicitVRLittleEndian,
    ExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    DeflatedExplicitVRLittleEndian,
}
_COLOR = _PLAIN | {RLELossless}
_GRAY = _COLOR | {
    JPEGLossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    JPEGLSNearLossless,
    JPEG2000Lossless,
    JPEG2000,
}


def grays(dataset: Dataset, decode_jpeg: DecodeJpeg) -> np.ndarray:
    """Integers (H, W) as stored, before any rescaling.

    Raises
    ------
    ImageError
        If the bits are of another kind, the compression is none that is read, the stream does not
        fit the tags, or there are several frames.
    """
    bits, stored = int(dataset.BitsAllocated), int(dataset.BitsStored)
    if bits not in (8, 16, 32) or not 0 < stored <= bits:
        raise ImageError(
            f"DICOM values of {stored} bits in {bits} are not read; export the image as PNG."
        )
    if int(dataset.get("HighBit", stored - 1)) != stored - 1:
        raise ImageError(
            "the DICOM values don't begin at their lowest bit (HighBit); export the image as PNG."
        )
    syntax = UID(dataset.file_meta.TransferSyntaxUID)
    if syntax == JPEGBaseline8Bit and bits == 8:
        return _of_size(decode_jpeg(_fragment(dataset)), dataset)
    if syntax not in _GRAY:
        raise ImageError(
            f"the DICOM compression '{syntax.name}' can't be decoded here; decompress the file "
            "first, for example with 'gdcmconv --raw IN OUT'."
        )
    if syntax not in _COLOR:
        _check_stream(dataset, syntax)
    return _of_one_frame(pixel_array(dataset), 2)


def colors(dataset: Dataset, photometric: str, samples: int, decode_jpeg: DecodeJpeg) -> np.ndarray:
    """RGB uint8 (H, W, 3).

    Raises
    ------
    ImageError
        If the colours are of another kind or compression, or there are several frames.
    """
    syntax = dataset.file_meta.TransferSyntaxUID
    if samples == 3 and dataset.BitsAllocated == 8:
        if syntax == JPEGBaseline8Bit and photometric.startswith("YBR_FULL"):
            return _of_size(decode_jpeg(_fragment(dataset)), dataset)
        if syntax in _COLOR and photometric == "RGB":
            return _of_one_frame(pixel_array(dataset), 3)
    raise ImageError(
        f"DICOM colours of the kind {photometric} with {dataset.BitsAllocated} bits, stored as "
        f"{syntax.name}, are not read; export the image as PNG."
    )


def _of_one_frame(values: np.ndarray, dimensions: int) -> np.ndarray:
    if values.ndim != dimensions:
        raise ImageError(f"the DICOM file holds {len(values)} frames; export one file per slice.")
    return values


def _check_stream(dataset: Dataset, syntax: UID) -> None:
    """Compare a compressed stream's own head with the tags: GDCM trusts both, and may crash."""
    stream = _fragment(dataset)
    if syntax in (JPEG2000, JPEG2000Lossless):
        found = _JPEG_2000_HEAD.match(stream)
        right, bottom, left, top, parts = struct.unpack(">4I16xH", found[1]) if found else [0] * 5
        rows, columns, bits = bottom - top, right - left, int(dataset.BitsStored)
    else:
        found = _JPEG_FRAME.search(stream)
        bits, rows, columns, parts = struct.unpack(">BHHB", found[1]) if found else [0] * 4
    allocated, stored = int(dataset.BitsAllocated), int(dataset.BitsStored)
    whole = stored == 8 and bits <= 8 if allocated == 8 else allocated == 16 and 8 < bits <= 16
    sizes = (rows, columns, parts) == (dataset.Rows, dataset.Columns, 1)
    if not (sizes and whole):
        raise ImageError("the DICOM file's compressed pixels don't fit its tags; export it again.")


def _fragment(dataset: Dataset) -> bytes:
    return next(generate_frames(dataset.PixelData, number_of_frames=1))


def _of_size(pixels: np.ndarray, dataset: Dataset) -> np.ndarray:
    if pixels.shape[:2] != (dataset.Rows, dataset.Columns):
        raise ImageError("the picture in the DICOM file is of another size than its tags say.")
    return pixels

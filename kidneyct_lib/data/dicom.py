"""DICOM slices to 8-bit pictures: Hounsfield units only where the tags show that they are.

The page has the same rules in web/src/decode/; web/e2e/decoding.spec.ts compares the two, file by
file.
"""

import math
from collections.abc import Callable
from io import BytesIO
from typing import Any

import numpy as np
from pydicom import Dataset, dcmread
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian

from kidneyct_lib.core.errors import ImageError
from kidneyct_lib.data import dicom_values, hounsfield
from kidneyct_lib.data.dicom_values import DecodeJpeg
from kidneyct_lib.data.hounsfield import SOFT_TISSUE, Window

_HOUNSFIELD_TYPES = {"", "HU", "HU_MOD"}
_UNSPECIFIED = "US"  # some scanners say so of Hounsfield units
_SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"
_AIR_TO_BONE = (-500, 300)  # what 8 bits must reach to be more than a picture for the screen
_SCANNED = (-1024, 3071)  # HU that a scanner's 12 bits hold; padding lies beyond
_BELOW_ANY_WINDOW = -(2.0**31)
_EXPORT = "export the CT series anew from where it is stored, or save the picture as 8-bit PNG."

# Where an Enhanced CT file tells of its frames what other files tell at their top.
_GROUPS = ("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence")
_HOLDERS = {
    "RescaleSlope": "PixelValueTransformationSequence",
    "RescaleIntercept": "PixelValueTransformationSequence",
    "RescaleType": "PixelValueTransformationSequence",
    "WindowCenter": "FrameVOILUTSequence",
    "WindowWidth": "FrameVOILUTSequence",
    "VOILUTFunction": "FrameVOILUTSequence",
}


def decode(
    data: bytes,
    window: Window | None,
    *,
    decode_jpeg: DecodeJpeg,
    check_size: Callable[[int, int], None],
) -> tuple[np.ndarray, str]:
    """Decode a file of one slice.

    CT values with a numeric rescale are Hounsfield units, whatever the photometric interpretation,
    and are shown in a window. Of an Enhanced CT file with one frame the functional groups count
    where the slice itself has no such tag. Values in 8 bits are a picture for the screen,
    shown as they are, unless their rescale reaches from air to bone. All else is refused.

    Parameters
    ----------
    data : bytes
        Content of the file, with or without the preamble of 128 bytes.
    window : (center, width) or None
        Window in place of the file's own; where it has none either, the soft-tissue window.
    decode_jpeg : callable
        Gray uint8 (H, W) or RGB uint8 (H, W, 3) of a JPEG file's content.
    check_size : callable
        Called with width and height before any pixel is decoded; raises ImageError.

    Returns
    -------
    pixels : uint8 array (H, W) or (H, W, 3)
        Gray or RGB.
    warning : str
        Why these may not be the true gray levels of a CT slice; "" where nothing says so.

    Raises
    ------
    ImageError
        If there are no pixels, several frames, values that can't be Hounsfield units, a compression
        that is not read, or colours of a kind that is not.
    """
    dataset = _parsed(data)
    if "PixelData" not in dataset:
        raise ImageError(
            f"the DICOM file ({dataset.get('Modality') or 'no modality'}) holds no image or is cut "
            "short; export the image series."
        )
    check_size(dataset.Columns, dataset.Rows)
    frames = int(dataset.get("NumberOfFrames") or 1)
    if frames > 1:
        raise ImageError(f"the DICOM file holds {frames} frames; export one file per slice.")
    photometric = str(dataset.get("PhotometricInterpretation") or "unnamed")
    samples = int(dataset.get("SamplesPerPixel") or 1)
    if samples == 1 and photometric.startswith("MONOCHROME"):
        return _gray(dataset, decode_jpeg, photometric, window)
    return dicom_values.colors(dataset, photometric, samples, decode_jpeg), ""


def patient_id(data: bytes) -> str:
    """PatientID of a file's content; "" if it has none or is damaged."""
    try:
        dataset = dcmread(BytesIO(data), force=True, specific_tags=["PatientID"])
        return str(dataset.get("PatientID") or "").strip()
    except Exception:  # a damaged file meets the parser with errors of every kind
        return ""


def place_in_series(data: bytes) -> tuple[str, float]:
    """SeriesInstanceUID and position of a slice along its series; ("", 0.0) of a damaged file.

    The position is in mm along the normal of the slices (DICOM PS3.3 C.7.6.2.1.1), or the
    instance number where none is told.
    """
    names = ("ImagePositionPatient", "ImageOrientationPatient", "InstanceNumber")
    try:
        dataset = dcmread(BytesIO(data), force=True, specific_tags=["SeriesInstanceUID", *names])
        corner, axes, number = (dataset.get(name) for name in names)
        if corner and axes:
            x, y = np.reshape([float(value) for value in axes], (2, 3))
            position = float(np.cross(x, y) @ [float(value) for value in corner])
        else:
            position = float(number or 0)
        return str(dataset.get("SeriesInstanceUID") or ""), position
    except Exception:  # a damaged file meets the parser with errors of every kind
        return "", 0.0


def _parsed(data: bytes) -> Dataset:
    dataset = dcmread(BytesIO(data), force=True)  # forced: old archives have no preamble
    if "TransferSyntaxUID" not in dataset.file_meta:
        implicit, _ = dataset.original_encoding
        syntax = ImplicitVRLittleEndian if implicit else ExplicitVRLittleEndian
        dataset.file_meta.TransferSyntaxUID = syntax
    return dataset


def _gray(
    dataset: Dataset, decode_jpeg: DecodeJpeg, photometric: str, window: Window | None
) -> tuple[np.ndarray, str]:
    rescale = _rescale(dataset)
    if _is_picture(dataset, rescale):
        gray = dicom_values.grays(dataset, decode_jpeg).astype(np.uint8)
        return (255 - gray if photometric == "MONOCHROME1" else gray), ""
    slope, intercept = _rescale_of_ct(dataset, rescale)
    own, function = _window(dataset)
    stored = dicom_values.grays(dataset, decode_jpeg)
    values = stored * slope + intercept
    doubt = hounsfield.doubt(values)
    if doubt and _rescale_type(dataset) == _UNSPECIFIED:
        raise ImageError(f"the DICOM rescale is of no named kind, and {doubt}; {_EXPORT}")
    shown = hounsfield.apply_window(
        np.where(_padding(dataset, stored, slope, intercept), _BELOW_ANY_WINDOW, values),
        *(window or own or SOFT_TISSUE),
        function=function if own and not window else "LINEAR",
    )
    return shown, "this is a localizer, not a slice" if _is_localizer(dataset) else doubt


def _rescale(dataset: Dataset) -> tuple[float, float] | None:
    """Slope and intercept where both are numbers that can be meant."""
    slope, intercept = (
        _number(_tag(dataset, name)) for name in ("RescaleSlope", "RescaleIntercept")
    )
    return (slope, intercept) if slope and intercept is not None else None


def _rescale_of_ct(dataset: Dataset, rescale: tuple[float, float] | None) -> tuple[float, float]:
    """The rescale to Hounsfield units; ImageError where the values can't be that."""
    if (modality := _modality(dataset)) != "CT":
        raise ImageError(
            f"the DICOM file is of modality {modality}, not CT, so its values are no Hounsfield "
            "units; give CT slices, or save the picture as 8-bit PNG."
        )
    if rescale is None or "ModalityLUTSequence" in dataset:
        raise ImageError(
            "the DICOM file has no usable rescale (RescaleSlope and RescaleIntercept), so its "
            f"values can't be known as Hounsfield units; {_EXPORT}"
        )
    if _rescale_type(dataset) not in _HOUNSFIELD_TYPES | {_UNSPECIFIED}:
        raise ImageError(
            f"the DICOM rescale gives {_rescale_type(dataset)}, not Hounsfield units; {_EXPORT}"
        )
    return rescale


def _is_picture(dataset: Dataset, rescale: tuple[float, float] | None) -> bool:
    """Whether the values are gray levels for the screen: in 8 bits, and not CT values."""
    # Of values in 16 bits, of which 8 are said to be used, the others may have been cut off.
    if int(dataset.BitsAllocated) > 8 or _is_signed(dataset):
        return False
    captured = str(dataset.get("SOPClassUID") or "").startswith(_SECONDARY_CAPTURE)
    if captured or "SECONDARY" in _image_type(dataset) or _modality(dataset) != "CT":
        return True
    if rescale is None or _rescale_type(dataset) not in _HOUNSFIELD_TYPES:
        return True
    slope, intercept = rescale
    low, high = sorted((intercept, (2 ** int(dataset.BitsStored) - 1) * slope + intercept))
    return low > _AIR_TO_BONE[0] or high < _AIR_TO_BONE[1]


def _modality(dataset: Dataset) -> str:
    return str(dataset.get("Modality") or "CT").strip()


def _is_signed(dataset: Dataset) -> bool:
    return int(dataset.get("PixelRepresentation") or 0) == 1


def _is_localizer(dataset: Dataset) -> bool:
    return "LOCALIZER" in _image_type(dataset)


def _image_type(dataset: Dataset) -> list[str]:
    return [str(value).strip() for value in _several(dataset.get("ImageType"))]


def _rescale_type(dataset: Dataset) -> str:
    return str(_tag(dataset, "RescaleType") or "").strip()


def _window(dataset: Dataset) -> tuple[Window | None, str]:
    """First window of the tags, None where there is no usable one, and its function."""
    first = (_several(_tag(dataset, name))[:1] for name in ("WindowCenter", "WindowWidth"))
    center, width = (_number(values[0]) if values else None for values in first)
    function = str(_tag(dataset, "VOILUTFunction") or "LINEAR").strip()
    if function not in ("LINEAR", "LINEAR_EXACT", "SIGMOID"):
        raise ImageError(f"the DICOM window's function {function} is not known; {_EXPORT}")
    if center is None or width is None or not width > 1:
        return None, function
    return (center, width), function


def _padding(dataset: Dataset, stored: np.ndarray, slope: float, intercept: float) -> np.ndarray:
    """Which pixels hold no measurement: bool (H, W), all False where nothing is padded.

    A padding value that is a usual Hounsfield value is a wrong tag, and is not obeyed.
    """
    ends = [dataset.get(name) for name in ("PixelPaddingValue", "PixelPaddingRangeLimit")]
    if not isinstance(ends[0], int):
        return np.zeros(stored.shape, bool)
    known = sorted(_as_stored(dataset, end) for end in ends if isinstance(end, int))
    low, high = known[0], known[-1]
    units = sorted((low * slope + intercept, high * slope + intercept))
    if units[1] >= _SCANNED[0] and units[0] <= _SCANNED[1]:
        return np.zeros(stored.shape, bool)
    return (stored >= low) & (stored <= high)


def _as_stored(dataset: Dataset, value: int) -> int:
    """Read a padding value as the pixels are: its sign may be written as theirs is not."""
    bits = int(dataset.BitsStored)
    value %= 2**bits
    return value - 2**bits if _is_signed(dataset) and value >= 2 ** (bits - 1) else value


def _tag(dataset: Dataset, name: str) -> Any:
    """Value of a tag of the file, else of the functional groups of its one frame; else None."""
    if name in dataset:
        return dataset.get(name)
    for group in _GROUPS:
        for frame in (dataset.get(group) or [])[:1]:
            for holder in (frame.get(_HOLDERS[name]) or [])[:1]:
                if name in holder:
                    return holder.get(name)
    return None


def _several(value: Any) -> list:
    if value is None or isinstance(value, (str, int, float)):
        return [] if value is None or value == "" else [value]
    return list(value)


def _number(value: Any) -> float | None:
    """A tag's value as a finite number; None where it is missing, several or no number."""
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    return number if math.isfinite(number) else None

"""DICOM files as scanners, converters and archives leave them, made here."""

import io
import tempfile
from pathlib import Path

import gdcm
import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import (
    CTImageStorage,
    EnhancedCTImageStorage,
    ExplicitVRLittleEndian,
    SecondaryCaptureImageStorage,
)

from kidneyct_lib.data.hounsfield import SOFT_TISSUE, apply_window

COMPRESSIONS = {
    "JPEG lossless": gdcm.TransferSyntax.JPEGLosslessProcess14_1,
    "JPEG-LS": gdcm.TransferSyntax.JPEGLSLossless,
    "JPEG 2000": gdcm.TransferSyntax.JPEG2000Lossless,
    "RLE": gdcm.TransferSyntax.RLELossless,
}


def hounsfield_slice(side: int = 64) -> np.ndarray:
    """A body with fat, organs, spine and a stone, in air: int16 (side, side), -1000 to 1200 HU."""
    y, x = np.mgrid[:side, :side] / side - 0.5
    units = np.full((side, side), -1000, np.int16)
    for (cx, cy, rx, ry), value in {
        (0, 0, 0.46, 0.36): -100,
        (0, 0, 0.43, 0.33): 45,
        (0, 0.2, 0.07, 0.08): 500,
        (-0.2, 0.1, 0.08, 0.1): 120,
        (0.2, 0.1, 0.08, 0.1): 120,
        (0.22, 0.1, 0.03, 0.03): 1200,
    }.items():
        units[((x - cx) / rx) ** 2 + ((y - cy) / ry) ** 2 < 1] = value
    noise = np.random.default_rng(0).normal(0, 8, units.shape)
    return np.where(units > -1000, units + noise, units).round().astype(np.int16)


HU = hounsfield_slice()
STORED = (HU.astype(np.int32) + 1024).astype(np.uint16)
GRAY = apply_window(HU, *SOFT_TISSUE)


def dicom(pixels: np.ndarray, **tags) -> bytes:
    """Content of a CT DICOM file; a tag of None is left out."""
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    bits = 8 * pixels.itemsize
    defaults = {
        "SOPClassUID": CTImageStorage,
        "SOPInstanceUID": "1.2.3",
        "Modality": "CT",
        "Rows": pixels.shape[0],
        "Columns": pixels.shape[1],
        "SamplesPerPixel": 1,
        "PhotometricInterpretation": "MONOCHROME2",
        "BitsAllocated": bits,
        "BitsStored": bits,
        "HighBit": tags.get("BitsStored", bits) - 1,
        "PixelRepresentation": int(pixels.dtype.kind == "i"),
        "RescaleSlope": 1,
        "RescaleIntercept": 0,
        "PixelData": pixels.tobytes(),
    }
    for name, value in (defaults | tags).items():
        if value is not None:
            setattr(dataset, name, value)
    file = io.BytesIO()
    dataset.save_as(file, enforce_file_format=True)
    return file.getvalue()


def group(**tags) -> Dataset:
    """Functional groups of an Enhanced CT file."""
    value, window, groups = Dataset(), Dataset(), Dataset()
    for name, tag in tags.items():
        setattr(window if name.startswith(("Window", "VOI")) else value, name, tag)
    groups.PixelValueTransformationSequence = [value]
    groups.FrameVOILUTSequence = [window]
    return groups


def compressed(data: bytes, compression: str) -> bytes:
    """The same file with its pixels compressed without loss, by GDCM."""
    with tempfile.TemporaryDirectory() as folder:
        plain, small = Path(folder) / "plain.dcm", Path(folder) / "small.dcm"
        plain.write_bytes(data)
        reader = gdcm.ImageReader()
        reader.SetFileName(str(plain))
        assert reader.Read()
        change = gdcm.ImageChangeTransferSyntax()
        change.SetTransferSyntax(gdcm.TransferSyntax(COMPRESSIONS[compression]))
        change.SetInput(reader.GetImage())
        assert change.Change()
        writer = gdcm.ImageWriter()
        writer.SetFileName(str(small))
        writer.SetFile(reader.GetFile())
        writer.SetImage(change.GetOutput())
        assert writer.Write()
        return small.read_bytes()


RESCALE = {"RescaleSlope": 1, "RescaleIntercept": -1024}
TWELVE_BITS = {"BitsStored": 12}
NO_RESCALE = {"RescaleSlope": None, "RescaleIntercept": None}


def _padded() -> np.ndarray:
    corners = STORED.copy()
    corners[:8, :8] = 63536  # -2000, written as an unsigned number
    return corners


def situations() -> dict[str, tuple[bytes, np.ndarray | str, str]]:
    """{name: (file, its picture or words of the refusal, words of the warning)}."""
    shared = {"RescaleSlope": 1, "RescaleIntercept": -1024, "RescaleType": "HU"}
    enhanced = {"SOPClassUID": EnhancedCTImageStorage, "NumberOfFrames": 1} | NO_RESCALE
    capture = {"SOPClassUID": SecondaryCaptureImageStorage, "ImageType": ["DERIVED", "SECONDARY"]}
    in_eight_bits = np.clip((HU.astype(int) + 1024) // 16, 0, 255).astype(np.uint8)
    coarse = apply_window(in_eight_bits.astype(int) * 16 - 1024, *SOFT_TISSUE)
    plain = dicom(STORED, **RESCALE, **TWELVE_BITS)
    same = {
        "plain": plain,
        "signed": dicom(HU),
        "without a preamble": plain[132:],
        "compressed, signed": compressed(dicom(HU), "JPEG 2000"),
        "offset of 32768": dicom(
            (HU.astype(np.int64) + 32768).astype(np.uint16), RescaleSlope=1, RescaleIntercept=-32768
        ),
        "inverted by a negative slope": dicom(
            (2000 - HU).astype(np.uint16), RescaleSlope=-1, RescaleIntercept=2000
        ),
        "MONOCHROME1 of Hounsfield units": dicom(
            STORED, **RESCALE, PhotometricInterpretation="MONOCHROME1"
        ),
        "no modality": dicom(STORED, **RESCALE, Modality=None),
        "rescale type US, plausible": dicom(STORED, **RESCALE, RescaleType="US"),
        "enhanced, shared groups": dicom(
            STORED, **enhanced, SharedFunctionalGroupsSequence=[group(**shared)]
        ),
        "enhanced, groups of the frame": dicom(
            STORED, **enhanced, PerFrameFunctionalGroupsSequence=[group(**shared)]
        ),
        "window without a width": dicom(STORED, **RESCALE, WindowCenter=40, WindowWidth=0),
        "window with empty tags": dicom(STORED, **RESCALE, WindowCenter="", WindowWidth=""),
        "bits above those stored": dicom(
            (STORED | 0xF000).astype(np.uint16), **RESCALE, **TWELVE_BITS
        ),
    }
    same |= {f"compressed: {name}": compressed(plain, name) for name in COMPRESSIONS}
    narrow = apply_window(HU, 50, 350)
    padded = dicom(_padded(), **RESCALE, PixelPaddingValue=63536)
    in_padding = GRAY.copy()
    in_padding[:8, :8] = 0
    pictures = {
        "its own window": (
            dicom(STORED, **RESCALE, WindowCenter=50, WindowWidth=350),
            narrow,
        ),
        "several windows": (
            dicom(STORED, **RESCALE, WindowCenter=[50, 300], WindowWidth=[350, 1500]),
            narrow,
        ),
        "an exact window": (
            dicom(
                STORED,
                **RESCALE,
                WindowCenter=50,
                WindowWidth=350,
                VOILUTFunction="LINEAR_EXACT",
            ),
            apply_window(HU, 50, 350, function="LINEAR_EXACT"),
        ),
        "enhanced, a window of the groups": (
            dicom(
                STORED,
                **enhanced,
                SharedFunctionalGroupsSequence=[group(**shared, WindowCenter=50, WindowWidth=350)],
            ),
            narrow,
        ),
        "padding": (padded, in_padding),
        "padding that is a usual value": (
            dicom(STORED, **RESCALE, PixelPaddingValue=1024 + 45),
            GRAY,
        ),
        "8 bits": (dicom(GRAY, **NO_RESCALE), GRAY),
        "8 bits, inverted": (
            dicom(255 - GRAY, **NO_RESCALE, PhotometricInterpretation="MONOCHROME1"),
            GRAY,
        ),
        "8 bits, a left-over window and rescale": (
            dicom(GRAY, **RESCALE, WindowCenter=500, WindowWidth=2000),
            GRAY,
        ),
        "8 bits, rescale type US": (dicom(GRAY, RescaleType="US"), GRAY),
        "8 bits, captured, with a scanner's rescale": (
            dicom(GRAY, RescaleSlope=16, RescaleIntercept=-1024, **capture),
            GRAY,
        ),
        "8 bits of Hounsfield units": (
            dicom(in_eight_bits, RescaleSlope=16, RescaleIntercept=-1024),
            coarse,
        ),
    }
    refused = {
        "no rescale": (dicom(STORED, **NO_RESCALE, **TWELVE_BITS), "rescale"),
        "no rescale, signed": (dicom(HU, **NO_RESCALE), "rescale"),
        "empty rescale": (
            dicom(STORED, RescaleSlope="", RescaleIntercept=""),
            "rescale",
        ),
        "intercept alone": (dicom(STORED, RescaleSlope=None, RescaleIntercept=-1024), "rescale"),
        "slope of 0": (dicom(STORED, RescaleSlope=0, RescaleIntercept=-1024), "rescale"),
        "rescale type US, implausible": (
            dicom(STORED, RescaleType="US"),
            "rescale is of no named kind",
        ),
        "optical density": (dicom(STORED, **RESCALE, RescaleType="OD"), "OD, not Hounsfield"),
        "MR": (dicom(STORED, **RESCALE, Modality="MR"), "modality MR"),
        "a table of values": (
            dicom(STORED, **RESCALE, ModalityLUTSequence=[Dataset()]),
            "rescale",
        ),
        "8 bits in 16": (dicom(GRAY.astype(np.uint16), **NO_RESCALE, BitsStored=8), "rescale"),
        "shifted values": (dicom(STORED, **RESCALE, BitsStored=12, HighBit=15), "HighBit"),
        "several frames": (
            dicom(STORED, **RESCALE, NumberOfFrames=2, PixelData=STORED.tobytes() * 2),
            "2 frames",
        ),
    }
    doubtful = {
        "a lost offset of 1024": (dicom(STORED), apply_window(STORED, *SOFT_TISSUE), "no air"),
        "an offset taken twice": (
            dicom(STORED, RescaleSlope=1, RescaleIntercept=-2048),
            apply_window(HU.astype(int) - 1024, *SOFT_TISSUE),
            "fat or soft tissue",
        ),
        "a localizer": (
            dicom(STORED, **RESCALE, ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"]),
            GRAY,
            "localizer",
        ),
    }
    return (
        {name: (data, GRAY, "") for name, data in same.items()}
        | {name: (*pair, "") for name, pair in (pictures | refused).items()}
        | doubtful
    )

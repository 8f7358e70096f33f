"""DICOM files are read in the window that their tags ask for."""

import io

import numpy as np
import pydicom
import pytest
from pydicom.dataset import FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, JPEGLosslessSV1, RLELossless

from kidneyct_lib.data import image_io
from kidneyct_lib.data.image_io import ImageError, apply_window, read_color, read_gray, rgb_to_gray

NOISE = np.random.default_rng(0).integers(0, 256, (40, 32), dtype=np.uint8)
COLOR = np.random.default_rng(1).integers(0, 256, (40, 32, 3), dtype=np.uint8)
STORED = np.arange(-200, 600, 10, dtype=np.int16).reshape(8, 10)


def dicom(pixels, **tags):
    """Content of a CT DICOM file; a tag of None is left out."""
    dataset = pydicom.Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.SOPClassUID, dataset.SOPInstanceUID = CTImageStorage, "1.2.3"
    defaults = {
        "Modality": "CT",
        "Rows": pixels.shape[0],
        "Columns": pixels.shape[1],
        "SamplesPerPixel": 1,
        "PhotometricInterpretation": "MONOCHROME2",
        "BitsAllocated": 8 * pixels.itemsize,
        "BitsStored": 8 * pixels.itemsize,
        "HighBit": 8 * pixels.itemsize - 1,
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


def test_dicom_is_rescaled_and_shown_in_the_window_of_its_tags():
    data = dicom(STORED, RescaleSlope=2, RescaleIntercept=-100, WindowCenter=50, WindowWidth=350)
    hounsfield = STORED.astype(int) * 2 - 100
    np.testing.assert_array_equal(read_gray(data), apply_window(hounsfield, 50, 350))
    np.testing.assert_array_equal(
        read_gray(data, window=(300, 1500)), apply_window(hounsfield, 300, 1500)
    )


def test_first_of_several_windows_counts():
    data = dicom(STORED, WindowCenter=[50, 300], WindowWidth=[350, 1500])
    np.testing.assert_array_equal(read_gray(data), apply_window(STORED, 50, 350))


@pytest.mark.parametrize("tags", [{}, {"WindowCenter": 50}, {"WindowCenter": 50, "WindowWidth": 0}])
def test_without_a_usable_window_soft_tissue_is_shown(tags):
    np.testing.assert_array_equal(
        read_gray(dicom(STORED, **tags)), apply_window(STORED, *image_io.SOFT_TISSUE)
    )


def test_empty_window_tags_count_as_absent():
    data = dicom(STORED, WindowCenter="", WindowWidth="")
    np.testing.assert_array_equal(read_gray(data), apply_window(STORED, *image_io.SOFT_TISSUE))


def test_monochrome1_is_inverted():
    tags = {"WindowCenter": 50, "WindowWidth": 350}
    inverted = dicom(STORED, PhotometricInterpretation="MONOCHROME1", **tags)
    np.testing.assert_array_equal(read_gray(inverted), 255 - read_gray(dicom(STORED, **tags)))


def test_eight_bit_dicom_without_window_or_rescale_is_a_picture_already():
    data = dicom(NOISE, RescaleSlope=None, RescaleIntercept=None)
    np.testing.assert_array_equal(read_gray(data), NOISE)


def test_colour_dicom_is_read_as_rgb():
    tags = {"SamplesPerPixel": 3, "PhotometricInterpretation": "RGB", "PlanarConfiguration": 0}
    data = dicom(COLOR, RescaleSlope=None, RescaleIntercept=None, **tags)
    np.testing.assert_array_equal(read_color(data), COLOR)
    np.testing.assert_array_equal(read_gray(data), rgb_to_gray(COLOR))


def test_run_length_compressed_dicom_is_read():
    dataset = pydicom.dcmread(io.BytesIO(dicom(STORED)))
    dataset.compress(RLELossless)
    file = io.BytesIO()
    dataset.save_as(file)
    assert file.getvalue() != dicom(STORED)
    np.testing.assert_array_equal(read_gray(file.getvalue()), read_gray(dicom(STORED)))


def test_dicom_without_a_codec_says_how_to_decompress():
    dataset = pydicom.dcmread(io.BytesIO(dicom(STORED)))
    dataset.PixelData = pydicom.encaps.encapsulate([b"\xff\xd8\xff\xc3" + bytes(64)])
    dataset["PixelData"].VR = "OB"
    dataset.file_meta.TransferSyntaxUID = JPEGLosslessSV1
    file = io.BytesIO()
    dataset.save_as(file)
    with pytest.raises(ImageError, match=r"JPEG Lossless.*gdcmconv"):
        read_gray(file.getvalue())


@pytest.mark.parametrize(
    ("tags", "reason"),
    [
        ({"PixelData": None}, "holds no image"),
        ({"NumberOfFrames": 2, "PixelData": STORED.tobytes() * 2}, "2 frames; export one"),
        ({"Rows": 20_000, "Columns": 20_000}, "400,000,000"),
        ({"PixelData": STORED.tobytes()[:-20]}, "damaged, cut short"),
        ({"PhotometricInterpretation": "PALETTE COLOR"}, "PALETTE COLOR"),
    ],
)
def test_unusable_dicom_is_explained(tags, reason, silence):
    with pytest.raises(ImageError, match=reason):
        read_gray(dicom(STORED, **tags))


def test_every_cut_short_dicom_is_refused(silence):
    data = dicom(STORED)
    for length in range(132, len(data) - 1, 7):
        with pytest.raises(ImageError):
            read_gray(data[:length])

"""DICOM values count as Hounsfield units only where the tags show that they are."""

import io

import dicom_files
import numpy as np
import pydicom
import pytest
from dicom_files import GRAY, HU, NO_RESCALE, RESCALE, STORED, compressed, dicom
from pydicom.uid import JPEGExtended12Bit

from kidneyct_lib.data import dicom as decoder
from kidneyct_lib.data import image_io
from kidneyct_lib.data.hounsfield import apply_window
from kidneyct_lib.data.image_io import ImageError, read_color, read_gray, rgb_to_gray

COLOR = np.random.default_rng(1).integers(0, 256, (40, 32, 3), dtype=np.uint8)
SITUATIONS = dicom_files.situations()


@pytest.mark.parametrize("name", SITUATIONS)
def test_a_file_is_read_rightly_or_refused_in_words(name, silence):
    data, expected, warning = SITUATIONS[name]
    if isinstance(expected, str):
        with pytest.raises(ImageError, match=expected):
            image_io.read(data)
        return
    picture = image_io.read(data)
    np.testing.assert_array_equal(picture.pixels, expected)
    assert warning in picture.warning
    assert bool(picture.warning) == bool(warning)


def test_the_picture_of_the_situations_is_no_trivial_one():
    assert {0, 255} < set(GRAY.ravel().tolist())
    assert GRAY[HU > 1000].min() == 255
    assert np.ptp(GRAY[(HU > 0) & (HU < 100)]) > 20


def test_a_window_asked_for_counts_before_the_files_own():
    own = {"WindowCenter": 50, "WindowWidth": 350}
    data = dicom(STORED, **RESCALE, **own)
    np.testing.assert_array_equal(read_gray(data, window=(300, 1500)), apply_window(HU, 300, 1500))
    np.testing.assert_array_equal(read_gray(dicom(GRAY, **NO_RESCALE), window=(300, 1500)), GRAY)


def test_colour_dicom_is_read_as_rgb():
    tags = {"SamplesPerPixel": 3, "PhotometricInterpretation": "RGB", "PlanarConfiguration": 0}
    data = dicom(COLOR, **NO_RESCALE, **tags)
    np.testing.assert_array_equal(read_color(data), COLOR)
    np.testing.assert_array_equal(read_gray(data), rgb_to_gray(COLOR))


@pytest.mark.parametrize("compression", dicom_files.COMPRESSIONS)
def test_compression_changes_the_file_and_no_pixel(compression):
    whole = dicom(STORED, **RESCALE)
    small = compressed(whole, compression)
    assert len(small) < len(whole)
    np.testing.assert_array_equal(read_gray(small), read_gray(whole))


def test_a_compression_that_is_not_read_says_how_to_decompress():
    dataset = pydicom.dcmread(io.BytesIO(dicom(STORED, **RESCALE)))
    dataset.PixelData = pydicom.encaps.encapsulate([b"\xff\xd8\xff\xc1" + bytes(64)])
    dataset["PixelData"].VR = "OB"
    dataset.file_meta.TransferSyntaxUID = JPEGExtended12Bit
    file = io.BytesIO()
    dataset.save_as(file)
    with pytest.raises(ImageError, match=r"JPEG Extended.*gdcmconv"):
        read_gray(file.getvalue())


@pytest.mark.parametrize("compression", ["JPEG lossless", "JPEG-LS", "JPEG 2000"])
@pytest.mark.parametrize(
    "tags",
    [{"Rows": 65}, {"Rows": 32}, {"Columns": 63}, {"BitsAllocated": 32}, {"BitsAllocated": 8}],
)
def test_a_stream_that_does_not_fit_its_tags_is_refused_before_it_is_decoded(compression, tags):
    dataset = pydicom.dcmread(io.BytesIO(compressed(dicom(STORED, **RESCALE), compression)))
    for name, value in tags.items():
        setattr(dataset, name, value)
    file = io.BytesIO()
    dataset.save_as(file)
    with pytest.raises(ImageError):
        read_gray(file.getvalue())


def test_frames_that_no_tag_counts_are_refused():
    data = dicom(STORED, **RESCALE, PixelData=STORED.tobytes() * 2)
    with pytest.raises(ImageError, match="2 frames"):
        read_gray(data)


@pytest.mark.parametrize(
    ("tags", "reason"),
    [
        ({"PixelData": None}, "holds no image"),
        ({"Rows": 20_000, "Columns": 20_000}, "400,000,000"),
        ({"PixelData": STORED.tobytes()[:-20]}, "damaged, cut short"),
        ({"PhotometricInterpretation": "PALETTE COLOR"}, "PALETTE COLOR"),
        ({"VOILUTFunction": "CURVED"}, "CURVED"),
    ],
)
def test_unusable_dicom_is_explained(tags, reason, silence):
    with pytest.raises(ImageError, match=reason):
        read_gray(dicom(STORED, **RESCALE | tags))


@pytest.mark.parametrize("start", [0, 132])
def test_every_cut_short_dicom_is_refused(start, silence):
    data = dicom(STORED, **RESCALE)[start:]
    for length in range(132, len(data) - 1, 97):
        with pytest.raises(ImageError):
            read_gray(data[:length])


def test_patients_are_found_also_without_pixels():
    assert decoder.patient_id(dicom(STORED, PatientID=" P 17 ")) == "P 17"
    assert decoder.patient_id(dicom(STORED, PixelData=None)) == ""
    assert decoder.patient_id(b"\x08\0\x05\0CS\xff") == ""

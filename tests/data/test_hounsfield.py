import numpy as np
import pydicom
import pytest
from dicom_files import HU
from hypothesis import given
from hypothesis import strategies as st
from pydicom.pixels import apply_windowing

from kidneyct_lib.data.hounsfield import apply_window, doubt

FUNCTIONS = ("LINEAR", "LINEAR_EXACT", "SIGMOID")


def test_window_ends_are_black_and_white():
    gray = apply_window(np.array([-3000, -160, 39.5, 239, 3000]), 40, 400)
    np.testing.assert_array_equal(gray, [0, 0, 128, 255, 255])
    assert gray.dtype == np.uint8


@given(st.integers(-2000, 2000), st.integers(2, 4000), st.sampled_from(FUNCTIONS))
def test_window_is_the_dicom_standards(center, width, function):
    values = np.arange(-1024, 3072, 7, dtype=np.int16)
    dataset = pydicom.Dataset()
    dataset.WindowCenter, dataset.WindowWidth = center / 2, width
    dataset.VOILUTFunction = function
    dataset.PhotometricInterpretation, dataset.BitsStored = "MONOCHROME2", 16
    dataset.PixelRepresentation = 1
    levels = apply_windowing(values, dataset)
    expected = (levels + 2**15) / (2**16 - 1) * 255
    gray = apply_window(values, center / 2, width, function=function)
    assert np.abs(gray - expected).max() <= 0.5 + 1e-6


def test_windows_that_are_none_are_refused():
    with pytest.raises(ValueError, match="width 1"):
        apply_window(HU, 40, 1)
    with pytest.raises(ValueError, match="'CURVED'"):
        apply_window(HU, 40, 400, function="CURVED")


def test_doubt_is_about_air_and_tissue():
    assert doubt(HU) == ""
    assert "air" in doubt(HU.astype(int) + 1024)
    assert "air" in doubt(HU.astype(int) + 32768)
    assert "soft tissue" in doubt(HU.astype(int) - 1024)
    assert "soft tissue" in doubt(np.full((8, 8), -1000))

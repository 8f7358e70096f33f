"""The plane of drawn and of real slices, as measured from how tissue meets the edges."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from kidneyct_lib.data.body import measure_plane
from kidneyct_lib.data.image_io import read_gray

SHARED = Path(__file__).parents[3] / "shared" / "data"


def body(top, bottom, size=96, side=0.2):
    """Dark image with a bright trunk of straight sides between two rows (shares of the height)."""
    image = np.full((size, size), 5, np.uint8)
    rows = slice(round(top * size), round(bottom * size))
    image[rows, round(side * size) : round((1 - side) * size)] = 120
    return image


@pytest.mark.parametrize(
    ("image", "plane"),
    [
        (body(0, 1), "coronal"),
        (body(0.1, 0.9), "axial"),
        (body(0, 0.9), "axial"),
        (body(0.1, 1), "axial"),
        (body(0, 1) // 3, "coronal"),
        (255 - (255 - body(0, 1)) // 2, "coronal"),
        (cv2.resize(body(0, 1), (512, 300)), "coronal"),
        (
            cv2.ellipse(np.zeros((96, 96), np.uint8), (48, 48), (47, 47), 0, 0, 360, 120, -1),
            "axial",
        ),
        (np.zeros((96, 96), np.uint8), "axial"),
        (np.full((1, 1), 9, np.uint8), "axial"),
    ],
)
def test_plane_shows_at_the_upper_and_lower_edge(image, plane):
    assert measure_plane(image) == plane
    assert measure_plane(image[::-1]) == plane


def test_lungs_at_the_upper_edge_do_not_make_a_slice_axial():
    image = body(0, 1)
    image[:20, 24:72] = 5
    assert measure_plane(image) == "coronal"


@pytest.mark.skipif(not SHARED.is_dir(), reason="needs the real slices in ../shared/data")
@pytest.mark.parametrize("plane", ["axial", "coronal"])
def test_plane_of_real_slices(plane):
    files = sorted((SHARED / f"kidney-ct-{plane}").glob("*/*.jpg"))[::10]
    assert len(files) > 30
    assert {measure_plane(read_gray(file)) for file in files} == {plane}

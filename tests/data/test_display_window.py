"""Levels of drawn bodies whose Hounsfield values and window are known, and slices shown anew."""

import numpy as np
import pytest
from drawn_slices import FAT, SOFT, level_of, slice_in

from kidneyct_lib.data import display_window
from kidneyct_lib.data.display_window import Levels


@pytest.mark.parametrize(("center", "width"), [(40, 400), (60, 500), (0, 400), (40, 350)])
def test_levels_are_those_of_the_window(center, width):
    fat, soft = display_window.levels(*slice_in(center, width))
    assert fat == pytest.approx(level_of(FAT, center, width), abs=3)
    assert soft == pytest.approx(level_of(SOFT, center, width), abs=3)


@pytest.mark.parametrize(("center", "width"), [(80, 300), (60, 250)])
def test_fat_as_black_as_air_counts_as_none(center, width):
    assert level_of(FAT, center, width) < 0
    fat, soft = display_window.levels(*slice_in(center, width))
    assert fat == 0
    assert soft == pytest.approx(level_of(SOFT, center, width), abs=3)


@pytest.mark.parametrize("gray", [0, 255])
def test_a_flat_image_has_levels_in_order(gray):
    flat = np.full((32, 32), gray, np.uint8)
    fat, soft = display_window.levels(flat, np.ones((32, 32), bool))
    assert fat < soft


def test_a_slice_shown_in_another_window_is_the_slice_of_that_window():
    gray, body = slice_in(40, 400, noise=0)
    other, _ = slice_in(60, 500, noise=0)
    own = Levels(level_of(FAT, 40, 400), level_of(SOFT, 40, 400))
    theirs = Levels(level_of(FAT, 60, 500), level_of(SOFT, 60, 500))
    result = display_window.shown(gray, body, own, theirs)
    unclipped = body & (gray > 0) & (gray < 255)
    assert np.abs(result.astype(int) - other)[unclipped].max() <= 1
    np.testing.assert_array_equal(result[~body], gray[~body])
    assert result.dtype == np.uint8


def test_its_own_window_changes_nothing_inside_the_body():
    gray, body = slice_in(40, 400)
    levels = display_window.levels(gray, body)
    result = display_window.shown(gray, body, levels, levels)
    np.testing.assert_array_equal(result, gray)


def test_clipped_tissue_stays_clipped():
    gray, body = slice_in(60, 250)
    own = display_window.levels(gray, body)
    result = display_window.shown(gray, body, own, Levels(40.0, 140.0))
    black = body & (gray == 0)
    assert black.any()
    assert len(np.unique(result[black])) == 1

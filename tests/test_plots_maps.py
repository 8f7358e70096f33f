"""The figure of class maps: pictures, maps and outlines in their places."""

import numpy as np
import pytest
from figure_checks import assert_within_border

from kidneyct_lib import plots

RNG = np.random.default_rng(0)
IMAGES = [RNG.integers(0, 255, (32, 32)).astype(np.uint8) for _ in range(3)]
MAPS = RNG.uniform(0, 2, (4, 32, 32)).astype(np.float32)
MASKS = np.zeros((4, 32, 32), bool)
MASKS[2, 10:20, 10:20] = True
TITLES = ["a", "b", "c", "none wrong"]


@pytest.fixture
def figure():
    return plots.class_maps([*IMAGES, None], MAPS, TITLES, columns=2, masks=MASKS)


def test_every_slice_lies_under_its_own_map(figure):
    for axes, image, one in zip(figure.axes, IMAGES, MAPS, strict=False):
        picture, drawn = axes.images
        assert np.array_equal(picture.get_array(), image)
        assert drawn.get_array().max() == 1
        assert np.allclose(drawn.get_array(), one / one.max())
        assert np.argmax(drawn.get_alpha()) == np.argmax(one)
    assert [axes.get_title() for axes in figure.axes] == TITLES
    assert not figure.axes[3].images


def test_only_lesions_are_outlined(figure):
    outlined = [bool(axes.collections) for axes in figure.axes]
    assert outlined == [False, False, True, False]


def test_a_map_of_nothing_hides_nothing():
    (axes,) = plots.class_maps(IMAGES[:1], MAPS[:1] * 0, ["a"], columns=1).axes
    assert not axes.images[1].get_alpha().any()


def test_nothing_is_cut_off_at_the_border(figure):
    assert_within_border(figure)

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


# --- while weights are shuffled ---------------------------------------------------------------

FOUND = {
    scheme: [
        {"step": step, "correlation": r, "ci95": [r - 0.1, r + 0.15], "unsigned": abs(r) + 0.2}
        for step, r in zip(("trained", "head", "conv5"), values, strict=True)
    ]
    for scheme, values in {"slice": (0.8, 0.2, -0.1), "patient": (0.7, 0.1, -0.6)}.items()
}


def test_every_step_is_drawn_with_its_interval_and_size():
    figure = plots.weight_randomization(FOUND)
    (axes,) = figure.axes
    drawn = {line.get_label(): line.get_ydata() for line in axes.lines}
    for scheme, title in (("slice", "By slice"), ("patient", "By patient")):
        rows = FOUND[scheme]
        assert list(drawn[title]) == [row["correlation"] for row in rows]
        assert list(drawn[f"{title}, sign aside"]) == [row["unsigned"] for row in rows]
    ends = [[tuple(path[:, 1]) for path in bars.get_segments()] for bars in axes.collections]
    assert ends == [[tuple(row["ci95"]) for row in rows] for rows in FOUND.values()]
    assert [tick.get_text() for tick in axes.get_xticklabels()] == ["trained", "head", "+ conv5"]
    assert axes.get_ylim()[0] < -0.7
    assert_within_border(figure)

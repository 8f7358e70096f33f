"""Scores of maps against known lesions."""

import numpy as np
import pytest

from kidneyct_lib.core.errors import StudyError
from kidneyct_lib.evaluation.bootstrap import Bootstrap
from kidneyct_lib.interpretability import localization


@pytest.fixture
def lesion():
    mask = np.zeros((1, 224, 224), bool)
    mask[0, 96:112, 32:64] = True  # cells of 32 pixels: row 3, column 1
    return mask


def cells(*places, size=7):
    result = np.zeros((1, size, size))
    for row, column in places:
        result[0, row, column] = 1
    return result


def test_a_map_on_the_lesion_points_at_it_and_not_at_its_mirror_image(lesion):
    (row,) = localization.locate(cells((3, 1)), lesion).to_dict("records")
    assert row["pointing"] == 1
    assert row["pointing_mirrored"] == 0
    assert row["energy"] > row["area"]
    assert row["energy_gain"] == pytest.approx(row["energy"])
    (other,) = localization.locate(cells((3, 5)), lesion).to_dict("records")
    assert other["energy_gain"] == pytest.approx(-row["energy_gain"])
    assert (other["pointing"], other["pointing_mirrored"]) == (0, 1)


def test_an_even_map_has_the_lesions_area_as_energy(lesion):
    (row,) = localization.locate(np.full((1, 7, 7), 0.3), lesion).to_dict("records")
    assert row["energy"] == pytest.approx(16 * 32 / 224**2)
    assert row["energy"] == pytest.approx(row["area"])
    assert row["energy_gain"] == 0


def test_pointing_forgives_fifteen_pixels_and_no_more(lesion):
    exact = np.zeros((1, 224, 224))
    exact[0, 104, 63 + 15] = 1
    assert localization.locate(exact, lesion)["pointing"][0] == 1
    exact = np.roll(exact, 1, axis=2)
    assert localization.locate(exact, lesion)["pointing"][0] == 0


def test_what_speaks_against_a_class_does_not_count(lesion):
    against = cells((3, 1)) - 2 * cells((0, 0))
    (row,) = localization.locate(against, lesion).to_dict("records")
    (alone,) = localization.locate(cells((3, 1)), lesion).to_dict("records")
    assert row == alone
    (nothing,) = localization.locate(-cells((3, 1)), lesion).to_dict("records")
    assert (nothing["pointing"], nothing["energy"]) == (0, 0)


def test_a_slice_without_a_lesion_is_refused(lesion):
    with pytest.raises(StudyError, match="without a lesion"):
        localization.locate(cells((0, 0)), lesion & False)


def test_the_summary_averages_and_brackets(lesion):
    maps = np.concatenate([cells((3, 1)), cells((3, 5)), cells((3, 1)), cells((3, 1))])
    located = localization.locate(maps, np.repeat(lesion, 4, axis=0))
    result = localization.summarise(located, np.array([0, 0, 1, 2]), bootstrap=Bootstrap(200, 1))
    assert (result["n"], result["groups"], result["pointing"]) == (4, 3, 0.75)
    low, high = result["pointing_ci95"]
    assert low == 0.5
    assert high == 1
    one = localization.summarise(located, np.zeros(4), bootstrap=Bootstrap(200, 1))
    assert one["energy_gain_ci95"] == [-1, 1]

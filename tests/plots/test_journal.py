"""The common look: series that can be told apart, words that fit."""

import numpy as np
from figure_checks import CLASSES
from matplotlib.colors import to_rgb

from kidneyct_lib.plots import journal


def test_styles_differ_in_colour_and_in_something_that_survives_gray():
    styles = journal.series_styles(CLASSES)
    for part in ("colour", "marker", "line", "hatch"):
        assert len({getattr(style, part) for style in styles.values()}) == 4
    slices, patients, elsewhere = journal.SCHEMES.values()
    light, dark = (np.dot(to_rgb(s.colour), [0.299, 0.587, 0.114]) for s in (slices, patients))
    assert light - dark > 0.3
    assert len({one.hatch for one in (slices, patients, elsewhere)}) == 3


def test_more_classes_than_colours_are_still_drawn():
    names = [f"class {k}" for k in range(14)]
    assert list(journal.series_styles(names)) == names


def test_long_titles_are_set_smaller_to_fit():
    short, long = journal.fitting_size(["ab"], 1), journal.fitting_size(["ab" * 20], 1)
    assert short == journal.SMALL
    assert long < short


def test_glyphs_that_are_missing_come_from_a_font_that_has_them():
    installed = ["DejaVu Sans", "SimHei", "Noto Sans CJK SC", "Comic Sans"]
    assert journal.font_families(installed) == ["sans-serif", "Noto Sans CJK SC", "SimHei"]
    assert journal.font_families(["DejaVu Sans"]) == ["sans-serif"]

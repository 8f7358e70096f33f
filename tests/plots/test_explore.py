"""Figures of the explorer."""

import numpy as np
import pandas as pd
import pytest
from figure_checks import (
    CLASSES,
    assert_all_tested,
    assert_sound,
    interval_rows,
    legend_texts,
    panels,
)

from kidneyct_lib.plots import explore

RNG = np.random.default_rng(0)
IMAGE = RNG.integers(0, 255, (24, 32)).astype(np.uint8)
MAP = RNG.random((24, 32), np.float32)
LESION = np.zeros((24, 32), bool)
LESION[5:9, 5:9] = True
ALONG = pd.DataFrame(RNG.dirichlet(np.ones(4), 6), columns=CLASSES)
MEASURED = pd.DataFrame({"counted": ["slices, split by slice", "series, split by patient"]})
for k, name in enumerate(("sensitivity", "specificity", "false_alarms_per_100")):
    for end, share in {"": 0.5, "_low": 0.25, "_high": 0.75}.items():
        MEASURED[f"{name}{end}"] = share * (1, 1, 100)[k]
SCORES = pd.DataFrame(
    [(split, run) for split in ("by slice", "by patient") for run in ("phantom", "phantom-seed7")],
    columns=["split", "run"],
)
for score in ("accuracy", "macro_f1"):
    for end, share in {"": 0.5, "_low": 0.25, "_high": 0.75}.items():
        SCORES[f"{score}{end}"] = share + 0.05 * np.arange(4)
SHOWN = {"As stored: Stone": (IMAGE, MAP), "Changed: Cyst": (IMAGE // 2, MAP)}
TWO = pd.DataFrame({"As stored": [0.1, 0.2, 0.3, 0.4], "Changed": [1.0, 0, 0, 0]}, CLASSES)


def series_slice(**changes):
    given = {"class_map": MAP, "lesion": LESION, "title": "Stone/Stone- (39).png"}
    return explore.series_slice(IMAGE, ALONG, 2, **given | changes)


DRAWN = {
    "series_slice": series_slice,
    "at_threshold": lambda: explore.at_threshold(MEASURED, "Stone from 0.50"),
    "what_if": lambda: explore.what_if(SHOWN, TWO, opacity=0.5),
    "two_runs": lambda: explore.two_runs(SCORES),
}


@pytest.mark.parametrize("name", DRAWN)
def test_figures_are_sound(name):
    assert_sound(DRAWN[name])


def test_every_figure_is_tested():
    assert_all_tested(explore, DRAWN)


def test_the_slice_lies_under_its_map_and_outline():
    whole, bare = series_slice(), series_slice(class_map=None, lesion=None)
    left, right = panels(whole)
    np.testing.assert_array_equal(left.images[0].get_array(), IMAGE)
    np.testing.assert_allclose(left.images[1].get_alpha(), 0.6 * MAP)
    assert left.collections and not panels(bare)[0].collections
    assert len(panels(bare)[0].images) == 1
    for line, name in zip(right.lines, CLASSES, strict=False):
        np.testing.assert_allclose(line.get_ydata(), ALONG[name])
    assert list(right.lines[-1].get_xdata()) == [3, 3]  # the slice of place 2, counted from 1
    assert legend_texts(whole) == CLASSES


def test_each_measure_has_its_panel_with_intervals():
    figure = DRAWN["at_threshold"]()
    for panel, most in zip(panels(figure), (1, 1, 100), strict=True):
        for points, ends, _ in interval_rows(panel):
            np.testing.assert_allclose(points[:, 0], 0.5 * most)
            np.testing.assert_allclose(ends, [[0.25 * most, 0.75 * most]])


def test_bars_show_both_answers():
    *slices, bars = panels(DRAWN["what_if"]())
    widths = [[bar.get_width() for bar in series] for series in bars.containers]
    np.testing.assert_allclose(widths, TWO.T)
    assert [panel.get_title() for panel in slices] == list(SHOWN)


def test_both_runs_stand_in_each_row():
    for panel, score in zip(panels(DRAWN["two_runs"]()), ("accuracy", "macro_f1"), strict=True):
        rows = interval_rows(panel)
        for (points, ends, _), run in zip(rows, SCORES["run"].unique(), strict=True):
            own = SCORES[SCORES["run"] == run]
            np.testing.assert_allclose(points[:, 0], own[score])
            np.testing.assert_allclose(ends, own[[f"{score}_low", f"{score}_high"]])

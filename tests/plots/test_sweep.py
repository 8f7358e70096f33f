"""Figures of a sweep are judged by what is drawn."""

import numpy as np
import pandas as pd
import pytest
from figure_checks import assert_all_tested, assert_sound, interval_rows, legend_texts

from kidneyct_lib.plots import journal, sweep

SCHEMES = list(journal.SCHEMES)
LABELS = ["phantom, seed 1", "phantom, seed 2", "phantom, seed 3"]
CELLS = pd.DataFrame(
    [
        {"label": label, "scheme": scheme, "value": 0.8 - 0.2 * k + 0.02 * place}
        for place, label in enumerate(LABELS)
        for k, scheme in enumerate(SCHEMES)
    ]
)
CELLS = CELLS.assign(value_low=CELLS["value"] - 0.1, value_high=CELLS["value"] + 0.05)
PAIRS = CELLS.assign(paired=CELLS["label"] != LABELS[1])
PAIRS[["value", "value_low", "value_high"]] -= 0.5
SPREAD = {scheme: (0.8 - 0.2 * k, 0.03) for k, scheme in enumerate(SCHEMES)}
DRAWN = {
    "cells": lambda: sweep.cells(CELLS, spread=SPREAD),
    "differences": lambda: sweep.differences(PAIRS),
}


def test_every_figure_of_the_module_is_tested_here():
    assert_all_tested(sweep, DRAWN)


@pytest.mark.parametrize("name", sorted(DRAWN))
def test_nothing_is_cut_off_and_pyplot_keeps_nothing(name):
    assert_sound(DRAWN[name])


@pytest.mark.parametrize(("name", "table"), [("cells", CELLS), ("differences", PAIRS)])
def test_each_cell_has_a_row_with_every_scheme_and_its_interval(name, table):
    (axes,) = DRAWN[name]().axes
    assert [tick.get_text() for tick in axes.get_yticklabels()] == LABELS[::-1]
    for scheme, (points, ends, _) in zip(SCHEMES, interval_rows(axes), strict=True):
        rows = table[table["scheme"] == scheme]
        np.testing.assert_allclose(points[:, 0], rows["value"])
        np.testing.assert_array_equal(points[:, 1].round(), [2, 1, 0])
        np.testing.assert_allclose(ends, rows[["value_low", "value_high"]])
    assert axes.get_xlabel()


def test_bands_show_how_far_the_seeds_move_it():
    (axes,) = DRAWN["cells"]().axes
    spans = [patch.get_extents().transformed(axes.transData.inverted()) for patch in axes.patches]
    ends = [[span.x0, span.x1] for span in spans]
    np.testing.assert_allclose(ends, [[m - s, m + s] for m, s in SPREAD.values()])
    (bare,) = sweep.cells(CELLS, spread={}).axes
    assert not bare.patches


def test_cells_of_other_slices_are_hollow():
    figure = DRAWN["differences"]()
    for points, _, hollow in interval_rows(figure.axes[0]):
        assert points[hollow, 1].round().tolist() == [1]
    assert "other slices" in legend_texts(figure)
    paired = PAIRS.assign(paired=True)
    assert "other slices" not in legend_texts(sweep.differences(paired))
    low, high = figure.axes[0].get_xlim()
    assert low == -high

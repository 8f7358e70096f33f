"""The ablation's figure is judged by what is drawn: markers, intervals and words."""

import numpy as np
import pandas as pd
import pytest
from figure_checks import assert_within_border
from matplotlib.colors import same_color

from kidneyct_lib import plots

STEPS = ["whole slice, conv5", "body, conv5", "kidneys, conv5", "and the kidneys' conv4"]


@pytest.fixture
def table():
    rows = []
    for k, step in enumerate(STEPS):
        for j, unit in enumerate(("slices", "patients")):
            value = 0.4 + 0.1 * k + 0.05 * j
            rows.append((step, unit, value, value - 0.1, value + 0.07, k != 1))
    columns = ["step", "counted", "macro_f1", "macro_f1_low", "macro_f1_high", "kept"]
    return pd.DataFrame(rows, columns=columns)


def test_every_rung_has_both_numbers_with_their_intervals(table):
    figure = plots.ablation(table, chance=0.25)
    (axes,) = figure.axes
    assert [label.get_text() for label in axes.get_yticklabels()] == STEPS
    drawn = {
        (round(x, 6), round(y))
        for line in axes.lines
        for x, y in zip(*line.get_data(), strict=True)
        if line.get_marker() not in ("None", "")
    }
    expected = {(round(row.macro_f1, 6), STEPS.index(row.step)) for row in table.itertuples()}
    assert expected <= drawn
    ends = np.concatenate([bars.get_segments() for bars in axes.collections])[:, :, 0]
    np.testing.assert_allclose(
        np.sort(ends, axis=0), np.sort(table[["macro_f1_low", "macro_f1_high"]], axis=0)
    )


def test_dropped_rungs_are_hollow_and_chance_is_marked(table):
    (axes,) = plots.ablation(table, chance=0.25).axes
    hollow = {
        round(float(line.get_ydata()[0]))
        for line in axes.lines
        if len(line.get_xdata()) == 1 and same_color(line.get_markerfacecolor(), "white")
    }
    assert hollow == {1}
    assert [0.25, 0.25] in [list(line.get_xdata()) for line in axes.lines]


def test_nothing_leaves_the_page(table):
    assert_within_border(plots.ablation(table, chance=0.25))

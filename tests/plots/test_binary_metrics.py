"""The figure of two classes is judged by what is drawn: bars, intervals, lines and words."""

from itertools import pairwise

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from figure_checks import assert_within_border
from matplotlib.colors import to_rgb
from matplotlib.container import BarContainer, ErrorbarContainer
from matplotlib.figure import Figure

from kidneyct_lib import plots

MEASURES = ["sensitivity", "specificity", "roc_auc", "pr_auc"]


def row(scheme, stage, values, prevalence):
    ends = {f"{m}_low": v - 0.1 for m, v in zip(MEASURES, values, strict=True)}
    ends |= {f"{m}_high": min(v + 0.05, 1) for m, v in zip(MEASURES, values, strict=True)}
    counts = {"n": 1200, "groups": 90, "positives": 400, "positive_groups": 30}
    counts |= {"negative_groups": 70, "prevalence": prevalence, "positive_class": "Stone"}
    measures = dict(zip(MEASURES, values, strict=True))
    return {"scheme": scheme, "stage": stage} | measures | ends | counts


TABLE = pd.DataFrame(
    [
        row("slice", 1, [0.5] * 4, 0.1),
        row("slice", 2, [0.95, 0.99, 0.98, 0.97], 0.3),
        row("patient", 1, [0.5] * 4, 0.1),
        row("patient", 2, [0.2, 0.9, 0.6, 0.45], 0.4) | {"positives": 380, "positive_groups": 9},
    ]
)


@pytest.fixture(scope="module")
def figure():
    return plots.binary_summary(TABLE)


def of_kind(axes, kind):
    return [container for container in axes.containers if isinstance(container, kind)]


def test_each_scheme_has_a_bar_for_each_measure_of_the_final_stage(figure):
    (axes,) = figure.axes
    heights = [[bar.get_height() for bar in bars] for bars in of_kind(axes, BarContainer)]
    assert heights == [[0.95, 0.99, 0.98, 0.97], [0.2, 0.9, 0.6, 0.45]]
    assert "0.450" in [text.get_text() for text in axes.texts]


def test_the_intervals_are_those_of_the_table(figure):
    (axes,) = figure.axes
    drawn = [
        [segment[:, 1] for segment in bar[2][0].get_segments()]
        for bar in of_kind(axes, ErrorbarContainer)
    ]
    for ends, (_, expected) in zip(drawn, TABLE[TABLE["stage"] == 2].iterrows(), strict=True):
        pairs = [expected[[f"{m}_low", f"{m}_high"]] for m in MEASURES]
        np.testing.assert_allclose(ends, np.array(pairs, float))


def test_chance_is_marked_on_the_bars_of_the_areas(figure):
    (axes,) = figure.axes
    marks = [c.get_segments()[0] for c in axes.collections if len(c.get_segments()) == 1]
    bars = [bars[k] for bars in of_kind(axes, BarContainer) for k in (2, 3)]
    assert [mark[0, 1] for mark in marks] == [0.5, 0.3, 0.5, 0.4]
    for mark, bar in zip(marks, bars, strict=True):
        assert mark[:, 0] == pytest.approx([bar.get_x(), bar.get_x() + bar.get_width()])
        assert mark[0, 1] == mark[1, 1]


def test_slices_and_groups_behind_each_bar_are_told(figure):
    (axes,) = figure.axes
    assert [label.get_text() for label in axes.get_xticklabels()] == [
        "Sensitivity\nof Stone\n400 | 380 slices\n30 | 9 groups",
        "Specificity\nof the others\n800 | 820 slices\n70 | 70 groups",
        "ROC-AUC",
        "PR-AUC",
    ]
    texts = [text.get_text() for legend in figure.legends for text in legend.get_texts()]
    assert set(texts) == {
        "By slice (1,200 slices, 90 groups)",
        "By patient (1,200 slices, 90 groups)",
        "chance",
    }


def test_one_scheme_is_drawn_alone():
    (axes,) = plots.binary_summary(TABLE[TABLE["scheme"] == "patient"]).axes
    assert len(of_kind(axes, BarContainer)) == 1


def test_the_figure_lies_within_its_border(figure):
    assert_within_border(figure)


def test_labels_do_not_overlap(figure):
    figure.draw_without_rendering()
    (axes,) = figure.axes
    for texts in (axes.get_xticklabels(), axes.texts):
        boxes = sorted((text.get_window_extent() for text in texts), key=lambda box: box.x0)
        for left, right in pairwise(boxes):
            assert left.x1 < right.x0


def test_the_schemes_differ_in_gray_and_by_hatch(figure):
    (axes,) = figure.axes
    slices, patients = (bars[0] for bars in of_kind(axes, BarContainer))
    light, dark = (
        np.dot(to_rgb(b.get_facecolor()), [0.299, 0.587, 0.114]) for b in (slices, patients)
    )
    assert light - dark > 0.3
    assert slices.get_hatch() != patients.get_hatch()


def test_it_draws_one_figure_leaves_no_trace_and_does_not_change_its_input():
    before = TABLE.copy()
    assert isinstance(plots.binary_summary(TABLE), Figure)
    assert plt.get_fignums() == []
    pd.testing.assert_frame_equal(TABLE, before)

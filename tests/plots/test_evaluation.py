"""Figures of the results are judged by what is drawn."""

from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from figure_checks import (
    CLASSES,
    SCHEMES,
    assert_all_tested,
    assert_labelled,
    assert_sound,
    bar_heights,
    interval_rows,
    legend_texts,
    panels,
)
from matplotlib.colors import to_rgb
from matplotlib.container import BarContainer, ErrorbarContainer

from kidneyct_lib.plots import evaluation

METRICS = {
    scheme: {
        "n": 40,
        "groups": 8,
        "accuracy": accuracy,
        "accuracy_ci95": [accuracy - 0.2, accuracy + 0.05],
        "macro_f1": accuracy - 0.1,
        "macro_f1_ci95": [accuracy - 0.3, accuracy],
        "per_class": {
            name: {"recall": accuracy - 0.1 * k, "support": 10, "groups": 2}
            for k, name in enumerate(CLASSES)
        },
    }
    for scheme, accuracy in zip(SCHEMES, (0.95, 0.55), strict=True)
}
HISTORY = pd.DataFrame(
    [
        (scheme, stage, epoch, 0.5 / epoch, 0.6 / epoch, 0.8, 0.7)
        for scheme in SCHEMES
        for stage, epochs in ((1, 4), (2, 2))
        for epoch in range(1, epochs + 1)
    ],
    columns=["scheme", "stage", "epoch", "loss", "val_loss", "accuracy", "val_accuracy"],
)
CONFUSION = pd.DataFrame(
    [[8, 2, 0, 0], [0, 10, 0, 0], [1, 0, 9, 0], [0, 0, 5, 5]], index=CLASSES, columns=CLASSES
)
COMPARED = pd.DataFrame(
    [
        (scheme, weighting, measure, 0.5)
        for scheme in SCHEMES
        for weighting in ("none", "slice", "group")
        for measure in ("accuracy", "macro-F1")
    ],
    columns=["scheme", "weighting", "measure", "value"],
)
STEPS = ["whole slice, conv5", "body, conv5", "kidneys, conv5", "and the kidneys' conv4"]


def ablation_table():
    rows = []
    for k, step in enumerate(STEPS):
        for j, unit in enumerate(("slices", "patients")):
            value = 0.4 + 0.1 * k + 0.05 * j
            rows.append((step, unit, value, value - 0.1, value + 0.07, k != 1))
    columns = ["step", "counted", "macro_f1", "macro_f1_low", "macro_f1_high", "kept"]
    return pd.DataFrame(rows, columns=columns)


ABLATION = ablation_table()
MEASURES = ["sensitivity", "specificity", "roc_auc", "pr_auc"]


def binary_row(scheme, stage, values, prevalence):
    ends = {f"{m}_low": v - 0.1 for m, v in zip(MEASURES, values, strict=True)}
    ends |= {f"{m}_high": min(v + 0.05, 1) for m, v in zip(MEASURES, values, strict=True)}
    counts = {"n": 1200, "groups": 90, "positives": 400, "positive_groups": 30}
    counts |= {"negative_groups": 70, "prevalence": prevalence, "positive_class": "Stone"}
    measures = dict(zip(MEASURES, values, strict=True))
    return {"scheme": scheme, "stage": stage} | measures | ends | counts


BINARY = pd.DataFrame(
    [
        binary_row("slice", 1, [0.5] * 4, 0.1),
        binary_row("slice", 2, [0.95, 0.99, 0.98, 0.97], 0.3),
        binary_row("patient", 1, [0.5] * 4, 0.1),
        binary_row("patient", 2, [0.2, 0.9, 0.6, 0.45], 0.4)
        | {"positives": 380, "positive_groups": 9},
    ]
)
BESIDE = pd.DataFrame(
    [
        {"window": window, "reach": reach, "macro_f1": value}
        | {"macro_f1_low": value - 0.2, "macro_f1_high": value + 0.1}
        for window, first in (("as shown", 0.6), ("another class's", 0.4))
        for reach, value in (("0", first), ("1", first + 0.1), ("whole series", first + 0.2))
    ]
)
DRAWN = {
    "headline": lambda: evaluation.headline(METRICS, references={"chance": 0.25}),
    "learning_curves": lambda: evaluation.learning_curves(HISTORY),
    "confusion_pair": lambda: evaluation.confusion_pair(dict.fromkeys(SCHEMES, CONFUSION)),
    "per_class_recall_pair": lambda: evaluation.per_class_recall_pair(METRICS),
    "class_weight_comparison": lambda: evaluation.class_weight_comparison(COMPARED),
    "binary_summary": lambda: evaluation.binary_summary(BINARY),
    "ablation": lambda: evaluation.ablation(ABLATION, chance=0.25),
    "by_reach": lambda: evaluation.by_reach(BESIDE, chance=0.25),
}


@pytest.fixture(scope="module")
def figures():
    return {name: draw() for name, draw in DRAWN.items()}


# --- all figures ------------------------------------------------------------------------------


def test_every_figure_of_the_module_is_tested_here():
    assert_all_tested(evaluation, DRAWN)


@pytest.mark.parametrize("name", sorted(DRAWN))
def test_nothing_is_cut_off_and_pyplot_keeps_nothing(name):
    assert_sound(DRAWN[name])


@pytest.mark.parametrize("name", sorted(set(DRAWN) - {"ablation"}))
def test_every_axis_is_labelled(figures, name):
    assert_labelled(figures[name])


def test_figures_do_not_change_their_input():
    copies = [frame.copy() for frame in (HISTORY, BINARY)]
    for draw in DRAWN.values():
        draw()
    for frame, copy in zip((HISTORY, BINARY), copies, strict=True):
        pd.testing.assert_frame_equal(frame, copy)


# --- training, confusion, recall -----------------------------------------------------------------


def test_the_headline_has_four_bars_with_their_intervals(figures):
    (axes,) = figures["headline"].axes
    assert bar_heights(axes) == pytest.approx([0.95, 0.85, 0.55, 0.45])
    bars = [container for container in axes.containers if isinstance(container, ErrorbarContainer)]
    ends = [segment[:, 1] for bar in bars for segment in bar[2][0].get_segments()]
    expected = [METRICS[s][f"{m}_ci95"] for s in SCHEMES for m in ("accuracy", "macro_f1")]
    np.testing.assert_allclose(ends, expected)
    assert "chance 0.25" in [text.get_text() for text in axes.texts]
    assert legend_texts(figures["headline"])[1] == "By patient (40 slices, 8 groups)"


def test_an_interval_beside_the_estimate_is_drawn_where_it_lies():
    metrics = METRICS["slice"] | {"accuracy": 0.9, "accuracy_ci95": [0.4, 0.8]}
    (axes,) = evaluation.headline({"slice": metrics}, references={}).axes
    ends = axes.containers[-1][2][0].get_segments()[0][:, 1]
    np.testing.assert_allclose(ends, [0.4, 0.8])
    assert axes.texts[0].xy[1] == 0.9


def test_learning_curves_count_epochs_through_both_stages(figures):
    axes = figures["learning_curves"].axes
    assert len(axes) == 4
    for panel in axes:
        training, validation, boundary = panel.lines
        assert training.get_xdata().tolist() == validation.get_xdata().tolist() == [*range(1, 7)]
        assert list(boundary.get_xdata()) == [4.5, 4.5]
    assert axes[0].lines[1].get_ydata().tolist() == HISTORY["val_loss"][:6].tolist()


def test_confusion_colours_shares_and_writes_counts(figures):
    first = figures["confusion_pair"].axes[0]
    shares = first.collections[0].get_array().reshape(4, 4)
    np.testing.assert_allclose(shares, CONFUSION / 10)
    assert first.texts[1].get_text() == "2\n20%"
    assert len(panels(figures["confusion_pair"])) == 2


def test_recall_bars_tell_slices_and_groups(figures):
    (axes,) = figures["per_class_recall_pair"].axes
    expected = [METRICS[s]["per_class"][c]["recall"] for s in SCHEMES for c in CLASSES]
    assert bar_heights(axes) == pytest.approx(expected)
    assert axes.get_xticklabels()[0].get_text() == "Cyst\n10 | 10 slices\n2 | 2 groups"


def test_weight_comparison_has_a_panel_for_each_scheme(figures):
    axes = figures["class_weight_comparison"].axes
    assert [len(bar_heights(panel)) for panel in axes] == [6, 6]


# --- two classes -------------------------------------------------------------------------------


def of_kind(axes, kind):
    return [container for container in axes.containers if isinstance(container, kind)]


def test_each_scheme_has_a_bar_for_each_measure_of_the_final_stage(figures):
    (axes,) = figures["binary_summary"].axes
    heights = [[bar.get_height() for bar in bars] for bars in of_kind(axes, BarContainer)]
    assert heights == [[0.95, 0.99, 0.98, 0.97], [0.2, 0.9, 0.6, 0.45]]
    assert "0.450" in [text.get_text() for text in axes.texts]


def test_the_intervals_are_those_of_the_table(figures):
    (axes,) = figures["binary_summary"].axes
    drawn = [
        [segment[:, 1] for segment in bar[2][0].get_segments()]
        for bar in of_kind(axes, ErrorbarContainer)
    ]
    for ends, (_, expected) in zip(drawn, BINARY[BINARY["stage"] == 2].iterrows(), strict=True):
        pairs = [expected[[f"{m}_low", f"{m}_high"]] for m in MEASURES]
        np.testing.assert_allclose(ends, np.array(pairs, float))


def test_chance_is_marked_on_the_bars_of_the_areas(figures):
    (axes,) = figures["binary_summary"].axes
    marks = [c.get_segments()[0] for c in axes.collections if len(c.get_segments()) == 1]
    bars = [bars[k] for bars in of_kind(axes, BarContainer) for k in (2, 3)]
    assert [mark[0, 1] for mark in marks] == [0.5, 0.3, 0.5, 0.4]
    for mark, bar in zip(marks, bars, strict=True):
        assert mark[:, 0] == pytest.approx([bar.get_x(), bar.get_x() + bar.get_width()])
        assert mark[0, 1] == mark[1, 1]


def test_slices_and_groups_behind_each_bar_are_told(figures):
    (axes,) = figures["binary_summary"].axes
    assert [label.get_text() for label in axes.get_xticklabels()] == [
        "Sensitivity\nof Stone\n400 | 380 slices\n30 | 9 groups",
        "Specificity\nof the others\n800 | 820 slices\n70 | 70 groups",
        "ROC-AUC",
        "PR-AUC",
    ]
    texts = [
        text.get_text()
        for legend in figures["binary_summary"].legends
        for text in legend.get_texts()
    ]
    assert set(texts) == {
        "By slice (1,200 slices, 90 groups)",
        "By patient (1,200 slices, 90 groups)",
        "chance",
    }


def test_one_scheme_is_drawn_alone():
    (axes,) = evaluation.binary_summary(BINARY[BINARY["scheme"] == "patient"]).axes
    assert len(of_kind(axes, BarContainer)) == 1


def test_labels_do_not_overlap(figures):
    figures["binary_summary"].draw_without_rendering()
    (axes,) = figures["binary_summary"].axes
    for texts in (axes.get_xticklabels(), axes.texts):
        boxes = sorted((text.get_window_extent() for text in texts), key=lambda box: box.x0)
        for left, right in pairwise(boxes):
            assert left.x1 < right.x0


def test_the_schemes_differ_in_gray_and_by_hatch(figures):
    (axes,) = figures["binary_summary"].axes
    slices, patients = (bars[0] for bars in of_kind(axes, BarContainer))
    light, dark = (
        np.dot(to_rgb(b.get_facecolor()), [0.299, 0.587, 0.114]) for b in (slices, patients)
    )
    assert light - dark > 0.3
    assert slices.get_hatch() != patients.get_hatch()


# --- the ablation ------------------------------------------------------------------------------


def test_every_step_has_both_numbers_with_their_intervals(figures):
    (axes,) = figures["ablation"].axes
    assert [label.get_text() for label in axes.get_yticklabels()] == STEPS
    for counted, (points, ends, _) in zip(("slices", "patients"), interval_rows(axes), strict=True):
        rows = ABLATION[ABLATION["counted"] == counted]
        np.testing.assert_array_equal(points[:, 0], rows["macro_f1"])
        np.testing.assert_array_equal(points[:, 1].round(), range(len(STEPS)))
        np.testing.assert_array_equal(ends, rows[["macro_f1_low", "macro_f1_high"]])


def test_dropped_steps_are_hollow_and_chance_is_marked(figures):
    (axes,) = figures["ablation"].axes
    for points, _, hollow in interval_rows(axes):
        assert set(points[hollow, 1].round()) == {1}
    assert [0.25, 0.25] in [list(line.get_xdata()) for line in axes.lines]


# --- with neighbours -----------------------------------------------------------------------------


def test_each_window_has_a_line_over_the_reaches(figures):
    (axes,) = figures["by_reach"].axes
    named = {line.get_label(): line for line in axes.lines}
    lines = [named[title] for title in ("By patient", "By patient, in another window")]
    assert [line.get_ydata().tolist() for line in lines] == [
        pytest.approx([0.6, 0.7, 0.8]),
        pytest.approx([0.4, 0.5, 0.6]),
    ]
    ticks = [tick.get_text() for tick in axes.get_xticklabels()]
    assert ticks == ["0", "1", "whole series"]
    for line in lines:
        assert np.rint(line.get_xdata()).tolist() == [0, 1, 2]
    assert legend_texts(figures["by_reach"]) == ["By patient", "By patient, in another window"]

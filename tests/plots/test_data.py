"""Figures of the images and their groups are judged by what is drawn."""

import numpy as np
import pandas as pd
import pytest
from figure_checks import (
    CLASSES,
    assert_all_tested,
    assert_labelled,
    assert_sound,
    bar_heights,
    legend_texts,
)

from kidneyct_lib.plots import data

IMAGES = np.random.default_rng(0).integers(0, 256, (40, 16, 16), dtype=np.uint8)
LABELS = np.repeat(CLASSES, 10)
GROUPS = np.repeat(np.arange(8), 5)
TABLE = pd.DataFrame(
    {
        "label": LABELS,
        "group": GROUPS,
        "plane": ["axial", "coronal"] * 20,
        "width": [512, 300] * 20,
        "height": [512, 400] * 20,
    }
)
SPLITS = {
    "slice": np.resize(["train", "train", "train", "validation", "test"], 40),
    "patient": np.resize(np.repeat(["train", "test"], 5), 40),
}
WEIGHTS = pd.DataFrame(
    {"label": CLASSES * 2, "weighting": np.repeat(["slice", "group"], 4), "weight": range(8)}
)
CORRELATIONS = pd.DataFrame(
    {
        "label": np.resize(CLASSES, 80),
        "pair": np.repeat(["consecutive", "random"], 40),
        "correlation": np.r_[np.linspace(0.99, 1, 40), np.linspace(-0.2, 0.9, 40)],
    }
)
THRESHOLDS = pd.DataFrame(
    {
        "threshold": [0.8, 0.9, 0.95],
        "groups": [3, 8, 9],
        "largest": [30, 5, 5],
        "cross_class_links": [500, 0, 0],
    }
)
DRAWN = {
    "class_counts": lambda: data.class_counts(TABLE, CLASSES),
    "image_sizes": lambda: data.image_sizes(TABLE),
    "intensity_histograms": lambda: data.intensity_histograms(IMAGES, LABELS, CLASSES),
    "contact_sheet": lambda: data.contact_sheet(IMAGES[:5], list("abcde"), 3),
    "series_structure": lambda: data.series_structure(CORRELATIONS, CLASSES, threshold=0.94),
    "group_montage": lambda: data.group_montage(IMAGES, GROUPS, LABELS, show=[0, 3, 7], columns=4),
    "group_sizes": lambda: data.group_sizes(TABLE, CLASSES, seed=0),
    "threshold_curve": lambda: data.threshold_curve(THRESHOLDS, 0.9),
    "split_counts": lambda: data.split_counts(TABLE, SPLITS, CLASSES),
    "class_weights": lambda: data.class_weights(WEIGHTS, CLASSES),
}


@pytest.fixture(scope="module")
def figures():
    return {name: draw() for name, draw in DRAWN.items()}


# --- all figures ------------------------------------------------------------------------------


def test_every_figure_of_the_module_is_tested_here():
    assert_all_tested(data, DRAWN)


@pytest.mark.parametrize("name", sorted(DRAWN))
def test_nothing_is_cut_off_and_pyplot_keeps_nothing(name):
    assert_sound(DRAWN[name])


@pytest.mark.parametrize("name", sorted(set(DRAWN) - {"contact_sheet", "group_montage"}))
def test_every_axis_is_labelled(figures, name):
    assert_labelled(figures[name])


def test_figures_do_not_change_their_input():
    before = TABLE.copy()
    for draw in DRAWN.values():
        draw()
    pd.testing.assert_frame_equal(TABLE, before)


# --- the images ----------------------------------------------------------------------------------


def test_class_counts_draw_one_bar_a_class(figures):
    (axes,) = figures["class_counts"].axes
    assert [patch.get_width() for patch in axes.patches] == [10] * 4
    assert [text.get_text() for text in axes.texts] == ["10 (25%)"] * 4


def test_a_class_without_slices_still_has_its_place():
    (axes,) = data.class_counts(TABLE[TABLE["label"] != "Stone"], CLASSES).axes
    assert [patch.get_width() for patch in axes.patches] == [10, 10, 0, 10]


def test_image_sizes_draw_each_size_once_with_its_count(figures):
    (axes,) = figures["image_sizes"].axes
    drawn = [tuple(point) for c in axes.collections for point in c.get_offsets()]
    assert sorted(drawn) == [(300, 400), (512, 512)]
    assert legend_texts(figures["image_sizes"]) == [
        "axial: 20 slices, sizes: 1",
        "coronal: 20 slices, sizes: 1",
    ]


def test_intensity_histograms_are_shares_of_all_pixels():
    images = np.full((40, 4, 4), 200, np.uint8)
    images[:, :2] = 3
    (axes,) = data.intensity_histograms(images, LABELS, CLASSES).axes
    assert len(axes.lines) == 4
    for line in axes.lines:
        x, y = line.get_data()
        assert np.nansum(y) == pytest.approx(1)
        assert x[np.nan_to_num(y) > 0].tolist() == [1.5, 201.5]
    assert axes.get_yscale() == "log"


def test_contact_sheet_shows_true_gray_levels(figures):
    drawn = [axes for axes in figures["contact_sheet"].axes if axes.images]
    assert [axes.get_title() for axes in drawn] == list("abcde")
    assert len(figures["contact_sheet"].axes) == 6
    for axes, image in zip(drawn, IMAGES, strict=False):
        np.testing.assert_array_equal(axes.images[0].get_array(), image)
        assert axes.images[0].get_clim() == (0, 255)


def test_colour_pictures_are_shown_in_colour():
    colour = np.zeros((8, 8, 3), np.uint8)
    colour[..., 0] = 200
    (axes,) = data.contact_sheet([colour], ["red"], 1).axes
    assert axes.images[0].get_array().shape == (8, 8, 3)


# --- groups, splits, weights ---------------------------------------------------------------------


def test_series_structure_draws_both_densities_in_each_class(figures):
    axes = figures["series_structure"].axes
    assert len(axes) == 4
    for panel in axes:
        assert len(panel.collections) == 2
        assert panel.lines[0].get_xdata() == pytest.approx([0.06, 0.06])
    assert axes[0].get_xlim()[0] > axes[0].get_xlim()[1]
    assert legend_texts(figures["series_structure"]) == ["consecutive slices", "random slices"]


def test_series_without_consecutive_numbers_show_their_random_pairs():
    unnumbered = CORRELATIONS[CORRELATIONS["pair"] == "random"]
    figure = data.series_structure(unnumbered, CLASSES[:2], threshold=0.9)
    assert [len(axes.collections) for axes in figure.axes] == [1, 1]


def test_an_odd_number_of_classes_labels_the_lowest_panel_of_each_column():
    figure = data.series_structure(CORRELATIONS, CLASSES[:3], threshold=0.9)
    labels = [axes.xaxis.label for axes in figure.axes]
    shown = [bool(label.get_text()) and label.get_visible() for label in labels]
    assert shown == [False, True, True]
    assert len(data.series_structure(CORRELATIONS, CLASSES[:1], threshold=0.9).axes) == 1


def test_group_montage_shows_slices_from_first_to_last(figures):
    rows = np.array(figures["group_montage"].axes).reshape(3, 4)
    for row, group in zip(rows, (0, 3, 7), strict=True):
        members = IMAGES[group == GROUPS]
        np.testing.assert_array_equal(row[0].images[0].get_array(), members[0])
        np.testing.assert_array_equal(row[3].images[0].get_array(), members[-1])
        assert f"Group {group}" in row[0].get_ylabel()
        assert "5 slices" in row[0].get_ylabel()


def test_a_short_group_leaves_its_row_unfilled():
    figure = data.group_montage(IMAGES, GROUPS, LABELS, show=[1], columns=7)
    assert [len(axes.images) for axes in figure.axes] == [1] * 5 + [0] * 2


def test_group_sizes_draw_each_group(figures):
    (axes,) = figures["group_sizes"].axes
    points = [c for c in axes.collections if len(c.get_offsets()) == 2]
    assert len(points) == 4
    assert all((c.get_offsets()[:, 1] == 5).all() for c in points)
    assert axes.get_xticklabels()[0].get_text() == "Cyst\n2 groups"


def test_threshold_curve_marks_the_chosen_threshold(figures):
    axes = figures["threshold_curve"].axes
    for panel, column in zip(axes, ("groups", "largest", "cross_class_links"), strict=True):
        assert panel.lines[0].get_ydata().tolist() == THRESHOLDS[column].tolist()
        assert panel.lines[1].get_xdata() == [0.9, 0.9]


def test_split_counts_count_slices_above_and_groups_below(figures):
    slices, by_patient, groups, patients = figures["split_counts"].axes
    assert bar_heights(slices) == [6] * 4 + [2] * 4 + [2] * 4  # train, validation, test
    assert bar_heights(groups) == [2] * 12
    assert bar_heights(by_patient) == [5] * 4 + [0] * 4 + [5] * 4
    assert bar_heights(patients) == [1] * 4 + [0] * 4 + [1] * 4
    assert legend_texts(figures["split_counts"]) == ["train", "validation", "test"]


def test_class_weights_draw_each_weighting(figures):
    (axes,) = figures["class_weights"].axes
    assert bar_heights(axes) == list(range(8))
    assert legend_texts(figures["class_weights"]) == ["slice", "group"]

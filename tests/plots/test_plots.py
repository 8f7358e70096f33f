"""Each figure is judged by what is drawn: labels, artists and where they lie."""

import inspect

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from figure_checks import assert_within_border
from matplotlib.colors import to_rgb
from matplotlib.container import ErrorbarContainer
from matplotlib.figure import Figure

from kidneyct_lib import plots
from kidneyct_lib.plots import data, errors, evaluation, robustness, style

CLASSES = ["Cyst", "Normal", "Stone", "Tumor"]
SCHEMES = ["slice", "patient"]
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
CURVES = pd.DataFrame(
    [
        (name, curve, x, y, 0.9, 0.25)
        for name in CLASSES
        for curve, ends in (("roc", [(0, 0), (0, 0.8), (1, 1)]), ("pr", [(1, 0.25), (0, 1)]))
        for x, y in ends
    ],
    columns=["label", "curve", "x", "y", "area", "prevalence"],
)
ERRORS = pd.DataFrame(
    {
        "path": ["a", "b", "c"],
        "group": [1, 2, 3],
        "label": ["Cyst", "Stone", "Tumor"],
        "predicted": ["Tumor", "Normal", "Cyst"],
        "confidence": [0.99, 0.9, 0.8],
    }
)
BY_GROUP = pd.DataFrame(
    {
        "group": range(8),
        "label": np.repeat(CLASSES, 2),
        "n": [1, 200, 5, 6, 7, 8, 9, 10],
        "accuracy": [1, 0.2, 0.9, 0.8, 0.1, 0, 1, 1],
        "vote": ["Cyst", "Stone", *["Normal"] * 2, "Cyst", "Cyst", "Tumor", "Tumor"],
    }
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
WEIGHTS = pd.DataFrame(
    {"label": CLASSES * 2, "weighting": np.repeat(["slice", "group"], 4), "weight": range(8)}
)
EXTERNAL = pd.DataFrame(
    {
        "condition": ["as stored", "as stored", "16 bit", "16 bit"],
        "variant": ["plain", "gray"] * 2,
        "accuracy": [0.9, 0.9, 0.3, 0.8],
    }
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
BINS = pd.DataFrame({"n": [10, 30], "confidence": [0.5, 0.9], "accuracy": [0.4, 0.95]})
BIN_PAIR = {"before": BINS, "after": BINS}
CALIBRATED = {"before": {"ece_width": 0.12}, "after": {"ece_width": 0.03}}
SETS = pd.DataFrame(
    [
        {"scheme": scheme, "guarantee": guarantee, "unit": unit, "coverage": 0.9, "size": 1.5}
        | {"group_coverage": 0.8}
        | {f"coverage_{name}": 0.1 * k for k, name in enumerate(CLASSES)}
        for scheme in SCHEMES
        for guarantee in ("marginal", "class_conditional")
        for unit in ("slices", "one_per_group", "groups")
    ]
)
RISK = pd.DataFrame({"coverage": [0.25, 0.5, 0.85, 1.0], "risk": [0, 0.1, 0.2, 0.3]})
SELECTIVE = {"aurc": 0.15}
POINT = {
    "target_recall": 0.99,
    "recall": 0.9,
    "recall_ci95": [0.7, 1.0],
    "specificity": 0.6,
    "specificity_ci95": [0.5, 0.8],
    "false_alarms_per_100": 40.0,
}
DISTANCES = {"test slices": np.arange(1.0, 11), "blank": np.arange(50.0, 60), "text": [9.0, 90.0]}
DISTANCES = {kind: np.array(values) for kind, values in DISTANCES.items()}

DRAWN = {
    "class_counts": lambda: plots.class_counts(TABLE, CLASSES),
    "image_sizes": lambda: plots.image_sizes(TABLE),
    "intensity_histograms": lambda: plots.intensity_histograms(IMAGES, LABELS, CLASSES),
    "contact_sheet": lambda: plots.contact_sheet(IMAGES[:5], list("abcde"), 3),
    "series_structure": lambda: plots.series_structure(CORRELATIONS, CLASSES, threshold=0.94),
    "group_montage": lambda: plots.group_montage(IMAGES, GROUPS, LABELS, show=[0, 3, 7], columns=4),
    "group_sizes": lambda: plots.group_sizes(TABLE, CLASSES, seed=0),
    "threshold_curve": lambda: plots.threshold_curve(THRESHOLDS, 0.9),
    "split_counts": lambda: plots.split_counts(TABLE, SPLITS, CLASSES),
    "class_weights": lambda: plots.class_weights(WEIGHTS, CLASSES),
    "headline": lambda: plots.headline(METRICS, references={"chance": 0.25}),
    "learning_curves": lambda: plots.learning_curves(HISTORY),
    "confusion_pair": lambda: plots.confusion_pair(dict.fromkeys(SCHEMES, CONFUSION)),
    "per_class_recall_pair": lambda: plots.per_class_recall_pair(METRICS),
    "class_weight_comparison": lambda: plots.class_weight_comparison(COMPARED),
    "roc_curves": lambda: plots.class_curves(dict.fromkeys(SCHEMES, CURVES), CLASSES, "roc"),
    "pr_curves": lambda: plots.class_curves(dict.fromkeys(SCHEMES, CURVES), CLASSES, "pr"),
    "error_panel": lambda: plots.error_panel(IMAGES[:3], ERRORS, columns=2),
    "errors_by_group": lambda: plots.errors_by_group(BY_GROUP, CLASSES, seed=0),
    "external_comparison": lambda: plots.external_comparison(EXTERNAL),
    "reliability": lambda: plots.reliability(
        dict.fromkeys(SCHEMES, BIN_PAIR), dict.fromkeys(SCHEMES, CALIBRATED)
    ),
    "set_coverage": lambda: plots.set_coverage(SETS, CLASSES, target=0.9),
    "risk_coverage": lambda: plots.risk_coverage(
        dict.fromkeys(SCHEMES, RISK), dict.fromkeys(SCHEMES, SELECTIVE)
    ),
    "operating_points": lambda: plots.operating_points(
        dict.fromkeys(SCHEMES, CURVES),
        dict.fromkeys(SCHEMES, dict.fromkeys(["Stone", "Tumor"], POINT)),
    ),
    "ood_scores": lambda: plots.ood_scores(
        DISTANCES, 10.5, in_distribution=["test slices"], seed=0
    ),
}
PICTURES = {"contact_sheet", "group_montage", "error_panel"}


@pytest.fixture(scope="module")
def figures():
    return {name: draw() for name, draw in DRAWN.items()}


def panels(figure):
    """Return the axes that hold data: no colour bars."""
    return [axes for axes in figure.axes if axes.get_label() != "<colorbar>"]


def bar_heights(axes):
    return [bar.get_height() for bars in axes.containers for bar in getattr(bars, "patches", [])]


def legend_texts(figure):
    owners = [figure, *figure.axes]
    legends = [legend for owner in owners for legend in getattr(owner, "legends", [])]
    legends += [axes.get_legend() for axes in figure.axes if axes.get_legend()]
    return [text.get_text() for legend in legends for text in legend.get_texts()]


# --- all figures ------------------------------------------------------------------------------


def test_every_figure_of_the_library_is_tested_here():
    public = {
        name
        for module in (data, evaluation, errors, robustness)
        for name, member in inspect.getmembers(module, inspect.isfunction)
        if member.__module__ == module.__name__ and not name.startswith("_")
    }
    curves = {"roc_curves", "pr_curves"}  # two kinds of one figure
    elsewhere = {"ablation", "binary_summary", "class_maps", "corruption_errors", "corruption_grid"}
    elsewhere |= {"subgroup_accuracy", "weight_randomization"}  # each in a test file of its own
    assert public == set(DRAWN) - curves | {"class_curves"} | elsewhere
    assert public <= set(vars(plots))


@pytest.mark.parametrize("name", sorted(set(DRAWN) - PICTURES))
def test_every_axis_is_labelled(figures, name):
    for axes in panels(figures[name]):
        place = axes.get_subplotspec()
        assert axes.get_xlabel() or not place.is_last_row()
        assert axes.get_ylabel() or not place.is_first_col()


@pytest.mark.parametrize("name", sorted(DRAWN))
def test_nothing_is_cut_off_at_the_border(figures, name):
    assert_within_border(figures[name])


def test_figures_leave_no_trace_in_pyplot():
    before = dict(mpl.rcParams)
    for draw in DRAWN.values():
        assert isinstance(draw(), Figure)
    assert plt.get_fignums() == []
    assert dict(mpl.rcParams) == before


def test_figures_do_not_change_their_input():
    copies = [frame.copy() for frame in (TABLE, HISTORY, BY_GROUP, CURVES)]
    for draw in DRAWN.values():
        draw()
    for frame, copy in zip((TABLE, HISTORY, BY_GROUP, CURVES), copies, strict=True):
        pd.testing.assert_frame_equal(frame, copy)


def test_styles_differ_in_colour_and_in_something_that_survives_gray():
    styles = style.series_styles(CLASSES)
    for part in ("colour", "marker", "line", "hatch"):
        assert len({getattr(style, part) for style in styles.values()}) == 4
    slices, patients, elsewhere = style.SCHEME_STYLES.values()
    light, dark = (np.dot(to_rgb(s.colour), [0.299, 0.587, 0.114]) for s in (slices, patients))
    assert light - dark > 0.3
    assert len({one.hatch for one in (slices, patients, elsewhere)}) == 3


def test_more_classes_than_colours_are_still_drawn():
    names = [f"class {k}" for k in range(14)]
    assert list(style.series_styles(names)) == names


# --- the data ---------------------------------------------------------------------------------


def test_class_counts_draw_one_bar_a_class(figures):
    (axes,) = figures["class_counts"].axes
    assert [patch.get_width() for patch in axes.patches] == [10] * 4
    assert [text.get_text() for text in axes.texts] == ["10 (25%)"] * 4


def test_a_class_without_slices_still_has_its_place():
    (axes,) = plots.class_counts(TABLE[TABLE["label"] != "Stone"], CLASSES).axes
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
    (axes,) = plots.intensity_histograms(images, LABELS, CLASSES).axes
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
    (axes,) = plots.contact_sheet([colour], ["red"], 1).axes
    assert axes.images[0].get_array().shape == (8, 8, 3)


def test_long_titles_are_set_smaller_to_fit():
    short, long = style.fitting_size(["ab"], 1), style.fitting_size(["ab" * 20], 1)
    assert short == style.SMALL
    assert long < short


# --- groups, splits, weights ------------------------------------------------------------------


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
    figure = plots.series_structure(unnumbered, CLASSES[:2], threshold=0.9)
    assert [len(axes.collections) for axes in figure.axes] == [1, 1]


def test_an_odd_number_of_classes_labels_the_lowest_panel_of_each_column():
    figure = plots.series_structure(CORRELATIONS, CLASSES[:3], threshold=0.9)
    labels = [axes.xaxis.label for axes in figure.axes]
    shown = [bool(label.get_text()) and label.get_visible() for label in labels]
    assert shown == [False, True, True]
    assert len(plots.series_structure(CORRELATIONS, CLASSES[:1], threshold=0.9).axes) == 1


def test_group_montage_shows_slices_from_first_to_last(figures):
    rows = np.array(figures["group_montage"].axes).reshape(3, 4)
    for row, group in zip(rows, (0, 3, 7), strict=True):
        members = IMAGES[group == GROUPS]
        np.testing.assert_array_equal(row[0].images[0].get_array(), members[0])
        np.testing.assert_array_equal(row[3].images[0].get_array(), members[-1])
        assert f"Group {group}" in row[0].get_ylabel()
        assert "5 slices" in row[0].get_ylabel()


def test_a_short_group_leaves_its_row_unfilled():
    figure = plots.group_montage(IMAGES, GROUPS, LABELS, show=[1], columns=7)
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


# --- results ----------------------------------------------------------------------------------


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
    (axes,) = plots.headline({"slice": metrics}, references={}).axes
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


# --- errors -----------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "area"), [("roc_curves", "AUC"), ("pr_curves", "AP")])
def test_curves_have_a_line_for_each_class_and_their_areas(figures, name, area):
    for panel in figures[name].axes:
        named = [line for line in panel.lines if not line.get_label().startswith("_")]
        assert [line.get_label() for line in named] == [f"{c} ({area} 0.900)" for c in CLASSES]
    assert len(figures[name].axes) == 2


def test_a_class_without_a_curve_is_left_out():
    points = CURVES[CURVES["label"] != "Stone"]
    (panel,) = plots.class_curves({"slice": points}, CLASSES, "roc").axes
    assert not any("Stone" in line.get_label() for line in panel.lines)


def test_error_panel_pairs_pictures_with_their_errors(figures):
    drawn = [axes for axes in figures["error_panel"].axes if axes.images]
    assert len(drawn) == 3
    for axes, image, row in zip(drawn, IMAGES, ERRORS.itertuples(), strict=False):
        np.testing.assert_array_equal(axes.images[0].get_array(), image)
        title = axes.get_title(loc="left")
        assert f"true {row.label}" in title
        assert f"predicted {row.predicted} {row.confidence:.2f}" in title


def test_no_errors_are_said_in_words():
    figure = plots.error_panel([], ERRORS.iloc[:0], columns=3)
    assert "No slice was misclassified" in figure.axes[0].texts[0].get_text()


def test_groups_voted_wrong_are_hollow(figures):
    (axes,) = figures["errors_by_group"].axes
    shown = axes.collections[:4]
    assert [len(c.get_offsets()) for c in shown] == [2] * 4
    faces = np.concatenate([c.get_facecolors()[:, :3] for c in shown])
    hollow = (faces == 1).all(axis=1)
    assert hollow.tolist() == (BY_GROUP["vote"] != BY_GROUP["label"]).tolist()
    sizes = shown[0].get_sizes()
    assert sizes[1] > 5 * sizes[0]
    assert axes.get_yticklabels()[0].get_text() == "Cyst\n1 of 2 voted right"


def test_external_comparison_puts_each_variant_at_its_accuracy(figures):
    (axes,) = figures["external_comparison"].axes
    points = [c.get_offsets()[:, 0].tolist() for c in axes.collections[1:]]
    assert points == [[0.9, 0.3], [0.9, 0.8]]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["as stored", "16 bit"]


# --- calibration and selective prediction ------------------------------------------------------


def test_reliability_draws_both_curves_over_the_diagonal(figures):
    for panel in figures["reliability"].axes:
        diagonal, before, _, after, _ = panel.lines
        assert diagonal.get_xydata().tolist() == [[0, 0], [1, 1]]
        for line in (before, after):
            assert line.get_xdata().tolist() == BINS["confidence"].tolist()
            assert line.get_ydata().tolist() == BINS["accuracy"].tolist()
        sizes = panel.collections[0].get_sizes()
        assert sizes[1] > 2 * sizes[0]
    texts = legend_texts(figures["reliability"])
    assert "before scaling (ECE 0.120)" in texts
    assert "after scaling (ECE 0.030)" in texts


def test_set_coverage_draws_every_class_against_the_promise(figures):
    axes = figures["set_coverage"].axes
    assert len(axes) == 4
    for panel in axes:
        units, promised = panel.lines[:3], panel.lines[3]
        for line in units:
            assert line.get_ydata() == pytest.approx([0.9, 0.8, 0, 0.1, 0.2, 0.3])
        assert list(promised.get_ydata()) == [0.9, 0.9]
        assert panel.texts[0].get_text().endswith("1.5, 1.5, 1.5 of 4")
    assert axes[3].get_title(loc="left") == "d  By patient, one threshold per class"
    assert legend_texts(figures["set_coverage"]) == [
        "every slice",
        "one slice per group",
        "every group",
    ]


def test_many_classes_turn_their_names():
    names = [f"class {k}" for k in range(10)]
    table = SETS.assign(**{f"coverage_{name}": 0.5 for name in names})
    figure = plots.set_coverage(table, names, target=0.9)
    for panel in figure.axes[2:]:
        labels = panel.get_xticklabels()
        assert [label.get_text() for label in labels] == ["all slices", "mean of groups", *names]
        assert {label.get_rotation() for label in labels} == {45}


def test_risk_coverage_marks_what_is_withheld(figures):
    (axes,) = figures["risk_coverage"].axes
    assert axes.lines[0].get_ydata().tolist() == RISK["risk"].tolist()
    marks = [tuple(line.get_xydata()[0]) for line in axes.lines[1:5]]
    assert marks == [(0.5, 0.1), (0.85, 0.2), (1.0, 0.3), (1.0, 0.3)]
    assert legend_texts(figures["risk_coverage"])[0] == "By slice (area 0.150)"


def test_operating_points_lie_where_they_are_with_their_intervals(figures):
    axes = figures["operating_points"].axes
    assert [panel.get_title(loc="left") for panel in axes] == ["a  Stone", "b  Tumor"]
    for panel in axes:
        for bar in panel.containers:
            point, _, (across, along) = bar
            assert point.get_xydata()[0] == pytest.approx([0.4, 0.9])
            assert across.get_segments()[0][:, 0] == pytest.approx([0.2, 0.5])
            assert along.get_segments()[0][:, 1] == pytest.approx([0.7, 1.0])
        assert list(panel.lines[-1].get_ydata()) == [0.99, 0.99]
    texts = legend_texts(figures["operating_points"])
    assert texts[0] == "By slice: finds 90%, 40 false alarms in 100"


def test_ood_scores_show_each_picture_and_the_share_rejected(figures):
    (axes,) = figures["ood_scores"].axes
    rows = axes.collections[: len(DISTANCES)]
    for row, values in zip(rows, DISTANCES.values(), strict=True):
        assert row.get_offsets()[:, 0].tolist() == values.tolist()
    assert [text.get_text() for text in axes.texts] == ["0%", "100%", "50%", "rejected"]
    assert list(axes.lines[0].get_xdata()) == [10.5, 10.5]
    assert (rows[0].get_facecolor() != rows[1].get_facecolor()).any()

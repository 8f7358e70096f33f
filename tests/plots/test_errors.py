"""Figures of the error analysis are judged by what is drawn."""

import numpy as np
import pandas as pd
import pytest
from figure_checks import CLASSES, SCHEMES, assert_all_tested, assert_labelled, assert_sound

from kidneyct_lib.plots import errors

PICTURES = np.random.default_rng(0).integers(0, 256, (3, 16, 16), dtype=np.uint8)
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
EXTERNAL = pd.DataFrame(
    {
        "condition": ["as stored", "as stored", "16 bit", "16 bit"],
        "variant": ["plain", "gray"] * 2,
        "accuracy": [0.9, 0.9, 0.3, 0.8],
    }
)
RNG = np.random.default_rng(0)
SLICES = [RNG.integers(0, 255, (32, 32)).astype(np.uint8) for _ in range(3)]
MAPS = RNG.uniform(0, 2, (4, 32, 32)).astype(np.float32)
MASKS = np.zeros((4, 32, 32), bool)
MASKS[2, 10:20, 10:20] = True
TITLES = ["a", "b", "c", "none wrong"]
FOUND = {
    scheme: [
        {"step": step, "correlation": r, "ci95": [r - 0.1, r + 0.15], "unsigned": abs(r) + 0.2}
        for step, r in zip(("trained", "head", "conv5"), values, strict=True)
    ]
    for scheme, values in {"slice": (0.8, 0.2, -0.1), "patient": (0.7, 0.1, -0.6)}.items()
}
DRAWN = {
    "roc_curves": lambda: errors.class_curves(dict.fromkeys(SCHEMES, CURVES), CLASSES, "roc"),
    "pr_curves": lambda: errors.class_curves(dict.fromkeys(SCHEMES, CURVES), CLASSES, "pr"),
    "error_panel": lambda: errors.error_panel(PICTURES[:3], ERRORS, columns=2),
    "errors_by_group": lambda: errors.errors_by_group(BY_GROUP, CLASSES, seed=0),
    "external_comparison": lambda: errors.external_comparison(EXTERNAL),
    "class_maps": lambda: errors.class_maps([*SLICES, None], MAPS, TITLES, columns=2, masks=MASKS),
    "weight_randomization": lambda: errors.weight_randomization(FOUND),
}
TESTED = DRAWN.keys() - {"roc_curves", "pr_curves"} | {"class_curves"}  # two kinds of one figure
TESTED |= {"subgroup_accuracy"}  # tested in test_subgroups


@pytest.fixture(scope="module")
def figures():
    return {name: draw() for name, draw in DRAWN.items()}


# --- all figures ------------------------------------------------------------------------------


def test_every_figure_of_the_module_is_tested_here():
    assert_all_tested(errors, TESTED)


@pytest.mark.parametrize("name", sorted(DRAWN))
def test_nothing_is_cut_off_and_pyplot_keeps_nothing(name):
    assert_sound(DRAWN[name])


@pytest.mark.parametrize(
    "name", sorted(set(DRAWN) - {"error_panel", "class_maps", "weight_randomization"})
)
def test_every_axis_is_labelled(figures, name):
    assert_labelled(figures[name])


def test_figures_do_not_change_their_input():
    copies = [frame.copy() for frame in (BY_GROUP, CURVES)]
    for draw in DRAWN.values():
        draw()
    for frame, copy in zip((BY_GROUP, CURVES), copies, strict=True):
        pd.testing.assert_frame_equal(frame, copy)


# --- curves, errors, groups ----------------------------------------------------------------------


@pytest.mark.parametrize(("name", "area"), [("roc_curves", "AUC"), ("pr_curves", "AP")])
def test_curves_have_a_line_for_each_class_and_their_areas(figures, name, area):
    for panel in figures[name].axes:
        named = [line for line in panel.lines if not line.get_label().startswith("_")]
        assert [line.get_label() for line in named] == [f"{c} ({area} 0.900)" for c in CLASSES]
    assert len(figures[name].axes) == 2


def test_a_class_without_a_curve_is_left_out():
    points = CURVES[CURVES["label"] != "Stone"]
    (panel,) = errors.class_curves({"slice": points}, CLASSES, "roc").axes
    assert not any("Stone" in line.get_label() for line in panel.lines)


def test_error_panel_pairs_pictures_with_their_errors(figures):
    drawn = [axes for axes in figures["error_panel"].axes if axes.images]
    assert len(drawn) == 3
    for axes, image, row in zip(drawn, PICTURES, ERRORS.itertuples(), strict=False):
        np.testing.assert_array_equal(axes.images[0].get_array(), image)
        title = axes.get_title(loc="left")
        assert f"true {row.label}" in title
        assert f"predicted {row.predicted} {row.confidence:.2f}" in title


def test_no_errors_are_said_in_words():
    figure = errors.error_panel([], ERRORS.iloc[:0], columns=3)
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


# --- maps of what is seen ----------------------------------------------------------------------


def test_every_slice_lies_under_its_own_map(figures):
    for axes, image, one in zip(figures["class_maps"].axes, SLICES, MAPS, strict=False):
        picture, drawn = axes.images
        assert np.array_equal(picture.get_array(), image)
        assert drawn.get_array().max() == 1
        assert np.allclose(drawn.get_array(), one / one.max())
        assert np.argmax(drawn.get_alpha()) == np.argmax(one)
    assert [axes.get_title() for axes in figures["class_maps"].axes] == TITLES
    assert not figures["class_maps"].axes[3].images


def test_only_lesions_are_outlined(figures):
    outlined = [bool(axes.collections) for axes in figures["class_maps"].axes]
    assert outlined == [False, False, True, False]


def test_a_map_of_nothing_hides_nothing():
    (axes,) = errors.class_maps(SLICES[:1], MAPS[:1] * 0, ["a"], columns=1).axes
    assert not axes.images[1].get_alpha().any()


def test_every_step_is_drawn_with_its_interval_and_size(figures):
    (axes,) = figures["weight_randomization"].axes
    drawn = {line.get_label(): line.get_ydata() for line in axes.lines}
    for scheme, title in (("slice", "By slice"), ("patient", "By patient")):
        rows = FOUND[scheme]
        assert list(drawn[title]) == [row["correlation"] for row in rows]
        assert list(drawn[f"{title}, sign aside"]) == [row["unsigned"] for row in rows]
    ends = [[path[:, 1] for path in bars.get_segments()] for bars in axes.collections]
    expected = [[row["ci95"] for row in rows] for rows in FOUND.values()]
    np.testing.assert_allclose(ends, expected)
    assert [tick.get_text() for tick in axes.get_xticklabels()] == ["trained", "head", "+ conv5"]
    assert axes.get_ylim()[0] < -0.7

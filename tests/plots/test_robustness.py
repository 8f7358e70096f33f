"""The robustness figures are judged by what is drawn: pictures, lines and words."""

import io

import numpy as np
import pandas as pd
import pytest
from figure_checks import (
    CLASSES,
    SCHEMES,
    assert_all_tested,
    assert_labelled,
    assert_sound,
    legend_texts,
)
from matplotlib.colors import to_rgb

from kidneyct_lib.plots import robustness

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
ROC = pd.DataFrame(
    [(name, "roc", x, y) for name in CLASSES for x, y in [(0, 0), (0, 0.8), (1, 1)]],
    columns=["label", "curve", "x", "y"],
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
NAMES = ["JPEG", "darker", "low dose", "lost resolution", "rotation", "couch removed", "bit depth"]
RNG = np.random.default_rng(0)
EXAMPLES = {name: RNG.integers(0, 256, (6, 16, 16), dtype=np.uint8) for name in NAMES}


def errors(names, stages=(1, 2)):
    """Errors that differ for every scheme, stage, corruption and severity."""
    rows = []
    for scheme, base in (("slice", 0.0), ("patient", 0.4)):
        for stage in stages:
            clean = base + 0.1 / stage
            rows.append((scheme, stage, "clean", 0, clean, clean - 0.02, clean + 0.03))
            for k, name in enumerate(names):
                for severity in range(1, 6):
                    error = clean + 0.01 * k + 0.02 * severity
                    rows.append((scheme, stage, name, severity, error, error - 0.02, error + 0.03))
    columns = ["scheme", "stage", "corruption", "severity", "balanced_error", "low", "high"]
    return pd.DataFrame(rows, columns=columns).sample(frac=1, random_state=0)


TABLE = errors(NAMES)
DRAWN = {
    "reliability": lambda: robustness.reliability(
        dict.fromkeys(SCHEMES, BIN_PAIR), dict.fromkeys(SCHEMES, CALIBRATED)
    ),
    "set_coverage": lambda: robustness.set_coverage(SETS, CLASSES, target=0.9),
    "risk_coverage": lambda: robustness.risk_coverage(
        dict.fromkeys(SCHEMES, RISK), dict.fromkeys(SCHEMES, SELECTIVE)
    ),
    "operating_points": lambda: robustness.operating_points(
        dict.fromkeys(SCHEMES, ROC),
        dict.fromkeys(SCHEMES, dict.fromkeys(["Stone", "Tumor"], POINT)),
    ),
    "ood_scores": lambda: robustness.ood_scores(
        DISTANCES, 10.5, in_distribution=["test slices"], seed=0
    ),
    "corruption_grid": lambda: robustness.corruption_grid(EXAMPLES),
    "corruption_errors": lambda: robustness.corruption_errors(TABLE),
}


@pytest.fixture(scope="module")
def figures():
    return {name: draw() for name, draw in DRAWN.items()}


def panel(figure, name):
    (result,) = [axes for axes in figure.axes if axes.get_title(loc="left") == name]
    return result


# --- all figures ------------------------------------------------------------------------------


def test_every_figure_of_the_module_is_tested_here():
    assert_all_tested(robustness, DRAWN)


@pytest.mark.parametrize("name", sorted(DRAWN))
def test_nothing_is_cut_off_and_pyplot_keeps_nothing(name):
    assert_sound(DRAWN[name])


@pytest.mark.parametrize("name", sorted(set(DRAWN) - {"corruption_grid", "corruption_errors"}))
def test_every_axis_is_labelled(figures, name):
    assert_labelled(figures[name])


def test_input_is_left_as_it_was(figures):
    pd.testing.assert_frame_equal(TABLE, errors(NAMES))


# --- calibration and selective prediction --------------------------------------------------------


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
        (promised,) = panel.lines
        assert len(panel.collections) == 3
        for unit in panel.collections:
            np.testing.assert_allclose(unit.get_offsets()[:, 1], [0.9, 0.8, 0, 0.1, 0.2, 0.3])
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
    figure = robustness.set_coverage(table, names, target=0.9)
    for panel in figure.axes[2:]:
        labels = panel.get_xticklabels()
        assert [label.get_text() for label in labels] == ["all slices", "mean of groups", *names]
        assert {label.get_rotation() for label in labels} == {45}


def test_risk_coverage_marks_what_is_withheld(figures):
    (axes,) = figures["risk_coverage"].axes
    assert axes.lines[0].get_ydata().tolist() == RISK["risk"].tolist()
    marks = axes.collections[0].get_offsets().tolist()
    assert marks == [[0.5, 0.1], [0.85, 0.2], [1.0, 0.3], [1.0, 0.3]]
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


# --- the pictures -----------------------------------------------------------------------------


def test_the_grid_shows_every_picture_in_its_place(figures):
    axes = np.array(figures["corruption_grid"].axes).reshape(7, 6)
    for row, (name, images) in zip(axes, EXAMPLES.items(), strict=True):
        assert row[0].get_ylabel().split() == name.split()
        for place, image in zip(row, images, strict=True):
            np.testing.assert_array_equal(place.images[0].get_array(), image)
            assert place.images[0].get_clim() == (0, 255)
    titles = [place.get_title() for place in axes[0]]
    assert titles == ["clean", *(f"severity {k}" for k in range(1, 6))]


def test_pictures_of_the_grid_are_large_enough_to_see_noise(figures):
    figure = figures["corruption_grid"]
    figure.savefig(io.BytesIO(), dpi=100)
    for axes in figure.axes:
        place = axes.get_window_extent()
        assert place.width / figure.dpi > 0.9
        assert place.height / figure.dpi > 0.9


def test_a_grid_of_one_row_is_a_grid():
    (row,) = np.array(robustness.corruption_grid({"JPEG": EXAMPLES["JPEG"]}).axes).reshape(1, 6)
    assert all(place.images for place in row)


# --- the errors -------------------------------------------------------------------------------


def test_each_corruption_has_a_panel_and_each_scheme_and_stage_a_line(figures):
    figure = figures["corruption_errors"]
    assert len(figure.axes) == 7
    lines = {line.get_label(): line for line in panel(figure, "rotation").lines}
    assert set(lines) == {f"By {s}, stage {k}" for s in ("slice", "patient") for k in (1, 2)}
    for label, line in lines.items():
        scheme, stage = label.split()[1].strip(","), int(label[-1])
        rows = TABLE[(TABLE["scheme"] == scheme) & (TABLE["stage"] == stage)]
        rows = rows[rows["corruption"].isin(["clean", "rotation"])].sort_values("severity")
        assert line.get_xdata().tolist() == list(range(6))
        np.testing.assert_array_equal(line.get_ydata(), rows["balanced_error"])


def test_the_last_stage_alone_has_its_intervals(figures):
    shown = panel(figures["corruption_errors"], "JPEG")
    assert len(shown.collections) == 2
    drawn = []
    for band in shown.collections:
        ends = band.get_paths()[0].vertices[:, 1]
        drawn.append((ends.min(), ends.max()))
    for scheme, ends in zip(("slice", "patient"), sorted(drawn), strict=True):
        rows = TABLE[(TABLE["scheme"] == scheme) & (TABLE["stage"] == 2)]
        rows = rows[rows["corruption"].isin(["clean", "JPEG"])]
        assert ends == pytest.approx((rows["low"].min(), rows["high"].max()))


def test_panels_share_their_axes_and_the_lowest_of_each_column_names_its_ticks(figures):
    axes = figures["corruption_errors"].axes
    assert {place.get_ylim() for place in axes} == {(0.0, 1.0)}
    named = [place.xaxis.get_tick_params()["labelbottom"] for place in axes]
    assert named == [False] * 2 + [True] * 5


def test_clean_rows_count_for_every_corruption_whatever_their_name(figures):
    named = TABLE[TABLE["severity"] > 0]
    clean = TABLE[TABLE["severity"] == 0]
    repeated = pd.concat([named, *(clean.assign(corruption=name) for name in ("JPEG", "darker"))])
    figure = robustness.corruption_errors(repeated)
    for name in ("JPEG", "darker", "rotation"):
        for line in panel(figure, name).lines:
            assert line.get_xdata().tolist() == list(range(6))


def test_one_stage_and_one_corruption_will_do():
    figure = robustness.corruption_errors(errors(["JPEG"], stages=(2,)))
    (only,) = figure.axes
    assert {line.get_label() for line in only.lines} == {"By slice", "By patient"}
    assert len(only.collections) == 2


def test_schemes_differ_in_gray_and_stages_in_their_markers(figures):
    lines = {line.get_label(): line for line in figures["corruption_errors"].axes[0].lines}
    light, dark = (
        np.dot(to_rgb(lines[f"By {scheme}, stage 2"].get_color()), [0.299, 0.587, 0.114])
        for scheme in ("slice", "patient")
    )
    assert light - dark > 0.3
    assert lines["By patient, stage 1"].get_markerfacecolor() == "white"
    assert lines["By patient, stage 2"].get_markerfacecolor() != "white"

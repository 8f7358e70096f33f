"""The audit's figures are judged by what is drawn: markers, words and where they lie."""

import io
from itertools import combinations

import matplotlib.pyplot as plt
import numpy as np
import pytest
from figure_checks import assert_all_tested, assert_sound, assert_within_border, interval_rows
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import PathCollection

from kidneyct_lib.plots import audit


def scores(accuracy, n=400, groups=40):
    ends = [max(accuracy - 0.1, 0), min(accuracy + 0.05, 1)]
    return {"n": n, "groups": groups, "accuracy": accuracy, "accuracy_ci95": ends}


MODELS = {
    "pixel kNN": {"slice": scores(0.99), "patient": scores(0.26)},
    "logistic regression": {"slice": scores(1.0), "patient": scores(0.62)},
    "stage 2": {"slice": scores(0.9996, 60, 30), "patient": scores(0.5, 61, 6)},
}
CONTROLS = {
    "labels by group": {"slice": scores(0.98), "patient": scores(0.27)},
    "labels by slice": {"slice": scores(0.26), "patient": scores(0.26)},
}
CHANCE = {"uniform": 0.25, "majority": 0.42, "negative_controls": {}}
NEAREST = [
    {"scheme": scheme, "above": above, "up_to": up_to, "n": n, "error": error, "error_ci95": ends}
    for scheme, above, up_to, n, error, ends in [
        ("slice", 0.7, 0.9, 4, 1.0, [0, 1]),
        ("slice", 0.98, 0.99, 12, 0.0, [0, 0]),
        ("slice", 0.99, 1, 1400, 0.01, [0, 0.02]),
        ("patient", -1, 0.7, 300, 0.6, [0.4, 0.7]),
        ("patient", 0.7, 0.9, 1104, 0.4, [0.3, 0.5]),
    ]
]
GAPS = [
    {"gap": gap, "series_left": left, **scores(accuracy)}
    for gap, left, accuracy in [(0, 40, 1.0), (5, 30, 0.8), (None, 0, 0.55)]
]
SWEEP = [
    {"threshold": 0.8, "groups": 3, "skipped": "class 'Stone' has 1 groups."},
    {"threshold": 0.9, "skipped": "", **scores(0.55, groups=40)},
    {"threshold": 0.99, "skipped": "", **scores(0.8, groups=1200)},
]
POINTS = [
    {"groups": n}
    | {m: 0.3 + n / 100 for m in ("accuracy", "macro_f1")}
    | {f"{m}_low": 0.25 + n / 100 for m in ("accuracy", "macro_f1")}
    | {f"{m}_high": 0.35 + n / 100 for m in ("accuracy", "macro_f1")}
    for n in (5, 10, 20, 30)
]
PROMISES = [
    {"factor": f, "groups": 30.0 * f, "value": 0.9 - (30 * f) ** -0.5, "error": 0.02 * f}
    for f in (2, 4)
]
FITS = {
    "accuracy": {"use": True, "why": "", "a": 0.9, "b": 1.0, "c": 0.5, "projections": PROMISES},
    "macro_f1": {"use": False, "why": "it does not rise"},
}
KINDS = {"display window": scores(0.58), "couch": scores(0.3)}
COMPARED = {"network": {"patient": scores(0.67), "other_window": scores(0.5)}}
DRAWN = {
    "leak_summary": lambda: audit.leak_summary(MODELS, CONTROLS, chance=CHANCE),
    "shortcuts": lambda: audit.shortcuts(KINDS, COMPARED, chance=0.25),
    "nearest_slice_error": lambda: audit.nearest_slice_error(NEAREST),
    "buffered_curve": lambda: audit.buffered_curve(GAPS, chance=0.25),
    "grouping_sweep": lambda: audit.grouping_sweep(SWEEP, chosen=0.9, by_slice=0.99, chance=0.25),
    "patient_curve": lambda: audit.patient_curve(POINTS, FITS, chance=0.25),
}


@pytest.fixture(scope="module")
def figures():
    return {name: draw() for name, draw in DRAWN.items()}


def words(figure):
    """Return all texts that are drawn."""
    return [text for text in figure.findobj(plt.Text) if text.get_text() and text.get_visible()]


def texts_of(figure):
    return "\n".join(text.get_text() for text in words(figure))


def markers(axes, marker):
    """Return the points drawn with this marker, legend entries aside."""
    lines = [line for line in axes.lines if line.get_marker() == marker]
    return [(x, y) for line in lines for x, y in zip(*line.get_data(), strict=True)]


def named(axes):
    """Return the lines that the legend names."""
    return [line for line in axes.lines if not line.get_label().startswith("_")]


def has_bar(axes, ends):
    """Whether an error bar with exactly these ends is there."""
    bars = [segment[:, 1] for c in axes.containers for segment in c[2][0].get_segments()]
    return any(np.allclose(sorted(bar), ends) for bar in bars)


# --- all figures ------------------------------------------------------------------------------


def test_every_figure_of_the_module_is_tested_here():
    assert_all_tested(audit, DRAWN)


@pytest.mark.parametrize("name", sorted(DRAWN))
def test_nothing_is_cut_off_and_pyplot_keeps_nothing(name):
    assert_sound(DRAWN[name])


@pytest.mark.parametrize("name", sorted(DRAWN))
def test_no_words_overlap(figures, name):
    figure = figures[name]
    figure.savefig(io.BytesIO(), dpi=100)
    renderer = FigureCanvasAgg(figure).get_renderer()
    boxes = [(t.get_text(), t.get_window_extent(renderer).shrunk(0.95, 0.8)) for t in words(figure)]
    for (one, first), (other, second) in combinations(boxes, 2):
        assert not first.overlaps(second), f"{one!r} and {other!r}"


# --- the summary ------------------------------------------------------------------------------


def test_the_summary_says_the_finding_in_the_studys_numbers(figures):
    title = figures["leak_summary"].get_suptitle()
    assert "99.9 %" in title  # not 100 %: one slice was wrong
    assert "50.0 % of those of new patients" in title
    assert "400 slices of 40 patients (stage 2: 61 slices of 6 new patients)" in texts_of(
        figures["leak_summary"]
    )


def test_the_summary_names_the_stages_of_the_patient_recipe():
    figure = audit.leak_summary(MODELS, CONTROLS, chance=CHANCE, recipe="patient")
    (axes,) = figure.axes
    assert "Patient recipe" in axes.get_yticklabels()[0].get_text()
    assert not any("published" in label.get_text() for label in axes.get_yticklabels())
    assert_within_border(figure)


def test_the_summary_draws_each_model_and_control_at_its_accuracies(figures):
    (axes,) = figures["leak_summary"].axes
    rows = [*reversed(MODELS.values()), *CONTROLS.values()]
    ticks = axes.get_yticks()
    assert len(ticks) == 5
    assert "fine-tuned as published" in axes.get_yticklabels()[0].get_text()
    assert "one for each patient" in axes.get_yticklabels()[3].get_text()
    for scheme, (points, ends, _) in zip(("patient", "slice"), interval_rows(axes), strict=True):
        accuracies = [row[scheme]["accuracy"] for row in rows]
        np.testing.assert_array_equal(points, np.stack([accuracies, ticks], axis=1))
        np.testing.assert_array_equal(ends, [row[scheme]["accuracy_ci95"] for row in rows])


def test_the_summary_marks_chance_and_the_largest_class_where_it_differs(figures):
    assert "chance 25 %" in texts_of(figures["leak_summary"])
    assert "largest class 42 %" in texts_of(figures["leak_summary"])
    near = audit.leak_summary(MODELS, CONTROLS, chance=CHANCE | {"majority": 0.26})
    assert "largest class" not in texts_of(near)


def test_the_summary_needs_no_controls_and_knows_other_models():
    figure = audit.leak_summary({"mine": MODELS["pixel kNN"]}, {}, chance=CHANCE)
    assert [t.get_text() for t in figure.axes[0].get_yticklabels()] == ["mine"]
    assert "Controls" not in texts_of(figure)


def test_seen_and_new_patients_differ_in_gray_and_in_shape(figures):
    (axes,) = figures["leak_summary"].axes
    dots = [one for one in axes.collections if isinstance(one, PathCollection)]
    new, _, seen, _ = dots  # each with its place in the legend
    dark, light = (one.get_facecolor()[0, :3] @ [0.299, 0.587, 0.114] for one in (new, seen))
    assert light - dark > 0.3
    assert len(new.get_paths()[0]) != len(seen.get_paths()[0])


@pytest.mark.parametrize(
    ("value", "digits", "text"),
    [
        (1, 0, "100 %"),
        (0.996, 0, "99 %"),
        (0.9996, 1, "99.9 %"),
        (0.5, 0, "50 %"),
        (0, 1, "0.0 %"),
    ],
)
def test_only_all_is_written_as_a_hundred_percent(value, digits, text):
    assert audit._percent(value, digits) == text


# --- shortcuts ---------------------------------------------------------------------------------


def test_each_kind_has_a_row_and_each_model_two_markers(figures):
    (axes,) = figures["shortcuts"].axes
    names = [label.get_text() for label in axes.get_yticklabels()]
    assert names == ["Display window", "Couch", "Network"]
    series = interval_rows(axes)
    assert [points[:, 0].tolist() for points, _, _ in series] == [[0.58, 0.3], [0.67], [0.5]]
    np.testing.assert_allclose(series[0][1], [[0.48, 0.63], [0.2, 0.35]])


def test_the_legend_names_each_look_once(figures):
    texts = [text.get_text() for text in figures["shortcuts"].legends[0].get_texts()]
    assert texts == [
        "Acquisition alone",
        "By patient",
        "By patient, in another window",
        "Chance level",
    ]


# --- the others -------------------------------------------------------------------------------


def test_errors_stand_in_their_bins(figures):
    (axes,) = figures["nearest_slice_error"].axes
    labels = [label.get_text() for label in axes.get_xticklabels()]
    assert labels == ["below\n0.7", "0.7 to\n0.9", "0.98 to\n0.99", "0.99 to\n1"]
    assert [round(x) for x, _ in markers(axes, "s")] == [0, 1]
    assert [y for _, y in markers(axes, "s")] == [0.6, 0.4]
    assert [y for _, y in markers(axes, "o")] == [0, 0.01]  # four slices make no point
    assert has_bar(axes, [0.3, 0.5])
    assert {"300", "1,104", "1,400"} <= {text.get_text() for text in axes.texts}


def test_bins_are_all_drawn_where_all_are_small():
    (axes,) = audit.nearest_slice_error(NEAREST[:1]).axes
    assert len(markers(axes, "o")) == 1


def test_gaps_are_drawn_in_order_with_the_series_left(figures):
    (axes,) = figures["buffered_curve"].axes
    assert markers(axes, "s") == [(0, 1.0), (1, 0.8), (2, 0.55)]
    labels = [label.get_text() for label in axes.get_xticklabels()]
    assert labels == ["0\n40", "5\n30", "all\n0"]
    assert has_bar(axes, [0.45, 0.6])
    assert "of 40 series" in axes.get_xlabel()
    assert markers(audit.buffered_curve([], chance=0.25).axes[0], "s") == []


def test_a_skipped_threshold_has_a_place_but_no_point(figures):
    (axes,) = figures["grouping_sweep"].axes
    assert markers(axes, "s") == [(1, 0.55), (2, 0.8)]
    labels = [label.get_text() for label in axes.get_xticklabels()]
    assert labels == ["0.8\n3", "0.9\n40", "0.99\n1,200"]
    texts = {text.get_text(): text.xy for text in axes.texts}
    assert texts["not\npossible"][0] == 0
    assert texts[" chosen"][0] == 1
    assert texts["by slice 0.99"] == (0, 0.99)


def test_the_extrapolation_is_dashed_named_and_apart_from_what_was_measured(figures):
    left, right = figures["patient_curve"].axes
    measured, beyond = named(left)
    assert measured.get_xdata().tolist() == [5, 10, 20, 30]
    assert measured.get_linestyle() == "-"
    assert beyond.get_linestyle() == "--"
    assert beyond.get_xdata().min() >= 30
    n, value = beyond.get_data()
    np.testing.assert_allclose(value, 0.9 - n**-0.5)
    assert n[beyond.get_markevery()].tolist() == [60, 120]
    assert has_bar(left, [PROMISES[1]["value"] - 0.08, PROMISES[1]["value"] + 0.08])
    assert "extrapolation (standard error of the fit)" in texts_of(figures["patient_curve"])
    assert len(named(right)) == 1
    assert "no extrapolation:\nit does not rise" in [text.get_text() for text in right.texts]

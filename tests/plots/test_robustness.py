"""The robustness figures are judged by what is drawn: pictures, lines and words."""

import io

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from figure_checks import assert_within_border
from matplotlib.colors import to_rgb

from kidneyct_lib import plots

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
    "corruption_grid": lambda: plots.corruption_grid(EXAMPLES),
    "corruption_errors": lambda: plots.corruption_errors(TABLE),
}


@pytest.fixture(scope="module")
def figures():
    return {name: draw() for name, draw in DRAWN.items()}


def panel(figure, name):
    (result,) = [axes for axes in figure.axes if axes.get_title(loc="left") == name]
    return result


@pytest.mark.parametrize("name", sorted(DRAWN))
def test_nothing_is_cut_off_and_pyplot_keeps_nothing(figures, name):
    assert_within_border(figures[name])
    assert plt.get_fignums() == []


def test_input_is_left_as_it_was(figures):
    pd.testing.assert_frame_equal(TABLE, errors(NAMES))


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
    (row,) = np.array(plots.corruption_grid({"JPEG": EXAMPLES["JPEG"]}).axes).reshape(1, 6)
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
    figure = plots.corruption_errors(repeated)
    for name in ("JPEG", "darker", "rotation"):
        for line in panel(figure, name).lines:
            assert line.get_xdata().tolist() == list(range(6))


def test_one_stage_and_one_corruption_will_do():
    figure = plots.corruption_errors(errors(["JPEG"], stages=(2,)))
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

"""Figures of the audit's sweeps: nearest slices, gaps, groupings, numbers of patients."""

from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter
from numpy.typing import ArrayLike

from kidneyct_lib.plots.style import (
    FULL_WIDTH,
    HALF_WIDTH,
    PATIENT_TITLES,
    SCHEME_STYLES,
    Style,
    draw_intervals,
    journal_style,
    legend_above,
    new_figure,
    panel_letters,
    write_beside,
)

_FEWEST = 10  # slices of a bin that is drawn
_LOW = 0.08  # no room for words below a point as low as this


@journal_style
def nearest_slice_error(rows: Sequence[Mapping]) -> Figure:
    """Draw the error of the slices by how like their most similar training slice they are.

    Parameters
    ----------
    rows
        From `leakage.nearest_error`.

    Returns
    -------
    Figure with one line per scheme; the numbers at the points are slices. Bins of fewer than ten
    slices are left out.
    """
    figure, ((axes,),) = new_figure(FULL_WIDTH, 3.2)
    table = pd.DataFrame(list(rows))
    table = table[table["n"] >= min(_FEWEST, table["n"].max())]
    bins = {up_to: k for k, up_to in enumerate(sorted(table["up_to"].unique()))}
    for scheme, points in table.groupby("scheme", sort=False):
        x = points["up_to"].map(bins) + (0.08 if scheme == "patient" else -0.08)
        error, style, name = points["error"], SCHEME_STYLES[scheme], PATIENT_TITLES[scheme]
        _line_with_intervals(axes, x, error, points["error_ci95"], style, name)
        _number_points(axes, x, error, [f"{n:,}" for n in points["n"]])
    above = table.groupby("up_to")["above"].first()
    ticks = [
        f"{above[up_to]:g} to\n{up_to:g}" if above[up_to] > 0 else f"below\n{up_to:g}"
        for up_to in bins
    ]
    axes.set_xticks(range(len(bins)), ticks)
    axes.yaxis.set_major_formatter(PercentFormatter(1, symbol=" %"))
    axes.set(xlim=(-0.5, len(bins) - 0.4), ylim=(-0.03, 1.03))
    axes.set_xlabel("Correlation with the most similar training slice")
    axes.set_ylabel("Wrong slices, with 95 % interval")
    legend_above(figure, axes)
    return figure


@journal_style
def buffered_curve(rows: Sequence[Mapping], *, chance: float) -> Figure:
    """Draw the accuracy on a held-out block over the gap between it and the training slices.

    Parameters
    ----------
    rows
        From `buffered_cv.buffered_curve`; the last is of whole series. May be empty.
    chance
        Accuracy marked by a dotted line.

    Returns
    -------
    Figure; under each gap, how many series still have slices in training.
    """
    figure, ((axes,),) = new_figure(HALF_WIDTH, 3.2)
    ticks = [f"{'all' if row['gap'] is None else row['gap']}\n{row['series_left']}" for row in rows]
    _curve_over_steps(axes, rows, ticks)
    _level(axes, chance, "chance", ":")
    series = rows[0]["groups"] if rows else 0
    axes.set_xlabel(
        "Slices left out on either side of the tested ones\n"
        f"(below: how many of {series} series still have slices in training)"
    )
    return figure


@journal_style
def grouping_sweep(
    rows: Sequence[Mapping], *, chosen: float, by_slice: float, chance: float
) -> Figure:
    """Draw the accuracy by patient over the threshold that makes slices one patient's.

    Parameters
    ----------
    rows
        From `repeated_cv.threshold_sweep`; skipped thresholds get no point.
    chosen
        The study's threshold, marked by a line.
    by_slice
        Accuracy by slice, drawn as the level that a grouping too fine would reach.
    chance
        Accuracy marked by a dotted line.
    """
    figure, ((axes,),) = new_figure(FULL_WIDTH, 3.2)
    ticks = [f"{row['threshold']:g}\n{row['groups']:,}" for row in rows]
    _curve_over_steps(axes, rows, ticks)
    _level(axes, chance, "chance", ":", right=True)
    _level(axes, by_slice, "by slice", "--")
    for place, row in enumerate(rows):
        if row["threshold"] == chosen:
            axes.axvline(place, color="0.4", linewidth=0.9, linestyle="--", zorder=0)
            axes.annotate(" chosen", (place, 0.02))
        if row["skipped"]:
            axes.annotate("not\npossible", (place, 0.45), ha="center")
    axes.set_xlabel("Correlation above which two slices are one patient's (below: groups)")
    return figure


@journal_style
def patient_curve(
    points: Sequence[Mapping], fits: Mapping[str, Mapping], *, chance: float
) -> Figure:
    """Draw the scores on new patients over the number of patients in training.

    Parameters
    ----------
    points
        From `learning_curve.patient_curve`.
    fits
        {measure: what `learning_curve.extrapolate` gives}.
    chance
        Accuracy marked by a dotted line.

    Returns
    -------
    Figure; bars are the range over the draws. Beyond the measured numbers a dashed line is the
    extrapolation, with the standard error of the fit; where a fit is of no use there is none.
    """
    names = {"accuracy": "Accuracy", "macro_f1": "Macro-F1"}
    figure, axes = new_figure(FULL_WIDTH, 3.0, columns=len(names), sharex=True, sharey=True)
    groups = np.array([point["groups"] for point in points])
    style = SCHEME_STYLES["patient"]
    for panel, measure in zip(axes.flat, names, strict=True):
        ranges = [(point[f"{measure}_low"], point[f"{measure}_high"]) for point in points]
        values = [point[measure] for point in points]
        _line_with_intervals(panel, groups, values, ranges, style, "measured (range over draws)")
        if fits[measure]["use"]:
            _draw_projections(panel, groups, fits[measure], style)
        else:
            corner = {"ha": "right", "va": "top", "transform": panel.transAxes, "wrap": True}
            panel.text(0.97, 0.95, f"no extrapolation:\n{fits[measure]['why']}", **corner)
        panel.set_xscale("log", base=2)
        panel.xaxis.set_major_formatter("{x:g}")
        panel.set(ylim=(0, 1.02), xlabel="Patients (groups) in training")
    axes[0, 0].set_ylabel("Score on new patients")
    _level(axes[0, 0], chance, "chance", ":", right=True)
    panel_letters(axes.flat, list(names.values()))
    # The panel with an extrapolation, if there is one, has all entries.
    legend_above(figure, max(axes.flat, key=lambda panel: len(panel.lines)))
    return figure


def _line_with_intervals(
    axes: Axes, x: ArrayLike, y: ArrayLike, ends: Iterable, style: Style, name: str | None
) -> None:
    """Draw points joined by a line, each with its own [low, high]."""
    draw_intervals(axes, x, ends, colour=style.colour)
    look = style.curve | {"markersize": 5, "markeredgecolor": "black", "markeredgewidth": 0.4}
    axes.plot(x, y, **look, label=name)


def _curve_over_steps(axes: Axes, rows: Sequence[Mapping], ticks: Sequence[str]) -> None:
    """Draw accuracy with intervals over evenly spaced steps, whatever their values."""
    places = [place for place, row in enumerate(rows) if "accuracy" in row]
    if places:
        values, ends = (
            [rows[place][key] for place in places] for key in ("accuracy", "accuracy_ci95")
        )
        _line_with_intervals(axes, places, values, ends, SCHEME_STYLES["patient"], None)
        _number_points(axes, places, values, [f"{value:.2f}" for value in values])
    axes.set_xticks(range(len(rows)), ticks)
    axes.set(xlim=(-0.4, max(len(rows), 1) - 0.4), ylim=(0, 1.08), yticks=np.arange(0, 1.01, 0.2))
    axes.set_ylabel("Accuracy, with 95 % interval")


def _level(axes: Axes, value: float, name: str, line: str, *, right: bool = False) -> None:
    """Mark a level by a horizontal line and name it at its left or right end."""
    axes.axhline(value, color="0.35", linewidth=0.9, linestyle=line, zorder=0)
    place, offset = (int(right), value), (-3 if right else 3, 2)
    look = {"xycoords": ("axes fraction", "data"), "ha": "right" if right else "left"}
    write_beside(axes, f"{name} {value:.2f}", place, offset, **look)


def _number_points(
    axes: Axes, x: Iterable[float], y: Iterable[float], texts: Iterable[str]
) -> None:
    """Write beside each point, below where the line rises to the right: never on a line."""
    for place, (value, following), text in zip(x, pairwise([*y, 0]), texts, strict=True):
        below = following > value > _LOW
        write_beside(axes, text, (place, value), (4, -10 if below else 4))


def _draw_projections(axes: Axes, groups: np.ndarray, fit: Mapping, style: Style) -> None:
    """Draw an extrapolation dashed, with the standard error of the fit at its projections."""
    far, value, error = (
        np.array([projection[key] for projection in fit["projections"]])
        for key in ("groups", "value", "error")
    )
    n = np.union1d(np.geomspace(groups.max(), far.max(), 50), far)
    ends = np.stack([value - error, value + error], axis=1)
    draw_intervals(axes, far, ends, colour=style.colour)
    look = style.curve | {"linestyle": "--", "linewidth": 1, "markerfacecolor": "white"}
    places = np.searchsorted(n, far).tolist()
    curve = fit["a"] - fit["b"] * n ** -fit["c"]
    label = "extrapolation (standard error of the fit)"
    axes.plot(n, curve, **look, markersize=5, markevery=places, label=label)

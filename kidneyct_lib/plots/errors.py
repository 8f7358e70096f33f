"""Figures of the error analysis: curves, worst errors, groups, subgroups, external images."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from kidneyct_lib.plots.style import (
    FULL_WIDTH,
    HALF_WIDTH,
    SCHEME_STYLES,
    SCHEME_TITLES,
    Style,
    blank,
    image_sheet,
    journal_style,
    legend_above,
    legend_below,
    new_figure,
    panel_letters,
    series_styles,
    write_beside,
)

_CURVES = {
    "roc": ("False positive rate", "True positive rate", "AUC", "default"),
    "pr": ("Recall", "Precision", "AP", "steps-post"),
}


@journal_style
def roc_curves(curves_by_scheme: Mapping[str, pd.DataFrame], classes: Sequence[str]) -> Figure:
    """Draw the ROC curve of each class against the others, one panel per scheme.

    Parameters
    ----------
    curves_by_scheme
        {scheme: points from `metrics.curves`}.
    classes
        The study's classes.

    Returns
    -------
    Figure; the legends give the areas under the curves.
    """
    figure, axes = _curve_panels(curves_by_scheme, classes, "roc")
    for panel in axes.flat:
        panel.plot([0, 1], [0, 1], color="0.6", linewidth=0.8, zorder=0)
    return figure


@journal_style
def pr_curves(curves_by_scheme: Mapping[str, pd.DataFrame], classes: Sequence[str]) -> Figure:
    """Draw the precision-recall curve of each class against the others, one panel per scheme.

    Parameters
    ----------
    curves_by_scheme
        {scheme: points from `metrics.curves`}.
    classes
        The study's classes.

    Returns
    -------
    Figure; the legends give the average precisions, short lines at the right the shares of the
    classes, which is the precision of chance.
    """
    figure, axes = _curve_panels(curves_by_scheme, classes, "pr")
    styles = series_styles(classes)
    for panel, points in zip(axes.flat, curves_by_scheme.values(), strict=True):
        for name, share in points.groupby("label")["prevalence"].first().items():
            panel.plot([0.95, 1.03], [share, share], color=styles[str(name)].colour, linewidth=1.5)
    return figure


def _curve_panels(
    curves_by_scheme: Mapping[str, pd.DataFrame], classes: Sequence[str], curve: str
) -> tuple[Figure, np.ndarray]:
    """Draw one kind of curve ("roc" or "pr"), classes as lines, schemes as panels."""
    xlabel, ylabel, area, steps = _CURVES[curve]
    width = FULL_WIDTH if len(curves_by_scheme) > 1 else HALF_WIDTH
    figure, axes = new_figure(width, 4.2, columns=len(curves_by_scheme), sharex=True, sharey=True)
    for panel, points in zip(axes.flat, curves_by_scheme.values(), strict=True):
        for name, style in series_styles(classes).items():
            line = points[(points["label"] == name) & (points["curve"] == curve)]
            if len(line):
                look = style.curve | {"markersize": 3.5, "markevery": 0.21, "drawstyle": steps}
                label = f"{name} ({area} {line['area'].iloc[0]:.3f})"
                panel.plot(line["x"], line["y"], **look, label=label)
        panel.set(xlim=(-0.03, 1.03), ylim=(-0.03, 1.03), xlabel=xlabel, ylabel=ylabel)
        panel.label_outer()
        legend_below(panel, ncols=2, handlelength=2.6)
    panel_letters(axes.flat, [SCHEME_TITLES[scheme] for scheme in curves_by_scheme])
    return figure, axes


@journal_style
def error_panel(images: Sequence[np.ndarray], rows: pd.DataFrame, *, columns: int) -> Figure:
    """Show the most confident errors as images.

    Parameters
    ----------
    images
        uint8, each (H, W) or (H, W, 3), one for each of `rows`.
    rows
        From `metrics.worst_errors`: ``group``, ``label``, ``predicted``, ``confidence``.
    columns
        Images in a row.

    Returns
    -------
    Figure with the true class, the predicted one and its probability above each image; a
    line of text where there are no errors.
    """
    if rows.empty:
        figure, ((axes,),) = new_figure(HALF_WIDTH, 1.0)
        blank(axes)
        axes.text(0.5, 0.5, "No slice was misclassified.", ha="center", va="center", fontsize=9)
        return figure
    titles = [
        f"true {row.label}\npredicted {row.predicted} {row.confidence:.2f}\ngroup {row.group}"
        for row in rows.itertuples()
    ]
    return image_sheet(images, titles, columns, title_height=0.42, loc="left")[0]


@journal_style
def errors_by_group(frame: pd.DataFrame, classes: Sequence[str], *, seed: int) -> Figure:
    """Draw the accuracy within each group.

    Parameters
    ----------
    frame
        ``label``, ``n``, ``accuracy``, ``vote`` from `metrics.by_group`.
    classes
        In the order to show them.
    seed
        Of the scatter that keeps equal groups apart.

    Returns
    -------
    Figure with one marker per group, its area growing with its slices, filled where the vote of
    the group's slices is right and hollow where it is wrong.
    """
    figure, ((axes,),) = new_figure(FULL_WIDTH, 0.9 + 0.55 * len(classes))
    rng = np.random.default_rng(seed)
    area = 190 / frame["n"].max()  # of a marker, for each slice of its group
    ticks = []
    for position, (name, style) in enumerate(series_styles(classes).items()):
        groups = frame[frame["label"] == name]
        right = (groups["vote"] == name).to_numpy()
        ticks.append(f"{name}\n{right.sum()} of {len(groups)} voted right")
        axes.scatter(
            groups["accuracy"],
            position + rng.uniform(-0.25, 0.25, len(groups)),
            12 + area * groups["n"],
            **_hollow_points(style, ~right, 1.2),
            alpha=0.8,
            clip_on=False,
        )
    for n in sorted({1, int(frame["n"].median()), int(frame["n"].max())}):
        label = f"{n} slices" if n > 1 else "1 slice"
        axes.scatter([], [], 12 + area * n, color="0.6", label=label)
    axes.set_yticks(range(len(classes)), ticks)
    axes.set(xlim=(-0.02, 1.02), ylim=(len(classes) - 0.5, -0.5))
    axes.set(xlabel="Share of the group's slices classified right", ylabel="True class")
    legend_above(figure, axes, title="One marker per group; hollow: its vote is wrong")
    return figure


@journal_style
def external_comparison(frame: pd.DataFrame) -> Figure:
    """Draw the accuracy under each condition of external images, one marker per variant.

    Parameters
    ----------
    frame
        ``condition`` (how the images differ), ``variant`` (how they are prepared) and
        ``accuracy`` (0 to 1).

    Returns
    -------
    Figure with one line per condition, joining its variants.
    """
    conditions, variants = list(frame["condition"].unique()), list(frame["variant"].unique())
    table = frame.pivot(index="condition", columns="variant", values="accuracy")
    table = table.reindex(index=conditions, columns=variants)
    figure, ((axes,),) = new_figure(FULL_WIDTH, 0.9 + 0.34 * len(conditions))
    position = np.arange(len(conditions))
    axes.hlines(position, table.min(axis=1), table.max(axis=1), color="0.6", zorder=1)
    for k, (variant, style) in enumerate(series_styles(variants).items()):
        look = style.points | {"zorder": 2 + k, "clip_on": False}
        axes.scatter(table[variant], position, 70 / (1 + k), **look, label=variant)
    axes.set_yticks(position, conditions)
    axes.invert_yaxis()
    axes.grid(axis="y", color="0.92")
    axes.set(xlim=(0, 1.0), xlabel="Accuracy", ylabel="Images")
    legend_above(figure, axes)
    return figure


@journal_style
def subgroup_accuracy(frame: pd.DataFrame) -> Figure:
    """Draw the accuracy in each level of each subgroup under each scheme, with its interval.

    Parameters
    ----------
    frame
        ``scheme`` and the columns of `subgroups.by_subgroup`.

    Returns
    -------
    Figure with one line per level, subgroups set apart; hollow markers where groups are few.
    """
    schemes = list(frame["scheme"].unique())
    rows = frame.drop_duplicates(["subgroup", "level"])
    # A gap of one line, for its title, opens each subgroup.
    opening = rows["subgroup"].ne(rows["subgroup"].shift()).cumsum()
    rows = rows.assign(y=np.arange(len(rows)) + opening)
    figure, ((axes,),) = new_figure(FULL_WIDTH, 1.0 + 0.3 * (rows["y"].max() + 1))
    for k, scheme in enumerate(schemes):
        style = SCHEME_STYLES[scheme]
        part = frame[frame["scheme"] == scheme].merge(rows[["subgroup", "level", "y"]])
        y = part["y"] + 0.26 * (k - (len(schemes) - 1) / 2)
        axes.hlines(y, part["accuracy_low"], part["accuracy_high"], color=style.colour, zorder=1)
        look = _hollow_points(style, part["few_groups"], 1.3) | {"zorder": 2, "clip_on": False}
        axes.scatter(part["accuracy"], y, 26, **look)
        axes.plot([], [], color=style.colour, marker=style.marker, label=SCHEME_TITLES[scheme])
    if frame["few_groups"].any():
        axes.scatter([], [], facecolors="white", edgecolors="0.3", label="fewer than ten groups")
    _name_rows(axes, frame, rows)
    axes.set(xlim=(0, 1), ylim=(rows["y"].max() + 0.6, -0.4))
    axes.set(xlabel="Accuracy, with 95 % interval over groups")
    axes.grid(axis="x", color="0.92")
    axes.set_axisbelow(True)
    legend_above(figure, axes)
    return figure


def _name_rows(axes: Axes, frame: pd.DataFrame, rows: pd.DataFrame) -> None:
    """Name each level with its groups, and each subgroup in the gap above its levels."""
    groups = frame.groupby(["subgroup", "level"], sort=False)["groups"].unique()
    names = [
        f"{level} ({' | '.join(map(str, counts))} groups)"
        for level, counts in zip(rows["level"], groups, strict=True)
    ]
    axes.set_yticks(rows["y"], names)
    axes.tick_params(axis="y", length=0)
    look = {"ha": "right", "va": "center", "fontsize": 8, "fontweight": "bold"}
    at_left = ("axes fraction", "data")
    for subgroup, y in rows.groupby("subgroup", sort=False)["y"].min().items():
        title = str(subgroup).capitalize()
        write_beside(axes, title, (0, y - 1), (-4, 0), xycoords=at_left, **look)


def _hollow_points(style: Style, hollow: ArrayLike, edge: float) -> dict[str, Any]:
    """Options of `Axes.scatter` for points of which some, (N,), are hollow with a thicker edge."""
    return {
        "marker": style.marker,
        "facecolors": np.where(hollow, "white", style.colour),
        "edgecolors": np.where(hollow, style.colour, "black"),
        "linewidth": np.where(hollow, edge, 0.5),
    }

"""Figures of the error analysis: curves, worst errors, errors by group, external images.

Each function takes data and returns a Figure; it computes no result and saves nothing.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from kidneyct_lib.plots.style import (
    FULL_WIDTH,
    HALF_WIDTH,
    SCHEME_TITLES,
    blank,
    fitting_size,
    journal_style,
    legend_above,
    new_figure,
    panel_letters,
    series_styles,
    show_image,
)


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
    labels = "False positive rate", "True positive rate"
    figure, axes = _curve_panels(curves_by_scheme, classes, "roc", labels, "AUC")
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
    labels = "Recall", "Precision"
    figure, axes = _curve_panels(curves_by_scheme, classes, "pr", labels, "AP")
    styles = series_styles(classes)
    for panel, points in zip(axes.flat, curves_by_scheme.values(), strict=True):
        for name, share in points.groupby("label")["prevalence"].first().items():
            panel.plot([0.95, 1.03], [share, share], color=styles[name].colour, linewidth=1.5)
    return figure


def _curve_panels(
    curves_by_scheme: Mapping[str, pd.DataFrame],
    classes: Sequence[str],
    curve: str,
    labels: tuple[str, str],
    area: str,
) -> tuple[Figure, np.ndarray]:
    """Draw one kind of curve, classes as lines, schemes as panels."""
    width = FULL_WIDTH if len(curves_by_scheme) > 1 else HALF_WIDTH
    figure, axes = new_figure(width, 4.2, columns=len(curves_by_scheme), sharex=True, sharey=True)
    for panel, points in zip(axes.flat, curves_by_scheme.values(), strict=True):
        for name, style in series_styles(classes).items():
            line = points[(points["label"] == name) & (points["curve"] == curve)]
            if len(line):
                panel.plot(
                    line["x"],
                    line["y"],
                    color=style.colour,
                    linestyle=style.line,
                    marker=style.marker,
                    markersize=3.5,
                    markevery=0.21,
                    drawstyle="default" if curve == "roc" else "steps-post",
                    label=f"{name} ({area} {line['area'].iloc[0]:.3f})",
                )
        panel.set(xlim=(-0.03, 1.03), ylim=(-0.03, 1.03))
        panel.set(xlabel=labels[0], ylabel=labels[1])
        panel.label_outer()
        panel.legend(loc="upper center", bbox_to_anchor=(0.5, -0.17), ncols=2, handlelength=2.6)
    panel_letters(axes.flat, [SCHEME_TITLES.get(name, name) for name in curves_by_scheme])
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
    lines = -(-len(rows) // columns)
    side = FULL_WIDTH / columns
    figure, axes = new_figure(FULL_WIDTH, lines * (side + 0.42), rows=lines, columns=columns)
    for panel in axes.flat:
        blank(panel)
    titles = [
        f"true {row.label}\npredicted {row.predicted} {row.confidence:.2f}\ngroup {row.group}"
        for row in rows.itertuples()
    ]
    size = fitting_size(titles, side)
    for panel, image, title in zip(axes.flat, images, titles, strict=False):
        show_image(panel, image)
        panel.set_title(title, fontsize=size, pad=2, loc="left")
    return figure


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
    styles = series_styles(classes)
    ticks = []
    for position, name in enumerate(classes):
        groups = frame[frame["label"] == name]
        right = (groups["vote"] == name).to_numpy()
        ticks.append(f"{name}\n{right.sum()} of {len(groups)} voted right")
        axes.scatter(
            groups["accuracy"],
            position + rng.uniform(-0.25, 0.25, len(groups)),
            s=12 + 190 * groups["n"] / frame["n"].max(),
            facecolors=np.where(right, styles[name].colour, "white"),
            edgecolors=np.where(right, "black", styles[name].colour),
            marker=styles[name].marker,
            linewidth=np.where(right, 0.5, 1.2),
            alpha=0.8,
            clip_on=False,
        )
    for size in sorted({1, int(frame["n"].median()), int(frame["n"].max())}):
        axes.scatter(
            [],
            [],
            s=12 + 190 * size / frame["n"].max(),
            color="0.6",
            label=f"{size} slices" if size > 1 else "1 slice",
        )
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
        axes.scatter(
            table[variant],
            position,
            s=70 / (1 + k),
            color=style.colour,
            marker=style.marker,
            edgecolor="black",
            linewidth=0.5,
            zorder=2 + k,
            label=variant,
            clip_on=False,
        )
    axes.set_yticks(position, conditions)
    axes.invert_yaxis()
    axes.grid(axis="y", color="0.92")
    axes.set(xlim=(0, 1.0), xlabel="Accuracy", ylabel="Images")
    legend_above(figure, axes)
    return figure

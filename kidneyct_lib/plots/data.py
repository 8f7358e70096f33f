"""Figures of the images: counts, sizes, gray levels, contact sheets."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from kidneyct_lib.plots.style import (
    FULL_WIDTH,
    HALF_WIDTH,
    THOUSANDS,
    image_sheet,
    journal_style,
    new_figure,
    series_styles,
    with_legend,
)


@journal_style
def class_counts(table: pd.DataFrame, classes: Sequence[str]) -> Figure:
    """Draw the number of slices of each class as bars, each with its count and its share.

    Parameters
    ----------
    table
        One row per slice, with ``label``.
    classes
        In the order to show them.
    """
    figure, ((axes,),) = new_figure(HALF_WIDTH, 0.6 + 0.38 * len(classes))
    counts = table["label"].value_counts().reindex(list(classes), fill_value=0)
    shares = counts / max(counts.sum(), 1)
    for name, style in series_styles(classes).items():
        bars = axes.barh(name, counts[name], **style.bars)
        axes.bar_label(bars, [f"{counts[name]:,} ({shares[name]:.0%})"], padding=3, fontsize=8)
    axes.invert_yaxis()
    axes.margins(x=0.22)
    axes.xaxis.set_major_formatter(THOUSANDS)
    axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    axes.set(xlabel="Slices", ylabel="Class")
    return figure


@journal_style
def image_sizes(table: pd.DataFrame) -> Figure:
    """Draw which image sizes occur, and how often, by plane: areas grow with the number of slices.

    Parameters
    ----------
    table
        One row per slice, with ``width`` and ``height`` in pixels and ``plane``.
    """
    figure, ((axes,),) = new_figure(HALF_WIDTH, 3.4)
    counts = table.groupby(["plane", "width", "height"]).size().rename("slices").reset_index()
    styles = series_styles(sorted(counts["plane"].unique()))
    for plane, style in styles.items():
        rows = counts[counts["plane"] == plane]
        areas = 20 + 280 * rows["slices"] / counts["slices"].max()
        axes.scatter(rows["width"], rows["height"], areas, **style.points, alpha=0.75)
        name = f"{plane}: {rows['slices'].sum():,} slices, sizes: {len(rows)}"
        axes.scatter([], [], s=40, color=style.colour, marker=style.marker, label=name)
    longest = 1.15 * counts[["width", "height"]].to_numpy().max()
    axes.plot([0, longest], [0, longest], color="0.6", linewidth=0.7, zorder=0)
    axes.set(xlim=(0, longest), ylim=(0, longest), aspect="equal")
    axes.set(xlabel="Width (pixels)", ylabel="Height (pixels)")
    axes.locator_params(nbins=6)
    return with_legend(figure, axes, columns=1)


@journal_style
def intensity_histograms(
    images: np.ndarray, labels: Sequence[str], classes: Sequence[str]
) -> Figure:
    """Draw how often each gray level occurs in each class, on a scale logarithmic for the black.

    Parameters
    ----------
    images
        uint8 (N, H, W), 0 to 255.
    labels
        Class of each image, (N,).
    classes
        In the order to show them.
    """
    figure, ((axes,),) = new_figure(FULL_WIDTH, 2.9)
    middles = np.arange(1.5, 256, 4)
    for name, style in series_styles(classes).items():
        counts = np.zeros(256, np.int64)
        rows = np.flatnonzero(np.asarray(labels) == name)
        for row in rows:  # one at a time: counting widens each pixel
            counts += np.bincount(images[row].ravel(), minlength=256)
        share = counts.reshape(-1, 4).sum(axis=1) / max(counts.sum(), 1)
        share = np.where(share > 0, share, np.nan)
        axes.plot(middles, share, **style.curve, markevery=8, markersize=4, label=name)
    axes.set(yscale="log", xlim=(0, 255))
    axes.set(xlabel="Gray level (8 bit), in bins of 4", ylabel="Share of pixels")
    return with_legend(figure, axes)


@journal_style
def contact_sheet(images: Sequence[np.ndarray], titles: Sequence[str], columns: int) -> Figure:
    """Show images in rows, in their true gray levels.

    Parameters
    ----------
    images
        uint8, each gray (H, W) or RGB (H, W, 3).
    titles
        One above each image.
    columns
        Images in a row.
    """
    return image_sheet(images, titles, columns, title_height=0.2)[0]

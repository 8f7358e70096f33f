"""Figures of the images and their groups: counts, gray levels, series, splits, class weights."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, NullFormatter

from kidneyct_lib.plots import journal


@journal.style
def class_counts(table: pd.DataFrame, classes: Sequence[str]) -> Figure:
    """Draw the number of slices of each class as bars, each with its count and its share.

    `table` has one row per slice, with ``label``.
    """
    figure, ((axes,),) = journal.new_figure(0.6 + 0.38 * len(classes), journal.HALF_WIDTH)
    counts = table["label"].value_counts().reindex(list(classes), fill_value=0)
    shares = counts / max(counts.sum(), 1)
    for name, style in journal.series_styles(classes).items():
        bars = axes.barh(name, counts[name], **style.bars)
        axes.bar_label(bars, [f"{counts[name]:,} ({shares[name]:.0%})"], padding=3, fontsize=8)
    axes.invert_yaxis()
    axes.margins(x=0.22)
    axes.xaxis.set_major_formatter(journal.THOUSANDS)
    axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    axes.set(xlabel="Slices", ylabel="Class")
    return figure


@journal.style
def image_sizes(table: pd.DataFrame) -> Figure:
    """Draw which image sizes occur, and how often, by plane: areas grow with the number of slices.

    `table` has one row per slice, with ``width`` and ``height`` in pixels and ``plane``.
    """
    figure, ((axes,),) = journal.new_figure(3.4, journal.HALF_WIDTH)
    counts = table.groupby(["plane", "width", "height"]).size().rename("slices").reset_index()
    styles = journal.series_styles(sorted(counts["plane"].unique()))
    for plane, style in styles.items():
        rows = counts[counts["plane"] == plane]
        areas = 20 + 280 * rows["slices"] / counts["slices"].max()
        axes.scatter(rows["width"], rows["height"], areas, **style.points(), alpha=0.75)
        name = f"{plane}: {rows['slices'].sum():,} slices, sizes: {len(rows)}"
        axes.scatter([], [], s=40, color=style.colour, marker=style.marker, label=name)
    longest = 1.15 * counts[["width", "height"]].to_numpy().max()
    axes.plot([0, longest], [0, longest], color="0.6", linewidth=0.7, zorder=0)
    axes.set(xlim=(0, longest), ylim=(0, longest), aspect="equal")
    axes.set(xlabel="Width (pixels)", ylabel="Height (pixels)")
    axes.locator_params(nbins=6)
    return journal.with_legend(figure, axes, columns=1)


@journal.style
def intensity_histograms(
    images: np.ndarray, labels: Sequence[str], classes: Sequence[str]
) -> Figure:
    """Draw how often each gray level occurs in each class, on a scale logarithmic for the black.

    `images` are uint8 (N, H, W); `labels` their classes, (N,).
    """
    figure, ((axes,),) = journal.new_figure(2.9)
    middles = np.arange(1.5, 256, 4)
    for name, style in journal.series_styles(classes).items():
        counts = np.zeros(256, np.int64)
        for row in np.flatnonzero(np.asarray(labels) == name):  # one by one: counting widens pixels
            counts += np.bincount(images[row].ravel(), minlength=256)
        share = counts.reshape(-1, 4).sum(axis=1) / max(counts.sum(), 1)
        share = np.where(share > 0, share, np.nan)
        axes.plot(middles, share, **style.curve, markevery=8, markersize=4, label=name)
    axes.set(yscale="log", xlim=(0, 255))
    axes.set(xlabel="Gray level (8 bit), in bins of 4", ylabel="Share of pixels")
    return journal.with_legend(figure, axes)


@journal.style
def contact_sheet(images: Sequence[np.ndarray], titles: Sequence[str], columns: int) -> Figure:
    """Show images, so many in a row, in their true gray levels, each below its title."""
    return journal.image_sheet(images, titles, columns, title_height=0.2)[0]


@journal.style
def series_structure(
    correlations: pd.DataFrame, classes: Sequence[str], *, threshold: float
) -> Figure:
    """Draw how alike consecutive slices are, against random ones of the same class, as densities.

    The axis is logarithmic in 1 - correlation.

    Parameters
    ----------
    correlations
        One row per pair, with ``label``, ``pair`` ("consecutive" or "random") and
        ``correlation``, from `near_duplicates.series_correlations`.
    classes
        One panel each.
    threshold
        Correlation above which slices are grouped, marked by a line.
    """
    figure, panels = journal.panel_grid(len(classes), 2, top=0.7, height=1.5, titles=classes)
    distance = (1 - correlations["correlation"]).clip(lower=1e-4)
    shape = {"log_scale": True, "binrange": (-4, 0.3), "bins": 43, "stat": "probability"}
    shape |= {"element": "step", "alpha": 0.35}
    styles = journal.series_styles(["consecutive", "random"])
    for k, (panel, name) in enumerate(zip(panels, classes, strict=True)):
        for pair, style in styles.items():
            chosen = (correlations["label"] == name) & (correlations["pair"] == pair)
            look = {"color": style.colour, "hatch": style.hatch, "linestyle": style.line}
            sns.histplot(x=distance[chosen], **shape, **look, label=f"{pair} slices", ax=panel)
        panel.axvline(1 - threshold, color="black", linewidth=0.9, linestyle=":")
        place = panel.get_xaxis_transform()
        panel.text(1 - threshold, 0.97, f"{threshold:g} ", transform=place, ha="right", va="top")
        panel.set_xlabel("Correlation of thumbnails", visible=k + 2 >= len(classes))
        panel.set_ylabel("" if k % 2 else "Share of pairs")
    panels[0].invert_xaxis()
    panels[0].xaxis.set_major_formatter(lambda value, _: f"{1 - value:.6g}")
    panels[0].xaxis.set_minor_formatter(NullFormatter())
    return journal.with_legend(figure, panels[0])


@journal.style
def group_montage(
    images: np.ndarray,
    groups: np.ndarray,
    labels: Sequence[str],
    *,
    show: Sequence[int],
    columns: int,
) -> Figure:
    """Show slices of some groups, one group per row, for the eye to check the grouping.

    A short group leaves its row unfilled.

    Parameters
    ----------
    images
        uint8 (N, H, W) in natural order.
    groups, labels
        Group and class of each image, (N,).
    show
        The groups to show.
    columns
        Slices of each, evenly spaced from its first to its last.
    """
    rows = {}
    for group in show:
        members = np.flatnonzero(np.asarray(groups) == group)
        spread = np.linspace(0, len(members) - 1, min(columns, len(members))).round().astype(int)
        names = " / ".join(pd.unique(np.asarray(labels)[members]))
        rows[f"Group {group}\n{names}\n{len(members)} slices"] = images[members[spread]]
    return journal.image_rows(rows, columns, label=0.9)[0]


@journal.style
def group_sizes(table: pd.DataFrame, classes: Sequence[str], *, seed: int) -> Figure:
    """Draw how many slices each group holds, on a logarithmic scale, and each class's median.

    `table` has one row per slice, with ``label`` and ``group``.
    """
    figure, ((axes,),) = journal.new_figure(3.0, journal.HALF_WIDTH)
    rng = np.random.default_rng(seed)
    ticks = []
    for position, (name, style) in enumerate(journal.series_styles(classes).items()):
        sizes = table.loc[table["label"] == name, "group"].value_counts().to_numpy()
        ticks.append(f"{name}\n{len(sizes)} groups")
        x = position + rng.uniform(-0.22, 0.22, len(sizes))
        axes.scatter(x, sizes, 22, **style.points() | {"linewidth": 0.4, "alpha": 0.85})
        if len(sizes):
            axes.hlines(np.median(sizes), position - 0.33, position + 0.33, color="black")
    axes.set_yscale("log")
    axes.yaxis.set_major_formatter(journal.THOUSANDS)
    axes.set_xticks(range(len(classes)), ticks)
    axes.set(xlim=(-0.6, len(classes) - 0.4), xlabel="Class", ylabel="Slices in a group")
    return figure


@journal.style
def threshold_curve(frame: pd.DataFrame, chosen: float) -> Figure:
    """Draw how the groups depend on the correlation threshold.

    `frame` has ``threshold``, ``groups``, ``largest``, ``cross_class_links`` from
    `near_duplicates.threshold_curve`.
    """
    panels = {
        "groups": "Groups",
        "largest": "Largest group\n(slices)",
        "cross_class_links": "Links between\nclasses",
    }
    figure, axes = journal.new_figure(4.2, journal.HALF_WIDTH, rows=3, sharex=True)
    for panel, (column, label) in zip(axes.flat, panels.items(), strict=True):
        look = {"color": "black", "marker": "o", "markersize": 3, "clip_on": False}
        panel.plot(frame["threshold"], frame[column], **look)
        panel.axvline(
            chosen, color=journal.series_styles(["chosen"])["chosen"].colour, linestyle="--"
        )
        panel.set(ylabel=label, ylim=(0, None))
        panel.yaxis.set_major_formatter(journal.THOUSANDS)
        panel.yaxis.set_major_locator(MaxNLocator(4, integer=True))
    if frame["cross_class_links"].max() > 10:
        axes[2, 0].set_yscale("symlog", linthresh=1)
        axes[2, 0].yaxis.set_major_formatter(journal.THOUSANDS)
    axes[0, 0].set_title(f"dashed line: chosen threshold, {chosen:g}", fontsize=8, loc="right")
    axes[2, 0].set_xlabel("Correlation threshold")
    figure.align_ylabels()
    return figure


@journal.style
def split_counts(
    table: pd.DataFrame, splits: Mapping[str, Sequence[str]], classes: Sequence[str]
) -> Figure:
    """Draw the slices (above) and groups (below) of each part and class, one column per scheme.

    Under a split by slice a group is counted in every part that it has slices in.

    `table` has one row per slice, with ``label`` and ``group``; `splits` is {scheme: part of each
    row}.
    """
    figure, axes = journal.new_figure(4.4, rows=2, schemes=splits, sharex=True, sharey="row")
    counted = {"Slices": "size", "Groups": "nunique"}
    for column, split in zip(axes.T, splits.values(), strict=True):
        by_part = table.assign(part=np.asarray(split)).groupby(["label", "part"])["group"]
        for panel, (label, how) in zip(column, counted.items(), strict=True):
            counts = by_part.agg(how).unstack(fill_value=0)
            counts = counts.reindex(
                index=list(classes), columns=list(journal.PART_STYLES), fill_value=0
            )
            journal.grouped_bars(
                panel, counts, journal.PART_STYLES.values(), number="{:,.0f}", number_size=6
            )
            panel.yaxis.set_major_formatter(journal.THOUSANDS)
            panel.set(xlabel="Class", ylabel=label)
            panel.label_outer()
    return journal.with_legend(figure, axes[0, 0])


@journal.style
def class_weights(frame: pd.DataFrame, classes: Sequence[str]) -> Figure:
    """Draw the weight of each class under each way of weighting as bars, with a line at weight 1.

    `frame` has ``label``, ``weighting`` and ``weight``.
    """
    weightings = list(frame["weighting"].unique())
    weights = frame.pivot(index="label", columns="weighting", values="weight")
    weights = weights.reindex(index=list(classes), columns=weightings)
    figure, ((axes,),) = journal.new_figure(2.8, journal.HALF_WIDTH)
    journal.grouped_bars(axes, weights, journal.series_styles(weightings).values(), number="{:.2f}")
    axes.axhline(1, color="black", linewidth=0.8, linestyle=":")
    axes.set(xlabel="Class", ylabel="Class weight")
    return journal.with_legend(figure, axes, title="Counted")

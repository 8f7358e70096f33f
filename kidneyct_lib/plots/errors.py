"""Figures of the error analysis: curves, worst errors, groups, subgroups, maps of what is seen."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from kidneyct_lib.plots import journal

_MOST_OPAQUE = 0.6  # of a map at its highest point
_CURVES = {
    "roc": ("False positive rate", "True positive rate", "AUC", "default"),
    "pr": ("Recall", "Precision", "AP", "steps-post"),
}


@journal.style
def class_curves(
    curves_by_scheme: Mapping[str, pd.DataFrame], classes: Sequence[str], kind: str
) -> Figure:
    """Draw the curve of each class against the others, one panel per scheme.

    The legends give the areas under the curves. Gray diagonals of a ROC curve and short lines at
    the right of a precision-recall curve, at the shares of the classes, are what chance reaches.
    `curves_by_scheme` is {scheme: points from `metrics.curves`}, `kind` "roc" or "pr".
    """
    xlabel, ylabel, area, steps = _CURVES[kind]
    width = journal.FULL_WIDTH if len(curves_by_scheme) > 1 else journal.HALF_WIDTH
    figure, axes = journal.new_figure(4.2, width, schemes=curves_by_scheme, shared=True)
    styles = journal.series_styles(classes)
    for panel, points in zip(axes.flat, curves_by_scheme.values(), strict=True):
        for label, style in styles.items():
            line = points[(points["label"] == label) & (points["curve"] == kind)]
            if len(line):
                look = style.curve | {"markersize": 3.5, "markevery": 0.21, "drawstyle": steps}
                look |= {"label": f"{label} ({area} {line['area'].iloc[0]:.3f})"}
                panel.plot(line["x"], line["y"], **look)
        if kind == "roc":
            panel.plot([0, 1], [0, 1], color="0.6", linewidth=0.8, zorder=0)
        else:
            for name, share in points.groupby("label")["prevalence"].first().items():
                colour = styles[str(name)].colour
                panel.plot([0.95, 1.03], [share, share], color=colour, linewidth=1.5)
        panel.set(xlim=(-0.03, 1.03), ylim=(-0.03, 1.03), xlabel=xlabel, ylabel=ylabel)
        panel.label_outer()
        panel.legend(**journal.LEGEND_BELOW, ncols=2, handlelength=2.6)
    return figure


@journal.style
def error_panel(images: Sequence[np.ndarray], rows: pd.DataFrame, *, columns: int) -> Figure:
    """Show the most confident errors as images, or a line of text where there are none.

    Above each stand the true class, the predicted one, its probability and the group: `rows`, one
    for each image, are from `metrics.worst_errors`. There are so many `columns` of images.
    """
    if rows.empty:
        figure, ((axes,),) = journal.new_figure(1.0, journal.HALF_WIDTH)
        axes.set_axis_off()
        axes.text(0.5, 0.5, "No slice was misclassified.", ha="center", va="center", fontsize=9)
        return figure
    titles = [
        f"true {row.label}\npredicted {row.predicted} {row.confidence:.2f}\ngroup {row.group}"
        for row in rows.itertuples()
    ]
    return journal.image_sheet(images, titles, columns, title_height=0.42, loc="left")[0]


@journal.style
def errors_by_group(frame: pd.DataFrame, classes: Sequence[str], *, seed: int) -> Figure:
    """Draw the accuracy within each group as a marker whose area grows with the group's slices.

    It is filled where the vote of the group's slices is right and hollow where it is wrong. `frame`
    has ``label``, ``n``, ``accuracy``, ``vote`` from `metrics.by_group`.
    """
    figure, ((axes,),) = journal.new_figure(0.9 + 0.55 * len(classes))
    rng = np.random.default_rng(seed)
    area = 190 / frame["n"].max()  # of a marker, for each slice of its group
    ticks = []
    for position, (name, style) in enumerate(journal.series_styles(classes).items()):
        groups = frame[frame["label"] == name]
        right = (groups["vote"] == name).to_numpy()
        ticks.append(f"{name}\n{right.sum()} of {len(groups)} voted right")
        y = position + rng.uniform(-0.25, 0.25, len(groups))
        look = style.points(~right) | {"alpha": 0.8, "clip_on": False}
        axes.scatter(groups["accuracy"], y, 12 + area * groups["n"], **look)
    for n in sorted({1, int(frame["n"].median()), int(frame["n"].max())}):
        label = f"{n} slices" if n > 1 else "1 slice"
        axes.scatter([], [], 12 + area * n, color="0.6", label=label)
    axes.set_yticks(range(len(classes)), ticks)
    axes.set(xlim=(-0.02, 1.02), ylim=(len(classes) - 0.5, -0.5))
    axes.set(xlabel="Share of the group's slices classified right", ylabel="True class")
    title = "One marker per group; hollow: its vote is wrong"
    return journal.with_legend(figure, axes, title=title)


@journal.style
def external_comparison(frame: pd.DataFrame) -> Figure:
    """Draw the accuracy under each condition of external images, one marker per variant.

    `frame` has ``condition`` (how the images differ), ``variant`` (how they are prepared) and
    ``accuracy``.
    """
    conditions, variants = list(frame["condition"].unique()), list(frame["variant"].unique())
    table = frame.pivot(index="condition", columns="variant", values="accuracy")
    table = table.reindex(index=conditions, columns=variants)
    figure, ((axes,),) = journal.new_figure(0.9 + 0.34 * len(conditions))
    position = np.arange(len(conditions))
    axes.hlines(position, table.min(axis=1), table.max(axis=1), color="0.6", zorder=1)
    for k, (variant, style) in enumerate(journal.series_styles(variants).items()):
        look = style.points() | {"zorder": 2 + k, "clip_on": False}
        axes.scatter(table[variant], position, 70 / (1 + k), **look, label=variant)
    axes.set_yticks(position, conditions)
    axes.invert_yaxis()
    axes.grid(axis="y", color="0.92")
    axes.set(xlim=(0, 1.0), xlabel="Accuracy", ylabel="Images")
    return journal.with_legend(figure, axes)


@journal.style
def subgroup_accuracy(frame: pd.DataFrame) -> Figure:
    """Draw the accuracy in each level of each subgroup under each scheme, with its interval.

    Subgroups are set apart, each under its title; levels have their numbers of groups beside them
    and hollow markers where these are few. `frame` has ``scheme`` and the columns of
    `subgroups.by_subgroup`.
    """
    schemes = list(frame["scheme"].unique())
    rows = frame.drop_duplicates(["subgroup", "level"])
    # A gap of one line, for its title, opens each subgroup.
    opening = rows["subgroup"].ne(rows["subgroup"].shift()).cumsum()
    rows = rows.assign(y=np.arange(len(rows)) + opening)
    figure, ((axes,),) = journal.new_figure(1.0 + 0.3 * (rows["y"].max() + 1))
    for k, scheme in enumerate(schemes):
        part = frame[frame["scheme"] == scheme].merge(rows[["subgroup", "level", "y"]])
        y = part["y"] + 0.26 * (k - (len(schemes) - 1) / 2)
        style, few = journal.SCHEMES[scheme], part["few_groups"]
        journal.interval_rows(axes, y, part, "accuracy", style, hollow=few)
    if frame["few_groups"].any():
        axes.scatter([], [], facecolors="white", edgecolors="0.3", label="fewer than ten groups")
    counts = frame.groupby(["subgroup", "level"], sort=False)["groups"].unique()
    written = [" | ".join(map(str, of_schemes)) for of_schemes in counts]
    axes.set_yticks(rows["y"], rows["level"].astype(str) + " (" + written + " groups)")
    axes.tick_params(axis="y", length=0)
    look = {"ha": "right", "va": "center", "fontsize": 8, "fontweight": "bold"}
    look |= {"xycoords": ("axes fraction", "data")}
    for subgroup, y in rows.groupby("subgroup", sort=False)["y"].min().items():
        journal.write_beside(axes, str(subgroup).capitalize(), (0, y - 1), (-4, 0), **look)
    axes.set(xlim=(0, 1), ylim=(rows["y"].max() + 0.6, -0.4))
    axes.set(xlabel="Accuracy, with 95 % interval over groups")
    axes.grid(axis="x", color="0.92")
    return journal.with_legend(figure, axes)


@journal.style
def class_maps(
    images: Sequence[np.ndarray | None],
    maps: Sequence[np.ndarray],
    titles: Sequence[str],
    *,
    columns: int,
    masks: Sequence[np.ndarray] | None = None,
) -> Figure:
    """Show slices under the maps of what speaks for a class.

    Parameters
    ----------
    images
        Gray, uint8 (S, S); None leaves a place empty but for its title.
    maps
        For each, float (S, S), 0 or more; each is drawn up to its own highest value.
    titles
        One above each.
    columns
        Slices in a row.
    masks
        For each, bool (S, S): the lesion, drawn as an outline where there is one.
    """
    figure, axes = journal.image_sheet(images, titles, columns, title_height=0.25)
    for number, panel in enumerate(axes.flat[: len(images)]):
        if images[number] is None:
            continue
        share = maps[number] / max(maps[number].max(), np.finfo(np.float32).tiny)
        journal.lay_map(panel, share, _MOST_OPAQUE)
        if masks is not None:
            journal.outline(panel, masks[number])
    return figure


@journal.style
def weight_randomization(result: Mapping[str, Sequence[Mapping[str, Any]]]) -> Figure:
    """Draw how like the trained model's maps are while weights are shuffled from the head down.

    Each scheme has a line with its intervals, and a thin dotted one of the size, sign aside.

    Parameters
    ----------
    result
        {scheme: one dict per step, in order}, the same steps for each: ``step``, ``correlation``
        (-1 to 1), ``ci95`` ([low, high]) and ``unsigned`` (0 to 1).
    """
    figure, ((axes,),) = journal.new_figure(2.7, journal.HALF_WIDTH)
    axes.axhline(0, color="0.7", linewidth=0.8, zorder=1)
    shift = np.linspace(-0.08, 0.08, len(result))
    for (scheme, steps), aside in zip(result.items(), shift, strict=True):
        rows = pd.DataFrame(steps).rename(columns={"ci95": "correlation_ci95"})
        style = journal.SCHEMES[scheme]
        places = np.arange(len(rows)) + aside
        aside_of_sign = style.faint | {"markersize": 4, "label": f"{style.title}, sign aside"}
        axes.plot(places, rows["unsigned"], **aside_of_sign)
        journal.line_with_intervals(axes, places, rows, "correlation", style, style.title)
    names = [name if k < 2 else f"+ {name}" for k, name in enumerate(rows["step"])]
    axes.set_xticks(range(len(rows)), names)
    lowest = min(row["ci95"][0] for rows in result.values() for row in rows)
    axes.set_ylim(min(lowest - 0.05, -0.3), 1.05)
    axes.set_xlabel("Weights shuffled, from the head down to the first layer")
    axes.set_ylabel("Rank correlation with\nthe trained model's map")
    return journal.with_legend(figure, axes, columns=2)

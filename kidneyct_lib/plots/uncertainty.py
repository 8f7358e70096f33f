"""Figures of calibration, conformal sets, selective prediction, operating points and OOD detection.

Each function takes data and returns a Figure; it computes no result and saves nothing.
"""

from collections.abc import Collection, Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter, PercentFormatter, StrMethodFormatter

from kidneyct_lib.plots.style import (
    FULL_WIDTH,
    HALF_WIDTH,
    SCHEME_TITLES,
    SMALL,
    journal_style,
    legend_above,
    new_figure,
    panel_letters,
    scheme_styles,
    series_styles,
)

_UNIT_NAMES = {
    "slices": "every slice",
    "one_per_group": "one slice per group",
    "groups": "every group",
}
_GUARANTEE_NAMES = {"marginal": "one threshold", "class_conditional": "one threshold per class"}


@journal_style
def reliability(
    curves_by_scheme: Mapping[str, Mapping[str, pd.DataFrame]],
    scores_by_scheme: Mapping[str, Mapping[str, Mapping]],
) -> Figure:
    """Draw accuracy over confidence, before and after temperature scaling, one panel per scheme.

    Parameters
    ----------
    curves_by_scheme
        {scheme: {"before", "after": bins of equal width from `calibration.reliability`}}.
    scores_by_scheme
        {scheme: {"before", "after": scores with ``ece_width``}}.

    Returns
    -------
    Figure of one marker per bin, its area growing with the share of the slices; on the diagonal,
    confidence is true.
    """
    figure, axes = new_figure(
        FULL_WIDTH, 4.4, columns=len(curves_by_scheme), sharex=True, sharey=True
    )
    styles = series_styles(["before", "after"])
    for panel, (scheme, curves) in zip(axes.flat, curves_by_scheme.items(), strict=True):
        panel.plot([0, 1], [0, 1], color="0.6", linewidth=0.8, zorder=0)
        for when, bins in curves.items():
            style = styles[when]
            x, y = bins["confidence"], bins["accuracy"]
            panel.plot(x, y, color=style.colour, linestyle=style.line, linewidth=0.9, alpha=0.6)
            panel.scatter(
                x,
                y,
                s=10 + 250 * bins["n"] / bins["n"].sum(),
                color=style.colour,
                marker=style.marker,
                edgecolor="black",
                linewidth=0.5,
                alpha=0.85,
                zorder=3,
                clip_on=False,
            )
            panel.plot(
                [],
                [],
                color=style.colour,
                linestyle=style.line,
                marker=style.marker,
                label=f"{when} scaling (ECE {scores_by_scheme[scheme][when]['ece_width']:.3f})",
            )
        panel.annotate("too timid", (0.05, 0.93), fontsize=SMALL, color="0.35")
        panel.annotate("too sure", (0.95, 0.05), fontsize=SMALL, color="0.35", ha="right")
        panel.set(xlim=(0, 1), ylim=(0, 1), xlabel="Confidence", ylabel="Accuracy")
        panel.label_outer()
        panel.legend(loc="upper center", bbox_to_anchor=(0.5, -0.17), handlelength=2.6)
    panel_letters(axes.flat, [SCHEME_TITLES.get(name, name) for name in curves_by_scheme])
    return figure


@journal_style
def set_coverage(table: pd.DataFrame, classes: Sequence[str], *, target: float) -> Figure:
    """Draw how often the conformal sets hold the true class.

    Parameters
    ----------
    table
        Rows of one stage and method from `conformal.table`: ``scheme``, ``guarantee``, ``unit``,
        ``coverage``, ``group_coverage``, ``size`` and ``coverage_<class>``.
    classes
        In the order to show them.
    target
        The nominal coverage, marked by a line.

    Returns
    -------
    Figure with one panel per scheme (column) and guarantee (row), one marker per unit of
    calibration.
    """
    schemes, guarantees = list(table["scheme"].unique()), list(table["guarantee"].unique())
    columns = {"coverage": "all\nslices", "group_coverage": "mean of\ngroups"}
    columns |= {f"coverage_{name}": name for name in classes}
    figure, axes = new_figure(
        FULL_WIDTH,
        0.7 + 2.3 * len(guarantees),
        rows=len(guarantees),
        columns=len(schemes),
        sharex=True,
        sharey=True,
    )
    for row, guarantee in zip(axes, guarantees, strict=True):
        for panel, scheme in zip(row, schemes, strict=True):
            shown = table[(table["scheme"] == scheme) & (table["guarantee"] == guarantee)]
            _coverage_panel(panel, shown.set_index("unit"), columns, len(classes))
            panel.axhline(target, color="black", linewidth=0.8, linestyle=":", zorder=0)
            panel.set_xticks(range(len(columns)), list(columns.values()))
            if len(columns) > 6:
                panel.set_xticklabels(
                    [name.replace("\n", " ") for name in columns.values()],
                    rotation=45,
                    ha="right",
                    rotation_mode="anchor",
                )
            panel.set(ylim=(-0.17, 1.05), yticks=np.arange(0, 1.01, 0.2))
            panel.set_ylabel("Sets with the true class")
            panel.yaxis.set_major_formatter(PercentFormatter(1))
            panel.label_outer()
    titles = [
        f"{SCHEME_TITLES.get(scheme, scheme)}, {_GUARANTEE_NAMES.get(guarantee, guarantee)}"
        for guarantee in guarantees
        for scheme in schemes
    ]
    panel_letters(axes.flat, titles)
    for panel in axes[-1]:
        panel.set_xlabel("Test slices")
    legend_above(figure, axes.flat[0], title=f"Calibrated on (dotted line: {target:.0%} nominal)")
    return figure


def _coverage_panel(panel: Axes, by_unit: pd.DataFrame, columns: Mapping[str, str], k: int) -> None:
    """Draw one marker per column and unit, and write the sizes of the sets below."""
    position = np.arange(len(columns))
    for step, (unit, style) in enumerate(series_styles(list(by_unit.index)).items()):
        panel.plot(
            position + 0.2 * (step - (len(by_unit) - 1) / 2),
            by_unit.loc[unit, list(columns)].to_numpy(float),
            color=style.colour,
            marker=style.marker,
            markeredgecolor="black",
            markeredgewidth=0.5,
            markersize=6,
            linestyle="none",
            label=_UNIT_NAMES.get(unit, unit),
            clip_on=False,
        )
    sizes = ", ".join(f"{size:.1f}" for size in by_unit["size"])
    text = f"classes in a set, in this order: {sizes} of {k}"
    panel.annotate(text, (0.02, 0.03), xycoords="axes fraction", fontsize=SMALL)


@journal_style
def risk_coverage(
    curves_by_scheme: Mapping[str, pd.DataFrame], selective_by_scheme: Mapping[str, Mapping]
) -> Figure:
    """Draw the error among the classified slices, when the least confident are withheld.

    Parameters
    ----------
    curves_by_scheme
        {scheme: curve from `selective_prediction.risk_coverage`}.
    selective_by_scheme
        {scheme: what `selective_prediction.summarise` gives}.

    Returns
    -------
    Figure with one line per scheme.
    """
    figure, ((axes,),) = new_figure(HALF_WIDTH, 3.3)
    for scheme, style in scheme_styles(list(curves_by_scheme)).items():
        curve, area = curves_by_scheme[scheme], selective_by_scheme[scheme]["aurc"]
        axes.plot(
            curve["coverage"],
            curve["risk"],
            color=style.colour,
            linestyle=style.line,
            linewidth=1.8,
            label=f"{SCHEME_TITLES.get(scheme, scheme)} (area {area:.3f})",
        )
        for kept in (0.5, 0.8, 0.9, 1.0):
            place = min(curve["coverage"].searchsorted(kept - 1e-9), len(curve) - 1)
            point = curve.iloc[place]
            axes.plot(
                point["coverage"],
                point["risk"],
                marker=style.marker,
                color=style.colour,
                markeredgecolor="black",
                markeredgewidth=0.5,
                clip_on=False,
            )
            axes.annotate(
                f"{point['risk']:.1%}",
                (point["coverage"], point["risk"]),
                xytext=(0, 6),
                textcoords="offset points",
                ha="center",
                fontsize=SMALL,
            )
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(PercentFormatter(1, decimals=0))
    highest = max(curve["risk"].max() for curve in curves_by_scheme.values())
    axes.set(xlim=(0, 1.03), ylim=(0, max(1.15 * highest, 0.05)))
    axes.set(xlabel="Slices classified, most confident first", ylabel="Wrong among them")
    legend_above(figure, axes, columns=1)
    return figure


@journal_style
def operating_points(
    curves_by_scheme: Mapping[str, pd.DataFrame],
    points_by_scheme: Mapping[str, Mapping[str, Mapping]],
) -> Figure:
    """Draw what a threshold set for a high recall reaches, on each class's ROC curve.

    Parameters
    ----------
    curves_by_scheme
        {scheme: points from `metrics.curves`}.
    points_by_scheme
        {scheme: {class: what `operating_points.operating_point` gives}}.

    Returns
    -------
    Figure with one panel per class: a curve and a marker with its 95 % intervals a scheme, and a
    line at the target recall.
    """
    schemes = list(curves_by_scheme)
    names = list(points_by_scheme[schemes[0]])
    width = FULL_WIDTH if len(names) > 1 else HALF_WIDTH
    figure, axes = new_figure(width, 4.0, columns=len(names), sharex=True, sharey=True)
    for panel, name in zip(axes.flat, names, strict=True):
        for scheme, style in scheme_styles(schemes).items():
            curve = curves_by_scheme[scheme].query("curve == 'roc' and label == @name")
            panel.plot(curve["x"], curve["y"], color=style.colour, linestyle=style.line)
            point = points_by_scheme[scheme][name]
            alarms, recall = 1 - point["specificity"], point["recall"]
            spread = {
                "xerr": _around(alarms, 1 - np.array(point["specificity_ci95"])[::-1]),
                "yerr": _around(recall, point["recall_ci95"]),
            }
            panel.errorbar(
                alarms,
                recall,
                **spread,
                color=style.colour,
                marker=style.marker,
                markeredgecolor="black",
                markersize=7,
                capsize=3,
                linestyle="none",
                clip_on=False,
                label=f"{SCHEME_TITLES.get(scheme, scheme)}: finds {recall:.0%}, "
                f"{point['false_alarms_per_100']:.0f} false alarms in 100",
            )
        panel.axhline(point["target_recall"], color="black", linewidth=0.8, linestyle=":", zorder=0)
        panel.annotate(
            f"target: {point['target_recall']:.0%}",
            (0.98, point["target_recall"]),
            xytext=(0, 2),
            textcoords="offset points",
            ha="right",
            va="bottom",
            fontsize=SMALL,
        )
        panel.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.07), xlabel="False alarms among other classes")
        panel.set(ylabel="Recall of the class")
        for axis in (panel.xaxis, panel.yaxis):
            axis.set_major_formatter(PercentFormatter(1))
        panel.label_outer()
        panel.legend(loc="upper center", bbox_to_anchor=(0.5, -0.17))
    panel_letters(axes.flat, names)
    return figure


def _around(value: float, interval: Sequence[float]) -> np.ndarray:
    """Lengths of the error bar below and above a value, (2, 1); none where it lies outside."""
    low, high = interval
    return np.array([[max(value - low, 0)], [max(high - value, 0)]])


@journal_style
def ood_scores(
    scores: Mapping[str, np.ndarray],
    threshold: float,
    *,
    in_distribution: Collection[str],
    seed: int,
) -> Figure:
    """Draw how strange each kind of image is to the model.

    Parameters
    ----------
    scores
        {kind: scores of its images, above 0}.
    threshold
        Above it an image is rejected.
    in_distribution
        Kinds that should be accepted; drawn in another style.
    seed
        Of the scatter that keeps equal scores apart.

    Returns
    -------
    Figure with one row per kind, one marker per image, and the share rejected at the right.
    """
    figure, ((axes,),) = new_figure(FULL_WIDTH, 1.0 + 0.27 * len(scores))
    rng = np.random.default_rng(seed)
    styles = series_styles(["in distribution", "out of distribution"])
    for row, (kind, values) in enumerate(scores.items()):
        name = "in distribution" if kind in in_distribution else "out of distribution"
        axes.scatter(
            values,
            row + rng.uniform(-0.27, 0.27, len(values)),
            s=9,
            color=styles[name].colour,
            marker=styles[name].marker,
            alpha=0.6,
            linewidth=0,
        )
        axes.annotate(
            f"{np.mean(values > threshold):.0%}",
            (1.01, row),
            xycoords=("axes fraction", "data"),
            va="center",
            fontsize=8,
        )
    for name, style in styles.items():
        axes.scatter([], [], s=25, color=style.colour, marker=style.marker, label=name)
    axes.axvline(threshold, color="black", linewidth=1, linestyle="--", label="threshold")
    axes.annotate(
        "rejected",
        (1.01, 1),
        xycoords="axes fraction",
        xytext=(0, 2),
        textcoords="offset points",
        fontsize=8,
        va="bottom",
    )
    axes.set_yticks(range(len(scores)), list(scores))
    axes.set(xscale="log", xlabel="Distance from the training slices", ylabel="Images")
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set_ylim(len(scores) - 0.5, -0.5)
    legend_above(figure, axes)
    return figure

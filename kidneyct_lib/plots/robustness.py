"""Figures of corruptions, calibration, conformal sets, selective prediction and OOD detection."""

from collections.abc import Collection, Mapping, Sequence
from itertools import product

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter

from kidneyct_lib.plots import journal

_COLUMNS = 5  # panels of corruptions in a row
_UNIT_NAMES = {
    "slices": "every slice",
    "one_per_group": "one slice per group",
    "groups": "every group",
}
_GUARANTEE_NAMES = {"marginal": "one threshold", "class_conditional": "one threshold per class"}


@journal.style
def corruption_grid(examples: Mapping[str, Sequence[np.ndarray]]) -> Figure:
    """Show a slice with several corruptions, one per row, in true gray levels.

    `examples` is {corruption: the clean image, then one for each severity, rising}, each uint8 gray
    (H, W); as many for each corruption.
    """
    rows = {name.replace(" ", "\n"): images for name, images in examples.items()}
    columns = len(next(iter(rows.values())))
    figure, axes = journal.image_rows(rows, columns, label=0.75, top=0.2 + 0.02 * len(rows))
    for severity, panel in enumerate(axes[0]):
        panel.set_title(f"severity {severity}" if severity else "clean", fontsize=8, pad=3)
    return figure


@journal.style
def corruption_errors(table: pd.DataFrame) -> Figure:
    """Draw how the error rises with the severity of each corruption, under each scheme and stage.

    The last stage is drawn with its intervals, those before it thin and without. `table` has
    ``scheme``, ``stage``, ``corruption`` (panels are in its order), ``severity`` (0 for clean, 1 to
    5), ``balanced_error`` and the ends of its interval, ``low`` and ``high``. Rows of
    severity 0 belong to every corruption, by whatever name.
    """
    clean = table[table["severity"] == 0].drop_duplicates(["scheme", "stage"])
    corrupted = table[table["severity"] > 0]
    names = list(corrupted["corruption"].unique())
    figure, panels = journal.panel_grid(len(names), _COLUMNS, top=0.8, height=1.15)
    for panel, name in zip(panels, names, strict=True):
        _draw_lines(panel, pd.concat([clean, corrupted[corrupted["corruption"] == name]]))
        panel.set_title(name, loc="left", fontsize=8, pad=2)
        panel.grid(axis="y", color="0.92")
    ticks = range(int(table["severity"].max()) + 1)
    panels[0].set(ylim=(0, 1), yticks=np.arange(0, 1.01, 0.25), xticks=ticks)
    journal.with_legend(figure, panels[0], columns=4)
    figure.supxlabel("Severity of the corruption (0: clean)", fontsize=9)
    figure.supylabel("Balanced error; band: 95 % interval over groups", fontsize=9)
    return figure


def _draw_lines(panel: Axes, rows: pd.DataFrame) -> None:
    """Draw one corruption's error over severity, one line per scheme and stage."""
    *earlier, last = sorted(rows["stage"].unique())
    for scheme, stage in product(rows["scheme"].unique(), [*earlier, last]):
        line = rows[(rows["scheme"] == scheme) & (rows["stage"] == stage)].sort_values("severity")
        severity, style = line["severity"], journal.SCHEMES[scheme]
        name = style.title + (f", stage {stage}" if earlier else "")
        look = style.faint | {"zorder": 2}
        if stage == last:
            look = style.curve | {"linewidth": 1.4, "zorder": 3}
            low, high = line["low"], line["high"]
            panel.fill_between(severity, low, high, color=style.colour, alpha=0.2, linewidth=0)
        error = line["balanced_error"]
        panel.plot(severity, error, **look, markersize=3.5, label=name, clip_on=False)


@journal.style
def reliability(
    curves_by_scheme: Mapping[str, Mapping[str, pd.DataFrame]],
    scores_by_scheme: Mapping[str, Mapping[str, Mapping]],
) -> Figure:
    """Draw accuracy over confidence, before and after temperature scaling, one panel per scheme.

    Each bin's marker grows in area with its share of slices; on the diagonal, confidence is true.

    Parameters
    ----------
    curves_by_scheme
        {scheme: {"before", "after": bins of equal width from `calibration.reliability`}}.
    scores_by_scheme
        {scheme: {"before", "after": scores with ``ece_width``}}.
    """
    figure, axes = journal.new_figure(4.4, schemes=curves_by_scheme, shared=True)
    styles = journal.series_styles(["before", "after"])
    for panel, (scheme, curves) in zip(axes.flat, curves_by_scheme.items(), strict=True):
        panel.plot([0, 1], [0, 1], color="0.6", linewidth=0.8, zorder=0)
        for when, bins in curves.items():
            style = styles[when]
            x, y, share = bins["confidence"], bins["accuracy"], bins["n"] / bins["n"].sum()
            panel.plot(x, y, color=style.colour, linestyle=style.line, linewidth=0.9, alpha=0.6)
            look = style.points() | {"alpha": 0.85, "zorder": 3, "clip_on": False}
            panel.scatter(x, y, 10 + 250 * share, **look)
            ece = scores_by_scheme[scheme][when]["ece_width"]
            panel.plot([], [], **style.curve, label=f"{when} scaling (ECE {ece:.3f})")
        panel.annotate("too timid", (0.05, 0.93), color="0.35")
        panel.annotate("too sure", (0.95, 0.05), color="0.35", ha="right")
        panel.set(xlim=(0, 1), ylim=(0, 1), xlabel="Confidence", ylabel="Accuracy")
        panel.label_outer()
        panel.legend(**journal.LEGEND_BELOW, handlelength=2.6)
    return figure


@journal.style
def set_coverage(table: pd.DataFrame, classes: Sequence[str], *, target: float) -> Figure:
    """Draw how often the conformal sets hold the true class, one marker per unit of calibration.

    There is one panel per scheme (column) and guarantee (row), with a line at the nominal coverage,
    `target`. `table` has the rows of one stage and method from `conformal.table`: ``scheme``,
    ``guarantee``, ``unit``, ``coverage``, ``group_coverage``, ``size`` and ``coverage_<class>``.
    """
    schemes, guarantees = list(table["scheme"].unique()), list(table["guarantee"].unique())
    ticks = {"coverage": "all\nslices", "group_coverage": "mean of\ngroups"}
    ticks |= {f"coverage_{name}": name for name in classes}
    grid = list(product(guarantees, schemes))
    titles = [f"{journal.SCHEMES[s].title}, {_GUARANTEE_NAMES[named]}" for named, s in grid]
    figure, panels = journal.panel_grid(len(grid), len(schemes), top=0.7, height=2.3, titles=titles)
    for panel, (guarantee, scheme) in zip(panels, grid, strict=True):
        shown = table[(table["scheme"] == scheme) & (table["guarantee"] == guarantee)]
        _coverage_panel(panel, shown.set_index("unit"), ticks, len(classes))
        panel.axhline(target, color="black", linewidth=0.8, linestyle=":", zorder=0)
        panel.set(ylim=(-0.17, 1.05), yticks=journal.FIFTHS)
        panel.set(xlabel="Test slices", ylabel="Sets with the true class")
        panel.yaxis.set_major_formatter("{x:.0%}")
        panel.label_outer()
    title = f"Calibrated on (dotted line: {target:.0%} nominal)"
    return journal.with_legend(figure, panels[0], title=title)


def _coverage_panel(panel: Axes, by_unit: pd.DataFrame, columns: Mapping[str, str], k: int) -> None:
    """Draw one marker per column and unit, and write the sizes of the sets below."""
    position = np.arange(len(columns))
    for step, (unit, style) in enumerate(journal.series_styles(list(by_unit.index)).items()):
        x = position + 0.2 * (step - (len(by_unit) - 1) / 2)
        y, look = by_unit.loc[unit, list(columns)], style.points() | {"zorder": 2}
        panel.scatter(x, y, 36, **look, label=_UNIT_NAMES[unit], clip_on=False)
    sizes = ", ".join(f"{size:.1f}" for size in by_unit["size"])
    text = f"classes in a set, in this order: {sizes} of {k}"
    panel.annotate(text, (0.02, 0.03), xycoords="axes fraction")
    names = list(columns.values())
    if len(columns) > 6:
        names = [name.replace("\n", " ") for name in names]
        panel.set_xticks(position, names, rotation=45, ha="right", rotation_mode="anchor")
    else:
        panel.set_xticks(position, names)


@journal.style
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
    """
    figure, ((axes,),) = journal.new_figure(3.3, journal.HALF_WIDTH)
    for scheme, curve in curves_by_scheme.items():
        style, area = journal.SCHEMES[scheme], selective_by_scheme[scheme]["aurc"]
        label = f"{style.title} (area {area:.3f})"
        line = {"color": style.colour, "linestyle": style.line, "linewidth": 1.8}
        axes.plot(curve["coverage"], curve["risk"], **line, label=label)
        marked = np.searchsorted(curve["coverage"], np.array([0.5, 0.8, 0.9, 1.0]) - 1e-9)
        points = curve[["coverage", "risk"]].to_numpy()[marked.clip(max=len(curve) - 1)]
        axes.scatter(*points.T, **style.points(), zorder=2, clip_on=False)
        for coverage, risk in points:
            journal.write_beside(axes, f"{risk:.1%}", (coverage, risk), (0, 6), ha="center")
    axes.xaxis.set_major_formatter("{x:.0%}")
    axes.yaxis.set_major_formatter("{x:.0%}")
    highest = max(curve["risk"].max() for curve in curves_by_scheme.values())
    axes.set(xlim=(0, 1.03), ylim=(0, max(1.15 * highest, 0.05)))
    axes.set(xlabel="Slices classified, most confident first", ylabel="Wrong among them")
    return journal.with_legend(figure, axes, columns=1)


@journal.style
def operating_points(
    curves_by_scheme: Mapping[str, pd.DataFrame],
    points_by_scheme: Mapping[str, Mapping[str, Mapping]],
) -> Figure:
    """Draw what a threshold set for a high recall reaches, on each class's ROC curve.

    Each class has a panel with a curve and a marker with its 95 % intervals per scheme, and a line
    at the target recall.

    Parameters
    ----------
    curves_by_scheme
        {scheme: points from `metrics.curves`}.
    points_by_scheme
        {scheme: {class: what `operating_points.operating_point` gives}}.
    """
    schemes = list(curves_by_scheme)
    names = list(points_by_scheme[schemes[0]])
    width = journal.FULL_WIDTH if len(names) > 1 else journal.HALF_WIDTH
    figure, axes = journal.new_figure(4.0, width, titles=names, shared=True)
    for panel, name in zip(axes.flat, names, strict=True):
        for scheme in schemes:
            style = journal.SCHEMES[scheme]
            curve = curves_by_scheme[scheme].query("curve == 'roc' and label == @name")
            panel.plot(curve["x"], curve["y"], color=style.colour, linestyle=style.line)
            point = points_by_scheme[scheme][name]
            alarms, recall = 1 - point["specificity"], point["recall"]
            false_alarms = f"{point['false_alarms_per_100']:.0f} false alarms in 100"
            look = style.curve | {"linestyle": "none", "markersize": 7, "clip_on": False}
            look |= {"label": f"{style.title}: finds {recall:.0%}, {false_alarms}", "capsize": 3}
            across = _around(alarms, 1 - np.array(point["specificity_ci95"])[::-1])
            along = _around(recall, np.array(point["recall_ci95"]))
            panel.errorbar(alarms, recall, along, across, **look, markeredgecolor="black")
        target = point["target_recall"]
        journal.mark_level(panel, target, f"target: {target:.0%}", right=True)
        panel.set(xlabel="False alarms among other classes", ylabel="Recall of the class")
        panel.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.07))
        panel.xaxis.set_major_formatter("{x:.0%}")
        panel.yaxis.set_major_formatter("{x:.0%}")
        panel.label_outer()
        panel.legend(**journal.LEGEND_BELOW)
    return figure


def _around(value: float, ends: np.ndarray) -> np.ndarray:
    """Lengths of the error bar below and above a value, (2, 1); none where it lies outside."""
    return np.maximum((ends - value) * [-1, 1], 0).reshape(2, 1)


@journal.style
def ood_scores(
    scores: Mapping[str, np.ndarray],
    threshold: float,
    *,
    in_distribution: Collection[str],
    seed: int,
) -> Figure:
    """Draw how strange each kind of image is to the model, with the share rejected at the right.

    Parameters
    ----------
    scores
        {kind: scores of its images, above 0}.
    threshold
        Above it an image is rejected.
    in_distribution
        Kinds that should be accepted; drawn in another style.
    """
    figure, ((axes,),) = journal.new_figure(1.0 + 0.27 * len(scores))
    rng = np.random.default_rng(seed)
    styles = journal.series_styles(["in distribution", "out of distribution"])
    for row, (kind, values) in enumerate(scores.items()):
        style = styles["in distribution" if kind in in_distribution else "out of distribution"]
        y = row + rng.uniform(-0.27, 0.27, len(values))
        axes.scatter(values, y, 9, **style.points() | {"alpha": 0.6, "linewidth": 0})
        rejected, at_right = f"{np.mean(values > threshold):.0%}", ("axes fraction", "data")
        axes.annotate(rejected, (1.01, row), xycoords=at_right, va="center", fontsize=8)
    for name, style in styles.items():
        axes.scatter([], [], 25, color=style.colour, marker=style.marker, label=name)
    axes.axvline(threshold, color="black", linewidth=1, linestyle="--", label="threshold")
    above = {"xycoords": "axes fraction", "va": "bottom", "fontsize": 8}
    journal.write_beside(axes, "rejected", (1.01, 1), (0, 2), **above)
    axes.set_yticks(range(len(scores)), list(scores))
    axes.set(xscale="log", xlabel="Distance from the training slices", ylabel="Images")
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_major_formatter("{x:g}")
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set_ylim(len(scores) - 0.5, -0.5)
    return journal.with_legend(figure, axes)

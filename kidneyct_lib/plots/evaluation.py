"""Figures of the results: training, confusion, recall, class weights, two classes, ablation."""

from collections.abc import Iterable, Mapping

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.container import BarContainer
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke
from matplotlib.ticker import MaxNLocator

from kidneyct_lib.plots import journal

_FINAL_STAGE = 2
_UNITS = {"slices": "every slice", "patients": "one vote per patient"}
_WINDOWS = {"as shown": "patient", "another class's": "other_window"}
_APART = 0.16  # of a row, between the two markers of an ablation's step


@journal.style
def headline(
    metrics_by_scheme: Mapping[str, Mapping], *, references: Mapping[str, float]
) -> Figure:
    """Draw accuracy and macro-F1 of each scheme as bars with 95 % intervals, clustered by group.

    Parameters
    ----------
    metrics_by_scheme
        {scheme: metrics} as in metrics/test.json, with ``accuracy`` and ``macro_f1``.
    references
        {name: value} of levels to mark by a line, such as a published accuracy or chance.
    """
    figure, ((axes,),) = journal.new_figure(3.2, journal.HALF_WIDTH)
    measures = {"accuracy": "Accuracy", "macro_f1": "Macro-F1"}
    _scheme_bars(axes, pd.DataFrame(metrics_by_scheme).T, measures)
    at_right = {"xycoords": ("axes fraction", "data"), "va": "center"}
    for name, value in references.items():
        axes.axhline(value, color="black", linewidth=0.8, linestyle=":")
        journal.write_beside(axes, f"{name} {value:g}", (1, value), (3, 0), **at_right)
    axes.set_ylim(0, 1.08)
    return journal.with_legend(figure, axes, columns=1)


@journal.style
def learning_curves(history: pd.DataFrame) -> Figure:
    """Draw loss (above) and accuracy (below) over the epochs of both stages, one column per scheme.

    Epochs are counted through both stages, and a line marks where the second begins. `history` has
    one row per epoch: ``scheme``, ``stage``, ``epoch``, ``loss``, ``val_loss``, ``accuracy``,
    ``val_accuracy``.
    """
    schemes = list(history["scheme"].unique())
    figure, axes = journal.new_figure(4.2, rows=2, schemes=schemes, sharex="col", sharey="row")
    columns = {"training": "", "validation": "val_"}
    for column, scheme in zip(axes.T, schemes, strict=True):
        epochs = history[history["scheme"] == scheme].sort_values(["stage", "epoch"])
        number = np.arange(1, len(epochs) + 1)
        begin = np.flatnonzero(epochs["stage"].diff().to_numpy() > 0) + 0.5
        for panel, measure in zip(column, ("loss", "accuracy"), strict=True):
            for name, style in journal.series_styles(columns).items():
                values = epochs[columns[name] + measure]
                panel.plot(number, values, **style.curve, markersize=3.5, label=name)
            for x in begin:
                panel.axvline(x, color="0.4", linewidth=0.8, linestyle=":")
            panel.set(xlabel="Epoch", ylabel=measure.capitalize())
            panel.xaxis.set_major_locator(MaxNLocator(8, integer=True, min_n_ticks=1))
            panel.label_outer()
        for x in begin:
            column[0].annotate("stage 2 ", (x, 1), xycoords=("data", "axes fraction"), va="bottom")
        column[0].set_yscale("log")
    axes[0, 0].set_ylabel("Loss (nats)")
    return journal.with_legend(figure, axes[0, 0])


@journal.style
def confusion_pair(confusions: Mapping[str, pd.DataFrame]) -> Figure:
    """Draw the confusion matrices of the schemes side by side: shares of the true class as colours.

    `confusions` is {scheme: slices by true class (rows) and predicted class (columns)}.
    """
    look = {"cmap": "Blues", "vmin": 0, "vmax": 1, "linewidths": 0.6, "linecolor": "0.8"}
    height = 1.3 + 0.52 * len(next(iter(confusions.values())))
    width = journal.FULL_WIDTH if len(confusions) > 1 else journal.HALF_WIDTH
    figure, axes = journal.new_figure(height, width, schemes=confusions)
    for panel, counts in zip(axes.flat, confusions.values(), strict=True):
        share = counts.div(counts.sum(axis=1).clip(lower=1), axis=0)
        texts = counts.map("{:,}\n".format) + share.map("{:.0%}".format)
        sns.heatmap(share, annot=texts, fmt="", square=True, cbar=False, ax=panel, **look)
        panel.tick_params(length=0)
        panel.tick_params(axis="y", rotation=0)
        panel.set(xlabel="Predicted class", ylabel="True class")
        panel.label_outer()
    shares = axes.flat[0].collections[0]
    bar = figure.colorbar(shares, ax=axes, shrink=0.7, format="{x:.0%}")
    bar.set_label("Share of the true class")
    bar.outline.set_visible(False)
    return figure


@journal.style
def per_class_recall_pair(metrics_by_scheme: Mapping[str, Mapping]) -> Figure:
    """Draw the recall of each class under each scheme as bars, over its test slices and groups.

    The metrics of each scheme have ``per_class``: {class: {``recall``, ``support``, ``groups``}}.
    """
    figure, ((axes,),) = journal.new_figure(3.2)
    styles = [journal.SCHEMES[scheme] for scheme in metrics_by_scheme]
    recall = {}
    for name in next(iter(metrics_by_scheme.values()))["per_class"]:
        scores = pd.DataFrame([one["per_class"][name] for one in metrics_by_scheme.values()])
        recall[_with_counts(name, scores["support"], scores["groups"])] = scores["recall"]
    bars = pd.DataFrame(recall).T.set_axis([style.title for style in styles], axis=1)
    journal.grouped_bars(axes, bars, styles, number="{:.2f}")
    axes.set(xlabel="Class, with its test part under each scheme", ylabel="Recall")
    axes.set(ylim=(0, 1.08), yticks=journal.FIFTHS)
    return journal.with_legend(figure, axes)


@journal.style
def class_weight_comparison(frame: pd.DataFrame) -> Figure:
    """Draw what each way of weighting the classes reaches, as bars in one panel per scheme.

    `frame` has ``scheme``, ``weighting``, ``measure`` (such as "macro-F1" or a class's recall) and
    ``value``.
    """
    schemes, weightings, measures = (
        list(frame[column].unique()) for column in ("scheme", "weighting", "measure")
    )
    figure, panels = journal.panel_grid(len(schemes), 1, top=0.6, height=2.1, schemes=schemes)
    styles = journal.series_styles(weightings).values()
    table = frame.pivot(index=["scheme", "measure"], columns="weighting", values="value")
    for panel, scheme in zip(panels, schemes, strict=True):
        values = table.loc[scheme].reindex(index=measures, columns=weightings)
        journal.grouped_bars(panel, values, styles, number="{:.2f}")
        panel.set(ylim=(0, 1.12), yticks=journal.FIFTHS, xlabel="Measure", ylabel="Value")
        panel.label_outer()
    return journal.with_legend(figure, panels[0], title="Class weights")


@journal.style
def binary_summary(table: pd.DataFrame) -> Figure:
    """Draw how many are found, how many are spared and how well slices are ranked, by scheme.

    Bars have 95 % intervals clustered by group; lines across them mark chance: 0.5 for ROC-AUC, the
    prevalence among each scheme's test slices for PR-AUC. Below sensitivity and specificity stand
    the slices and groups behind each scheme's bar. `table` is from `binary_metrics.table`; the rows
    of the final stage (2) are drawn, one per scheme.
    """
    final = table[table["stage"] == _FINAL_STAGE].set_index("scheme")
    positives, negatives = final["positives"], final["n"] - final["positives"]
    found = f"Sensitivity\nof {final['positive_class'].iloc[0]}"
    spared = "Specificity\nof the others"
    measures = {
        "sensitivity": _with_counts(found, positives, final["positive_groups"]),
        "specificity": _with_counts(spared, negatives, final["negative_groups"]),
        "roc_auc": "ROC-AUC",
        "pr_auc": "PR-AUC",
    }
    figure, ((axes,),) = journal.new_figure(3.4)
    _scheme_bars(axes, final, measures)
    series = [container for container in axes.containers if isinstance(container, BarContainer)]
    look = {"linewidth": 1.6, "path_effects": [withStroke(linewidth=4, foreground="white")]}
    for bars, prevalence in zip(series, final["prevalence"], strict=True):
        for bar, chance in zip(bars.patches[2:], (0.5, prevalence), strict=True):
            axes.hlines(chance, *bar.get_bbox().intervalx, color="black", **look)
    axes.collections[-1].set_label("chance")
    axes.set_ylim(0, 1.12)
    return journal.with_legend(figure, axes)


@journal.style
def ablation(table: pd.DataFrame, *, chance: float) -> Figure:
    """Draw macro-F1 of every step of the recipe with its interval, the baseline at the bottom.

    Each step has one marker per unit; dropped steps are hollow. `table` has ``step`` (in their
    order), ``counted`` ("slices" or "patients"), ``macro_f1`` with ``_low`` and ``_high``, and
    ``kept``.
    """
    steps = list(table["step"].unique())
    figure, [[axes]] = journal.new_figure(0.9 + 0.42 * len(steps))
    for k, (counted, style) in enumerate(journal.series_styles(list(_UNITS)).items()):
        rows = table[table["counted"] == counted]
        heights = np.array([steps.index(step) for step in rows["step"]]) + (0.5 - k) * 2 * _APART
        title, dropped = _UNITS[counted], ~rows["kept"]
        journal.interval_rows(axes, heights, rows, "macro_f1", style, title=title, hollow=dropped)
    axes.plot([], [], "o", color="0.4", markerfacecolor="white", label="dropped")
    axes.axvline(chance, color="0.5", linestyle=":", linewidth=1, label="chance")
    axes.set(yticks=range(len(steps)), yticklabels=steps, ylim=(-0.6, len(steps) - 0.4))
    axes.set(xlim=(0, 1), xlabel="Macro-F1 on new patients, with 95 % interval over groups")
    axes.grid(axis="x", color="0.92")
    return journal.with_legend(figure, axes, columns=4)


@journal.style
def by_reach(table: pd.DataFrame, *, chance: float) -> Figure:
    """Draw macro-F1 over how many neighbouring slices each slice is predicted with.

    `table` is from `series.table`: a line for slices as shown, one for slices in another window.
    """
    figure, ((axes,),) = journal.new_figure(3.2, journal.HALF_WIDTH)
    reaches = list(table["reach"].unique())
    for k, (window, rows) in enumerate(table.groupby("window", sort=False)):
        style = journal.SCHEMES[_WINDOWS[str(window)]]
        places = rows["reach"].map(reaches.index) + (k - 0.5) * _APART
        journal.line_with_intervals(axes, places, rows, "macro_f1", style, style.title)
    journal.mark_level(axes, chance, f"chance {chance:.2f}", right=True)
    axes.set(xlim=(-0.4, len(reaches) + 0.4), ylim=(0, 1.02), yticks=journal.FIFTHS)
    axes.set_xticks(range(len(reaches)), reaches)
    axes.set(xlabel="Neighbouring slices on either side", ylabel="Macro-F1, with 95 % interval")
    return journal.with_legend(figure, axes)


def _scheme_bars(axes: Axes, scores: pd.DataFrame, measures: Mapping[str, str]) -> None:
    """Draw some measures, with the names to show, as bars of each scheme, a row of `scores`.

    The legend tells the ``n`` slices and the ``groups`` of each.
    """
    styles = [journal.SCHEMES[scheme] for scheme in scores.index]
    values = scores[list(measures)].astype(float).T.set_axis(list(measures.values()))
    values.columns = pd.Index(
        f"{style.title} ({n:,} slices, {groups:,} groups)"
        for style, n, groups in zip(styles, scores["n"], scores["groups"], strict=True)
    )
    intervals = np.stack([journal.interval_ends(scores, name) for name in measures], axis=1)
    journal.grouped_bars(axes, values, styles, number="{:.3f}", intervals=intervals)
    axes.set(yticks=journal.FIFTHS, xlabel="Measure on the test part")
    axes.set_ylabel("Value, with 95 % interval")


def _with_counts(name: str, slices: Iterable[int], groups: Iterable[int]) -> str:
    """Write below a name how many slices and groups of each scheme stand behind it."""
    lines = [" | ".join(f"{n:,}" for n in counts) for counts in (slices, groups)]
    return f"{name}\n{lines[0]} slices\n{lines[1]} groups"

"""Figures of the results: headline, training, confusion, recall, class weights.

Each function takes data and returns a Figure; it computes no result and saves nothing.
"""

from collections.abc import Mapping

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter

from kidneyct_lib.plots.style import (
    FULL_WIDTH,
    HALF_WIDTH,
    SCHEME_TITLES,
    SMALL,
    grouped_bars,
    journal_style,
    legend_above,
    new_figure,
    panel_letters,
    scheme_styles,
    series_styles,
)


@journal_style
def headline(
    metrics_by_scheme: Mapping[str, Mapping], *, references: Mapping[str, float]
) -> Figure:
    """Draw accuracy and macro-F1 of each scheme with their intervals: the study in one figure.

    Parameters
    ----------
    metrics_by_scheme
        {scheme: metrics} as in metrics/test.json, with ``accuracy``, ``macro_f1`` and their
        ``_ci95``; "other_window" is by patient, in another display window.
    references
        {name: value} of levels to mark by a line, such as a published accuracy or chance.

    Returns
    -------
    Figure of grouped bars, 0 to 1, with 95 % intervals clustered by group.
    """
    figure, ((axes,),) = new_figure(HALF_WIDTH, 3.2)
    rows = {"accuracy": "Accuracy", "macro_f1": "Macro-F1"}
    values = {
        scheme: [metrics[key] for key in rows] for scheme, metrics in metrics_by_scheme.items()
    }
    intervals = {
        scheme: np.array([metrics[f"{key}_ci95"] for key in rows])
        for scheme, metrics in metrics_by_scheme.items()
    }
    names = {
        scheme: f"{SCHEME_TITLES.get(scheme, scheme)} ({metrics['n']:,} slices, "
        f"{metrics['groups']} groups)"
        for scheme, metrics in metrics_by_scheme.items()
    }
    grouped_bars(
        axes,
        pd.DataFrame(values, index=list(rows.values())),
        scheme_styles(list(metrics_by_scheme)),
        number="{:.3f}",
        names=names,
        intervals=intervals,
    )
    for name, value in references.items():
        axes.axhline(value, color="black", linewidth=0.8, linestyle=":")
        axes.annotate(
            f"{name} {value:g}",
            (1, value),
            xycoords=("axes fraction", "data"),
            xytext=(3, 0),
            textcoords="offset points",
            va="center",
            fontsize=SMALL,
        )
    axes.set(ylim=(0, 1.08), yticks=np.arange(0, 1.01, 0.2))
    axes.set(xlabel="Measure on the test part", ylabel="Value, with 95 % interval")
    legend_above(figure, axes, columns=1)
    return figure


@journal_style
def learning_curves(history: pd.DataFrame) -> Figure:
    """Draw loss and accuracy over the epochs of both stages.

    Parameters
    ----------
    history
        One row per epoch: ``scheme``, ``stage``, ``epoch``, ``loss``, ``val_loss``,
        ``accuracy``, ``val_accuracy``.

    Returns
    -------
    Figure with the loss above and the accuracy below, one column a scheme; epochs are counted
    through both stages, and a line marks where the second begins.
    """
    schemes = list(history["scheme"].unique())
    figure, axes = new_figure(
        FULL_WIDTH, 4.2, rows=2, columns=len(schemes), sharex="col", sharey="row"
    )
    lines = {"": ("training", "-", "o"), "val_": ("validation", "--", "s")}
    styles = series_styles(["training", "validation"])
    for column, scheme in zip(axes.T, schemes, strict=True):
        epochs = history[history["scheme"] == scheme].sort_values(["stage", "epoch"])
        number = np.arange(1, len(epochs) + 1)
        begin = np.flatnonzero(epochs["stage"].diff().to_numpy() > 0) + 0.5
        for panel, measure in zip(column, ("loss", "accuracy"), strict=True):
            for prefix, (name, line, marker) in lines.items():
                panel.plot(
                    number,
                    epochs[prefix + measure],
                    color=styles[name].colour,
                    linestyle=line,
                    marker=marker,
                    markersize=3.5,
                    label=name,
                )
            for x in begin:
                panel.axvline(x, color="0.4", linewidth=0.8, linestyle=":")
            panel.set(xlabel="Epoch", ylabel=measure.capitalize())
            panel.xaxis.set_major_locator(MaxNLocator(8, integer=True, min_n_ticks=1))
            panel.label_outer()
        for x in begin:
            column[0].annotate(
                "stage 2 ",
                (x, 1),
                xycoords=("data", "axes fraction"),
                ha="left",
                va="bottom",
                fontsize=SMALL,
            )
        column[0].set_yscale("log")
    axes[0, 0].set_ylabel("Loss (nats)")
    panel_letters(axes[0], [SCHEME_TITLES.get(scheme, scheme) for scheme in schemes])
    legend_above(figure, axes[0, 0])
    return figure


@journal_style
def confusion_pair(confusions: Mapping[str, pd.DataFrame]) -> Figure:
    """Draw the confusion matrices of the schemes side by side.

    Parameters
    ----------
    confusions
        {scheme: slices by true class (rows) and predicted class (columns)}.

    Returns
    -------
    Figure; colour is the share of the true class, the number the slices.
    """
    k = len(next(iter(confusions.values())))
    width = FULL_WIDTH if len(confusions) > 1 else HALF_WIDTH
    figure, axes = new_figure(width, 1.3 + 0.52 * k, columns=len(confusions))
    for panel, counts in zip(axes.flat, confusions.values(), strict=True):
        total = counts.sum(axis=1).to_numpy()[:, None]
        share = counts / np.maximum(total, 1)
        texts = [
            [f"{n:,}\n{s:.0%}" for n, s in zip(*pair, strict=True)]
            for pair in zip(counts.to_numpy(), share.to_numpy(), strict=True)
        ]
        sns.heatmap(
            share,
            annot=np.array(texts),
            fmt="",
            annot_kws={"fontsize": SMALL},
            vmin=0,
            vmax=1,
            cmap="Blues",
            square=True,
            linewidths=0.6,
            linecolor="0.8",
            cbar=False,
            ax=panel,
        )
        panel.tick_params(length=0)
        panel.tick_params(axis="y", rotation=0)
        panel.set(xlabel="Predicted class", ylabel="True class")
        panel.label_outer()
    bar = figure.colorbar(
        axes.flat[0].collections[0], ax=axes, shrink=0.7, format=PercentFormatter(1)
    )
    bar.set_label("Share of the true class")
    bar.outline.set_visible(False)
    panel_letters(axes.flat, [SCHEME_TITLES.get(name, name) for name in confusions])
    return figure


@journal_style
def per_class_recall_pair(metrics_by_scheme: Mapping[str, Mapping]) -> Figure:
    """Draw the recall of each class under each scheme.

    Parameters
    ----------
    metrics_by_scheme
        {scheme: metrics} with ``per_class``: {class: {``recall``, ``support``, ``groups``}}.

    Returns
    -------
    Figure of grouped bars; under each class, how many test slices and groups it has.
    """
    figure, ((axes,),) = new_figure(FULL_WIDTH, 3.2)
    per_class = {scheme: metrics["per_class"] for scheme, metrics in metrics_by_scheme.items()}
    classes = list(next(iter(per_class.values())))
    recall = pd.DataFrame(per_class).map(lambda values: values["recall"]).loc[classes]
    names = {scheme: SCHEME_TITLES.get(scheme, scheme) for scheme in recall}
    grouped_bars(axes, recall, scheme_styles(list(recall)), number="{:.2f}", names=names)
    ticks = [
        "\n".join(
            [name]
            + [
                " | ".join(f"{values[name][key]:,}" for values in per_class.values()) + f" {unit}"
                for key, unit in (("support", "slices"), ("groups", "groups"))
            ]
        )
        for name in classes
    ]
    axes.set_xticks(range(len(classes)), ticks)
    axes.set(ylim=(0, 1.08), yticks=np.arange(0, 1.01, 0.2))
    axes.set(xlabel="Class, with its test part under each scheme", ylabel="Recall")
    legend_above(figure, axes)
    return figure


@journal_style
def class_weight_comparison(frame: pd.DataFrame) -> Figure:
    """Draw what each way of weighting the classes reaches.

    Parameters
    ----------
    frame
        ``scheme``, ``weighting``, ``measure`` (such as "macro-F1" or a class's recall) and
        ``value`` (0 to 1).

    Returns
    -------
    Figure with one panel of grouped bars a scheme.
    """
    schemes = list(frame["scheme"].unique())
    weightings, measures = list(frame["weighting"].unique()), list(frame["measure"].unique())
    figure, axes = new_figure(
        FULL_WIDTH, 0.6 + 2.1 * len(schemes), rows=len(schemes), sharex=True, sharey=True
    )
    for panel, scheme in zip(axes.flat, schemes, strict=True):
        values = frame[frame["scheme"] == scheme].pivot(
            index="measure", columns="weighting", values="value"
        )
        values = values.reindex(index=measures, columns=weightings)
        grouped_bars(panel, values, series_styles(weightings), number="{:.2f}")
        panel.set(ylim=(0, 1.12), yticks=np.arange(0, 1.01, 0.2), xlabel="Measure", ylabel="Value")
        panel.label_outer()
    panel_letters(axes.flat, [SCHEME_TITLES.get(scheme, scheme) for scheme in schemes])
    legend_above(figure, axes.flat[0], title="Class weights")
    return figure

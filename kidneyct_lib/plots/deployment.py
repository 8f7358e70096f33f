"""Figures of the exported files: whether their predictions agree, and how fast."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from kidneyct_lib.plots import journal


@journal.style
def parity(expected: np.ndarray, predictions: Mapping[str, np.ndarray]) -> Figure:
    """Draw the probabilities of each exported file against those of Keras.

    `expected` are those by Keras, (N, K); `predictions` is {file: probabilities (N, K)}.
    """
    figure, axes = journal.new_figure(journal.FULL_WIDTH, 2.1, columns=len(predictions))
    for panel, (name, result) in zip(axes.flat, predictions.items(), strict=True):
        panel.plot([0, 1], [0, 1], color="0.6", linewidth=0.8)
        panel.scatter(expected.ravel(), result.ravel(), s=4, linewidths=0, alpha=0.5)
        panel.set(title=name, xlabel="Keras", aspect="equal", xticks=[0, 1], yticks=[0, 1])
    axes.flat[0].set_ylabel("exported file")
    return figure


@journal.style
def latency(table: pd.DataFrame) -> Figure:
    """Draw the milliseconds for one image, one panel per batch size, one bar per way to run.

    `table` is from `parity.latencies`.
    """
    batches = sorted(table["batch"].unique())
    figure, axes = journal.new_figure(journal.FULL_WIDTH, 2.6, columns=len(batches))
    for panel, batch in zip(axes.flat, batches, strict=True):
        rows = table[table["batch"] == batch]
        names = (rows["way"] + ", " + rows["precision"]).unique()
        threads = sorted(rows["threads"].unique())
        for number, count in enumerate(threads):
            values = rows[rows["threads"] == count]["milliseconds"]
            place = np.arange(len(names)) + 0.4 * (number - (len(threads) - 1) / 2)
            bars = panel.barh(place, values, height=0.38, label=f"{count} thread{'s'[: count - 1]}")
            panel.bar_label(bars, fmt="%.0f", padding=2, fontsize=7)
        panel.set_yticks(range(len(names)), names if batch == batches[0] else [""] * len(names))
        panel.invert_yaxis()
        panel.margins(x=0.15)
        alone = f", {threads[0]} thread" if threads == [1] else ""
        panel.set(title=f"{batch} image{'s' if batch > 1 else ''} at a time{alone}")
        panel.set_xlabel("milliseconds an image")
    if len(threads) > 1:
        handles, labels = panel.get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=len(threads))
    return figure

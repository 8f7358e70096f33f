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
    figure, axes = journal.new_figure(2.1, columns=len(predictions))
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
    batches, threads = sorted(table["batch"].unique()), sorted(table["threads"].unique())
    figure, axes = journal.new_figure(2.6, columns=len(batches), sharey=True)
    named = table.assign(way=table["way"] + ", " + table["precision"])
    for panel, batch in zip(axes.flat, batches, strict=True):
        rows = named[named["batch"] == batch]
        times = rows.pivot(index="way", columns="threads", values="milliseconds")
        times = times.reindex(rows["way"].unique(), columns=threads)
        times.columns = pd.Index([f"{count} thread{'s'[: count - 1]}" for count in threads])
        times.plot.barh(ax=panel, width=0.38 * len(threads), legend=False, ylabel="")
        for bars in panel.containers:
            panel.bar_label(bars, fmt="%.0f", padding=2, fontsize=7)
        panel.minorticks_off()
        panel.margins(0.15, 0.02)
        alone = ", 1 thread" if threads == [1] else ""
        panel.set(title=f"{batch} image{'s' if batch > 1 else ''} at a time{alone}")
        panel.set_xlabel("milliseconds an image")
    axes[0, 0].invert_yaxis()
    return journal.with_legend(figure, axes[0, 0]) if len(threads) > 1 else figure

"""The figure of the ablation: what each change of the recipe brings on new patients."""

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from kidneyct_lib.plots.style import (
    FULL_WIDTH,
    journal_style,
    legend_above,
    new_figure,
    series_styles,
)

_TITLES = {"slices": "every slice", "patients": "one vote per patient"}
_APART = 0.16  # of a row, between the two markers of a step


@journal_style
def ablation(table: pd.DataFrame, *, chance: float) -> Figure:
    """Draw macro-F1 of every step with its interval, the baseline at the bottom.

    Parameters
    ----------
    table
        ``step``, ``counted`` ("slices" or "patients"), ``macro_f1`` with ``_low`` and ``_high``,
        and ``kept``; steps in their order.
    chance
        Macro-F1 at chance level, drawn as a line.

    Returns
    -------
    Figure with one row per step and one marker per unit; dropped steps are hollow.
    """
    steps = list(table["step"].unique())
    figure, [[axes]] = new_figure(FULL_WIDTH, 0.9 + 0.42 * len(steps))
    for k, (counted, style) in enumerate(series_styles(list(_TITLES)).items()):
        rows = table[table["counted"] == counted]
        heights = np.array([steps.index(step) for step in rows["step"]]) + (0.5 - k) * 2 * _APART
        low, high = rows["macro_f1_low"], rows["macro_f1_high"]
        axes.hlines(heights, low, high, color=style.colour, linewidth=1)
        axes.plot([], [], style.marker, color=style.colour, label=_TITLES[counted])
        for value, height, stays in zip(rows["macro_f1"], heights, rows["kept"], strict=True):
            face = style.colour if stays else "white"
            axes.plot(value, height, style.marker, color=style.colour, markerfacecolor=face)
    axes.plot([], [], "o", color="0.4", markerfacecolor="white", label="dropped")
    axes.axvline(chance, color="0.5", linestyle=":", linewidth=1, label="chance")
    axes.set(yticks=range(len(steps)), yticklabels=steps, ylim=(-0.6, len(steps) - 0.4))
    axes.set(xlim=(0, 1), xlabel="Macro-F1 on new patients, with 95 % interval over groups")
    axes.grid(axis="x", color="0.92")
    axes.set_axisbelow(True)
    legend_above(figure, axes, columns=4)
    return figure

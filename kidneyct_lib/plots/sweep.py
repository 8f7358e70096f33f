"""Figures of a sweep: the cells beside one another, and how they differ."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from kidneyct_lib.plots import journal

_APART = 0.22  # of a row, between the markers of two schemes


@journal.style
def cells(table: pd.DataFrame, *, spread: Mapping[str, tuple[float, float]]) -> Figure:
    """Draw the score of each cell with its interval, one row per cell and a marker per scheme.

    Parameters
    ----------
    table
        ``label`` of the cell, ``scheme``, ``value``, ``value_low``, ``value_high``.
    spread
        {scheme: (mean, standard deviation over seeds)}, drawn as bands one deviation to
        each side; may be empty.
    """
    names = list(dict.fromkeys(table["label"]))
    figure, [[axes]] = journal.new_figure(1.2 + 0.46 * len(names))
    for scheme, (mean, deviation) in spread.items():
        colour = journal.SCHEMES[scheme].colour
        axes.axvspan(mean - deviation, mean + deviation, color=colour, alpha=0.14, linewidth=0)
        axes.axvline(mean, color=colour, linewidth=0.8, linestyle=journal.SCHEMES[scheme].line)
    _rows(axes, table, "value", names)
    axes.set(xlim=(0, 1.01), xticks=journal.FIFTHS)
    axes.set_xlabel("Accuracy, with 95 % interval over groups")
    return journal.with_legend(figure, axes)


@journal.style
def differences(table: pd.DataFrame) -> Figure:
    """Draw what each level differs from the first one, with its interval, and a marker per scheme.

    Hollow markers stand for cells that tested other slices, which are not paired. `table` has
    ``label`` of the comparison, ``scheme``, ``paired``, ``value``, ``value_low``, ``value_high``.
    """
    names = list(dict.fromkeys(table["label"]))
    figure, [[axes]] = journal.new_figure(1.2 + 0.46 * len(names))
    _rows(axes, table, "value", names, hollow=~table["paired"].astype(bool))
    axes.axvline(0, color="0.35", linewidth=0.9, linestyle=":", zorder=0)
    if not table["paired"].all():
        axes.plot([], [], "o", color="0.4", markerfacecolor="white", label="other slices")
    furthest = max(0.01, 1.08 * np.abs(table[["value_low", "value_high"]].to_numpy()).max())
    axes.set(xlim=(-furthest, furthest))
    axes.set_xlabel("Difference in accuracy, with 95 % interval over groups")
    return journal.with_legend(figure, axes)


def _rows(
    axes: Axes, table: pd.DataFrame, score: str, names: list[str], hollow: pd.Series | None = None
) -> None:
    """Draw a marker per scheme in the row of each name, the first name at the top."""
    schemes = list(dict.fromkeys(table["scheme"]))
    for k, scheme in enumerate(schemes):
        rows = table[table["scheme"] == scheme]
        shift = ((len(schemes) - 1) / 2 - k) * _APART
        heights = np.array([len(names) - 1 - names.index(name) for name in rows["label"]]) + shift
        empty = False if hollow is None else hollow[rows.index].to_numpy()
        journal.interval_rows(axes, heights, rows, score, journal.SCHEMES[scheme], hollow=empty)
    axes.set(yticks=range(len(names)), yticklabels=names[::-1], ylim=(-0.6, len(names) - 0.4))
    axes.grid(axis="x", color="0.92")

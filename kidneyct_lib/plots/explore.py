"""Figures of the explorer, drawn anew at each move of a slider: their panels have fixed places.

A layout that is fitted to its texts takes longer than all the drawing.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from kidneyct_lib.plots import journal

WIDTH = 9.6  # inches: of a notebook's cell beside JupyterLab's side bar
_MEASURES = {
    "sensitivity": ("Sensitivity", 1),
    "specificity": ("Specificity", 1),
    "false_alarms_per_100": ("False alarms per 100 of other classes", 100),
}
_SCORES = {"accuracy": "Accuracy", "macro_f1": "Macro-F1"}


def _placed(height: float, columns: int, ratios: Sequence[float], **edges: float):
    """Make panels in one row whose edges are shares of the figure: what `subplots_adjust` takes."""
    figure, ((*axes,),) = journal.new_figure(height, WIDTH, columns=columns, width_ratios=ratios)
    figure.set_layout_engine(None)  # back to the places below
    figure.subplots_adjust(**edges)
    return figure, axes


def _show_slice(
    panel: Axes, image: np.ndarray, share: np.ndarray | None, opacity: float, title: str
) -> None:
    journal.show_images([panel], [image])
    if share is not None:
        journal.lay_map(panel, share, opacity)
    panel.set_title(title, fontsize=9, pad=4)


@journal.style
def series_slice(
    image: np.ndarray,
    probabilities: pd.DataFrame,
    position: int,
    *,
    title: str,
    class_map: np.ndarray | None = None,
    opacity: float = 0.6,
    lesion: np.ndarray | None = None,
) -> Figure:
    """Show one slice of a series, and beside it the class probabilities along the series.

    Parameters
    ----------
    image
        Gray, uint8 (H, W).
    probabilities
        One row per slice of the series, one column per class.
    position
        The slice's place in the series, from 0.
    title
        Above the slice.
    class_map
        float (H, W), as a share of its highest value; None: no map.
    opacity
        Of the map where it is 1.
    lesion
        bool (H, W), drawn as an outline; None: not known.
    """
    edges = {"left": 0.01, "right": 0.985, "top": 0.92, "bottom": 0.13, "wspace": 0.16}
    figure, (left, right) = _placed(4.4, 2, (1, 1.25), **edges)
    _show_slice(left, image, class_map, opacity, title)
    if lesion is not None:
        journal.outline(left, lesion)
    x = np.arange(1, len(probabilities) + 1)
    styles = journal.series_styles(str(name) for name in probabilities)
    for name, style in styles.items():
        right.plot(x, probabilities[name], **style.curve, markersize=4, label=name)
    right.axvline(position + 1, color="0.75", linewidth=6, zorder=0)
    right.set(xlim=(0.5, len(x) + 0.5), ylim=(-0.02, 1.02))
    right.set(xlabel="Slice of the series", ylabel="Probability")
    right.xaxis.get_major_locator().set_params(integer=True)
    right.legend(loc="lower right", bbox_to_anchor=(1, 1), ncols=len(styles), handlelength=2.6)
    return figure


@journal.style
def at_threshold(table: pd.DataFrame, title: str) -> Figure:
    """Draw what a threshold does, one panel per measure, one row per kind of row counted.

    `table` is from `thresholds.at_threshold`.
    """
    edges = {"left": 0.17, "right": 0.97, "top": 0.86, "bottom": 0.22, "wspace": 0.12}
    figure, axes = _placed(2.3, len(_MEASURES), [1] * len(_MEASURES), **edges)
    styles = journal.series_styles(table["counted"])
    for panel, (measure, (name, most)) in zip(axes, _MEASURES.items(), strict=True):
        for y, (kind, style) in enumerate(styles.items()):
            row = table[table["counted"] == kind]
            journal.interval_rows(panel, [y], row, measure, style)
            number = row[measure].iloc[0]
            text = f"{number:.0f}" if most > 1 else f"{number:.2f}"
            journal.write_beside(panel, text, (number, y), (0, 7), ha="center", fontsize=8)
        panel.set(xlim=(-0.02 * most, 1.02 * most), ylim=(len(table) - 0.4, -0.7), xlabel=name)
        panel.grid(axis="x", color="0.92")
        panel.set_yticks(range(len(table)), table["counted"] if panel is axes[0] else [])
    figure.suptitle(title, fontsize=9, fontweight="bold", x=0.17, ha="left")
    return figure


@journal.style
def what_if(
    shown: Mapping[str, tuple[np.ndarray, np.ndarray]],
    probabilities: pd.DataFrame,
    *,
    opacity: float,
) -> Figure:
    """Show a slice as it is stored and otherwise, under its class maps, with the probabilities.

    Parameters
    ----------
    shown
        {title: (gray uint8 (H, W), map float (H, W) as a share of its highest value)}, of two.
    probabilities
        One row per class, one column for each of `shown`.
    opacity
        Of the maps where they are 1.
    """
    edges = {"left": 0.01, "right": 0.97, "top": 0.9, "bottom": 0.14, "wspace": 0.1}
    figure, (*slices, bars) = _placed(3.6, 3, (1, 1, 0.95), **edges)
    place = bars.get_position()  # names of the classes stand at its left
    bars.set_position([place.x0 + 0.05, place.y0, place.width - 0.05, place.height])
    for panel, (title, (image, class_map)) in zip(slices, shown.items(), strict=True):
        _show_slice(panel, image, class_map, opacity, title)
    y, height = np.arange(len(probabilities)), 0.38
    looks = ({"color": "0.8"}, {"color": journal.SCHEMES["patient"].colour, "hatch": "////"})
    for k, (name, look) in enumerate(zip(probabilities, looks, strict=True)):
        values = probabilities[name]
        bars.barh(y + (k - 0.5) * height, values, height, edgecolor="white", label=name, **look)
        for at, value in zip(y, values, strict=True):
            place = (value, at + (k - 0.5) * height)
            journal.write_beside(bars, f"{value:.2f}", place, (3, 0), va="center", fontsize=8)
    bars.set_yticks(y, probabilities.index)
    bars.set(xlim=(0, 1.1), ylim=(len(y) - 0.5, -0.5), xlabel="Probability")
    bars.tick_params(axis="y", length=0)
    bars.legend(loc="lower right", bbox_to_anchor=(1, 1), ncols=2)
    return figure


@journal.style
def two_runs(table: pd.DataFrame) -> Figure:
    """Draw the scores of runs side by side, one panel per score, one row per split.

    `table` is from `two_runs.scores`; a split that a run lacks has no marker of it.
    """
    splits, runs = list(table["split"].unique()), list(table["run"].unique())
    edges = {"left": 0.21, "right": 0.97, "top": 0.84, "bottom": 0.2, "wspace": 0.08}
    figure, axes = _placed(1.2 + 0.5 * len(splits), len(_SCORES), (1, 1), **edges)
    for panel, (score, name) in zip(axes, _SCORES.items(), strict=True):
        for k, (run, style) in enumerate(journal.series_styles(runs).items()):
            rows = table[table["run"] == run]
            y = rows["split"].map(splits.index) + 0.3 * (k - (len(runs) - 1) / 2)
            journal.interval_rows(panel, y, rows, score, style, title=run)
        panel.set(xlim=(0, 1), ylim=(len(splits) - 0.4, -0.6), xlabel=name)
        panel.grid(axis="x", color="0.92")
        panel.set_yticks(range(len(splits)), splits if panel is axes[0] else [])
    handles, names = axes[0].get_legend_handles_labels()
    figure.legend(handles, names, loc="upper center", ncols=len(runs))
    return figure

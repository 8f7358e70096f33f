"""The common look of all figures: sizes, colours, markers, line styles, hatches, legends.

Every series is marked twice, by colour and by marker, line or hatch, so that figures stay
readable in gray and for the colour-blind.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import wraps
from typing import Any, NamedTuple

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure

FULL_WIDTH = 7.1  # inches: two columns of a journal, 180 mm
HALF_WIDTH = 4.6  # inches: one and a half columns, 117 mm
SMALL = 7  # points: numbers on bars, titles of images

PART_COLOURS = {"train": "#d9d9d9", "validation": "#969696", "test": "#525252"}
SCHEME_TITLES = {
    "slice": "By slice",
    "patient": "By patient",
    "other_window": "By patient, in another window",
}
PATIENT_TITLES = {"slice": "patients seen in training", "patient": "new patients"}

_COLOURS = sns.color_palette("colorblind").as_hex()
_MARKERS = "os^DvPX*<>"
_LINES = ("-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)))
_HATCHES = ("", "////", "....", "xxxx", "----", "\\\\\\\\")


class Style(NamedTuple):
    """How one series is drawn; everything but the colour also tells it apart in gray."""

    colour: str
    marker: str
    line: str | tuple
    hatch: str


def series_styles(names: Sequence[str]) -> dict[str, Style]:
    """Give each name its style by position, so that a class looks the same in every figure."""
    return {
        name: Style(
            _COLOURS[k % len(_COLOURS)],
            _MARKERS[k % len(_MARKERS)],
            _LINES[k % len(_LINES)],
            _HATCHES[k % len(_HATCHES)],
        )
        for k, name in enumerate(names)
    }


def scheme_styles(schemes: Sequence[str]) -> dict[str, Style]:
    """Give the ways of testing styles of their own: the two splits a light and a dark one."""
    fixed = {
        "slice": Style(_COLOURS[9], "o", "--", "////"),
        "patient": Style("#1b3a57", "s", "-", ""),
        "other_window": Style(_COLOURS[3], "D", "-.", "...."),
    }
    return {**series_styles(schemes), **{name: fixed[name] for name in schemes if name in fixed}}


def part_styles() -> dict[str, Style]:
    """Give training, validation and test their grays and hatches."""
    hatches = {"train": "", "validation": "////", "test": ""}
    return {name: Style(PART_COLOURS[name], "o", "-", hatches[name]) for name in PART_COLOURS}


def journal_style(draw: Callable[..., Figure]) -> Callable[..., Figure]:
    """Draw in the journal style and leave the session's matplotlib settings as they were."""

    @wraps(draw)
    def styled(*args: Any, **kwargs: Any) -> Figure:
        with sns.axes_style("ticks"), sns.plotting_context("paper"), plt.rc_context(_SETTINGS):
            return draw(*args, **kwargs)

    return styled


_SETTINGS = {
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 9,
    "axes.labelsize": 9,
    "xtick.labelsize": 8,
    "ytick.labelsize": 8,
    "legend.fontsize": 8,
    "legend.title_fontsize": 8,
    "legend.frameon": False,
    "hatch.linewidth": 0.5,
    "figure.dpi": 100,
}


def new_figure(
    width: float, height: float, *, rows: int = 1, columns: int = 1, **subplots: Any
) -> tuple[Figure, np.ndarray]:
    """Make a figure of `rows` x `columns` axes, of a size in inches, known to no one else.

    Made through pyplot, which is what teaches a notebook to show figures as images, and
    closed at once, so that a notebook shows it once and pyplot holds no memory of it.
    """
    figure, axes = plt.subplots(
        rows, columns, figsize=(width, height), layout="constrained", squeeze=False, **subplots
    )
    plt.close(figure)
    return figure, axes


def legend_above(figure: Figure, axes: Axes, *, title: str | None = None, columns: int = 6) -> None:
    """Put the legend of `axes` above all axes, where it covers no data."""
    handles, names = axes.get_legend_handles_labels()
    figure.legend(
        handles,
        names,
        title=title,
        loc="outside upper center",
        ncols=min(columns, len(handles)),
        handlelength=2.6,
    )


def grouped_bars(
    axes: Axes,
    values: pd.DataFrame,
    styles: Mapping[str, Style],
    *,
    number: str,
    number_size: float = SMALL,
    names: Mapping[str, str] | None = None,
    intervals: Mapping[str, np.ndarray] | None = None,
) -> None:
    """Draw one group of bars for each row and one bar in it for each column.

    Parameters
    ----------
    axes
        To draw on.
    values
        Heights; the index names the groups, the columns the series. NaN draws no bar.
    styles
        Style of each column.
    number
        Format of the number above each bar, such as "{:.2f}".
    number_size
        Its font size in points.
    names
        Legend entry of each column; its own name where None.
    intervals
        For each column its [low, high] ends, (rows, 2), drawn as error bars.
    """
    width = 0.84 / len(values.columns)
    left = np.arange(len(values)) - 0.42 + width / 2
    for k, series in enumerate(values):
        heights, style = values[series].to_numpy(float), styles[series]
        middle, tops = left + k * width, heights
        axes.bar(
            middle,
            heights,
            width,
            color=style.colour,
            hatch=style.hatch,
            edgecolor="black",
            linewidth=0.6,
            label=series if names is None else names[series],
        )
        if intervals is not None:
            low, high = np.asarray(intervals[series], float).T
            # Drawn about its own middle: an interval need not contain the estimate.
            axes.errorbar(
                middle,
                (low + high) / 2,
                (high - low) / 2,
                fmt="none",
                ecolor="black",
                elinewidth=0.9,
                capsize=3,
            )
            tops = np.maximum(heights, high)
        for x, top, height in zip(middle, tops, heights, strict=True):
            if not np.isnan(height):
                axes.annotate(
                    number.format(height),
                    (x, top),
                    xytext=(0, 2),
                    textcoords="offset points",
                    ha="center",
                    va="bottom",
                    fontsize=number_size,
                )
    axes.set_xticks(range(len(values)), [str(name) for name in values.index])
    axes.tick_params(axis="x", length=0)


def show_image(axes: Axes, image: np.ndarray) -> None:
    """Show an 8-bit gray (H, W) or RGB (H, W, 3) image in its true gray levels, without axes."""
    axes.imshow(image, cmap="gray", vmin=0, vmax=255)
    blank(axes)


def fitting_size(texts: Iterable[str], inches: float) -> float:
    """Give the font size in points at which the longest line fits a width, SMALL at most."""
    longest = max((len(line) for text in texts for line in text.split("\n")), default=1)
    return min(SMALL, 72 * inches / (0.62 * max(longest, 1)))


def blank(axes: Axes) -> None:
    """Take ticks and frame away, leaving room for a title and a label."""
    axes.set(xticks=[], yticks=[])
    axes.spines[:].set_visible(False)


def panel_letters(axes: Iterable[Axes], titles: Sequence[str]) -> None:
    """Title the panels, with letters to refer to where there are several."""
    for letter, panel, title in zip("abcdefghijklmnop", axes, titles, strict=False):
        text = title if len(titles) == 1 else f"{letter}  {title}"
        panel.set_title(text, loc="left", fontweight="bold")

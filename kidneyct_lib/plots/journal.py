"""The common look of all figures: sizes, colours, markers, line styles, hatches, legends.

Every series is marked twice, by colour and by marker, line or hatch, so that figures stay
readable in gray and for the colour-blind.
"""

from collections.abc import Iterable, Mapping, Sequence
from itertools import cycle, zip_longest
from string import ascii_lowercase
from typing import Any, NamedTuple

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib import font_manager
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

FULL_WIDTH = 7.1  # inches: two columns of a journal, 180 mm
HALF_WIDTH = 4.6  # inches: one and a half columns, 117 mm
SMALL = 7  # points: numbers on bars, titles of images
THOUSANDS = "{x:,.0f}"  # numbers of an axis
FIFTHS = np.arange(0, 1.01, 0.2)  # ticks of a score's axis
LEGEND_BELOW: dict[str, Any] = {"loc": "upper center", "bbox_to_anchor": (0.5, -0.17)}  # its panel


class Style(NamedTuple):
    """How one series is drawn; everything but the colour also tells it apart in gray."""

    colour: str
    marker: str
    line: str | tuple
    hatch: str
    title: str = ""

    @property
    def bars(self) -> dict[str, Any]:
        """Options of `Axes.bar`."""
        return {"color": self.colour, "hatch": self.hatch, "edgecolor": "black", "linewidth": 0.6}

    @property
    def curve(self) -> dict[str, Any]:
        """Options of `Axes.plot`, for a line with markers."""
        return {"color": self.colour, "linestyle": self.line, "marker": self.marker}

    def points(self, hollow: ArrayLike = False) -> dict[str, Any]:
        """Options of `Axes.scatter`: markers with a thin edge, hollow where bool (N,) is true."""
        return {
            "marker": self.marker,
            "facecolors": np.where(hollow, "white", self.colour).tolist(),
            "edgecolors": np.where(hollow, self.colour, "black").tolist(),
            "linewidth": np.where(hollow, 1.25, 0.5).tolist(),
        }

    @property
    def faint(self) -> dict[str, Any]:
        """Options of `Axes.plot`, for a line beside the main one: thin, dotted, hollow markers."""
        return self.curve | {"linestyle": ":", "linewidth": 0.8, "markerfacecolor": "white"}


_COLOURS = sns.color_palette("colorblind").as_hex()
_MARKERS = "os^DvPX*<>"
_LINES: tuple[str | tuple, ...] = ("-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)))
_HATCHES = ("", "////", "....", "xxxx", "----", "\\\\\\\\")

# A light and a dark style for the two ways of splitting, one for slices of new patients in another
# display window; grays for the parts of a split.
SCHEMES = {
    "slice": Style(_COLOURS[9], "o", "--", "////", "By slice"),
    "patient": Style("#1b3a57", "s", "-", "", "By patient"),
    "other_window": Style(_COLOURS[3], "D", "-.", "....", "By patient, in another window"),
}
PART_STYLES = {
    "train": Style("#d9d9d9", "o", "-", ""),
    "validation": Style("#969696", "o", "-", "////"),
    "test": Style("#525252", "o", "-", ""),
}


def series_styles(names: Iterable[str]) -> dict[str, Style]:
    """Give each name its style by position, so that a class looks the same in every figure."""
    styles = map(Style, cycle(_COLOURS), cycle(_MARKERS), cycle(_LINES), cycle(_HATCHES))
    return dict(zip(names, styles, strict=False))


_CJK_FONTS = (
    *(
        "Noto Sans CJK SC",
        "Noto Sans CJK JP",
        "Noto Sans CJK KR",
        "Noto Sans SC",
        "Source Han Sans SC",
    ),
    *("WenQuanYi Zen Hei", "WenQuanYi Micro Hei", "Droid Sans Fallback", "Arial Unicode MS"),
    *("Microsoft YaHei", "SimHei", "PingFang SC", "Hiragino Sans", "Yu Gothic", "Malgun Gothic"),
)


def font_families(installed: Iterable[str]) -> list[str]:
    """Families to draw text with: glyphs that the first lacks come from the next.

    Names of classes may be Chinese, Japanese or Korean. Where none of the fonts for these is
    installed, Matplotlib draws boxes and warns of each missing glyph.
    """
    names = set(installed)
    return ["sans-serif", *(name for name in _CJK_FONTS if name in names)]


# Decorates a function that draws; the session's matplotlib settings stay as they were.
style = mpl.rc_context(
    {
        **sns.axes_style("ticks"),
        **sns.plotting_context("paper"),
        "font.family": font_families(font_manager.get_font_names()),
        "axes.spines.top": False,
        "axes.spines.right": False,
        "font.size": SMALL,
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
)


def new_figure(
    height: float,
    width: float = FULL_WIDTH,
    *,
    rows: int = 1,
    columns: int | None = None,
    titles: Sequence[str] = (),
    schemes: Iterable[str] = (),
    shared: bool = False,
    **subplots: Any,
) -> tuple[Figure, np.ndarray]:
    """Make a figure of `rows` x `columns` axes, of a size in inches, known to no one else.

    `titles`, or those of `schemes`, stand above the first panels, with letters to refer to where
    there are several; there are as many columns as titles if `columns` does not tell. `shared` is
    for panels with the same limits on both axes.

    Made through pyplot, which is what teaches a notebook to show figures as images, and
    closed at once, so that a notebook shows it once and pyplot holds no memory of it.
    """
    titles = list(titles) or [SCHEMES[scheme].title for scheme in schemes]
    subplots = {"sharex": shared, "sharey": shared} | subplots
    subplots |= {"figsize": (width, height), "layout": "constrained", "squeeze": False}
    figure, axes = plt.subplots(rows, columns or max(len(titles), 1), **subplots)
    plt.close(figure)
    for letter, panel, title in zip(ascii_lowercase, axes.flat, titles, strict=False):
        text = title if len(titles) == 1 else f"{letter}  {title}"
        panel.set_title(text, loc="left", fontweight="bold")
    return figure, axes


def panel_grid(
    count: int, columns: int, *, top: float, height: float, **options: Any
) -> tuple[Figure, list[Axes]]:
    """Make so many panels, with shared axes, in rows of at most so many columns.

    Every row is `height` inches high and `top` more are for the legend. Only the lowest panel of
    each column names its ticks. `options` are of `new_figure`.
    """
    columns = min(columns, count)
    options |= {"rows": -(-count // columns), "columns": columns, "shared": True}
    figure, axes = new_figure(top + height * options["rows"], **options)
    for panel in axes.flat[count:]:
        panel.remove()
    for panel in axes.flat[count - columns : count]:
        panel.tick_params(labelbottom=True)
    return figure, list(axes.flat[:count])


def with_legend(
    figure: Figure, axes: Axes, *, title: str | None = None, columns: int = 6
) -> Figure:
    """Return the figure with the legend of `axes` above all axes, where it covers no data."""
    handles, names = axes.get_legend_handles_labels()
    options = {"title": title, "ncols": min(columns, len(handles)), "handlelength": 2.6}
    figure.legend(handles, names, loc="outside upper center", **options)
    return figure


def write_beside(
    axes: Axes, text: str, point: tuple[float, float], offset: tuple[float, float], **options: Any
) -> None:
    """Write a small text some points (right, up) from a point; options are of `annotate`."""
    axes.annotate(text, point, offset, textcoords="offset points", **options)


def mark_level(
    axes: Axes, value: float, text: str, *, line: str = ":", right: bool = False
) -> None:
    """Mark a level by a horizontal line and write a text at its left or right end."""
    axes.axhline(value, color="0.35", linewidth=0.9, linestyle=line, zorder=0)
    place, offset = (int(right), value), (-3 if right else 3, 2)
    look = {"xycoords": ("axes fraction", "data"), "ha": "right" if right else "left"}
    write_beside(axes, text, place, offset, **look)


def draw_intervals(
    axes: Axes, x: ArrayLike, ends: np.ndarray, *, colour: str = "black", capsize: float = 2.5
) -> None:
    """Draw an error bar between the [low, high] of each place, (N, 2)."""
    low, high = ends.T
    # Drawn about its own middle: an interval need not contain the estimate.
    middle, half = (low + high) / 2, (high - low) / 2
    axes.errorbar(x, middle, half, fmt="none", ecolor=colour, elinewidth=0.9, capsize=capsize)


def interval_ends(rows: pd.DataFrame, score: str) -> np.ndarray:
    """Ends [low, high] of the interval of a score in each row, (N, 2)."""
    if f"{score}_ci95" in rows:
        return np.array(rows[f"{score}_ci95"].tolist(), float).reshape(-1, 2)
    return rows[[f"{score}_low", f"{score}_high"]].to_numpy(float)


def line_with_intervals(
    axes: Axes, x: ArrayLike, rows: pd.DataFrame, score: str, style: Style, name: str | None = None
) -> None:
    """Draw the scores of N rows at x, (N,), joined by a line, each with its own interval."""
    draw_intervals(axes, x, interval_ends(rows, score), colour=style.colour)
    look = style.curve | {"markersize": 5, "markeredgecolor": "black", "markeredgewidth": 0.4}
    axes.plot(x, rows[score], **look, label=name)


def interval_rows(
    axes: Axes,
    y: ArrayLike,
    rows: pd.DataFrame,
    score: str,
    style: Style,
    *,
    title: str = "",
    hollow: ArrayLike | bool = False,
) -> None:
    """Draw the scores of N rows as markers on their intervals, at the heights y, (N,).

    The legend calls them by the title, which is the style's unless given. Markers where `hollow`,
    bool (N,), is true are not filled.
    """
    axes.hlines(y, *interval_ends(rows, score).T, color=style.colour, linewidth=1.5, zorder=2)
    axes.scatter(rows[score], y, 36, **style.points(hollow), zorder=3, clip_on=False)
    axes.scatter([], [], **style.points(), label=title or style.title)


def grouped_bars(
    axes: Axes,
    values: pd.DataFrame,
    styles: Iterable[Style],
    *,
    number: str,
    number_size: float = SMALL,
    intervals: ArrayLike | None = None,
) -> None:
    """Draw one group of bars for each row and one bar in it for each column.

    The index of the heights `values` names the groups, their columns, each with a style, are the
    legend's entries; NaN draws no bar. The number above each bar has a format such as "{:.2f}" and
    a size in points. `intervals` are the [low, high] ends of each column's bars, (columns, rows,
    2), drawn as error bars.
    """
    look = {"ha": "center", "va": "bottom", "fontsize": number_size}
    width = 0.84 / len(values.columns)
    left = np.arange(len(values)) - 0.42 + width / 2
    for k, (series, style) in enumerate(zip(values, styles, strict=True)):
        heights = tops = values[series].to_numpy(float)
        middle = left + k * width
        axes.bar(middle, heights, width, label=str(series), **style.bars)
        if intervals is not None:
            ends = np.asarray(intervals, float)[k]
            draw_intervals(axes, middle, ends, capsize=3)
            tops = np.maximum(heights, ends[:, 1])
        for x, top, height in zip(middle, tops, heights, strict=True):
            if not np.isnan(height):
                write_beside(axes, number.format(height), (x, top), (0, 2), **look)
    axes.set_xticks(range(len(values)), [str(name) for name in values.index])
    axes.tick_params(axis="x", length=0)


def lay_map(panel: Axes, share: np.ndarray, opacity: float) -> None:
    """Lay a map (H, W), as a share of its highest value, over a slice; `opacity` where it is 1."""
    panel.imshow(share, cmap="inferno", vmin=0, vmax=1, alpha=opacity * share)


def outline(panel: Axes, mask: np.ndarray) -> None:
    """Draw the edge of a lesion, bool (H, W), on its slice, where there is one."""
    if mask.any():
        panel.contour(mask, levels=[0.5], colors="cyan", linewidths=0.8)


def show_images(axes: Iterable[Axes], images: Iterable[np.ndarray | None]) -> None:
    """Show 8-bit gray (H, W) or RGB (H, W, 3) images in their true gray levels, without axes.

    A panel beyond the last image, or for which it is None, stays empty.
    """
    for panel, image in zip_longest(axes, images):
        panel.set(xticks=[], yticks=[], frame_on=False)
        if image is not None:
            panel.imshow(image, cmap="gray", vmin=0, vmax=255)


def image_sheet(
    images: Sequence[np.ndarray | None],
    titles: Sequence[str],
    columns: int,
    *,
    title_height: float,
    **title_options: Any,
) -> tuple[Figure, np.ndarray]:
    """Show images in rows below their titles, which are `title_height` inches high.

    An image that is None leaves its place empty but for the title.
    """
    rows, side = -(-len(images) // columns), FULL_WIDTH / columns
    figure, axes = new_figure(rows * (side + title_height), rows=rows, columns=columns)
    show_images(axes.flat, images)
    size = fitting_size(titles, side)
    for panel, title in zip(axes.flat, titles, strict=False):
        panel.set_title(title, fontsize=size, pad=2, **title_options)
    return figure, axes


def image_rows(
    rows: Mapping[str, Sequence[np.ndarray]], columns: int, *, label: float, top: float = 0
) -> tuple[Figure, np.ndarray]:
    """Show images close together, one row for each name, which stands at its left.

    Places beyond a row's last image stay empty. The names are `label` inches wide, and `top` inches
    are left above the first row.
    """
    side = (FULL_WIDTH - label) / columns
    figure, axes = new_figure(top + len(rows) * side, rows=len(rows), columns=columns)
    tight = {"w_pad": 0.01, "h_pad": 0.01, "wspace": 0, "hspace": 0, "rect": (0.01, 0, 0.99, 1)}
    figure.set_layout_engine("constrained", **tight)
    for panels, (name, images) in zip(axes, rows.items(), strict=True):
        show_images(panels, images)
        panels[0].set_ylabel(name, rotation=0, ha="right", va="center", fontsize=SMALL)
    return figure, axes


def fitting_size(texts: Iterable[str], inches: float) -> float:
    """Give the font size in points at which the longest line fits a width, SMALL at most."""
    longest = max([1, *(len(line) for text in texts for line in text.split("\n"))])
    return min(SMALL, 72 * inches / (0.62 * longest))

"""Figures of the robustness: what corruptions look like, and what they cost."""

from collections.abc import Mapping, Sequence
from itertools import product

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from kidneyct_lib.plots.style import (
    FULL_WIDTH,
    SCHEME_STYLES,
    SCHEME_TITLES,
    journal_style,
    legend_above,
    new_figure,
    show_image,
)

_COLUMNS = 5  # panels in a row


@journal_style
def corruption_grid(examples: Mapping[str, Sequence[np.ndarray]]) -> Figure:
    """Show a slice with several corruptions.

    Parameters
    ----------
    examples
        {corruption: the clean image, then one for each severity, rising}, each uint8 gray (H, W);
        as many for each corruption.

    Returns
    -------
    Figure of one row per corruption and one column a severity, in true gray levels.
    """
    columns = len(next(iter(examples.values())))
    side = (FULL_WIDTH - 0.75) / columns
    height = 0.2 + len(examples) * (side + 0.02)
    figure, axes = new_figure(FULL_WIDTH, height, rows=len(examples), columns=columns)
    tight = {"w_pad": 0.01, "h_pad": 0.01, "wspace": 0, "hspace": 0, "rect": (0.01, 0, 0.99, 1)}
    figure.set_layout_engine("constrained", **tight)
    for row, (name, images) in zip(axes, examples.items(), strict=True):
        for panel, image in zip(row, images, strict=True):
            show_image(panel, image)
        title = name.replace(" ", "\n")
        row[0].set_ylabel(title, rotation=0, ha="right", va="center", fontsize=8)
    for severity, panel in enumerate(axes[0]):
        panel.set_title(f"severity {severity}" if severity else "clean", fontsize=8, pad=3)
    return figure


@journal_style
def corruption_errors(table: pd.DataFrame) -> Figure:
    """Draw how the error rises with the severity of each corruption, under each scheme.

    Parameters
    ----------
    table
        ``scheme``, ``stage``, ``corruption``, ``severity`` (0 for clean, 1 to 5),
        ``balanced_error`` (0 to 1) and the ends of its interval, ``low`` and ``high``. Rows of
        severity 0 belong to every corruption, by whatever name.

    Returns
    -------
    Figure with one panel per corruption, in the table's order, and one line per scheme and stage;
    the last stage is drawn with its intervals, those before it thin and without.
    """
    clean = table[table["severity"] == 0].drop_duplicates(["scheme", "stage"])
    corrupted = table[table["severity"] > 0]
    names = list(corrupted["corruption"].unique())
    rows = -(-len(names) // _COLUMNS)
    columns = min(_COLUMNS, len(names))
    figure, axes = new_figure(
        FULL_WIDTH, 0.8 + 1.15 * rows, rows=rows, columns=columns, sharex=True, sharey=True
    )
    for k, (panel, name) in enumerate(zip(axes.flat, names, strict=False)):
        _draw_lines(panel, pd.concat([clean, corrupted[corrupted["corruption"] == name]]))
        panel.set_title(name, loc="left", fontsize=8, pad=2)
        panel.grid(axis="y", color="0.92")
        panel.set_axisbelow(True)
        panel.tick_params(labelbottom=k + columns >= len(names))
    ticks = range(int(table["severity"].max()) + 1)
    axes[0, 0].set(ylim=(0, 1), yticks=np.arange(0, 1.01, 0.25), xticks=ticks)
    legend_above(figure, axes[0, 0], columns=4)
    for panel in axes.flat[len(names) :]:
        panel.remove()
    figure.supxlabel("Severity of the corruption (0: clean)", fontsize=9)
    figure.supylabel("Balanced error; band: 95 % interval over groups", fontsize=9)
    return figure


def _draw_lines(panel: Axes, rows: pd.DataFrame) -> None:
    """Draw one corruption's error over severity, one line per scheme and stage."""
    *earlier, last = sorted(rows["stage"].unique())
    for scheme, stage in product(rows["scheme"].unique(), [*earlier, last]):
        line = rows[(rows["scheme"] == scheme) & (rows["stage"] == stage)].sort_values("severity")
        severity, style = line["severity"], SCHEME_STYLES[scheme]
        name = SCHEME_TITLES[scheme] + (f", stage {stage}" if earlier else "")
        look = style.faint | {"zorder": 2}
        if stage == last:
            look = style.curve | {"linewidth": 1.4, "zorder": 3}
            low, high = line["low"], line["high"]
            panel.fill_between(severity, low, high, color=style.colour, alpha=0.2, linewidth=0)
        error = line["balanced_error"]
        panel.plot(severity, error, **look, markersize=3.5, label=name, clip_on=False)

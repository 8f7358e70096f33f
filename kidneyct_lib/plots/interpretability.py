"""Figures of what models look at. They compute no result and save nothing."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from kidneyct_lib.plots.style import (
    FULL_WIDTH,
    HALF_WIDTH,
    SCHEME_TITLES,
    blank,
    fitting_size,
    journal_style,
    legend_above,
    new_figure,
    scheme_styles,
    show_image,
)

_MOST_OPAQUE = 0.6  # of the map at its highest point


@journal_style
def class_maps(
    images: Sequence[np.ndarray | None],
    maps: Sequence[np.ndarray],
    titles: Sequence[str],
    *,
    columns: int,
    masks: Sequence[np.ndarray] | None = None,
) -> Figure:
    """Show slices under the maps of what speaks for a class.

    Parameters
    ----------
    images
        Gray, uint8 (S, S); None leaves a place empty but for its title.
    maps
        For each, float (S, S), 0 or more; each is drawn up to its own highest value.
    titles
        One above each.
    columns
        Slices in a row.
    masks
        For each, bool (S, S): the lesion, drawn as an outline where there is one.

    Returns
    -------
    Figure with one panel per slice.
    """
    rows, side = -(-len(images) // columns), FULL_WIDTH / columns
    figure, axes = new_figure(FULL_WIDTH, rows * (side + 0.25), rows=rows, columns=columns)
    size = fitting_size(titles, side)
    for panel in axes.flat:
        blank(panel)
    for number, (panel, image, title) in enumerate(zip(axes.flat, images, titles, strict=False)):
        panel.set_title(title, fontsize=size, pad=2)
        if image is None:
            continue
        show_image(panel, image)
        share = maps[number] / max(maps[number].max(), np.finfo(np.float32).tiny)
        panel.imshow(share, cmap="inferno", vmin=0, vmax=1, alpha=_MOST_OPAQUE * share)
        if masks is not None and masks[number].any():
            panel.contour(masks[number], levels=[0.5], colors="cyan", linewidths=0.8)
    return figure


@journal_style
def weight_randomization(result: Mapping[str, Sequence[Mapping[str, Any]]]) -> Figure:
    """Draw how like the trained model's maps are while weights are shuffled from the head down.

    Parameters
    ----------
    result
        {scheme: one dict a step, in order}, the same steps for each: ``step``, ``correlation``
        (-1 to 1), ``ci95`` ([low, high]) and ``unsigned`` (0 to 1).

    Returns
    -------
    Figure with one line per scheme and its intervals, and a thin dotted line of the size.
    """
    figure, axes = new_figure(HALF_WIDTH, 2.7)
    panel = axes[0, 0]
    panel.axhline(0, color="0.7", linewidth=0.8, zorder=1)
    shift = np.linspace(-0.08, 0.08, len(result))
    for (scheme, style), aside in zip(scheme_styles(list(result)).items(), shift, strict=True):
        rows, title = pd.DataFrame(result[scheme]), SCHEME_TITLES.get(scheme, scheme)
        places = np.arange(len(rows)) + aside
        low, high = np.array(rows["ci95"].tolist()).T
        look = dict(color=style.colour, marker=style.marker, markersize=4)
        size = look | dict(markerfacecolor="white", linestyle=":", linewidth=0.8)
        panel.plot(places, rows["unsigned"], label=f"{title}, sign aside", **size)
        panel.vlines(places, low, high, color=style.colour, linewidth=1)
        line = dict(linestyle=style.line, linewidth=1.4)
        panel.plot(places, rows["correlation"], label=title, **look, **line)
    names = [name if k < 2 else f"+ {name}" for k, name in enumerate(rows["step"])]
    panel.set_xticks(range(len(rows)), names)
    lowest = min(row["ci95"][0] for rows in result.values() for row in rows)
    panel.set(
        ylim=(min(lowest - 0.05, -0.3), 1.05),
        xlabel="Weights shuffled, from the head down to the first layer",
        ylabel="Rank correlation with\nthe trained model's map",
    )
    legend_above(figure, panel, columns=2)
    return figure

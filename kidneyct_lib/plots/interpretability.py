"""Figures of what models look at."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from kidneyct_lib.plots.style import (
    HALF_WIDTH,
    SCHEME_STYLES,
    SCHEME_TITLES,
    image_sheet,
    journal_style,
    legend_above,
    new_figure,
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
    figure, axes = image_sheet(images, titles, columns, title_height=0.25)
    for number, (panel, image) in enumerate(zip(axes.flat, images, strict=False)):
        if image is None:
            continue
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
    figure, ((axes,),) = new_figure(HALF_WIDTH, 2.7)
    axes.axhline(0, color="0.7", linewidth=0.8, zorder=1)
    shift = np.linspace(-0.08, 0.08, len(result))
    for (scheme, steps), aside in zip(result.items(), shift, strict=True):
        rows, style, title = pd.DataFrame(steps), SCHEME_STYLES[scheme], SCHEME_TITLES[scheme]
        places = np.arange(len(rows)) + aside
        axes.plot(
            places, rows["unsigned"], **style.faint, markersize=4, label=f"{title}, sign aside"
        )
        low, high = np.array(rows["ci95"].tolist()).T
        axes.vlines(places, low, high, color=style.colour, linewidth=1)
        curve = style.curve | {"linewidth": 1.4, "markersize": 4}
        axes.plot(places, rows["correlation"], **curve, label=title)
    names = [name if k < 2 else f"+ {name}" for k, name in enumerate(rows["step"])]
    axes.set_xticks(range(len(rows)), names)
    lowest = min(row["ci95"][0] for rows in result.values() for row in rows)
    axes.set_ylim(min(lowest - 0.05, -0.3), 1.05)
    axes.set_xlabel("Weights shuffled, from the head down to the first layer")
    axes.set_ylabel("Rank correlation with\nthe trained model's map")
    legend_above(figure, axes, columns=2)
    return figure

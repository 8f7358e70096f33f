"""The figure of what models look at. It computes no result and saves nothing."""

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from kidneyct_lib.plots.style import (
    FULL_WIDTH,
    blank,
    fitting_size,
    journal_style,
    new_figure,
    show_picture,
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
    Figure with one panel a slice.
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
        show_picture(panel, image)
        share = maps[number] / max(maps[number].max(), np.finfo(np.float32).tiny)
        panel.imshow(share, cmap="inferno", vmin=0, vmax=1, alpha=_MOST_OPAQUE * share)
        if masks is not None and masks[number].any():
            panel.contour(masks[number], levels=[0.5], colors="cyan", linewidths=0.8)
    return figure

"""Figure of the shortcuts: what the acquisition alone predicts, beside the study's models.

It takes data and returns a Figure; it computes no result and saves nothing.
"""

from collections.abc import Mapping

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from kidneyct_lib.plots.style import (
    FULL_WIDTH,
    SCHEME_STYLES,
    SCHEME_TITLES,
    journal_style,
    legend_above,
    new_figure,
)

_ACQUISITION = "0.55"  # gray: no lesion is looked for


@journal_style
def shortcuts(
    kinds: Mapping[str, Mapping],
    models: Mapping[str, Mapping[str, Mapping]],
    *,
    chance: float,
) -> Figure:
    """Draw the accuracy on new patients of each kind of acquisition measures and of each model.

    Parameters
    ----------
    kinds
        {kind: scores by patient} with ``accuracy`` and ``accuracy_ci95``.
    models
        {model: {"patient" and "other_window": the same}}: slices as shown, and in the display
        window of another class.
    chance
        Accuracy at chance level, drawn as a line.

    Returns
    -------
    Figure with one row per kind and model, the models below.
    """
    rows = len(kinds) + len(models)
    figure, ((axes,),) = new_figure(FULL_WIDTH, 1.3 + 0.3 * rows)
    styles = {name: SCHEME_STYLES[name] for name in ("patient", "other_window")}
    for y, scores in enumerate(kinds.values()):
        _interval(axes, scores, y, color=_ACQUISITION, marker="o", label="Acquisition alone")
    for y, scores in enumerate(models.values(), len(kinds)):
        for (name, style), aside in zip(styles.items(), (-0.2, 0.2), strict=True):
            look = {"color": style.colour, "marker": style.marker, "label": SCHEME_TITLES[name]}
            _interval(axes, scores[name], y + aside, **look)
    axes.axhline(len(kinds) - 0.5, color="0.8", linewidth=0.8)
    axes.axvline(chance, color="black", linewidth=0.8, linestyle=":", label="Chance level")
    names = [name[0].upper() + name[1:] for name in (*kinds, *models)]
    axes.set_yticks(range(rows), names)
    axes.tick_params(axis="y", length=0)
    axes.set(xlim=(0, 1), ylim=(rows - 0.5, -0.5), xticks=np.arange(0, 1.01, 0.2))
    axes.set(xlabel="Accuracy on new patients, with 95 % interval", ylabel="Predicted from")
    axes.xaxis.set_major_formatter(PercentFormatter(1, symbol=" %"))
    legend_above(figure, axes, columns=4)
    return figure


def _interval(axes, scores: Mapping, y: float, *, color: str, marker: str, label: str) -> None:
    """One accuracy, its interval and its number; a label stands once in the legend."""
    _, known = axes.get_legend_handles_labels()
    low, high = scores["accuracy_ci95"]
    axes.plot([low, high], [y, y], color=color, linewidth=1.4)
    shown = label if label not in known else None
    axes.plot(
        scores["accuracy"],
        y,
        marker,
        color=color,
        markeredgecolor="black",
        markeredgewidth=0.5,
        markersize=6,
        linestyle="",
        label=shown,
    )
    axes.annotate(
        f"{100 * scores['accuracy']:.0f} %",
        (high, y),
        (4, 0),
        textcoords="offset points",
        va="center",
    )

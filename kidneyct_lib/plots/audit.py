"""Figures of the audit: what models owe to patients they have seen."""

from collections.abc import Mapping

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from kidneyct_lib.plots.style import (
    FULL_WIDTH,
    PATIENT_TITLES,
    SCHEME_STYLES,
    SMALL,
    journal_style,
    new_figure,
    write_beside,
)

_PLAIN_NAMES = {
    "pixel kNN": "Most similar training slice\n(raw pixels)",
    "PCA + random forest": "Random forest\n(raw pixels)",
    "logistic regression": "Linear model\n(features of the frozen network)",
    "stage 1": "Network with a trained head\n(stage 1)",
    "stage 2": "Network fine-tuned as published\n(stage 2)",
    "labels by group": "Random labels,\none for each patient",
    "labels by slice": "Random labels,\nshuffled over slices",
}
_PATIENT_RECIPE_NAMES = {
    "stage 1": "Patient recipe fitted to\nthe training part (stage 1)",
    "stage 2": "Patient recipe fitted to that\nand the validation part (stage 2)",
}
_PERCENT = PercentFormatter(1, symbol=" %")
_SCHEMES = ("patient", "slice")  # in the order to draw them
_APART = 0.08  # of accuracy: lines of chance closer than this are drawn as one


@journal_style
def leak_summary(
    models: Mapping[str, Mapping[str, Mapping]],
    controls: Mapping[str, Mapping[str, Mapping]],
    *,
    chance: Mapping[str, float],
    recipe: str = "published",
) -> Figure:
    """Draw what every model scores on patients it has seen and on new ones: the leak at a glance.

    Parameters
    ----------
    models, controls
        {name: {scheme: scores}} with ``n``, ``groups``, ``accuracy`` and ``accuracy_ci95``; the
        title tells the last model's numbers.
    chance
        ``uniform`` and ``majority``: accuracy without looking.
    recipe
        "published" or "patient": what the two stages are.

    Returns
    -------
    Figure with one row per model or control and one marker per scheme, on one axis of accuracy.
    """
    # From the network down to labels without meaning: what knows least stands last.
    rows = {**dict(reversed(list(models.items()))), **controls}
    figure, ((axes,),) = new_figure(FULL_WIDTH, 1.9 + 0.45 * len(rows))
    heights = [-k - 0.6 * (k >= len(models)) for k in range(len(rows))]
    for y, scores in zip(heights, rows.values(), strict=True):
        ends = [scores[scheme]["accuracy"] for scheme in _SCHEMES]
        axes.plot(ends, [y, y], color="0.82", linewidth=5, solid_capstyle="round", zorder=1)
        for scheme in _SCHEMES:
            _interval_marker(axes, scores[scheme], y, scheme)
    plain = _PLAIN_NAMES | (_PATIENT_RECIPE_NAMES if recipe == "patient" else {})
    axes.set_yticks(heights, [plain.get(name, name) for name in rows], linespacing=1.05)
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
    axes.set(xlim=(0, 1.04), ylim=(heights[-1] - 0.85, 0.6), xticks=np.arange(0, 1.01, 0.2))
    axes.xaxis.set_major_formatter(_PERCENT)
    axes.set_xlabel("Accuracy")
    _mark_chance(axes, chance)
    if controls:
        title = {"fontsize": 8, "fontstyle": "italic", "va": "center", "backgroundcolor": "white"}
        height = heights[len(models)] + 0.72
        axes.text(0, height, "Controls: labels that no image can tell ", **title)
    _summary_words(figure, axes, models)
    return figure


def _interval_marker(axes: Axes, scores: Mapping, y: float, scheme: str) -> None:
    """Draw an accuracy, its interval and its number: above the row where patients were seen."""
    style, accuracy = SCHEME_STYLES[scheme], scores["accuracy"]
    axes.plot(scores["accuracy_ci95"], [y, y], color=style.colour, linewidth=1.6, zorder=2)
    axes.plot(accuracy, y, **style.marks, markersize=7, zorder=3)
    side = {"va": "top", "fontweight": "bold"} if scheme == "patient" else {"va": "bottom"}
    offset = (0, -5 if scheme == "patient" else 5)
    text = _percent(accuracy, 1)
    write_beside(axes, text, (accuracy, y), offset, **side, ha="center", fontsize=8)


def _mark_chance(axes: Axes, chance: Mapping[str, float]) -> None:
    """Mark what is reached without looking by vertical lines, named at their foot."""
    lines = {"chance": chance["uniform"]}
    if chance["majority"] - chance["uniform"] > _APART:
        lines["largest class"] = chance["majority"]
    for name, value in lines.items():
        axes.axvline(value, color="0.35", linewidth=0.9, linestyle=":", zorder=0)
        at_foot = ("data", "axes fraction")
        axes.annotate(f" {name} {_percent(value)}", (value, 0.01), xycoords=at_foot)


def _summary_words(figure: Figure, axes: Axes, models: Mapping[str, Mapping]) -> None:
    """Write the finding above the axes, and what was counted below them."""
    *_, last = models.values()
    seen, new = (_percent(last[scheme]["accuracy"], 1) for scheme in ("slice", "patient"))
    finding = (
        f"The network is right on {seen} of CT slices of patients it has seen\n"
        f"and on {new} of those of new patients."
    )
    figure.suptitle(finding, x=0.01, ha="left", fontsize=12, fontweight="bold")
    for scheme in _SCHEMES:
        axes.plot([], [], **SCHEME_STYLES[scheme].marks, markersize=7, label=PATIENT_TITLES[scheme])
    axes.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=2, fontsize=9, handletextpad=0.2)
    first = next(iter(models.values()))["patient"]
    fewer = [name for name, by_scheme in models.items() if by_scheme["patient"]["n"] < first["n"]]
    counted = f"{first['n']:,} slices of {first['groups']:,} patients"
    if fewer:
        one = models[fewer[0]]["patient"]
        counted += f" ({', '.join(fewer)}: {one['n']:,} slices of {one['groups']:,} new patients)"
    notes = (
        f"Each model is tested on slices it was not trained on: {counted}.\n"
        "Lines through the markers: 95 % intervals over patients (groups of near-duplicates).\n"
        "What is above chance on random labels can only come from recognising the patient."
    )
    figure.supxlabel(notes, x=0.01, ha="left", fontsize=SMALL)


def _percent(value: float, digits: int = 0) -> str:
    """Write a share in percent; what is not all is cut off below 100 %, not rounded to it."""
    most = 100 if value == 1 else 100 - 10**-digits
    return f"{min(100 * value, most):.{digits}f} %"

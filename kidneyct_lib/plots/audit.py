"""Figures of the audit: seen and new patients, shortcuts, and sweeps of gaps, groupings, sizes."""

from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from kidneyct_lib.plots import journal

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
_PATIENT_TITLES = {"slice": "patients seen in training", "patient": "new patients"}
# Gray: no lesion is looked for.
_ACQUISITION = journal.Style("0.55", "o", "-", "", "Acquisition alone")
_FEWEST = 10  # slices of a bin that is drawn
_LOW = 0.08  # no room for words below a point as low as this
_APART = 0.08  # of accuracy: lines of chance closer than this are drawn as one


@journal.style
def leak_summary(
    models: Mapping[str, Mapping[str, Mapping]],
    controls: Mapping[str, Mapping[str, Mapping]],
    *,
    chance: Mapping[str, float],
    recipe: str = "published",
) -> Figure:
    """Draw what every model scores on patients it has seen and on new ones: the leak at a glance.

    Each model and control has a row with one marker per scheme, on one axis of accuracy.

    Parameters
    ----------
    models, controls
        {name: {scheme: scores}} with ``n``, ``groups``, ``accuracy`` and ``accuracy_ci95``; the
        title tells the last model's numbers.
    chance
        ``uniform`` and ``majority``: accuracy without looking.
    recipe
        "published" or "patient": what the two stages are.
    """
    # From the network down to labels without meaning: what knows least stands last.
    rows = {**dict(reversed(list(models.items()))), **controls}
    figure, ((axes,),) = journal.new_figure(1.9 + 0.45 * len(rows))
    heights = [-k - 0.6 * (k >= len(models)) for k in range(len(rows))]
    for y, by_scheme in zip(heights, rows.values(), strict=True):
        ends = [by_scheme["patient"]["accuracy"], by_scheme["slice"]["accuracy"]]
        axes.plot(ends, [y, y], color="0.82", linewidth=5, solid_capstyle="round", zorder=1)
    # The number of seen patients stands above its marker, that of new ones below.
    below = {"va": "top", "fontweight": "bold"}
    sides: dict[str, tuple[int, dict]] = {"patient": (-5, below), "slice": (5, {"va": "bottom"})}
    for scheme, (offset, look) in sides.items():
        style, title = journal.SCHEMES[scheme], _PATIENT_TITLES[scheme]
        scores = pd.DataFrame([by_scheme[scheme] for by_scheme in rows.values()])
        journal.interval_rows(axes, heights, scores, "accuracy", style, title=title)
        for at in zip(scores["accuracy"], heights, strict=True):
            text = _percent(at[0], 1)
            journal.write_beside(axes, text, at, (0, offset), ha="center", fontsize=8, **look)
    plain = _PLAIN_NAMES | (_PATIENT_RECIPE_NAMES if recipe == "patient" else {})
    _name_rows(axes, heights, [plain.get(name, name) for name in rows])
    axes.spines["left"].set_visible(False)
    axes.set(xlim=(0, 1.04), ylim=(heights[-1] - 0.85, 0.6), xlabel="Accuracy")
    lines = {"chance": chance["uniform"]}
    if chance["majority"] - chance["uniform"] > _APART:
        lines["largest class"] = chance["majority"]
    for name, value in lines.items():
        axes.axvline(value, color="0.35", linewidth=0.9, linestyle=":", zorder=0)
        axes.text(value, 0.01, f" {name} {_percent(value)}", transform=axes.get_xaxis_transform())
    if controls:
        italic = {"fontsize": 8, "fontstyle": "italic", "va": "center", "backgroundcolor": "white"}
        height = heights[len(models)] + 0.72
        axes.text(0, height, "Controls: labels that no image can tell ", **italic)
    _summary_words(figure, axes, models)
    return figure


def _summary_words(figure: Figure, axes: Axes, models: Mapping[str, Mapping]) -> None:
    """Write the finding above the axes, and what was counted below them."""
    *_, last = models.values()
    seen, new = (_percent(last[scheme]["accuracy"], 1) for scheme in ("slice", "patient"))
    finding = (
        f"The network is right on {seen} of CT slices of patients it has seen\n"
        f"and on {new} of those of new patients."
    )
    figure.suptitle(finding, x=0.01, ha="left", fontsize=12, fontweight="bold")
    axes.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=2, fontsize=9, handletextpad=0.2)
    first = next(iter(models.values()))["patient"]
    fewer = [name for name, scores in models.items() if scores["patient"]["n"] < first["n"]]
    counted = f"{first['n']:,} slices of {first['groups']:,} patients"
    if fewer:
        one = models[fewer[0]]["patient"]
        counted += f" ({', '.join(fewer)}: {one['n']:,} slices of {one['groups']:,} new patients)"
    notes = (
        f"Each model is tested on slices it was not trained on: {counted}.\n"
        "Lines through the markers: 95 % intervals over patients (groups of near-duplicates).\n"
        "What is above chance on random labels can only come from recognising the patient."
    )
    figure.supxlabel(notes, x=0.01, ha="left", fontsize=journal.SMALL)


def _percent(value: float, digits: int = 0) -> str:
    """Write a share in percent; what is not all is cut off below 100 %, not rounded to it."""
    most = 100 if value == 1 else 100 - 10**-digits
    return f"{min(100 * value, most):.{digits}f} %"


@journal.style
def shortcuts(
    kinds: Mapping[str, Mapping], models: Mapping[str, Mapping[str, Mapping]], *, chance: float
) -> Figure:
    """Draw the accuracy on new patients of each kind of acquisition measures, then of each model.

    Parameters
    ----------
    kinds
        {kind: scores by patient} with ``accuracy`` and ``accuracy_ci95``.
    models
        {model: {"patient" and "other_window": the same}}: slices as shown, and in the display
        window of another class.
    """
    rows = len(kinds) + len(models)
    figure, ((axes,),) = journal.new_figure(1.3 + 0.3 * rows)
    series = [(_ACQUISITION, 0.0, list(kinds.values()))]
    for scheme, aside in (("patient", -0.2), ("other_window", 0.2)):
        every = [by_window[scheme] for by_window in models.values()]
        series.append((journal.SCHEMES[scheme], len(kinds) + aside, every))
    for style, first, every in series:
        heights = first + np.arange(len(every))
        journal.interval_rows(axes, heights, pd.DataFrame(every), "accuracy", style)
        for y, scores in zip(heights, every, strict=True):
            at = (scores["accuracy_ci95"][1], y)
            journal.write_beside(axes, f"{100 * scores['accuracy']:.0f} %", at, (4, 0), va="center")
    axes.axhline(len(kinds) - 0.5, color="0.8", linewidth=0.8)
    axes.axvline(chance, color="black", linewidth=0.8, linestyle=":", label="Chance level")
    names = [name[0].upper() + name[1:] for name in (*kinds, *models)]
    _name_rows(axes, range(rows), names)
    axes.set(xlim=(0, 1), ylim=(rows - 0.5, -0.5), ylabel="Predicted from")
    axes.set_xlabel("Accuracy on new patients, with 95 % interval")
    return journal.with_legend(figure, axes, columns=4)


def _name_rows(axes: Axes, y: Sequence[float], names: Sequence[str]) -> None:
    """Name the rows y of accuracies, which are told in percent."""
    axes.set_yticks(y, names, linespacing=1.05)
    axes.tick_params(axis="y", length=0)
    axes.set_xticks(journal.FIFTHS)
    axes.xaxis.set_major_formatter(PercentFormatter(1, symbol=" %"))


@journal.style
def nearest_slice_error(rows: Sequence[Mapping]) -> Figure:
    """Draw the error of the slices by how like their most similar training slice they are.

    There is one line per scheme, with numbers of slices at its points. Bins of fewer than ten
    slices are left out. `rows` are from `leakage.nearest_error`.
    """
    figure, ((axes,),) = journal.new_figure(3.2)
    table = pd.DataFrame(list(rows))
    table = table[table["n"] >= min(_FEWEST, table["n"].max())]
    bins = {up_to: k for k, up_to in enumerate(sorted(table["up_to"].unique()))}
    for scheme, points in table.groupby("scheme", sort=False):
        x = points["up_to"].map(bins) + (0.08 if scheme == "patient" else -0.08)
        style, name = journal.SCHEMES[scheme], _PATIENT_TITLES[scheme]
        journal.line_with_intervals(axes, x, points, "error", style, name)
        _number_points(axes, x, points["error"], points["n"].map("{:,}".format))
    above = table.groupby("up_to")["above"].first()
    ticks = [f"{x:g} to\n{up_to:g}" if x > 0 else f"below\n{up_to:g}" for up_to, x in above.items()]
    axes.set_xticks(range(len(bins)), ticks)
    axes.yaxis.set_major_formatter(PercentFormatter(1, symbol=" %"))
    axes.set(xlim=(-0.5, len(bins) - 0.4), ylim=(-0.03, 1.03))
    axes.set(xlabel="Correlation with the most similar training slice")
    axes.set(ylabel="Wrong slices, with 95 % interval")
    return journal.with_legend(figure, axes)


@journal.style
def buffered_curve(rows: Sequence[Mapping], *, chance: float) -> Figure:
    """Draw the accuracy on a held-out block over the gap between it and the training slices.

    Under each gap stands how many series still have slices in training. `rows` are from
    `buffered_cv.buffered_curve`; the last is of whole series. There may be none.
    """
    figure, ((axes,),) = journal.new_figure(3.2, journal.HALF_WIDTH)
    ticks = [f"{'all' if row['gap'] is None else row['gap']}\n{row['series_left']}" for row in rows]
    _curve_over_steps(axes, rows, ticks)
    journal.mark_level(axes, chance, f"chance {chance:.2f}")
    series = rows[0]["groups"] if rows else 0
    below = f"(below: how many of {series} series still have slices in training)"
    axes.set_xlabel(f"Slices left out on either side of the tested ones\n{below}")
    return figure


@journal.style
def grouping_sweep(
    rows: Sequence[Mapping], *, chosen: float, by_slice: float, chance: float
) -> Figure:
    """Draw the accuracy by patient over the threshold that makes slices one patient's.

    `rows` are from `repeated_cv.threshold_sweep`; skipped thresholds get no point. The accuracy
    `by_slice` is drawn as the level that a grouping too fine would reach.
    """
    figure, ((axes,),) = journal.new_figure(3.2)
    ticks = [f"{row['threshold']:g}\n{row['groups']:,}" for row in rows]
    _curve_over_steps(axes, rows, ticks)
    journal.mark_level(axes, chance, f"chance {chance:.2f}", right=True)
    journal.mark_level(axes, by_slice, f"by slice {by_slice:.2f}", line="--")
    for place, row in enumerate(rows):
        if row["threshold"] == chosen:
            axes.axvline(place, color="0.4", linewidth=0.9, linestyle="--", zorder=0)
            axes.annotate(" chosen", (place, 0.02))
        if row["skipped"]:
            axes.annotate("not\npossible", (place, 0.45), ha="center")
    axes.set_xlabel("Correlation above which two slices are one patient's (below: groups)")
    return figure


@journal.style
def patient_curve(
    points: Sequence[Mapping], fits: Mapping[str, Mapping], *, chance: float
) -> Figure:
    """Draw the scores on new patients over the number of patients in training.

    Bars are the range over the draws. Beyond the measured numbers a dashed line is the
    extrapolation, with the standard error of the fit; where a fit is of no use there is none.
    `points` are from `learning_curve.patient_curve`; `fits` is {measure: what
    `learning_curve.extrapolate` gives}.
    """
    names = {"accuracy": "Accuracy", "macro_f1": "Macro-F1"}
    figure, axes = journal.new_figure(3.0, titles=list(names.values()), shared=True)
    table, style = pd.DataFrame(list(points)), journal.SCHEMES["patient"]
    for panel, measure in zip(axes.flat, names, strict=True):
        label = "measured (range over draws)"
        journal.line_with_intervals(panel, table["groups"], table, measure, style, label)
        if fits[measure]["use"]:
            _draw_projections(panel, table["groups"].max(), fits[measure], style)
        else:
            corner = {"ha": "right", "va": "top", "transform": panel.transAxes, "wrap": True}
            panel.text(0.97, 0.95, f"no extrapolation:\n{fits[measure]['why']}", **corner)
        panel.set_xscale("log", base=2)
        panel.xaxis.set_major_formatter("{x:g}")
        panel.set(ylim=(0, 1.02), xlabel="Patients (groups) in training")
    axes[0, 0].set_ylabel("Score on new patients")
    journal.mark_level(axes[0, 0], chance, f"chance {chance:.2f}", right=True)
    # The panel with an extrapolation, if there is one, has all entries.
    return journal.with_legend(figure, max(axes.flat, key=lambda panel: len(panel.lines)))


def _curve_over_steps(axes: Axes, rows: Sequence[Mapping], ticks: Sequence[str]) -> None:
    """Draw accuracy with intervals over evenly spaced steps, whatever their values."""
    drawn = pd.DataFrame(list(rows), columns=["accuracy", "accuracy_ci95"]).dropna()
    journal.line_with_intervals(axes, drawn.index, drawn, "accuracy", journal.SCHEMES["patient"])
    _number_points(axes, drawn.index, drawn["accuracy"], drawn["accuracy"].map("{:.2f}".format))
    axes.set_xticks(range(len(rows)), ticks)
    axes.set(xlim=(-0.4, max(len(rows), 1) - 0.4), ylim=(0, 1.08), yticks=journal.FIFTHS)
    axes.set_ylabel("Accuracy, with 95 % interval")


def _number_points(
    axes: Axes, x: Iterable[float], y: Iterable[float], texts: Iterable[str]
) -> None:
    """Write beside each point, below where the line rises to the right: never on a line."""
    for place, (value, following), text in zip(x, pairwise([*y, 0]), texts, strict=True):
        below = following > value > _LOW
        journal.write_beside(axes, text, (place, value), (4, -10 if below else 4))


def _draw_projections(axes: Axes, begin: float, fit: Mapping, style: journal.Style) -> None:
    """Draw an extrapolation dashed, with the standard error of the fit at its projections."""
    table = pd.DataFrame(fit["projections"])
    far, value, error = table["groups"], table["value"], table["error"]
    n = np.union1d(np.geomspace(begin, far.max(), 50), far)
    ends = np.stack([value - error, value + error], axis=1)
    journal.draw_intervals(axes, far, ends, colour=style.colour)
    look = style.curve | {"linestyle": "--", "linewidth": 1, "markerfacecolor": "white"}
    places = np.searchsorted(n, far).tolist()
    curve = fit["a"] - fit["b"] * n ** -fit["c"]
    label = "extrapolation (standard error of the fit)"
    axes.plot(n, curve, **look, markersize=5, markevery=places, label=label)

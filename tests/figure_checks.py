"""What every figure must keep to, and how tests read what is drawn."""

import inspect
import io
from collections.abc import Callable, Collection
from types import ModuleType

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection, PathCollection
from matplotlib.figure import Figure

CLASSES = ["Cyst", "Normal", "Stone", "Tumor"]
SCHEMES = ["slice", "patient"]


def assert_sound(draw: Callable[[], Figure]) -> None:
    """It lies within its border and leaves no trace in pyplot or its settings."""
    before = dict(mpl.rcParams)
    figure = draw()
    assert isinstance(figure, Figure)
    assert plt.get_fignums() == []
    assert dict(mpl.rcParams) == before
    assert_within_border(figure)


def assert_within_border(figure: Figure) -> None:
    """Nothing that is drawn lies beyond the figure's edge, by more than a rounding."""
    figure.savefig(io.BytesIO(), dpi=100)
    inside, (width, height) = figure.get_tightbbox(), figure.get_size_inches()
    assert inside.x0 > -0.02
    assert inside.y0 > -0.02
    assert inside.x1 < width + 0.02
    assert inside.y1 < height + 0.02


def assert_labelled(figure: Figure) -> None:
    """Each axis is labelled in its own panel, or in the one at the edge that it is shared with."""
    for axes in panels(figure):
        place = axes.get_subplotspec()
        assert axes.get_xlabel() or not place.is_last_row()
        assert axes.get_ylabel() or not place.is_first_col()


def assert_all_tested(module: ModuleType, tested: Collection[str]) -> None:
    """These are the figures of the module."""
    public = {
        name
        for name, member in inspect.getmembers(module, inspect.isfunction)
        if member.__module__ == module.__name__ and not name.startswith("_")
    }
    assert public == set(tested)


def panels(figure: Figure) -> list[Axes]:
    """Return the axes that hold data: no colour bars."""
    return [axes for axes in figure.axes if axes.get_label() != "<colorbar>"]


def bar_heights(axes: Axes) -> list[float]:
    """Return the heights of all bars, series by series."""
    return [bar.get_height() for bars in axes.containers for bar in getattr(bars, "patches", [])]


def legend_texts(figure: Figure) -> list[str]:
    """Return what the legends say, the figure's first."""
    owners = [figure, *figure.axes]
    legends = [legend for owner in owners for legend in getattr(owner, "legends", [])]
    legends += [axes.get_legend() for axes in figure.axes if axes.get_legend()]
    return [text.get_text() for legend in legends for text in legend.get_texts()]


def interval_rows(axes: Axes) -> list[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Return points (N, 2), interval ends (N, 2) and whether hollow (N,) of each series of rows."""
    lines = [one for one in axes.collections if isinstance(one, LineCollection)]
    dots = [one for one in axes.collections if isinstance(one, PathCollection)]
    dots = [one for one in dots if len(one.get_offsets())]  # the others are the legend's
    result = []
    for line, points in zip(lines, dots, strict=True):
        ends = np.array([segment[:, 0] for segment in line.get_segments()])
        hollow = (points.get_facecolors()[:, :3] == 1).all(axis=1)
        result.append((np.asarray(points.get_offsets()), ends, hollow))
    return result

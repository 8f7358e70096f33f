"""Widgets that pick a series by class, group and right or wrong, and scroll through its slices."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import ipyevents
import ipywidgets as widgets
import pandas as pd

from kidneyct_lib.core.errors import StudyError
from kidneyct_lib.explore.finished_run import SCHEMES, FinishedRun
from kidneyct_lib.explore.panel import LABELS

VERDICTS = {
    "right or wrong": lambda table: table["label"].notna(),
    "voted right": lambda table: table["right"],
    "voted wrong": lambda table: ~table["right"],
    "with a wrong slice": lambda table: table["accuracy"] < 1,
}
"""Which series are listed, by what their predictions are."""

_ANY = "all classes"
_PLAY = 400  # milliseconds a slice


class SlicePicker:
    """Pick a slice of a finished run.

    Attributes
    ----------
    rows
        The rows that hold its widgets.
    split, label, verdict, series, slice
        The widgets; the value of `series` is (scheme, group, label), that of `slice` counts
        from 1.
    """

    def __init__(self, finished: FinishedRun) -> None:
        self._finished, self._listeners, self._quiet = finished, list[Callable[[], None]](), False
        self._tables = {scheme: finished.series(scheme) for scheme in SCHEMES.values()}
        self._slices = pd.DataFrame()
        self.split = widgets.Dropdown(description="Split", options=SCHEMES, style=LABELS)
        self.label = widgets.Dropdown(description="Class", options=[_ANY, *finished.classes])
        self.verdict = widgets.Dropdown(description="Series", options=list(VERDICTS))
        self.series = widgets.Dropdown(description="Group", layout={"min_width": "42em"})
        self.slice = widgets.IntSlider(
            description="Slice", min=1, max=1, readout=True, layout={"width": "32em"}
        )
        self.play = widgets.Play(min=1, max=1, interval=_PLAY, description="Scroll")
        widgets.jslink((self.play, "value"), (self.slice, "value"))
        self.rows = [[self.split, self.label, self.verdict], [self.series, self.play, self.slice]]
        for control in (self.split, self.label, self.verdict):
            control.observe(self._list, "value")
        self.series.observe(self._open, "value")
        self.slice.observe(self._tell, "value")
        self._list()

    def on_change(self, listener: Callable[[], None]) -> None:
        """Call this whenever another slice is picked."""
        self._listeners.append(listener)

    def scroll_over(self, view: widgets.Widget) -> None:
        """Let the mouse wheel over a view scroll through the series, as a viewer's does."""
        wheel = ipyevents.Event(
            source=view, watched_events=["wheel"], prevent_default_action=True, wait=60
        )
        wheel.on_dom_event(lambda event: self.scroll(1 if event["deltaY"] > 0 else -1))

    def scroll(self, steps: int) -> None:
        """Go on by so many slices, to the first or last one at most."""
        self.slice.value = min(max(self.slice.value + steps, 1), self.slice.max)

    def show(self, scheme: str, group: int, label: str) -> None:
        """Pick a series, whatever is listed now."""
        self.split.value, self.label.value = scheme, label
        self.verdict.value = next(iter(VERDICTS))
        self.series.value = (scheme, group, label)

    @property
    def slices(self) -> pd.DataFrame:
        """Test rows of the picked series, in order.

        Raises
        ------
        StudyError
            If none is picked, as none is like what was asked for.
        """
        if self._slices.empty:
            raise StudyError("No series is like this: choose another class or other predictions.")
        return self._slices

    @property
    def row(self) -> pd.Series:
        """Test row of the picked slice; raises as `slices` does."""
        return self.slices.iloc[self.slice.value - 1]

    def _list(self, _: object = None) -> None:
        """List the series that are like what was asked for, and pick the first."""
        table = self._tables[self.split.value]
        listed = table[VERDICTS[self.verdict.value](table)]
        if self.label.value != _ANY:
            listed = listed[listed["label"] == self.label.value]
        with self._quietly():
            self.series.options = [
                (_called(row), (self.split.value, row.group, row.label))
                for row in listed.itertuples()
            ]
            self.series.index = None if listed.empty else 0
        self._open()

    def _open(self, _: object = None) -> None:
        """Take the slices of the picked series, and pick the first."""
        if self._quiet:
            return
        picked = self.series.value
        self._slices = self._finished.slices(*picked) if picked else pd.DataFrame()
        with self._quietly():
            self.slice.value = 1
            self.slice.max = self.play.max = max(len(self._slices), 1)
        self._tell()

    def _tell(self, _: object = None) -> None:
        """Let listeners know that another slice is picked."""
        if not self._quiet:
            for listener in self._listeners:
                listener()

    @contextmanager
    def _quietly(self) -> Iterator[None]:
        """Set widgets that hang together before anyone looks."""
        self._quiet = True
        yield
        self._quiet = False


def _called(row) -> str:
    """Name a series in the list."""
    patient = f" ({row.patient})" if row.patient else ""
    slices = "1 slice" if row.n == 1 else f"{row.n} slices"
    verdict = "right" if row.right else "wrong"
    return f"{row.group}{patient}: {row.label}, {slices}, voted {row.vote}, {verdict}"

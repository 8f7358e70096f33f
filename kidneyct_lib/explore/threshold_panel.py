"""The operating-point panel: a threshold, and what it finds and falsely calls."""

import ipywidgets as widgets

from kidneyct_lib.explore import thresholds
from kidneyct_lib.explore.finished_run import FinishedRun
from kidneyct_lib.explore.panel import Panel, picture, table
from kidneyct_lib.plots import explore as explore_plots

_NOTE = (
    "Test slices of all folds; lines are 95 % intervals over groups. A series is called by the "
    "mean probability of its slices. To choose a threshold here and to report it for the same "
    "slices may be optimistic: notebook 08 learns it on validation slices."
)


class ThresholdPanel(Panel):
    """Move the threshold on a class's probability.

    Attributes
    ----------
    positive, threshold
        The class, first the one that must not be missed, and the probability from which on a row
        is called it.
    """

    def __init__(self, finished: FinishedRun) -> None:
        self._finished = finished
        by_slice, by_patient = finished.tested("slice"), finished.tested("patient")
        self._counted = thresholds.counted(by_slice, by_patient, finished.classes)
        first = finished.parameters["must_not_miss"][0]
        self.positive = widgets.Dropdown(value=first, options=finished.classes, description="Class")
        self.threshold = widgets.FloatSlider(
            0.5, min=0, max=1, step=0.01, description="Threshold", layout={"width": "32em"}
        )
        super().__init__([[self.positive, self.threshold]], _NOTE)
        self.follow(self.positive, self.threshold)

    def content(self) -> str:
        """HTML of the measures at the threshold: a figure, and the numbers below."""
        finished, name, threshold = self._finished, self.positive.value, self.threshold.value
        measured = thresholds.at_threshold(
            self._counted, finished.classes, name, threshold, bootstrap=finished.bootstrap
        )
        title = f"{name} from a probability of {threshold:.2f}"
        alt = f"{title}. " + "; ".join(
            f"{row.counted}: sensitivity {row.sensitivity:.2f}, specificity "
            f"{row.specificity:.2f}, {row.false_alarms_per_100:.0f} false alarms per 100"
            for row in measured.itertuples()
        )
        return picture(explore_plots.at_threshold(measured, title), alt) + table(measured)

"""The patient browser: scroll through a series, its probabilities, class map and lesion."""

import ipywidgets as widgets
import numpy as np
import pandas as pd

from kidneyct_lib.evaluation.predictions import probability_columns
from kidneyct_lib.explore.finished_run import FinishedRun
from kidneyct_lib.explore.panel import LABELS, Panel, picture
from kidneyct_lib.explore.slice_picker import SlicePicker
from kidneyct_lib.plots import explore as explore_plots

_NOTE = (
    "Scroll with the slider, its arrow keys, the play button, or the mouse wheel over the picture. "
    "Probabilities are by a model that was not fitted to the slice (by patient: to none of the "
    "patient's). Class maps are of the exported model, which was fitted on all patients. "
    "Outlined in cyan: the lesion, where it is known."
)
_PREDICTED, _TRUE, _NONE = "predicted class", "true class", "no map"


class SliceBrowser(Panel):
    """Browse the slices of a finished run.

    Attributes
    ----------
    picker
        Picks the slice.
    of_class, opacity, outlined
        Which class map lies over the slice, how opaque it is at its highest point, and whether
        the lesion is outlined.
    """

    def __init__(self, finished: FinishedRun) -> None:
        self._finished = finished
        self.picker = SlicePicker(finished)
        options = [_PREDICTED, _TRUE, *finished.classes, _NONE]
        self.of_class = widgets.Dropdown(description="Class map", options=options, style=LABELS)
        self.opacity = widgets.FloatSlider(0.6, min=0, max=1, step=0.05, description="Opacity")
        self.outlined = widgets.Checkbox(
            finished.mask_folder is not None, description="Outline the lesion", indent=False
        )
        self.outlined.disabled = finished.mask_folder is None
        note = _NOTE
        if problem := finished.no_model():
            self.of_class.value, self.of_class.disabled, self.opacity.disabled = _NONE, True, True
            note = f"{_NOTE} No class map: {problem}"
        maps = [self.of_class, self.opacity, self.outlined]
        super().__init__([*self.picker.rows, maps], note)
        self.picker.on_change(self.update)
        self.picker.scroll_over(self.view)
        self.follow(*maps)

    def content(self) -> str:
        """HTML of the picked slice and the probabilities along its series."""
        finished, row = self._finished, self.picker.row
        probabilities = self.picker.slices[probability_columns(finished.classes)]
        probabilities = probabilities.set_axis(finished.classes, axis=1)
        position = self.picker.slice.value - 1
        own = probabilities.iloc[position]
        figure = explore_plots.series_slice(
            finished.picture(row["path"]),
            probabilities,
            position,
            title=f"{row['path']}: {row['label']}, predicted {own.idxmax()} ({own.max():.2f})",
            class_map=self._map(row, str(own.idxmax())),
            opacity=self.opacity.value,
            lesion=finished.lesion(row["path"]) if self.outlined.value else None,
        )
        return picture(figure, _in_words(row, own, position, len(probabilities)))

    def _map(self, row: pd.Series, predicted: str) -> np.ndarray | None:
        """Chosen class map of a slice; None where there is to be none."""
        chosen = self.of_class.value
        if chosen == _NONE:
            return None
        name = {_PREDICTED: predicted, _TRUE: row["label"]}.get(chosen, chosen)
        return self._finished.class_map(row["path"], name)


def _in_words(row: pd.Series, own: pd.Series, position: int, count: int) -> str:
    listed = ", ".join(f"{name} {value:.2f}" for name, value in own.items())
    return (
        f"CT slice {row['path']}, {position + 1} of {count} of its series, of class "
        f"{row['label']}, and the class probabilities along the series; here: {listed}."
    )

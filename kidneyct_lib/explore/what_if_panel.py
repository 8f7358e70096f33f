"""The what-if panel: change a slice, and see what the exported model makes of it."""

import ipywidgets as widgets
import numpy as np
import pandas as pd

from kidneyct_lib.deployment.predictor import Answer
from kidneyct_lib.explore import panel, what_if
from kidneyct_lib.explore.finished_run import FinishedRun
from kidneyct_lib.explore.panel import LABELS, Panel
from kidneyct_lib.explore.slice_picker import SlicePicker
from kidneyct_lib.plots import explore as explore_plots
from kidneyct_lib.robustness.corruptions import CAUSES, CORRUPTIONS, SEVERITIES

_NOTE = (
    "Answers and class maps of the exported model, which was fitted on this slice, too: see how "
    "they move, not how right they are. The slice is taken to be stored in the soft-tissue window "
    "(center 40, width 400 HU); what that has clipped stays clipped. Corruptions are those of "
    "notebook 08."
)
_STORED, _CHANGED = "As stored", "Changed"
_SLIDERS = {
    "center": ("Center, HU", -160, 240, 5),
    "width": ("Width, HU", 50, 1000, 10),
    "noise": ("Noise, share of white", 0.0, 0.2, 0.01),
    "rotation": ("Rotation, degrees", -30, 30, 1),
}


class WhatIfPanel(Panel):
    """Change a slice's window, noise, rotation, or corrupt it.

    Attributes
    ----------
    picker
        Picks the slice.
    center, width, noise, rotation, corruption, severity
        The fields of `what_if.Change`.
    of_class, opacity, reset
        Whose map is shown, how opaque it is, and a button that undoes all changes.
    """

    def __init__(self, finished: FinishedRun) -> None:
        self._finished = finished
        if problem := finished.no_model():
            super().__init__([])
            self.say(problem)
            return
        self.picker = SlicePicker(finished)
        self.center, self.width, self.noise, self.rotation = map(_slider, _SLIDERS)
        self.corruption = widgets.Dropdown(
            description="Corruption", options={"none": ""} | {name: name for name in CORRUPTIONS}
        )
        self.severity = widgets.SelectionSlider(description="Severity", options=SEVERITIES)
        self.of_class = widgets.Dropdown(
            description="Class map", options=["predicted class", *finished.classes], style=LABELS
        )
        self.opacity = widgets.FloatSlider(0.5, min=0, max=1, step=0.05, description="Opacity")
        self.reset = widgets.Button(description="As stored", icon="undo")
        self.reset.on_click(lambda _: self.undo())
        changes = [self.center, self.width, self.noise, self.rotation]
        corrupted = [self.corruption, self.severity, self.reset]
        looks = [self.of_class, self.opacity]
        rows = [*self.picker.rows, changes[:2], changes[2:], corrupted, looks]
        super().__init__(rows, _NOTE)
        self.picker.on_change(self.update)
        self.follow(*changes, self.corruption, self.severity, *looks)

    @property
    def change(self) -> what_if.Change:
        """What the widgets ask for."""
        names = (*_SLIDERS, "corruption", "severity")
        return what_if.Change(**{name: getattr(self, name).value for name in names})

    def undo(self) -> None:
        """Show the slice as it is stored."""
        with self.held():
            for name, value in vars(what_if.Change()).items():
                getattr(self, name).value = value

    def content(self) -> str:
        """HTML of the slice as it is stored and changed, with maps and probabilities."""
        finished, path = self._finished, self.picker.row["path"]
        stored = finished.picture(path)
        changed = what_if.changed(stored, self.change, finished.catalog.loc[path, "sha256"])
        pictures = {_STORED: stored, _CHANGED: changed}
        answers = {
            _STORED: finished.answer(path),
            _CHANGED: what_if.answer(finished.model, changed),
        }
        probabilities = pd.DataFrame(
            {title: answer.probabilities for title, answer in answers.items()}, finished.classes
        )
        shown = {
            self._title(title, answers[title]): (picture, self._map(answers[title], picture.shape))
            for title, picture in pictures.items()
        }
        figure = explore_plots.what_if(shown, probabilities, opacity=self.opacity.value)
        cause = CAUSES.get(self.corruption.value, "")
        told = f"<p>{self.corruption.value}: {cause}.</p>" if cause else ""
        return panel.picture(figure, _in_words(path, probabilities)) + told

    def _title(self, title: str, answer: Answer) -> str:
        """What stands above a picture: what the model says of it."""
        odd = " (out of distribution)" if self._finished.model.is_odd(answer) else ""
        return f"{title}: {self._finished.classes[answer.probabilities.argmax()]}{odd}"

    def _map(self, answer: Answer, shape: tuple[int, int]) -> np.ndarray:
        """Map of the chosen class."""
        classes, chosen = self._finished.classes, self.of_class.value
        code = classes.index(chosen) if chosen in classes else int(answer.probabilities.argmax())
        return what_if.enlarged(answer.maps[..., code], shape)


def _slider(name: str) -> widgets.Widget:
    """Make the slider of one of `_SLIDERS`, at what changes nothing."""
    description, low, high, step = _SLIDERS[name]
    kind = widgets.FloatSlider if isinstance(step, float) else widgets.IntSlider
    value = getattr(what_if.Change(), name)
    look = {"style": {"description_width": "11em"}, "layout": {"width": "30em"}}
    return kind(value, min=low, max=high, step=step, description=description, **look)


def _in_words(path: str, probabilities: pd.DataFrame) -> str:
    listed = "; ".join(
        f"{name}: {row[_STORED]:.2f}, then {row[_CHANGED]:.2f}"
        for name, row in probabilities.iterrows()
    )
    return f"CT slice {path} as stored and changed, with class maps and probabilities. {listed}."

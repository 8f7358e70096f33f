"""The panel that sets another finished run beside this one."""

import os
from pathlib import Path

import ipywidgets as widgets
import pandas as pd

from kidneyct_lib.core.errors import StudyError
from kidneyct_lib.explore import two_runs
from kidneyct_lib.explore.finished_run import FinishedRun
from kidneyct_lib.explore.panel import LABELS, Panel, picture, table
from kidneyct_lib.plots import explore as explore_plots

_NOTE = (
    "Lines are 95 % intervals over groups. Where both runs tested the same images in the same "
    "groups they are paired: the interval of the difference is surer than two intervals side by "
    "side. The command kidneyct compare lists every number that differs."
)
_ALONE = (
    "No other finished run lies beside this one: `make reproduce SEED=1` or RECIPE=patient makes "
    "one, or set compare_with to a run's folder."
)


class TwoRunsPanel(Panel):
    """Compare a finished run with another one.

    Parameters
    ----------
    finished
        The first run.
    compare_with
        Folder of the other one; None: those beside the first are offered.

    Attributes
    ----------
    other
        Widget that names the other run's folder.

    Raises
    ------
    StudyError
        If `compare_with` is no finished run, or the first one.
    """

    def __init__(self, finished: FinishedRun, compare_with: str | Path | None = None) -> None:
        self._finished = finished
        folders = [FinishedRun(compare_with).run.folder] if compare_with else []
        if finished.run.folder in folders:
            raise StudyError("compare_with names the run itself: name the folder of another one.")
        folders += [path for path in two_runs.beside(finished) if path not in folders]
        base = finished.run.folder.parent
        named = {os.path.relpath(path, base): path for path in folders}
        self.other = widgets.Dropdown(
            description=f"{finished.name} compared with", options=named, style=LABELS
        )
        self.other.disabled = not folders
        super().__init__([[self.other]], _NOTE)
        self.follow(self.other)

    def content(self) -> str:
        """HTML of the scores of both runs, their differences and the votes that changed."""
        if self.other.value is None:
            raise StudyError(_ALONE)
        first, second = self._finished, FinishedRun(self.other.value)
        scores = two_runs.scores({first.name: first, self.other.label: second})
        alt = "; ".join(
            f"{row.split}, {row.run}: accuracy {row.accuracy:.2f}, macro-F1 {row.macro_f1:.2f}"
            for row in scores.itertuples()
        )
        return (
            picture(explore_plots.two_runs(scores), f"Scores of two runs. {alt}.")
            + table(scores)
            + _paired(two_runs.differences(first, second), two_runs.changed_votes(first, second))
        )


def _paired(differences: pd.DataFrame, votes: pd.DataFrame) -> str:
    if differences.empty:
        return "<p>The runs tested other images or classes, so they can't be paired.</p>"
    paired = "<p>Paired, second run minus first:</p>" + table(differences)
    if votes.empty:
        return f"{paired}<p>Every series of a new patient has the same vote in both.</p>"
    return f"{paired}<p>Series of new patients whose vote differs:</p>{table(votes)}"

"""What all panels share: a view that follows widgets, and stands alone where no kernel runs."""

import io
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from html import escape
from typing import Any

import ipywidgets as widgets
import pandas as pd
from matplotlib.figure import Figure

from kidneyct_lib.core.errors import StudyError
from kidneyct_lib.report.run_reader import shown
from kidneyct_lib.study.notebook_view import Shown, scrolling

_DPI = 100  # of pictures on a screen: the figures are 9.6 inches wide
_QUICK = {"compress_level": 1}  # a picture is sent to this machine's own browser
_HEADERS = {"macro_f1": "Macro-F1", "macro_f1_difference": "Macro-F1 difference"}
LABELS = {"description_width": "initial"}


class Panel(ABC):
    """Rows of widgets above a view, which is drawn anew whenever one of them is moved.

    Where nothing runs that could answer a widget (a notebook turned into HTML, nbviewer), the view
    stands alone, as it was when the cell was executed.

    Parameters
    ----------
    rows
        Widgets in rows.
    note
        A line below the view: what is seen in it.
    """

    def __init__(self, rows: Sequence[Sequence[widgets.Widget]], note: str = "") -> None:
        self.view = widgets.HTML()
        self._note = f"<p><small>{escape(note)}</small></p>"
        boxes = [widgets.HBox(list(row), layout={"flex_flow": "row wrap"}) for row in rows]
        self.box = widgets.VBox([*boxes, self.view, widgets.HTML(self._note)])
        self._held = False

    @abstractmethod
    def content(self) -> str:
        """HTML of the view for the widgets' values; what a StudyError says is shown instead."""

    def follow(self, *controls: widgets.Widget) -> None:
        """Draw the view, and draw it anew whenever the value of one of these widgets changes."""
        for control in controls:
            control.observe(lambda _: self.update(), "value")
        self.update()

    def update(self) -> None:
        """Draw the view."""
        if self._held:
            return
        try:
            self.view.value = self.content()
        except StudyError as error:
            self.say(str(error))

    def say(self, problem: str) -> None:
        """Show in the view's place what is wrong and what to do."""
        self.view.value = f'<p role="alert"><b>{escape(problem)}</b></p>'

    @contextmanager
    def held(self) -> Iterator[None]:
        """Draw once after several widgets were set."""
        self._held = True
        try:
            yield
        finally:
            self._held = False
        self.update()

    def _repr_mimebundle_(self, **_: Any) -> dict[str, Any]:
        alone = {"text/html": self.view.value + self._note, "text/plain": type(self).__name__}
        return self.box._repr_mimebundle_() | alone


def picture(figure: Figure, alt: str) -> str:
    """HTML of a figure, with what is seen in words."""
    data = io.BytesIO()
    figure.savefig(data, format="png", dpi=_DPI, pil_kwargs=_QUICK)
    return Shown(data.getvalue(), alt, round(_DPI * figure.get_figwidth()))._repr_html_()


def table(content: pd.DataFrame) -> str:
    """HTML of a table, each number and its interval in one cell."""
    texts = shown(content, {"headers": _HEADERS, "cells": {}})
    whole = scrolling(pd.DataFrame(texts.rows, columns=texts.headers), index=False)
    return f'<div class="jp-RenderedHTMLCommon">{whole}</div>'  # tables as JupyterLab shows them

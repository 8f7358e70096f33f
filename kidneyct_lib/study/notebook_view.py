"""How notebooks show pictures and tables: pictures with a text instead, long tables that scroll."""

import base64
from html import escape

import pandas as pd
from IPython.core.getipython import get_ipython

MOST_ROWS = 500
"""Of a table that is shown; the file of a longer one has them all."""

_FRAME = "max-height: 26em; max-width: 100%; overflow: auto;"


class Shown:
    """A PNG image as notebooks show it.

    JupyterLab drops the text instead of an image from all outputs but HTML.

    Attributes
    ----------
    data
        Content of the file.
    alt
        What is seen, in words, for those who do not see it.
    """

    def __init__(self, data: bytes, alt: str, width: int | None = None) -> None:
        self.data, self.alt, self._width = data, alt, width

    def _repr_html_(self) -> str:
        size = f' width="{self._width}"' if self._width else ""
        source = base64.b64encode(self.data).decode()
        return (
            f'<img alt="{escape(self.alt)}"{size} style="max-width: 100%" '
            f'src="data:image/png;base64,{source}">'
        )

    def __repr__(self) -> str:
        return f"Image: {self.alt}"


def scrolling(table: pd.DataFrame, *, index: bool = True) -> str:
    """Write a table as HTML in a frame that scrolls once it is higher or wider than fits."""
    html = table.to_html(max_rows=MOST_ROWS, index=index, notebook=index)
    return f'<div style="{_FRAME}" tabindex="0">{html}</div>'


def scroll_tables() -> None:
    """Let the running notebook, if there is one, show every table whole and scrolling."""
    formatter = getattr(get_ipython(), "display_formatter", None)
    if formatter is not None:
        formatter.formatters["text/html"].for_type(pd.DataFrame, scrolling)

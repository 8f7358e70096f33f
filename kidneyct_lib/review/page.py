"""The review as one HTML page that asks for nothing outside itself."""

import base64
import hashlib
import json
from collections.abc import Iterator
from importlib.resources import files
from typing import Any

from markupsafe import Markup
from tqdm import tqdm

from kidneyct_lib.core.inline_image import inline
from kidneyct_lib.core.page_templates import page_templates
from kidneyct_lib.review import nbdime_frame, summary
from kidneyct_lib.review.collect import Review
from kidneyct_lib.review.figures import FigureChange, difference_picture, on_one_canvas, read

MOST_OPEN = 3
"""Notebooks, and figures, that are unfolded when the page opens."""

MOST_ROWS = 200


def render(review: Review) -> str:
    """Write the page of a review.

    Every name and text of the branch is escaped; only this package's scripts may run, by their
    digests, and what a notebook holds is drawn in a frame of another origin.

    Raises
    ------
    StudyError
        If a figure can't be read, or nbdime's page is not built as expected.
    """
    script = _file("page.js")
    changes = enumerate(review.notebooks)
    diffs = {number: _embedded(change.diff) for number, change in changes if change.diff}
    frame = {}
    if diffs:
        front, inner = nbdime_frame.front_end(), _file("frame.js")
        frame = {"html": nbdime_frame.frame(), "script": inner, "front": front}
    templates = page_templates("kidneyct_lib.review")
    templates.filters |= {
        "number": summary.number,
        "signed": summary.signed,
        "name": summary.metric_name,
    }
    templates.tests["code"] = lambda part: isinstance(part, summary.Code)
    return templates.get_template("page.html.j2").render(
        review=review,
        checkout=review.checkout,
        branch=summary.branch(review),
        headline=summary.headline(review),
        lines=summary.lines(review),
        figures=list(_figures(review)),
        diffs=diffs,
        frame=_embedded(frame),
        allowed=Markup(" ".join(_digest(text) for text in (script, *list(frame.values())[1:]))),
        script=Markup(script),
        style=Markup(_file("style.css")),
        most_open=MOST_OPEN,
        most_rows=MOST_ROWS,
    )


def _figures(review: Review) -> Iterator[dict[str, Any]]:
    """Figures that differ, with their pictures: before, after, and where they differ."""
    changes = review.results.figures if review.results else []
    for change in tqdm(changes, desc="figures", unit="figure", disable=None, leave=False):
        known: dict[str, Any] = {"name": change.name, "words": _words(change)}
        one, other = change.before, change.after
        known |= {"before": None, "after": None, "difference": None}
        if one and other:
            before, after = on_one_canvas(one, other)
            known |= {"before": inline(before), "after": inline(after)}
            known["difference"] = inline(difference_picture(before, after))
        elif single := one or other:
            known["before" if one else "after"] = inline(read(single))
        yield known


def _words(change: FigureChange) -> str:
    if change.state != "changed":
        return change.state
    clocks = "; drawn from clock readings" if change.name in summary.CLOCKS else ""
    return f"{max(change.share, 1e-3):.1%} of the pixels differ{clocks}"


def _embedded(content: Any) -> Markup:
    """JSON that no content can end, as it stands in a script element."""
    return Markup(json.dumps(content).replace("<", "\\u003c"))


def _digest(script: str) -> str:
    sha = hashlib.sha256(script.encode()).digest()
    return f"'sha256-{base64.b64encode(sha).decode()}'"


def _file(name: str) -> str:
    return (files(__package__) / "page" / name).read_text("utf-8")

"""The report of a run as a page of the site: its figures as files, its links to other pages."""

import base64
from pathlib import Path
from typing import Any

from bs4 import BeautifulSoup, Tag

_EMBEDDED = "data:image/png;base64,"
_POLICY = "img-src data:"


def read(path: Path) -> BeautifulSoup:
    """A report as a tree of elements."""
    return BeautifulSoup(path.read_text(encoding="utf-8"), "html.parser")


def answer(report: BeautifulSoup) -> dict[str, Any]:
    """What a report says first.

    Returns
    -------
    dict of texts ``question``, ``warning`` (of an untrained backbone, else empty), ``lead`` and
    ``finding``, and ``numbers``: for each of the three tests its ``title``, ``accuracy`` and
    ``interval``.
    """
    first = report.select_one("#finding")
    cards = first.select(".card")
    names = {"title": "h2", "accuracy": ".number", "interval": ".interval .whole"}
    return {
        "question": _text(first.h1),
        "warning": " ".join(map(_text, first.select(".warning"))),
        "lead": _text(first.select_one(".lead")),
        "finding": _text(first.select_one("p.finding")),
        "numbers": [
            {key: _text(card.select_one(at)) for key, at in names.items()} for card in cards
        ],
    }


def write(report: BeautifulSoup, shown: dict[str, str], folder: Path) -> None:
    """Write `report.html` with links into the site.

    Parameters
    ----------
    report
        As `read`; it is changed.
    shown
        Address of each figure in its notebook's page, from the report's folder.
    folder
        Of the study in the site; figures go to `figures/`, in the 256 colours of the report.
    """
    for image in report.select(f'img[src^="{_EMBEDDED}"]'):
        name = image.find_parent("figure")["id"]
        path = folder / f"figures/{name}.png"
        path.write_bytes(base64.b64decode(image["src"].removeprefix(_EMBEDDED)))
        image["src"], image["loading"] = f"figures/{name}.png", "lazy"
    policy = report.select_one("meta[http-equiv=Content-Security-Policy]")
    policy["content"] = policy["content"].replace(_POLICY, "img-src 'self'")
    for link in report.select("a[href]"):
        _lead_into_site(link, shown, folder)
    way_back = BeautifulSoup(
        '<p class="kicker"><a href="../../index.html">Start page</a> · '
        '<a href="index.html">Notebooks and files of this study</a></p>',
        "html.parser",
    )
    report.select_one("#finding").insert(0, way_back)
    icon = {"rel": "icon", "href": "../../_static/favicon.svg"}
    report.head.append(report.new_tag("link", attrs=icon))
    (folder / "report.html").write_text(str(report), encoding="utf-8")


def _lead_into_site(link: Tag, shown: dict[str, str], folder: Path) -> None:
    """Lead to a notebook's page, to the figure in it where there is one; drop what is not there."""
    target = link["href"]
    figure = link.find_parent("figure")
    if target.startswith("notebooks/"):
        page = target.removesuffix(".ipynb") + ".html"
        link["href"] = shown.get(figure["id"], page) if figure else page
    elif not target.startswith("#") and not (folder / target).is_file():
        link.unwrap()  # a model, or a file that holds rows


def _text(element: Tag) -> str:
    return " ".join(element.get_text().split())

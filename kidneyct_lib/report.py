"""One self-contained page from a run's saved metrics, tables and figures; computes no result."""

import base64
from pathlib import Path

import pandas as pd
from jinja2 import Environment, PackageLoader

from kidneyct_lib.runs import Run

SCHEMES = ("slice", "patient")


def write(run: Run) -> Path:
    """Write `report.html` of a finished run, unless it is there already as it should be.

    Raises
    ------
    StudyError
        If the run lacks its metrics or tables.
    """
    template = Environment(
        loader=PackageLoader("kidneyct_lib", "."), autoescape=True, trim_blocks=True
    ).get_template("report.html.j2")
    provenance = run.provenance()
    page = template.render(
        metrics=run.read_metrics("test"),
        schemes=SCHEMES,
        grouping=run.read_metrics("grouping"),
        data=provenance["data"],
        parameters=provenance["parameters"],
        provenance=provenance,
        study=run.folder.name,
        flow=_as_html(run.read_table("data_flow")),
        per_class=_as_html(run.read_table("per_class").round(3)),
        external=_as_html(run.read_table("external").round(3)),
        figures=_figures(run.folder / "figures"),
    )
    path = run.folder / "report.html"
    if path.exists() and path.read_text() == page:
        return path  # a second call does nothing
    return run.write_text("report.html", page)


def _as_html(table: pd.DataFrame) -> str:
    return table.to_html(index=False, border=0, na_rep="no answer")


def _figures(folder: Path) -> dict[str, list[tuple[str, str]]]:
    """Per notebook, title and data address of each of its figures."""
    figures: dict[str, list[tuple[str, str]]] = {}
    for path in sorted(folder.glob("*__*.png")):
        notebook, name = path.stem.split("__", 1)
        content = base64.b64encode(path.read_bytes()).decode()
        figures.setdefault(notebook, []).append(
            (name.replace("_", " "), f"data:image/png;base64,{content}")
        )
    return figures

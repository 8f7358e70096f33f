"""Finished studies as pages of the site: which may be shown, and what of them."""

import html
import re
import shutil
from pathlib import Path
from typing import Any, NamedTuple

from bs4 import BeautifulSoup
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from kidneyct_lib.study import staleness
from kidneyct_lib.study.run_folder import Run
from tools.results import TABLES
from tools.site import notebook_pages, report_page

ROOT = Path(__file__).parents[2]
TEMPLATES = ROOT / "docs/site"
AGGREGATES = tuple(f"tables/{name}.csv" for name in TABLES)
"""Tables that have no row for a slice or group."""
PUBLISHED = ("figures/", "tables/", "metrics/")


class Study(NamedTuple):
    """A finished run, with what its report says first."""

    run: Run
    report: BeautifulSoup
    whole: bool  # with pictures, notebooks and rows of slices; else only aggregates

    @property
    def name(self) -> str:
        """Name of the run's folder."""
        return self.run.folder.name

    @property
    def answer(self) -> dict[str, Any]:
        """What the report says first."""
        return report_page.answer(self.report)

    @property
    def generated(self) -> bool:
        """Whether every picture in it is computer-made."""
        return is_generated(self.run.provenance()["parameters"])

    @property
    def files(self) -> list[str]:
        """Paths in the run's folder of figures, tables and metrics that the site shows."""
        last = self.run.notebooks()
        written = sorted({path for known in last.values() for path in known["outputs"]})
        kinds = PUBLISHED if self.whole else (*AGGREGATES, "metrics/")
        there = [path for path in written if (self.run.folder / path).is_file()]
        return [path for path in there if path.startswith(kinds)]


def is_generated(parameters: dict[str, Any]) -> bool:
    """Whether a study's images are the phantom's, and no others were added."""
    added = [parameters.get(key) for key in ("data", "external", "masks")]
    return parameters["source"] == "phantom" and not any(added)


def find(outputs: Path, with_images: bool) -> tuple[list[Study], dict[str, str]]:
    """Finished studies in a folder of runs, and why others are left out: {name: reason}.

    Parameters
    ----------
    outputs
        Holds one folder for each run.
    with_images
        Show studies of real images whole, too.
    """
    wanted = {path.stem for path in staleness.study_notebooks(ROOT / "notebooks")}
    studies, left_out = [], {}
    for folder in sorted(path.parent for path in outputs.glob("*/run.json")):
        run = Run(folder.resolve())
        known = run.notebooks()
        open_ones = sorted(name for name in wanted if "finished" not in known.get(name, {}))
        if open_ones:
            left_out[folder.name] = f"{', '.join(open_ones)} not finished"
        elif not (folder / "report.html").is_file():
            left_out[folder.name] = "no report.html"
        else:
            page = report_page.read(folder / "report.html")
            whole = with_images or is_generated(run.provenance()["parameters"])
            studies.append(Study(run, page, whole))
    return studies, left_out


def write(study: Study, sources: Path, extra: Path) -> None:
    """Write a study's pages for Sphinx, and beside them what the site shows as it is.

    Parameters
    ----------
    study
        Finished.
    sources, extra
        Folders of Sphinx's sources, and of files that it copies.
    """
    pages, files = (folder / "studies" / study.name for folder in (sources, extra))
    pages.mkdir(parents=True)
    for path in study.files:
        (files / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(study.run.folder / path, files / path)
    if study.whole:
        shown = notebook_pages.write(study.run, set(study.files), pages / "notebooks")
        report_page.write(study.report, shown, files)
    facts = {"study": study, "known": study.run.provenance(), "by_notebook": _by_notebook(study)}
    render("study.md", pages / "index.md", **facts)


def render(template: str, target: Path, **facts: Any) -> None:
    """Fill facts into a template of docs/site."""
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
        autoescape=False,
    )
    environment.filters |= {"plain": plain}
    target.write_text(environment.get_template(f"{template}.j2").render(facts), encoding="utf-8")


def plain(text: str) -> str:
    """Text of a report for a Markdown page: names of classes do not become markup."""
    return re.sub(r"([\\`*_\[\]|#$])", r"\\\1", html.escape(text, quote=False))


def _by_notebook(study: Study) -> dict[str, list[str]]:
    """Tables and metrics of the study by the notebook that last wrote them."""
    last = study.run.provenance()["files"]
    files: dict[str, list[str]] = {name: [] for name in study.run.notebooks()}
    for path in study.files:
        if not path.startswith("figures/"):
            files[last[path]["notebook"]].append(path)
    return files

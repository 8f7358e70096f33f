"""The page's facts, sections and checklists, put into its templates."""

from collections.abc import Iterable, Mapping
from importlib.resources import files
from typing import Any

import yaml
from markupsafe import Markup

from kidneyct_lib.core.page_templates import page_templates
from kidneyct_lib.evaluation.bootstrap import FEW_GROUPS
from kidneyct_lib.report.run_reader import Saved
from kidneyct_lib.study import figure_texts
from kidneyct_lib.study.run_folder import Run

# The scheme that speaks of new patients, and the one that published studies use.
_NEW, _PUBLISHED = "patient", "slice"
_FINAL_STAGE = 2


def page(run: Run) -> str:
    """Return the page of a finished run as HTML.

    Raises
    ------
    StudyError
        If the run lacks the metrics of its test, its groups or its provenance.
    """
    saved = Saved(run, _text("names"))
    every = _text("sections")
    sections = _shown_sections(saved, every)
    linked = {path: path for path in saved.files} | {"#finding": "The finding"}
    linked |= {f"#{section['id']}": section["title"] for section in sections}
    templates = page_templates("kidneyct_lib.report")
    templates.filters |= {
        "percent": lambda value, digits=1: f"{100 * value:.{digits}f}",
        "number": lambda value, digits=0: f"{value:z,.{digits}f}",  # z: no minus before 0.00
        "listing": _listing,
    }
    context = facts(saved) | {"saved": saved, "sections": sections}

    def say(text: str) -> Markup:
        """Fill the facts into a text of the YAML files."""
        return Markup(templates.from_string(text).render(context))

    context |= {
        "say": say,
        "linked": linked,  # name of each section (`#id`) and file of the run that is there
        "called": {f"#{section['id']}": f"section “{section['title']}”" for section in every},
        "figures": _figures_by_section(saved, sections),
        "style": Markup((files(__package__) / "page/style.css").read_text("utf-8")),
    }
    context |= {name: _text(name) for name in ("model_card", "datasheet", "tripod_ai", "claim")}
    return templates.get_template("page.html.j2").render(context)


def facts(saved: Saved) -> dict[str, Any]:
    """Collect the facts that texts refer to, all of them read from the run's files."""
    run, known = saved.run, saved.run.provenance()
    metrics, parameters = run.read_metrics("test"), known["parameters"]
    per_class = metrics[_NEW]["per_class"]
    grouping = run.read_metrics("grouping")
    given = grouping.get("given_parts")
    largest = max(per_class, key=lambda name: per_class[name]["support"])
    schemes = _text("schemes")
    divided = schemes.pop("given")
    if given:  # the slice scheme is the division that the images came with
        schemes[_PUBLISHED] = divided
    return {
        "study": run.folder.name,
        "run": known,
        "p": parameters,
        "classes": parameters["classes"],
        "data": known["data"],
        "new": metrics[_NEW],
        "published": metrics[_PUBLISHED],
        "elsewhere": metrics[_NEW]["other_window"],
        "schemes": schemes,
        "grouping": grouping,
        "given": given,
        "folds": 1 if given else parameters["folds"],
        "phantom": parameters["source"] == "phantom",
        "untrained": parameters["weights"] == "none",
        "patient_recipe": parameters["recipe"] == "patient",
        "lesions": known.get("lesions", []),
        "gap": gap(metrics, saved.records("paired")),
        "majority": {"name": largest, "share": per_class[largest]["support"] / metrics[_NEW]["n"]},
        "few_limit": FEW_GROUPS,
        "few": {n: c["groups"] for n, c in per_class.items() if c["groups"] < FEW_GROUPS},
    }


def gap(metrics: Mapping[str, Any], paired: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """Tell how much lower the accuracy on new patients is, and whether that is certain.

    It is where the interval of the paired difference lies below zero or, where the schemes test
    different images, where their own intervals do not touch.

    Returns
    -------
    dict with ``points`` (percentage points that the accuracy falls by), ``interval`` (its ends,
    or None where unpaired) and ``certain``.
    """
    final = f"{_PUBLISHED}, stage {_FINAL_STAGE}", f"{_NEW}, stage {_FINAL_STAGE}"
    for row in paired:
        if (row["baseline"], row["compared"]) == final:
            low, high = row["accuracy_difference_low"], row["accuracy_difference_high"]
            falls = -100 * row["accuracy_difference"]
            return {"points": falls, "interval": [-100 * high, -100 * low], "certain": high < 0}
    new, published = metrics[_NEW], metrics[_PUBLISHED]
    falls = 100 * (published["accuracy"] - new["accuracy"])
    # Wilson's as well: resamples of a test without an error have no spread.
    low = min(published["accuracy_ci95"][0], published["accuracy_wilson95"][0])
    return {"points": falls, "interval": None, "certain": new["accuracy_ci95"][1] < low}


def _shown_sections(saved: Saved, every: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Sections that have something to show: one of their files, or no need of any."""
    known = {number for section in every for number in section.get("notebooks", [])}
    shown = []
    for section in every:
        section = {"notebooks": [], "needs": [], "tables": []} | section
        if section["id"] == "further":
            numbers = {path.removeprefix("figures/")[:2] for path in saved.files}
            section["notebooks"] = sorted(n for n in numbers - known if n.isdigit())
        needs = section["needs"] + [f"tables/{table['name']}.csv" for table in section["tables"]]
        always = not needs and section["id"] != "further"
        if always or saved.files & set(needs) or saved.figures(*section["notebooks"]):
            shown.append(section)
    return shown


def _figures_by_section(saved: Saved, sections: list[dict]) -> dict[str, list[dict[str, Any]]]:
    """Figures of each section: those with a text of their own in its order, then the others."""
    texts = figure_texts.every()
    placed: dict[str, list[dict[str, Any]]] = {"finding": []} | {s["id"]: [] for s in sections}
    default = {number: s["id"] for s in sections for number in s["notebooks"]}
    every = saved.figures(*default)
    for name in [n for n in texts if n in every] + [n for n in every if n not in texts]:
        notebook, text = name.split("__", 1)[0], figure_texts.of(name)
        section = text.get("section")  # the notebook that it is about may not have run yet
        place = placed[section if section in placed else default[name[:2]]]
        place.append({"name": name, "notebook": f"notebooks/{notebook}.ipynb"} | text)
    return placed


def _text(name: str) -> Any:
    return yaml.safe_load((files(__package__) / f"page/{name}.yaml").read_text("utf-8"))


def _listing(names: Iterable[Any], called: Mapping[Any, str] | None = None) -> str:
    """Join names as a sentence does, those that `called` knows by what it calls them."""
    *most, last = (str((called or {}).get(name, name)) for name in names)
    return f"{', '.join(most)} and {last}" if most else last

"""The site's pages before Sphinx builds them, and the check of its links; `.ci/run` builds it."""

import json
import shutil
from pathlib import Path

import pandas as pd
import pytest
from made_up_run import make
from PIL import Image

from kidneyct_lib import report
from kidneyct_lib.core.errors import StudyError
from kidneyct_lib.study import notebook_view
from kidneyct_lib.study.run_folder import Run
from tools.site import build, links, notebook_pages, project_pages, report_page, studies

ROOT = Path(__file__).parents[1]
HOME = "/home/somebody/kidneyct"


def cell(kind, source, *, tags=(), outputs=None):
    content = {"cell_type": kind, "source": source, "metadata": {"tags": list(tags)}}
    return content | ({} if outputs is None else {"outputs": outputs})


def result(**data):
    return {
        "output_type": "execute_result",
        "metadata": {},
        "data": data,
    }


def finish(run):
    """Give a made-up run notebooks with cells, a table with rows of slices, and its report."""
    picture = run.folder / "figures/04_two_stage_training__headline.png"
    Image.new("RGB", (30, 20), "red").save(picture)  # unlike the others
    shown = {"text/html": notebook_view.Shown(picture.read_bytes(), "seen", 331)._repr_html_()}
    for name in run.notebooks():
        cells = [cell("markdown", f"# {name}\n\nReads `tables/catalog.csv`, `splits.csv`.")]
        if name.startswith("04"):
            cells += [
                cell("code", "seed = 1", tags=["parameters"], outputs=[]),
                cell("code", "seed = 2", tags=["injected-parameters"], outputs=[]),
                cell("markdown", "As in notebook 07 and `nowhere.csv`; not notebook 04."),
                cell("code", "headline", outputs=[result(**shown)]),
            ]
            path = f"PosixPath('{HOME}/outputs/mine/tables/predictions.csv')"
            other = f"PosixPath('{HOME}/.cache/phantom-1')"
            cells += [
                cell("code", "write", outputs=[result(**{"text/plain": [given]})])
                for given in (path, other)
            ]
        content = {"cells": cells, "metadata": {"papermill": {"output_path": HOME}}}
        (run.folder / f"notebooks/{name}.ipynb").write_text(json.dumps(content))
    report.write(run)
    return run


@pytest.fixture(scope="module")
def outputs(tmp_path_factory):
    """A generated study, one of real images, and one that is not finished."""
    folder = tmp_path_factory.mktemp("outputs")
    finish(make(folder / "generated", source="phantom", classes=["A|B", "<b>C", "D"]))
    for name in ("real", "unfinished"):
        shutil.copytree(folder / "generated", folder / name)
    real, unfinished = Run(folder / "real"), Run(folder / "unfinished")
    real.record(parameters=real.provenance()["parameters"] | {"source": "folder"})
    report.write(real)
    known = unfinished.provenance()
    del known["notebooks"]["10_deployment"]["finished"]
    unfinished.write_json("run.json", known)
    return folder


def written(outputs, tmp_path, name, *, with_images=False):
    """Folders of the pages and of the other files of one study."""
    (study,) = [one for one in studies.find(outputs, with_images)[0] if one.name == name]
    studies.write(study, tmp_path / "sources", tmp_path / "extra")
    return tmp_path / "sources/studies" / name, tmp_path / "extra/studies" / name


def names(folder):
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


# --- which studies, and what of them ----------------------------------------------------------


def test_finished_studies_are_found_and_others_told(outputs):
    found, left_out = studies.find(outputs, with_images=False)
    assert [(study.name, study.whole) for study in found] == [("generated", True), ("real", False)]
    assert left_out == {"unfinished": "10_deployment not finished"}


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, True),
        ({"source": "folder"}, False),
        ({"source": "kaggle"}, False),
        ({"external": "/data/hospital"}, False),
        ({"masks": "/data/masks"}, False),
    ],
)
def test_a_study_is_generated_only_if_no_other_image_is_in_it(changes, expected):
    parameters = {"source": "phantom", "data": None, "external": None, "masks": None}
    assert studies.is_generated(parameters | changes) == expected


def test_of_real_images_only_aggregates_are_shown(outputs, tmp_path):
    pages, files = written(outputs, tmp_path, "real")
    assert names(pages) == {"index.md"}
    assert {name for name in names(files) if not name.startswith(("tables/", "metrics/"))} == set()
    tables = {name for name in names(files) if name.startswith("tables/")}
    assert "tables/headline.csv" in tables
    assert tables <= set(studies.AGGREGATES)
    slices = pd.read_csv(outputs / "real/tables/catalog.csv")["path"]
    told = [path.read_text() for folder in (pages, files) for path in folder.rglob("*.*")]
    assert not [path for path in slices if any(path in text for text in told)]
    assert "no picture, no notebook" in (pages / "index.md").read_text()


def test_real_images_are_shown_when_asked_for(outputs, tmp_path):
    pages, files = written(outputs, tmp_path, "real", with_images=True)
    assert "notebooks/05_error_analysis.ipynb" in names(pages)
    assert {"report.html", "tables/catalog.csv"} <= names(files)
    assert "**real images**" in (pages / "index.md").read_text()


def test_the_study_page_says_what_the_report_says_first(outputs, tmp_path):
    pages, _ = written(outputs, tmp_path, "real")
    text = (pages / "index.md").read_text()
    metrics = json.loads((outputs / "real/metrics/test.json").read_text())
    for scheme in (metrics["slice"], metrics["patient"], metrics["patient"]["other_window"]):
        low, high = (f"{100 * end:.1f}" for end in scheme["accuracy_ci95"])
        assert f"**{100 * scheme['accuracy']:.1f} %** | {low} to {high} %" in text
    assert r"A\|B" in text
    assert "&lt;b&gt;C" in text
    assert "<b>" not in text


# --- notebooks --------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def pages(outputs, tmp_path_factory):
    return written(outputs, tmp_path_factory.mktemp("site"), "generated")


@pytest.fixture(scope="module")
def notebook(pages):
    return (pages[0] / "notebooks/04_two_stage_training.ipynb").read_text()


def test_a_figure_is_the_runs_file_with_a_name_and_a_way_to_the_report(notebook):
    name = "04_two_stage_training__headline"
    outputs = [o for c in json.loads(notebook)["cells"] for o in c.get("outputs", [])]
    (html,) = [o["data"]["text/html"] for o in outputs if "<figure" in str(o)]
    assert f'<figure id="{name}"' in html
    assert f'src="../figures/{name}.png"' in html
    assert f'href="../report.html#{name}"' in html
    assert 'alt="Bars of accuracy and macro-F1' in html
    assert 'width="331"' in html
    assert "base64" not in str([o["data"] for o in outputs])


def test_a_figure_that_the_notebook_saved_and_did_not_show_is_at_its_end(notebook):
    last = json.loads(notebook)["cells"][-1]["source"]
    assert '<figure id="04_two_stage_training__learning_curves"' in last
    assert '<figure id="04_two_stage_training__headline"' not in last


def test_paths_of_the_machine_become_links(notebook):
    assert HOME not in notebook
    assert '<a href=\\"../tables/predictions.csv\\">' in notebook
    assert "phantom-1</code>" in notebook


def test_names_of_tables_and_notebooks_become_links(notebook):
    first, _, text, *_ = [c["source"] for c in json.loads(notebook)["cells"]]
    assert '<a href="../tables/splits.csv"><code>splits.csv</code></a>' in first
    assert "[notebook 07](07_leakage_audit.ipynb)" in text
    assert "`nowhere.csv`; not notebook 04." in text


def test_given_parameters_replace_the_notebooks_own(notebook):
    sources = [c["source"] for c in json.loads(notebook)["cells"]]
    assert "seed = 2" in sources
    assert "seed = 1" not in sources


# --- the report -------------------------------------------------------------------------------


def test_the_report_shows_files_and_leads_to_figures_in_notebooks(pages):
    text = (pages[1] / "report.html").read_text()
    assert "data:image" not in text
    assert "img-src 'self'" in text
    name = "04_two_stage_training__headline"
    assert f'<a href="notebooks/04_two_stage_training.html#{name}">' in text
    assert not [a for a in report_page.read(pages[1] / "report.html").select("a[href$=ipynb]")]
    assert (pages[1] / f"figures/{name}.png").read_bytes().startswith(b"\x89PNG")


def test_the_report_on_disk_stays_whole(outputs):
    assert "data:image/png" in (outputs / "generated/report.html").read_text()


# --- README and docs --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("<!--= metric(1) -->0.5<!--/--> right", "0.5 right"),
        ("[words](glossary.md)", "[words](glossary.md)"),
        ("[x](https://a.b/c)", "[x](https://a.b/c)"),
        ("[lib](../kidneyct_lib/__init__.py)", "[lib](../api/kidneyct_lib.rst)"),
        (
            "[runs](../kidneyct_lib/study/run_folder.py)",
            "[runs](../api/kidneyct_lib.study.run_folder.rst)",
        ),
        ("[kept](../results) numbers", "kept numbers"),
        ("![all](summary.png)", "![all](summary.png)"),
    ],
)
def test_links_of_docs_stay_in_the_site(text, expected):
    assert project_pages.linked(text, "docs/costs.md", project_pages.find()) == expected


def test_docs_are_copied_with_their_pictures(tmp_path):
    project_pages.write(tmp_path)
    assert {"README.md", "docs/results.md", "docs/summary.png", "CHANGELOG.md"} <= names(tmp_path)
    assert "<!--" not in (tmp_path / "docs/results.md").read_text()


# --- links ------------------------------------------------------------------------------------

SOUND = """<a href="sub/b.html#here">b</a><img src="c.png"><a href="https://a.b/">out</a>
<a href="#">up</a>"""


@pytest.fixture
def site(tmp_path):
    (tmp_path / "sub").mkdir()
    (tmp_path / "a.html").write_text(SOUND)
    (tmp_path / "sub/b.html").write_text('<p id="here"><a href="../a.html">a</a>')
    (tmp_path / "c.png").write_bytes(b"")
    (tmp_path / "style.css").write_text("p { background: url('c.png') }")
    return tmp_path


def test_a_sound_site_has_no_problem(site):
    assert links.problems(site) == []


@pytest.mark.parametrize(
    ("element", "problem"),
    [
        ('<a href="sub/no.html">', "sub/no.html leads to no file"),
        ('<a href="sub/b.html#no">', "sub/b.html#no leads to no place in that page"),
        ('<a href="#no">', "#no leads to no place in that page"),
        ('<a href="../other.html">', "../other.html leads out of the site"),
        ('<a href="/a.html">', "/a.html starts at the host's root"),
        ('<a href="sub">', "sub leads to no file"),
        ('<img src="d.png">', "d.png leads to no file"),
        ('<script src="https://cdn.net/x.js">', "loads https://cdn.net/x.js from outside"),
        ('<link rel="stylesheet" href="//cdn.net/x.css">', "loads //cdn.net/x.css from outside"),
    ],
)
def test_a_broken_link_is_found(site, element, problem):
    (site / "a.html").write_text(SOUND + element)
    (found,) = links.problems(site)
    assert problem in found
    assert found.startswith("a.html")


def test_a_style_from_outside_is_found(site):
    (site / "style.css").write_text("@import 'https://fonts.net/a.css';")
    assert links.problems(site) == ["style.css loads from outside"]


# --- building ---------------------------------------------------------------------------------


def test_without_a_finished_study_the_way_out_is_told(tmp_path):
    with pytest.raises(StudyError, match="make reproduce"):
        build.build(tmp_path, tmp_path / "site", with_images=False)


def test_without_npm_the_page_is_left_out_and_told(outputs, tmp_path, monkeypatch, capsys):
    found, _ = studies.find(outputs, with_images=False)
    monkeypatch.setattr(build.shutil, "which", lambda name: None)
    (outputs / "generated/export/final").mkdir(parents=True)
    assert build._browser_page(found[:1], tmp_path / "page") is False
    assert "Node with npm" in capsys.readouterr().out


def test_a_site_replaces_the_last_one_whole(tmp_path):
    for folder, name in (("old", "gone.html"), ("new", "here.html")):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / name).write_text("")
    build._replace(tmp_path / "old", tmp_path / "new")
    assert names(tmp_path) == {"old/here.html"}


def test_figures_are_told_apart_by_their_content(outputs):
    """A picture that the run did not save stays in the notebook."""
    run = studies.find(outputs, with_images=False)[0][0].run
    page = notebook_pages.Page(run, "04_two_stage_training", set())
    other = result(**{"text/html": notebook_view.Shown(b"another", "seen")._repr_html_()})
    bar = result(**{"application/vnd.jupyter.widget-view+json": {}, "text/plain": "bodies: 0%"})
    assert page.cells([cell("code", "show", outputs=[other, bar])])[0]["outputs"] == [other]


def test_every_page_of_the_docs_is_on_the_site():
    start = (ROOT / "docs/site/index.md.j2").read_text()
    assert all(f"docs/{page.stem}\n" in start for page in (ROOT / "docs").glob("*.md"))

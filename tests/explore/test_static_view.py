"""The explorer without a kernel: what stands in its place once the notebook is turned into HTML."""

import re
from pathlib import Path

import nbformat
import pytest
from explored_run import explored
from nbclient import NotebookClient
from nbconvert import HTMLExporter

pytestmark = pytest.mark.slow
EXPLORER = Path(__file__).parents[2] / "notebooks/00_explore_results.ipynb"


@pytest.fixture(scope="module")
def executed(tmp_path_factory):
    """The notebook as JupyterLab saves it: with outputs, without the widgets' state."""
    folder = tmp_path_factory.mktemp("run")
    notebook = nbformat.read(EXPLORER, as_version=4)
    (parameters,) = (c for c in notebook.cells if "parameters" in c.metadata.get("tags", []))
    first, second = (str(explored(folder / name).folder) for name in ("one", "other"))
    parameters.source = f"run_folder, compare_with = {first!r}, {second!r}"
    options = {"kernel_name": "python3", "store_widget_state": False, "timeout": 300}
    return NotebookClient(notebook, resources={"metadata": {"path": folder}}, **options).execute()


def test_widgets_are_shown_where_a_kernel_runs(executed):
    shown = [o.data for cell in executed.cells for o in cell.get("outputs", []) if "data" in o]
    live = [data for data in shown if "application/vnd.jupyter.widget-view+json" in data]
    assert len(live) == 4


def test_pictures_with_words_stand_in_html(executed):
    html, _ = HTMLExporter().from_notebook_node(executed)
    pictures = re.findall(r'<img alt="([^"]+)"[^>]* src="data:image/png;base64,\w', html)
    begins = ("CT slice ", "Stone from a probability of 0.50", "CT slice ", "Scores of two runs")
    assert len(pictures) == len(begins)
    assert all(text.startswith(begin) for text, begin in zip(pictures, begins, strict=True))
    assert "widget-view" not in html

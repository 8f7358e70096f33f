"""What makes a notebook run again, on a library of a few lines."""

import json
import os
from pathlib import Path

import nbformat
import pytest

from kidneyct_lib.study import staleness
from kidneyct_lib.study.run_folder import Run

LIBRARY = {
    "__init__": "",
    "plots/__init__": "",
    "plots/bars": "from kidneyct_lib.plots import style\n\ndef bars():\n    return style.COLOR",
    "plots/lines": "def lines():\n    return 1",
    "plots/style": "COLOR = 1",
    "fitting": "def fit():\n    from kidneyct_lib.sums import total\n    return total()",
    "sums": '"""Sums."""\n\ndef total():\n    """Add."""\n    return 1 + 1  # two',
    "unused": "VALUE = 1",
    "effects/__init__": (
        "from collections.abc import Callable\nfrom kidneyct_lib.effects import tools\n"
        "STRONG: Callable = tools.blur\n"
    ),
    "effects/tools": "def blur():\n    return 1",
}
CODE = (
    "from kidneyct_lib.fitting import fit\nfrom kidneyct_lib.plots import bars\nbars.bars()\nfit()"
)


@pytest.fixture
def library(tmp_path, monkeypatch):
    """Function that writes modules of a made-up library, which is then looked at anew."""
    folder = tmp_path / "kidneyct_lib"
    monkeypatch.setattr(staleness, "LIBRARY", folder)

    def write(**modules):
        for name, code in modules.items():
            path = folder / f"{name}.py"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(code)
        staleness._module.cache_clear()

    write(**LIBRARY)
    yield write
    staleness._module.cache_clear()


def notebook(folder: Path, code: str = CODE, text: str = "Text") -> Path:
    cells = [nbformat.v4.new_code_cell("seed = 1"), nbformat.v4.new_code_cell(code)]
    cells[0].metadata["tags"] = ["parameters"]
    cells.append(nbformat.v4.new_markdown_cell(text))
    path = folder / "04_x.ipynb"
    nbformat.write(nbformat.v4.new_notebook(cells=cells), path)
    return path


def inputs(tmp_path, **changes):
    parameters = {"seed": 1} | changes.pop("parameters", {})
    result = staleness.inputs(notebook(tmp_path, **changes), parameters, Run(tmp_path / "run"))
    return result | {"needed": {}}


def test_modules_are_those_imported_and_of_a_package_all_that_it_holds(library, tmp_path):
    expected = ["fitting", "plots.bars", "plots.style", "sums"]
    assert list(inputs(tmp_path)["modules"]) == [f"kidneyct_lib.{name}" for name in expected]
    every = inputs(tmp_path, code="from kidneyct_lib import plots\nshow(plots)")["modules"]
    names = ("plots", "plots.bars", "plots.lines", "plots.style")
    assert set(every) == {f"kidneyct_lib.{name}" for name in names}


def test_a_package_with_code_of_its_own_counts_with_what_it_imports(library, tmp_path):
    code = "from kidneyct_lib import effects\neffects.STRONG()"
    names = inputs(tmp_path, code=code)["modules"]
    assert list(names) == ["kidneyct_lib.effects", "kidneyct_lib.effects.tools"]


@pytest.mark.parametrize(
    ("module", "code"),
    [
        ("sums", '"""Other words."""\n\n\ndef total():\n    """Adds."""\n\n    return 1 + 1'),
        ("unused", "VALUE = 2"),
        ("plots/lines", "def lines():\n    return 2"),
    ],
)
def test_words_layout_and_what_is_not_used_change_nothing(library, tmp_path, module, code):
    before = inputs(tmp_path)
    library(**{module: code})
    assert staleness.reasons(before, inputs(tmp_path)) == []


def test_changed_code_is_a_reason(library, tmp_path):
    before = inputs(tmp_path)
    library(sums="def total():\n    return 1 + 2")
    assert staleness.reasons(before, inputs(tmp_path)) == ["kidneyct_lib.sums"]
    now = inputs(tmp_path, code=CODE + "\nfit()")
    assert staleness.reasons(inputs(tmp_path), now) == ["its code"]
    same = inputs(tmp_path, code="# A word.\n" + CODE, text="Other text")
    assert staleness.reasons(inputs(tmp_path), same) == []


def test_a_figures_colour_concerns_who_draws_it_not_who_reads_results(library, tmp_path):
    before = inputs(tmp_path)
    library(**{"plots/style": "COLOR = 2"})
    now = inputs(tmp_path)
    assert staleness.reasons(before, now) == ["kidneyct_lib.plots.style"]
    assert staleness.results_stamp(before, {}) == staleness.results_stamp(now, {})
    library(sums="def total():\n    return 3")
    assert staleness.results_stamp(inputs(tmp_path), {}) != staleness.results_stamp(now, {})
    assert staleness.results_stamp(now, {"03_x": "a"}) != staleness.results_stamp(now, {})


def test_parameters_packages_and_results_are_told_by_name(library, tmp_path, monkeypatch):
    before = inputs(tmp_path)
    now = inputs(tmp_path, parameters={"seed": 2})
    assert staleness.reasons(before, now) == ["seed: 1 -> 2"]
    monkeypatch.setattr(staleness.provenance, "package_versions", lambda: {"keras": "9"})
    assert any(message.endswith("-> 9") for message in staleness.reasons(before, inputs(tmp_path)))
    needed = before | {"needed": {"03_x": "other"}}
    assert staleness.reasons(before, needed) == ["results of 03_x"]
    assert staleness.reasons(None, before) == ["not finished yet"]


def test_another_run_of_the_study_concerns_who_looks_beside(library, tmp_path):
    library(**{"study/sibling_runs": "VALUE = 1"})
    code = "from kidneyct_lib.study import sibling_runs"
    own, other = Run(tmp_path / "run"), Run(tmp_path / "other")
    for run in (own, other):
        run.record(study="s", changes={})
    before = inputs(tmp_path, code=code)
    other.record(files={"metrics/test.json": {"sha256": "a"}})
    assert staleness.reasons(before, inputs(tmp_path, code=code)) == ["other"]
    assert inputs(tmp_path)["runs beside it"] == {}


def test_a_folder_is_listed_through_links_and_without_clutter(tmp_path):
    folder, elsewhere = tmp_path / "data", tmp_path / "elsewhere"
    (folder / "Stone").mkdir(parents=True)
    elsewhere.mkdir()
    (folder / "Stone" / "a.png").write_text("1")
    (folder / "linked").symlink_to(elsewhere)
    (elsewhere / "round").symlink_to(folder)
    before = staleness.listing(folder)
    for name in (".DS_Store", "Thumbs.db"):
        (folder / "Stone" / name).write_text("clutter")
    assert staleness.listing(folder) == before
    (elsewhere / "b.png").write_text("22")
    assert [name for name, *_ in staleness.listing(folder)] == ["Stone/a.png", "linked/b.png"]
    os.utime(elsewhere / "b.png", ns=(1, 1))
    assert staleness.listing(folder)[1] == ("linked/b.png", 2, 1)


@pytest.mark.parametrize("content", ["[]", "{}", '{"cells": [{}]}', '{"cells": []}', "no"])
def test_what_is_no_notebook_is_refused(tmp_path, content):
    path = tmp_path / "01_x.ipynb"
    path.write_text(content)
    with pytest.raises((ValueError, KeyError, AttributeError, TypeError)):
        staleness.parameter_names(path)


def test_every_notebook_is_known_and_waits_for_earlier_ones_alone():
    folder = Path(__file__).parents[2] / "notebooks"
    names = [path.stem for path in staleness.study_notebooks(folder)]
    assert list(staleness.NEEDS) == names
    others = {path.stem for path in folder.glob("*.ipynb")} - set(names)
    assert others == staleness.OF_SEVERAL_RUNS
    for table in (staleness.NEEDS, staleness.AFTER):
        assert all(other < name for name, others in table.items() for other in others)
    assert set(staleness.ALONE) <= set(names)
    assert staleness.needed_by("99_new", ["01_a", "02_b", "99_new"]) == ["01_a", "02_b"]


def test_inputs_are_plain_json(library, tmp_path):
    result = inputs(tmp_path, parameters={"data": None, "shares": (1, 2)})
    assert json.loads(json.dumps(result)) == result

"""What a branch changes in notebooks and parameters, in a real git checkout."""

import json

import pytest
from changed_branch import CLEARER, change, commit, git, make_project, notebook

from kidneyct_lib.core.errors import StudyError
from kidneyct_lib.review import checkout, sources


@pytest.fixture
def project(tmp_path):
    return make_project(tmp_path / "project")


def notebooks(project, base="main"):
    found = checkout.find(project, base)
    return sources.notebook_changes(found, found.changed_files())


def parameters(project):
    found = checkout.find(project, "main")
    return sources.parameter_changes(found, found.changed_files())


def test_an_unchanged_branch_changes_nothing(project):
    assert checkout.find(project, "main").changed_files() == []
    assert notebooks(project) == parameters(project) == []


def test_one_sentence_and_one_parameter_are_found_and_nothing_else(project):
    change(project)
    (one,) = notebooks(project)
    assert (one.path, one.state) == ("notes/one.ipynb", "changed")
    assert one.cells == {("Markdown", "changed"): 1}
    assert one.in_words == "1 Markdown cell changed"
    assert CLEARER not in json.dumps(one.diff["base"])
    (key,) = parameters(project)
    assert (key.file, key.key) == ("params/phantom.yaml", "calibration_bins")
    assert (key.before, key.after) == ("15", "10")


def test_cells_are_counted_by_kind_and_change(project):
    content = json.loads((project / "notes/other.ipynb").read_text())
    added = json.loads(notebook(("markdown", "new"), ("markdown", "newer")))["cells"]
    for cell in added:
        cell["id"] += "-new"
    del content["cells"][1]
    content["cells"][0]["source"] = "1 + 0"
    content["cells"] += added
    commit(project, {"notes/other.ipynb": json.dumps(content)})
    (other,) = notebooks(project)
    assert other.cells == {
        ("code", "changed"): 1,
        ("code", "removed"): 1,
        ("Markdown", "added"): 2,
    }


def test_notebooks_that_came_and_went_and_that_git_does_not_know_yet(project):
    commit(project, {"notes/other.ipynb": None})
    (project / "notes/fresh.ipynb").write_text(notebook(("code", "x"), ("code", "y")))
    fresh, other = notebooks(project)
    assert (fresh.state, fresh.in_words) == ("added", "2 code cells added")
    assert (other.state, other.in_words) == ("removed", "3 code cells removed")


def test_outputs_and_counts_are_no_change_as_the_project_has_it(project):
    path = project / "notes/one.ipynb"
    content = json.loads(path.read_text())
    content["cells"][1]["execution_count"] = 7
    content["metadata"]["kernelspec"] = {"name": "other", "display_name": "other"}
    path.write_text(json.dumps(content))
    (one,) = notebooks(project)
    assert (one.cells, one.in_words) == ({}, "metadata alone")


def test_a_file_that_is_no_notebook_is_said_so(project):
    commit(project, {"notes/one.ipynb": "<<<<<<< HEAD\n{}"})
    (one,) = notebooks(project)
    assert one.diff is None
    assert "can't be read as a notebook" in one.in_words and "\n" not in one.in_words


def test_values_of_another_type_differ_and_a_missing_key_is_no_null(project):
    text = "same: 1e-5\nnumber: 1\nnothing: null\n"
    git(project, "switch", "-q", "main")
    commit(project, {"params/a.yaml": text})
    git(project, "switch", "-q", "branch")
    git(project, "merge", "-q", "main")
    commit(project, {"params/a.yaml": "# comment\nsame: 0.00001\nnumber: '1'\nnew: [1, 2]\n"})
    found = {change.key: (change.before, change.after) for change in parameters(project)}
    assert found == {
        "number": ("1", '"1"'),
        "nothing": ("null", None),
        "new": (None, "[1, 2]"),
    }


def test_a_damaged_parameter_file_is_named(project):
    commit(project, {"params/phantom.yaml": "a: [1"})
    with pytest.raises(StudyError, match=r"params/phantom.yaml can't be read as YAML"):
        parameters(project)


def test_a_base_that_went_on_is_compared_where_the_branch_left_it(project):
    git(project, "switch", "-q", "main")
    commit(project, {"notes/one.ipynb": notebook(("code", "later"))})
    git(project, "switch", "-q", "branch")
    assert notebooks(project) == []


def test_what_is_missing_is_said(project, tmp_path, monkeypatch):
    with pytest.raises(StudyError, match="neither nowhere nor origin/nowhere is here"):
        checkout.find(project, "nowhere")
    with pytest.raises(StudyError, match=r"review_base.sh is missing"):
        checkout.find(tmp_path, "main")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(StudyError, match="git is not installed"):
        checkout.find(project, "main")


def test_a_folder_without_history_is_said_to_be_none(project):
    (project / ".git").rename(project / "gone")
    with pytest.raises(StudyError, match="git can't read this checkout's history"):
        checkout.find(project, "main")

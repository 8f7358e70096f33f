import json

import pandas as pd
import pytest

from kidneyct_lib.comparison import compare_runs
from kidneyct_lib.errors import StudyError


@pytest.fixture
def make(tmp_path):
    def make(name, *, accuracy=0.5, table=None, metrics=True):
        folder = tmp_path / name
        (folder / "metrics").mkdir(parents=True)
        (folder / "tables").mkdir()
        if metrics:
            content = {"slice": {"accuracy": accuracy, "ci": [0.1, accuracy]}, "note": "text"}
            (folder / "metrics/test.json").write_text(json.dumps(content))
        table = table if table is not None else pd.DataFrame({"path": ["a", "b"], "p": [0.1, 0.2]})
        table.to_csv(folder / "tables/predictions.csv", index=False)
        return folder

    return make


def test_equal_runs_do_not_differ(make):
    assert compare_runs(make("a"), make("b")).empty


def test_moved_metrics_are_listed_with_their_difference(make):
    moved = compare_runs(make("a"), make("b", accuracy=0.75))
    assert list(moved["what"]) == ["slice.accuracy", "slice.ci.1"]
    assert list(moved["difference"]) == [0.25, 0.25]
    assert set(moved["where"]) == {"metrics/test.json"}


def test_moved_columns_tell_cells_and_the_largest_difference(make):
    other = pd.DataFrame({"path": ["a", "c"], "p": [0.4, 0.1]})
    moved = compare_runs(make("a"), make("b", table=other)).set_index("what")
    assert moved.loc["p", "a"] == "2 cells"
    assert moved.loc["p", "difference"] == pytest.approx(0.3)
    assert moved.loc["path", "a"] == "1 cells"


def test_missing_files_columns_and_rows_are_told(make):
    moved = compare_runs(
        make("a"), make("b", metrics=False, table=pd.DataFrame({"path": ["a", "b"]}))
    )
    told = set(zip(moved["what"], moved["a"], moved["b"], strict=True))
    assert told == {("file", "yes", "no"), ("p", "yes", "no")}
    shorter = pd.DataFrame({"path": ["a"], "p": [0.1]})
    moved = compare_runs(make("c"), make("d", table=shorter))
    assert list(moved["what"]) == ["rows"]


def test_a_folder_that_is_no_run_is_refused(make, tmp_path):
    for folder in (tmp_path / "nowhere", tmp_path):
        with pytest.raises(StudyError, match="no run's folder"):
            compare_runs(make(f"run of {folder.name}"), folder)

import json

import pandas as pd
import pytest

from kidneyct_lib.core.errors import StudyError
from kidneyct_lib.study.run_diff import compare_runs
from kidneyct_lib.study.run_folder import Run


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


def test_moved_columns_tell_the_cell_that_moved_most(make):
    other = pd.DataFrame({"path": ["a", "c"], "p": [0.15, 0.5]})
    moved = compare_runs(make("a"), make("b", table=other)).set_index("what")
    number = moved.loc["p"]
    assert (number["row"], number["a"], number["b"]) == ("1 (b)", 0.2, 0.5)
    assert number["difference"] == pytest.approx(0.3)
    assert number["cells"] == "2 of 2"
    text = moved.loc["path"]
    assert (text["row"], text["a"], text["b"], text["cells"]) == ("1 (b)", "b", "c", "1 of 2")


def test_a_number_that_went_missing_moved_most(make):
    table = pd.DataFrame({"path": ["a", "b"], "p": [0.9, None]})
    moved = compare_runs(make("a"), make("b", table=table)).set_index("what")
    assert moved.loc["p", "row"] == "1 (b)"
    assert moved.loc["p", "cells"] == "2 of 2"
    same = compare_runs(make("c", table=table), make("d", table=table))
    assert same.empty


@pytest.mark.parametrize(("tolerance", "expected"), [(0.009, {"p"}), (0.011, set())])
def test_numbers_within_the_tolerance_did_not_move(make, tolerance, expected):
    table = pd.DataFrame({"path": ["a", "b"], "p": [0.11, 0.2], "count": [1000, 1]})
    other = pd.DataFrame({"path": ["a", "b"], "p": [0.1, 0.2], "count": [1009, 1]})
    moved = compare_runs(
        make("a", table=table), make("b", table=other, accuracy=0.505), tolerance=tolerance
    )
    assert set(moved["what"]) == expected


def test_texts_may_differ_in_as_large_a_share_of_a_column(make):
    table = pd.DataFrame({"vote": ["Cyst"] * 10})
    other = pd.DataFrame({"vote": ["Cyst"] * 9 + ["Stone"]})
    folders = make("a", table=table), make("b", table=other)
    assert compare_runs(*folders, tolerance=0.1).empty
    moved = compare_runs(*folders, tolerance=0.05)
    assert list(moved["cells"]) == ["1 of 10"]


def test_a_column_of_true_and_false_is_compared_as_text(make):
    table = pd.DataFrame({"kept": [True] * 10})
    folders = make("a", table=table), make("b", table=table.assign(kept=[True] * 9 + [False]))
    assert compare_runs(*folders, tolerance=0.1).empty
    moved = compare_runs(*folders)
    assert list(moved["cells"]) == ["1 of 10"]


def test_missing_files_columns_and_rows_are_told(make):
    moved = compare_runs(
        make("a"), make("b", metrics=False, table=pd.DataFrame({"path": ["a", "b"]}))
    )
    expected = set(zip(moved["what"], moved["a"], moved["b"], strict=True))
    assert expected == {("file", "there", "missing"), ("p", "there", "missing")}
    shorter = pd.DataFrame({"path": ["a"], "p": [0.1]})
    moved = compare_runs(make("c"), make("d", table=shorter))
    assert list(moved["what"]) == ["rows"]


def test_a_folder_that_is_no_run_is_refused(make, tmp_path):
    for folder in (tmp_path / "nowhere", tmp_path):
        with pytest.raises(StudyError, match="no run's folder"):
            compare_runs(make(f"run of {folder.name}"), folder)


def test_timings_are_no_results(tmp_path):
    for name, milliseconds in (("a", 1), ("b", 2)):
        run = Run(tmp_path / name)
        run.write_metrics("deployment", {"n": 3})
        run.write_timings("deployment", {"latency": milliseconds})
        assert run.read_timings("deployment") == {"latency": milliseconds}
    assert compare_runs(tmp_path / "a", tmp_path / "b").empty
    run.write_metrics("deployment", {"n": 3, "latency": 2})
    assert len(compare_runs(tmp_path / "a", tmp_path / "b")) == 1

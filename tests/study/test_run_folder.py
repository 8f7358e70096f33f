import json
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from kidneyct_lib.core.errors import StudyError
from kidneyct_lib.study.run_folder import Run, open_run


@pytest.fixture
def run(tmp_path):
    return open_run(tmp_path / "run", "04_training", {"seed": 3})


def test_tables_and_metrics_come_back_as_they_went(run):
    table = pd.DataFrame({"path": ["a", "NA"], "note": ["", "null"], "p": [np.nan, 1 / 3]})
    run.write_table("catalog", table)
    pd.testing.assert_frame_equal(run.read_table("catalog"), table)
    run.write_metrics("test", {"slice": {"accuracy": 1 / 3}})
    assert run.read_metrics("test") == {"slice": {"accuracy": 1 / 3}}


def test_names_that_look_like_numbers_stay_names(run):
    table = pd.DataFrame({"path": ["1"], "label": ["0"], "patient": ["007"], "n": [3]})
    run.write_table("catalog", table)
    pd.testing.assert_frame_equal(run.read_table("catalog"), table)


def test_figures_are_named_by_their_notebook(run):
    shown = run.write_figure("curves", Figure())
    path = run.folder / "figures/04_training__curves.png"
    assert shown.data == path.read_bytes()
    assert path.read_bytes().startswith(b"\x89PNG")


def test_equal_figures_are_equal_files(run):
    first = run.write_figure("one", Figure()).data
    assert run.write_figure("two", Figure()).data == first


def test_metrics_that_are_no_numbers_are_refused_and_the_old_ones_kept(run):
    run.write_metrics("test", {"loss": 1.0})
    with pytest.raises(ValueError, match="JSON"):
        run.write_metrics("test", {"loss": float("nan")})
    assert run.read_metrics("test") == {"loss": 1.0}


def test_a_writer_that_fails_leaves_the_old_file_and_no_scrap(run):
    def save(path):
        path.write_text("half")
        raise OSError("No space left on device")

    run.write_model("slice", lambda path: path.write_text("whole"), {})
    with pytest.raises(StudyError, match="No space left"):
        run.write_model("slice", save, {})
    assert run.model_path("slice").read_text() == "whole"
    assert sorted(p.name for p in (run.folder / "models").iterdir()) == [
        "slice.json",
        "slice.keras",
    ]


def test_what_is_missing_names_the_file_and_the_way_out(run):
    for read in (
        lambda: run.read_table("x"),
        lambda: run.read_metrics("x"),
        lambda: run.data_folder,
    ):
        with pytest.raises(StudyError, match="run "):
            read()


def test_provenance_tells_parameters_packages_machine_time_and_outputs(run):
    run.write_table("t", pd.DataFrame({"a": [1]}))
    began = time.process_time()
    while time.process_time() - began < 0.2:  # work, not waiting
        pass
    time.sleep(0.3)
    run.finish()
    known = run.provenance()
    assert known["parameters"] == {"seed": 3}
    assert known["packages"]["numpy"] == np.__version__
    assert known["machine"]["python"] == ".".join(map(str, sys.version_info[:3]))
    notebook = known["notebooks"]["04_training"]
    assert notebook["outputs"] == ["tables/t.csv"]
    assert notebook["seconds"] >= 0.5
    assert 0.2 <= notebook["processor_seconds"] < notebook["seconds"] - 0.1
    assert notebook["peak_memory_mb"] > 10


def test_a_started_notebook_is_not_a_finished_one(run):
    assert "finished" not in run.provenance()["notebooks"]["04_training"]


def test_parameters_of_several_notebooks_are_merged_and_hashed(run):
    before = run.provenance()["parameters_sha256"]
    run.begin("05_errors", {"bootstrap": 10})
    known = run.provenance()
    assert known["parameters"] == {"seed": 3, "bootstrap": 10}
    assert known["parameters_sha256"] != before


def test_a_parameter_that_no_notebook_takes_any_more_is_forgotten(run):
    run.begin("05_errors", {"bootstrap": 10, "seed": 3})
    run.begin("04_training", {"seed": 4, "folds": 2})
    assert run.provenance()["parameters"] == {"bootstrap": 10, "seed": 4, "folds": 2}
    run.begin("04_training", {"seed": 4})
    assert run.provenance()["parameters"] == {"bootstrap": 10, "seed": 4}


def test_relative_folders_start_at_the_projects_root(tmp_path, monkeypatch):
    (tmp_path / "params").mkdir()
    (tmp_path / "notebooks").mkdir()
    monkeypatch.chdir(tmp_path / "notebooks")
    assert Run("outputs/x").folder == tmp_path / "outputs/x"
    assert Run(Path("/elsewhere")).folder == Path("/elsewhere")


def test_run_json_is_readable_text(run):
    assert json.loads((run.folder / "run.json").read_text()) == run.provenance()

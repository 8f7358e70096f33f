"""What moved between two runs, and since the reference; when a run must equal that exactly."""

import json
from pathlib import Path

import pandas as pd
import pytest

from kidneyct_lib import cli
from kidneyct_lib.core.errors import StudyError
from kidneyct_lib.study import provenance, run_diff, runner
from kidneyct_lib.study.run_diff import compare_runs
from kidneyct_lib.study.run_folder import Run, open_run

TABLE = pd.DataFrame({"path": ["a.png", "b.png"], "p_Cyst": [0.25, 0.75]})


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


# --- the reference -----------------------------------------------------------------------------


@pytest.fixture
def project(tmp_path, monkeypatch):
    (tmp_path / "params").mkdir()
    monkeypatch.chdir(tmp_path)
    return tmp_path


def finished(folder, *, seed=3, accuracy=0.5, table=TABLE):
    """A finished run of one notebook."""
    run = open_run(folder, "01_only", {"seed": seed, "run_folder": str(folder)})
    run.write_metrics("test", {"accuracy": accuracy})
    run.write_table("predictions", table)
    run.write_text("report.html", "not kept")
    run.finish()
    return run


@pytest.fixture
def reference(project):
    run_diff.keep(finished("outputs/phantom"), project / "reference")
    return project / "reference"


def test_a_reference_is_metrics_tables_and_what_they_depend_on(reference):
    kept = {path.relative_to(reference).as_posix() for path in reference.rglob("*.*")}
    assert kept == {"metrics/test.json", "tables/predictions.csv", "reference.json"}
    about = json.loads((reference / "reference.json").read_text())
    assert about["parameters"] == {"seed": 3}
    assert set(about["machine"]) == set(provenance.DECISIVE)


def test_an_equal_run_verifies_exactly(reference):
    moved, tolerance = run_diff.check(finished("again"), reference)
    assert moved.empty
    assert tolerance == 0


def test_the_cell_that_moved_is_named_however_little(reference):
    other = TABLE.assign(p_Cyst=[0.25, 0.75 + 1e-9])
    moved, _ = run_diff.check(finished("again", table=other), reference)
    assert moved[["where", "what", "row"]].to_numpy().tolist() == [
        ["tables/predictions.csv", "p_Cyst", "1 (b.png)"]
    ]


@pytest.mark.parametrize(("accuracy", "moves"), [(0.549, False), (0.551, True)])
@pytest.mark.parametrize("other", ["machine", "environment"])
def test_elsewhere_a_tolerance_is_allowed(reference, monkeypatch, other, accuracy, moves):
    if other == "machine":
        monkeypatch.setattr(provenance, "machine", lambda: dict.fromkeys(provenance.DECISIVE, "x"))
    else:
        monkeypatch.setattr(provenance, "environment_digest", lambda: "other packages")
    moved, tolerance = run_diff.check(finished("again", accuracy=accuracy), reference)
    assert tolerance == run_diff.TOLERANCE
    assert moved.empty != moves


def test_other_parameters_are_told_and_not_compared(reference):
    with pytest.raises(StudyError, match="other parameters: seed"):
        run_diff.check(finished("again", seed=4), reference)


def test_no_reference_and_no_finished_run_are_told(reference, project):
    with pytest.raises(StudyError, match="verify --keep"):
        run_diff.check(finished("again"), project / "nowhere")
    open_run("begun", "01_only", {"seed": 3})
    for folder in ("begun", "nowhere"):
        with pytest.raises(StudyError, match="no finished run"):
            run_diff.check(Run(folder), reference)


def test_a_new_reference_replaces_the_old_one_whole(reference):
    run = finished("again", accuracy=0.75)
    (run.folder / "tables/predictions.csv").unlink()
    run_diff.keep(run, reference)
    assert not (reference / "tables").exists()
    assert not list(reference.parent.glob(".reference*"))


def test_the_command_runs_the_phantom_in_a_scratch_folder(project, monkeypatch, capsys):
    given = []

    def reproduce(values):
        assert not (project / ".cache/verify").exists()
        given.append(values)
        finished(values.run_folder, accuracy=len(given))

    source = Path(__file__).parents[2] / "params/phantom.yaml"
    (project / "params/phantom.yaml").write_text(source.read_text())
    monkeypatch.setattr(runner, "reproduce", reproduce)
    assert cli.main(["verify", "--keep"]) == 0
    assert cli.main(["verify", "--run", str(project / ".cache/verify/run")]) == 0
    assert "All 2 files" in capsys.readouterr().out
    assert cli.main(["verify"]) == 1
    out = capsys.readouterr().out
    assert "metrics/test.json" in out
    assert "accuracy" in out
    assert given[0].cache_folder == ".cache/verify/cache"
    assert (project / "outputs/phantom/reference/reference.json").exists()

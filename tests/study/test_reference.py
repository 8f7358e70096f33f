"""The reference: what is kept, when a run must equal it exactly, and what a difference tells."""

import json
from pathlib import Path

import pandas as pd
import pytest

from kidneyct_lib import cli
from kidneyct_lib.core.errors import StudyError
from kidneyct_lib.study import provenance, runner
from kidneyct_lib.study import reference as study_reference
from kidneyct_lib.study.run_folder import Run, open_run

TABLE = pd.DataFrame({"path": ["a.png", "b.png"], "p_Cyst": [0.25, 0.75]})


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
    study_reference.keep(finished("outputs/phantom"), project / "reference")
    return project / "reference"


def test_a_reference_is_metrics_tables_and_what_they_depend_on(reference):
    kept = {path.relative_to(reference).as_posix() for path in reference.rglob("*.*")}
    assert kept == {"metrics/test.json", "tables/predictions.csv", "reference.json"}
    about = json.loads((reference / "reference.json").read_text())
    assert about["parameters"] == {"seed": 3}
    assert set(about["machine"]) == set(provenance.DECISIVE)


def test_an_equal_run_verifies_exactly(reference):
    verdict = study_reference.check(finished("again"), reference)
    assert verdict.moved.empty
    assert verdict.tolerance == 0
    assert verdict.files == 2


def test_the_cell_that_moved_is_named_however_little(reference):
    other = TABLE.assign(p_Cyst=[0.25, 0.75 + 1e-9])
    moved = study_reference.check(finished("again", table=other), reference).moved
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
    verdict = study_reference.check(finished("again", accuracy=accuracy), reference)
    assert verdict.tolerance == study_reference.TOLERANCE
    assert verdict.moved.empty != moves


def test_other_parameters_are_told_and_not_compared(reference):
    with pytest.raises(StudyError, match="other parameters: seed"):
        study_reference.check(finished("again", seed=4), reference)


def test_no_reference_and_no_finished_run_are_told(reference, project):
    with pytest.raises(StudyError, match="verify --keep"):
        study_reference.check(finished("again"), project / "nowhere")
    open_run("begun", "01_only", {"seed": 3})
    for folder in ("begun", "nowhere"):
        with pytest.raises(StudyError, match="no finished run"):
            study_reference.check(Run(folder), reference)


def test_a_new_reference_replaces_the_old_one_whole(reference):
    run = finished("again", accuracy=0.75)
    (run.folder / "tables/predictions.csv").unlink()
    study_reference.keep(run, reference)
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

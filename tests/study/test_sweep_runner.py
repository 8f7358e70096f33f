"""Running a sweep, on notebooks of a few lines: order, skipping, failure, budget, going on."""

import shutil
from pathlib import Path
from types import SimpleNamespace

import nbformat
import pandas as pd
import pytest
import yaml
from one_process import OneProcess

from kidneyct_lib import cli, report
from kidneyct_lib.core.errors import StudyError
from kidneyct_lib.study import runner, sweep, sweep_runner
from kidneyct_lib.study.run_folder import Run

ROOT = Path(__file__).parents[2]
BEGIN = """
from pathlib import Path
from kidneyct_lib.study import parameters
from kidneyct_lib.study.run_folder import open_run
run = open_run(run_folder, "{name}", parameters.checked(globals()))
with Path("order").open("a") as file:
    print("{name}", Path(run_folder).name, file=file)
"""
CATALOG = "run.write_metrics('catalog', {'seed': seed})\nrun.finish()"
TRAINING = """
if Path("stop").exists() and Path("stop").read_text() == str(seed):
    raise KeyboardInterrupt
if Path("fail").exists() and Path("fail").read_text() == str(seed):
    raise ValueError(f"seed {seed} is unlucky")
one = {"n": 20, "groups": 5}
for metric, value in (("accuracy", seed / 10), ("macro_f1", seed / 20)):
    one |= {metric: value, f"{metric}_ci95": [value - 0.05, value + 0.1]}
run.write_metrics("test", {"slice": one, "patient": one | {"accuracy": 0.5, "other_window": one}})
run.finish()
"""
COMPARE = """
table = run.read_table("cells")
run.write_metrics("sweep", {"finished": int((table["status"] == "finished").sum())})
run.finish()
"""


@pytest.fixture
def project(tmp_path, monkeypatch, surroundings_unseen):
    """A project of two notebooks and that about the cells, each executed here and now."""
    (tmp_path / "params").mkdir()
    shutil.copy(ROOT / "params/phantom.yaml", tmp_path / "params")
    monkeypatch.chdir(tmp_path)
    write("01_download", "seed = 1", CATALOG)
    write("04_two_stage_training", "seed = 1", TRAINING)
    write("11_sweep", "seed = 1\nbootstrap = 1", COMPARE)
    monkeypatch.setattr(runner, "NotebookProcess", OneProcess)
    monkeypatch.setattr(runner, "PAUSE", 0)
    return tmp_path


def write(name, parameters, code):
    cells = [f'run_folder = "outputs/phantom"\n{parameters}', BEGIN.format(name=name) + code]
    cells = [nbformat.v4.new_code_cell(cell) for cell in cells]
    cells[0].metadata["tags"] = ["parameters"]
    Path("notebooks").mkdir(exist_ok=True)
    nbformat.write(nbformat.v4.new_notebook(cells=cells), f"notebooks/{name}.ipynb")


def read(**changes):
    content = {"name": "mine", "base": {"study": "phantom"}, "axes": {"seed": [1, 2, 3]}}
    Path("sweep.yaml").write_text(yaml.safe_dump(content | changes, sort_keys=False))
    return sweep.read(Path("sweep.yaml"))


def run(jobs=1, **changes):
    return sweep_runner.run(read(**changes), jobs=jobs)


def executed():
    """What ran since the last call, as (notebook, cell)."""
    order = Path("order")
    lines = order.read_text().splitlines() if order.exists() else []
    order.unlink(missing_ok=True)
    return [tuple(line.split()) for line in lines]


CELLS = ["phantom-seed1", "phantom-seed2", "phantom-seed3"]
EACH = [(name, cell) for cell in CELLS for name in ("01_download", "04_two_stage_training")]


def test_cells_run_in_order_and_finished_ones_are_skipped(project, capsys):
    assert run().finished == CELLS
    assert executed() == [*EACH, ("11_sweep", "mine")]
    lines = capsys.readouterr().out.splitlines()
    assert lines[:3] == [
        "[1/3] phantom-seed1",
        "  All 2 notebooks are to run.",
        "  [1/2] 01_download",
    ]
    ends = [line for line in lines if line.startswith("  phantom-seed1 done in ")]
    assert ends[0].endswith(" s: by slice 0.100, by patient 0.500")
    assert run().finished == CELLS
    assert executed() == [("11_sweep", "mine")]
    assert "[2/3] phantom-seed2 is finished." in capsys.readouterr().out
    assert Run("outputs/phantom-seed2").provenance()["changes"] == {"seed": 2}

    assert run(axes={"seed": [3, 4]}).finished == ["phantom-seed3", "phantom-seed4"]
    assert ("01_download", "phantom-seed3") not in executed()


def test_two_cells_take_turns(project, capsys):
    run(jobs=2)
    order = executed()
    assert order[:4] == [EACH[0], EACH[2], EACH[1], EACH[3]]
    lines = capsys.readouterr().out.splitlines()
    assert "  phantom-seed1: [1/2] 01_download" in lines
    assert "  phantom-seed2: [1/2] 01_download" in lines


def test_the_table_is_tidy_and_holds_the_headline(project):
    run(axes={"seed": [1, 2], "deployment_threads": [[1, 2]]})
    table = Run("outputs/sweeps/mine").read_table("cells")
    assert len(table) == 2 * 3 * 2
    assert set(table["status"]) == {"finished"}
    assert set(table["deployment_threads"]) == {"1, 2"}
    row = table.query("seed == 2 and scheme == 'other_window' and metric == 'macro_f1'").iloc[0]
    assert (row["value"], row["low"], row["high"]) == pytest.approx((0.1, 0.05, 0.2))
    assert (row["n"], row["groups"]) == (20, 5)
    expected = sum(f["seconds"] for f in Run(f"outputs/{row['cell']}").notebooks().values())
    assert row["seconds"] == pytest.approx(expected)
    assert (
        table.query("scheme == 'patient' and metric == 'accuracy'")["value"].tolist() == [0.5] * 2
    )
    known = Run("outputs/sweeps/mine")
    assert known.provenance()["axes"] == ["seed", "deployment_threads"]
    assert known.read_metrics("sweep") == {"finished": 12}


def test_a_failed_cell_is_listed_and_the_rest_has_run(project, capsys):
    Path("fail").write_text("2")
    outcome = run()
    assert outcome.finished == ["phantom-seed1", "phantom-seed3"]
    assert "seed 2 is unlucky" in outcome.failed["phantom-seed2"]
    table = Run("outputs/sweeps/mine").read_table("cells").set_index("cell")
    (status,) = table.loc[["phantom-seed2"], "status"]
    assert status == "failed"
    assert "seed 2 is unlucky" in table.loc["phantom-seed2", "message"]
    assert pd.isna(table.loc["phantom-seed2", "value"])
    executed()

    Path("fail").unlink()
    assert run().failed == {}
    assert executed() == [("04_two_stage_training", "phantom-seed2"), ("11_sweep", "mine")]


def test_an_interrupted_sweep_goes_on(project):
    Path("stop").write_text("2")
    with pytest.raises(KeyboardInterrupt):
        run()
    table = Run("outputs/sweeps/mine").read_table("cells")
    status = table.groupby("cell")["status"].first()
    assert status.tolist() == ["finished", "to run", "to run"]
    assert executed() == EACH[:4]
    Path("stop").unlink()
    assert len(run().finished) == 3
    assert executed() == [*EACH[3:], ("11_sweep", "mine")]


def test_no_cell_is_begun_that_would_go_beyond_the_hours(project, monkeypatch):
    clock = SimpleNamespace(now=0.0)
    clock.monotonic, clock.sleep = lambda: clock.now, lambda _: None
    monkeypatch.setattr(sweep_runner, "time", clock)
    monkeypatch.setattr(sweep_runner, "expected_minutes", lambda *_: 40.0)

    def half_an_hour(_):
        clock.now += 1800

    asked = read(budget={"hours": 1.2})
    outcome = sweep_runner.run(asked, jobs=1, finished=half_an_hour)
    assert outcome.finished == CELLS[:2]
    assert "would end after 1.7 hours, beyond the budget of 1.2" in outcome.left["phantom-seed3"]
    assert Run("outputs/sweeps/mine").read_metrics("sweep") == {"finished": 12}
    told = sweep_runner.summary(asked, outcome)
    assert "2 of 3 cells are finished." in told
    assert "phantom-seed3 was not begun: would end after" in told
    assert len(sweep_runner.run(asked, jobs=1).finished) == 3  # the same command goes on


def test_no_cell_is_begun_that_would_go_beyond_the_disk(project, monkeypatch):
    monkeypatch.setattr(sweep_runner, "missing_bytes", lambda _: 1e9)
    outcome = run(jobs=2, budget={"disk_gb": 1.5})
    assert outcome.finished == CELLS[:1]
    assert list(outcome.left) == CELLS[1:]
    assert "would make 2 GB, beyond the budget of 1.5" in outcome.left["phantom-seed2"]


def test_nothing_is_compared_where_nothing_has_finished(project):
    assert list(run(budget={"hours": 0.001}).left) == CELLS
    assert executed() == []


def test_cells_without_a_headline_are_run_and_not_compared(project):
    asked = read(notebooks=["01_download"])
    assert sweep_runner.run(asked, jobs=1).finished == CELLS
    assert [notebook for notebook, _ in executed()] == ["01_download"] * 3
    assert "Compared" not in sweep_runner.summary(asked, sweep_runner.Outcome(CELLS))
    assert len(Run("outputs/sweeps/mine").read_table("cells")) == 3


def test_a_notebook_about_the_cells_that_fails_is_told(project):
    write("11_sweep", "seed = 1\nbootstrap = 1", "raise ValueError('no figure')")
    with pytest.raises(StudyError, match=r"11_sweep stopped in cell .*no figure"):
        run()


def test_two_of_the_same_sweep_at_once_are_refused(project):
    from filelock import FileLock

    Path("outputs/sweeps/mine").mkdir(parents=True)
    with FileLock("outputs/sweeps/mine/.lock"), pytest.raises(StudyError, match="is running the"):
        run()


def test_the_command_reports_each_run_and_tells_failures_by_its_status(
    project, monkeypatch, capsys
):
    reported = []
    monkeypatch.setattr(report, "write", lambda run: reported.append(run.folder.name))
    read()
    assert cli.main(["sweep", "sweep.yaml", "--dry-run"]) == 0
    assert "To run: 3 cells" in capsys.readouterr().out
    assert not Path("outputs").exists()
    Path("fail").write_text("2")
    assert cli.main(["sweep", "sweep.yaml", "--jobs", "1"]) == 1
    assert reported == ["phantom-seed1", "phantom-seed3"]
    out = capsys.readouterr().out
    assert "phantom-seed2 failed: 04_two_stage_training stopped in cell" in out
    Path("fail").unlink()
    assert cli.main(["sweep", "sweep.yaml", "--jobs", "1"]) == 0
    assert "3 of 3 cells are finished." in capsys.readouterr().out
    assert cli.main(["sweep", "nowhere.yaml"]) == 1
    assert cli.main(["sweep", "sweep.yaml", "--jobs", "0"]) == 1
    assert cli.main(["sweep", "sweep.yaml", "--data", "nowhere"]) == 1
    err = capsys.readouterr().err
    assert "no sweep at nowhere.yaml" in err
    assert "JOBS is 0" in err
    assert "DATA=nowhere is no folder" in err

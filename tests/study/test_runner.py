"""The runner, on notebooks of a few lines: what runs, what is skipped, what a failure tells."""

import os
import time
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import nbformat
import pytest
import yaml

from kidneyct_lib.core.errors import StudyError
from kidneyct_lib.study import clusters, runner
from kidneyct_lib.study import parameters as study_parameters
from kidneyct_lib.study.run_folder import Run

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[2]

BEGIN = """
from kidneyct_lib.study import parameters
from kidneyct_lib.study.run_folder import open_run
run = open_run(run_folder, "{name}", parameters.checked(globals()))
"""
FIRST = BEGIN.format(name="01_first") + "run.write_metrics('first', {'seed': seed})\nrun.finish()"
SECOND = BEGIN.format(name="02_second") + (
    "run.write_metrics('second', {'twice': 2 * run.read_metrics('first')['seed'], 'b': bootstrap})"
    "\nrun.finish()"
)


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A project of two small notebooks and the phantom study's parameters."""
    (tmp_path / "params").mkdir()
    content = yaml.safe_load((ROOT / "params/phantom.yaml").read_text())
    (tmp_path / "params/phantom.yaml").write_text(yaml.safe_dump(content))
    monkeypatch.chdir(tmp_path)
    write(tmp_path, "01_first", "seed = 1", FIRST)
    write(tmp_path, "02_second", "bootstrap = 1", SECOND)
    return tmp_path


def write(project, name, parameters, code):
    parameters = f'run_folder = "outputs/phantom"\n{parameters}'
    cells = [nbformat.v4.new_code_cell(parameters), nbformat.v4.new_code_cell(code)]
    cells[0].metadata["tags"] = ["parameters"]
    notebook = nbformat.v4.new_notebook(cells=cells)
    notebook.metadata["kernelspec"] = {"name": "python3", "display_name": "", "language": "python"}
    (project / "notebooks").mkdir(exist_ok=True)
    nbformat.write(notebook, project / "notebooks" / f"{name}.ipynb")


class InThisProcess:
    """A notebook executed here and now, for tests of what is executed and why."""

    def __init__(self, source, target, parameters, *, line):
        self.line, self.began = line, time.monotonic()
        notebook, names = nbformat.read(source, as_version=4), {}
        for cell, added in zip(notebook.cells, (parameters, {}), strict=True):
            exec(cell.source, names)
            names |= added
        target.parent.mkdir(parents=True, exist_ok=True)
        nbformat.write(notebook, target)

    def poll(self):
        return 0

    def failure(self):
        return None


@pytest.fixture
def at_once(monkeypatch):
    monkeypatch.setattr(runner, "NotebookProcess", InThisProcess)


def reproduce(**changes):
    return runner.reproduce(study_parameters.load(Path("params/phantom.yaml"), **changes))


def test_a_study_runs_once_and_only_what_changed_runs_again(at_once, project, capsys):
    assert reproduce() == 2
    first_line = capsys.readouterr().out.splitlines()[0]
    assert "Study phantom" in first_line
    assert "minutes" in first_line
    assert "STUDY=kaggle" in first_line
    run = Run("outputs/phantom")
    seed = run.read_metrics("first")["seed"]
    assert run.read_metrics("second")["twice"] == 2 * seed

    assert run.provenance()["study"] == "phantom"
    written = (run.folder / "run.json").stat().st_mtime_ns
    assert reproduce() == 0
    assert (run.folder / "run.json").stat().st_mtime_ns == written
    assert "up to date" in capsys.readouterr().out
    assert reproduce(bootstrap=500) == 1  # only the second notebook uses it
    assert run.read_metrics("second")["b"] == 500
    assert reproduce(bootstrap=500, seed=8) == 2
    assert run.read_metrics("second")["twice"] == 16

    (project / "outputs/phantom/metrics/first.json").unlink()
    assert reproduce(bootstrap=500, seed=8) == 1
    assert run.read_metrics("first")["seed"] == 8


def test_what_would_run_is_told_and_nothing_is_written(at_once, project, capsys):
    values = study_parameters.load(Path("params/phantom.yaml"))
    assert runner.reproduce(values, dry_run=True) == 2
    assert not (project / "outputs").exists()
    reproduce()
    capsys.readouterr()
    changed = values.model_copy(update={"bootstrap": 7})
    assert runner.reproduce(changed, dry_run=True) == 1
    assert f"02_second: bootstrap: {values.bootstrap} -> 7" in capsys.readouterr().out
    assert runner.reproduce(values, dry_run=True) == 0


MEET = (
    BEGIN
    + """
import time
from pathlib import Path
Path("{name}").touch()
end = time.monotonic() + 60
while not Path("{other}").exists() and time.monotonic() < end:
    time.sleep(0.1)
run.write_metrics("{name}", {{"met": Path("{other}").exists()}})
run.finish()
"""
)


@pytest.mark.long  # processes of their own, as below
@pytest.mark.parametrize(("jobs", "met"), [(2, True), (1, False)])
def test_notebooks_that_do_not_wait_for_one_another_run_side_by_side(
    project, monkeypatch, jobs, met
):
    monkeypatch.setattr(runner.staleness, "NEEDS", {"02_second": [], "03_third": []})
    monkeypatch.setattr(runner.staleness, "ALONE", {"03_third"} if jobs == 1 else set())
    (project / "notebooks/01_first.ipynb").unlink()
    code = MEET if met else MEET.replace("+ 60", "+ 0")
    write(project, "02_second", "seed = 1", code.format(name="02_second", other="03_third"))
    write(project, "03_third", "seed = 1", code.format(name="03_third", other="02_second"))
    values = study_parameters.load(Path("params/phantom.yaml"))
    assert runner.reproduce(values, jobs=2) == 2
    assert Run("outputs/phantom").read_metrics("02_second") == {"met": met}
    notebooks = Run("outputs/phantom").provenance()["notebooks"]
    assert all({"finished", "depends_on"} <= set(facts) for facts in notebooks.values())


@pytest.mark.parametrize(
    ("waiting", "running", "expected"),
    [
        (["01_a", "02_b", "03_c", "04_d"], [], ["01_a"]),
        (["02_b", "03_c", "04_d"], [], ["02_b"]),
        (["03_c", "04_d"], ["02_b"], []),
        (["03_c", "04_d"], [], ["03_c"]),  # alone, and another waits for it
        (["04_d"], ["03_c"], []),
        (["04_d"], [], ["04_d"]),
        (["04_d"], ["01_a"], []),  # needed by what it needs
    ],
)
def test_one_that_runs_alone_starts_when_no_other_runs_or_can(
    monkeypatch, waiting, running, expected
):
    needs = {"01_a": [], "02_b": ["01_a"], "03_c": ["01_a"], "04_d": ["03_c"]}
    steps = {
        name: runner.Step(Path(f"{name}.ipynb"), {"needed": dict.fromkeys(needed)}, ["new"])
        for name, needed in needs.items()
    }
    monkeypatch.setattr(runner.staleness, "ALONE", {"03_c"})
    monkeypatch.setattr(runner.staleness, "AFTER", {})
    assert runner._ready(waiting, dict.fromkeys(running), steps) == expected


def test_one_that_adds_to_a_table_runs_when_the_table_is_written_anew(at_once, project):
    table = "import pandas\ntable = pandas.DataFrame({'a': [1]})\nrun.write_table('both', table)\n"
    first, second = (code.replace("run.write", f"{table}run.write", 1) for code in (FIRST, SECOND))
    write(project, "01_first", "seed = 1", first)
    write(project, "02_second", "bootstrap = 1", second)
    reproduce()
    (project / "outputs/phantom/metrics/first.json").unlink()
    assert reproduce() == 2
    assert reproduce() == 0
    Run("outputs/phantom").begin("01_first", {"seed": 1})  # and killed before it wrote anything
    assert reproduce() == 2


def test_a_scheduler_is_started_where_a_notebook_is_to_run_and_named_to_it(
    at_once, project, monkeypatch
):
    asked = clusters.Choice(workers=3)
    started = []

    @contextmanager
    def pretended(choice):
        started.append(choice)
        with clusters._named("tcp://a:1"):
            yield "tcp://a:1"

    monkeypatch.setattr(runner.clusters, "scheduler", pretended)
    code = FIRST.replace("{'seed': seed}", "{'seed': 1, 'by': os.environ['KIDNEYCT_SCHEDULER']}")
    write(project, "01_first", "seed = 1", f"import os\n{code}")
    values = study_parameters.load(Path("params/phantom.yaml"))
    assert runner.reproduce(values, cluster=asked, dry_run=True) == 2
    assert started == []
    assert runner.reproduce(values, cluster=asked) == 2
    assert started == [asked]
    assert Run("outputs/phantom").read_metrics("first")["by"] == "tcp://a:1"
    assert runner.reproduce(values) == runner.reproduce(values, cluster=asked) == 0  # not stale
    assert started == [asked]
    assert "KIDNEYCT_SCHEDULER" not in os.environ


def test_a_wrong_number_of_jobs_is_refused(project):
    values = study_parameters.load(Path("params/phantom.yaml"))
    with pytest.raises(StudyError, match="JOBS is -1"):
        runner.reproduce(values, jobs=-1)


@pytest.mark.long
def test_one_that_fails_lets_the_others_finish(project, monkeypatch):
    monkeypatch.setattr(runner.staleness, "NEEDS", {"01_first": [], "02_second": []})
    slow = FIRST.replace("run.write", "import time; time.sleep(3)\nrun.write")
    write(project, "01_first", "seed = 1", slow)
    write(project, "02_second", "bootstrap = 1", "raise ValueError('broken here')")
    with pytest.raises(StudyError, match=r"02_second stopped in cell .*broken here"):
        reproduce()
    write(project, "02_second", "bootstrap = 1", "pass")
    assert "01_first" in Run("outputs/phantom").provenance()["notebooks"]
    with pytest.raises(StudyError, match=r"02_second never called .run\.finish"):
        reproduce()


def test_a_failure_tells_the_cell_and_the_next_call_goes_on(project):
    write(project, "02_second", "bootstrap = 1", "raise ValueError('broken here')")
    with pytest.raises(StudyError, match=r"02_second stopped in cell .*broken here"):
        reproduce()
    assert "broken here" in (project / "outputs/phantom/notebooks/02_second.ipynb").read_text()
    write(project, "02_second", "bootstrap = 1", SECOND)
    assert reproduce() == 1


def test_a_killed_kernel_is_told_and_the_next_call_goes_on(project):
    write(project, "02_second", "bootstrap = 1", "import os\nos.kill(os.getpid(), 9)")
    with pytest.raises(StudyError, match="02_second did not finish"):
        reproduce()
    write(project, "02_second", "bootstrap = 1", SECOND)
    assert reproduce() == 1


def test_a_changed_file_of_the_data_runs_the_study_again(at_once, project, tmp_path):
    data = tmp_path / "data"
    data.mkdir()
    (data / "image").write_text("1")
    write(project, "01_first", "seed = 1\ndata = None", FIRST)
    assert reproduce(data=str(data)) == 2
    assert reproduce(data=str(data)) == 0
    (data / "image").write_text("22")
    assert reproduce(data=str(data)) == 2


def test_two_runs_of_one_study_at_once_are_refused(project):
    from filelock import FileLock

    folder = project / "outputs/phantom"
    folder.mkdir(parents=True)
    with FileLock(folder / ".lock"), pytest.raises(StudyError, match="Another process"):
        reproduce()


def test_an_earlier_finish_does_not_count(at_once, project):
    reproduce()
    write(project, "02_second", "bootstrap = 1", "pass")
    with pytest.raises(StudyError, match=r"02_second never called .run\.finish"):
        reproduce()


def test_a_long_message_of_a_failing_notebook_arrives_cut_short(project):
    write(project, "01_first", "seed = 1", "raise ValueError('x' * 1_000_000)")
    with pytest.raises(StudyError, match=r"01_first stopped in cell") as caught:
        reproduce()
    assert len(str(caught.value)) < 30_000


@pytest.mark.parametrize(("peak", "jobs"), [(None, 3), (2_000, 3), (5_000, 2), (20_000, 1)])
def test_notebooks_that_took_much_memory_leave_room_for_fewer(monkeypatch, tmp_path, peak, jobs):
    run = Run(tmp_path)
    monkeypatch.setattr(run, "provenance", lambda: {"notebooks": {"01": {"peak_memory_mb": peak}}})
    free = SimpleNamespace(available=10e9)
    monkeypatch.setattr(runner.psutil, "virtual_memory", lambda: free)
    monkeypatch.setattr(runner.os, "cpu_count", lambda: 8)
    assert runner.side_by_side(run) == jobs


SURROUNDINGS = """
import locale, sys
import matplotlib as mpl
run.write_metrics("surroundings", {
    "text": open(__import__("os").devnull).encoding,
    "grid": bool(mpl.rcParams["axes.grid"]),
    "startup": "of_the_user" in globals(),
    "hash": sys.flags.hash_randomization,
})
run.finish()
"""


def test_the_users_settings_and_folders_play_no_part(project, tmp_path, monkeypatch):
    home = tmp_path / "home"
    startup = home / ".ipython/profile_default/startup"
    startup.mkdir(parents=True)
    (startup / "mine.py").write_text("of_the_user = 1")
    (home / "matplotlibrc").write_text("axes.grid: True\nbackend: nonsense\n")
    deep = home / ("long name " * 12)
    deep.mkdir()
    for name, value in {
        "HOME": home,
        "IPYTHONDIR": home / ".ipython",
        "MATPLOTLIBRC": home / "matplotlibrc",
        "TMPDIR": deep,
        "LC_ALL": "C",
        "PYTHONUTF8": "0",
        "PYTHONCOERCECLOCALE": "0",
        "PYTHONHASHSEED": "7",
    }.items():
        monkeypatch.setenv(name, str(value))
    write(project, "01_first", "seed = 1", BEGIN.format(name="01_first") + SURROUNDINGS)
    (project / "notebooks/02_second.ipynb").unlink()
    assert reproduce() == 1
    known = Run("outputs/phantom").read_metrics("surroundings")
    assert known == {"text": "utf-8", "grid": False, "startup": False, "hash": 0}

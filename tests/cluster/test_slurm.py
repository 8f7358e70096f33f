"""A study by real jobs of a real Slurm, of one node, on this machine alone; see slurm.sh."""

import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from importlib.util import find_spec
from pathlib import Path

import pytest
from tiny_study import NOTEBOOKS, tiny

from kidneyct_lib.core import engine
from kidneyct_lib.core.errors import StudyError
from kidneyct_lib.core.threads import THREADS
from kidneyct_lib.study import clusters, runner

pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif(
        any(find_spec(name) is None for name in ("distributed", "dask_jobqueue")),
        reason="the extra `dask` is not installed: make setup EXTRA=dask",
    ),
]
SCRIPT = Path(__file__).with_name("slurm.sh")
JOBS = """
kind: slurm
workers: {workers}
cores: 1
memory: 4 GB
walltime: 00:20:00
interface: lo
"""


@pytest.fixture(scope="module", autouse=True)
def slurm():
    """A cluster of this machine for the tests of this file; they skip where it can't be."""
    folder = tempfile.mkdtemp(prefix="slurm-")  # a short path: sockets may have a hundred letters
    started = subprocess.run([SCRIPT, "up", folder], stderr=subprocess.PIPE, text=True)
    try:
        if started.returncode == 77:
            pytest.skip(f"Slurm can't be installed here: {started.stderr.strip()}")
        assert started.returncode == 0, started.stderr
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("SLURM_CONF", f"{folder}/slurm.conf")
            # Dask's 15 seconds for a worker whose connection broke are spent waiting here.
            patch.setenv("DASK_DISTRIBUTED__DEPLOY__LOST_WORKER_TIMEOUT", "1s")
            for name in engine.SCHEDULERS:
                patch.delenv(name, raising=False)
            yield
    finally:
        subprocess.run([SCRIPT, "down", folder], check=True)
    assert not Path(folder).exists()


def queue():
    """Ids of the jobs that wait or run."""
    listed = subprocess.run(
        ["squeue", "--noheader", "--format=%i"], capture_output=True, text=True, check=True
    )
    return listed.stdout.split()


def wait_for(condition, seconds, what):
    end = time.monotonic() + seconds
    while not (result := condition()):
        assert time.monotonic() < end, f"not within {seconds} s: {what}"
        time.sleep(0.2)
    return result


def none_is_left():
    """Jobs that were cancelled are listed until their processes have ended."""
    wait_for(lambda: not queue(), 60, "all jobs end")


@pytest.fixture
def project(tmp_path, monkeypatch):
    """The notebooks that lead to the trainings, as a project; its path has a space."""
    folder = tmp_path / "a project"
    (folder / "notebooks").mkdir(parents=True)
    (folder / "params").mkdir()
    for notebook in NOTEBOOKS:
        if notebook.stem in ("01_download", "03_split_and_weight", "04_two_stage_training"):
            shutil.copy(notebook, folder / "notebooks")
    monkeypatch.chdir(folder)
    return folder


def described(project, workers):
    path = project / "params/jobs.yaml"
    path.write_text(JOBS.format(workers=workers))
    return path


# --- work that only waits: jobs come, are cancelled, are replaced and leave ---


WORK = """
import os, signal, sys, time
from pathlib import Path
from kidneyct_lib.core import engine
from kidneyct_lib.study import clusters

def job(number):
    time.sleep(0.5)
    return os.environ["SLURM_JOB_ID"]

def main():
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # as the command line does
    with clusters.scheduler(clusters.choose(file=Path("params/jobs.yaml"))) as address:
        print("address", address, flush=True)
        jobs = engine.run_all(job, [{"number": number} for number in range(10)], label="work")
        print("jobs", *jobs, flush=True)
        time.sleep(120)
"""


@pytest.fixture
def working(project):
    """A process whose work one job does."""
    described(project, workers=1)
    (project / "work.py").write_text(WORK)
    with (project / "errors.log").open("w") as errors:
        process = subprocess.Popen(
            [sys.executable, "-c", "import work; work.main()"],
            env=os.environ | {"PYTHONPATH": str(project)},  # the jobs import it too
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
        )
    yield process
    process.kill()
    process.wait()


def line_of(process, word):
    """The next line that begins with a word."""
    for line in process.stdout:
        if line.startswith(word):
            return line.split()[1:]
    raise AssertionError(f"{word}: {Path('errors.log').read_text()}")


def test_a_cancelled_job_is_replaced_and_none_is_left_after_sigterm(working):
    (address,) = line_of(working, "address")
    assert address.startswith("tcp://127.0.0.1:")
    (first,) = queue()
    time.sleep(2)
    subprocess.run(["scancel", first], check=True)
    jobs = line_of(working, "jobs")
    assert len(jobs) == 10
    (second,) = queue()
    assert set(jobs) == {first, second}
    working.terminate()
    working.wait(30)
    none_is_left()
    assert Path("errors.log").read_text().count("Traceback") == 1  # the KeyboardInterrupt


def test_no_job_is_left_where_the_study_is_killed(working):
    line_of(working, "address")
    assert len(queue()) == 1
    working.kill()
    none_is_left()


def test_a_partition_that_is_not_there_is_told_in_slurms_words(project):
    path = described(project, workers=2)
    path.write_text(path.read_text() + "queue: nowhere\n")
    with (
        pytest.raises(StudyError, match="invalid partition"),
        clusters.scheduler(clusters.choose(file=path)),
    ):
        pass
    none_is_left()


def test_set_up_lines_that_fail_are_told_with_the_jobs_log(project):
    path = described(project, workers=1)
    path.write_text(path.read_text() + "setup_lines: [echo no such module, exit 3]\n")
    with (
        pytest.raises(StudyError, match=r"All jobs ended .*\n?.*no such module"),
        clusters.scheduler(clusters.choose(file=path)),
    ):
        pass


# --- a study ---


def cancel_one_at_work(run, cancelled):
    """Once a training has begun, cancel the job that does it."""
    from distributed import Client

    def trained():
        names = {path.name for path in run.glob("checkpoints/*.npz")}
        return any("weights" not in name for name in names)  # theirs are notebook 03's

    address = wait_for(engine.scheduler, 300, "a scheduler is named")
    wait_for(trained, 600, "a training begins")
    with Client(address, set_as_default=False) as client:
        busy = wait_for(
            lambda: [at for at, keys in client.processing().items() if keys], 60, "work"
        )
        (job,) = client.run(os.getenv, "SLURM_JOB_ID", workers=busy[:1]).values()
    subprocess.run(["scancel", job], check=True)
    cancelled.append(job)


def results(run):
    """Every metric and table, as bytes."""
    files = [*run.glob("metrics/*.json"), *run.glob("tables/*.csv")]
    return {path.name: path.read_bytes() for path in files}


def test_a_study_by_jobs_one_of_which_is_cancelled_equals_one_without(project, monkeypatch):
    for name in THREADS:
        monkeypatch.setenv(name, "1")
    study = tiny("phantom", project)
    assert runner.reproduce(study) == 3
    run = Path(study.run_folder)
    before = results(run)
    trainings = [path for path in run.glob("checkpoints/*") if "weights" not in path.name]
    for path in (*trainings, run / "metrics/test.json", run / "tables/predictions.csv"):
        path.unlink()

    cancelled = []
    canceller = threading.Thread(target=cancel_one_at_work, args=(run, cancelled))
    canceller.start()
    choice = clusters.choose(file=described(project, workers=2))
    assert runner.reproduce(study, cluster=choice) == 1  # the notebook that trains
    canceller.join()
    (job,) = cancelled
    none_is_left()
    assert "CANCELLED" in (project / f".cache/cluster/{job}.log").read_text()
    assert results(run) == before

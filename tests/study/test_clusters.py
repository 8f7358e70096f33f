"""The scheduler of a study: none, a running one, workers here, jobs; and that nothing stays."""

import os
import re
import signal
import subprocess
import sys
import time
import urllib.request
from importlib.util import find_spec
from pathlib import Path

import psutil
import pytest

from kidneyct_lib.core import engine
from kidneyct_lib.core.errors import StudyError
from kidneyct_lib.study import clusters, started_clusters

ROOT = Path(__file__).parents[2]
FILE = ROOT / "params/clusters/slurm.yaml"
needs_dask = pytest.mark.skipif(
    any(find_spec(name) is None for name in ("distributed", "dask_jobqueue")),
    reason="the extra `dask` is not installed: make setup EXTRA=dask",
)


@pytest.fixture(scope="module", autouse=True)
def heeding_ctrl_c():
    """As at a terminal: a job of a shell's background starts with SIGINT ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture(autouse=True)
def unnamed(monkeypatch):
    for name in (*engine.SCHEDULERS, "KIDNEYCT_PATIENCE"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def installed(monkeypatch):
    """The extra and every program count as installed."""
    monkeypatch.setattr(clusters, "find_spec", lambda name: name)
    monkeypatch.setattr(clusters.shutil, "which", lambda name: name)


def test_a_study_that_asks_for_nothing_imports_no_dask():
    code = (
        "import sys; from kidneyct_lib.study import clusters\n"
        "with clusters.scheduler(clusters.choose()) as address:\n"
        "    print(address, {'dask', 'distributed'} & sys.modules.keys())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "None set()\n"


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"workers": 2, "address": "tcp://a:1"}, "WORKERS and SCHEDULER contradict"),
        ({"workers": 2, "file": FILE}, "WORKERS and CLUSTER contradict"),
        ({"workers": 0}, "WORKERS is 0"),
        ({"address": "a:8786"}, "SCHEDULER=a:8786 is no address"),
        ({"file": FILE.with_name("none.yaml")}, "there is no such file"),
    ],
)
def test_what_cannot_be_meant_is_refused(installed, given, message):
    with pytest.raises(StudyError, match=message):
        clusters.choose(**given)


def test_the_environment_names_a_scheduler_unless_something_is_asked_for(installed, monkeypatch):
    monkeypatch.setenv("DASK_SCHEDULER_ADDRESS", "tcp://users:1")
    assert clusters.choose().address == "tcp://users:1"
    assert clusters.choose(address="tcp://other:1").address == "tcp://other:1"
    assert clusters.choose(workers=3) == clusters.Choice(workers=3)
    assert clusters.choose(file=FILE).address is None


def test_what_is_not_installed_is_told_with_the_remedy(installed, monkeypatch):
    monkeypatch.setattr(clusters.shutil, "which", lambda name: None)
    with pytest.raises(StudyError, match=r"no `sbatch` here: .* WORKERS=n"):
        clusters.choose(file=FILE)
    monkeypatch.setattr(clusters, "find_spec", lambda name: None if name == "distributed" else 1)
    with pytest.raises(StudyError, match=r"distributed of .* make setup EXTRA=dask"):
        clusters.choose(workers=1)
    assert clusters.choose() == clusters.HERE


@needs_dask
def test_a_scheduler_that_does_not_answer_is_told(monkeypatch):
    monkeypatch.setattr(clusters, "_CONNECTING", 0.5)
    with (
        pytest.raises(StudyError, match=r"No scheduler answers at tcp://127.0.0.1:9 .*dask worker"),
        clusters.scheduler(clusters.choose(address="tcp://127.0.0.1:9")),
    ):
        pass


@needs_dask
def test_too_many_workers_for_the_memory_are_refused():
    most = int(psutil.virtual_memory().total // 1.5e9)
    with (
        pytest.raises(StudyError, match=r"give at most WORKERS=\d+ on this machine"),
        clusters.scheduler(clusters.choose(workers=2 * most + 2)),
    ):
        pass


# --- workers on this machine, whose scheduler is found from another process ---


STARTED = """
import json, os, sys, time
from kidneyct_lib.study import clusters

if __name__ == "__main__":
    with clusters.scheduler(clusters.choose(workers=2)) as address:
        print("named", os.environ["KIDNEYCT_SCHEDULER"] == address, address, flush=True)
        time.sleep(120)
"""


@pytest.fixture(scope="module")
def process(tmp_path_factory):
    """A process with two workers, in a group of its own as in a terminal."""
    script = tmp_path_factory.mktemp("started") / "started.py"
    script.write_text(STARTED)
    started = subprocess.Popen(
        [sys.executable, script],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    yield started
    if started.poll() is None:
        os.killpg(started.pid, signal.SIGKILL)


@needs_dask
@pytest.mark.long
def test_workers_here_are_found_checked_and_gone_after_ctrl_c(process, monkeypatch, capfd):
    lines = [process.stdout.readline() for _ in range(3)]
    assert "2 workers with" in lines[0], lines + process.stdout.readlines()
    dashboard = re.search(r"http://127\.0\.0\.1:\d+/status", lines[1])[0]
    with urllib.request.urlopen(dashboard, timeout=30) as page:
        assert "docs_json" in page.read().decode()  # a figure of Bokeh's
    named, address = re.fullmatch(r"named (\w+) (tcp://127\.0\.0\.1:\d+)\n", lines[2]).groups()
    assert named == "True"
    choice = clusters.choose(address=address)

    with clusters.scheduler(choice) as found:
        assert found == address == engine.scheduler()
        squares = engine.run_all(clusters.attempt, [{"number": n} for n in (3, 5)], label="two")
    assert squares == [3, 5]
    assert engine.scheduler() is None
    assert "2 workers with" in capfd.readouterr().out

    own = clusters._spoken
    told = iter([{"python": "3.11.0", "dask": "1", "distributed": "2026.1"}])
    monkeypatch.setattr(clusters, "_spoken", lambda known: next(told, None) or own(known))
    with pytest.raises(StudyError, match=r"not 3\.11\.0, dask .*, not 1, .*own Python"):
        clusters._meet(address)

    members = psutil.Process(process.pid).children(recursive=True)
    assert len(members) >= 2
    os.killpg(process.pid, signal.SIGINT)
    output, _ = process.communicate(timeout=60)
    assert psutil.wait_procs(members, timeout=10)[1] == []
    assert output.count("Traceback") == output.count("KeyboardInterrupt") == 1, output


@needs_dask
def test_a_scheduler_without_workers_is_told():
    from distributed import LocalCluster

    with (
        LocalCluster(n_workers=0, processes=False, dashboard_address="127.0.0.1:0") as empty,
        pytest.raises(StudyError, match=f"has no workers: .*dask worker {empty.scheduler_address}"),
        clusters.scheduler(clusters.choose(address=empty.scheduler_address)),
    ):
        pass


# --- jobs, with commands that only pretend to be Slurm's; tests/cluster has the real ones ---


@pytest.fixture
def pretended(tmp_path, monkeypatch):
    """Writer of commands that come first on PATH; all tell in `calls` what they were given."""

    def write(**scripts):
        for name, script in scripts.items():
            command = tmp_path / name
            command.write_text(f'#!/bin/sh\necho "{name} $@" >> "{tmp_path}/calls"\n{script}\n')
            command.chmod(0o755)
        return tmp_path / "calls"

    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    (tmp_path / "params").mkdir()
    monkeypatch.setenv("KIDNEYCT_PROJECT", str(tmp_path))
    monkeypatch.setattr(started_clusters, "_LOOK", 0.05)
    return write


def start_jobs():
    with clusters.scheduler(clusters.choose(file=FILE)):
        raise AssertionError("no worker has come")


@needs_dask
def test_jobs_that_the_cluster_refuses_are_told_in_its_words(pretended):
    pretended(sbatch="echo 'sbatch: error: no such partition' >&2; exit 1", scancel="")
    with pytest.raises(StudyError, match=r"refuses the job: sbatch: error: no such partition"):
        start_jobs()


@needs_dask
def test_jobs_that_end_before_a_worker_comes_are_told_with_their_log(pretended, tmp_path):
    calls = pretended(
        sbatch=f'cd "{tmp_path}"; echo "module: not found" > .cache/cluster/$$.log; '
        'echo "Submitted batch job $$"',
        squeue="",
        scancel="",
    )
    with pytest.raises(StudyError, match=r"All jobs ended .*\n?.*ends:\nmodule: not found"):
        start_jobs()
    told = calls.read_text().splitlines()
    assert len([line for line in told if line.startswith("sbatch")]) == 4
    assert len([line for line in told if line.startswith("scancel")]) == 4
    assert engine.scheduler() is None
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


@needs_dask
def test_a_network_that_is_not_there_is_told(pretended, tmp_path):
    pretended(sbatch="")
    mine = tmp_path / "mine.yaml"
    mine.write_text(FILE.read_text().replace("interface: null", "interface: no0"))
    with (
        pytest.raises(StudyError, match="no0"),
        clusters.scheduler(clusters.choose(file=mine)),
    ):
        pass


def test_a_second_ctrl_c_does_not_disturb_the_end(monkeypatch):
    class Cluster:
        def close(self, timeout):
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(0.05)
            self.closed = timeout

    cluster = Cluster()
    with pytest.raises(KeyboardInterrupt, match="first"), started_clusters._closing(cluster):
        raise KeyboardInterrupt("first")
    assert cluster.closed
    with pytest.raises(KeyboardInterrupt):
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(1)

"""Independent work, done here and by the workers of a cluster."""

import os
import signal
import subprocess
import sys
import threading
import time

import cluster_work as work
import numpy as np
import pandas as pd
import pytest
from local_cluster import Cluster, end

import kidneyct_lib.core
from kidneyct_lib.core import engine
from kidneyct_lib.core.errors import StudyError

NUMBERS = [{"number": n} for n in range(5)]


@pytest.fixture(autouse=True)
def no_scheduler(monkeypatch):
    for name in engine.SCHEDULERS:
        monkeypatch.delenv(name, raising=False)


# --- in this process ---------------------------------------------------------------------------


def test_results_come_in_the_order_of_the_calls():
    assert engine.run_all(work.square, NUMBERS, label="squares") == [0, 1, 4, 9, 16]
    assert engine.run_all(work.square, [], label="squares") == []


def test_nothing_of_dask_is_loaded_where_no_scheduler_is_named():
    program = (
        "import sys, cluster_work as work\nfrom kidneyct_lib.core import engine\n"
        "assert engine.run_all(work.square, [{'number': 3}], label='squares') == [9]\n"
        "sys.exit(bool({'dask', 'distributed'} & sys.modules.keys()))"
    )
    paths = os.pathsep.join(sys.path)
    ended = subprocess.run([sys.executable, "-c", program], env=os.environ | {"PYTHONPATH": paths})
    assert ended.returncode == 0


def test_an_error_comes_through_as_it_is():
    with pytest.raises(ZeroDivisionError):
        engine.run_all(work.failing, [{"number": 3}], label="numbers")


def test_a_bar_names_what_it_belongs_to(tmp_path, capfd):
    calls = [{"folder": str(tmp_path), "number": n, "count": 2, "seconds": 0} for n in range(2)]
    names = ["first", "second"]
    engine.run_all(work.steps, calls, label="all", names=names, own_bars=True)
    shown = capfd.readouterr().err
    assert "first: steps: 100%" in shown and "second: steps: 100%" in shown
    assert "all" not in shown
    engine.run_all(work.square, NUMBERS, label="squares")
    assert "squares: 100%" in capfd.readouterr().err


def test_a_named_scheduler_without_dask_is_told(monkeypatch):
    monkeypatch.setenv("DASK_SCHEDULER_ADDRESS", "tcp://nowhere:1")
    monkeypatch.setitem(sys.modules, "distributed", None)
    for name in ("dask_client", "dask_worker"):
        monkeypatch.delitem(sys.modules, f"kidneyct_lib.core.{name}", raising=False)
        monkeypatch.delattr(kidneyct_lib.core, name, raising=False)
    with pytest.raises(StudyError, match=r'tcp://nowhere:1.*EXTRA="dask"'):
        engine.run_all(work.square, NUMBERS, label="squares")


# --- on workers --------------------------------------------------------------------------------


def test_workers_share_the_calls_and_results_keep_their_order(on_pair, tmp_path):
    calls = [
        {"number": n, "seconds": 0.4 if n < 2 else 0.05, "folder": str(tmp_path)} for n in range(6)
    ]
    results = engine.run_all(work.slow_square, calls, label="squares", folders=[tmp_path])
    assert results == [n**2 for n in range(6)]
    processes = [(tmp_path / f"{n}.txt").read_text().splitlines() for n in range(6)]
    assert all(len(one) == 1 for one in processes)  # each call once
    assert len({one[0] for one in processes}) == 2
    assert str(os.getpid()) not in {one[0] for one in processes}
    assert not list(tmp_path.glob(".meeting*"))


def test_a_worker_computes_on_as_many_threads_as_it_has(on_pair):
    (found,) = engine.run_all(work.surroundings, [{}], label="threads")
    assert found["pools"] == {1}
    assert found["TF_NUM_INTRAOP_THREADS"] == found["TF_NUM_INTEROP_THREADS"] == "1"


@pytest.mark.long
def test_one_bar_tells_how_far_all_are(on_pair, tmp_path, capfd):
    calls = [{"folder": str(tmp_path), "number": n, "count": 4, "seconds": 1.2} for n in range(2)]
    engine.run_all(work.steps, calls, label="all", names=["first", "second"])
    shown = capfd.readouterr().err
    assert "all: 100%" in shown
    assert "first: steps" in shown and "second: steps" in shown


def test_arrays_travel_as_files_that_are_written_once(on_pair, tmp_path):
    rng = np.random.default_rng(0)
    large, small = rng.random((200, 100)), np.arange(5)
    turned = np.asfortranarray(rng.integers(0, 9, (300, 400)))
    frame = pd.DataFrame({"name": ["a", "b"] * 10_000, "value": rng.random(20_000)})
    call = {"arrays": [large, large, small, turned], "frame": frame, "folder": str(tmp_path)}
    calls = [call | {"number": n} for n in range(3)]
    results = engine.run_all(work.look_at, calls, label="arrays", folders=[tmp_path])
    for digests, description, files in results:
        assert digests == [work.digest(one) for one in call["arrays"]]
        assert description == frame.describe().to_dict()
        assert files == 3  # two arrays, and the frame's numbers
    assert not list(tmp_path.iterdir())


def test_a_study_error_arrives_as_what_it_is(on_pair):
    with pytest.raises(work.OddError, match="number 2 is odd in its way; leave it out"):
        engine.run_all(work.failing, NUMBERS[:3], label="numbers")


def test_another_error_is_told_with_its_message(on_pair):
    with pytest.raises(StudyError, match=r"numbers: number 3 failed.*nothing to divide by"):
        calls, names = [{"number": 1}, {"number": 3}], ["number 1", "number 3"]
        engine.run_all(work.failing, calls, label="numbers", names=names)


def test_a_call_that_an_earlier_study_stopped_is_made_again(on_pair, tmp_path):
    calls = [{"folder": str(tmp_path)}]
    assert engine.run_all(work.unwanted_once, calls, label="work") == ["done"]


def test_equal_work_of_two_studies_is_done_once(on_pair, tmp_path):
    call = {"number": 7, "seconds": 1.5, "folder": str(tmp_path)}
    results = []

    def ask():
        results.extend(engine.run_all(work.slow_square, [call], label="squares"))

    both = [threading.Thread(target=ask) for _ in range(2)]
    for one in both:
        one.start()
    for one in both:
        one.join()
    assert results == [49, 49]
    assert len((tmp_path / "7.txt").read_text().splitlines()) == 1


def test_a_worker_that_does_not_see_the_folder_is_told(on_pair, tmp_path, monkeypatch):
    from kidneyct_lib.core import dask_client

    elsewhere = dask_client.Meeting

    def unseen(project, files, software, topic):
        return elsewhere(project, (f"{tmp_path}/other/.meeting",), software, topic, appearing=0.5)

    monkeypatch.setattr(dask_client, "Meeting", unseen)
    with pytest.raises(StudyError, match=r"does not see the study's .*other: its machine must"):
        engine.run_all(work.square, NUMBERS, label="squares", folders=[tmp_path])


def test_a_worker_with_other_code_is_told(on_pair, monkeypatch):
    from kidneyct_lib.core import dask_worker

    mine = dask_worker.software() | {"numpy": "1.0"}
    monkeypatch.setattr(dask_worker, "software", lambda: mine)
    with pytest.raises(StudyError, match=r"numpy .*, not 1\.0: start it anew"):
        engine.run_all(work.square, NUMBERS, label="squares")


def test_a_scheduler_that_does_not_answer_is_told(monkeypatch):
    pytest.importorskip("distributed", reason='needs Dask: make setup EXTRA="dask"')
    from kidneyct_lib.core import dask_client

    monkeypatch.setattr(dask_client, "_CONNECTING", 1.0)
    for address in ("tcp://127.0.0.1:9", "nonsense://x"):
        monkeypatch.setenv("KIDNEYCT_SCHEDULER", address)
        with pytest.raises(StudyError, match=f"No scheduler answers at {address}"):
            engine.run_all(work.square, NUMBERS, label="squares")


# --- what happens to workers -------------------------------------------------------------------


@pytest.fixture
def cluster(tmp_path, monkeypatch):
    """A cluster of its own: one worker."""
    one = Cluster(tmp_path / "cluster", workers=1)
    monkeypatch.setenv("KIDNEYCT_SCHEDULER", one.address)
    yield one
    one.close()


def after(path, lines, do):
    """Do something as soon as a file has so many lines."""

    def waiting():
        while not path.exists() or len(path.read_text().splitlines()) < lines:
            time.sleep(0.05)
        do()

    thread = threading.Thread(target=waiting, daemon=True)
    thread.start()
    return thread


@pytest.mark.long
def test_a_killed_workers_work_goes_on_at_another_where_it_was(cluster, tmp_path):
    call = {"folder": str(tmp_path), "number": 1, "count": 6, "seconds": 0.3}

    def kill():
        cluster.add_worker()
        end(cluster.workers[0], signal.SIGKILL)

    after(tmp_path / "steps-1.txt", 2, kill)
    assert engine.run_all(work.steps, [call], label="steps") == [list(range(6))]
    lines = [line.split() for line in (tmp_path / "steps-1.txt").read_text().splitlines()]
    assert [int(step) for step, _ in lines] == list(range(6))  # none twice
    assert len({process for _, process in lines}) == 2


def test_a_scheduler_that_goes_is_told(cluster, tmp_path, monkeypatch):
    call = {"folder": str(tmp_path), "number": 1, "count": 60, "seconds": 0.2}
    after(tmp_path / "steps-1.txt", 2, lambda: end(cluster.scheduler))
    with pytest.raises(StudyError, match=r"scheduler at .* is gone.*the same command goes on"):
        engine.run_all(work.steps, [call], label="steps")


@pytest.mark.long
def test_a_cluster_left_without_workers_is_told(cluster, tmp_path, monkeypatch):
    monkeypatch.setenv("KIDNEYCT_PATIENCE", "3")
    call = {"folder": str(tmp_path), "number": 1, "count": 60, "seconds": 0.2}
    after(tmp_path / "steps-1.txt", 2, lambda: end(cluster.workers[0]))
    with pytest.raises(StudyError, match=r"has had no worker for 3 s.*the same command goes on"):
        engine.run_all(work.steps, [call], label="steps")

"""Faults of a cluster: the results are those of an undisturbed process, or one message tells what
happened and the same call goes on; what is kept is never done again.
"""

import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter

import faulty_work as work
import numpy as np
import pytest
from disturb import cut, delete, wait_for
from local_cluster import Cluster, end

from kidneyct_lib.core import engine
from kidneyct_lib.core.errors import StudyError

pytestmark = pytest.mark.faults
EPOCHS = 5


@pytest.fixture
def folder(tmp_path):
    """Where the work is kept."""
    place = tmp_path / "work"
    place.mkdir()
    return place


@pytest.fixture
def start(tmp_path, monkeypatch):
    """Function that starts a cluster, which then does the work of this process."""
    clusters = []

    def begin(workers=2, **options):
        clusters.append(Cluster(tmp_path / f"cluster{len(clusters)}", workers=workers, **options))
        monkeypatch.setenv("KIDNEYCT_SCHEDULER", clusters[-1].address)
        return clusters[-1]

    yield begin
    for cluster in clusters:
        cluster.close()


def calls(folder, number=3, **more):
    one = {"folder": str(folder), "epochs": EPOCHS} | more
    return [one | {"number": n} for n in range(number)]


def train(folder, number=3, **more):
    """Losses of some trainings."""
    todo = calls(folder, number, **more)
    return engine.run_all(work.train, todo, label="trainings", folders=[folder])


def expected(tmp_path_factory, number=3, epochs=EPOCHS):
    place = str(tmp_path_factory.mktemp("alone"))
    return [work.train(place, n, epochs, 0) for n in range(number)]


def assert_each_epoch_once(folder, number=3, epochs=EPOCHS, again=0):
    """All epochs were done once, but for so many that were lost before they were kept."""
    counts = Counter(line for line in work.done(folder) if line[0] == "epoch")
    assert set(counts) == {("epoch", str(n), str(e)) for n in range(number) for e in range(epochs)}
    assert sum(counts.values()) - len(counts) == again
    assert max(counts.values()) <= 1 + again
    assert not list(folder.glob("*.holder"))


def later(condition, do):
    """Do something in a thread as soon as a condition holds."""
    thread = threading.Thread(target=lambda: (wait_for(condition), do()), daemon=True)
    thread.start()
    return thread


def epochs_done(folder, least):
    log = folder / "done.log"
    return lambda: log.exists() and len(log.read_text().splitlines()) >= least


# --- a worker is killed ------------------------------------------------------------------------


@pytest.mark.parametrize("moment", work.MOMENTS)
def test_a_worker_killed_at_any_moment_of_a_training(folder, start, tmp_path_factory, moment):
    start()
    assert train(folder, fault=moment) == expected(tmp_path_factory)
    assert_each_epoch_once(folder, again=moment in work.LOSE_AN_EPOCH)


@pytest.mark.parametrize("moment", work.FILLING)
def test_a_worker_killed_while_it_fills_a_store_that_others_wait_for(folder, start, moment):
    start(workers=3)
    keys = [[str(k) for k in range(first, first + 8)] for first in (0, 4)]
    todo = [{"folder": str(folder), "keys": some, "fault": moment} for some in keys]
    results = engine.run_all(work.fill, todo, label="stores", folders=[folder])
    np.testing.assert_array_equal(results, [[work.row(key) for key in some] for some in keys])
    counts = Counter(name for line in work.done(folder) for name in line)
    assert len(counts) == 12
    assert sum(counts.values()) - 12 == (0 if moment == work.FILLING[0] else 2)  # its batch alone


def test_two_workers_killed_one_after_the_other(folder, start, tmp_path_factory):
    start(workers=3)
    result = train(folder, fault="after its state is kept", times=2)
    assert result == expected(tmp_path_factory)
    assert_each_epoch_once(folder)


def test_all_workers_killed_at_once_and_others_come(folder, start, tmp_path_factory):
    cluster = start()

    def replace():
        for worker in cluster.workers[:2]:
            end(worker)
        cluster.add_worker()

    later(epochs_done(folder, 3), replace)
    assert train(folder, seconds=0.3) == expected(tmp_path_factory)
    counts = Counter(work.done(folder))
    assert sum(counts.values()) - len(counts) <= 2  # one in flight of each


def test_a_training_that_ends_every_worker_is_told_and_goes_on_later(
    folder, start, tmp_path_factory
):
    start(workers=5)
    with pytest.raises(StudyError, match=r"ended 4 workers.*memory or time.*same command goes on"):
        train(folder, 1, fault="before the first epoch", times=4)
    assert train(folder, 1) == expected(tmp_path_factory, 1)
    assert_each_epoch_once(folder, 1)


def test_a_worker_killed_with_its_state_cut_in_half(folder, start, tmp_path_factory):
    cluster = start(workers=1)

    def replace():
        end(cluster.workers[0])
        cut(folder / "state-0.npz")
        cluster.add_worker()

    later(epochs_done(folder, 3), replace)
    assert train(folder, 1, seconds=0.3) == expected(tmp_path_factory, 1)


# --- memory, time, machines --------------------------------------------------------------------


@pytest.mark.parametrize("times", [1, 9])
def test_a_worker_out_of_memory(folder, start, times):
    options = ("--nanny", "--memory-limit", "500MiB")
    cluster = start(options=options)
    cluster.wait_for_workers(2)
    todo = [{"folder": str(folder), "number": n, "megabytes": 900} for n in range(2)]
    todo[0]["times"], todo[1]["times"] = times, 0
    if times == 1:
        assert engine.run_all(work.hungry, todo, label="work", folders=[folder]) == [0, 1]
        return
    with pytest.raises(StudyError, match=r"task 1 ended 4 workers.*memory"):
        engine.run_all(work.hungry, todo, label="work", folders=[folder])
    assert "exceeded 95% memory budget" in cluster.log("worker")


@pytest.mark.parametrize("nanny", ["--nanny", "--no-nanny"])
def test_a_worker_whose_time_is_up(folder, start, tmp_path_factory, nanny):
    """A batch system sends SIGTERM first; the worker gives up what it does after its epoch."""
    cluster = start(workers=1, options=(nanny,))

    def replace():
        cluster.add_worker()
        cluster.workers[0].send_signal(signal.SIGTERM)

    later(epochs_done(folder, 2), replace)
    assert train(folder, 2, seconds=0.5) == expected(tmp_path_factory, 2)
    assert_each_epoch_once(folder, 2)
    assert cluster.workers[0].wait(60) is not None


def test_a_worker_that_leaves_by_its_lifetime(folder, start, tmp_path_factory):
    cluster = start(workers=0)
    cluster.add_worker("--no-nanny", "--lifetime", "6s")
    later(epochs_done(folder, 2), cluster.add_worker)
    assert train(folder, 2, seconds=0.8) == expected(tmp_path_factory, 2)
    assert_each_epoch_once(folder, 2)


def test_a_lock_left_by_a_machine_that_is_gone(folder, start, tmp_path_factory):
    (folder / "state-0.holder").write_text('{"place": "gone", "pid": 1, "host": "gone"}')
    start(workers=1, env={"LEASE": "2"}, options=("--no-nanny", "--preload", "short_lease"))
    assert train(folder, 1) == expected(tmp_path_factory, 1)
    assert_each_epoch_once(folder, 1)


# --- the scheduler -----------------------------------------------------------------------------


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_a_scheduler_that_goes_is_told_and_the_next_one_goes_on(
    folder, start, tmp_path_factory, how
):
    cluster = start()
    later(epochs_done(folder, 3), lambda: end(cluster.scheduler, how))
    with pytest.raises(StudyError, match=r"scheduler at .* is gone.*same command goes on"):
        train(folder, seconds=0.5)
    start()
    assert train(folder, seconds=0.5) == expected(tmp_path_factory)
    assert_each_epoch_once(folder)


# --- the study's own process -------------------------------------------------------------------


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL, signal.SIGTERM])
def test_a_study_that_is_stopped_leaves_no_worker_at_work_and_goes_on(
    folder, start, tmp_path_factory, how
):
    start()
    code = f"import faulty_work as w; w.client({str(folder)!r}, 3, {EPOCHS}, 0.4)"
    paths = os.pathsep.join(path for path in sys.path if path)
    env = os.environ | {"PYTHONPATH": paths}
    process = subprocess.Popen([sys.executable, "-c", code], env=env, stderr=subprocess.PIPE)
    wait_for(epochs_done(folder, 3))
    process.send_signal(how)
    process.communicate(timeout=60)
    assert process.returncode != 0
    assert not (folder / "result.txt").exists()
    wait_for(lambda: not list(folder.glob("*.holder")), 30)  # they stop at their next epoch
    before = len(work.done(folder))
    assert before < 3 * EPOCHS
    time.sleep(1)
    assert len(work.done(folder)) == before
    assert train(folder, seconds=0.1) == expected(tmp_path_factory)
    assert_each_epoch_once(folder)


def test_the_same_study_started_twice_does_everything_once(folder, start, tmp_path_factory):
    start(workers=3)
    results = []
    both = [
        threading.Thread(target=lambda: results.append(train(folder, seconds=0.2)))
        for _ in range(2)
    ]
    for one in both:
        one.start()
    for one in both:
        one.join()
    assert results == [expected(tmp_path_factory)] * 2
    assert_each_epoch_once(folder)


# --- disks -------------------------------------------------------------------------------------


def test_a_disk_that_is_full_for_a_worker_is_told_and_goes_on(start, small_disk, tmp_path_factory):
    disk = small_disk(tmp_path_factory.mktemp("disk"), "64k")
    start(workers=1)
    filler = disk / "filler"

    def fill_up():
        with pytest.raises(OSError, match="No space"):
            filler.write_bytes(bytes(10**6))

    later(epochs_done(disk, 2), fill_up)
    with pytest.raises(StudyError, match=r"state-0\.npz could not be written.*No space"):
        train(disk, 1, seconds=0.5)
    filler.unlink()
    assert train(disk, 1) == expected(tmp_path_factory, 1)


def test_a_store_deleted_while_workers_fill_it_is_told_and_filled_again(folder, start):
    start(workers=1)
    keys = [str(k) for k in range(12)]
    later(epochs_done(folder, 2), lambda: delete(folder / "store"))
    todo = [{"folder": str(folder), "keys": keys}]
    with pytest.raises(StudyError, match=r"the same command|could not be filled"):
        engine.run_all(work.fill, todo, label="stores", folders=[folder])
    (result,) = engine.run_all(work.fill, todo, label="stores", folders=[folder])
    np.testing.assert_array_equal(result, [work.row(key) for key in keys])

"""The lock that needs no kernel's: real processes, with the kernel's locks made void."""

import json
import os
import signal
import time

import psutil
import pytest
from lock_work import start

from kidneyct_lib.core import shared_lock
from kidneyct_lib.core.errors import StudyError
from kidneyct_lib.core.shared_lock import SharedLock


def wait_for(path):
    end = time.monotonic() + 60
    while not path.exists():
        assert time.monotonic() < end
        time.sleep(0.02)


def held_by_another(path, text=None):
    """A lock file as a process of another machine leaves it."""
    record = {"id": "other", "place": "elsewhere", "pid": os.getpid(), "since": 0.0, "host": "far"}
    path.write_text(json.dumps(record) if text is None else text)
    return path


def seconds_to_take(path):
    began = time.monotonic()
    with SharedLock(path) as lock:
        lock.require()
    assert not path.exists()
    return time.monotonic() - began


@pytest.mark.parametrize(("kind", "holds"), [("shared", True), ("kernel", False)])
def test_one_at_a_time_where_the_kernels_locks_are_void(tmp_path, kind, holds):
    (tmp_path / "number").write_text("0")
    calls = [f"count({str(tmp_path)!r}, 8, {kind!r})"] * 3
    processes = [start(call) for call in calls]
    statuses = [process.wait(60) for process in processes]
    right = statuses == [0, 0, 0] and (tmp_path / "number").read_text() == "24"
    assert right == holds


@pytest.mark.parametrize("reaped", [True, False])
def test_a_killed_holder_of_this_machine_is_replaced_at_once(tmp_path, reaped):
    process = start(f"hold({str(tmp_path)!r}, 60)")
    wait_for(tmp_path / "held")
    process.kill()
    if reaped:
        process.wait()
    assert seconds_to_take(tmp_path / ".holder") < 5
    process.wait()


def test_a_number_given_to_another_process_does_not_hold(tmp_path):
    record = {"id": "x", "place": shared_lock._place(), "pid": os.getpid()}
    since = psutil.Process().create_time() - 3600
    (tmp_path / ".holder").write_text(json.dumps(record | {"since": since, "host": "here"}))
    assert seconds_to_take(tmp_path / ".holder") < 5


@pytest.mark.parametrize("text", [None, "", "{", "[]", "\0\0"])
def test_a_silent_holder_of_another_machine_is_replaced_after_the_lease(
    tmp_path, monkeypatch, text
):
    monkeypatch.setattr(shared_lock, "LEASE", 1.5)
    assert seconds_to_take(held_by_another(tmp_path / ".holder", text)) > 1.5


@pytest.mark.long
def test_a_holder_of_another_machine_that_gives_signs_is_waited_for(tmp_path, monkeypatch, capfd):
    monkeypatch.setattr(shared_lock, "LEASE", 1.5)
    monkeypatch.setattr(shared_lock, "_TELL", 0.5)
    process = start(f"on('elsewhere', 1.5, 0.3); hold({str(tmp_path)!r}, 5)")
    wait_for(tmp_path / "held")
    began = time.monotonic()
    with SharedLock(tmp_path / ".holder"):
        assert time.monotonic() - began > 3.5  # longer than the lease
        assert process.wait(60) == 0
    assert f"waiting for process {process.pid} on " in capfd.readouterr().err


@pytest.mark.long
def test_of_many_that_find_a_dead_holder_one_at_a_time_replaces_it(tmp_path):
    (tmp_path / "number").write_text("0")
    held_by_another(tmp_path / ".holder")
    machines = [f"on('machine {n}', 1.0, 0.3); count({str(tmp_path)!r}, 3)" for n in range(4)]
    processes = [start(call) for call in machines]
    assert [process.wait(60) for process in processes] == [0] * 4
    assert (tmp_path / "number").read_text() == "12"


@pytest.mark.long
def test_a_holder_that_stood_still_is_told_and_leaves_the_lock_to_its_successor(tmp_path):
    process = start(f"on('one', 1.0, 0.3); hold({str(tmp_path)!r}, 1)")
    wait_for(tmp_path / "held")
    process.send_signal(signal.SIGSTOP)
    (tmp_path / "held").unlink()
    successor = start(f"on('two', 1.0, 0.3); hold({str(tmp_path)!r}, 6)")
    wait_for(tmp_path / "held")
    taken = (tmp_path / ".holder").read_text()
    process.send_signal(signal.SIGCONT)
    _, message = process.communicate(timeout=60)
    assert "StudyError" in message and "stood still for more than" in message
    assert f"process {successor.pid} on" in message
    assert (tmp_path / ".holder").read_text() == taken
    assert successor.wait(60) == 0
    assert not (tmp_path / ".holder").exists()


def test_a_lock_that_was_deleted_is_no_more_held(tmp_path):
    with SharedLock(tmp_path / ".holder") as lock:
        lock.require()
        (tmp_path / ".holder").unlink()
        with pytest.raises(StudyError, match="give the same command again"):
            lock.require()


def test_what_is_wrong_with_the_folder_comes_through(tmp_path):
    with pytest.raises(FileNotFoundError), SharedLock(tmp_path / "none/.holder"):
        pass


def test_an_error_inside_releases_it(tmp_path):
    with pytest.raises(ZeroDivisionError), SharedLock(tmp_path / ".holder"):
        raise ZeroDivisionError
    assert not (tmp_path / ".holder").exists()

"""What processes of tests do while they hold a lock or wait for it; no kernel's lock helps them."""

import fcntl
import os
import subprocess
import sys
import time
from pathlib import Path

from filelock import FileLock

from kidneyct_lib.core import shared_lock
from kidneyct_lib.core.shared_lock import SharedLock


def void_kernel_locks() -> None:
    """Grant them to all, as NFS with `nolock` and Lustre with `localflock` do between machines."""
    for name in ("flock", "lockf"):
        setattr(fcntl, name, lambda *arguments: None)


def on(machine: str | None, lease: float | None = None, beat: float | None = None) -> None:
    """Be a process of another machine; give signs, and count others dead, as often as given."""
    if machine is not None:
        shared_lock._place = lambda: machine
    shared_lock.LEASE = shared_lock.LEASE if lease is None else lease
    shared_lock.BEAT = shared_lock.BEAT if beat is None else beat


def count(folder: str, times: int, kind: str = "shared") -> None:
    """Count in a file; what others counted between reading and writing is lost."""
    number = Path(folder, "number")
    for _ in range(times):
        if kind == "shared":
            lock = SharedLock(Path(folder, ".holder"))
        else:
            lock = FileLock(Path(folder, ".lock"))
        with lock:
            value = int(number.read_text())
            time.sleep(0.02)
            number.write_text(str(value + 1))


def hold(folder: str, seconds: float) -> None:
    """Hold it, and say so in a file."""
    with SharedLock(Path(folder, ".holder")) as lock:
        Path(folder, "held").write_text(str(os.getpid()))
        time.sleep(seconds)
        lock.require()


def start(call: str) -> subprocess.Popen:
    """A process that does something of this module, without the kernel's locks."""
    paths = os.pathsep.join(path for path in sys.path if path)
    return subprocess.Popen(
        [sys.executable, "-c", f"from lock_work import *; void_kernel_locks(); {call}"],
        env=os.environ | {"PYTHONPATH": paths},
        stderr=subprocess.PIPE,
        text=True,
    )

"""Clusters of real processes for tests: a Dask scheduler and workers on one thread each."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

TESTS = Path(__file__).parent


class Cluster:
    """A scheduler and workers, each a process of its own, with their logs in a folder.

    Parameters
    ----------
    folder
        Of logs, and where each process has its own current directory.
    workers
        How many are started, if any at first.
    env
        Further variables of the workers' environment.
    options
        Of `dask worker`; with "--nanny" one process watches over the one that works.
    """

    def __init__(self, folder: Path, *, workers: int = 2, env=None, options=("--no-nanny",)):
        pytest.importorskip("distributed", reason='needs Dask: make setup EXTRA="dask"')
        folder.mkdir(parents=True, exist_ok=True)
        self.folder, self._env, self._options = folder, env or {}, options
        self.workers = []
        self.start_scheduler()
        for _ in range(workers):
            self.add_worker()

    def start_scheduler(self, port: int = 0) -> None:
        file = self.folder / "scheduler.json"
        file.unlink(missing_ok=True)
        options = ("--scheduler-file", file, "--no-dashboard", "--host", "127.0.0.1")
        self.scheduler = self._start("scheduler", *options, "--port", str(port))
        end = time.monotonic() + 60
        while not file.exists() or '"address"' not in file.read_text():
            assert self.scheduler.poll() is None, self.log("scheduler")
            assert time.monotonic() < end
            time.sleep(0.05)
        self.address = file.read_text().split('"address": "')[1].split('"')[0]

    def add_worker(self, *options, env=None) -> subprocess.Popen:
        """Start a worker of one thread."""
        name = f"worker{len(self.workers)}"
        mine = ("--nthreads", "1", "--name", name, "--no-dashboard", "--local-directory")
        given = (self.address, *mine, self.folder / name, *(options or self._options))
        self.workers.append(self._start("worker", *given, env=self._env | (env or {})))
        return self.workers[-1]

    def wait_for_workers(self, number: int) -> None:
        """Wait until so many workers are ready to work."""
        from distributed import Client

        with Client(self.address, set_as_default=False) as client:
            client.wait_for_workers(number, timeout=60)

    def log(self, kind: str) -> str:
        """What all schedulers or workers have written."""
        return "\n".join(path.read_text() for path in sorted(self.folder.glob(f"{kind}*.log")))

    def _start(self, kind: str, *options, env=None) -> subprocess.Popen:
        command = [sys.executable, "-m", f"distributed.cli.dask_{kind}", *map(str, options)]
        paths = os.pathsep.join([str(TESTS), str(TESTS / "faults")])
        log = self.folder / f"{kind}-{len(list(self.folder.glob('*.log')))}.log"
        with log.open("w") as written:
            return subprocess.Popen(
                command,
                stdout=written,
                stderr=subprocess.STDOUT,
                cwd=self.folder,
                env=os.environ | {"PYTHONPATH": paths} | (env or {}),
            )

    def close(self) -> None:
        """End all that is left of it."""
        for process in (*self.workers, self.scheduler):
            end(process)


def end(process: subprocess.Popen, how: signal.Signals = signal.SIGKILL) -> None:
    """End a process and those below it, and wait for that."""
    try:
        below = psutil.Process(process.pid).children(recursive=True)
    except psutil.NoSuchProcess:
        below = []
    for one in (process, *below):
        with contextlib.suppress(ProcessLookupError, psutil.NoSuchProcess):
            one.send_signal(how)
    process.wait(60)

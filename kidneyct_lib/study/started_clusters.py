"""Schedulers that are started here, for the time of a study: with processes, or with jobs."""

import signal
import subprocess
import threading
import time
import warnings
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kidneyct_lib.core.errors import StudyError
from kidneyct_lib.study.cluster_file import ClusterFile

if TYPE_CHECKING:
    from distributed import SpecCluster

_HERE = "127.0.0.1"
_DASHBOARD = f"{_HERE}:8787"  # another port where that is taken
_LEAST_MEMORY = 1.5e9  # bytes that a training needs, its libraries included
_CLOSING = 60  # seconds to end workers and jobs
_LOOK = 2.0  # seconds between two looks at a cluster's jobs
_LOOKS = 3  # without any of the jobs, as a busy queue may fail to answer once


def announce(what: str, dashboard: str | None) -> None:
    """Print what computes, and where it can be watched."""
    where = f"Dashboard, for a browser or JupyterLab's Dask panel: {dashboard}" if dashboard else ""
    print(f"{what}\n{where}".strip(), flush=True)


def counted(threads: Collection[int]) -> str:
    """Tell the number of workers, whose threads are given, and of threads."""
    workers, total = len(threads), sum(threads)
    return f"{workers} worker{'s' * (workers != 1)} with {total} thread{'s' * (total != 1)} in all."


# --- workers on this machine ---------------------------------------------------------------------


@contextmanager
def on_this_machine(workers: int) -> Iterator[str]:
    """Start a scheduler and workers, reachable from this machine alone; yields its address.

    Workers share out processors and memory.

    Raises
    ------
    StudyError
        If too little memory would be left to each.
    """
    from dask.system import CPU_COUNT
    from distributed import LocalCluster
    from distributed.system import MEMORY_LIMIT

    memory = MEMORY_LIMIT // workers
    if memory < _LEAST_MEMORY:
        most = max(1, int(MEMORY_LIMIT // _LEAST_MEMORY))
        raise StudyError(
            f"WORKERS={workers} leaves {memory / 1e9:.1f} GB of memory to each, too little to "
            f"train: give at most WORKERS={most} on this machine."
        )
    threads = max(1, CPU_COUNT // workers)
    with warnings.catch_warnings(action="ignore"):  # a taken port: the dashboard gets another
        cluster = LocalCluster(
            n_workers=workers,
            processes=True,
            threads_per_worker=threads,
            memory_limit=memory,
            host=_HERE,
            dashboard_address=_DASHBOARD,
            preload=[__name__],
        )
    with _closing(cluster):
        announce(f"Dask on this machine: {counted([threads] * workers)}", _dashboard(cluster))
        yield cluster.scheduler_address


async def dask_setup(_: object) -> None:
    """Leave Ctrl-C to the study, which ends its workers; Dask calls this in each, by its name."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _dashboard(cluster: "SpecCluster") -> str | None:
    """Address of a dashboard that listens on this machine alone."""
    from distributed.utils import format_dashboard_link

    port = cluster.scheduler_info["services"].get("dashboard")
    return format_dashboard_link(_HERE, port) if port else None


@contextmanager
def _closing(cluster: "SpecCluster") -> Iterator[None]:
    """End workers and jobs on leaving, whatever a user's impatience."""
    try:
        yield
    finally:
        with _uninterrupted():
            try:
                cluster.close(timeout=_CLOSING)
            except TimeoutError:
                print(f"Workers were asked to end, but did not within {_CLOSING} s: look for them.")


@contextmanager
def _uninterrupted() -> Iterator[None]:
    """Let no second Ctrl-C leave jobs behind."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    signals = (signal.SIGINT, signal.SIGTERM)
    before = [signal.signal(one, signal.SIG_IGN) for one in signals]
    try:
        yield
    finally:
        for one, handler in zip(signals, before, strict=True):
            signal.signal(one, handler)


# --- jobs of a cluster ---------------------------------------------------------------------------


@contextmanager
def in_jobs(file: ClusterFile, project: Path) -> Iterator[str]:
    """Start a scheduler here and workers in jobs; yields its address once a worker has come.

    Jobs that end are replaced. Where this process is killed, they end within a minute.

    Parameters
    ----------
    file
        Describes the jobs.
    project
        Root of the project; logs of the jobs lie in its ``.cache/cluster``.

    Raises
    ------
    StudyError
        If the network is not there, the cluster refuses the jobs, or all end before a worker comes.
    """
    logs = project / ".cache" / "cluster"
    logs.mkdir(parents=True, exist_ok=True)
    kind = _kinds()[file.kind]
    try:
        with warnings.catch_warnings(action="ignore"):  # a taken port, as above
            cluster = kind(
                job_cls=_with_status(kind.job_cls),
                scheduler_options={"dashboard_address": _DASHBOARD},
                **file.for_dask_jobqueue(project, logs),
            )
    except (ValueError, RuntimeError) as error:  # such as an interface that is not there
        raise StudyError(f"The scheduler of the jobs can't be started: {error}") from None
    with _closing(cluster):
        jobs = _submit(cluster, file.workers)
        workers = counted([file.cores] * len(jobs))
        told = f"Dask in jobs {', '.join(jobs)}: {workers} Their logs are in {logs}."
        announce(told, _dashboard(cluster))
        print("Waiting for the first job to start.", flush=True)
        _wait_for_first(cluster, file, jobs, logs)
        yield cluster.scheduler_address


def _kinds() -> dict[str, Any]:
    """Clusters of dask-jobqueue; its import would make Ctrl-C end this process with status 0."""
    before = signal.getsignal(signal.SIGINT)
    import dask_jobqueue

    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGINT, before)
    return {"slurm": dask_jobqueue.SLURMCluster, "pbs": dask_jobqueue.PBSCluster}


def _with_status(kind: Any) -> Any:
    """A kind of job that says whether it was refused or has ended: a cluster that ends looks."""
    from distributed import Status

    class Job(kind):
        async def start(self) -> None:
            try:
                await super().start()
            except RuntimeError:
                self.status = Status.failed
                raise

        async def close(self) -> None:
            await super().close()
            self.status = Status.closed

    return Job


def _submit(cluster: Any, count: int) -> list[str]:
    """Submit jobs and have those that end replaced; returns their ids."""

    async def submitted() -> None:
        await cluster

    # `scale` would do the same, but log what `sbatch` says instead of raising it.
    for _ in range(count):
        cluster.worker_spec.update(cluster.new_worker_spec())
    try:
        cluster.sync(submitted)
    except RuntimeError as error:
        said = str(error).partition("stderr:\n")[2].strip() or str(error)
        raise StudyError(f"The cluster refuses the job: {said}\nCorrect the file.") from None
    cluster.adapt(minimum_jobs=count, maximum_jobs=count, interval="5s")
    return sorted(job.job_id for job in cluster.workers.values())


def _wait_for_first(cluster: Any, file: ClusterFile, jobs: list[str], logs: Path) -> None:
    """Wait until a worker has come, as long as any job waits or runs."""
    looks = 0
    while not cluster.scheduler_info["workers"]:
        time.sleep(_LOOK)
        listed = subprocess.run(file.queue_command(jobs), capture_output=True, text=True).stdout
        looks = 0 if any(job in listed for job in jobs) else looks + 1
        if looks == _LOOKS and not cluster.scheduler_info["workers"]:
            raise StudyError(
                "All jobs ended before a worker of theirs reached this machine. "
                f"{_last_words(logs, jobs)}"
            )


def _last_words(logs: Path, jobs: list[str]) -> str:
    files = [file for file in logs.glob("*") if any(job in file.name for job in jobs)]
    for file in files:
        if text := file.read_text(encoding="utf-8", errors="replace").strip():
            return f"{file} ends:\n" + "\n".join(text.splitlines()[-10:])
    return f"{logs} holds no log of theirs: do the cluster's machines see this folder?"

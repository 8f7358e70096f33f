"""The Dask scheduler of a study: none, one that runs already, or one started here for its time.

One started here has workers on this machine, or jobs of a Slurm or PBS cluster. While a study has
a scheduler, `engine` finds it, here and in the notebooks' processes, by the environment.
"""

import os
import shutil
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

from kidneyct_lib.core import engine
from kidneyct_lib.core.errors import StudyError
from kidneyct_lib.core.files import project_root
from kidneyct_lib.study import cluster_file, started_clusters
from kidneyct_lib.study.cluster_file import ClusterFile

_CONNECTING = 10  # seconds in which a scheduler must answer
_QUEUED = 24 * 3600  # seconds that a study waits while all of its jobs are in the queue
_PATIENCE = "KIDNEYCT_PATIENCE"  # read by `core.dask_client`
_SAME = ("python", "dask", "distributed")  # versions in which two that talk must agree


class Choice(NamedTuple):
    """What was asked for: at most one of these."""

    workers: int | None = None
    address: str | None = None
    jobs: ClusterFile | None = None


HERE = Choice()
"""In the study's own processes."""


def choose(
    *, workers: int | None = None, address: str | None = None, file: Path | None = None
) -> Choice:
    """Check what is asked for, before anything is started.

    Parameters
    ----------
    workers
        Number of workers on this machine.
    address
        Of a scheduler, as ``tcp://host:port``. Where nothing is asked for, one that the environment
        names (`engine.SCHEDULERS`).
    file
        That describes the jobs of a cluster; see `cluster_file`.

    Raises
    ------
    StudyError
        If more than one is asked for, a value or the file is wrong, or a package or program that
        it needs is not installed.
    """
    given = {"WORKERS": workers, "SCHEDULER": address, "CLUSTER": file}
    named = [name for name, value in given.items() if value is not None]
    if len(named) > 1:
        raise StudyError(
            f"{' and '.join(named)} contradict one another: WORKERS starts workers on this "
            "machine, CLUSTER submits jobs, SCHEDULER uses what runs already. Give one of them."
        )
    if workers is not None and workers < 1:
        raise StudyError(f"WORKERS is {workers}: give the number of worker processes, 1 or more.")
    if not named:
        address = engine.scheduler()
    if address is not None and not address.partition("://")[2]:
        raise StudyError(f"SCHEDULER={address} is no address: give it as tcp://host:port.")
    choice = Choice(workers, address, cluster_file.load(file) if file else None)
    missing = [name for name in ("distributed", "dask_jobqueue") if find_spec(name) is None]
    if any(choice) and missing:
        raise StudyError(
            f"{' and '.join(missing)} of the extra `dask` are not installed: make setup EXTRA=dask"
        )
    if choice.jobs and not shutil.which(choice.jobs.submit_command):
        raise StudyError(
            f"{file} describes jobs of {choice.jobs.kind}, but there is no "
            f"`{choice.jobs.submit_command}` here: run this on a machine that submits jobs, or "
            "give WORKERS=n to compute on this one."
        )
    return choice


@contextmanager
def scheduler(choice: Choice) -> Iterator[str | None]:
    """Start or find the scheduler that was asked for; end what was started here on leaving.

    Yields
    ------
    str or None
        Its address; None, and nothing of Dask imported, where none was asked for.

    Raises
    ------
    StudyError
        If it doesn't answer, jobs are refused or end before they work, or workers don't fit: other
        versions, another library, another folder.
    """
    if not any(choice):
        yield None
        return
    if choice.address:
        count = _meet(choice.address)
        with _named(choice.address):
            _try_workers(count)
            yield choice.address
    elif choice.jobs:
        patience = {_PATIENCE: os.environ.get(_PATIENCE, str(_QUEUED))}
        with (
            started_clusters.in_jobs(choice.jobs, project_root()) as address,
            _named(address, **patience),
        ):
            _try_workers(1)
            yield address
    else:
        with started_clusters.on_this_machine(choice.workers or 1) as address, _named(address):
            yield address


def attempt(number: int) -> int:
    """Do nothing on a worker: it has looked at folders, code and versions before."""
    time.sleep(0.2)  # so that the next call goes to another worker
    return number


def _try_workers(count: int) -> None:
    """Let the engine call workers once each: it refuses those that don't fit the study."""
    engine.run_all(
        attempt,
        [{"number": number} for number in range(count)],
        label="checking workers",
        folders=[project_root() / ".cache"],
        unit="worker",
    )


@contextmanager
def _named(address: str, **variables: str) -> Iterator[None]:
    """Name the scheduler in the environment for a time, for processes that are started in it."""
    given = {engine.SCHEDULERS[0]: address, **variables}
    before = {name: os.environ.get(name) for name in given}
    os.environ.update(given)
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name)
            if value is not None:
                os.environ[name] = value


# --- a scheduler that runs already ---------------------------------------------------------------


def _meet(address: str) -> int:
    """See that a scheduler answers, has workers, and that these speak as this process does.

    Prints what there is; returns the number of workers.
    """
    remedy = (
        "start one with `.venv/bin/dask scheduler` and workers with `.venv/bin/dask worker "
        f"{address}`, or leave SCHEDULER and DASK_SCHEDULER_ADDRESS out to compute here."
    )
    try:
        client = _client(address)
    except (OSError, ValueError, TypeError) as error:
        raise StudyError(f"No scheduler answers at {address} ({error}): {remedy}") from None
    with client:
        versions, threads = client.get_versions(), client.nthreads().values()
        dashboard = client.dashboard_link
    if not versions["workers"]:
        raise StudyError(f"The scheduler at {address} has no workers: {remedy}")
    own = _spoken(versions["client"])
    others = {"the scheduler": versions["scheduler"]} | {
        f"the worker at {at}": known for at, known in versions["workers"].items()
    }
    for name, known in others.items():
        different = [
            f"{package} {version}, not {own[package]}"
            for package, version in _spoken(known).items()
            if version != own[package]
        ]
        if different:
            raise StudyError(
                f"{address}: {name} has {', '.join(different)}: start scheduler and workers with "
                "this project's own Python (.venv/bin/dask)."
            )
    what = f"Dask scheduler at {address}: {started_clusters.counted(threads)}"
    started_clusters.announce(what, dashboard)
    return len(threads)


def _client(address: str) -> Any:
    from distributed import Client

    with warnings.catch_warnings(action="ignore"):  # of versions, which are compared above
        return Client(address, timeout=_CONNECTING, set_as_default=False)


def _spoken(known: dict[str, Any]) -> dict[str, str]:
    """Versions of Python and Dask, out of those that a process tells."""
    return {name: known["packages"][name].removesuffix(".final.0") for name in _SAME}

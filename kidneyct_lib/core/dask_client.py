"""Work given to the workers of a Dask scheduler, and its results; `engine` imports it for that."""

import os
import queue
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from distributed import Client, Future, KilledWorker
from tqdm import tqdm

from kidneyct_lib.core import dask_worker
from kidneyct_lib.core.dask_arrays import Packer
from kidneyct_lib.core.dask_worker import Meeting
from kidneyct_lib.core.errors import StudyError
from kidneyct_lib.core.files import project_root
from kidneyct_lib.core.progress import Unwanted

_POLL = 2.0  # seconds between two looks at the cluster
_CONNECTING = 30.0  # seconds to reach the scheduler
_RESUMES = "What ended is kept, and the same command goes on at the last finished epoch."


@dataclass(frozen=True)
class Work:
    """What `engine.run_all` was given."""

    function: Callable[..., Any]
    calls: Sequence[Mapping[str, Any]]
    names: Sequence[str]
    label: str
    unit: str
    folders: Sequence[Path]


def patience() -> float:
    """Seconds that a study waits while its cluster has no worker: `KIDNEYCT_PATIENCE`, or 600."""
    given = os.environ.get("KIDNEYCT_PATIENCE", "600")
    try:
        return float(given)
    except ValueError:
        raise StudyError(f"KIDNEYCT_PATIENCE is {given!r}: give a number of seconds.") from None


def run(address: str, work: Work) -> list[Any]:
    """Do `engine.run_all` on the workers of a scheduler."""
    with _connected(address) as client, _meeting(work.folders) as meeting:
        handed = _HandedOut(client, address, work, meeting)
        try:
            return handed.results()
        except BaseException:  # Ctrl-C too: workers stop at their next epoch
            handed.cancel()
            raise
        finally:
            handed.clear()


@contextmanager
def _connected(address: str) -> Iterator[Client]:
    try:
        client = Client(address, timeout=_CONNECTING, set_as_default=False)
    except (OSError, ValueError, TypeError) as error:
        raise StudyError(
            f"No scheduler answers at {address} ({error}): start it, or unset KIDNEYCT_SCHEDULER "
            "and DASK_SCHEDULER_ADDRESS to compute on this machine alone."
        ) from None
    with client:
        yield client


@contextmanager
def _meeting(folders: Sequence[Path]) -> Iterator[Meeting]:
    """Leave a file in each folder, for workers to find, as long as they work."""
    code = uuid.uuid4().hex
    # Named as a temporary file, so that one left by a killed process is swept up.
    files = [Path(folder).resolve() / f".meeting-{code}.{os.getpid()}" for folder in folders]
    try:
        for file in files:
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(code, encoding="utf-8")
        found = tuple(map(str, files))
        yield Meeting(
            str(project_root().resolve()), found, dict(dask_worker.software()), f"kidneyct-{code}"
        )
    finally:
        for file in files:
            with suppress(OSError):
                file.unlink(missing_ok=True)


class _HandedOut:
    """Calls on their way: as many as there are workers, one bar for all, results as they come.

    The scheduler gives a call to the worker that has least to do, so each has one, however many
    threads it has; and one that joins later finds calls that nobody has yet.
    """

    def __init__(self, client: Client, address: str, work: Work, meeting: Meeting) -> None:
        self._client, self._address, self._work, self._meeting = client, address, work, meeting
        function = work.function
        self._named = f"{function.__module__}:{function.__qualname__}"
        self._packer = Packer(meeting.array_file)
        self._waiting = list(range(len(work.calls)))
        self._futures: dict[int, Future] = {}  # by number of the call
        self._done = queue.SimpleQueue[int]()
        self._doing: dict[str, str] = {}  # by name of the call: how far it is
        self._last_seen = time.monotonic()  # when there was a worker

    def results(self) -> list[Any]:
        """Hand out and wait."""
        results: dict[int, Any] = {}
        self._client.subscribe_topic(self._meeting.topic, self._hear)
        total = len(self._work.calls)
        with tqdm(total=total, desc=self._work.label, unit=self._work.unit) as bar:
            while len(results) < total:
                self._hand_out(bar)
                with suppress(queue.Empty):
                    number = self._done.get(timeout=_POLL)
                    if self._came(number):
                        results[number] = self._futures.pop(number).result()
                        self._doing.pop(self._work.names[number], None)
                        bar.update()
        return [results[number] for number in range(total)]

    def cancel(self) -> None:
        """Ask for nothing more."""
        with suppress(Exception):
            self._client.cancel(list(self._futures.values()), force=True)

    def clear(self) -> None:
        """Remove what was written for workers alone."""
        with suppress(OSError):
            self._packer.remove()

    def _hand_out(self, bar: tqdm) -> None:
        """Give out as many calls as there are workers; raise where nobody will do any."""
        gone = any(future.cancelled() for future in self._futures.values())
        if gone or self._client.status != "running":
            raise StudyError(
                f"The scheduler at {self._address} is gone: start it again, with its workers. "
                f"{_RESUMES}"
            )
        workers = self._client.scheduler_info(n_workers=0).get("n_workers", 0)
        if workers:
            self._last_seen = time.monotonic()
        elif time.monotonic() - self._last_seen > patience():
            raise StudyError(
                f"The scheduler at {self._address} has had no worker for {patience():.0f} s: start "
                f"some, or let KIDNEYCT_PATIENCE allow more seconds. {_RESUMES}"
            )
        while self._waiting and len(self._futures) < workers:
            self._submit(self._waiting.pop(0))
        doing = ", ".join(f"{name}: {far}" for name, far in sorted(self._doing.items()))
        bar.set_postfix_str(doing if workers else "waiting for workers")

    def _submit(self, number: int) -> None:
        """Give out a call; should its worker die, it goes to another one."""
        packed, name = self._packer.pack(dict(self._work.calls[number])), self._work.names[number]
        # Equal for equal work alone: what two studies ask for at once is done once.
        facts = [self._named, self._meeting.project, str(self._meeting.software)]
        key = sha256("\n".join(facts).encode() + packed).hexdigest()
        given = self._named, packed, name, self._meeting
        future = self._client.submit(dask_worker.call, *given, key=f"{self._work.label}-{key}")
        self._futures[number] = future
        self._call_back(number, future)

    def _call_back(self, number: int, future: Future) -> None:
        future.add_done_callback(lambda _: self._done.put(number))

    def _hear(self, event: tuple[float, Any]) -> None:
        """Take in how far a worker says that it is."""
        self._doing[event[1]["name"]] = event[1]["doing"]

    def _came(self, number: int) -> bool:
        """Whether a result is there; raises what came in its place."""
        future, name = self._futures[number], self._work.names[number]
        if future.status == "finished":
            return True
        if future.status != "error":  # cancelled, lost: `_hand_out` tells why
            return False
        error = future.exception()
        if isinstance(error, Unwanted):  # of an earlier command, stopped at this very moment
            future.retry()
            self._call_back(number, future)
            return False
        if isinstance(error, StudyError):
            raise error
        what = f"{self._work.label}: {name}"
        if isinstance(error, KilledWorker):
            raise StudyError(
                f"{what} ended {error.allowed_failures + 1} workers, the last at "
                f"{error.last_worker.address}: mostly because memory or time of a worker is too "
                f"short. Give workers more of it, or start fewer on each machine. {_RESUMES}"
            )
        if isinstance(error, ImportError):
            raise StudyError(
                f"{what}: a worker can't import {error.name}; start workers with this project's "
                f"own Python, {dask_worker.LIBRARY.parent / '.venv/bin'}."
            )
        raise StudyError(f"{what} failed on a worker: {type(error).__name__}: {error}") from error

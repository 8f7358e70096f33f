"""What a Dask worker does with the calls that `dask_client` gives it."""

import functools
import hashlib
import io
import os
import platform
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from operator import attrgetter
from pathlib import Path
from typing import Any

from distributed import Status, Worker, get_worker
from threadpoolctl import threadpool_limits
from tqdm import tqdm

from kidneyct_lib.core import dask_arrays, progress
from kidneyct_lib.core.errors import StudyError
from kidneyct_lib.core.files import PROJECT
from kidneyct_lib.core.progress import Unwanted
from kidneyct_lib.core.threads import THREADS

LIBRARY = Path(__file__).parents[1]

_PACKAGES = ("keras", "tensorflow", "numpy", "scikit-learn", "scipy", "opencv-python-headless")
_ONE_AT_A_TIME = threading.Lock()  # a call has all threads of its worker


@dataclass(frozen=True)
class Meeting:
    """What a worker must find to be of use: files, and the code and packages of the study."""

    project: str
    files: tuple[str, ...]
    software: dict[str, str]
    topic: str  # where workers tell how far they are
    appearing: float = 10.0  # seconds that a shared file system may take to show a file elsewhere

    def array_file(self, digest: str) -> Path:
        """File of an array of a call, beside the first file."""
        first = Path(self.files[0])
        return first.with_name(f".{digest}{first.name}.npy")


class Place:
    """A worker, as the process in which a call is made.

    Parameters
    ----------
    worker
        Dask's.
    name, topic
        Of the call; where to tell how far it is.
    """

    def __init__(self, worker: Worker, name: str, topic: str) -> None:
        self._worker, self._name, self._topic = worker, name, topic
        self._key = worker.get_current_task()

    def bar(self, *arguments: Any, **options: Any) -> tqdm:
        """Tell the study's process what the bar would show."""
        return _ToldBar(*arguments, **options | {"tell": self._tell})

    def stop_if_unwanted(self) -> None:
        """Raise `Unwanted` if the study has cancelled this call, or the worker is to close."""
        task = self._worker.state.tasks.get(self._key)
        closing = self._worker.status in (Status.closing, Status.closing_gracefully, Status.closed)
        if closing or task is None or task.state == "cancelled":
            raise Unwanted(self._name)

    def _tell(self, doing: str) -> None:
        self._worker.log_event(self._topic, {"name": self._name, "doing": doing})


class _ToldBar(tqdm):
    """A bar that draws nothing and tells what it would draw."""

    def __init__(self, *arguments: Any, tell: Callable[[str], None], **options: Any) -> None:
        self._tell = tell
        super().__init__(*arguments, **options | {"file": io.StringIO(), "mininterval": 1})

    def display(self, msg: str | None = None, pos: int | None = None) -> None:
        """Tell it."""
        if msg is None:
            self._tell(self.desc if self.total is None else f"{self.desc} {self.n}/{self.total}")


def call(named: str, packed: bytes, name: str, meeting: Meeting) -> Any:
    """Make one call on a worker, on as many threads as that has.

    The function comes as "module:name", so that nothing is loaded before the threads are set: once
    TensorFlow is there, it heeds them no more.
    """
    worker = get_worker()
    _check(meeting, worker.address)
    threads = worker.state.nthreads
    with _ONE_AT_A_TIME, threadpool_limits(threads):
        os.environ.update(dict.fromkeys(THREADS, str(threads)))
        if (Path(meeting.project) / "params").is_dir():
            os.environ[PROJECT] = meeting.project
        module, _, function = named.partition(":")
        progress.become(Place(worker, name, meeting.topic))
        does = attrgetter(function)(import_module(module))
        return does(**dask_arrays.unpack(packed, meeting.array_file))


def _check(meeting: Meeting, address: str) -> None:
    """Refuse to work on other files, with other code or with other packages than the study's."""
    end = time.monotonic() + meeting.appearing
    for file in map(Path, meeting.files):
        while not file.exists():
            if time.monotonic() > end:
                raise StudyError(
                    f"The worker at {address} on {platform.node()} does not see the study's "
                    f"{file.parent}: its machine must mount that folder under the same path."
                )
            time.sleep(0.2)
    own = software()
    other = [
        f"{name} {own[name][:12]}, not {wanted[:12]}"
        for name, wanted in meeting.software.items()
        if own[name] != wanted
    ]
    if other:
        raise StudyError(
            f"The worker at {address} on {platform.node()} has {'; '.join(other)}: start it anew, "
            f"with the study's own Python."
        )


@functools.cache
def software() -> Mapping[str, str]:
    """What results depend on: digest of this library's code, Python, packages; as first asked."""
    sha = hashlib.sha256()
    for module in sorted(LIBRARY.rglob("*.py")):
        sha.update(module.relative_to(LIBRARY).as_posix().encode() + module.read_bytes())
    known = {"kidneyct_lib": sha.hexdigest(), "Python": platform.python_version()}
    for name in _PACKAGES:
        try:
            known[name] = version(name)
        except PackageNotFoundError:
            known[name] = "missing"
    backend = os.environ.get("KERAS_BACKEND", "tensorflow")
    return known | {"Keras backend": backend}

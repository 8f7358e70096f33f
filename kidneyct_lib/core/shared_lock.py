"""A lock that holds between the machines that share a folder.

A kernel's locks (flock, fcntl) hold between machines only if the file system passes them on. NFS
mounted with `nolock` or `local_lock`, and Lustre with `localflock`, grant them to each machine by
itself and say nothing. What all of them do in one step, whatever machine asks, is to create a file
that must not exist yet, so the lock is a file: who created it holds it.
"""

import json
import os
import platform
import threading
import time
import uuid
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

import psutil

from kidneyct_lib.core import progress
from kidneyct_lib.core.errors import StudyError

BEAT = 10.0
"""Seconds after which a holder shows anew that it lives."""

LEASE = 60.0
"""Seconds without such a sign after which a holder on another machine counts as dead."""

_SETTLING = 1.0  # seconds for which a lock that is taken over must stay taken
_POLL = 0.2  # seconds between two looks at a lock that another holds
_TELL = 3.0  # seconds of waiting from which on it is told


class SharedLock:
    """One holder at a time of all processes, on whatever machines, that see the same file.

    A holder that died is replaced: at once where its process was on this machine, else when it has
    given no sign for `LEASE` seconds by this machine's own clock. Two that find a dead holder both
    write their name in its place, and the last one stays (Fischer's algorithm, in Lamport 1987,
    https://doi.org/10.1145/7351.7352).

    Parameters
    ----------
    path
        The file. Its folder must exist.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._record = {"id": uuid.uuid4().hex, "place": _place(), "pid": os.getpid()}
        self._record["since"] = psutil.Process().create_time()
        self._text = json.dumps(self._record | {"host": platform.node()})
        self._released, self._heart = threading.Event(), threading.Thread(target=self._beat)
        self._heart.daemon = True

    def __enter__(self) -> Self:
        began, bar = time.monotonic(), None
        seen, since = self._read(), began
        try:
            while not self._create():
                progress.stop_if_unwanted()
                now = self._read()
                if now != seen:
                    seen, since = now, time.monotonic()
                dead = _has_died(seen[0]) or time.monotonic() - since > LEASE
                if seen[0] is not None and dead and self._replace(seen[0]):
                    break
                if bar is None and time.monotonic() - began > _TELL:
                    text = f"waiting for {_holder(seen[0])}, which has {self._path.parent.name}"
                    bar = progress.bar(desc=text, bar_format="{desc} {elapsed}", leave=False)
                time.sleep(_POLL)
        finally:
            if bar is not None:
                bar.close()
        self._heart.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._released.set()
        self._heart.join()
        if self._is_mine():
            self._path.unlink(missing_ok=True)

    def require(self) -> None:
        """See that it is held still.

        Raises
        ------
        StudyError
            If another process has taken it, as this one gave no sign for long: it was halted, or
            its disk was gone.
        """
        if not self._is_mine():
            raise StudyError(
                f"{self._path.parent} was taken over by {_holder(self._read()[0])}, as this "
                f"process stood still for more than {LEASE:.0f} s; give the same command again."
            )

    def _is_mine(self) -> bool:
        return self._read()[0] == self._text

    def _create(self) -> bool:
        """Take the lock where nobody has it."""
        try:
            with self._path.open("x", encoding="utf-8") as file:
                file.write(self._text)
        except FileExistsError:
            return False
        return True

    def _replace(self, dead: str) -> bool:
        """Take the lock of a dead holder, unless others do."""
        own = self._path.with_name(f"{self._path.name}.{self._record['id']}")
        try:
            own.write_text(self._text, encoding="utf-8")
            if self._read()[0] != dead:
                return False
            own.replace(self._path)
        finally:
            own.unlink(missing_ok=True)
        # Who read the same dead name before this was written has written its own by then.
        time.sleep(_SETTLING)
        return self._is_mine()

    def _read(self) -> tuple[str | None, int]:
        """Content and time of the file; opening it makes NFS ask the server."""
        try:
            with self._path.open(encoding="utf-8", errors="replace") as file:
                return file.read(), os.fstat(file.fileno()).st_mtime_ns
        except FileNotFoundError:
            return None, 0

    def _beat(self) -> None:
        while not self._released.wait(BEAT):
            with suppress(OSError):  # a disk that is away for a moment
                if not self._is_mine():
                    return
                os.utime(self._path)


def _has_died(text: str | None) -> bool:
    """Whether a holder of this very system is known to be gone."""
    try:
        record = json.loads(text or "")
        if record["place"] != _place():
            return False
        process = psutil.Process(record["pid"])
        same = abs(process.create_time() - record["since"]) < 5  # else its number was given anew
        return not same or process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True
    except (ValueError, KeyError, TypeError, psutil.Error):  # half written, or of no lock
        return False


def _holder(text: str | None) -> str:
    """A holder's name for people."""
    try:
        record = json.loads(text or "")
        return f"process {record['pid']} on {record['host']}"
    except (ValueError, KeyError, TypeError):
        return "another process"


def _place() -> str:
    """Name this system since it was started: a process number means the same process in it."""
    parts = [platform.node()]
    with suppress(OSError):
        parts.append(Path("/proc/sys/kernel/random/boot_id").read_text(encoding="utf-8").strip())
        parts.append(str(Path("/proc/self/ns/pid").readlink()))  # containers count for themselves
    return " ".join(parts)

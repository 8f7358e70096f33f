"""Work that ends its own process at a given moment, once, and notes all that it does.

It is the study's in small: under the same lock, kept in the same checkpoints and stores, but on a
few numbers, so that it can be disturbed often.
"""

import os
import signal
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from kidneyct_lib.core import progress
from kidneyct_lib.core.array_cache import RowStore
from kidneyct_lib.core.shared_lock import SharedLock
from kidneyct_lib.training import checkpoints

MOMENTS = (
    "before the first epoch",
    "in an epoch",
    "before its state is kept",
    "while its state is written",
    "after its state is kept",
    "after the last epoch",
    "before the result is sent",
)
LOSE_AN_EPOCH = MOMENTS[2:4]
"""Moments at which an epoch is done and not kept yet: it alone is done again."""

FILLING = ("before the first batch", "in a batch", "between values and index")
AT = 2  # number of the epoch, or of the batch, that is disturbed


class Faults:
    """A fault that happens so many times in all, whatever process meets it."""

    def __init__(self, folder: str, fault: str, times: int) -> None:
        self._folder, self._fault, self._times = Path(folder), fault, times

    def now(self, moment: str) -> bool:
        """Whether it happens now."""
        if moment != self._fault:
            return False
        for number in range(self._times):
            try:
                (self._folder / f"fault-{number}").touch(exist_ok=False)
                return True
            except FileExistsError:
                pass
        return False

    def meet(self, moment: str) -> None:
        """End this process if it is to end now."""
        if self.now(moment):
            die()


def die(*_arguments, **_options):
    os.kill(os.getpid(), signal.SIGKILL)


def note(folder: str, *facts) -> None:
    """Add a line to the log of all that was done."""
    with Path(folder, "done.log").open("a") as file:
        file.write(" ".join(map(str, (*facts, os.getpid()))) + "\n")


def done(folder: Path) -> list[tuple[str, ...]]:
    """What was done, in turn, without the processes."""
    log = folder / "done.log"
    return [tuple(line.split()[:-1]) for line in log.read_text().splitlines()]


def train(
    folder: str, number: int, epochs: int, seconds: float = 0.02, fault: str = "", times: int = 1
) -> list[float]:
    """A training of few numbers: an epoch's loss hangs on all before it."""
    faults, path = Faults(folder, fault, times), Path(folder, f"state-{number}.npz")
    with SharedLock(path.with_suffix(".holder")):
        _, parts = checkpoints.load(path, "training")
        losses = parts["losses"][0].tolist() if parts else []
        faults.meet("before the first epoch")
        for epoch in progress.bar(range(len(losses), epochs), desc="epochs"):
            progress.stop_if_unwanted()
            time.sleep(seconds)
            here = epoch == AT
            if here:
                faults.meet("in an epoch")
            losses.append(sum(losses) + np.random.default_rng([number, epoch]).random())
            note(folder, "epoch", number, epoch)
            if here:
                faults.meet("before its state is kept")
            if here and faults.now("while its state is written"):
                checkpoints.np.savez = _half
            checkpoints.save(path, "training", {}, {"losses": [np.array(losses)]})
            if here:
                faults.meet("after its state is kept")
        faults.meet("after the last epoch")
    faults.meet("before the result is sent")
    return losses


def _half(temporary: Path, **_arrays) -> None:
    temporary.write_bytes(b"PK\x03\x04 the first half of a")
    die()


def row(key: str) -> np.ndarray:
    return np.random.default_rng(int(key)).random(3)


def fill(folder: str, keys: Sequence[str], fault: str = "") -> list[list[float]]:
    """Fill a store that others fill too."""
    faults, batches = Faults(folder, fault, 1), []

    def compute(at: np.ndarray) -> np.ndarray:
        if not batches:
            faults.meet("before the first batch")
        batches.append(at)
        time.sleep(0.1)
        note(folder, *(f"row-{keys[i]}" for i in at))
        if len(batches) == AT:
            faults.meet("in a batch")
            if faults.now("between values and index"):
                os.fsync = die  # which is what follows the values
        return np.stack([row(keys[i]) for i in at])

    store = RowStore(Path(folder, "store"), (3,), "float64")
    store.fill(keys, compute, batch=2, label="rows")
    return store.take(keys).tolist()


def hungry(folder: str, number: int, megabytes: int, times: int = 1) -> int:
    """Take memory for some seconds."""
    note(folder, "hungry", number)
    if Faults(folder, "hungry", times).now("hungry"):
        taken = [np.ones(2**20 // 8) for _ in range(megabytes)]
        time.sleep(30)
        return len(taken)
    return number


def client(folder: str, calls: int, epochs: int, seconds: float) -> None:
    """A study's process: trains, and keeps what came."""
    from kidneyct_lib.core import engine

    todo = [
        {"folder": folder, "number": n, "epochs": epochs, "seconds": seconds} for n in range(calls)
    ]
    result = engine.run_all(train, todo, label="trainings", folders=[Path(folder)])
    Path(folder, "result.txt").write_text(repr(result))

"""What tests have workers do."""

import os
import time
from hashlib import sha256
from pathlib import Path

from kidneyct_lib.core import progress
from kidneyct_lib.core.errors import StudyError


class OddError(StudyError):
    """A study's error of a kind of its own."""


def square(number: int) -> int:
    return number**2


def slow_square(number: int, seconds: float, folder: str) -> int:
    """Note each call in a file; long for the first numbers, so that results come out of order."""
    with Path(folder, f"{number}.txt").open("a") as file:
        file.write(f"{os.getpid()}\n")
    time.sleep(seconds)
    return number**2


def steps(folder: str, number: int, count: int, seconds: float) -> list[int]:
    """Steps that are kept in a file, one line each, and gone on with."""
    path = Path(folder, f"steps-{number}.txt")
    done = path.read_text().splitlines() if path.exists() else []
    for step in progress.bar(range(len(done), count), desc="steps"):
        progress.stop_if_unwanted()
        time.sleep(seconds)
        with path.open("a") as file:
            file.write(f"{step} {os.getpid()}\n")
    return [int(line.split()[0]) for line in path.read_text().splitlines()]


def failing(number: int) -> int:
    if number == 2:
        raise OddError("number 2 is odd in its way; leave it out.")
    if number == 3:
        raise ZeroDivisionError("nothing to divide by")
    return number


def unwanted_once(folder: str) -> str:
    """Stop the first time, as a call does that was asked for anew while it was being stopped."""
    flag = Path(folder, "stopped")
    if not flag.exists():
        flag.touch()
        raise progress.Unwanted("stopped")
    return "done"


def digest(array) -> str:
    facts = f"{array.dtype}{array.shape}{array.strides}"
    return sha256(facts.encode() + array.tobytes()).hexdigest()


def look_at(arrays, frame, folder: str, number: int):
    """What a worker sees of its arguments, and how many files there are of them."""
    files = len(list(Path(folder).glob(".*.npy")))
    return [digest(one) for one in arrays], frame.describe().to_dict(), files


def surroundings() -> dict:
    """What a worker finds for its threads."""
    import numpy as np
    from threadpoolctl import threadpool_info

    np.ones((64, 64)) @ np.ones((64, 64))
    names = ("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS")
    return {"pools": {pool["num_threads"] for pool in threadpool_info()}} | {
        name: os.environ.get(name) for name in names
    }

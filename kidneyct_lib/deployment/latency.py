"""Time one model in a process of its own, so that neither memory nor threads are another's.

`python -m kidneyct_lib.deployment.latency KIND,... PATH THREADS SIZE BATCH...` prints JSON.
"""

import json
import os
import statistics
import subprocess
import sys
import timeit
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from time import perf_counter

import numpy as np

from kidneyct_lib.core.errors import StudyError
from kidneyct_lib.deployment import runtimes
from kidneyct_lib.study.provenance import peak_memory_mb


def clock(
    kinds: Sequence[str], path: Path, *, threads: int, size: int, batches: Sequence[int]
) -> list[dict]:
    """Time a model in a fresh process, one batch size after the other.

    Parameters
    ----------
    kinds
        Ways to run the same file: "model.predict" (Keras as most people run it) and "compiled call"
        (Keras compiled once), or one format's own runtime, "onnx" or "litert".
    path
        A .keras file for the first two, an exported file for the others.
    threads
        How many it may use.
    size, batches
        Side of the images in pixels; images at a time.

    Returns
    -------
    list of dicts, one per kind and batch: ``way`` (the kind), ``batch``, ``milliseconds`` (median
    for one image), ``memory_mb`` (peak of the process until the kind is done) and ``load_seconds``
    (libraries and model).

    Raises
    ------
    StudyError
        If the process fails; the message ends with what it said last.
    """
    words = [",".join(kinds), path.resolve(), threads, size, *batches]
    limits = dict.fromkeys(("TF_NUM_INTRAOP_THREADS", "OMP_NUM_THREADS"), str(threads))
    done = subprocess.run(
        [sys.executable, "-m", __name__, *map(str, words)],
        cwd=Path(__file__).parents[2],  # so that this library runs, whatever is installed
        env=os.environ | limits | {"TF_NUM_INTEROP_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        reason = done.stderr.strip().splitlines() or ["no word"]
        raise StudyError(f"{path} could not be timed as {kinds[0]}: {reason[-1]}")
    return json.loads(done.stdout.splitlines()[-1])


def measure(
    kinds: Sequence[str], path: Path, threads: int, size: int, batches: Sequence[int]
) -> list[dict]:
    """Do in this process what `clock` does in another."""
    began = perf_counter()
    if kinds[0] in runtimes.RUNNERS:
        runs = {kind: runtimes.RUNNERS[kind](path, threads) for kind in kinds}
    else:
        from kidneyct_lib.models import builder

        net = builder.load(path)
        predict = partial(net.predict, verbose=0)
        runs = {"model.predict": predict, "compiled call": net.predict_on_batch}
    loaded, rows = round(perf_counter() - began, 2), []
    for kind in kinds:
        times = [one_image(runs[kind], (size, size, 3), batch=batch) for batch in batches]
        costs = {"memory_mb": _own_peak_mb(), "load_seconds": loaded}
        for batch, milliseconds in zip(batches, times, strict=True):
            rows.append({"way": kind, "batch": batch, "milliseconds": milliseconds} | costs)
    return rows


def one_image(run: Callable[[np.ndarray], object], shape: Sequence[int], *, batch: int) -> float:
    """Time a model on noise, after one call that traces and allocates.

    Parameters
    ----------
    run
        Predictions for uint8 (batch, height, width, channels).
    shape, batch
        Height, width and channels of the images; images at a time.

    Returns
    -------
    float: milliseconds for one image, median of several calls.
    """
    images = np.random.default_rng(0).integers(0, 256, (batch, *shape), np.uint8)
    run(images)
    times = timeit.repeat(partial(run, images), number=1, repeat=9 if batch == 1 else 3)
    return round(1000 * statistics.median(times) / batch, 3)


def _own_peak_mb() -> float | None:
    """Peak memory since this program began: Linux's other count starts with the parent's."""
    try:
        status = Path("/proc/self/status").read_text(encoding="utf-8")
    except OSError:
        return peak_memory_mb()
    return round(int(status.split("VmHWM:")[1].split()[0]) / 1e3, 1)


if __name__ == "__main__":
    kinds, path, *numbers = sys.argv[1:]
    threads, size, *batches = map(int, numbers)
    print(json.dumps(measure(kinds.split(","), Path(path), threads, size, batches)))

"""What the machine can do, and how near the network comes: `python -m benchmarks.machine JOB.json`.

The peak is the fastest of several float32 matrix multiplications, by NumPy and by Keras. Beside it
stand the prefix and a training step of the suffix on one batch that is in memory already, so
without the disk, validation or the first call's compilation.
"""

import subprocess
import sys
import time
from collections.abc import Callable

import numpy as np

from benchmarks.measure import read_job, write_result
from benchmarks.two_stage import build
from kidneyct_lib.models import freezing, multiply_adds
from kidneyct_lib.models.keras_setup import keras

SIDE = 2048
MODULES = (
    "kidneyct_lib",
    "kidneyct_lib.cli",
    "kidneyct_lib.evaluation.metrics",
    "kidneyct_lib.training.recipes",
)


def fastest(action: Callable[[], object], repeats: int) -> float:
    """Least seconds of several calls after one that does not count."""
    action()
    seconds = []
    for _ in range(repeats):
        start = time.perf_counter()
        action()
        seconds.append(time.perf_counter() - start)
    return min(seconds)


def matmul_gflops(repeats: int = 10) -> dict[str, float]:
    """GFLOP/s of square float32 matrix multiplications, per library."""
    a, b = np.random.default_rng(0).standard_normal((2, SIDE, SIDE), dtype=np.float32)
    ka, kb = keras.ops.convert_to_tensor(a), keras.ops.convert_to_tensor(b)
    numpy_seconds = fastest(lambda: a @ b, repeats)
    keras_seconds = fastest(
        lambda: keras.ops.convert_to_numpy(keras.ops.matmul(ka, kb)[0, 0]), repeats
    )
    operations = 2 * SIDE**3 / 1e9
    return {"NumPy": operations / numpy_seconds, "Keras": operations / keras_seconds}


def steady(job: dict) -> dict[str, dict[str, float]]:
    """Images/s and multiply-adds an image of the prefix and of a training step of the suffix."""
    batch, rng = job["batch_size"], np.random.default_rng(0)
    net = build(job)
    freezing.unfreeze_last(net, job["unfreeze_layers"])
    cut = freezing.frozen_cut(net)
    prefix, suffix = freezing.part(net, None, cut), freezing.part(net, cut, None)
    side = job["image_size"]
    pixels = rng.integers(0, 256, (batch, side, side, 3), dtype=np.uint8)
    rows = prefix.predict_on_batch(pixels)
    targets = np.arange(batch) % len(job["classes"])
    suffix.compile(
        optimizer=keras.optimizers.Adam(job["stage2_learning_rate"]),
        loss="sparse_categorical_crossentropy",
    )
    actions = {
        "prefix": (lambda: prefix.predict_on_batch(pixels), multiply_adds.forward(prefix)),
        "suffix training": (
            lambda: suffix.train_on_batch(rows, targets),
            multiply_adds.training(suffix),
        ),
    }
    return {
        name: {"images_per_second": batch / fastest(action, 5), "multiply_adds": count}
        for name, (action, count) in actions.items()
    } | {"whole network, forward": {"multiply_adds": multiply_adds.forward(net)}}


def import_seconds(module: str, repeats: int = 5) -> float:
    """Least seconds of importing a module in a fresh interpreter."""
    code = (
        "import time; t = time.perf_counter(); "
        f"import {module}; print(time.perf_counter() - t, {module}.__name__)"
    )
    seconds = []
    for _ in range(repeats):
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
        seconds.append(float(done.stdout.split()[0]))
    return min(seconds)


def main() -> None:
    """Measure the peak before and after the network, and the imports."""
    job = read_job()
    imports = {
        module: import_seconds(module, 2 if module.endswith("recipes") else 5) for module in MODULES
    }
    before, network_speed, after = matmul_gflops(), steady(job), matmul_gflops()
    peak = {name: max(before[name], after[name]) for name in before}
    write_result(job, imports=imports, matmul_gflops=peak, steady=network_speed)


if __name__ == "__main__":
    main()

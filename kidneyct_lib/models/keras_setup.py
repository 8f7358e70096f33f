"""Keras, loaded without its noise and set to compute the same way every time."""

import logging
import os
import random
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any


@contextmanager
def _silenced() -> Iterator[None]:
    """Drop what native code prints to standard error; it would end up in every notebook."""
    kept = os.dup(2)
    with Path(os.devnull).open("w") as nowhere:
        os.dup2(nowhere.fileno(), 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)


os.environ.setdefault("TF_DETERMINISTIC_OPS", "1")
# oneDNN's gradients of convolutions: TensorFlow's own work image by image, and take twice the time.
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
# Notebooks and workers that run side by side share a GPU: none takes its whole memory at once.
os.environ.setdefault("TF_FORCE_GPU_ALLOW_GROWTH", "true")
os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")  # JAX's name for that
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("KERAS_BACKEND", "tensorflow")  # comes before the user's own keras.json
with _silenced():  # TensorFlow reports missing GPUs before it reads its log level
    import keras

    # What keras.json may say otherwise, and results depend on.
    keras.config.set_floatx("float32")
    keras.config.set_dtype_policy("float32")
    keras.config.set_epsilon(1e-7)
    keras.config.set_image_data_format("channels_last")
    keras.ops.zeros(())  # the first tensor looks for devices


class _RandomOfThread(threading.local):
    """Stands in for the module `random` where Keras draws seeds of initial values.

    The module's one sequence is drawn from by all threads of a process, as by those that keep a
    worker in touch with its scheduler: what a seeded thread draws would hang on their moments.
    """

    def __init__(self) -> None:
        self.own: Any = random  # until the thread is seeded

    def randint(self, a: int, b: int) -> int:
        return self.own.randint(a, b)


_RANDOM = _RandomOfThread()
keras.src.random.seed_generator.python_random = _RANDOM


def set_seed(seed: int) -> None:
    """Make all that this thread builds and draws next depend on the seed alone."""
    keras.utils.set_random_seed(seed)
    _RANDOM.own = random.Random(seed)


def devices() -> list[str]:
    """Devices of the backend: those that speed up the work, else the processor."""
    found = keras.distribution.list_devices()
    return [name for name in found if not name.startswith("cpu")] or found


# Many small models are compiled once each here; TensorFlow takes that for an accident.
logging.getLogger("tensorflow").setLevel(logging.ERROR)

__all__ = ["devices", "keras", "set_seed"]

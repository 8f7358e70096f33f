"""Keras, loaded without its noise and set to compute the same way every time."""

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


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


def devices() -> list[str]:
    """Devices of the backend: those that speed up the work, else the processor."""
    found = keras.distribution.list_devices()
    return [name for name in found if not name.startswith("cpu")] or found


# Many small models are compiled once each here; TensorFlow takes that for an accident.
logging.getLogger("tensorflow").setLevel(logging.ERROR)

__all__ = ["devices", "keras"]

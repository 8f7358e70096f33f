"""Keras computes the same way whatever the user's own settings say."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest

MEMORY = ("TF_FORCE_GPU_ALLOW_GROWTH", "XLA_PYTHON_CLIENT_PREALLOCATE")
SHOWN = f"""
import os
from kidneyct_lib.models.keras_setup import keras
from keras import config
print(config.backend(), config.floatx(), config.image_data_format(), config.epsilon(),
      config.dtype_policy().name, keras.layers.Conv2D(1, 1).dtype)
print(*(os.environ[name] for name in {MEMORY}))
"""


@pytest.fixture(scope="module")
def shown(tmp_path_factory):
    """What a process sees whose user has settings of his own: Keras's, and variables."""
    folder = tmp_path_factory.mktemp("keras")
    other = {"floatx": "float16", "epsilon": 1e-3, "backend": "jax"}
    other |= {"image_data_format": "channels_first"}
    (folder / "keras.json").write_text(json.dumps(other))
    unset = {"KERAS_BACKEND", *MEMORY}
    environment = {name: value for name, value in os.environ.items() if name not in unset}
    environment |= {"KERAS_HOME": str(folder), MEMORY[1]: "1"}
    command = [sys.executable, "-c", SHOWN]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    return [line.split() for line in done.stdout.splitlines()]


def test_the_users_own_settings_play_no_part(shown):
    assert shown[0] == ["tensorflow", "float32", "channels_last", "1e-07", "float32", "float32"]


def test_a_gpu_is_shared_unless_the_user_says_otherwise(shown):
    assert shown[1] == ["true", "1"]


def test_initial_values_hang_on_the_seed_alone_whatever_other_threads_draw():
    import random
    import threading

    from kidneyct_lib.models.keras_setup import keras, set_seed

    def values():
        set_seed(3)
        model = keras.Sequential([keras.Input((4,)), *map(keras.layers.Dense, (8, 8, 8))])
        return np.concatenate([value.ravel() for value in model.get_weights()])

    alone, over = values(), threading.Event()

    def draw():
        while not over.is_set():
            random.random()

    other = threading.Thread(target=draw)
    other.start()
    try:
        beside = [values() for _ in range(5)]
    finally:
        over.set()
        other.join()
    assert all(np.array_equal(alone, one) for one in beside)
    assert len(np.unique(alone[alone != 0])) > 100  # no constant

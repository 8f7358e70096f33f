"""Keras computes the same way whatever the user's own settings say."""

import json
import os
import subprocess
import sys

import numpy as np

SHOWN = """
from kidneyct_lib.models.keras_setup import keras
from keras import config
print(config.backend(), config.floatx(), config.image_data_format(), config.epsilon(),
      config.dtype_policy().name, keras.layers.Conv2D(1, 1).dtype)
"""


def test_the_users_own_settings_play_no_part(tmp_path):
    other = {"floatx": "float16", "epsilon": 1e-3, "backend": "jax"}
    other |= {"image_data_format": "channels_first"}
    (tmp_path / "keras.json").write_text(json.dumps(other))
    environment = {k: v for k, v in os.environ.items() if k != "KERAS_BACKEND"}
    done = subprocess.run(
        [sys.executable, "-c", SHOWN],
        env=environment | {"KERAS_HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split() == [
        "tensorflow",
        "float32",
        "channels_last",
        "1e-07",
        "float32",
        "float32",
    ]


def test_a_gpu_is_shared_unless_the_user_says_otherwise():
    names = ("TF_FORCE_GPU_ALLOW_GROWTH", "XLA_PYTHON_CLIENT_PREALLOCATE")
    shown = "import kidneyct_lib.models.keras_setup, os\n"
    shown += f"print(*(os.environ[name] for name in {names}))"
    environment = {k: v for k, v in os.environ.items() if k not in names}
    for own, expected in (({}, ["true", "false"]), (dict.fromkeys(names, "1"), ["1", "1"])):
        command = [sys.executable, "-c", shown]
        done = subprocess.run(
            command, env=environment | own, capture_output=True, text=True, check=True
        )
        assert done.stdout.split() == expected


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

"""Keras on JAX or torch instead of TensorFlow: the same numbers, and notebooks 01 to 09."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from kidneyct_lib.study.run_folder import Run

ROOT = Path(__file__).parents[1]
# Of probabilities and losses, after either stage. The patient recipe crops where a sum of float32
# passes a limit, and backends sum in other orders: the box of few slices differs by a pixel.
TOLERANCE = {"published": 1e-4, "patient": 0.02}

others = pytest.mark.parametrize(
    "backend",
    [
        pytest.param(
            name,
            marks=pytest.mark.skipif(
                importlib.util.find_spec(name) is None, reason=f"{name} is not installed"
            ),
        )
        for name in ("jax", "torch")
    ],
)


def compute(task, folder, backend):
    """What the child prints."""
    paths = os.pathsep.join([str(ROOT / "tests"), str(ROOT)])
    environment = os.environ | {"KERAS_BACKEND": backend, "PYTHONPATH": paths}
    command = [sys.executable, "-m", "backend_child", task, str(folder)]
    child = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert child.returncode == 0, child.stderr
    return child.stdout


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Folder of the initial networks and of what TensorFlow made of them."""
    folder = tmp_path_factory.mktemp("backends")
    compute("save", folder, "tensorflow")
    compute("train", folder, "tensorflow")
    return folder


@pytest.mark.long
@others
def test_both_recipes_give_the_same_probabilities_and_losses(trained, backend):
    compute("train", trained, backend)
    expected, found = (dict(np.load(trained / f"{name}.npz")) for name in ("tensorflow", backend))
    assert expected.keys() == found.keys()
    for name, values in expected.items():
        recipe, _, _ = name.split("-")
        np.testing.assert_allclose(found[name], values, atol=TOLERANCE[recipe], err_msg=name)
    for recipe in TOLERANCE:  # training moved something
        first, second = (expected[f"{recipe}-{stage}-probabilities"] for stage in (1, 2))
        assert np.abs(first - second).max() > 2 * TOLERANCE[recipe]


@pytest.mark.long
@others
def test_notebooks_run_but_the_one_that_exports(tmp_path, backend):
    said = compute("study", tmp_path, backend)
    assert "stopped: 10_deployment" in said
    assert "KERAS_BACKEND=tensorflow" in said
    known = Run(tmp_path / "run").provenance()
    finished = {name[:2] for name, facts in known["notebooks"].items() if "finished" in facts}
    assert finished == {f"{number:02d}" for number in range(1, 10)}
    assert known["machine"]["keras_backend"] == backend

"""The real notebooks, killed again and again, end with the results of an undisturbed run."""

import os
import shutil
import signal
import time

import numpy as np
import pytest
from disturb import (
    cut,
    delete,
    executed,
    finish,
    flip,
    is_gone,
    kernels,
    results,
    start,
    told,
    wait_for,
    wait_for_notebook,
)
from small_project import ROOT, write_params

from kidneyct_lib.study import staleness

pytestmark = [pytest.mark.faults, pytest.mark.slow]
RUN = "outputs/phantom-untrained"
TINY = {
    "weights": "none",
    "image_size": 32,
    "phantom_size": 64,
    "phantom_patients": 4,
    "phantom_slices": [4, 5],
    "head_units": 8,
    "unfreeze_layers": 12,
    "stage1_epochs": 2,
    "stage2_epochs": 3,
    "external_images": 4,
    "robustness_images": 2,
    "folds": 1,
    "audit_seeds": 1,
    "bootstrap": 100,
}
NOTEBOOKS = [path.stem for path in staleness.study_notebooks(ROOT / "notebooks")]


def moments(count: int, seed: int) -> list[tuple[str, float, str]]:
    """Where to kill: notebook, share of its undisturbed time, and whom; in the study's order."""
    rng = np.random.default_rng(seed)
    long = [name for name in NOTEBOOKS if name[:2] in ("03", "04")]
    drawn = [*NOTEBOOKS, *rng.choice(long, count - len(NOTEBOOKS))]
    # No later than at 0.8: a notebook's second attempt finds part of its work done.
    shares = rng.uniform(0.05, 0.8, count).round(2)
    return sorted(zip(drawn, shares, rng.choice(["runner", "kernel", "both"], count), strict=True))


def project(folder):
    folder.mkdir()
    write_params(folder, "phantom", **TINY)
    shutil.copytree(ROOT / "notebooks", folder / "notebooks")
    return folder


@pytest.fixture(scope="module")
def oracle(tmp_path_factory):
    """A study after an undisturbed run, and the seconds of each of its notebooks."""
    folder = project(tmp_path_factory.mktemp("oracle") / "study")
    status, out, err = finish(start(folder, "reproduce"), folder)
    assert status == 0, err
    assert sorted(executed(out)) == NOTEBOOKS
    lines = [line.split() for line in out.splitlines() if "done in" in line]
    return folder, {name: float(seconds) for name, *_, seconds, _ in lines}


def test_killed_at_random_moments_it_ends_as_an_undisturbed_one(oracle, tmp_path):
    expected, seconds = oracle
    folder = project(tmp_path / "study")
    killed = []
    for name, share, victim in moments(10, seed=7):
        process = start(folder, "reproduce")
        wait_for_notebook(process, folder, name)
        if process.poll() is not None:
            finish(process, folder)
            continue  # an earlier kill came when this notebook was done already
        wait_for(lambda: kernels(process) or process.poll() is not None)  # noqa: B023
        time.sleep(share * seconds[name])
        below = kernels(process)
        victims = below if victim == "kernel" else [process]
        for target in [*victims, *(below if victim == "both" else [])]:
            target.send_signal(signal.SIGKILL)
        ended = finish(process, folder)
        if victim == "kernel" and below and ended[0]:
            assert "did not finish" in told(ended)
        wait_for(lambda: all(map(is_gone, below)), 15)  # noqa: B023
        killed.append((name, victim, ended[0]))
    assert sum(status != 0 for *_, status in killed) >= 6, killed
    status, _, err = finish(start(folder, "reproduce"), folder)
    assert status == 0, err
    assert results(folder / RUN) == results(expected / RUN)
    assert not list((folder / "outputs").rglob(".*.[0-9]*.*"))


@pytest.fixture
def copy(oracle, tmp_path):
    return shutil.copytree(oracle[0], tmp_path / "study")


def test_damaged_models_states_and_stores_are_mended(oracle, copy):
    run = copy / RUN
    flip(run / "models/slice.keras", 5000)
    delete(run / "models/patient.keras")
    flip(run / "checkpoints/slice-fold0-stage2.npz", 3000)
    cut(run / "checkpoints/patient-fold0-stage1.npz")
    for store in (copy / ".cache").glob("activations-*"):
        flip(store / "rows.bin", 12345)
        flip(store / "index.csv", 777)
    delete(next((copy / ".cache").glob("images-*")))
    status, out, err = finish(start(copy, "reproduce"), copy)
    assert status == 0, err
    assert executed(out) == ["04_two_stage_training"]
    assert results(run) == results(oracle[0] / RUN)


def test_without_its_cache_a_study_gets_its_images_back(oracle, copy):
    """As after an interrupted run and `make clean`."""
    delete(copy / ".cache")
    delete(copy / f"{RUN}/tables/data_flow.csv")
    (copy / f"{RUN}/tables/per_class.csv").write_text("")
    status, out, err = finish(start(copy, "reproduce"), copy)
    assert status == 0, err
    assert executed(out)[0] == "01_download"
    assert results(copy / RUN) == results(oracle[0] / RUN)


def test_damaged_cached_weights_without_network_are_told(copy):
    write_params(copy, "phantom", **TINY | {"weights": "imagenet"})
    cached = copy / "weights/resnet50_imagenet_notop.npz"
    cached.parent.mkdir()
    cached.write_bytes(b"PK\x03\x04 damaged")
    nowhere = {f"{kind}_proxy": "http://127.0.0.1:9" for kind in ("http", "https")}
    nowhere |= {"KIDNEYCT_WEIGHTS": str(cached.parent), "KERAS_HOME": str(copy / "keras")}
    nowhere |= {"npm_config_registry": "http://127.0.0.1:9", "npm_config_fetch_retries": "0"}
    message = told(finish(start(copy, "reproduce", env=os.environ | nowhere), copy))
    assert "ImageNet weights" in message
    assert not cached.exists()

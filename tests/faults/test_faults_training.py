"""Faults of training states, cached weights and models."""

import subprocess
import sys
import time

import keras
import numpy as np
import pytest
from disturb import cut, flip, remount, wait_for

from kidneyct_lib.core.errors import StudyError
from kidneyct_lib.deployment.predictor import Predictor
from kidneyct_lib.models import keras_setup, pretrained_weights
from kidneyct_lib.training import stage
from kidneyct_lib.training.stage import StageSettings, train_stage

pytestmark = pytest.mark.faults
RNG = np.random.default_rng(3)

# --- training state ----------------------------------------------------------------------------

SETTINGS = StageSettings("stage", 6, 6, 1e-2, 8, 3)


def trained(checkpoint, pause=0.0):
    """Weights and history of a small network; every epoch lasts at least the pause."""
    keras_setup.set_seed(0)
    features = keras.Input((6,))
    x = keras.layers.Dense(5, activation="relu")(features)
    x = keras.layers.Dropout(0.5, seed=1)(x)
    model = keras.Model(features, keras.layers.Dense(3, activation="softmax")(x))
    rng = np.random.default_rng(0)
    targets = np.arange(60) % 3
    inputs = (rng.normal(size=(60, 6)) + 2 * np.eye(3, 6)[targets]).astype(np.float32)
    rows = rng.permutation(60)
    train_epoch = stage._train_epoch

    def slowly(*arguments):
        time.sleep(pause)
        return train_epoch(*arguments)

    stage._train_epoch = slowly
    try:
        history = train_stage(
            model,
            inputs,
            targets,
            np.linspace(0.9, 1.1, 60),
            train=rows[:40],
            validation=rows[40:],
            settings=SETTINGS,
            checkpoint=checkpoint,
        )
    finally:
        stage._train_epoch = train_epoch
    return np.concatenate([value.ravel() for value in model.get_weights()]), history


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """Outcome of an undisturbed stage, its state after 3 of 6 epochs, and its last state."""
    folder = tmp_path_factory.mktemp("whole")
    outcome = trained(folder / "last.npz")
    keep = stage._State.keep

    def stop_after_three(state, path, model, *, finished):
        keep(state, path, model, finished=finished)
        if len(state.history) == 3:
            raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(stage._State, "keep", stop_after_three)
        trained(folder / "half.npz")
    return outcome, folder


def assert_same(outcome, expected):
    np.testing.assert_array_equal(outcome[0], expected[0])
    assert outcome[1].equals(expected[1])


@pytest.mark.parametrize("seconds", RNG.uniform(0, 1.5, 4).round(2))
def test_a_stage_killed_at_a_random_moment_ends_as_an_undisturbed_one(tmp_path, whole, seconds):
    checkpoint = tmp_path / "c.npz"
    code = (
        f"import sys; sys.path[:] = {sys.path!r}\n"
        "import pathlib, test_faults_training as t\n"
        f"t.trained(pathlib.Path({str(checkpoint)!r}), pause=0.3)"
    )
    process = subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.DEVNULL)
    wait_for(checkpoint.exists)
    time.sleep(seconds)
    process.kill()
    process.wait()
    assert_same(trained(checkpoint), whole[0])


@pytest.mark.parametrize("state", ["half", "last"])
@pytest.mark.parametrize("damage", ["cut", "empty", "flips", "folder"])
def test_a_damaged_state_ends_as_an_undisturbed_one(tmp_path, whole, state, damage):
    outcome, folder = whole
    content = (folder / f"{state}.npz").read_bytes()
    path = tmp_path / "c.npz"
    # The archive's directory lies at its end; that is where damage does the strangest things.
    moments = [*RNG.integers(0, len(content), 4), *(len(content) - RNG.integers(1, 900, 8))]
    for at in moments if damage in ("cut", "flips") else moments[:1]:
        path.write_bytes(content)
        if damage == "cut":
            cut(path, at / len(content))
        elif damage == "flips":
            flip(path, int(at))
        elif damage == "empty":
            path.write_bytes(b"")
        else:
            path = tmp_path / "d.npz"
            path.mkdir()
            with pytest.raises(StudyError, match="could not be written"):
                trained(path)
            path.rmdir()
        assert_same(trained(path), outcome)


@pytest.mark.parametrize("fault", ["full", "read-only"])
def test_a_state_that_cannot_be_kept_is_told_and_the_next_call_goes_on(
    tmp_path, small_disk, whole, fault
):
    disk = small_disk(tmp_path / "disk", "256k")
    filler = disk / "filler"
    if fault == "full":
        with pytest.raises(OSError, match="No space"):
            filler.write_bytes(bytes(10**6))
    else:
        remount(disk, "ro")
    with pytest.raises(StudyError, match="could not be written"):
        trained(disk / "c.npz")
    assert not [path for path in disk.iterdir() if path != filler]
    remount(disk, "rw")
    filler.unlink(missing_ok=True)
    assert_same(trained(disk / "c.npz"), whole[0])


# --- weights and models -----------------------------------------------------------------


@pytest.fixture
def kept(tmp_path, monkeypatch):
    """Cached weights of a tiny network."""
    monkeypatch.setenv("KIDNEYCT_WEIGHTS", str(tmp_path / "weights"))
    arrays = {f"layer{i}/kernel": np.full((3, 4), i, np.float32) for i in range(4)}
    pretrained_weights._keep(arrays)
    return tmp_path / "weights" / pretrained_weights.CONVERTED


def test_damaged_cached_weights_are_removed_or_right(kept):
    content = kept.read_bytes()
    expected = pretrained_weights.cached()
    removed = 0
    for at in range(0, len(content), 7):
        for damage in (lambda at: flip(kept, at), lambda at: cut(kept, at / len(content))):
            kept.write_bytes(content)
            damage(at)
            found = pretrained_weights.cached()
            removed += found is None
            assert (found is None) == (not kept.exists())
            if found is not None:
                assert str(found) == str(expected)
    assert removed > len(content) / 7


def test_weights_that_cannot_be_kept_are_told(tmp_path, small_disk, monkeypatch):
    disk = small_disk(tmp_path / "disk", "64k")
    monkeypatch.setenv("KIDNEYCT_WEIGHTS", str(disk))
    with pytest.raises(StudyError, match=r"No space.*KIDNEYCT_WEIGHTS"):
        pretrained_weights._keep({"layer/kernel": np.zeros((300, 300), np.float32)})
    assert pretrained_weights.cached() is None
    assert not list(disk.iterdir())


@pytest.mark.parametrize("name", ["patient.json", "patient.keras"])
@pytest.mark.parametrize("share", [0, 0.5])
def test_a_damaged_model_is_named(tmp_path, name, share):
    from kidneyct_lib.study.run_folder import Run

    features = keras.Input((4, 4, 3))
    model = keras.Model(features, keras.layers.GlobalAveragePooling2D()(features))
    facts = {"classes": ["a", "b", "c"], "image_size": 4, "weights": "none"}
    path = Run(tmp_path / "run").write_model("patient", model.save, facts)
    Predictor(path)
    cut(path.with_name(name), share)
    with pytest.raises(StudyError, match=name):
        Predictor(path)

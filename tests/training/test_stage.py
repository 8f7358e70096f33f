"""A small network stands in for the large one: the procedure is the same."""

from dataclasses import replace

import keras
import numpy as np
import pytest

from kidneyct_lib.core.errors import StudyError
from kidneyct_lib.models import keras_setup
from kidneyct_lib.training import stage
from kidneyct_lib.training.stage import StageSettings, predict, train_stage

SETTINGS = StageSettings("stage", 5, 5, 1e-2, 8, 3)
N = 60


def small_network(dropout=0.5):
    keras_setup.set_seed(0)
    features = keras.Input((6,))
    x = keras.layers.Dense(5, activation="relu", name="hidden")(features)
    x = keras.layers.Dropout(dropout, seed=1)(x)
    return keras.Model(features, keras.layers.Dense(3, activation="softmax", name="out")(x))


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(0)
    targets = np.arange(N) % 3
    inputs = (rng.normal(size=(N, 6)) + 2 * np.eye(3, 6)[targets]).astype(np.float32)
    rows = rng.permutation(N)
    return {
        "inputs": inputs,
        "targets": targets,
        "weights": np.linspace(0.9, 1.1, N),
        "train": rows[:40],
        "validation": rows[40:],
    }


def trained(data, checkpoint, settings=SETTINGS, **changes):
    model = small_network()
    history = train_stage(model, **data | changes, settings=settings, checkpoint=checkpoint)
    return model, history


def weights_of(model):
    return np.concatenate([value.ravel() for value in model.get_weights()])


def test_training_learns_and_keeps_the_best_epoch(data, tmp_path):
    model, history = trained(data, tmp_path / "c.npz")
    assert list(history["epoch"]) == [1, 2, 3, 4, 5]
    assert history["val_loss"].iloc[-1] < history["val_loss"].iloc[0]
    assert history["best"].sum() == 1
    best = history[history["best"]].iloc[0]
    assert best["val_loss"] == history["val_loss"].min()
    predictions = predict(model, data["inputs"], data["validation"])
    right = predictions[np.arange(20), data["targets"][data["validation"]]]
    assert -np.log(right).mean() == pytest.approx(best["val_loss"], abs=1e-6)


def test_the_history_holds_means_over_the_epoch(data, tmp_path):
    still = replace(SETTINGS, epochs=1, learning_rate=1e-12)
    model = small_network(dropout=0.0)
    history = train_stage(model, **data, settings=still, checkpoint=tmp_path / "c.npz")
    rows = data["train"]
    right = predict(model, data["inputs"], rows)[np.arange(len(rows)), data["targets"][rows]]
    expected = (-np.log(right) * data["weights"][rows]).mean()
    assert history["loss"].iloc[0] == pytest.approx(expected, rel=1e-4)


def test_it_stops_early_when_the_validation_loss_rises(data, tmp_path):
    settings = replace(SETTINGS, epochs=60, patience=2, learning_rate=0.5)
    _, history = trained(data, tmp_path / "c.npz", settings)
    best = int(history.loc[history["best"], "epoch"].iloc[0])
    assert len(history) == best + 2 < 60


def test_the_same_settings_give_the_same_weights(data, tmp_path):
    one, _ = trained(data, tmp_path / "1.npz")
    two, _ = trained(data, tmp_path / "2.npz")
    other, _ = trained(data, tmp_path / "3.npz", replace(SETTINGS, seed=4))
    np.testing.assert_array_equal(weights_of(one), weights_of(two))
    assert not np.array_equal(weights_of(one), weights_of(other))


class Epochs:
    """Counts the epochs that are trained, and interrupts before the one that is too many."""

    def __init__(self, monkeypatch):
        self.trained, self.most = 0, None
        self._train = stage._train_epoch
        monkeypatch.setattr(stage, "_train_epoch", self)

    def __call__(self, *arguments):
        if self.trained == self.most:
            raise KeyboardInterrupt
        self.trained += 1
        return self._train(*arguments)


@pytest.mark.parametrize(
    "after, learning_rate, best",
    [(1, 1e-2, True), (2, 1e-2, True), (4, 1e-2, True), (4, 0.5, False)],
)
def test_an_interrupted_stage_ends_as_an_undisturbed_one(
    data, tmp_path, monkeypatch, after, learning_rate, best
):
    settings = replace(SETTINGS, learning_rate=learning_rate)
    undisturbed, expected = trained(data, tmp_path / "1.npz", settings)
    so_far = expected["val_loss"].head(after)
    assert (so_far.idxmin() == after - 1) == best, "whether the last epoch before it was the best"
    epochs = Epochs(monkeypatch)
    epochs.most = after
    with pytest.raises(KeyboardInterrupt):
        trained(data, tmp_path / "2.npz", settings)
    epochs.most = None
    resumed, history = trained(data, tmp_path / "2.npz", settings)
    assert epochs.trained == SETTINGS.epochs
    np.testing.assert_array_equal(weights_of(resumed), weights_of(undisturbed))
    assert history.equals(expected)


def with_views(inputs):
    """Inputs followed by two sets of views, which are the inputs with noise."""
    rng = np.random.default_rng(1)
    views = [inputs + rng.normal(size=inputs.shape).astype(np.float32) for _ in range(2)]
    return np.concatenate([inputs, *views])


class Seen:
    """Inputs that keep in mind which rows were asked for."""

    def __init__(self, inputs):
        self.inputs, self.keys, self.requested = inputs, ["seen"], []

    def __len__(self):
        return len(self.inputs)

    def __getitem__(self, rows):
        self.requested.append(rows)
        return self.inputs[rows]

    def epochs(self):
        """Rows of each epoch's training, and all rows of validation."""
        training = [rows for rows in self.requested if len(rows) == SETTINGS.batch_size]
        validation = [rows for rows in self.requested if len(rows) != SETTINGS.batch_size]
        steps = len(training) // SETTINGS.epochs
        parts = [training[k : k + steps] for k in range(0, len(training), steps)]
        return [np.concatenate(part) for part in parts], np.concatenate(validation)


def test_without_views_the_order_is_the_seeds_permutation(data, tmp_path):
    seen = Seen(data["inputs"])
    trained(data, tmp_path / "c.npz", inputs=seen)
    epochs, _ = seen.epochs()
    for epoch, rows in enumerate(epochs):
        rng = np.random.default_rng([SETTINGS.seed, epoch])
        np.testing.assert_array_equal(rows, rng.permutation(data["train"]))


def test_an_epoch_sees_each_training_image_once_as_itself_or_a_view(data, tmp_path):
    seen = Seen(with_views(data["inputs"]))
    trained(data, tmp_path / "c.npz", inputs=seen)
    epochs, validation = seen.epochs()
    for rows in epochs:
        assert sorted(rows % N) == sorted(data["train"])
    shares = np.bincount(np.concatenate(epochs) // N) / (5 * 40)
    np.testing.assert_allclose(shares, [1 / 3] * 3, atol=0.1)
    assert not np.array_equal(epochs[0] // N, epochs[1] // N)
    np.testing.assert_array_equal(validation, np.tile(data["validation"], SETTINGS.epochs))


def test_views_that_equal_their_images_change_nothing(data, tmp_path):
    """So each view has the target and the weight of its image, and the order is the same."""
    plain, expected = trained(data, tmp_path / "1.npz")
    same, history = trained(data, tmp_path / "2.npz", inputs=np.tile(data["inputs"], (4, 1)))
    np.testing.assert_array_equal(weights_of(same), weights_of(plain))
    assert history.equals(expected)


def test_other_views_are_another_training(data, tmp_path):
    plain, _ = trained(data, tmp_path / "c.npz")
    viewed, history = trained(data, tmp_path / "c.npz", inputs=with_views(data["inputs"]))
    assert not np.array_equal(weights_of(viewed), weights_of(plain))
    predictions = predict(viewed, data["inputs"], data["validation"])
    right = predictions[np.arange(20), data["targets"][data["validation"]]]
    assert -np.log(right).mean() == pytest.approx(history["val_loss"].min(), abs=1e-6)


def test_part_of_a_set_of_views_is_refused(data, tmp_path):
    with pytest.raises(ValueError, match="90 input rows are no whole number of 60 images"):
        trained(data, tmp_path / "c.npz", inputs=with_views(data["inputs"])[:90])


@pytest.mark.parametrize("after", [1, 2, 3, 4])
def test_a_stage_on_views_goes_on_as_if_undisturbed(data, tmp_path, monkeypatch, after):
    inputs = with_views(data["inputs"])
    undisturbed, expected = trained(data, tmp_path / "1.npz", inputs=inputs)
    epochs = Epochs(monkeypatch)
    epochs.most = after
    with pytest.raises(KeyboardInterrupt):
        trained(data, tmp_path / "2.npz", inputs=inputs)
    epochs.most = None
    resumed, history = trained(data, tmp_path / "2.npz", inputs=inputs)
    assert epochs.trained == SETTINGS.epochs
    np.testing.assert_array_equal(weights_of(resumed), weights_of(undisturbed))
    assert history.equals(expected)


def test_a_finished_stage_is_not_trained_again(data, tmp_path, monkeypatch):
    first, expected = trained(data, tmp_path / "c.npz")
    monkeypatch.setattr(stage, "_train_epoch", None)
    again, history = trained(data, tmp_path / "c.npz")
    np.testing.assert_array_equal(weights_of(first), weights_of(again))
    assert history.equals(expected)


@pytest.mark.parametrize(
    "change",
    ["settings", "targets", "weights", "train", "inputs"],
)
def test_a_state_of_other_inputs_is_not_used(data, tmp_path, monkeypatch, change):
    trained(data, tmp_path / "c.npz")
    epochs = Epochs(monkeypatch)
    if change == "settings":
        trained(data, tmp_path / "c.npz", replace(SETTINGS, learning_rate=2e-2))
    else:
        trained(data, tmp_path / "c.npz", **{change: data[change][::-1]})
    assert epochs.trained == SETTINGS.epochs


def test_a_damaged_state_is_dropped(data, tmp_path):
    one, _ = trained(data, tmp_path / "c.npz")
    content = (tmp_path / "c.npz").read_bytes()
    (tmp_path / "c.npz").write_bytes(content[: len(content) // 2])
    two, _ = trained(data, tmp_path / "c.npz")
    np.testing.assert_array_equal(weights_of(one), weights_of(two))


def test_image_weights_change_the_training(data, tmp_path):
    plain, _ = trained(data, tmp_path / "1.npz")
    heavy = np.where(data["targets"] == 0, 10.0, 1.0)
    weighted, _ = trained(data, tmp_path / "2.npz", weights=heavy)
    predictions = [predict(model, data["inputs"], np.arange(N)) for model in (plain, weighted)]
    assert predictions[1][:, 0].mean() > predictions[0][:, 0].mean()


def test_frozen_layers_do_not_move(data, tmp_path):
    model = small_network()
    model.get_layer("hidden").trainable = False
    before = model.get_layer("hidden").get_weights()
    out = model.get_layer("out").get_weights()
    train_stage(model, **data, settings=SETTINGS, checkpoint=tmp_path / "c.npz")
    np.testing.assert_array_equal(model.get_layer("hidden").get_weights()[0], before[0])
    assert not np.array_equal(model.get_layer("out").get_weights()[0], out[0])


def test_predictions_keep_the_order_of_rows(data):
    model = small_network()
    rows = np.array([5, 1, 30, 1])
    predictions = predict(model, data["inputs"], rows, batch=3)
    expected = model.predict_on_batch(data["inputs"][rows])
    np.testing.assert_allclose(predictions, expected, atol=1e-6)
    np.testing.assert_allclose(predictions.sum(axis=1), 1, atol=1e-12)


def test_an_empty_part_is_refused(data, tmp_path):
    with pytest.raises(StudyError, match="no images"):
        trained(data, tmp_path / "c.npz", validation=np.array([], int))


def test_a_loss_that_is_no_number_is_told(data, tmp_path):
    with pytest.raises(StudyError, match="lower the learning rate"):
        trained(data, tmp_path / "c.npz", weights=np.full(N, np.nan))

"""The stored path against the plain one: the whole network, image by image."""

from dataclasses import replace
from functools import partial

import numpy as np
import pytest
from short_resnet import SHORT

from kidneyct_lib.data import augmentation
from kidneyct_lib.data.augmentation import Augmentation, AugmentedImages
from kidneyct_lib.data.image_io import gray_to_rgb
from kidneyct_lib.models import builder, freezing, linear_head
from kidneyct_lib.models.backbones import BackboneSettings
from kidneyct_lib.training import feature_cache, recipes
from kidneyct_lib.training.feature_cache import Storage
from kidneyct_lib.training.stage import StageSettings, predict, train_stage

pytestmark = pytest.mark.usefixtures("untraced")
SIZE, N = 64, 24
UNFROZEN, CUT = 20, "conv5_block1_out"  # layers, and where what is frozen before them ends
TARGETS = np.arange(N) % 2
SPLIT = np.array(["train"] * 12 + ["validation"] * 6 + ["test"] * 6)
HELD_OUT = np.arange(12, 24)
SETTINGS = StageSettings("head", 3, 3, 1e-3, 4, 1)


@pytest.fixture(scope="module")
def build(build_network):
    return partial(build_network, classes=["Normal", "Stone"])


@pytest.fixture(scope="module")
def images():
    rng = np.random.default_rng(0)
    return rng.integers(0, 256, (N, SIZE, SIZE)).astype(np.uint8)


@pytest.fixture(scope="module")
def net(build):
    return build()


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def body(net, images, cache):
    return recipes.frozen_body(net, images, Storage(cache, 5), unfreeze_layers=UNFROZEN)


@pytest.fixture(scope="module")
def shown(images):
    """The images and two views of each."""
    return AugmentedImages(images, 2, Augmentation(1, 1, 1), seed=9)


@pytest.fixture(scope="module")
def viewed(net, shown, cache, body):
    """The body of the images and their views, in the store that holds the images' own."""
    return recipes.frozen_body(net, shown, Storage(cache, 5), unfreeze_layers=UNFROZEN)


def relative_error(result, expected):
    return np.abs(result - expected).max() / np.abs(expected).max()


def test_stored_activations_are_the_networks_own(net, images, body):
    assert body[2].layer == CUT
    rows = np.array([7, 0, 23])
    pixels = gray_to_rgb(images[rows])
    assert (
        relative_error(body[2][rows], freezing.part(net, None, CUT).predict_on_batch(pixels)) < 1e-3
    )
    assert (
        relative_error(body[1][rows], freezing.part(net, None, "pool").predict_on_batch(pixels))
        < 2e-3
    )


def test_single_precision_agrees_to_float_tolerance(net, images, tmp_path):
    stored = feature_cache.of_layer(net, "pool", images, Storage(tmp_path, 5))
    direct = freezing.part(net, None, "pool").predict_on_batch(gray_to_rgb(images))
    assert relative_error(stored[np.arange(N)], direct) < 1e-5


def test_channel_means_are_the_stored_rows_averaged(body):
    rows = body[2][np.arange(len(body[2]))]
    means = feature_cache.channel_means(body[2], batch=5)
    assert means.shape == (len(rows), rows.shape[-1])
    np.testing.assert_allclose(means, rows.mean(axis=(1, 2)), rtol=1e-6)


def test_nothing_is_computed_twice(build, images, cache, body, monkeypatch):
    monkeypatch.setattr(feature_cache.RowStore, "_append", None)
    shuffled = np.random.default_rng(1).permutation(N)
    again = recipes.frozen_body(
        build(), images[shuffled], Storage(cache, 5), unfreeze_layers=UNFROZEN
    )
    np.testing.assert_array_equal(again[1][np.arange(N)], body[1][shuffled])


def test_a_body_with_views_begins_with_the_images_own(net, shown, body, viewed):
    assert len(viewed[2]) == len(viewed[1]) == 3 * N
    for stage in (1, 2):
        np.testing.assert_array_equal(viewed[stage][np.arange(N)], body[stage][np.arange(N)])
    rows = np.array([N + 7, 3 * N - 1, 4])
    direct = freezing.part(net, None, CUT).predict_on_batch(gray_to_rgb(shown[rows]))
    assert relative_error(viewed[2][rows], direct) < 1e-3
    direct = freezing.part(net, None, "pool").predict_on_batch(gray_to_rgb(shown[rows]))
    assert relative_error(viewed[1][rows], direct) < 2e-3


def test_each_view_is_computed_once(net, images, shown, tmp_path, monkeypatch):
    computed, made = [], []
    append, view = feature_cache.RowStore._append, augmentation.view

    def noted(store, keys, rows, label):
        computed.extend((store.folder.name, key) for key in keys)
        append(store, keys, rows, label)

    monkeypatch.setattr(feature_cache.RowStore, "_append", noted)
    monkeypatch.setattr(
        augmentation, "view", lambda *given, **more: made.append(given[1]) or view(*given, **more)
    )
    for pictures, rows in ((images, N), (shown, 3 * N), (shown, 3 * N), (images, 3 * N)):
        recipes.frozen_body(net, pictures, Storage(tmp_path, 7), unfreeze_layers=UNFROZEN)
        assert len(computed) == len(set(computed)) == 2 * rows  # of the prefix and pooled
    assert len(made) == 2 * N


def test_what_is_not_stored_is_computed_in_batches(net, images, tmp_path, monkeypatch):
    shown = []
    convert = feature_cache.gray_to_rgb
    monkeypatch.setattr(feature_cache, "gray_to_rgb", lambda g: shown.append(len(g)) or convert(g))
    order = np.random.default_rng(2).permutation(N)
    result = feature_cache.of_layer(net, "pool", images, Storage(tmp_path, 5, most_gb=0))[order]
    direct = freezing.part(net, None, "pool").predict_on_batch(gray_to_rgb(images[order]))
    assert relative_error(result, direct) < 1e-5
    assert max(shown) == 5 and sum(shown) == N


@pytest.mark.parametrize("share", [0, 0.4])
def test_a_capped_store_gives_the_same_activations(net, images, body, tmp_path, share):
    row_bytes = body[2].store.row_bytes
    most = share * N * row_bytes / 1e9
    capped = recipes.frozen_body(
        net, images, Storage(tmp_path, 5, most_gb=most), unfreeze_layers=UNFROZEN
    )
    file = capped[2].store.folder / "rows.bin"
    assert file.exists() == bool(share)
    if share:
        assert file.stat().st_size == int(share * N) * row_bytes
    rows = np.array([23, 0, 11, 1])
    assert relative_error(capped[2][rows], body[2][rows]) < 2e-3
    assert relative_error(capped[1][rows], body[1][rows]) < 2e-3


def test_other_weights_have_another_store(build, images, cache, body):
    other = build()
    kernel = other.get_layer("conv1_conv").kernel
    kernel.assign(np.array(kernel) * 1.01)
    freezing.unfreeze_last(other, UNFROZEN)
    stored = feature_cache.of_layer(other, CUT, images[:2], Storage(cache, 2), dtype="float16")
    assert stored.store.folder != body[2].store.folder


def test_stage_one_from_the_store_equals_stage_one_through_the_whole_network(
    build, images, tmp_path
):
    """Without dropout, whose random numbers depend on how the graph is cut."""
    net, ends = build(), []
    net.get_layer("head_dropout").rate = 0.0
    freezing.unfreeze_last(net, 0)
    initial = net.get_weights()
    for whole in (False, True):
        net.set_weights(initial)
        pooled = feature_cache.of_layer(net, "pool", images, Storage(tmp_path, 5))
        model = net if whole else freezing.part(net, "pool", None)
        inputs = gray_to_rgb(images).astype(np.float32) if whole else pooled
        history = train_stage(
            model,
            inputs,
            TARGETS,
            np.ones(N),
            train=np.flatnonzero(SPLIT == "train"),
            validation=np.flatnonzero(SPLIT == "validation"),
            settings=SETTINGS,
            checkpoint=tmp_path / f"{whole}.npz",
        )
        predictions = predict(net, gray_to_rgb(images).astype(np.float32), np.arange(N))
        ends.append((history["val_loss"].to_numpy(), predictions))
    np.testing.assert_allclose(ends[0][0], ends[1][0], rtol=1e-3, atol=1e-5)
    np.testing.assert_allclose(ends[0][1], ends[1][1], atol=1e-3)


@pytest.fixture(scope="module")
def traced(build, body):
    """One training for all tests, each of whose graphs is traced once."""
    return recipes.TwoStageTraining(
        build(), body, unfreeze_layers=UNFROZEN, settings={1: SETTINGS, 2: SETTINGS}
    )


@pytest.fixture(scope="module")
def initial(traced):
    return traced.net.get_weights()


@pytest.fixture
def both(traced, initial):
    traced.net.set_weights(initial)
    return traced


def test_views_are_for_training_alone(both, images, viewed, tmp_path, monkeypatch):
    requested = []
    rows_of = feature_cache.Activations.__getitem__
    monkeypatch.setattr(
        feature_cache.Activations,
        "__getitem__",
        lambda stored, rows: requested.append(np.array(rows)) or rows_of(stored, rows),
    )
    settings = {1: SETTINGS, 2: SETTINGS}
    training = recipes.TwoStageTraining(
        both.net, viewed, unfreeze_layers=UNFROZEN, settings=settings
    )
    outcome = dict(training.train(TARGETS, np.ones(N), SPLIT, tmp_path / "viewed"))[2]
    beyond = np.concatenate([rows[rows >= N] for rows in requested])
    assert set(SPLIT[beyond % N]) == {"train"}
    assert set(beyond // N) == {1, 2}
    whole = predict(both.net, gray_to_rgb(images).astype(np.float32), HELD_OUT)
    np.testing.assert_allclose(outcome.probabilities, whole, atol=1e-3)


def test_a_stage_predicts_what_is_held_out_and_changes_only_what_it_may(both, tmp_path):
    before = {variable.path: np.array(variable) for variable in both.net.variables}
    for stage, outcome in both.train(TARGETS, np.ones(N), SPLIT, tmp_path / "moved"):
        assert outcome.probabilities.shape == (len(HELD_OUT), 2)
        moved = {
            variable.path
            for variable in both.net.variables
            if not np.array_equal(before[variable.path], np.array(variable))
        }
        body_moved = {path for path in moved if path.startswith("conv")}
        assert not any("moving" in path for path in moved)
        assert any("head_dense" in path for path in moved)
        if stage == 1:
            assert body_moved == set()
        else:
            assert {path[:12] for path in body_moved} == {"conv5_block2", "conv5_block3"}


def test_a_training_owes_nothing_to_the_one_before_it(both, build, body, tmp_path):
    """One network trained on two splits in turn, against a new network for each."""
    other = np.roll(SPLIT, 6)
    dict(both.train(TARGETS, np.ones(N), SPLIT, tmp_path / "first"))
    again = dict(both.train(TARGETS, np.ones(N), other, tmp_path / "second"))
    settings = {1: SETTINGS, 2: SETTINGS}
    alone = recipes.TwoStageTraining(build(), body, unfreeze_layers=UNFROZEN, settings=settings)
    new = dict(alone.train(TARGETS, np.ones(N), other, tmp_path / "alone"))
    for stage in (1, 2):
        np.testing.assert_array_equal(again[stage].probabilities, new[stage].probabilities)
        assert again[stage].history.equals(new[stage].history)
    pairs = zip(both.net.get_weights(), alone.net.get_weights(), strict=True)
    assert all(np.array_equal(a, b) for a, b in pairs)


@pytest.mark.long
def test_half_precision_trains_nearly_alike_and_predicts_in_single(both, body, images, tmp_path):
    """The steps differ by rounding; the layers and their weights are as they were."""
    single = dict(both.train(TARGETS, np.ones(N), SPLIT, tmp_path / "single"))[2]
    stages = {1: SETTINGS, 2: replace(SETTINGS, precision="bfloat16")}
    both.net.set_weights(both._initial)
    half = recipes.TwoStageTraining(both.net, body, unfreeze_layers=UNFROZEN, settings=stages)
    outcome = dict(half.train(TARGETS, np.ones(N), SPLIT, tmp_path / "half"))[2]
    losses = outcome.history["loss"], single.history["loss"]
    np.testing.assert_allclose(*losses, rtol=0.1)
    assert not np.array_equal(*losses)
    assert {layer.compute_dtype for layer in both.net.layers} == {"float32"}
    assert {variable.dtype for variable in both.net.trainable_variables} == {"float32"}
    whole = predict(both.net, gray_to_rgb(images).astype(np.float32), HELD_OUT)
    np.testing.assert_allclose(outcome.probabilities, whole, atol=1e-3)


def test_other_images_are_predicted_with_the_weights_of_the_stage(both, images, cache, tmp_path):
    other, rows = 255 - images, np.array([1, 4])
    body = recipes.frozen_body(both.net, other, Storage(cache, 5), unfreeze_layers=UNFROZEN)
    for stage, _ in both.train(TARGETS, np.ones(N), SPLIT, tmp_path / "other"):
        expected = both.net.predict_on_batch(gray_to_rgb(other[rows]))
        np.testing.assert_allclose(both.predict(stage, body, rows), expected, atol=1e-3)


# --- the patient recipe -------------------------------------------------------------------------


@pytest.fixture(scope="module")
def patient_net(build):
    return build(recipe="patient")


@pytest.fixture(scope="module")
def patient_body(patient_net, shown, cache):
    return recipes.frozen_body(patient_net, shown, Storage(cache, 5), unfreeze_layers=0)


def test_all_of_the_patient_body_is_frozen_and_stored_once(patient_net, patient_body, shown):
    assert patient_body[2] is patient_body[1]
    assert patient_body[1].layer == builder.POOL
    features = freezing.part(patient_net, None, builder.POOL)
    expected = features.predict_on_batch(gray_to_rgb(shown[np.arange(4)]))
    result = patient_body[1][np.arange(4)]
    assert relative_error(result, expected) < 1e-4


@pytest.fixture
def linear(patient_net, patient_body):
    own = {"unfreeze_layers": 0, "settings": {}, "classes": ["Normal", "Stone"], "c": 0.1}
    return recipes.training("patient", patient_net, patient_body, **own)


def test_each_recipe_has_its_training(both, linear, body):
    assert isinstance(linear, recipes.LinearTraining)
    own = {"unfreeze_layers": UNFROZEN, "settings": {1: SETTINGS}, "classes": [], "c": 1}
    training = recipes.training("published", both.net, body, **own)
    assert isinstance(training, recipes.TwoStageTraining)


def test_stages_of_the_patient_recipe_move_the_last_layer_alone(linear, tmp_path):
    before = {variable.path: np.array(variable) for variable in linear.net.variables}
    for stage, _ in linear.train(TARGETS, np.ones(N), SPLIT, tmp_path / "none"):
        moved = {v.path for v in linear.net.variables if not (before[v.path] == np.array(v)).all()}
        assert moved == {"probabilities/kernel", "probabilities/bias"}, stage
        before = {variable.path: np.array(variable) for variable in linear.net.variables}


def test_the_patient_recipe_predicts_other_images(linear, images, cache, tmp_path):
    other, rows = 255 - images, np.array([1, 4])
    body = recipes.frozen_body(linear.net, other, Storage(cache, 5), unfreeze_layers=0)
    for stage, _ in linear.train(TARGETS, np.ones(N), SPLIT, tmp_path / "none"):
        expected = linear.net.predict_on_batch(gray_to_rgb(other[rows]).astype(np.float32))
        np.testing.assert_allclose(linear.predict(stage, body, rows), expected, atol=1e-4)


def test_the_network_answers_as_the_stage_does_but_for_what_it_was_refitted_on(
    linear, images, tmp_path
):
    outcomes, whole = {}, {}
    pixels = gray_to_rgb(images).astype(np.float32)
    for stage, outcome in linear.train(TARGETS, np.ones(N), SPLIT, tmp_path / "none"):
        outcomes[stage] = outcome
        whole[stage] = linear.net.predict_on_batch(pixels)[HELD_OUT]
    held = SPLIT[HELD_OUT] == "validation"
    np.testing.assert_allclose(outcomes[1].probabilities, whole[1], atol=1e-3)
    np.testing.assert_allclose(outcomes[2].probabilities[~held], whole[2][~held], atol=1e-3)
    refitted = outcomes[2].probabilities[held]
    np.testing.assert_array_equal(refitted, outcomes[1].probabilities[held])
    assert np.abs(whole[2][held] - refitted).max() > 0.01
    (row,) = outcomes[2].history.to_dict("records")
    assert row["best"]
    right = outcomes[1].probabilities[held].argmax(axis=1) == TARGETS[HELD_OUT][held]
    assert row["val_accuracy"] == right.mean()


def test_the_tested_slices_have_no_say(linear, tmp_path):
    flipped = np.where(SPLIT == "test", 1 - TARGETS, TARGETS)
    one, other = (
        [stage.probabilities for _, stage in linear.train(t, np.ones(N), SPLIT, tmp_path / "none")]
        for t in (TARGETS, flipped)
    )
    np.testing.assert_array_equal(one, other)


def test_without_a_test_part_the_patient_recipe_is_fitted_to_all(linear, tmp_path):
    everyone = np.where(SPLIT == "validation", "validation", "train")
    *_, (stage, _) = linear.train(TARGETS, np.ones(N), everyone, tmp_path / "none")
    assert stage == 2
    kernel, bias = linear.net.get_layer(builder.PROBABILITIES).get_weights()
    seen = len(linear._features) // N  # as it is and as views: once in all
    samples = linear._features, np.tile(TARGETS, seen), np.full(seen * N, 1 / seen)
    head = linear_head.fit(*samples, classes=["Normal", "Stone"], c=0.1)
    np.testing.assert_allclose(kernel, head.kernel, atol=1e-5)
    np.testing.assert_allclose(bias, head.bias, atol=1e-5)


def test_the_patient_recipe_is_fitted_to_slices_in_their_own_windows_too(
    patient_net, images, cache, tmp_path
):
    storage = Storage(cache, 5)
    body = recipes.frozen_body(patient_net, images, storage, unfreeze_layers=0)
    settings = BackboneSettings(SHORT, "none", SIZE, 96, seed=1)
    also = recipes.as_shown(settings, images, storage)
    own, harmonized = also[np.arange(N)], body[1][np.arange(N)]
    assert own.shape == harmonized.shape
    assert not np.allclose(own, harmonized)
    how = {"classes": ["a", "b"], "c": 0.1}
    training = recipes.LinearTraining(patient_net, body, also=[also], **how)
    (_, first), _ = training.train(TARGETS, np.ones(N), SPLIT, tmp_path / "none")
    rows = np.flatnonzero(SPLIT == "train")
    both = np.concatenate([harmonized[rows], own[rows]])
    halves = np.full(len(both), 0.5)
    head = linear_head.fit(both, np.tile(TARGETS[rows], 2), halves, **how)
    expected = head.probabilities(harmonized[HELD_OUT])
    np.testing.assert_allclose(first.probabilities, expected, atol=1e-6)


def test_views_train_the_patient_recipe_too(patient_net, patient_body, shown, cache, tmp_path):
    plain = recipes.frozen_body(
        patient_net, shown[np.arange(N)], Storage(cache, 5), unfreeze_layers=0
    )
    ends = []
    for body in (plain, patient_body):
        training = recipes.LinearTraining(patient_net, body, classes=["a", "b"], c=0.1)
        stages = dict(training.train(TARGETS, np.ones(N), SPLIT, tmp_path / "none"))
        ends.append(stages[2].probabilities)
        assert ends[-1].shape == (len(HELD_OUT), 2)
    assert np.abs(ends[0] - ends[1]).max() > 0.01

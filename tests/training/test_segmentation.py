"""Training of the U-Nets: who scores whom, what moves, and that they find lesions."""

from dataclasses import replace

import keras
import lesion_study
import numpy as np
import pytest
from lesion_study import CLASSES, GROUP, SETTINGS, SIDE, SIZE, TARGETS, N

from kidneyct_lib.core.errors import StudyError
from kidneyct_lib.data.image_io import gray_to_rgb
from kidneyct_lib.interpretability import grad_cam
from kidneyct_lib.models import builder
from kidneyct_lib.models import segmentation as networks
from kidneyct_lib.training import recipes, segmentation
from kidneyct_lib.training.feature_cache import Storage
from kidneyct_lib.training.lesion_crops import Batches

pytestmark = pytest.mark.usefixtures("untraced")
SPLIT = np.array(["train"] * 16 + ["validation"] * 8 + ["test"] * 8)
SHORT = replace(SETTINGS, steps=2)  # where it does not matter what is learnt


@pytest.fixture(scope="module")
def study():
    return lesion_study.drawn()


@pytest.fixture(scope="module")
def net():
    return lesion_study.network()


@pytest.fixture(scope="module")
def examples(net, study):
    return lesion_study.examples(net, *study)


def test_the_loss_is_that_of_its_definition():
    rng = np.random.default_rng(0)
    cells = (rng.random((2, 4, 4, 2)) < 0.3).astype(np.float32)
    cells[1, ..., 0] = 0
    logits = rng.normal(size=cells.shape).astype(np.float32)
    share = 1 / (1 + np.exp(-logits))
    entropy = -np.where(cells == 1, np.log(share), np.log(1 - share))
    focal = np.where(cells == 1, 4 * (1 - share), share) * entropy
    means = (logits[:, 1:, 1:] + logits[:, :-1, 1:] + logits[:, 1:, :-1] + logits[:, :-1, :-1]) / 4
    highest, there = means.max(axis=(1, 2)), cells.max(axis=(1, 2))
    whole = np.logaddexp(0, highest) - there * highest
    expected = focal.sum(axis=(1, 2, 3)) / 20 + whole.sum(axis=1)
    result = segmentation.lesion_loss(*map(keras.ops.convert_to_tensor, (cells, logits)))
    np.testing.assert_allclose(keras.ops.convert_to_numpy(result), expected, rtol=1e-4)


# --- training ------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def learner(net, examples):
    return segmentation.LesionScores(net, examples, SHORT)


def test_a_slice_is_scored_by_the_u_net_that_has_not_seen_its_group(
    learner, examples, tmp_path, monkeypatch
):
    learnt, rows = {}, SPLIT != "test"

    def note(number, trained, file):
        learnt[number] = trained

    def of_half(number, crops, asked):
        return np.full((len(asked), 1), number, np.float32)

    monkeypatch.setattr(learner, "_train_half", note)
    monkeypatch.setattr(learner, "_score", of_half)
    scores = learner.train(rows, TARGETS, tmp_path / "c")[:, 0]
    for number, trained in learnt.items():
        assert rows[trained].all()
        assert set(TARGETS[trained]) == {0, 1}
        scored = np.flatnonzero((scores == number) & rows)
        assert set(GROUP[scored]).isdisjoint(GROUP[trained])
    assert np.sort(np.concatenate([*learnt.values()])).tolist() == np.flatnonzero(rows).tolist()
    assert (scores[~rows] == 0.5).all()  # the mean of both


def weights_of(net):
    return [w for half in networks.HALVES for w in net.get_layer(half).get_weights()]


def test_what_was_trained_is_not_trained_again(learner, net, tmp_path, monkeypatch):
    rows = SPLIT != "test"
    first = learner.train(rows, TARGETS, tmp_path / "c")
    kept = weights_of(net)
    monkeypatch.setattr(Batches, "draw", None)  # who draws, trains
    np.testing.assert_array_equal(learner.train(rows, TARGETS, tmp_path / "c"), first)
    assert all((a == b).all() for a, b in zip(kept, weights_of(net), strict=True))
    with pytest.raises(TypeError):
        learner.train(SPLIT == "train", TARGETS, tmp_path / "c")  # other slices: trained anew


@pytest.mark.parametrize("damage", [b"", b"half", None])
def test_a_damaged_state_is_trained_anew(learner, tmp_path, damage):
    rows = SPLIT != "test"
    first = learner.train(rows, TARGETS, tmp_path / "c")
    file = tmp_path / "c-lesions_0.npz"
    file.write_bytes(file.read_bytes()[:-200] if damage is None else damage)
    np.testing.assert_array_equal(learner.train(rows, TARGETS, tmp_path / "c"), first)


def test_the_tested_slices_have_no_say(net, examples, tmp_path):
    other = examples.crops.copy()
    other[SPLIT == "test"] = 255 - other[SPLIT == "test"]
    learner = segmentation.LesionScores(net, examples, SHORT)
    outcomes = []
    for name, crops in (("a", examples.crops), ("b", other)):
        learner._examples = replace(examples, crops=crops)
        learner.train(SPLIT != "test", TARGETS, tmp_path / name)
        outcomes.append(weights_of(net))
    assert all((a == b).all() for a, b in zip(*outcomes, strict=True))


def test_a_loss_that_is_no_number_is_told(learner, net, tmp_path, monkeypatch):
    sound = net.get_weights()
    broken = np.full((8, SIDE, SIDE, 3), np.nan, np.float32), np.zeros((8, 12, 12, 1), np.float32)
    monkeypatch.setattr(Batches, "draw", lambda *_: broken)
    with pytest.raises(StudyError, match="no longer a number in step 1"):
        learner.train(SPLIT != "test", TARGETS, tmp_path / "c")
    net.set_weights(sound)


# --- in the recipe -------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def trained(net, study, examples, tmp_path_factory):
    """The recipe after its training on one split, the body of the slices, both stages.

    And the variables of the network that the training left as they were.
    """
    folder = tmp_path_factory.mktemp("trained")
    before = {v.path: np.array(v) for v in net.variables}
    body = recipes.frozen_body(net, study[0], Storage(folder, 8), unfreeze_layers=0)
    scores = segmentation.LesionScores(net, examples, SETTINGS)
    linear = recipes.LinearTraining(net, body, classes=CLASSES, c=0.1, lesions=scores)
    stages = dict(linear.train(TARGETS, np.ones(N), SPLIT, folder / "c"))
    still = {v.path for v in net.variables if (before[v.path] == np.array(v)).all()}
    return linear, body, stages, still


def test_lesions_are_found_in_slices_that_were_not_trained_on(trained):
    linear, body, *_ = trained
    tested = np.flatnonzero(SPLIT == "test")
    scores, bears = linear._lesions.of(body[0], tested)[:, 0], TARGETS[tested] == 1
    assert scores.shape == (len(tested),)
    assert scores[bears].min() > scores[~bears].max()


def test_the_network_predicts_as_the_stage_does(trained, net, study):
    linear, body, stages, _ = trained
    whole = net.predict_on_batch(gray_to_rgb(study[0]).astype(np.float32))
    np.testing.assert_allclose(linear.predict(2, body, np.arange(N)), whole, atol=2e-3)
    tested = SPLIT == "test"
    last = stages[2].probabilities[SPLIT[SPLIT != "train"] == "test"]
    np.testing.assert_allclose(last, whole[tested], atol=2e-3)
    assert (whole.argmax(axis=1) == TARGETS)[tested].all()


def test_images_asked_for_again_are_scored_once(trained, monkeypatch):
    linear, body, *_ = trained
    asked, rows = [], np.array([3, 1])
    of = segmentation.LesionScores.of
    monkeypatch.setattr(
        segmentation.LesionScores, "of", lambda *given: asked.append(1) or of(*given)
    )
    linear._scored = None  # as after another training
    first = linear.predict(2, body, rows)
    np.testing.assert_array_equal(linear.predict(2, body, rows), first)
    assert len(asked) == 1
    np.testing.assert_array_equal(linear.predict(2, body, rows[::-1])[::-1], first)
    assert len(asked) == 2


def test_class_maps_point_at_what_the_u_nets_found(trained, net, study):
    images, masks = study
    rows = np.flatnonzero((SPLIT == "test") & (TARGETS == 1))
    maps = grad_cam.of_classes(
        grad_cam.with_class_maps(net), images[rows], np.ones(len(rows), int), batch=4
    )
    for one, mask in zip(maps, masks[rows], strict=True):
        y, x = np.unravel_index(one.argmax(), one.shape)
        place = (np.array([y, x]) + 0.5) * SIZE / one.shape[0]
        assert np.abs(place - np.argwhere(mask).mean(axis=0)).max() < 8


def test_only_the_u_nets_and_the_last_layer_move(trained, net):
    *_, still = trained
    moved = {v.path for half in networks.HALVES for v in net.get_layer(half).variables}
    moved |= {"probabilities/kernel", "probabilities/bias"}
    assert still == {v.path for v in net.variables} - moved


def test_features_are_computed_once_whether_lesions_are_known_or_not(trained, study, monkeypatch):
    """The network of notebook 03 knows no masks, that of notebook 04 does."""
    _, body, *_ = trained
    folder = body[1].store.folder.parent
    without = lesion_study.network(lesions=())
    monkeypatch.setattr(keras.Model, "predict_on_batch", None)  # nothing is computed
    found = recipes.frozen_body(without, study[0], Storage(folder, 8), unfreeze_layers=0)
    assert found[1].layer == builder.POOL
    np.testing.assert_array_equal(found[1][np.arange(N)], body[1][np.arange(N)])

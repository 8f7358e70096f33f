"""Maps while weights are shuffled: step by step, and the network left as it was."""

import numpy as np
import pytest

from kidneyct_lib.evaluation.bootstrap import Bootstrap
from kidneyct_lib.interpretability import grad_cam, weight_randomization
from kidneyct_lib.models import builder
from kidneyct_lib.models.keras_setup import keras

pytestmark = pytest.mark.usefixtures("untraced")
STEPS = ["trained", "head", "conv5", "conv4", "conv3", "conv2", "conv1"]
CODES = np.array([0, 3, 1])
ASKED = {"batch": 2, "seed": 5}


@pytest.fixture(scope="module")
def images():
    """Slices with a bright, uneven body on a dark ground."""
    rng = np.random.default_rng(1)
    result = np.zeros((3, 96, 96), np.uint8)
    for image in result:
        patches = rng.integers(40, 220, (6, 7))
        image[18:78, 13:83] = np.kron(patches, np.ones((10, 10), int))
    return result


@pytest.fixture(scope="module", params=["published", "patient"])
def net(request, build_network):
    return build_network(recipe=request.param, image_size=96)


@pytest.fixture(scope="module")
def cascade(net, images):
    """Maps of one draw, and the network's digest before and after."""
    before = builder.digest(net)
    maps = weight_randomization.cascade(net, images, CODES, draws=1, **ASKED)
    return maps, before, builder.digest(net)


def of_codes(net, rgb):
    maps = keras.ops.convert_to_numpy(grad_cam.with_class_maps(net)(rgb)[1])
    return np.stack([one[..., code] for one, code in zip(maps, CODES, strict=True)])


def assert_alike(result, expected):
    np.testing.assert_allclose(result, expected, atol=1e-4 * np.abs(expected).max())


def test_every_weight_belongs_to_one_stage(net):
    result = weight_randomization.stages(net)
    assert list(result) == STEPS[1:]
    names = [layer.name for layers in result.values() for layer in layers]
    assert sorted(names) == sorted(layer.name for layer in net.layers if layer.weights)
    assert builder.PROBABILITIES in [layer.name for layer in result["head"]]
    assert all(layer.name.startswith("conv4_") for layer in result["conv4"])


def test_shuffled_tensors_keep_their_values_and_their_layers_are_all_that_changes(net):
    weights = [np.array(value) for value in net.get_weights()]
    kernel = net.get_layer("conv4_block6_2_conv").get_weights()[0]
    layers = weight_randomization.stages(net)["conv4"]
    try:
        weight_randomization.shuffle(layers, np.random.default_rng(0))
        changed = net.get_layer("conv4_block6_2_conv").get_weights()[0]
        np.testing.assert_array_equal(np.sort(changed, axis=None), np.sort(kernel, axis=None))
        assert abs(np.corrcoef(changed.ravel(), kernel.ravel())[0, 1]) < 0.02
        shuffled = {id(weight) for layer in layers for weight in layer.weights}
        for variable, before in zip(net.weights, weights, strict=True):
            after = keras.ops.convert_to_numpy(variable)
            even = np.ptp(before) == 0  # gains of 1, offsets of 0: nothing to shuffle
            assert np.array_equal(after, before) == (id(variable) not in shuffled or even)
    finally:
        net.set_weights(weights)


def test_the_network_is_as_it_was(cascade):
    _, before, after = cascade
    assert after == before


def test_the_network_is_as_it_was_after_an_error(net, images, monkeypatch):
    before, changed, shuffle = builder.digest(net), [], weight_randomization.shuffle

    def failing(layers, rng):
        shuffle(layers, rng)
        changed.append(builder.digest(net) != before)
        raise RuntimeError("midway")

    monkeypatch.setattr(weight_randomization, "shuffle", failing)
    with pytest.raises(RuntimeError, match="midway"):
        weight_randomization.cascade(net, images, CODES, draws=1, **ASKED)
    assert changed == [True]
    assert builder.digest(net) == before


def test_maps_are_those_of_a_network_shuffled_by_hand(net, images, cascade):
    """Each stage on top of the one before; below it, activations stay."""
    maps, *_ = cascade
    weights, rng = [np.array(value) for value in net.get_weights()], np.random.default_rng([5, 0])
    frozen = keras.Model(net.inputs[0], net.get_layer("conv5_block3_out").output)
    rgb = np.repeat(images[..., None], 3, axis=-1).astype(np.float32)
    trained = keras.ops.convert_to_numpy(frozen(rgb))
    assert_alike(maps["trained"][0], of_codes(net, rgb))
    stages = weight_randomization.stages(net)
    try:
        for step in ("head", "conv5"):
            weight_randomization.shuffle(stages[step], rng)
            expected = of_codes(net, rgb)
            assert_alike(maps[step][0], expected)
            assert np.abs(expected - maps["trained"][0]).max() > 0.1 * np.abs(expected).max()
            same = np.array_equal(keras.ops.convert_to_numpy(frozen(rgb)), trained)
            assert same == (step == "head")
    finally:
        net.set_weights(weights)


def test_maps_lose_their_likeness(cascade):
    maps, *_ = cascade
    rows = weight_randomization.summarise(maps, np.array([0, 1, 1]), bootstrap=Bootstrap(100, 1))
    assert [row["step"] for row in rows] == STEPS
    assert rows[0] == {"step": "trained", "correlation": 1, "ci95": [1, 1], "unsigned": 1}
    assert rows[-1]["correlation"] < 0.4
    assert rows[-1]["unsigned"] < 0.7
    for row in rows[1:]:
        assert row["correlation"] < 0.8
        low, high = row["ci95"]
        assert -1 <= low <= row["correlation"] <= high < 1
        assert abs(row["correlation"]) <= row["unsigned"] < 1


def test_the_seed_decides_and_more_draws_change_no_earlier_one(net, images, cascade, monkeypatch):
    maps, *_ = cascade
    head = weight_randomization.stages(net)["head"]
    monkeypatch.setattr(weight_randomization, "stages", lambda _: {"head": head})
    more = weight_randomization.cascade(net, images, CODES, draws=2, **ASKED)
    np.testing.assert_array_equal(more["head"][0], maps["head"][0])
    np.testing.assert_array_equal(more["trained"][1], maps["trained"][0])
    assert not np.allclose(more["head"][1], more["head"][0])
    other = weight_randomization.cascade(net, images, CODES, draws=1, **ASKED | {"seed": 6})
    assert not np.allclose(other["head"][0], maps["head"][0])


def test_likeness_is_spearmans():
    one, other = np.array([[1.0, 2, 3], [4, 5, 6]]), np.array([[2.0, 1, 3], [6, 4, 5]])
    apart = 1 + 1 + 0 + 4 + 1 + 1
    assert weight_randomization.likeness(one, other) == pytest.approx(1 - 6 * apart / (6 * 35))
    assert weight_randomization.likeness(one, one**3) == pytest.approx(1)
    assert weight_randomization.likeness(one, -one) == pytest.approx(-1)


def test_places_outside_both_maps_do_not_make_them_alike():
    rng = np.random.default_rng(0)
    one, other = np.zeros((2, 20, 20))
    one[5:10, 5:10], other[5:10, 5:10] = rng.uniform(1, 2, (2, 5, 5))
    inside = weight_randomization.likeness(one[5:10, 5:10], other[5:10, 5:10])
    assert weight_randomization.likeness(one, other) == pytest.approx(inside)
    assert abs(inside) < 0.5


def test_a_map_without_ranks_is_like_itself_alone():
    one, nothing = np.arange(1.0, 5).reshape(2, 2), np.zeros((2, 2))
    assert weight_randomization.likeness(nothing, nothing) == 1
    assert weight_randomization.likeness(one, nothing) == 0
    assert weight_randomization.likeness(nothing, one) == 0
    assert weight_randomization.likeness(one, nothing + 3) == 0


def test_maps_that_turn_over_in_one_draw_are_told_by_their_size():
    one = np.arange(1.0, 10).reshape(1, 3, 3)
    slices = np.concatenate([one, one, one])
    turned = np.concatenate([-one, one, one])
    maps = {"trained": np.stack([slices, slices]), "head": np.stack([slices, turned])}
    _, row = weight_randomization.summarise(maps, np.array([0, 1, 2]), bootstrap=Bootstrap(2000, 1))
    assert row["correlation"] == pytest.approx((0 + 1 + 1) / 3)
    assert row["unsigned"] == pytest.approx(1)
    assert row["ci95"] == pytest.approx([0, 1])

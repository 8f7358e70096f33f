"""Crops are checked on drawn bodies, whose boxes are known, and against OpenCV."""

import cv2
import numpy as np
import pytest
import tensorflow as tf

from kidneyct_lib.models import roi_crops
from kidneyct_lib.models.keras_setup import keras

SIDE = 448


def body(left, right, top, bottom, level=110, *, table=True, bone=True):
    """A bright ellipse with a spine, a thin ring of skin around it and a table below."""
    picture = np.zeros((SIDE, SIDE), np.uint8)
    middle = ((left + right) // 2, (top + bottom) // 2)
    axes = ((right - left) // 2, (bottom - top) // 2)
    cv2.ellipse(picture, middle, (axes[0] + 25, axes[1] + 25), 0, 0, 360, level, 2)
    cv2.ellipse(picture, middle, axes, 0, 0, 360, level, -1)
    if bone:
        cv2.circle(picture, (middle[0], bottom - axes[1] // 3), axes[1] // 6, 255, -1)
    if table:
        cv2.ellipse(picture, (SIDE // 2, bottom - 60), (230, 110), 0, 20, 160, 200, 5)
    return picture.astype(np.float32)


def box_of(*images):
    return np.array(roi_crops.body_box(np.stack(images))) * SIDE


@pytest.mark.parametrize("level", [25, 60, 110, 180])
@pytest.mark.parametrize("edges", [(100, 340, 120, 300), (30, 330, 60, 250)])
def test_the_box_is_that_of_the_body_at_any_brightness(edges, level):
    (result,) = box_of(body(*edges, level))
    expected = np.array(edges)
    # Rows and columns at the ends of an ellipse hold little: the box is a few per cent inside.
    inside = (result - expected) * [1, -1, 1, -1]
    assert (inside >= -4).all()
    assert (inside < 0.06 * SIDE).all()


def test_the_table_and_the_skin_do_not_move_the_box():
    edges = (110, 330, 130, 290)
    bare, whole = box_of(body(*edges, table=False), body(*edges))
    np.testing.assert_allclose(whole, bare, atol=4)


def test_the_box_follows_the_body():
    one, moved = box_of(body(100, 300, 120, 280), body(130, 330, 140, 300))
    np.testing.assert_allclose(moved - one, [30, 30, 20, 20], atol=2)


@pytest.mark.parametrize("level", [0, 5, 90, 255])
def test_a_flat_picture_is_its_own_box(level):
    picture = np.full((SIDE, SIDE), level, np.float32)
    np.testing.assert_allclose(box_of(picture), [[0, SIDE, 0, SIDE]], atol=SIDE * 0.02)


def test_slices_of_a_batch_do_not_meet():
    images = [body(100, 340, 120, 300), body(40, 300, 60, 250, 30), np.zeros((SIDE, SIDE))]
    images = [picture.astype(np.float32) for picture in images]
    alone = np.concatenate([box_of(picture) for picture in images])
    np.testing.assert_array_equal(box_of(*images), alone)


@pytest.mark.parametrize("size", [64, 224, 300])
def test_a_crop_is_what_opencv_resamples(size):
    picture = cv2.GaussianBlur(
        np.random.default_rng(0).uniform(0, 255, (SIDE, SIDE)).astype(np.float32), (0, 0), 6
    )
    share = np.array([[0.25, 0.75, 0.125, 0.875]], np.float32)
    result = np.array(roi_crops.crop(picture[None], share, size))[0]
    cut = picture[SIDE // 8 : SIDE * 7 // 8, SIDE // 4 : SIDE * 3 // 4]
    expected = cv2.resize(cut, (size, size), interpolation=cv2.INTER_LINEAR)
    inner = slice(3, -3)  # OpenCV does not look beyond the cut
    np.testing.assert_allclose(result[inner, inner], expected[inner, inner], atol=3)


def test_beyond_the_picture_its_edge_goes_on():
    picture = np.tile(np.arange(SIDE, dtype=np.float32), (SIDE, 1))
    share = np.array([[-0.5, 0.5, 0, 1]], np.float32)
    result = np.array(roi_crops.crop(picture[None], share, 8))[0]
    # Averaged over the pixels that a new one covers; processors round the last digit differently.
    np.testing.assert_allclose(result[:, :4], result[0, 0], rtol=1e-6)
    assert result[0, 0] < SIDE / 16
    assert (np.diff(result[0, 3:]) > 0).all()


def test_the_looks_of_a_slice_follow_each_other():
    images = np.stack([body(100, 340, 120, 300), body(40, 300, 60, 250, 60)])
    layer = roi_crops.RoiCrops(["body", "kidneys"], 96)
    crops = np.array(layer(np.repeat(images[..., None], 3, axis=-1)))
    assert crops.shape == (4, 96, 96, 3)
    assert (crops[..., 0] == crops[..., 2]).all()
    for i, picture in enumerate(images):
        for j, box in enumerate(roi_crops.boxes_of(picture[None], layer.names)):
            expected = roi_crops.crop(picture[None], box, 96)
            np.testing.assert_allclose(crops[2 * i + j, ..., 0], np.array(expected)[0], atol=1e-2)


def test_the_kidneys_are_the_lower_part_of_the_body():
    picture = body(100, 340, 120, 300)[None]
    ((left, right, top, bottom),) = np.array(roi_crops.body_box(picture))
    names = ["slice", "body", "kidneys"]
    whole, around, band = (np.array(box)[0] for box in roi_crops.boxes_of(picture, names))
    width, height = right - left, bottom - top
    np.testing.assert_array_equal(whole, [0, 1, 0, 1])
    edges = [left - 0.03 * width, right + 0.03 * width, top - 0.03 * height, bottom + 0.03 * height]
    np.testing.assert_allclose(around, edges, atol=1e-6)
    edges = [left + 0.04 * width, right - 0.04 * width, top + 0.25 * height, bottom - 0.03 * height]
    np.testing.assert_allclose(band, edges, atol=1e-6)


def test_the_whole_slice_is_not_cropped():
    picture = np.repeat(body(100, 340, 120, 300)[None, ..., None], 3, axis=-1)
    shown = np.array(roi_crops.RoiCrops(["slice"], SIDE)(picture))
    np.testing.assert_allclose(shown, picture, atol=1e-3)


def test_luminance_is_opencv_s():
    colour = np.random.default_rng(0).integers(0, 256, (1, 9, 7, 3)).astype(np.uint8)
    expected = cv2.cvtColor(colour[0], cv2.COLOR_RGB2GRAY)
    np.testing.assert_allclose(
        roi_crops.luminance(colour.astype(np.float32))[0], expected, atol=0.51
    )


def test_luminance_repeats_to_the_last_digit():
    pixels = np.random.default_rng(0).integers(0, 256, (32, 512, 512, 3)).astype(np.float32)
    compiled = tf.function(roi_crops.luminance)
    assert len({compiled(pixels).numpy().tobytes() for _ in range(20)}) == 1


def test_features_of_looks_are_joined_slice_by_slice():
    first = np.arange(12, dtype=np.float32).reshape(6, 2)  # 3 slices of 2 crops
    second = 100 + np.arange(6, dtype=np.float32).reshape(6, 1)
    joined = np.array(roi_crops.JoinRegions([[[0], [1]], [[1]]], 2)([first, second]))
    assert joined.tolist() == [[0, 1, 2, 3, 101], [4, 5, 6, 7, 103], [8, 9, 10, 11, 105]]


def test_a_look_of_two_crops_is_their_mean():
    rows = np.array([[0, 1], [2, 9], [4, 5], [6, 7]], np.float32)  # 2 slices of 2 crops
    joined = np.array(roi_crops.JoinRegions([[[0, 1], [1]]], 2)([rows]))
    assert joined.tolist() == [[1, 5, 2, 9], [5, 6, 6, 7]]


def test_the_flanks_are_the_halves_of_the_kidneys_band():
    picture = body(100, 340, 120, 300)[None]
    around, *sides = (
        np.array(box)[0] for box in roi_crops.boxes_of(picture, ["kidneys", "left", "right"])
    )
    middle = (around[0] + around[1]) / 2
    for side in sides:
        np.testing.assert_allclose(side[2:], around[2:], atol=1e-6)
        assert side[1] - side[0] == pytest.approx(0.5 * (around[1] - around[0]) / 0.92, rel=1e-4)
    assert sides[0][0] < around[0] < sides[1][0] < middle < sides[0][1] < around[1] < sides[1][1]


@pytest.mark.parametrize(
    "layer",
    [roi_crops.RoiCrops(["kidneys"], 48), roi_crops.JoinRegions([[[1]], [[0, 1]]], 2)],
    ids=["crop", "join"],
)
def test_a_layer_comes_back_from_its_settings(layer):
    again = type(layer).from_config(layer.get_config())
    assert again.get_config() == layer.get_config()


def test_a_saved_network_crops_by_itself(tmp_path):
    image = keras.Input((SIDE, SIDE, 3))
    net = keras.Model(image, roi_crops.RoiCrops(["body", "kidneys"], 32)(image))
    net.save(tmp_path / "crops.keras")
    images = np.repeat(body(100, 340, 120, 300)[None, ..., None], 3, axis=-1)
    again = keras.models.load_model(tmp_path / "crops.keras", compile=False)
    np.testing.assert_array_equal(again.predict_on_batch(images), net.predict_on_batch(images))


def test_crops_are_made_of_operations_that_exports_have():
    """ONNX and LiteRT know no bits of a float, which a largest place among floats looks at."""
    layer = roi_crops.RoiCrops(["body", "kidneys"], 32)
    traced = tf.function(layer).get_concrete_function(tf.TensorSpec((None, 64, 64, 3), tf.float32))
    kinds = {operation.type for operation in traced.graph.get_operations()}
    assert "ArgMax" in kinds
    assert not kinds & {"Bitcast", "BitwiseAnd", "Where", "While"}

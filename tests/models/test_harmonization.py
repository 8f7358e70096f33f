"""The window is found on drawn bodies, whose levels are known, and taken away."""

import cv2
import numpy as np
import pytest
from drawn_slices import slice_in
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.model_selection import cross_val_score

from kidneyct_lib.audit import probes
from kidneyct_lib.data import display_window
from kidneyct_lib.data.body import body_mask
from kidneyct_lib.models import builder, harmonization
from kidneyct_lib.models.builder import BackboneSettings
from kidneyct_lib.models.keras_setup import keras

SIDE = 256


def body(fat, soft, *, fluid=None, bone=True, seed=0, coat=16):
    """Soft tissue in a coat of fat with fat between the organs, a spine, and noise of 2 levels."""
    picture = np.zeros((SIDE, SIDE), np.float32)
    inside = np.zeros((SIDE, SIDE), np.uint8)
    middle = (SIDE // 2, SIDE // 2)
    for axes, level in (((112, 92), fat), ((112 - coat, 92 - coat), soft)):
        cv2.ellipse(picture, middle, axes, 0, 0, 360, float(level), -1)
    cv2.ellipse(inside, middle, (112, 92), 0, 0, 360, 1, -1)
    for x in (-50, -20, 30):
        cv2.circle(picture, (middle[0] + x, middle[1] + 20), 14, float(fat), -1)
    if fluid is not None:
        place = (middle[0] + 30, middle[1] - 10)
        cv2.ellipse(picture, place, (58, 52), 0, 0, 360, float(fluid), -1)
    if bone:
        cv2.circle(picture, (middle[0], middle[1] + 50), 16, 250.0, -1)
    noise = np.random.default_rng(seed).normal(0, 2, picture.shape)
    picture = np.where(inside, picture + noise, 0)
    return picture.round().clip(0, 255).astype(np.uint8)


def levels_of(*pictures):
    fat, soft = harmonization.levels(np.stack(pictures).astype(np.float32))
    return np.stack([fat, soft], axis=1)


def harmonized(*pictures):
    rgb = np.repeat(np.stack(pictures)[..., None], 3, axis=-1)
    return np.array(harmonization.HarmonizeWindow()(rgb))[..., 0]


@given(soft=st.integers(60, 190), share=st.floats(0.15, 0.5), seed=st.integers(0, 9))
@settings(deadline=None, max_examples=20)
def test_both_levels_are_found(soft, share, seed):
    fat = round(max(share * soft, 12))
    (found,) = levels_of(body(fat, soft, seed=seed))
    np.testing.assert_allclose(found, [fat, soft], atol=2.5)


@pytest.mark.parametrize("soft", [70, 110, 160])
def test_black_fat_counts_as_black(soft):
    (found,) = levels_of(body(0, soft))
    np.testing.assert_allclose(found, [0, soft], atol=2.5)


def test_a_cyst_that_fills_half_of_the_body_is_no_fat():
    (found,) = levels_of(body(0, 100, fluid=64))
    np.testing.assert_allclose(found, [0, 100], atol=2.5)


@pytest.mark.parametrize(("fat", "soft"), [(64, 120), (77, 142), (80, 150)])
def test_soft_tissue_is_found_where_there_is_more_fat(fat, soft):
    """As in a fat patient, whose window may show fat bright: the peak of fat is the higher one."""
    picture = body(fat, soft, coat=46)
    inside = body_mask(picture)
    near = [np.sum(abs(picture[inside].astype(int) - level) < 5) for level in (fat, soft)]
    assert near[0] > 1.5 * near[1]
    (found,) = levels_of(picture)
    np.testing.assert_allclose(found, [fat, soft], atol=2.5)


@pytest.mark.parametrize(("contrasted", "radius"), [(150, 20), (150, 34), (165, 34)])
def test_organs_that_contrast_brightens_are_no_soft_tissue_beside_fat(contrasted, radius):
    """Both kidneys, brighter than the rest of the body and apart from it, and not small."""
    picture = body(30, 90)
    for x in (-60, 60):
        cv2.circle(picture, (SIDE // 2 + x, SIDE // 2), radius, contrasted, -1)
    (found,) = levels_of(picture)
    np.testing.assert_allclose(found, [30, 90], atol=2.5)


def test_the_levels_are_those_of_the_measure_of_series():
    pictures = [body(fat, soft, seed=soft) for fat, soft in ((40, 120), (0, 90), (60, 150))]
    expected = [display_window.levels(picture, body_mask(picture)) for picture in pictures]
    np.testing.assert_allclose(levels_of(*pictures), expected, atol=3)


def test_ten_windows_of_one_slice_look_alike():
    own = display_window.Levels(50, 120)
    picture = body(*own)
    inside = body_mask(picture)
    rng = np.random.default_rng(0)
    shown = [
        display_window.shown(picture, inside, own, display_window.Levels(fat * soft, soft))
        for soft, fat in zip(range(75, 175, 10), rng.uniform(0.15, 0.5, 10), strict=True)
    ]
    assert np.ptp([np.median(one[inside]) for one in shown]) > 60  # they do not look alike before
    results = harmonized(*shown)
    tissue = inside & (picture > 20) & (picture < 180)  # clipped in none of the windows
    apart = np.ptp(results, axis=0)[tissue]
    assert np.median(apart) < 6
    assert np.abs(np.median(results[:, tissue], axis=1) - harmonization.SOFT).max() < 4


def test_a_slice_in_the_common_window_stays_as_it_is():
    picture = body(0, harmonization.SOFT)
    (result,) = harmonized(picture)
    np.testing.assert_allclose(result, picture.clip(max=harmonization.CEILING), atol=4)


def accuracy_of_the_window(*, harmonize):
    """Out-of-fold accuracy of classes that differ in nothing but the window of their slices."""
    rng = np.random.default_rng(0)
    label = np.arange(60) % 2
    windows = np.array([[30, 460], [65, 340]])[label] + rng.uniform(-8, 8, (len(label), 2))
    images = np.stack([slice_in(*window, seed=i, size=96)[0] for i, window in enumerate(windows)])
    backbone = BackboneSettings("resnet50", "none", image_size=96, crop_size=64, seed=3)
    net = builder.region_features(builder.PATIENT_FEATURES, backbone, harmonize=harmonize)
    features = builder.predict_gray(net, images, batch=20, label="features")
    return cross_val_score(probes.logistic_regression(c=0.01), features, label, cv=5).mean()


def test_the_patient_recipe_is_blind_to_a_window_that_names_the_class():
    assert accuracy_of_the_window(harmonize=False) == 1
    assert accuracy_of_the_window(harmonize=True) < 0.65  # chance level: 0.5


@pytest.mark.parametrize("level", [0, 3, 90, 255])
def test_a_flat_picture_gives_numbers_in_range(level):
    (result,) = harmonized(np.full((SIDE, SIDE), level, np.uint8))
    assert np.isfinite(result).all()
    assert (result >= 0).all() and (result <= harmonization.CEILING).all()


def test_slices_of_a_batch_do_not_meet():
    pictures = [body(40, 120), body(0, 80, fluid=52), np.zeros((SIDE, SIDE), np.uint8)]
    alone = np.concatenate([levels_of(picture) for picture in pictures])
    np.testing.assert_array_equal(levels_of(*pictures), alone)


def test_a_histogram_counts_what_numpy_counts():
    rng = np.random.default_rng(0)
    values = rng.integers(0, 256, (2, 5000)).astype(np.float32)
    weights = rng.integers(0, 2, values.shape).astype(np.float32)
    counts = np.array(harmonization._histogram(values, weights))
    expected = [
        np.bincount(v.astype(int), w, minlength=256) for v, w in zip(values, weights, strict=True)
    ]
    np.testing.assert_array_equal(counts[:, 1:255], np.array(expected)[:, 1:255])
    assert not counts[:, [0, 255]].any()


def test_a_saved_layer_is_the_same_layer(tmp_path):
    pixels = keras.Input((SIDE, SIDE, 3))
    model = keras.Model(pixels, harmonization.HarmonizeWindow()(pixels))
    model.save(tmp_path / "layer.keras")
    again = keras.models.load_model(tmp_path / "layer.keras")
    batch = np.repeat(body(40, 120)[None, ..., None], 3, axis=-1).astype(np.float32)
    np.testing.assert_array_equal(again(batch), model(batch))

from functools import partial

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kidneyct_lib.core.array_cache import content_keys
from kidneyct_lib.data import augmentation
from kidneyct_lib.data.augmentation import Augmentation, AugmentedImages, Change, apply, draw, view

NONE, FULL = Augmentation(0, 0, 0), Augmentation(1, 1, 1)
GEOMETRY, INTENSITY, NOISE = Augmentation(1, 0, 0), Augmentation(0, 1, 0), Augmentation(0, 0, 1)
KEYS = ["a", "b", "c", "d"]


def random_images(shape, seed=0):
    return np.random.default_rng(seed).integers(0, 256, shape).astype(np.uint8)


def smooth_image(height, width):
    y, x = np.mgrid[:height, :width]
    waves = np.sin(x / 7) + np.cos(y / 5) + (x - y) / (height + width)
    image = (110 + 40 * waves).astype(np.uint8)
    return cv2.copyMakeBorder(image[4:-4, 4:-4], 4, 4, 4, 4, cv2.BORDER_CONSTANT, value=9)


def applied(image, **change):
    return apply(image, Change(**change), np.random.default_rng(0))


def test_what_lies_on_an_image_moves_with_it():
    image, mask = np.full((40, 40), 90, np.uint8), np.zeros((40, 40), np.uint8)
    image[10:16, 20:30] = mask[10:16, 20:30] = 255
    change = Change(turn=20, right=0.1, down=-0.05, scale=1.1, flip=True)
    moved = augmentation.moved(mask, change, 0)
    bright = augmentation.moved(image, change)
    assert (moved > 128).sum() > 40
    assert ((bright > 172) == (moved > 127)).mean() > 0.99
    assert augmentation.moved(np.full((40, 40), 90, np.uint8), change, 7).min() == 7


def views(images, keys, number, augmentation, *, seed):
    """One view of each image, as a stack."""
    result = np.empty_like(images)
    for i, (image, key) in enumerate(zip(images, keys, strict=True)):
        result[i] = view(image, key, number, augmentation, seed=seed)
    return result


@pytest.fixture
def images():
    return random_images((4, 32, 32))


# --- one change at a time -----------------------------------------------------------------------


def test_no_change_gives_the_same_pixels_in_a_new_array(images):
    result = applied(images[0])
    np.testing.assert_array_equal(result, images[0])
    assert not np.shares_memory(result, images)


@pytest.mark.parametrize(("right", "down"), [(5, 3), (-5, 0), (0, -7)])
def test_a_shift_moves_every_pixel_and_fills_in_background(right, down):
    image = random_images((40, 64))
    image[0] = 12  # the darkest edge is the background; the others are brighter
    image[1:, [0, -1]] |= 128
    image[-1] |= 128
    expected = np.full_like(image, 12)
    for y in range(40):
        for x in range(64):
            if 0 <= y - down < 40 and 0 <= x - right < 64:
                expected[y, x] = image[y - down, x - right]
    np.testing.assert_array_equal(applied(image, right=right / 64, down=down / 40), expected)


@pytest.mark.parametrize("width", [32, 33])
def test_a_flip_changes_left_and_right_and_nothing_else(width):
    image = random_images((20, width))
    np.testing.assert_array_equal(applied(image, flip=True), image[:, ::-1])


def test_a_quarter_turn_is_counter_clockwise():
    image = random_images((32, 32))
    np.testing.assert_array_equal(applied(image, turn=90), np.rot90(image))


def slowly_moved(image, turn, right, down, scale, flip):
    """Where each pixel of the result comes from: the changes undone in reverse order."""
    height, width = image.shape
    middle = np.array([(width - 1) / 2, (height - 1) / 2])
    angle = np.radians(turn)
    result = np.empty(image.shape)
    for y in range(height):
        for x in range(width):
            away = np.array([x - right * width, y - down * height]) - middle
            back = np.array(
                [
                    away[0] * np.cos(angle) - away[1] * np.sin(angle),
                    away[0] * np.sin(angle) + away[1] * np.cos(angle),
                ]
            )
            at = middle + back / scale
            result[y, x] = bilinear(image, width - 1 - at[0] if flip else at[0], at[1])
    return result


def bilinear(image, x, y, outside=9):
    value = 0
    left, top = int(np.floor(x)), int(np.floor(y))
    for i in (left, left + 1):
        for j in (top, top + 1):
            inside = 0 <= i < image.shape[1] and 0 <= j < image.shape[0]
            value += (1 - abs(x - i)) * (1 - abs(y - j)) * (image[j, i] if inside else outside)
    return value


@pytest.mark.parametrize("flip", [False, True])
def test_all_of_the_geometry_is_one_map(flip):
    image = smooth_image(48, 60)
    change = {"turn": 11.0, "right": 0.07, "down": -0.05, "scale": 1.1, "flip": flip}
    difference = applied(image, **change) - slowly_moved(image, **change)
    assert np.abs(difference).mean() < 0.6
    assert np.quantile(np.abs(difference), 0.95) < 3  # OpenCV places pixels to 1/32


def test_what_comes_in_beside_a_body_that_runs_off_is_background():
    coronal = np.full((40, 40), 150, np.uint8)
    coronal[:, :6] = coronal[:, -6:] = 3
    assert (applied(coronal, down=0.25)[:9] == 3).all()
    assert (applied(coronal, scale=0.8)[:3] == 3).all()


@pytest.mark.parametrize(
    ("level", "contrast", "gamma"), [(40, 1, 1), (-40, 1, 1), (0, 1.4, 1), (0, 1, 0.7), (9, 0.7, 1)]
)
def test_tones_follow_window_and_gamma_and_air_stays_black(level, contrast, gamma):
    ramp = np.arange(256, dtype=np.uint8).reshape(16, 16)
    found = applied(ramp, level=level, contrast=contrast, gamma=gamma).ravel()
    assert found[0] == 0
    for gray in range(augmentation.AIR, 256):
        windowed = min(max((gray - 127.5) * contrast + 127.5 + level, 0), 255)
        assert abs(found[gray] - 255 * (windowed / 255) ** gamma) <= 0.5


@given(st.floats(-40, 40), st.floats(0.7, 1.4), st.floats(0.7, 1.4))
def test_no_window_or_gamma_changes_the_order_of_tones(level, contrast, gamma):
    ramp = np.arange(256, dtype=np.uint8).reshape(16, 16)
    found = applied(ramp, level=level, contrast=contrast, gamma=gamma).ravel().astype(int)
    assert (np.diff(found) >= 0).all()


def test_noise_has_its_strength_and_changes_no_mean():
    flat = np.full((128, 128), 128, np.uint8)
    noisy = applied(flat, noise=0.05)
    assert noisy.std() == pytest.approx(0.05 * 255, rel=0.05)
    assert noisy.mean() == pytest.approx(128, abs=0.5)


def test_noise_does_not_wrap_around():
    half = np.repeat(np.array([[0, 255]], np.uint8), 64, axis=0).repeat(32, axis=1)
    noisy = applied(half, noise=0.08)
    assert noisy[:, :32].max() < 128 < noisy[:, 32:].min()


def test_blur_spreads_a_point_by_its_width():
    point = np.zeros((65, 65), np.uint8)
    point[32, 32] = 255
    spread = applied(point, blur=1.5 / 65).astype(float)
    x = np.arange(65) - 32
    across = (spread * x**2).sum() / spread.sum()
    assert np.sqrt(across) == pytest.approx(1.5, rel=0.1)


# --- what is drawn ------------------------------------------------------------------------------


def drawn(strengths, count=300):
    rng = np.random.default_rng(5)
    return {
        name: np.array(values, float)
        for name, values in zip(
            Change._fields,
            zip(*(draw(rng, strengths) for _ in range(count)), strict=True),
            strict=True,
        )
    }


MOST = {"turn": 15, "right": 0.1, "down": 0.1, "level": 40}
FACTORS = {"scale": 1.15, "contrast": 1.4, "gamma": 1.4}
HALVES = {"blur": 0.005, "noise": 0.08}


def test_changes_stay_within_their_most_and_come_near_it():
    changes = drawn(FULL)
    for name, most in MOST.items():
        assert 0.9 * most < changes[name].max() <= most
        assert -0.9 * most > changes[name].min() >= -most
    for name, most in FACTORS.items():
        assert most**0.9 < changes[name].max() <= most
        assert most**-0.9 > changes[name].min() >= 1 / most
    for name, most in HALVES.items():
        assert 0.9 * most < changes[name].max() <= most
        assert 0.4 < (changes[name] == 0).mean() < 0.6
    assert 0.4 < changes["flip"].mean() < 0.6


@given(st.floats(0, 1), st.floats(0, 1), st.floats(0, 1))
def test_a_strength_scales_its_own_kind_alone(geometry, intensity, noise):
    close = partial(np.testing.assert_allclose, atol=1e-12)
    full = drawn(FULL, count=3)
    some = drawn(Augmentation(geometry, intensity, noise), count=3)
    for name in ("turn", "right", "down"):
        close(some[name], geometry * full[name])
    close(some["scale"], full["scale"] ** geometry)
    close(some["level"], intensity * full["level"])
    for name in ("contrast", "gamma"):
        close(some[name], full[name] ** intensity)
    for name in HALVES:
        close(some[name], noise * full[name])
    assert (some["flip"] <= full["flip"]).all()


@pytest.mark.parametrize("strengths", [(1.1, 0, 0), (0, -0.1, 0), (0, 0, float("nan"))])
def test_a_strength_out_of_range_is_refused(strengths):
    with pytest.raises(ValueError, match="from 0 to 1"):
        Augmentation(*strengths)


# --- views --------------------------------------------------------------------------------------


def test_without_strength_a_view_is_the_image(images):
    np.testing.assert_array_equal(views(images, KEYS, 1, NONE, seed=3), images)


def test_a_view_of_intensity_alone_maps_gray_to_gray(images):
    for before, after in zip(images, views(images, KEYS, 1, INTENSITY, seed=3), strict=True):
        assert (before != after).any()
        for gray in np.unique(before):
            assert len(np.unique(after[before == gray])) == 1


def test_a_view_of_geometry_alone_keeps_the_grays():
    images = np.zeros((20, 32, 32), np.uint8)
    images[:, 8:24, 10:22] = 180
    shown = views(images, [str(k) for k in range(20)], 1, GEOMETRY, seed=3)
    assert shown.max() == 180
    assert (shown[:, 15:17, 15:17] == 180).mean() > 0.95
    assert len(np.unique(shown.reshape(20, -1), axis=0)) == 20


def test_a_view_of_noise_alone_moves_nothing():
    flat = np.full((60, 32, 32), 100, np.uint8)
    flat[:, 8:24, 8:24] = 150
    shown = views(flat, [str(k) for k in range(60)], 1, NOISE, seed=3)
    np.testing.assert_allclose(shown.mean(axis=0), flat[0], atol=12)
    assert len(np.unique(shown.reshape(60, -1), axis=0)) > 30


def test_a_view_depends_on_seed_key_and_number(images):
    same = np.stack([images[0]] * 4)
    first = views(same, KEYS, 1, FULL, seed=3)
    np.testing.assert_array_equal(first, views(same, KEYS, 1, FULL, seed=3))
    for other in (views(same, KEYS, 2, FULL, seed=3), views(same, KEYS, 1, FULL, seed=4)):
        assert all((a != b).any() for a, b in zip(first, other, strict=True))
    assert len(np.unique(first.reshape(4, -1), axis=0)) == 4
    twice = views(same, ["a"] * 4, 1, FULL, seed=3)
    assert (twice == twice[0]).all()


@given(st.lists(st.integers(0, 3), max_size=6))
def test_a_view_does_not_depend_on_the_images_beside_it(rows):
    images = random_images((4, 16, 16))
    keys = content_keys(images)
    some = AugmentedImages(images, 2, FULL, seed=1)[8 + np.array(rows, int)]
    np.testing.assert_array_equal(some, views(images, keys, 2, FULL, seed=1)[rows])


def test_a_view_leaves_its_image_alone(images):
    before = images.copy()
    shown = view(images[0], "a", 1, FULL, seed=3)
    np.testing.assert_array_equal(images, before)
    assert shown.dtype == np.uint8
    assert shown.shape == images[0].shape


def test_there_is_no_view_nought(images):
    with pytest.raises(ValueError, match="from 1"):
        view(images[0], "a", 0, FULL, seed=3)


# --- images and their views as rows -------------------------------------------------------------


def test_rows_are_the_images_and_then_each_view_of_all(images):
    rows = AugmentedImages(images, 2, FULL, seed=3)
    assert len(rows) == 12
    keys = content_keys(images)
    expected = np.concatenate(
        [images, views(images, keys, 1, FULL, seed=3), views(images, keys, 2, FULL, seed=3)]
    )
    np.testing.assert_array_equal(rows[np.arange(12)], expected)
    mixed = np.array([11, 0, 5, 5, 2])
    np.testing.assert_array_equal(rows[mixed], expected[mixed])


def test_taking_rows_leaves_the_images_alone(images):
    before = images.copy()
    rows = AugmentedImages(images, 1, FULL, seed=3)[np.arange(8)]
    rows[:] = 0
    np.testing.assert_array_equal(images, before)


def test_every_view_has_a_key_of_its_own_and_images_keep_theirs(images):
    keys = AugmentedImages(images, 3, FULL, seed=3).keys
    assert keys[:4] == content_keys(images)
    assert len(set(keys)) == len(keys) == 16
    assert AugmentedImages(images, 0, FULL, seed=3).keys == keys[:4]
    assert AugmentedImages(images, 1, FULL, seed=3).keys == keys[:8]
    assert AugmentedImages(images[::-1], 3, FULL, seed=3).keys[4:8] == keys[4:8][::-1]
    assert not any("," in key or "\n" in key for key in keys)


def test_other_seeds_and_strengths_have_other_keys(images):
    keys = AugmentedImages(images, 1, FULL, seed=3).keys
    for other in (
        AugmentedImages(images, 1, FULL, seed=4),
        AugmentedImages(images, 1, Augmentation(1, 1, 0.9), seed=3),
    ):
        assert not set(other.keys[4:]) & set(keys)

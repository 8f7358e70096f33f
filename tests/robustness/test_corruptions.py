"""Every corruption is held to hand-made cases, and all of them to what they have in common."""

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from kidneyct_lib.core.errors import StudyError
from kidneyct_lib.data import phantom
from kidneyct_lib.data.body import body_mask
from kidneyct_lib.robustness.corruptions import (
    CAUSES,
    CORRUPTIONS,
    CT_OWN,
    MEDMNIST_C,
    SEVERITIES,
    corrupt,
)

NAMES = list(CORRUPTIONS)
RANDOM = {
    "Gaussian noise",
    "speckle noise",
    "impulse noise",
    "shot noise",
    "low dose",
    "rotation",
    "burned-in text",
    "colour screen",
}
FLAT = np.full((224, 224), 128, np.uint8)
LEVELS = np.arange(256, dtype=np.uint8).reshape(16, 16)
HU = 255 / 400  # gray levels of the soft-tissue window


@pytest.fixture(scope="module")
def slices():
    """Eight phantom slices of both scanners, 224 x 224."""
    shape = {"patients_per_class": 1, "slices_per_patient": (1, 1), "seed": 5, "size": 224}
    classes = ("Cyst", "Normal", "Stone", "Tumor")
    cohorts = (
        phantom.generate(
            phantom.CohortSpec(classes=classes, plane="axial", scanner=scanner, **shape)
        )
        for scanner in "AB"
    )
    images = np.stack([one.image for cohort in cohorts for one in cohort])
    images.setflags(write=False)
    return images


def degrade(gray, name, severity, seed=0):
    """Corrupt one image with a generator of its own."""
    change, amounts = CORRUPTIONS[name]
    return change(gray, amounts[severity - 1], np.random.default_rng(seed))


def person(shape=(224, 224), *, flesh=120, fat=60):
    """Draw a person in outline, with fat around flesh: the image, and where the person is."""
    gray, (height, width) = np.zeros(shape, np.uint8), shape
    middle, axes = (width // 2, int(0.45 * height)), (int(0.42 * width), int(0.3 * height))
    cv2.ellipse(gray, middle, axes, 0, 0, 360, fat, -1)
    inside = gray > 0
    cv2.ellipse(gray, middle, (int(0.37 * width), int(0.25 * height)), 0, 0, 360, flesh, -1)
    return gray, inside


# --- what all have in common ------------------------------------------------------------------


def test_the_list_is_medmnist_c_and_ct_own():
    assert len(MEDMNIST_C) == 13
    assert len(CT_OWN) == 8
    assert [*MEDMNIST_C, *CT_OWN] == NAMES
    for name, (_, amounts) in CORRUPTIONS.items():
        assert len(amounts) == len(SEVERITIES), name
    assert list(CAUSES) == NAMES
    assert all(CAUSES.values())


@pytest.mark.parametrize("name", NAMES)
def test_images_are_changed_more_and_more_and_keep_their_shape(name, slices):
    away = []
    for severity in SEVERITIES:
        degraded = np.stack([degrade(gray, name, severity) for gray in slices])  # not writeable
        assert degraded.shape == slices.shape
        assert degraded.dtype == np.uint8
        away.append(np.abs(degraded.astype(float) - slices).mean())
    assert away == sorted(away)
    assert away[0] > 0.05
    assert away[-1] > 1.2 * away[0]


@pytest.mark.parametrize("name", NAMES)
def test_each_image_meets_its_own_fate_whatever_comes_before_it(name, slices):
    def of(rows, seed=1):
        return {row: corrupt(slices[row], f"key {row}", name, 3, seed=seed) for row in rows}

    degraded = of(range(len(slices)))
    for row, image in degraded.items():
        assert image.shape == slices[row].shape
        assert (image != slices[row]).any()
    for row, image in of([6, 2]).items():
        np.testing.assert_array_equal(image, degraded[row])
    again = of(range(len(slices)), seed=2)
    assert any((again[row] != degraded[row]).any() for row in again) == (name in RANDOM)


def test_chance_depends_on_seed_name_severity_and_key():
    def noise(name="Gaussian noise", severity=2, seed=0, key="a"):
        return np.sign(corrupt(FLAT, key, name, severity, seed=seed).astype(int) - 128)

    first = noise()
    for other in (
        noise(name="speckle noise"),
        noise(severity=3),
        noise(seed=1),
        noise(key="b"),
    ):
        assert 0.4 < (other != first).mean() < 0.65
    np.testing.assert_array_equal(noise(), first)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("level", [0, 128, 255])
@pytest.mark.parametrize("shape", [(224, 224), (16, 16), (2, 3), (1, 1)])
def test_images_without_contrast_and_tiny_ones_survive(name, level, shape):
    gray = np.full(shape, level, np.uint8)
    for severity in (1, 5):
        degraded = degrade(gray, name, severity)
        assert degraded.shape == shape
        assert degraded.dtype == np.uint8
        if level == 0 and name not in ("Gaussian noise", "impulse noise", "burned-in text"):
            assert not degraded.any()


@given(
    gray=arrays(np.uint8, st.tuples(st.integers(1, 40), st.integers(1, 40))),
    name=st.sampled_from(NAMES),
    severity=st.sampled_from(SEVERITIES),
)
@settings(max_examples=200, deadline=None)
@pytest.mark.filterwarnings("error")
def test_any_image_survives_any_corruption_and_is_left_as_it_was(gray, name, severity):
    before = gray.copy()
    degraded = degrade(gray, name, severity)
    assert degraded.shape == gray.shape
    assert degraded.dtype == np.uint8
    np.testing.assert_array_equal(gray, before)
    assert not np.shares_memory(gray, degraded)


def test_an_unknown_corruption_is_refused_with_its_likes():
    with pytest.raises(StudyError, match="did you mean 'Gaussian noise'"):
        corrupt(FLAT, "a", "gausian noise", 1, seed=0)
    with pytest.raises(StudyError, match=r"'jpg'.*Known are: pixelate, JPEG, .*bit depth"):
        corrupt(FLAT, "a", "jpg", 1, seed=0)


@pytest.mark.parametrize("severity", [0, 6, -1, "3", None, 2.5])
def test_a_severity_outside_one_to_five_is_refused(severity):
    with pytest.raises(StudyError, match=r"severity is .*1, 2, 3, 4 or 5"):
        corrupt(FLAT, "a", "JPEG", severity, seed=0)


# --- levels -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "severity", "level", "expected"),
    [
        ("gamma up", 5, 64, 16),  # 255 (64 / 255)^2 = 16.06
        ("gamma up", 1, 128, 104),  # 255 (128 / 255)^1.3 = 104.1
        ("gamma down", 5, 64, 147),  # 255 (64 / 255)^0.4 = 146.6
        ("gamma up", 5, 255, 255),
        ("brighter", 1, 100, 120),
        ("brighter", 5, 200, 255),
        ("darker", 5, 100, 60),
        ("window shift", 5, 200, 136),  # 100 of 400 HU: 63.75 levels
        ("window shift", 1, 200, 187),
        ("window shift", 5, 30, 0),
        ("bit depth", 5, 63, 0),
        ("bit depth", 5, 64, 85),
        ("bit depth", 5, 191, 170),
        ("bit depth", 5, 255, 255),
        ("bit depth", 1, 101, 101),  # 25 of 63 steps: 101.2
        ("bit depth", 1, 103, 101),
    ],
)
def test_a_level_becomes_what_is_worked_out_by_hand(name, severity, level, expected):
    assert degrade(LEVELS, name, severity)[np.nonzero(level == LEVELS)] == [expected]


def test_bit_depth_leaves_as_many_levels_as_bits_hold():
    for severity, bits in zip(SEVERITIES, (6, 5, 4, 3, 2), strict=True):
        assert len(np.unique(degrade(LEVELS, "bit depth", severity))) == 2**bits


def test_contrast_moves_levels_from_the_mean_or_towards_it():
    gray = np.repeat(np.array([[50, 150]], np.uint8), 4, axis=0)
    assert np.unique(degrade(gray, "contrast up", 5)).tolist() == [10, 190]
    assert np.unique(degrade(gray, "contrast down", 5)).tolist() == [75, 125]


def test_the_colour_screen_is_weighed_by_luma_after_clipping():
    hue = np.random.default_rng(7).uniform(0, 2 * np.pi)
    gains = [1 + 0.75 * np.cos(hue + k * 2 * np.pi / 3) for k in range(3)]
    channels = [np.minimum(LEVELS * gain, 255) for gain in gains]
    expected = 0.299 * channels[0] + 0.587 * channels[1] + 0.114 * channels[2]
    degraded = degrade(LEVELS, "colour screen", 5, seed=7)
    assert np.abs(degraded - expected).max() <= 1
    assert np.abs(degraded - LEVELS.astype(int)).max() > 5


# --- noise ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "severity", "sigma"),
    [
        ("Gaussian noise", 1, 0.04 * 255),
        ("Gaussian noise", 3, 0.12 * 255),
        ("speckle noise", 1, 0.05 * 128),
        ("speckle noise", 3, 0.2 * 128),
        ("shot noise", 1, 255 * np.sqrt(128 / 255 / 200)),
        ("shot noise", 3, 255 * np.sqrt(128 / 255 / 50)),
        ("low dose", 1, 10 * HU),
        ("low dose", 2, 10 * np.sqrt(3) * HU),
        ("low dose", 5, 10 * np.sqrt(31) * HU),
    ],
)
def test_noise_is_as_strong_as_said_and_leaves_the_mean(name, severity, sigma):
    noise = degrade(FLAT, name, severity).astype(float) - 128
    assert noise.std() == pytest.approx(sigma, rel=0.03)
    assert abs(noise.mean()) < 0.03 * sigma + 0.1


def test_speckle_follows_the_level_and_gaussian_noise_does_not():
    gray = np.repeat(np.array([[50, 150]], np.uint8), 112, axis=1).repeat(224, axis=0)
    for name, ratio in (("speckle noise", 3), ("Gaussian noise", 1), ("shot noise", np.sqrt(3))):
        noisy = degrade(gray, name, 2).astype(float)
        assert noisy[:, 112:].std() / noisy[:, :112].std() == pytest.approx(ratio, rel=0.05)


def test_impulses_are_as_many_as_said_half_of_them_white():
    for severity, share in zip(SEVERITIES, (0.01, 0.02, 0.03, 0.05, 0.08), strict=True):
        noisy = degrade(FLAT, "impulse noise", severity)
        assert (noisy != 128).mean() == pytest.approx(share, rel=0.15)
        assert (noisy == 255).mean() == pytest.approx(share / 2, rel=0.2)
        assert set(np.unique(noisy)) == {0, 128, 255}


def test_low_dose_noise_has_grains_where_gaussian_noise_has_none():
    def alike(name, step):
        noise = degrade(FLAT, name, 2).astype(float) - 128
        return np.corrcoef(noise[:, step:].ravel(), noise[:, :-step].ravel())[0, 1]

    assert alike("low dose", 1) > 0.3
    assert abs(alike("low dose", 12)) < 0.05
    assert abs(alike("Gaussian noise", 1)) < 0.02


def test_low_dose_noise_is_strongest_where_rays_cross_most_tissue():
    gray, inside = person()
    noise = np.stack([degrade(gray, "low dose", 2, seed).astype(float) - gray for seed in range(8)])
    deep = noise[:, 90:112, 100:124].std()
    rim = noise[:, 40:50, 100:124].std()
    assert deep > 1.4 * rim
    assert not noise[:, ~inside].any()  # air stays black


# --- resolution, compression, geometry --------------------------------------------------------


def test_jpeg_is_opencvs(slices):
    for severity, quality in zip(SEVERITIES, (50, 30, 15, 10, 7), strict=True):
        data = cv2.imencode(".jpg", slices[0], [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
        expected = cv2.imdecode(data, cv2.IMREAD_GRAYSCALE)
        np.testing.assert_array_equal(degrade(slices[0], "JPEG", severity), expected)


def test_pixelate_shows_the_mean_of_each_block():
    gray = np.random.default_rng(0).integers(0, 256, (8, 8), dtype=np.uint8)
    blocks = gray.reshape(4, 2, 4, 2).mean(axis=(1, 3)).repeat(2, axis=0).repeat(2, axis=1)
    assert np.abs(degrade(gray, "pixelate", 3) - blocks).max() <= 0.5


def test_lost_resolution_averages_what_is_finer_than_its_factor():
    fine = (np.indices((224, 224)).sum(axis=0) % 2 * 200).astype(np.uint8)
    assert np.abs(degrade(fine, "lost resolution", 2) - 100.0).max() <= 1  # aliasing would stripe
    ramp = np.repeat(np.arange(0, 224, dtype=np.uint8)[None], 224, axis=0)
    inner = np.s_[:, 16:-16]
    assert np.abs(degrade(ramp, "lost resolution", 5)[inner] - ramp[inner].astype(int)).max() <= 1


@pytest.mark.parametrize("side", [224, 448])
@pytest.mark.parametrize(("severity", "kernel"), [(1, 11), (5, 21)])
def test_blur_spreads_an_edge_by_opencvs_rule_and_the_images_side(side, severity, kernel):
    edge = np.zeros((side, side), np.uint8)
    edge[:, side // 2 :] = 255
    slope = np.diff(degrade(edge, "Gaussian blur", severity)[side // 2].astype(float))
    at = np.arange(side - 1) - (side / 2 - 1)
    spread = np.sqrt((slope * at**2).sum() / slope.sum())
    assert spread == pytest.approx((0.15 * kernel + 0.35) * side / 224, rel=0.04)


def test_rotation_turns_a_point_about_the_middle_by_its_angle():
    gray = np.full((225, 225), 9, np.uint8)
    gray[110:115, 182:187] = 250  # centre 72 pixels to the right of the middle
    signs = set()
    for seed in range(8):
        turned = degrade(gray, "rotation", 5, seed)
        y, x = np.mean(np.nonzero(turned > 128), axis=1) - 112
        assert x == pytest.approx(72 * np.cos(np.radians(15)), abs=0.5)
        assert abs(y) == pytest.approx(72 * np.sin(np.radians(15)), abs=0.5)
        assert turned.min() == 9  # what came in is background
        signs.add(np.sign(y))
    assert signs == {-1, 1}


# --- text and table ---------------------------------------------------------------------------


def test_text_stands_in_corners_more_of_them_with_severity(slices):
    gray = slices[0]
    corners = []
    for severity in SEVERITIES:
        written = degrade(gray, "burned-in text", severity)
        changed = written != gray
        assert (written >= gray).all()
        assert written[changed].max() > 200
        assert not changed[64:160].any()
        assert not changed[:, 108:116].any()
        quarters = [q.any() for half in np.split(changed, 2) for q in np.split(half, 2, axis=1)]
        corners.append(sum(quarters))
    assert corners == [1, 2, 3, 4, 4]


def test_text_differs_from_draw_to_draw():
    drawn = {degrade(FLAT, "burned-in text", 5, seed).tobytes() for seed in range(6)}
    assert len(drawn) == 6


@pytest.mark.parametrize("flesh", [120, 30])  # a usual and a dark window
@pytest.mark.parametrize("side", [224, 448])
def test_a_drawn_table_goes_black_and_the_person_stays(flesh, side):
    gray, inside = person((side, side), flesh=flesh, fat=flesh // 3)
    noise = np.random.default_rng(0).normal(0, 2, gray.shape)
    gray = np.where(inside, gray + noise, 0).clip(0, 255).round().astype(np.uint8)
    bare = gray.copy()
    unit = side / 224
    line = [(int(20 * unit), int(178 * unit)), (int(204 * unit), int(178 * unit))]
    cv2.line(gray, *line, 150, max(int(2 * unit), 1))
    for severity in SEVERITIES:
        degraded = degrade(gray, "couch removed", severity)
        assert (degraded[inside] == gray[inside]).mean() > 0.995, severity
        assert set(np.unique(degraded[~inside])) <= {0, 150}
    np.testing.assert_array_equal(degraded[~inside], bare[~inside])


def test_a_table_under_a_phantom_goes_black_and_the_phantom_stays(slices):
    for gray in slices:
        clear = degrade(gray, "couch removed", 5)
        table = clear.copy()
        table[218:221, 30:194] = 200
        again = degrade(table, "couch removed", 5)
        np.testing.assert_array_equal(again[216:], 0)
        assert (again == clear)[:210].mean() > 0.995
        assert 0.25 < body_mask(gray).mean() < 0.85
        assert np.median(gray[~body_mask(gray)]) == 0


def test_the_body_has_no_holes_and_is_one():
    gray, inside = person()
    cv2.circle(gray, (112, 100), 12, 0, -1)  # gas in the bowel
    cv2.circle(gray, (20, 200), 8, 200, -1)  # an arm, or a cable
    body = body_mask(gray)
    assert body[88:112, 100:124].all()
    assert not body[190:210, 10:30].any()
    assert (body == inside).mean() > 0.98


def test_skin_around_black_fat_stays_and_a_loop_of_the_table_below_it_goes():
    gray = np.zeros((224, 224), np.uint8)
    cv2.ellipse(gray, (112, 100), (70, 45), 0, 0, 360, 60, -1)
    cv2.ellipse(gray, (112, 100), (94, 67), 0, 0, 360, 40, 2)
    gray[28:40, 109:115] = 0  # a nick in the skin
    skin = gray == 40
    cv2.rectangle(gray, (30, 168), (194, 196), 150, 2)  # touches the skin
    body = body_mask(gray)
    assert body[skin].all()
    assert not body[180:].any()


def test_an_image_without_a_body_is_left_whole():
    gray = np.zeros((224, 224), np.uint8)
    cv2.circle(gray, (112, 112), 12, 200, -1)
    assert body_mask(gray).all()
    np.testing.assert_array_equal(degrade(gray, "couch removed", 5), gray)

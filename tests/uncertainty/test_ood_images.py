import numpy as np
import pytest

from kidneyct_lib.data import phantom
from kidneyct_lib.data.image_io import resize
from kidneyct_lib.data.phantom.lesions import CLASSES
from kidneyct_lib.uncertainty import ood_images

SLICES = np.random.default_rng(0).integers(0, 256, (9, 64, 64), dtype=np.uint8)
ALWAYS = {
    "blank",
    "photograph",
    "noise",
    "pattern",
    "text",
    "drawn chest",
    "inverted slice",
    "upside-down slice",
    "enlarged corner",
}


def make(plane=None, seed=3, count=5, classes=CLASSES):
    options = {"phantom_plane": plane, "classes": classes, "phantom_size": 64, "seed": seed}
    return ood_images.make(SLICES, count, **options)


@pytest.fixture(scope="module")
def pictures():
    return make()[0]


def test_every_kind_has_its_pictures(pictures):
    assert set(pictures) == ALWAYS | {"axial phantom", "coronal phantom"}
    assert make()[1] == {}
    for kind, images in pictures.items():
        assert images.shape == (5, 64, 64), kind
        assert images.dtype == np.uint8, kind


@pytest.mark.parametrize(("plane", "other"), [("axial", "coronal"), ("coronal", "axial")])
def test_a_phantom_study_finds_its_own_plane_in_distribution(plane, other):
    ood, known = make(plane)
    assert set(ood) == ALWAYS | {f"{other} phantom"}
    assert list(known) == ["other scanner"]
    assert (known["other scanner"].std(axis=(1, 2)) > 10).all()


def test_phantoms_in_distribution_show_the_studys_classes():
    own = ["Normal", "Stone"]
    cohort = {"classes": own, "patients_per_class": 2, "slices_per_patient": (2, 2)}
    drawn = phantom.generate(
        phantom.CohortSpec(**cohort, plane="coronal", scanner="B", seed=3, size=64)
    )
    expected = {label: [] for label in own}
    for one in drawn:
        expected[one.label].append(resize(one.image, 64))
    in_turn = [expected[label][k] for k in range(3) for label in own][:5]
    known = make("coronal", classes=own)[1]["other scanner"]
    np.testing.assert_array_equal(known, in_turn)
    ood = make("coronal", classes=own)[0]["axial phantom"]
    np.testing.assert_array_equal(ood, make("coronal")[0]["axial phantom"])


def test_the_same_seed_draws_the_same_pictures(pictures):
    again, other = make()[0], make(seed=4)[0]
    for kind, images in pictures.items():
        np.testing.assert_array_equal(images, again[kind])
    for kind in ("noise", "pattern", "text", "photograph", "axial phantom"):
        assert (other[kind] != again[kind]).any(), kind


def test_pictures_of_a_kind_differ(pictures):
    for kind, images in pictures.items():
        assert len(np.unique(images.reshape(5, -1), axis=0)) == 5, kind


def test_blank_pictures_go_from_black_to_white(pictures):
    blank = pictures["blank"]
    assert (blank == blank[:, :1, :1]).all()
    assert (blank[0].max(), blank[-1].min()) == (0, 255)


def test_corrupted_slices_come_evenly_from_the_given_ones(pictures):
    chosen = SLICES[[0, 2, 4, 6, 8]]
    np.testing.assert_array_equal(pictures["inverted slice"], 255 - chosen)
    np.testing.assert_array_equal(pictures["upside-down slice"], np.rot90(chosen, 2, (1, 2)))
    corner = pictures["enlarged corner"]
    np.testing.assert_array_equal(corner[1][0, 0], chosen[1][0, 0])
    assert abs(corner.mean() - chosen[:, :32, :32].mean()) < 2


def test_more_pictures_than_slices_repeat_them():
    assert make(count=20)[0]["inverted slice"].shape == (20, 64, 64)


def test_phantoms_show_all_classes_in_turn(pictures):
    first = pictures["axial phantom"][:4]
    assert len(np.unique(first.reshape(4, -1), axis=0)) == 4


def test_a_drawn_chest_has_black_lungs_beside_a_bright_spine(pictures):
    for image in pictures["drawn chest"]:
        assert image[32, 18:24].mean() < 60
        assert image[:, 24:40].max() > 180
        assert image[0].mean() < 30

"""The synthetic cohort: seeded, true to its labels, smooth within a patient, different between."""

import csv
from collections import Counter
from dataclasses import replace

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kidneyct_lib.core.errors import StudyError
from kidneyct_lib.data import datasets, phantom
from kidneyct_lib.data.phantom.anatomy import build_person
from kidneyct_lib.data.phantom.lesions import CLASSES, Site, draw_lesions
from kidneyct_lib.data.phantom.paint import Painter, Texture, View, rotation, solid

COHORT = {
    "classes": list(CLASSES),
    "patients_per_class": 3,
    "slices_per_patient": (4, 5),
    "seed": 7,
    "plane": "axial",
    "scanner": "A",
    "size": 256,
}
SMALL = COHORT | {"patients_per_class": 2, "slices_per_patient": (1, 3), "size": 64}
AXIAL = View(np.array([0, 1.4, 0]), np.array([1.4, 0, 0]), np.array([0, 0, 1.0]), np.zeros(3), 256)


def draw(**changes):
    return list(phantom.generate(phantom.CohortSpec(**COHORT | changes)))


def shrink(**changes):
    return list(phantom.generate(phantom.CohortSpec(**SMALL | changes)))


def same(slices, others):
    """Whether two lists of slices agree in everything."""
    return len(slices) == len(others) and all(
        (a.label, a.patient, a.number) == (b.label, b.patient, b.number)
        and np.array_equal(a.image, b.image)
        and np.array_equal(a.mask, b.mask)
        for a, b in zip(slices, others, strict=True)
    )


@pytest.fixture(scope="module")
def small():
    return shrink()


@pytest.fixture(scope="module")
def axial():
    return draw()


@pytest.fixture(scope="module")
def coronal():
    return draw(plane="coronal")


@pytest.fixture(scope="module")
def hounsfield():
    """Slices whose image holds Hounsfield values, before scanner and window."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(phantom.cohort, "develop", lambda rng, series, hu: hu)
        return draw()


def test_slices_are_what_their_fields_say(axial):
    assert all(one.image.shape == one.mask.shape == (256, 256) for one in axial)
    assert all(one.image.dtype == np.uint8 and one.mask.dtype == bool for one in axial)
    for label in CLASSES:
        numbers = [one.number for one in axial if one.label == label]
        assert numbers == list(range(1, len(numbers) + 1))
    sizes = Counter(one.patient for one in axial)
    assert len(sizes) == 12
    assert set(sizes.values()) <= {4, 5}


def test_the_same_seed_gives_the_same_slices_and_another_seed_others(small):
    assert same(small, shrink())
    for change in ({"seed": 8}, {"plane": "coronal"}, {"scanner": "B"}):
        changed = shrink(**change | {"patients_per_class": 1})
        assert not any(np.array_equal(a.image, b.image) for a in small for b in changed)


def test_a_patient_does_not_depend_on_the_others(small):
    more = shrink(patients_per_class=3)
    for label in CLASSES:
        first = [one for one in small if one.label == label]
        assert same(first, [one for one in more if one.label == label][: len(first)])
    assert same([one for one in small if one.label == "Stone"], shrink(classes=["Stone"]))


def test_a_lesion_class_shows_its_lesion_on_every_slice_and_normal_none(axial, coronal):
    for one in axial + coronal:
        assert one.mask.any() == (one.label != "Normal")
    area = {label: [o.mask.sum() for o in axial if o.label == label] for label in CLASSES}
    assert max(area["Stone"]) < min(area["Cyst"])
    assert min(area["Stone"]) >= 4


@settings(max_examples=15, deadline=None)
@given(
    st.integers(0, 2**63),
    st.sampled_from(("Cyst", "Stone", "Tumor")),
    st.sampled_from(("axial", "coronal")),
    st.sampled_from((2, 17)),
)
def test_no_seed_hides_a_lesion(seed, label, plane, count):
    one_patient = {"classes": [label], "patients_per_class": 1, "size": 128}
    slices = shrink(**one_patient, slices_per_patient=(count, count), seed=seed, plane=plane)
    assert len(slices) == count
    assert all(one.mask.any() for one in slices)


def body_of(hu):
    """Silhouette of the person: the largest piece that is not air, without its holes."""
    outlines, _ = cv2.findContours(np.uint8(hu > -500), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    body = np.zeros(hu.shape, np.uint8)
    cv2.drawContours(body, [max(outlines, key=cv2.contourArea)], -1, 1, cv2.FILLED)
    return body.astype(bool)


def test_lesions_lie_in_the_person_beside_the_spine(hounsfield):
    for one in hounsfield:
        body = body_of(one.image)
        assert not (one.mask & ~body).any()
        columns = np.flatnonzero(body.any(axis=0))
        offsets = np.abs(np.flatnonzero(one.mask.any(axis=0)) - columns.mean()) / np.ptp(columns)
        assert one.label == "Normal" or offsets.max() > 0.1


def inner_values(slices, label):
    """HU of the lesion's pixels that hold nothing else, one array per slice."""
    kernel = np.ones((3, 3), np.uint8)
    of_kind = [one for one in slices if one.label == label]
    masks = [cv2.erode(np.uint8(one.mask), kernel).astype(bool) for one in of_kind]
    return [one.image[mask] for one, mask in zip(of_kind, masks, strict=True) if mask.any()]


@pytest.mark.parametrize(
    ("label", "limits"), [("Cyst", (0, 20)), ("Stone", (400, 1500)), ("Tumor", (20, 100))]
)
def test_lesions_have_the_hounsfield_values_of_their_kind(hounsfield, label, limits):
    """Median values; single pixels at an edge may hold a part of the neighbour."""
    values = inner_values(hounsfield, label)
    assert len(values) >= 6
    for inside in values:
        assert limits[0] - 1 <= np.median(inside) <= limits[1] + 1


def test_windows_follow_the_class_where_a_shift_plants_them_and_nothing_else_does():
    plain, shifted = shrink(), shrink(window_shift=40)
    medians = {}
    for before, after in zip(plain, shifted, strict=True):
        np.testing.assert_array_equal(before.mask, after.mask)
        tissue = (before.image > 40) & (before.image < 200)
        shift = np.median(after.image[tissue].astype(int) - before.image[tissue])
        medians.setdefault(before.label, []).append(shift)
    # A window 40 HU higher shows the same tissue 40 * 255 / width darker, about 27 levels.
    by_class = np.array([np.mean(medians[label]) for label in CLASSES])
    np.testing.assert_allclose(np.diff(by_class), -27, atol=3)
    assert by_class.sum() == pytest.approx(0, abs=4)


def test_a_stone_is_a_few_pixels_wide_and_saturates_the_window(axial):
    for one in (one for one in axial if one.label == "Stone"):
        half = cv2.distanceTransform(np.uint8(one.mask), cv2.DIST_L2, 5).max()
        assert 1 <= half <= 6
        assert one.image[one.mask].max() >= 240


def lesion_alone(label, seed):
    """HU and mask of a patient's first lesion, whole and without the organs."""
    rng = np.random.default_rng(seed)
    person = build_person(rng)
    kidney = person.kidneys[0]
    site = Site(kidney, AXIAL.normal, kidney.center[2], 8.0)
    whole = replace(draw_lesions(rng, label, site, site)[0], inside=False)
    return Painter(person.trunk, [whole], AXIAL, Texture(rng, AXIAL)).paint(kidney.center[2])


def jaggedness(mask):
    """Length of the outline over that of a circle of the same area."""
    outlines, _ = cv2.findContours(np.uint8(mask), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    outline = max(outlines, key=cv2.contourArea)
    circle = 2 * np.sqrt(np.pi * cv2.contourArea(outline))
    return cv2.arcLength(outline, closed=True) / circle


def test_a_cyst_is_rounder_sharper_and_more_even_than_a_tumor():
    cysts, tumors = ([lesion_alone(label, s) for s in range(8)] for label in ("Cyst", "Tumor"))

    def median(measure, lesions):
        return np.median([measure(hu, mask) for hu, mask in lesions])

    def outline(hu, mask):
        return jaggedness(mask)

    def spread(hu, mask):
        return hu[cv2.erode(np.uint8(mask), np.ones((5, 5))) > 0].std()

    assert median(outline, cysts) < median(outline, tumors) - 0.02
    assert median(spread, cysts) < 1
    assert median(spread, tumors) > 8


def thumbnails(slices):
    small = [cv2.resize(one.image, (64, 64), interpolation=cv2.INTER_AREA) for one in slices]
    rows = np.stack(small).reshape(len(slices), -1).astype(float)
    return (rows - rows.mean(axis=1, keepdims=True)) / rows.std(axis=1, keepdims=True)


@pytest.mark.parametrize("plane", ["axial", "coronal"])
def test_slices_resemble_their_neighbours_and_not_other_patients(plane, request):
    slices = request.getfixturevalue(plane)
    rows = thumbnails(slices)
    likeness = rows @ rows.T / rows.shape[1]
    patients = np.array([one.patient for one in slices])
    together = patients[:, None] == patients
    neighbours = np.diagonal(likeness, 1)[np.diagonal(together, 1)]
    assert neighbours.min() > 0.94
    assert np.median(neighbours) > 0.97
    assert neighbours.max() < 1 - 1e-6
    assert likeness[~together].max() < 0.94


def test_a_coronal_slice_reaches_the_upper_and_lower_edge_and_an_axial_one_does_not(axial, coronal):
    def touches(one):
        return one.image[0].max() > 60 and np.mean(one.image[-1] > 60) > 0.2

    assert all(touches(one) for one in coronal)
    assert not any(touches(one) for one in axial)


def grain(slices):
    """Fine noise in gray levels: median size of the Laplacian in the middle of the person."""
    middles = [np.float32(one.image[90:150, 60:200]) for one in slices]
    return np.array([np.median(np.abs(cv2.Laplacian(middle, cv2.CV_32F))) for middle in middles])


def test_scanner_b_has_other_noise_and_another_table(axial):
    other = draw(scanner="B", patients_per_class=2, slices_per_patient=(1, 1))
    assert grain(other).min() > 2 * np.median(grain(axial))
    lowest = [np.median([o.image[-12:].mean() for o in group]) for group in (axial, other)]
    assert lowest[0] != pytest.approx(lowest[1], rel=0.1)


def test_painting_in_tiles_agrees_with_the_formula_on_every_pixel():
    rng = np.random.default_rng(3)
    trunk = build_person(rng).trunk
    center, radii, turn = np.array([31.0, -12, 4]), np.array([30.0, 17, 22]), rotation(20, -35, 50)
    slanted = View(
        2.1 * rotation(0, 0, 9)[:, 1], 2.1 * rotation(0, 0, 9)[:, 0], AXIAL.normal, center / 3, 96
    )
    texture = Texture(rng, slanted)
    far = solid([0, 0, 1e6], [1, 1, 1], 0)
    before, _ = Painter(trunk, [far], slanted, texture).paint(2.0)
    painted, mask = Painter(
        trunk, [far, solid(center, radii, 300, turn, lesion=True)], slanted, texture
    ).paint(2.0)
    expected = before.copy()
    for row, col in np.ndindex(96, 96):
        point = slanted.origin(2.0) + row * slanted.row + col * slanted.col
        radius = np.linalg.norm(turn.T @ (point - center) / radii)
        cover = np.clip(0.5 + (1 - radius) * radii.min() / 2.1, 0, 1)
        expected[row, col] += cover * (300 - expected[row, col])
    np.testing.assert_allclose(painted, expected, atol=0.1)
    assert 100 < mask.sum() < 1000


def files_of(folder):
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_the_written_cohort_holds_images_masks_and_patients(tmp_path, small):
    phantom.write_cohort(tmp_path / "cohort", phantom.CohortSpec(**SMALL))
    slices = small
    files = files_of(tmp_path / "cohort")
    assert len(files) == 2 * len(slices) + 1
    with (tmp_path / "cohort/patients.csv").open(newline="") as table:
        rows = list(csv.DictReader(table))
    assert [(r["path"], r["label"], r["number"], r["patient"]) for r in rows] == [
        (f"{o.label}/{o.label}- ({o.number}).png", o.label, str(o.number), o.patient)
        for o in slices
    ]
    for row, one in zip(rows, slices, strict=True):
        image, mask = (
            cv2.imread(str(tmp_path / "cohort" / folder / row["path"]), cv2.IMREAD_UNCHANGED)
            for folder in (".", "masks")
        )
        assert np.array_equal(image, one.image)
        assert np.array_equal(mask, one.mask * 255)


def test_writing_twice_gives_the_same_bytes_and_nothing_is_written_over(tmp_path):
    few = SMALL | {"classes": ["Tumor", "Normal"]}
    for name in ("one", "two"):
        phantom.write_cohort(tmp_path / "deep" / name, phantom.CohortSpec(**few))
    first = files_of(tmp_path / "deep/one")
    assert first == files_of(tmp_path / "deep/two")
    with pytest.raises(StudyError, match=r"one exists already"):
        phantom.write_cohort(tmp_path / "deep/one", phantom.CohortSpec(**few | {"seed": 1}))
    assert first == files_of(tmp_path / "deep/one")


def test_a_failure_leaves_nothing_behind(tmp_path, monkeypatch):
    develop, calls = phantom.cohort.develop, []

    def fail_at_third(*args):
        calls.append(1)
        if len(calls) == 3:
            raise OSError("disk full")
        return develop(*args)

    monkeypatch.setattr(phantom.cohort, "develop", fail_at_third)
    with pytest.raises(OSError, match="disk full"):
        phantom.write_cohort(tmp_path / "cohort", phantom.CohortSpec(**SMALL))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"classes": ["Cyst", "Gallstone"]}, r"'Gallstone'.*Cyst, Normal, Stone, Tumor"),
        ({"classes": []}, r"classes is \[\].*Cyst, Normal, Stone, Tumor"),
        ({"classes": "Cyst"}, r"classes is 'Cyst'.*list"),
        ({"classes": None}, r"classes is None.*list"),
        ({"classes": ["Cyst", "Cyst"]}, r"\['Cyst', 'Cyst'\].*once"),
        ({"patients_per_class": 0}, r"patients_per_class is 0.*1 or more"),
        ({"patients_per_class": 2.5}, r"patients_per_class is 2.5"),
        ({"slices_per_patient": (5, 4)}, r"slices_per_patient is \(5, 4\).*few <= many"),
        ({"slices_per_patient": (0, 4)}, r"\(0, 4\)"),
        ({"slices_per_patient": 4}, r"slices_per_patient is 4"),
        ({"seed": -1}, r"seed is -1"),
        ({"seed": True}, r"seed is True"),
        ({"plane": "sagittal"}, r"'sagittal'.*axial, coronal"),
        ({"scanner": "C"}, r"'C'.*A, B"),
        ({"size": 16}, r"size is 16.*from 64"),
    ],
)
def test_a_bad_value_is_named_before_anything_is_drawn_or_written(tmp_path, change, message):
    spec = phantom.CohortSpec(**COHORT | change)
    with pytest.raises(StudyError, match=message):
        phantom.generate(spec)
    with pytest.raises(StudyError, match=message):
        phantom.write_cohort(tmp_path / "cohort", spec)
    assert list(tmp_path.iterdir()) == []


def test_masks_are_read_where_they_were_written(tmp_path):
    shape = {"classes": ["Normal", "Stone"], "patients_per_class": 2, "slices_per_patient": (2, 2)}
    drawing = shape | {"seed": 1, "plane": "axial", "scanner": "A", "size": 64}
    phantom.write_cohort(tmp_path / "cohort", phantom.CohortSpec(**drawing))
    slices = list(phantom.generate(phantom.CohortSpec(**drawing)))
    paths = [f"{one.label}/{one.label}- ({one.number}).png" for one in slices]
    masks = datasets.lesion_masks(tmp_path / "cohort/masks", paths, 64)
    assert np.array_equal(masks, [one.mask for one in slices])
    smaller = datasets.lesion_masks(tmp_path / "cohort/masks", paths, 32)
    assert smaller.shape == (8, 32, 32)
    assert np.array_equal(smaller.any(axis=(1, 2)), [one.mask.any() for one in slices])
    assert datasets.lesion_masks(tmp_path / "cohort/masks", [], 32).shape == (0, 32, 32)

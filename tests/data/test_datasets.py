from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from kidneyct_lib.core.errors import StudyError
from kidneyct_lib.data import datasets, image_io, kaggle
from kidneyct_lib.data.phantom import CohortSpec

CLASSES = ["Normal", "Stone"]
COHORT = CohortSpec(CLASSES, 1, (1, 2), size=64, seed=3, plane="axial")


def test_a_cohort_is_made_once_per_its_settings(tmp_path):
    def obtain(**changes):
        return datasets.obtain("phantom", None, replace(COHORT, **changes), cache=tmp_path)

    folder = obtain()
    assert sorted(path.name for path in folder.iterdir() if path.name in CLASSES) == CLASSES
    made = next(folder.rglob("*.png")).stat().st_mtime_ns
    assert obtain() == folder
    assert next(folder.rglob("*.png")).stat().st_mtime_ns == made
    assert obtain(seed=4) != folder


def test_a_cohort_is_drawn_in_the_asked_plane_and_axial_where_none_is_asked(tmp_path):
    def patients(obtain, plane):
        given = {"classes": CLASSES, "phantom_patients": 1, "phantom_slices": [1, 2]}
        given |= {"phantom_size": 64, "seed": 3, "plane": plane, "phantom_window_shift": 0}
        folder = obtain("phantom", None, CohortSpec.of(given), cache=tmp_path)
        return folder, set(pd.read_csv(folder / "patients.csv")["patient"].str[:9])

    for obtain, scanner in ((datasets.obtain, "A"), (datasets.obtain_external, "B")):
        unrequested = patients(obtain, None)
        assert unrequested == patients(obtain, "axial")
        assert unrequested[1] == {f"axial-{scanner}-{name}"[:9] for name in CLASSES}
        assert patients(obtain, "coronal")[1] == {f"coronal-{scanner}"}


def test_a_folder_is_taken_as_it_is_and_asked_for_where_missing(tmp_path):
    def obtain(data):
        return datasets.obtain("folder", data, COHORT, cache=tmp_path)

    assert obtain("/some/where") == Path("/some/where")
    with pytest.raises(StudyError, match="DATA=path"):
        obtain(None)


def test_the_public_set_is_taken_from_where_it_lies(tmp_path, monkeypatch):
    def copy(folder):
        for name in CLASSES:
            (tmp_path / folder / "set/set" / name).mkdir(parents=True)
            (tmp_path / folder / "set/set" / name / f"{name}- (1).jpg").write_bytes(b"")
        return tmp_path / folder / "set/set"

    def obtain(data=None, **counts):
        cache, expected = tmp_path / "cache", {"Normal": 1, "Stone": 1} | counts
        return datasets.obtain("kaggle", data, COHORT, cache=cache, expected_counts=expected)

    monkeypatch.setattr(kaggle, "INPUT", tmp_path / "input")
    fetched, given = copy("cache/kaggle"), copy("given")
    assert obtain() == fetched
    newer = copy(f"input/datasets/{kaggle.DATASET}")
    assert obtain() == newer
    older = copy(f"input/{kaggle.DATASET.split('/')[1]}")
    assert obtain() == older
    assert obtain(str(tmp_path / "given")) == given
    with pytest.raises(StudyError, match="Stone has 1 images, not 2"):
        obtain(str(tmp_path / "given"), Stone=2)


def test_external_images_are_the_given_ones_or_the_phantoms_second_scanner(tmp_path):
    def obtain(source, external):
        return datasets.obtain_external(source, external, COHORT, cache=tmp_path)

    assert obtain("folder", "/some/where") == Path("/some/where")
    assert obtain("folder", None) is None
    other = obtain("phantom", None)
    own = datasets.obtain("phantom", None, COHORT, cache=tmp_path)
    images = [(folder / "Stone/Stone- (1).png").read_bytes() for folder in (other, own)]
    assert images[0] != images[1]


def test_lesions_are_known_of_phantoms_and_where_masks_are_given(tmp_path):
    folder = datasets.obtain("phantom", None, COHORT, cache=tmp_path)
    paths = ["Stone/Stone- (1).png", "Normal/Normal- (1).png"]
    own = datasets.mask_folder("phantom", folder, None)
    assert datasets.lesion_masks(own, paths, 32).any(axis=(1, 2)).tolist() == [True, False]
    assert datasets.mask_folder("folder", folder, None) is None
    unknown = datasets.lesion_masks(None, paths, 32)
    assert unknown.shape == (2, 32, 32)
    assert not unknown.any()
    assert datasets.mask_folder("folder", folder, str(tmp_path)) == tmp_path
    with pytest.raises(StudyError, match="MASKS=nowhere is no folder"):
        datasets.mask_folder("folder", folder, "nowhere")


def test_classes_with_a_lesion_are_those_with_a_mask_that_is_not_empty(tmp_path):
    folder = datasets.obtain("phantom", None, COHORT, cache=tmp_path)
    paths = ["Normal/Normal- (1).png", "Stone/Stone- (1).png"]
    table = pd.DataFrame({"path": paths, "label": ["Normal", "Stone"]})
    masks = datasets.mask_folder("phantom", folder, None)
    assert (masks / paths[0]).exists()
    assert datasets.masked_classes(masks, table, ["Tumor", "Stone", "Normal"]) == ["Stone"]
    assert datasets.masked_classes(None, table, ["Stone"]) == []


def test_a_mask_is_read_at_its_slices_path(tmp_path):
    mask = np.zeros((64, 64), np.uint8)
    mask[8:24, 40:48] = 255
    mask[60, 60] = 255  # a quarter of a pixel of the result
    (tmp_path / "Stone").mkdir()
    Image.fromarray(mask).save(tmp_path / "Stone/a (1).png")
    given = ["Stone/a (1).jpg", "Stone/a (2).jpg", "Normal/a (1).jpg"]
    lesions = datasets.lesion_masks(tmp_path, given, 32)
    expected = np.zeros((3, 32, 32), bool)
    expected[0, 4:12, 20:24] = True
    np.testing.assert_array_equal(lesions, expected)
    mask[8:24] = 0
    Image.fromarray(mask).save(
        tmp_path / "Stone/a (1).png"
    )  # too small for half a pixel: one stays
    assert np.argwhere(datasets.lesion_masks(tmp_path, given, 32)).tolist() == [[0, 30, 30]]
    (tmp_path / "Stone/a (1).png").write_bytes(b"no image")
    with pytest.raises(image_io.ImageError, match=r"a \(1\)\.png"):
        datasets.lesion_masks(tmp_path, given, 32)

from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from kidneyct_lib.core.errors import StudyError
from kidneyct_lib.data import datasets
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


def test_external_images_are_the_given_ones_or_the_phantoms_second_scanner(tmp_path):
    def obtain(source, external):
        return datasets.obtain_external(source, external, COHORT, cache=tmp_path)

    assert obtain("folder", "/some/where") == Path("/some/where")
    assert obtain("folder", None) is None
    other = obtain("phantom", None)
    own = datasets.obtain("phantom", None, COHORT, cache=tmp_path)
    images = [(folder / "Stone/Stone- (1).png").read_bytes() for folder in (other, own)]
    assert images[0] != images[1]


def test_lesions_are_known_of_phantoms_alone(tmp_path):
    folder = datasets.obtain("phantom", None, COHORT, cache=tmp_path)
    paths = ["Stone/Stone- (1).png", "Normal/Normal- (1).png"]
    assert datasets.lesion_masks("phantom", folder, paths, 32).any(axis=(1, 2)).tolist() == [
        True,
        False,
    ]
    unknown = datasets.lesion_masks("folder", folder, paths, 32)
    assert unknown.shape == (2, 32, 32)
    assert not unknown.any()

"""A planted shortcut is found, none is found where none is, and measures measure what they say."""

import cv2
import numpy as np
import pandas as pd
import pytest
from drawn_slices import slice_in

from kidneyct_lib.audit import shortcuts
from kidneyct_lib.data import catalog, phantom
from kidneyct_lib.evaluation.bootstrap import Bootstrap
from kidneyct_lib.splitting import cross_validation

CLASSES = ["Cyst", "Normal", "Stone", "Tumor"]
SAMPLING = Bootstrap(200, 0)


def measured(folder, shift):
    """Measures of a small cohort whose windows follow the class, or not."""
    spec = phantom.CohortSpec(CLASSES, 8, (2, 3), 96, seed=5, plane="axial", window_shift=shift)
    phantom.write_cohort(folder, spec)
    table = catalog.select(catalog.index_folder(folder, CLASSES).table, CLASSES, plane=None).table
    table["group"] = table.groupby("patient").ngroup()
    images = catalog.decode_all(folder, table, 96, folder.with_name(f"{folder.name}-cache"))
    return shortcuts.measure(folder, table, images), table


def scores(measures, table):
    tested = cross_validation.assign_folds(table, "patient", folds=4, seed=1)
    return shortcuts.predict(measures, table, CLASSES, tested, seed=0, bootstrap=SAMPLING)


@pytest.fixture(scope="module")
def planted(tmp_path_factory):
    return measured(tmp_path_factory.mktemp("planted") / "cohort", 60)


@pytest.fixture(scope="module")
def clean(tmp_path_factory):
    return measured(tmp_path_factory.mktemp("clean") / "cohort", 0)


@pytest.fixture(scope="module")
def planted_scores(planted):
    return scores(*planted)


def test_a_planted_window_is_found_on_new_patients(planted_scores):
    assert list(planted_scores) == [*shortcuts.KINDS, shortcuts.TOGETHER]
    assert planted_scores["display window"]["accuracy"] > 0.8
    assert planted_scores[shortcuts.TOGETHER]["accuracy"] > 0.7
    assert planted_scores["display window"]["accuracy_ci95"][0] > 0.5


def test_where_none_is_planted_none_is_found(clean):
    for kind, result in scores(*clean).items():
        assert result["accuracy"] < 0.45, kind
        assert result["accuracy_ci95"][0] < 0.3, kind


def test_the_table_has_a_row_for_each_kind(planted_scores):
    table = shortcuts.score_table(planted_scores)
    assert list(table["kind"]) == list(planted_scores)
    assert table["accuracy"].tolist() == [one["accuracy"] for one in planted_scores.values()]


def test_position_goes_from_0_to_1_within_each_group(clean):
    measures, table = clean
    for _, rows in table.groupby("group"):
        places = measures.loc[rows.index, "position"]
        assert places[rows["number"].idxmin()] == 0
        assert places[rows["number"].idxmax()] == 1


def measure_one(tmp_path, gray, suffix=".png", **options):
    """Measures of one image, written as a file."""
    path = tmp_path / f"a{suffix}"
    cv2.imwrite(str(path), gray, *options.values())
    row = {"path": path.name, "number": 1, "width": gray.shape[1], "height": gray.shape[0]}
    table = pd.DataFrame([row | {"group": 0}])
    return shortcuts.measure(tmp_path, table, gray[None]).iloc[0]


def test_marks_the_couch_and_borders_are_measured_apart(tmp_path):
    gray, _ = slice_in(40, 400)
    bare = measure_one(tmp_path, gray)
    marked = gray.copy()
    marked[4:12, 4:12] = 255
    couched = gray.copy()
    couched[122:124, 20:108] = 150
    padded = cv2.copyMakeBorder(gray[8:-8], 8, 8, 0, 0, cv2.BORDER_CONSTANT, value=0)
    assert measure_one(tmp_path, marked)["marks"] == pytest.approx(64 / 128**2, rel=0.1)
    assert measure_one(tmp_path, marked)["brightest_mark"] == 255
    assert measure_one(tmp_path, couched)["couch_area"] > bare["couch_area"] + 0.008
    assert measure_one(tmp_path, couched)["marks"] == bare["marks"]
    assert measure_one(tmp_path, padded)["black_border"] >= 16 / 128 - 0.02


def test_noise_sharpness_and_size_grow_with_what_they_name(tmp_path):
    quiet, loud = (measure_one(tmp_path, slice_in(40, 400, noise=n)[0]) for n in (4, 16))
    assert loud["noise"] > 2 * quiet["noise"]
    blurred = cv2.GaussianBlur(slice_in(40, 400, noise=4)[0], (0, 0), 3)
    assert measure_one(tmp_path, blurred)["sharpness"] < 0.7 * quiet["sharpness"]
    assert quiet["body_width"] == pytest.approx(0.84, abs=0.04)
    assert quiet["body_area"] == pytest.approx(np.pi * 0.42**2, abs=0.04)


def test_the_file_tells_its_compression(tmp_path):
    gray, _ = slice_in(40, 400)
    coarse, fine = (
        measure_one(tmp_path, gray, ".jpg", options=[cv2.IMWRITE_JPEG_QUALITY, quality])
        for quality in (30, 95)
    )
    assert coarse["quantization"] > 5 * fine["quantization"]
    assert coarse["bytes_per_pixel"] < fine["bytes_per_pixel"]
    assert measure_one(tmp_path, gray)["quantization"] == 0


def test_a_black_slice_has_finite_measures(tmp_path):
    assert np.isfinite(measure_one(tmp_path, np.zeros((64, 64), np.uint8))).all()

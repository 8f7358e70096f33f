"""What a finished run tells, and what is said where it can't."""

import numpy as np
import pytest
from explored_run import CLASSES, SHAPE, explored, level

from kidneyct_lib.core.errors import StudyError
from kidneyct_lib.data.image_folder import natural_key
from kidneyct_lib.explore.finished_run import FinishedRun
from kidneyct_lib.study.run_folder import Run


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    return FinishedRun(explored(tmp_path_factory.mktemp("run")).folder)


def test_each_slice_was_tested_once_under_each_split(finished):
    for scheme in ("slice", "patient"):
        rows = finished.tested(scheme)
        assert sorted(rows["path"]) == sorted(finished.catalog.index)
        assert set(rows["stage"]) == {2}


def test_a_series_is_right_where_its_slices_mean_says_so(finished):
    rows = finished.tested("slice")
    for series in finished.series("slice").itertuples():
        own = rows[rows["group"] == series.group]
        mean = own[["p_Normal", "p_Stone"]].to_numpy().mean(axis=0)
        assert series.n == len(own)
        assert series.right == (CLASSES[mean.argmax()] == series.label)


def test_slices_of_a_series_stand_in_natural_order(finished):
    told_apart = 0
    for one in finished.series("patient").itertuples():
        paths = list(finished.slices("patient", one.group, one.label)["path"])
        assert len(paths) == one.n > 1
        assert paths == sorted(paths, key=natural_key)
        assert {finished.catalog.loc[path, "group"] for path in paths} == {one.group}
        told_apart += paths != sorted(paths)
    assert told_apart  # 9.png before 10.png


def test_pictures_and_lesions_have_the_shape_of_the_file(finished):
    path = finished.catalog.query("label == 'Stone'").index[3]
    number = list(finished.catalog.index).index(path)
    np.testing.assert_array_equal(finished.picture(path), np.full(SHAPE, level(number)))
    expected = np.zeros(SHAPE, bool)
    expected[4:8, 20:28] = True
    assert (finished.lesion(path) != expected).mean() < 0.03  # it was resized to a square and back
    assert not finished.lesion(finished.catalog.index[0]).any()


def test_class_maps_cover_the_slice(finished):
    shown = finished.class_map(finished.catalog.index[5], "Stone")
    assert shown.shape == SHAPE
    np.testing.assert_allclose(shown, 1, rtol=1e-5)  # of one gray level everywhere


def test_what_is_no_finished_run_is_refused(tmp_path):
    with pytest.raises(StudyError, match="holds no run"):
        FinishedRun(tmp_path / "nowhere")
    run = explored(tmp_path)
    run.begin("10_deployment", {})
    with pytest.raises(StudyError, match=r"not finished \(10_deployment\)"):
        FinishedRun(run.folder)


def test_a_run_that_has_not_trained_is_refused(tmp_path):
    run = Run(tmp_path / "run")
    run.begin("01_download", {})
    run.finish()
    with pytest.raises(StudyError, match="04_two_stage_training"):
        FinishedRun(run.folder)


def test_a_run_without_export_says_which_notebook_writes_it(tmp_path):
    finished = FinishedRun(explored(tmp_path, export=False).folder)
    assert "run notebook 10_deployment" in finished.no_model()
    with pytest.raises(StudyError, match="10_deployment"):
        finished.class_map(finished.catalog.index[0], "Stone")


def test_images_that_are_gone_are_told(tmp_path):
    finished = FinishedRun(explored(tmp_path).folder)
    path = finished.catalog.index[0]
    (tmp_path / "data" / path).unlink()
    with pytest.raises(StudyError, match=r"no such file.*make reproduce"):
        finished.picture(path)


def test_nothing_is_written(tmp_path):
    run = explored(tmp_path)
    files = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    finished = FinishedRun(run.folder)
    finished.series("patient")
    finished.answer(finished.catalog.index[0])
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == files

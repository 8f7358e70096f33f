"""A series is answered by the mean of its slices, in the order of their positions."""

import io

import numpy as np
import pytest
from dicom_files import HU, NO_RESCALE, RESCALE, STORED, dicom
from PIL import Image

from kidneyct_lib.data.image_io import ImageError
from kidneyct_lib.deployment import answer_csv, series

AXIAL = [1, 0, 0, 0, 1, 0]


class ByBrightness:
    """A model that takes a picture for a stone by the share of white in it."""

    classes = ("Normal", "Stone")
    name = "made up"

    def say(self, rgb):
        stone = float((rgb == 255).mean())
        flags = {"out_of_distribution": stone > 0.9, "low_confidence": 0.4 < stone < 0.6}
        return np.array([1 - stone, stone]), flags


def of_white(share):
    """A slice as stored, of which a share is bone, and its file's tags."""
    values = np.full((20, 20), 45 + 1024, np.uint16)
    values[:2] = 24  # air
    values.ravel()[40 : 40 + round(400 * share)] = 3000
    return values


@pytest.fixture
def folder(tmp_path):
    """Two DICOM series among one another, a file of none, clutter and a sub-folder of pictures."""
    for number, (uid, z, share) in enumerate(
        [("1.5", 30, 0.42), ("1.9", -10, 0.0), ("1.5", -20, 0.1), ("1.5", 5, 0.3), ("1.9", 0, 0.25)]
    ):
        tags = {"SeriesInstanceUID": uid, "ImagePositionPatient": [1, 2, z]}
        data = dicom(of_white(share), **RESCALE, **tags, ImageOrientationPatient=AXIAL)
        (tmp_path / f"IM{number}").write_bytes(data)
    (tmp_path / "notes.txt").write_text("no image")
    (tmp_path / ".DS_Store").write_bytes(b"\0\0\0\1Bud1")
    (tmp_path / "shots").mkdir()
    for number in (10, 2):
        gray = np.full((8, 8), 255 if number == 2 else 0, np.uint8)
        Image.fromarray(gray).save(tmp_path / "shots" / f"shot {number}.png")
    return tmp_path


def test_slices_are_sorted_into_series_by_position(folder):
    found = {one.uid: [path.name for path in one.paths] for one in series.find_series(folder)}
    assert found == {
        "1.5": ["IM2", "IM3", "IM0"],
        "1.9": ["IM1", "IM4"],
        "": ["shot 2.png", "shot 10.png"],
    }


def test_without_a_position_the_instance_number_orders(tmp_path):
    for name, number in (("a", 3), ("b", 1), ("c", 2)):
        data = dicom(STORED, **RESCALE, SeriesInstanceUID="1.5", InstanceNumber=number)
        (tmp_path / name).write_bytes(data)
    (one,) = series.find_series(tmp_path)
    assert [path.name for path in one.paths] == ["b", "c", "a"]


def test_the_answer_is_the_mean_of_the_slices(folder):
    answer = next(series.answers(ByBrightness(), folder))
    assert answer["uid"] == "1.5"
    assert answer["slices"] == 3
    assert answer["probabilities"] == pytest.approx({"Normal": 0.7267, "Stone": 0.2733}, abs=1e-4)
    assert answer["label"] == "Normal"
    shares = {folder.joinpath(name).as_posix(): p for name, p in (("IM2", 0.9), ("IM3", 0.7))}
    assert list(answer["most"].items())[:2] == list(shares.items())
    assert (answer["out_of_distribution"], answer["low_confidence"]) == (0, 1)
    assert "warnings" not in answer
    assert "errors" not in answer


def test_localizers_and_damaged_files_have_no_part_and_are_named(tmp_path):
    series_tags = RESCALE | {"SeriesInstanceUID": "1.5"}
    (tmp_path / "a").write_bytes(dicom(of_white(0.25), **series_tags))
    localizer = ["ORIGINAL", "PRIMARY", "LOCALIZER"]
    (tmp_path / "b").write_bytes(dicom(of_white(0.4), **series_tags, ImageType=localizer))
    (tmp_path / "c").write_bytes(dicom(STORED, **NO_RESCALE, SeriesInstanceUID="1.5"))
    (answer,) = series.answers(ByBrightness(), tmp_path)
    assert answer["slices"] == 1
    assert answer["probabilities"]["Stone"] == 0.25
    assert answer["warnings"] == {"this is a localizer, not a slice": 1}
    assert list(answer["errors"]) == [str(tmp_path / "c")]
    assert "rescale" in answer["errors"][str(tmp_path / "c")]


def test_a_series_without_a_slice_and_a_folder_without_an_image_say_so(tmp_path):
    (empty,) = series.answers(ByBrightness(), tmp_path)
    assert "no image" in empty["error"]
    (none,) = series.answers(ByBrightness(), tmp_path / "missing")
    assert "no folder" in none["error"]
    (tmp_path / "a.dcm").write_bytes(dicom(HU, **NO_RESCALE))
    (bad,) = series.answers(ByBrightness(), tmp_path)
    assert "none of its 1 files" in bad["error"]
    assert "rescale" in bad["error"]
    with pytest.raises(ImageError):
        series.find_series(tmp_path / "a.dcm")


def test_comma_separated_answers_have_one_column_per_class_and_compute_nothing(folder):
    stream = io.StringIO()
    write = answer_csv.writer(ByBrightness.classes, stream)
    for answer in series.answers(ByBrightness(), folder):
        write(answer)
    write({"path": "=1+1", "error": "bad, worse", "model": "made up"})
    head, first, *_, last = stream.getvalue().splitlines()
    columns = head.split(",")
    assert columns[:7] == ["path", "series", "uid", "slices", "label", "p_Normal", "p_Stone"]
    assert first.split(",")[2:7] == ["1.5", "3", "Normal", "0.726667", "0.273333"]
    assert last.startswith("'=1+1,")
    assert '"bad, worse"' in last

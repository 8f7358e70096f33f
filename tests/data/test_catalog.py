import hashlib
import os
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest

from kidneyct_lib.data import catalog, image_io
from kidneyct_lib.data.catalog import (
    CatalogError,
    check_counts,
    decode_all,
    file_number,
    index_folder,
    of_both_parts,
    of_two_classes,
    select,
)

CLASSES = ("Cyst", "Normal")


def write_image(path, seed, shape=(20, 30)):
    """Write a PNG of seeded noise; the same seed gives the same bytes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)
    path.write_bytes(cv2.imencode(".png", pixels)[1].tobytes())
    return pixels


@pytest.fixture
def cohort(tmp_path):
    """Three images of each class, whose numbers sort otherwise as text."""
    folder = tmp_path / "data"
    for seed, (label, number) in enumerate((c, n) for c in CLASSES for n in (10, 2, 1)):
        write_image(folder / label / f"{label}- ({number}).png", seed)
    return folder


# --- the table ---


def test_one_row_an_image_in_natural_order(cohort):
    table = index_folder(cohort, CLASSES).table
    assert table["path"].tolist() == [f"{c}/{c}- ({n}).png" for c in CLASSES for n in (1, 2, 10)]
    assert table["label"].tolist() == ["Cyst"] * 3 + ["Normal"] * 3
    assert table["number"].tolist() == [1, 2, 10] * 2
    assert (table["width"] == 30).all()
    assert (table["height"] == 20).all()
    digests = [hashlib.sha256((cohort / path).read_bytes()).hexdigest() for path in table["path"]]
    assert table["sha256"].tolist() == digests
    assert (table["duplicate_of"] == "").all()
    assert "patient" not in table


def test_rows_follow_the_order_of_the_classes(cohort):
    labels = index_folder(cohort, CLASSES[::-1]).table["label"]
    assert labels.tolist() == ["Normal"] * 3 + ["Cyst"] * 3


def test_order_does_not_depend_on_which_thread_ends_first(cohort, monkeypatch):
    expected = index_folder(cohort, CLASSES)
    read = image_io.read_gray
    delays = iter([0.05, 0.0, 0.04, 0.01, 0.03, 0.02])

    def slow(*args, **kwargs):
        time.sleep(next(delays))
        return read(*args, **kwargs)

    monkeypatch.setattr(image_io, "read_gray", slow)
    pd.testing.assert_frame_equal(index_folder(cohort, CLASSES).table, expected.table)


def test_each_file_is_decoded_once(cohort, monkeypatch):
    calls = []
    read = image_io.read
    monkeypatch.setattr(image_io, "read", lambda data: calls.append(data) or read(data))
    index_folder(cohort, CLASSES)
    assert len(calls) == len(set(calls)) == 6


def test_identical_files_point_to_the_first_of_them(cohort):
    write_image(cohort / "Normal" / "copy (3).png", seed=0)
    write_image(cohort / "Normal" / "copy (4).png", seed=0)
    table = index_folder(cohort, CLASSES).table.set_index("path")
    first = table.index[table["sha256"] == table.loc["Normal/copy (3).png", "sha256"]][0]
    assert first.startswith("Cyst/")
    duplicates = table.loc[table["duplicate_of"] != "", "duplicate_of"]
    assert duplicates.to_dict() == {"Normal/copy (3).png": first, "Normal/copy (4).png": first}


def test_unreadable_images_are_listed_with_the_reason_and_left_out(cohort):
    whole = (cohort / "Cyst" / "Cyst- (1).png").read_bytes()
    (cohort / "Cyst" / "cut (5).png").write_bytes(whole[:-50])
    (cohort / "Cyst" / "empty.jpg").write_bytes(b"")
    (cohort / "Normal" / "words.png").write_text("no image")
    (cohort / "Normal" / "lost.png").symlink_to(cohort / "nowhere.png")
    result = index_folder(cohort, CLASSES)
    assert len(result.table) == 6
    reasons = result.rejected.set_index("path")["reason"]
    assert sorted(reasons.index) == [
        "Cyst/cut (5).png",
        "Cyst/empty.jpg",
        "Normal/lost.png",
        "Normal/words.png",
    ]
    for path, word in zip(sorted(reasons.index), ["cut", "empty", "no such", "not a"], strict=True):
        assert word in reasons[path]


def test_other_files_and_folders_are_counted_and_what_belongs_is_not(cohort):
    (cohort / "readme.txt").write_text("words")
    (cohort / "Tumor").mkdir()
    (cohort / "Cyst" / "notes.csv").write_text("a,b")
    (cohort / "Cyst" / "older" / "oldest").mkdir(parents=True)
    for hidden in (".DS_Store", "Thumbs.db", "._Cyst- (1).png"):
        (cohort / "Cyst" / hidden).write_text("x")
    write_image(cohort / "masks" / "Cyst" / "Cyst- (1).png", 0)
    result = index_folder(cohort, CLASSES)
    assert (result.ignored, len(result.table), len(result.rejected)) == (4, 6, 0)


def test_an_image_is_known_by_its_content_where_its_name_says_nothing(cohort):
    (cohort / "Cyst" / "Cyst- (1).png").rename(cohort / "Cyst" / "slice 7")
    assert "Cyst/slice 7" in index_folder(cohort, CLASSES).table["path"].tolist()


# --- names ---


@pytest.mark.parametrize(
    ("name", "number"),
    [
        ("Cyst- (12).jpg", 12),
        ("series 3 slice 0041.png", 41),
        ("none.png", -1),
        ("scan.jp2", -1),
        (f"{2**63 - 1}.png", 2**63 - 1),
        (f"{2**63}.png", -1),
    ],
)
def test_number_is_the_last_of_the_name(name, number):
    assert file_number(name) == number


# --- folders that can't be indexed ---


def test_thinning_spreads_over_each_series():
    table = pd.DataFrame({"label": ["a"] * 9 + ["b"] * 3, "group": [1] * 7 + [2] * 5})
    table["number"] = [7, 6, 5, 4, 3, 2, 1, 1, 2, 1, 2, 3]
    kept = catalog.thinned(table, 3)
    assert kept["number"].tolist() == [
        7,
        4,
        1,
        1,
        2,
        1,
        2,
        3,
    ]  # first, middle and last of the first
    assert kept.index.tolist() == [0, 3, 6, 7, 8, 9, 10, 11]
    assert catalog.thinned(table, None) is table


def test_missing_folder_is_named(tmp_path):
    with pytest.raises(CatalogError, match=r"absent is not a folder.*Cyst, Normal"):
        index_folder(tmp_path / "absent", CLASSES)


def test_missing_class_is_named_with_what_is_there_and_a_near_match(cohort):
    (cohort / "Cyst").rename(cohort / "cysts")
    with pytest.raises(
        CatalogError, match=r"class Cyst \(sub-folders: Normal, cysts\).*Is 'cysts' the class Cyst"
    ):
        index_folder(cohort, CLASSES)


def test_class_without_images_is_named_with_the_first_reason(cohort):
    for file in (cohort / "Normal").iterdir():
        file.unlink()
    with pytest.raises(CatalogError, match=r"Normal holds no readable image.*directly into it"):
        index_folder(cohort, CLASSES)
    (cohort / "Normal" / "a.png").write_bytes(b"")
    with pytest.raises(CatalogError, match=r"rejected files is Normal/a\.png: the file is empty"):
        index_folder(cohort, CLASSES)


def test_classes_are_found_beneath_wrapping_folders(cohort, tmp_path):
    deep = tmp_path / "outer" / "CT-KIDNEY" / "CT-KIDNEY"
    deep.parent.mkdir(parents=True)
    cohort.rename(deep)
    write_image(tmp_path / "outer" / "__MACOSX" / "Cyst" / "a.png", 0)
    write_image(tmp_path / "outer" / "__MACOSX" / "Normal" / "a.png", 0)
    table = index_folder(tmp_path / "outer", CLASSES).table
    assert table["path"][0] == "CT-KIDNEY/CT-KIDNEY/Cyst/Cyst- (1).png"
    assert (tmp_path / "outer" / table["path"][0]).exists()


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        (("left", "right"), r"2 times \(left, right\); give one"),
        (("train", "test", "third"), r"3 times \(test, third, train\); give one"),
        (("old/train", "new/test"), r"2 times \(new/test, old/train\)"),
    ],
)
def test_classes_beneath_several_folders_are_refused(cohort, tmp_path, parts, message):
    for part in parts:
        for label in CLASSES:
            write_image(tmp_path / "both" / part / label / "1.png", 0)
    with pytest.raises(CatalogError, match=message):
        index_folder(tmp_path / "both", CLASSES)


def test_an_incomplete_folder_is_not_replaced_by_a_complete_one_beneath(cohort):
    for label in (*CLASSES, "Tumor"):
        write_image(cohort / "old" / label / "1.png", 0)
    with pytest.raises(CatalogError, match="class Tumor"):
        index_folder(cohort, (*CLASSES, "Tumor"))


# --- patients ---


def test_patients_are_taken_from_the_table_beside_the_classes(cohort, tmp_path):
    rows = [f"{c}/{c}- ({n}).png,{c},{n},00{n}" for c in CLASSES for n in (10, 1, 2)]
    (cohort / "patients.csv").write_text("\n".join(["path,label,number,patient", *rows]) + "\n")
    assert index_folder(cohort, CLASSES).table["patient"].tolist() == ["001", "002", "0010"] * 2
    (tmp_path / "outer").mkdir()
    cohort.rename(tmp_path / "outer" / "data")
    table = index_folder(tmp_path / "outer", CLASSES).table
    assert table["patient"].tolist() == ["001", "002", "0010"] * 2


def test_a_sub_folder_of_a_class_is_a_patient(cohort):
    for name in ("p7/b (1).png", "p7/a (1).png", "CYST/c.png"):
        write_image(cohort / "Cyst" / name, 60)
    table = index_folder(cohort, CLASSES).table.set_index("path")
    assert len(table) == 9
    assert table.loc[["Cyst/p7/a (1).png", "Cyst/p7/b (1).png"], "patient"].tolist() == ["p7"] * 2
    others = table.drop(["Cyst/p7/a (1).png", "Cyst/p7/b (1).png"])
    assert (others["patient"] == "").all()  # not told, also in a folder called as its class
    numbers = [path for path in table.index if path.startswith("Cyst")]
    assert numbers[-3:] == ["Cyst/CYST/c.png", "Cyst/p7/a (1).png", "Cyst/p7/b (1).png"]


def test_a_table_of_patients_comes_before_sub_folders(cohort):
    write_image(cohort / "Cyst" / "p7/b.png", 60)
    paths = [p.relative_to(cohort).as_posix() for p in cohort.rglob("*.png")]
    lines = ["path,patient", *(f"{path},x" for path in paths)]
    (cohort / "patients.csv").write_text("\n".join(lines))
    assert set(index_folder(cohort, CLASSES).table["patient"]) == {"x"}


# --- counts ---


def test_counts_are_compared_with_the_known_ones(cohort):
    table = index_folder(cohort, CLASSES).table
    check_counts(table, {"Normal": 3, "Cyst": 3})
    with pytest.raises(
        CatalogError, match=r"found 6 images \(Cyst 3, Normal 3\), expected 1,237 .*Cyst 1,234"
    ):
        check_counts(table, {"Cyst": 1234, "Normal": 3})
    with pytest.raises(CatalogError, match="Stone 1"):
        check_counts(table, {"Cyst": 3, "Normal": 3, "Stone": 1})


# --- the study's images ---


def trunk(path, plane, seed):
    """Write an image that is measured to be of a plane; the seed makes its bytes its own."""
    path.parent.mkdir(parents=True, exist_ok=True)
    image = np.full((96, 96), 5, np.uint8)
    image[slice(0, 96) if plane == "coronal" else slice(10, 86), 19:77] = 120
    image[48, 48] = 100 + seed
    path.write_bytes(cv2.imencode(".png", image)[1].tobytes())


@pytest.fixture
def planes(tmp_path):
    """Of each class, numbers 1 to 4, the odd ones coronal and the even ones axial."""
    for seed, (label, number) in enumerate((c, n) for c in CLASSES for n in (1, 2, 3, 4)):
        plane = "coronal" if number % 2 else "axial"
        trunk(tmp_path / "data" / label / f"{label}- ({number}).png", plane, seed)
    return tmp_path / "data"


@pytest.mark.parametrize(("plane", "numbers"), [("coronal", [1, 3]), ("axial", [2, 4])])
def test_only_slices_of_the_asked_plane_are_taken(planes, plane, numbers):
    result = index_folder(planes, CLASSES).table
    chosen = select(result, CLASSES, plane=plane)
    assert chosen.left_out == {"other plane": 4}
    assert chosen.table["number"].tolist() == numbers * 2
    assert set(chosen.table["plane"]) == {plane}
    assert chosen.table.index.tolist() == [0, 1, 2, 3]
    assert list(chosen.table) == list(result)


def test_without_a_plane_every_slice_is_taken_and_no_rule_is_told(planes):
    result = index_folder(planes, CLASSES).table
    chosen = select(result, CLASSES, plane=None)
    assert chosen.left_out == {}
    pd.testing.assert_frame_equal(chosen.table, result)


def test_a_class_without_a_slice_of_the_plane_is_named(planes):
    for number in (1, 3):
        (planes / "Normal" / f"Normal- ({number}).png").unlink()
    result = index_folder(planes, CLASSES).table
    with pytest.raises(CatalogError, match=r"None of the 2 images of the class Normal is coronal"):
        select(result, CLASSES, plane="coronal")
    assert len(select(result, CLASSES, plane="axial").table) == 4


def test_training_copies_of_test_slices_are_left_out(tmp_path):
    places = {"Train/Cyst": [1, 2, 3], "Train/Normal": [4, 5, 6, 2]}
    places |= {"Test/Cyst": [11, 3, 3], "Test/Normal": [12, 5, 1]}
    for place, seeds in places.items():
        for number, seed in enumerate(seeds, 1):
            write_image(tmp_path / place / f"{number}.png", seed)
    result = index_folder(tmp_path, CLASSES).table
    assert result.set_index("path").loc["Test/Cyst/2.png", "duplicate_of"] == "Train/Cyst/3.png"
    table, left_out = select(result, CLASSES, plane=None)
    assert left_out == {"training copy of a test image": 3}  # of seeds 1 (another class), 3, 5
    kept = table.groupby("part")["path"].apply(list)
    assert kept["train"] == ["Train/Cyst/2.png", *(f"Train/Normal/{n}.png" for n in (1, 3, 4))]
    assert kept["test"] == result.loc[result["part"] == "test", "path"].tolist()
    assert table.groupby("sha256")["part"].nunique().max() == 1
    duplicates = table.loc[table["duplicate_of"] != ""].set_index("path")["duplicate_of"]
    assert duplicates.to_dict() == {
        "Test/Cyst/3.png": "Test/Cyst/2.png",
        "Train/Normal/4.png": "Train/Cyst/2.png",
    }


# --- the image store ---


def literal_images(folder, table, size):
    return np.stack([image_io.resize(image_io.read_gray(folder / p), size) for p in table["path"]])


def test_decoded_images_follow_the_rows_and_are_decoded_once_ever(cohort, tmp_path, monkeypatch):
    write_image(cohort / "Normal" / "copy (3).png", seed=0)
    table = index_folder(cohort, CLASSES).table.sample(frac=1, random_state=0)
    expected = literal_images(cohort, table, 16)
    decoded = decode_all(cohort, table, 16, tmp_path / "cache")
    assert decoded.dtype == np.uint8
    np.testing.assert_array_equal(decoded, expected)

    monkeypatch.setattr(image_io, "read_gray", None)
    again = decode_all(cohort, table[::-1], 16, tmp_path / "cache")
    np.testing.assert_array_equal(again, expected[::-1])


def test_another_size_is_another_store(cohort, tmp_path):
    table = index_folder(cohort, CLASSES).table
    decode_all(cohort, table, 16, tmp_path)
    np.testing.assert_array_equal(
        decode_all(cohort, table, 8, tmp_path), literal_images(cohort, table, 8)
    )


def test_a_changed_decoder_never_serves_old_pixels(cohort, tmp_path, monkeypatch):
    table = index_folder(cohort, CLASSES).table
    decode_all(cohort, table, 16, tmp_path)
    monkeypatch.setattr(catalog, "_DECODERS", ("catalog.py",))  # another decoder's code
    monkeypatch.setattr(image_io, "read_gray", lambda data: np.full((4, 4), 7, np.uint8))
    assert (decode_all(cohort, table, 16, tmp_path) == 7).all()


def test_an_image_that_changed_or_went_since_is_named(cohort, tmp_path):
    table = index_folder(cohort, CLASSES).table
    write_image(cohort / "Cyst" / "Cyst- (2).png", seed=99)
    with pytest.raises(CatalogError, match=r"Cyst- \(2\)\.png has changed"):
        decode_all(cohort, table, 16, tmp_path / "cache")
    (cohort / "Cyst" / "Cyst- (2).png").unlink()
    with pytest.raises(CatalogError, match=r"Cyst- \(2\)\.png can't be read"):
        decode_all(cohort, table, 16, tmp_path / "cache")


def test_files_of_the_study_are_left_out_of_another_set(tmp_path):
    for number, (label, seed) in enumerate([("Cyst", 1), ("Cyst", 2), ("Normal", 3)]):
        write_image(tmp_path / label / f"{number}.png", seed)
    table = index_folder(tmp_path, CLASSES).table
    own = table["sha256"].iloc[[0, 2]]
    chosen, left_out = select(table, CLASSES, plane=None, but=own)
    assert left_out == {"image of the study itself": 2}
    assert chosen["path"].tolist() == ["Cyst/1.png"]
    with pytest.raises(CatalogError, match="All of these images are the study's own"):
        select(table, CLASSES, plane=None, but=table["sha256"])


def test_a_file_in_two_classes_is_named(tmp_path):
    for path, seed in {"Cyst/1.png": 1, "Cyst/2.png": 2, "Cyst/3.png": 2}.items():
        write_image(tmp_path / path, seed)
    write_image(tmp_path / "Normal/9.png", 2)
    table = index_folder(tmp_path, CLASSES).table
    assert of_two_classes(table) == ["Cyst/2.png and Cyst/3.png and Normal/9.png"]
    assert of_two_classes(table[table["label"] == "Cyst"]) == []


@pytest.mark.skipif(sys.platform == "darwin", reason="its file names are text")
def test_a_name_that_is_no_text_is_rejected_by_name(cohort):
    good = cohort / "Cyst/Cyst- (1).png"
    Path(os.fsdecode(os.fsencode(cohort / "Cyst") + b"/scan \xff.png")).write_bytes(
        good.read_bytes()
    )
    result = index_folder(cohort, CLASSES)
    assert result.rejected["path"].tolist() == ["Cyst/scan \\udcff.png"]
    assert "rename" in result.rejected["reason"].iloc[0]
    assert len(result.table) == 6


def test_known_patients_in_both_given_parts_are_counted_by_name():
    table = pd.DataFrame(
        {
            "part": ["train", "test", "train", "test", "train", "test"],
            "patient": ["P1", "P1", "P1", "P2", "", ""],
        }
    )
    assert of_both_parts(table) == {"P1": 3}
    assert of_both_parts(table.drop(columns="patient")) == {}

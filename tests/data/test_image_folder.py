"""How a folder may be laid out: wrapping folders, other names of class folders, given parts."""

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kidneyct_lib.data.catalog import CatalogError, index_folder
from kidneyct_lib.data.image_folder import find_layout, natural_key

CLASSES = ("Normal", "Stone")
OTHER_NAME = {"Kidney_stone": "Stone"}


def write_image(path, seed):
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (8, 8), dtype=np.uint8)
    path.write_bytes(cv2.imencode(".png", pixels)[1].tobytes())


@pytest.fixture
def public(tmp_path):
    """The layout of the public coronal set: Train and Test, each with Normal and Kidney_stone."""
    folder = tmp_path / "set"
    numbers = {"Train": (10, 2), "Test": (1,)}
    for part in numbers:
        for name in ("Normal", "Kidney_stone"):
            for number in numbers[part]:
                seed = 100 * len(part) + 20 * len(name) + number
                write_image(folder / part / name / f"1.3.46.{number}.png", seed)
    return folder


# --- names ---


@given(
    st.lists(st.integers(0, 10**6), unique=True), st.sampled_from(["Cyst- ({}).jpg", "{}", "a{}b2"])
)
def test_names_that_differ_in_a_number_are_ordered_by_it(numbers, form):
    names = [form.format(number) for number in numbers]
    assert sorted(names, key=natural_key) == [form.format(number) for number in sorted(numbers)]


@given(st.lists(st.text("aB1 0-(²٣", max_size=6), unique=True))
def test_natural_order_is_total_for_any_names(names):
    assert sorted(sorted(names), key=natural_key) == sorted(reversed(names), key=natural_key)


# --- other names of class folders ---


def test_a_folder_of_another_name_holds_its_class(public):
    table = index_folder(public / "Train", CLASSES, OTHER_NAME).table
    assert table["path"].tolist() == [
        *("Normal/1.3.46.2.png", "Normal/1.3.46.10.png"),
        *("Kidney_stone/1.3.46.2.png", "Kidney_stone/1.3.46.10.png"),
    ]
    assert table["label"].tolist() == ["Normal"] * 2 + ["Stone"] * 2
    assert "part" not in table


def test_without_the_other_name_the_class_is_missing(public):
    with pytest.raises(CatalogError, match=r"class Stone \(sub-folders: Kidney_stone, Normal\)"):
        index_folder(public / "Train", CLASSES)


def test_a_class_by_its_own_name_needs_no_other(public):
    (public / "Train/Kidney_stone").rename(public / "Train/Stone")
    table = index_folder(public / "Train", CLASSES, OTHER_NAME).table
    assert table["label"].tolist() == ["Normal"] * 2 + ["Stone"] * 2


def test_a_class_in_two_folders_is_read_from_both(public):
    write_image(public / "Train/Stone/7.png", 77)
    layout = find_layout(public / "Train", CLASSES, OTHER_NAME)
    assert [one.path.name for one in layout.folders] == ["Normal", "Kidney_stone", "Stone"]
    stones = [path.name for one in layout.folders if one.label == "Stone" for path in one.files]
    assert stones[-1] == "7.png"
    assert layout.ignored == 0


# --- given parts ---


@pytest.mark.parametrize("names", [("Train", "Test"), ("train", "TEST")])
@pytest.mark.parametrize("wrapped", [False, True])
def test_train_and_test_are_parts(public, tmp_path, names, wrapped):
    for old, new in zip(("Train", "Test"), names, strict=True):
        (public / old).rename(public / new)
    train, test = names
    folder, prefix = (tmp_path, "set/") if wrapped else (public, "")
    table = index_folder(folder, CLASSES, OTHER_NAME).table
    assert table["path"].tolist() == [
        f"{prefix}{train}/Normal/1.3.46.2.png",
        f"{prefix}{train}/Normal/1.3.46.10.png",
        f"{prefix}{test}/Normal/1.3.46.1.png",
        f"{prefix}{train}/Kidney_stone/1.3.46.2.png",
        f"{prefix}{train}/Kidney_stone/1.3.46.10.png",
        f"{prefix}{test}/Kidney_stone/1.3.46.1.png",
    ]
    assert table["part"].tolist() == ["train", "train", "test"] * 2
    assert all((folder / path).is_file() for path in table["path"])


@pytest.mark.parametrize("name", ["val", "Valid", "VALIDATION"])
def test_a_validation_part_is_trained_on_and_validates_anew(public, name):
    for label in ("Normal", "Kidney_stone"):
        write_image(public / name / label / "5.png", len(label))
    table = index_folder(public, CLASSES, OTHER_NAME).table
    assert table["part"].tolist() == ["train", "train", "train", "test"] * 2
    assert table["path"][2] == f"{name}/Normal/5.png"
    write_image(public / "valid too" / "Normal/1.png", 3)
    assert index_folder(public, CLASSES, OTHER_NAME).table.equals(table)


def test_two_validation_parts_are_refused(public):
    for name in ("val", "valid"):
        for label in ("Normal", "Kidney_stone"):
            write_image(public / name / label / "5.png", len(name + label))
    with pytest.raises(CatalogError, match="holds the classes 4 times"):
        index_folder(public, CLASSES, OTHER_NAME)


def test_what_lies_beside_and_is_no_image_is_counted_in_both_parts(public):
    for part in ("Train", "Test"):
        (public / part / "notes.txt").write_text("words")
        (public / part / "Normal/deeper/deepest").mkdir(parents=True)
        (public / part / "Normal/.hidden").write_text("words")
    assert index_folder(public, CLASSES, OTHER_NAME).ignored == 4


def test_a_part_without_a_class_is_refused(public):
    (public / "Test/Kidney_stone").rename(public / "Test/kidney stone")
    with pytest.raises(CatalogError, match=r"Test has no sub-folder for the class Stone"):
        index_folder(public, CLASSES, OTHER_NAME)


def test_a_part_whose_class_is_empty_is_refused(public):
    (public / "Test/Normal/1.3.46.1.png").unlink()
    with pytest.raises(CatalogError, match=r"Test.Normal holds no readable image"):
        index_folder(public, CLASSES, OTHER_NAME)


def test_a_test_folder_without_classes_is_no_part(public):
    for name in ("Normal", "Kidney_stone"):
        (public / "Test" / name).rename(public / "Test" / f"unlabelled {name}")
    table = index_folder(public, CLASSES, OTHER_NAME).table
    assert len(table) == 4
    assert "part" not in table


def test_patients_may_be_told_in_each_part_or_above_them(public):
    above = [p.relative_to(public).as_posix() for p in public.rglob("*.png")]
    (public / "patients.csv").write_text(
        "path,patient\n" + "".join(f"{path},{path.split('/')[1]}\n" for path in above)
    )
    patients = index_folder(public, CLASSES, OTHER_NAME).table["patient"].tolist()
    assert patients == ["Normal"] * 3 + ["Kidney_stone"] * 3
    (public / "patients.csv").unlink()
    for part in ("Train", "Test"):
        rows = [p.relative_to(public / part).as_posix() for p in (public / part).rglob("*.png")]
        (public / part / "patients.csv").write_text(
            "path,patient\n" + "".join(f"{path},of {part}\n" for path in rows)
        )
    patients = index_folder(public, CLASSES, OTHER_NAME).table["patient"].tolist()
    assert patients == ["of Train", "of Train", "of Test"] * 2

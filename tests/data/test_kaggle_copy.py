"""A copy of the public set that lies unzipped in a folder."""

from pathlib import Path

import pytest
from kaggle_archive import (
    CLASSES,
    COUNTS,
    MEMBERS,
    SLUG,
    WRAPPER,
    FakeKaggle,
    failing,
    visible,
    write_archive,
)

from kidneyct_lib.data.image_folder import CatalogError
from kidneyct_lib.data.kaggle import fetch_kaggle

HEADER = ",image_id,path,diag,target,Class"


def write_copy(folder, **more):
    """An unzipped archive with its table."""
    files = {name: content for name, content in MEMBERS.items() if name != "kidneyData.csv"}
    for name, content in (files | more).items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    write_table(folder / "kidneyData.csv")
    return folder


def rows(*names):
    """Lines of the table; the class of an image is the beginning of its name."""
    for number, name in enumerate(names or ("Cyst- (2)", "Cyst- (1)", "Normal- (1)", "Tumor- (1)")):
        label = name.split("-")[0]
        yield f'{number},{name},"/content/data/Normal, CYST/{name}.jpg",{label},3,{label}'


def write_table(path, header=HEADER, lines=None, encoding="utf-8"):
    path.write_text("\n".join([header, *(lines or rows())]) + "\n", encoding=encoding)


def stamps(folder):
    return {path: path.stat().st_mtime_ns for path in [folder, *folder.rglob("*")]}


@pytest.fixture
def offline(monkeypatch):
    """The kaggle package, which must not be asked for a download."""
    fake = FakeKaggle(monkeypatch)
    fake.behave = failing(AssertionError("a download"))
    return fake


@pytest.mark.parametrize("below", ["", "CT-KIDNEY", WRAPPER])
def test_an_unzipped_copy_is_taken_from_each_level_without_a_download(offline, tmp_path, below):
    before = stamps(write_copy(tmp_path / "copy"))
    root = fetch_kaggle(tmp_path / "copy" / below, CLASSES, COUNTS)
    assert root == tmp_path / "copy" / WRAPPER
    assert stamps(tmp_path / "copy") == before
    assert not offline.calls


def test_a_relative_folder_is_taken_too(offline, tmp_path, monkeypatch):
    monkeypatch.chdir(write_copy(tmp_path))
    assert fetch_kaggle(".", CLASSES, COUNTS) == Path(WRAPPER)


def test_a_copy_with_too_few_images_is_refused_and_left_as_it_is(offline, tmp_path):
    before = stamps(write_copy(tmp_path))
    with pytest.raises(CatalogError) as caught:
        fetch_kaggle(tmp_path, CLASSES, {"Cyst": 3709, "Normal": 1})
    assert str(caught.value).startswith(
        f"{tmp_path / WRAPPER} is no complete copy of the public set (expected_counts): "
        "Cyst has 2 images, not 3,709. It was left as it is. Name with DATA=path"
    )
    assert stamps(tmp_path) == before


def test_counts_that_are_not_known_are_not_checked(offline, tmp_path):
    assert fetch_kaggle(write_copy(tmp_path), CLASSES) == tmp_path / WRAPPER


@pytest.mark.parametrize(
    ("files", "found"),
    [
        (["archive.zip"], r"archive\.zip, but"),
        (["notes.txt", "Cyst/a.jpg"], r"Cyst/, notes\.txt, but .* per class \(Cyst, Normal\)"),
        ([f"{n}.txt" for n in range(10)], r"6\.txt, 7\.txt and 2 more, but"),
        (["a/Cyst/a.jpg", "a/Normal/a.jpg", "b/Cyst/a.jpg", "b/Normal/a.jpg"], "a/, b/, but"),
        (
            ["Train/Cyst/a.jpg", "Train/Normal/a.jpg", "Test/Cyst/b.jpg", "Test/Normal/b.jpg"],
            "Test/, Train/, but",
        ),
    ],
)
def test_a_folder_of_other_things_is_refused_by_what_it_holds(offline, tmp_path, files, found):
    for name in files:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"mine")
    before = stamps(tmp_path)
    with pytest.raises(CatalogError, match=found) as caught:
        fetch_kaggle(tmp_path, CLASSES)
    message = str(caught.value)
    assert message.startswith(f"{tmp_path} is neither a copy of the public set nor empty")
    assert "DATA=path" in message and "STUDY=folder" in message
    assert stamps(tmp_path) == before
    assert not offline.calls


def test_a_file_is_refused_with_the_advice_to_unzip_it(offline, tmp_path):
    write_archive(tmp_path / "archive.zip")
    with pytest.raises(CatalogError, match=r"archive\.zip is a file; unzip it"):
        fetch_kaggle(tmp_path / "archive.zip", CLASSES)


def test_an_archive_of_the_users_own_is_not_used_up(offline, tmp_path):
    write_archive(tmp_path / f"{SLUG}.zip")
    with pytest.raises(CatalogError, match=f"holds {SLUG}"):
        fetch_kaggle(tmp_path, CLASSES)
    assert visible(tmp_path) == [f"{SLUG}.zip"]


@pytest.mark.parametrize("place", ["", "CT-KIDNEY", WRAPPER])
@pytest.mark.parametrize(
    ("header", "encoding"), [(HEADER, "utf-8-sig"), ("Class,image_id,path", "utf-8")]
)
def test_the_table_is_read_wherever_it_lies_with_a_mark_and_in_any_order(
    offline, tmp_path, place, header, encoding
):
    table = write_copy(tmp_path) / place / "kidneyData.csv"
    (tmp_path / "kidneyData.csv").rename(table)

    def write(label):
        names = {"Cyst- (1)": "Cyst", "Cyst- (2)": label, "Normal- (1)": "Normal"}
        known = [{"image_id": name, "Class": of, "path": "a"} for name, of in names.items()]
        lines = [",".join(row.get(name, "0") for name in header.split(",")) for row in known]
        write_table(table, header, lines, encoding)

    write("Cyst")
    assert fetch_kaggle(tmp_path, CLASSES, COUNTS) == tmp_path / WRAPPER
    write("Tumor")
    with pytest.raises(CatalogError) as caught:
        fetch_kaggle(tmp_path, CLASSES, COUNTS)
    assert str(caught.value).startswith(
        f"{tmp_path / WRAPPER}/Cyst/Cyst- (2).jpg lies in the folder of the class Cyst, but "
        f"{table} says Tumor."
    )


@pytest.mark.parametrize(
    ("names", "problem"),
    [
        (["Cyst- (1)", "Normal- (1)"], r"Cyst- \(2\)\.jpg lies .* names no class for it"),
        (
            ["Cyst- (1)", "Cyst- (2)", "Normal- (1)", "Normal- (2)"],
            r"lists 2 images of the class Normal, its folder holds 1; Normal- \(2\) is missing",
        ),
        (
            ["Cyst- (1)", "Cyst- (2)", "Cyst- (2)", "Normal- (1)"],
            "lists 3 images of the class Cyst, its folder holds 2. Take",
        ),
    ],
)
def test_a_table_that_lists_other_images_is_told(offline, tmp_path, names, problem):
    write_table(write_copy(tmp_path) / "kidneyData.csv", lines=list(rows(*names)))
    with pytest.raises(CatalogError, match=problem):
        fetch_kaggle(tmp_path, CLASSES, COUNTS)


def test_another_table_of_that_name_is_passed_over(offline, silence, tmp_path):
    table = write_copy(tmp_path) / "kidneyData.csv"
    for header in ("id,age,bp,class", ""):
        write_table(table, header)
        assert fetch_kaggle(tmp_path, CLASSES, COUNTS) == tmp_path / WRAPPER


@pytest.mark.parametrize("header", [",image_id,path", HEADER.replace(",", ";")])
def test_the_archives_table_without_its_columns_is_refused(offline, tmp_path, header):
    write_table(write_copy(tmp_path) / "kidneyData.csv", header)
    with pytest.raises(CatalogError, match=r"kidneyData\.csv is no table with the columns"):
        fetch_kaggle(tmp_path, CLASSES, COUNTS)

"""Tables of known patients as people write them: each is read, or its fault is named."""

import unicodedata

import pandas as pd
import pytest

from kidneyct_lib.data.image_folder import CatalogError
from kidneyct_lib.data.known_patients import deciding, patients_of

PATHS = ["Cyst/a (1).png", "Cyst/é.png", "Stone/a (1).png"]
PATIENTS = ["001", "Müller", "b"]


@pytest.fixture
def folder(tmp_path):
    return tmp_path


def found(folder, places=("",)):
    return patients_of(folder, [folder / place for place in places], PATHS)


def table(paths=PATHS, patients=PATIENTS, header=("path", "patient"), separator=","):
    rows = [header, *zip(paths, patients, strict=True)]
    return "\n".join(separator.join(row) for row in rows) + "\n"


def test_without_a_table_no_patient_is_known(folder):
    assert found(folder) is None


@pytest.mark.parametrize("separator", [",", ";", "\t"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-be", "latin-1"])
def test_separators_and_encodings(folder, separator, encoding):
    content = table(separator=separator).encode(encoding)
    mark = b"\xfe\xff" if encoding == "utf-16-be" else b""
    (folder / "patients.csv").write_bytes(mark + content)
    assert found(folder) == PATIENTS


@pytest.mark.parametrize("name", ["Patients.csv", "PATIENTS.CSV"])
def test_the_name_and_the_columns_are_in_any_case(folder, name):
    (folder / name).write_text(table(header=("Path ", "PATIENT")))
    assert found(folder) == PATIENTS


@pytest.mark.parametrize(
    "written",
    [
        lambda path: path.replace("/", "\\"),
        lambda path: f"./{path}",
        lambda path: f"D:\\export\\kidneys\\{path}".replace("/", "\\"),
        lambda path: f"/home/someone/kidneys/{path}",
        lambda path: unicodedata.normalize("NFD", path),
        lambda path: f" {path} ",
        lambda path: f'"{path}"',
    ],
)
def test_paths_of_other_machines(folder, written):
    (folder / "patients.csv").write_text(table([written(path) for path in PATHS]), "utf-8")
    assert found(folder) == PATIENTS


def test_a_table_may_lie_below_and_its_paths_are_relative_to_it(folder):
    (folder / "train").mkdir()
    (folder / "train/patients.csv").write_text("patient;path\np;a.png\nq;b.png\n")
    paths = ["train/b.png", "train/a.png"]
    assert patients_of(folder, [folder, folder / "train"], paths) == ["q", "p"]


def test_further_columns_lines_and_empty_patients_play_no_part(folder):
    lines = ["", "age,path,patient", *(f"7,{p},{q}" for p, q in zip(PATHS, PATIENTS, strict=True))]
    lines += [",,", f"8,{PATHS[0]},", "9,Stone/elsewhere.png,x", ""]
    (folder / "patients.csv").write_text("\n".join(lines), "utf-8")
    assert found(folder) == PATIENTS


def test_quotes_may_hold_the_separator(folder):
    (folder / "patients.csv").write_text('path,patient\n"a, b.png","Doe, J."\n')
    assert patients_of(folder, [folder], ["a, b.png"]) == ["Doe, J."]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("", r"first line must name path and patient"),
        (table(header=("file", "patient")), r"has the columns file, patient;"),
        (table() + "Stone/a (1).png\n", r"line 5: fewer columns"),
        (table() + "Stone/a (1).png,c\n", r"line 5: Stone/a \(1\).png is of patient c, but of b"),
        (table(PATHS[:2], PATIENTS[:2]), r"no patient of 1 images of 3, Stone/a \(1\).png among"),
        (table(["a (1).png", *PATHS[1:]]), r"no patient of 1 images of 3, Cyst/a \(1\).png among"),
    ],
)
def test_what_is_wrong_is_named(folder, content, reason):
    (folder / "patients.csv").write_text(content, "utf-8")
    with pytest.raises(CatalogError, match=reason):
        found(folder)


# --- who decides ---

TOLD, UNTOLD = pd.DataFrame({"patient": ["p"]}), pd.DataFrame({"path": ["a"]})


@pytest.mark.parametrize(
    ("catalog", "patients", "expected"),
    [
        (TOLD, "auto", "known"),
        (TOLD, "known", "known"),
        (TOLD, "recovered", "recovered"),
        (UNTOLD, "auto", "recovered"),
        (UNTOLD, "recovered", "recovered"),
    ],
)
def test_known_patients_decide_where_they_are_and_are_wanted(catalog, patients, expected):
    assert deciding(catalog, patients) == expected


def test_known_patients_that_are_not_there_are_asked_for_in_vain():
    with pytest.raises(CatalogError, match=r"put a patients\.csv"):
        deciding(UNTOLD, "known")

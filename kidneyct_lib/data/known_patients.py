"""Known patients: of a patients.csv beside the images, a folder for each, or DICOM files."""

import csv
import hashlib
import hmac
import secrets
import unicodedata
from collections.abc import Sequence
from pathlib import Path, PureWindowsPath

import pandas as pd

from kidneyct_lib.core.files import replacement
from kidneyct_lib.data import image_io
from kidneyct_lib.data.image_folder import PATIENTS_FILE, CatalogError, ClassFolder

_COLUMNS = ("path", "patient")
_SEPARATORS = ",;\t"


def patients_of(folder: Path, places: Sequence[Path], paths: Sequence[str]) -> list[str] | None:
    """Look up the patient of each image in the tables of known patients.

    A table is called patients.csv, in any case, and has the columns ``path`` and ``patient``, in
    any case, among others. It is UTF-8, UTF-16 or Latin-1; its columns are separated by commas,
    semicolons or tabs. Its paths are relative to it, or absolute, also on another machine, with
    slashes or backslashes, and their letters composed or not.

    Parameters
    ----------
    folder
        The folder that `paths` are relative to.
    places
        Folders below it in which a table may lie.
    paths
        Of the images, posix.

    Returns
    -------
    Patient of each image; None where there is no table.

    Raises
    ------
    CatalogError
        If a table can't be read, lacks a column, tells two patients of one image, or an image is
        in no table. The message names the file and, where there is one, the line.
    """
    files = [file for place in places for file in _tables_in(place)]
    if not files:
        return None
    known = {_comparable(path): path for path in paths}
    named: dict[str, tuple[str, str]] = {}  # path: patient, and where it says so
    for file in files:
        beside = file.parent.relative_to(folder).as_posix()
        for line, written, patient in _rows(file):
            path = _find(written, "" if beside == "." else f"{beside}/", known)
            if path is None or not patient:
                continue
            before, where = named.setdefault(path, (patient, f"line {line} of {file}"))
            if before != patient:
                raise CatalogError(
                    f"{file}, line {line}: {written} is of patient {patient}, but of {before} in "
                    f"{where}; correct one of the two."
                )
    unnamed = [path for path in paths if path not in named]
    if unnamed:
        raise CatalogError(
            f"{files[0]} names no patient of {len(unnamed)} images of {len(paths)}, {unnamed[0]} "
            f"among them. Complete the table, with paths as here, relative to {files[0].parent}, "
            "or remove it."
        )
    return [named[path][0] for path in paths]


def of_folder(path: Path, place: ClassFolder) -> str:
    """Patient of an image: the sub-folder of its class that it lies in; "" where it lies in none.

    One that is called as the class is none, as archives that were unpacked into one have it.
    """
    named = path.parent.name
    own = (place.path.name.casefold(), place.label.casefold())
    return "" if path.parent == place.path or named.casefold() in own else named


def of_dicom(data: bytes, salt: bytes) -> str:
    """Salted hash (HMAC-SHA256, 16 hexadecimal digits) of a DICOM file's PatientID; "" without one.

    Parameters
    ----------
    data
        Content of an image file of any format.
    salt
        From `salt`, secret: without it the few patient numbers that there are could be tried.
    """
    if image_io.format_of(data) != "DICOM":
        return ""
    from kidneyct_lib.data import dicom  # slow to import, and most studies hold no such file

    patient = dicom.patient_id(data)
    return hmac.new(salt, patient.encode(), hashlib.sha256).hexdigest()[:16] if patient else ""


def salt(cache: Path) -> bytes:
    """The project's secret for `of_dicom`, 32 random bytes, made at the first call."""
    file = cache / "patient-salt"
    if not file.exists():
        with replacement(file) as temporary:
            temporary.write_bytes(secrets.token_bytes(32))
            temporary.chmod(0o600)
    return file.read_bytes()


def deciding(table: pd.DataFrame, patients: str) -> str:
    """Tell which patients decide who is kept apart: "known" or "recovered".

    Parameters
    ----------
    table
        The catalog, with ``patient`` where some are known.
    patients
        "known", "recovered", or "auto": known ones where there are any.

    Raises
    ------
    CatalogError
        If known ones are asked for and there are none.
    """
    if patients == "known" and "patient" not in table:
        raise CatalogError(
            "`patients` is known, but no image has a known patient: put a patients.csv beside the "
            "class folders, or set `patients: auto`."
        )
    return "known" if "patient" in table and patients != "recovered" else "recovered"


def _tables_in(place: Path) -> list[Path]:
    return sorted(file for file in place.iterdir() if file.name.casefold() == PATIENTS_FILE)


def _rows(file: Path) -> list[tuple[int, str, str]]:
    """Line number, path and patient of each row of a table."""
    lines = _text(file).splitlines() or [""]
    first = next((number for number, line in enumerate(lines) if line.strip()), 0)
    separator = max(_SEPARATORS, key=lines[first].count)
    table = csv.DictReader(lines[first:], delimiter=separator)
    columns = [name.strip().casefold() for name in table.fieldnames or ()]
    if not set(_COLUMNS) <= set(columns):
        raise CatalogError(
            f"{file} has the columns {', '.join(columns) or '(none)'}; its first line must name "
            f"{' and '.join(_COLUMNS)}. Correct or remove it."
        )
    table.fieldnames = columns
    rows = []
    for row in table:
        line, (path, patient) = first + table.line_num, (row[name] for name in _COLUMNS)
        if path is None or patient is None:
            raise CatalogError(
                f"{file}, line {line}: fewer columns than the first line names, which are "
                f"{', '.join(columns)}; is a separator missing?"
            )
        rows.append((line, path.strip(), patient.strip()))
    return rows


def _text(file: Path) -> str:
    try:
        content = file.read_bytes()
    except OSError as error:
        raise CatalogError(f"{file} can't be read ({error}); correct or remove it.") from error
    if content[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return content.decode("utf-16", errors="replace")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        return content.decode("latin-1")


def _comparable(path: str) -> str:
    """A path as it is compared: slashes, letters composed, no `.` between."""
    parts = PureWindowsPath(unicodedata.normalize("NFC", path)).as_posix().split("/")
    return "/".join(part for part in parts if part not in ("", "."))


def _find(written: str, beside: str, known: dict[str, str]) -> str | None:
    """The image that a table means: relative to it, or the longest end of a path that is one."""
    path = _comparable(written)
    if beside + path in known:
        return known[beside + path]
    if not (written.startswith(("/", "\\")) or PureWindowsPath(written).drive):
        return None
    parts = path.split("/")
    ends = (beside + "/".join(parts[start:]) for start in range(1, len(parts)))
    return next((known[end] for end in ends if end in known), None)

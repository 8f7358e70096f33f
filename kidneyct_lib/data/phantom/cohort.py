"""A synthetic abdominal CT cohort with known patients.

Each patient is an anatomy (`anatomy`), a lesion of its class (`lesions`) and one
series from a scanner (`scanner`). Anatomy, contrast phase, scanner and the place of the
series are drawn the same way for all classes, so the lesion alone tells them apart.
"""

import csv
import shutil
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from tqdm import tqdm

from kidneyct_lib.core.errors import StudyError
from kidneyct_lib.data.image_io import read_gray, resize
from kidneyct_lib.data.phantom.anatomy import build_person
from kidneyct_lib.data.phantom.lesions import CLASSES, Site, draw_lesions
from kidneyct_lib.data.phantom.paint import Painter, Texture
from kidneyct_lib.data.phantom.scanner import AXES, SCANNERS, develop, draw_series

SPACING = (0.8, 1.7)  # mm between slices
LONGEST_SERIES = 16.0  # mm; more slices lie closer together, so that each shows the lesion
SIZES = (64, 1024)  # pixels


@dataclass(frozen=True)
class Slice:
    """One slice of the cohort.

    Attributes
    ----------
    label : str
    patient : str
        Unique over planes, scanners and classes.
    number : int
        Position within the class, from 1: patient after patient, slice after slice.
    image : uint8 (S, S)
    mask : bool (S, S)
        The lesion; all False for Normal.
    """

    label: str
    patient: str
    number: int
    image: np.ndarray
    mask: np.ndarray


def generate(
    *,
    classes: Sequence[str],
    patients_per_class: int,
    slices_per_patient: tuple[int, int],
    seed: int,
    plane: str,
    scanner: str,
    size: int,
) -> Iterator[Slice]:
    """Yield the cohort's slices, class after class and patient after patient.

    A patient depends on seed, plane, scanner, label and its own index alone, so a larger cohort
    begins with the same patients.

    Parameters
    ----------
    classes : sequence of str
        Out of Cyst, Normal, Stone, Tumor.
    patients_per_class : int
    slices_per_patient : (int, int)
        Fewest and most slices of a patient, both included.
    seed : int
    plane : {"axial", "coronal"}
    scanner : {"A", "B"}
        B differs in noise, kernel, window, table and zoom.
    size : int
        Rows and columns of an image.

    Raises
    ------
    StudyError
        If an argument is not allowed; raised at once, before the first slice.
    """
    _check(classes, patients_per_class, slices_per_patient, seed, plane, scanner, size)
    return _generate(classes, patients_per_class, slices_per_patient, seed, plane, scanner, size)


def write_cohort(
    folder: Path,
    *,
    classes: Sequence[str],
    patients_per_class: int,
    slices_per_patient: tuple[int, int],
    seed: int,
    plane: str,
    scanner: str,
    size: int,
) -> None:
    """Write the cohort as PNG files; the same arguments give the same bytes.

    `<Class>/<Class>- (n).png` are the images, `masks/<Class>/<Class>- (n).png` the lesions (0 or
    255), `patients.csv` holds path, label, number and patient. The folder appears when it is
    complete and not before.

    Parameters
    ----------
    folder : Path
        Must not exist yet.
    classes, patients_per_class, slices_per_patient, seed, plane, scanner, size
        As in `generate`.

    Raises
    ------
    StudyError
        If the folder exists or an argument is not allowed.
    """
    folder = Path(folder)
    if folder.exists():
        raise StudyError(f"the cohort's folder {folder} exists already: remove it or name another")
    shape = (classes, patients_per_class, slices_per_patient, seed, plane, scanner, size)
    _check(*shape)
    unfinished = folder.with_name(f".{folder.name}.{uuid.uuid4().hex}")
    try:
        for label in classes:
            (unfinished / label).mkdir(parents=True)
            (unfinished / "masks" / label).mkdir(parents=True)
        slices = tqdm(_generate(*shape), total=_total(*shape), desc="phantom", unit="slice")
        _write_slices(unfinished, slices)
        unfinished.replace(folder)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def read_masks(folder: Path, paths: Sequence[str], size: int) -> np.ndarray:
    """Lesions of a written cohort's slices, at another size.

    Parameters
    ----------
    folder
        As given to `write_cohort`.
    paths
        Of N slices, relative to it.
    size
        Side in pixels.

    Returns
    -------
    bool (N, size, size): pixels of which at least half is lesion; one at least where there is any.
    """
    shares = [resize(read_gray(folder / "masks" / path), size) / 255 for path in paths]
    shares = np.reshape(shares, (-1, size, size))
    highest = shares.max(axis=(1, 2), keepdims=True, initial=0)
    return (shares >= np.minimum(0.5, highest)) & (shares > 0)


def _write_slices(folder: Path, slices) -> None:
    with (folder / "patients.csv").open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(["path", "label", "number", "patient"])
        for one in slices:
            path = f"{one.label}/{one.label}- ({one.number}).png"
            table.writerow([path, one.label, one.number, one.patient])
            (folder / path).write_bytes(_png(one.image))
            (folder / "masks" / path).write_bytes(_png(one.mask * np.uint8(255)))


def _png(image: np.ndarray) -> bytes:
    return cv2.imencode(".png", image)[1].tobytes()


def _generate(classes, patients_per_class, slices_per_patient, seed, plane, scanner, size):
    for label in classes:
        number = 0
        for index in range(patients_per_class):
            rng = _patient_rng(seed, plane, scanner, label, index)
            count = _count(rng, slices_per_patient)
            patient = f"{plane}-{scanner}-{label}-{index + 1:03d}"
            for image, mask in _draw_patient(rng, label, plane, scanner, count, size):
                number += 1
                yield Slice(label, patient, number, image, mask)


def _total(classes, patients_per_class, slices_per_patient, seed, plane, scanner, size) -> int:
    return sum(
        _count(_patient_rng(seed, plane, scanner, label, index), slices_per_patient)
        for label in classes
        for index in range(patients_per_class)
    )


def _patient_rng(seed, plane, scanner, label, index) -> np.random.Generator:
    key = [list(AXES).index(plane), list(SCANNERS).index(scanner), CLASSES.index(label), index]
    return np.random.default_rng(np.random.SeedSequence([seed, *key]))


def _count(rng, slices_per_patient) -> int:
    low, high = slices_per_patient
    return int(rng.integers(low, high, endpoint=True))


def _draw_patient(rng, label, plane, scanner, count, size):
    """Yield image and mask of each slice of one patient."""
    person = build_person(rng)
    series = draw_series(rng, SCANNERS[scanner], plane, person.trunk, size)
    normal = series.view.normal
    kidney, other = rng.permutation(2)
    kidney, other = person.kidneys[kidney], person.kidneys[other]
    span = min((count - 1) * rng.uniform(*SPACING), LONGEST_SERIES)
    half = np.linalg.norm(np.linalg.inv(kidney.unit).T @ normal)  # the kidney's, along the normal
    middle = kidney.center @ normal + rng.uniform(-0.35, 0.35) * half
    sites = (Site(organ, normal, middle, span) for organ in (kidney, other))
    solids = person.organs + draw_lesions(rng, label, *sites) + person.frame
    painter = Painter(person.trunk, solids, series.view, Texture(rng, series.view))
    for depth in middle + np.linspace(span / 2, -span / 2, count):
        hu, mask = painter.slice(depth - series.view.center @ normal)
        yield develop(rng, series, hu), mask


def _check(classes, patients_per_class, slices_per_patient, seed, plane, scanner, size) -> None:
    """Refuse the first argument that is not allowed, by name and value."""
    names = ", ".join(CLASSES)
    listed = isinstance(classes, list | tuple) and len(classes) > 0
    paired = isinstance(slices_per_patient, list | tuple) and len(slices_per_patient) == 2
    few, many = slices_per_patient if paired else (0, 0)
    series = _whole(few, 1) and _whole(many, few)
    rules = [
        ("classes", classes, listed, f"a list of classes out of {names}"),
        *(("classes: an entry", one, one in CLASSES, names) for one in (classes if listed else ())),
        ("classes", classes, listed and len(set(classes)) == len(classes), "each class once"),
        ("patients_per_class", patients_per_class, _whole(patients_per_class, 1), "1 or more"),
        ("slices_per_patient", slices_per_patient, series, "two whole numbers, 1 <= few <= many"),
        ("seed", seed, _whole(seed, 0), "a whole number, 0 or more"),
        ("plane", plane, plane in AXES, ", ".join(AXES)),
        ("scanner", scanner, scanner in SCANNERS, ", ".join(SCANNERS)),
        ("size", size, _whole(size, *SIZES), "a whole number from {} to {}".format(*SIZES)),
    ]
    for name, value, good, allowed in rules:
        if not good:
            raise StudyError(f"{name} is {value!r}; allowed: {allowed}")


def _whole(value, low: int, high: float = np.inf) -> bool:
    is_int = isinstance(value, int | np.integer) and not isinstance(value, bool)
    return is_int and low <= value <= high

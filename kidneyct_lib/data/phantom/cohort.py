"""A synthetic abdominal CT cohort with known patients.

Each patient is an anatomy (`anatomy`), a lesion of its class (`lesions`) and one
series from a scanner (`scanner`). Anatomy, contrast phase, scanner and the place of the
series are drawn the same way for all classes, so the lesion alone tells them apart, unless
`CohortSpec.window_shift` makes the display window follow the class.
"""

import shutil
import uuid
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

import cv2
import numpy as np
import pandas as pd
from tqdm import tqdm

from kidneyct_lib.core.errors import StudyError
from kidneyct_lib.data.phantom.anatomy import build_person
from kidneyct_lib.data.phantom.lesions import CLASSES, Site, draw_lesions
from kidneyct_lib.data.phantom.paint import Painter, Texture
from kidneyct_lib.data.phantom.scanner import AXES, SCANNERS, develop, draw_series

SPACING = (0.8, 1.7)  # mm between slices
LONGEST_SERIES = 16.0  # mm; more slices lie closer together, so that each shows the lesion
SIZES = (64, 1024)  # pixels
SHIFT = 100  # HU, most between the windows of two classes


@dataclass(frozen=True)
class CohortSpec:
    """What a generated cohort is made from; equal ones give equal bytes.

    `window_shift` is a shortcut to the class that has nothing to do with the lesion: the HU by
    which the display window of each class lies above that of the class before, around the
    scanner's own; 0: none.
    """

    classes: Sequence[str]  # out of Cyst, Normal, Stone, Tumor
    patients_per_class: int
    slices_per_patient: tuple[int, int]  # fewest and most slices of a patient, both included
    size: int  # rows and columns of an image
    seed: int
    plane: str  # axial or coronal
    scanner: str = "A"  # A or B, which differs in noise, kernel, window, couch and zoom
    window_shift: float = 0.0

    @classmethod
    def of(cls, parameters: Mapping[str, Any]) -> Self:
        """Pick it out of a study's parameters; without a plane it is axial."""
        return cls(
            classes=parameters["classes"],
            patients_per_class=parameters["phantom_patients"],
            slices_per_patient=tuple(parameters["phantom_slices"]),
            size=parameters["phantom_size"],
            seed=parameters["seed"],
            plane=parameters["plane"] or "axial",
            window_shift=parameters["phantom_window_shift"],
        )


@dataclass(frozen=True)
class Slice:
    """One slice of the cohort."""

    label: str
    patient: str  # unique over planes, scanners and classes
    number: int  # position within the class, from 1: patient after patient, slice after slice
    image: np.ndarray  # uint8 (S, S)
    mask: np.ndarray  # bool (S, S): the lesion; all False for Normal


def generate(spec: CohortSpec) -> Iterator[Slice]:
    """Yield the cohort's slices, class after class and patient after patient.

    A patient depends on seed, plane, scanner, label and its own index alone, so a larger cohort
    begins with the same patients.
    """
    _check(spec)
    return _generate(spec)


def _generate(spec: CohortSpec) -> Iterator[Slice]:
    numbers: Counter[str] = Counter()
    for label, patient, rng, count in _patients(spec):
        for image, mask in _draw_patient(rng, label, spec, count):
            numbers[label] += 1
            yield Slice(label, patient, numbers[label], image, mask)


def _patients(spec: CohortSpec) -> Iterator[tuple[str, str, np.random.Generator, int]]:
    """Yield class, name, random generator and number of slices of each patient."""
    axis, scanner = list(AXES).index(spec.plane), SCANNERS.index(spec.scanner)
    for label in spec.classes:
        for index in range(spec.patients_per_class):
            rng = np.random.default_rng([spec.seed, axis, scanner, CLASSES.index(label), index])
            count = int(rng.integers(*spec.slices_per_patient, endpoint=True))
            yield label, f"{spec.plane}-{spec.scanner}-{label}-{index + 1:03d}", rng, count


def write_cohort(folder: Path, spec: CohortSpec) -> None:
    """Write the cohort as PNG files; equal specs give the same bytes.

    `<Class>/<Class>- (n).png` are the images, `masks/<Class>/<Class>- (n).png` the lesions (0 or
    255), `patients.csv` holds path, label, number and patient. The folder appears when it is
    complete and not before.

    Raises
    ------
    StudyError
        If the folder exists or a value of the spec is not allowed.
    """
    folder = Path(folder)
    if folder.exists():
        raise StudyError(f"the cohort's folder {folder} exists already: remove it or name another")
    slices = generate(spec)
    unfinished = folder.with_name(f".{folder.name}.{uuid.uuid4().hex}")
    table = []
    try:
        total = sum(count for *_, count in _patients(spec))
        for one in tqdm(slices, total=total, desc="phantom", unit="slice"):
            path = f"{one.label}/{one.label}- ({one.number}).png"
            table.append([path, one.label, one.number, one.patient])
            for place, pixels in (("", one.image), ("masks", one.mask * np.uint8(255))):
                file = unfinished / place / path
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_bytes(cv2.imencode(".png", pixels)[1].tobytes())
        patients = pd.DataFrame(table, columns=["path", "label", "number", "patient"])
        patients.to_csv(unfinished / "patients.csv", index=False, lineterminator="\n")
        unfinished.replace(folder)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def _draw_patient(rng, label, spec, count):
    """Yield image and mask of each slice of one patient."""
    person = build_person(rng)
    series = draw_series(rng, spec.scanner, spec.plane, person.trunk, spec.size)
    place = CLASSES.index(label) - (len(CLASSES) - 1) / 2
    series = replace(series, center=series.center + spec.window_shift * place)
    normal = series.view.normal
    kidney, other = (person.kidneys[side] for side in rng.permutation(2))
    span = min((count - 1) * rng.uniform(*SPACING), LONGEST_SERIES)
    half = np.linalg.norm(np.linalg.inv(kidney.unit).T @ normal)  # the kidney's, along the normal
    middle = kidney.center @ normal + rng.uniform(-0.35, 0.35) * half
    sites = (Site(organ, normal, middle, span) for organ in (kidney, other))
    solids = person.organs + draw_lesions(rng, label, *sites) + person.frame
    painter = Painter(person.trunk, solids, series.view, Texture(rng, series.view))
    for depth in middle + np.linspace(span / 2, -span / 2, count):
        hu, mask = painter.paint(depth - series.view.center @ normal)
        yield develop(rng, series, hu), mask


def _check(spec: CohortSpec) -> None:
    """Refuse the first value that is not allowed, by name."""
    classes, slices = spec.classes, spec.slices_per_patient
    known = isinstance(classes, list | tuple) and all(name in CLASSES for name in classes)
    paired = isinstance(slices, list | tuple) and len(slices) == 2
    few, many = slices if paired else (0, 0)
    listed = known and len(classes) == len(set(classes)) > 0
    series = _whole(few, 1) and _whole(many, few)
    allowed = {
        "classes": (listed, f"a list of classes out of {', '.join(CLASSES)}, each class once"),
        "patients_per_class": (_whole(spec.patients_per_class, 1), "1 or more"),
        "slices_per_patient": (series, "two whole numbers, 1 <= few <= many"),
        "seed": (_whole(spec.seed, 0), "a whole number, 0 or more"),
        "plane": (spec.plane in AXES, ", ".join(AXES)),
        "scanner": (spec.scanner in SCANNERS, ", ".join(SCANNERS)),
        "window_shift": (abs(spec.window_shift) <= SHIFT, f"-{SHIFT} to {SHIFT}"),
        "size": (_whole(spec.size, *SIZES), "a whole number from {} to {}".format(*SIZES)),
    }
    for name, (good, text) in allowed.items():
        if not good:
            raise StudyError(f"{name} is {getattr(spec, name)!r}; allowed: {text}")


def _whole(value, low: int, high: float = np.inf) -> bool:
    is_int = isinstance(value, int | np.integer) and not isinstance(value, bool)
    return is_int and low <= value <= high

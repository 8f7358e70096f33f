"""The catalog: one row an image of a folder of class sub-folders, and the decoded image store."""

import difflib
import hashlib
import inspect
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
from tqdm import tqdm

from kidneyct_lib import images
from kidneyct_lib.errors import StudyError
from kidneyct_lib.images import ImageError
from kidneyct_lib.store import RowStore

PATIENTS_FILE = "patients.csv"
_PASSED_OVER = {"masks", PATIENTS_FILE, "Thumbs.db", "desktop.ini", "__MACOSX"}
_SEARCH_DEPTH = 3
_DECODE_BATCH = 256

_PLANE_GRID = 64
_TISSUE_CONTRAST = 15
_CORONAL_EDGE_SPAN = 0.8


class CatalogError(StudyError):
    """A folder that can't be indexed; the message names it and says what to do."""


@dataclass(frozen=True)
class Catalog:
    """What `index_folder` found.

    Attributes
    ----------
    table : DataFrame
        One row an image: path (relative to the indexed folder, posix), label, number (the last
        number in the file name, -1 if none), sha256 (of the file), width, height (pixels), plane
        ("axial" or "coronal"), duplicate_of (path of the first identical file, "" if none), and
        patient where the folder has a patients.csv.
    rejected : DataFrame
        Images that can't be read, left out of `table`: path, reason.
    ignored : int
        Number of other files and folders beside and in the class folders. Hidden ones, those of
        the system, masks/ and patients.csv are not counted.
    """

    table: pd.DataFrame
    rejected: pd.DataFrame
    ignored: int


def index_folder(folder: Path | str, classes: Sequence[str]) -> Catalog:
    """Index the images that lie directly in the class sub-folders of a folder.

    Parameters
    ----------
    folder : path
        Holds one sub-folder per class, or a single folder that does, at most three levels down.
    classes : sequence of str
        Names of the class sub-folders. Rows follow their order, then the natural order of names.

    Returns
    -------
    Catalog
        The table, the rejected images and the count of ignored entries.

    Raises
    ------
    CatalogError
        If the folder or a class sub-folder is missing, a class has no readable image, or
        patients.csv does not name the patient of each image.
    """
    folder = Path(folder)
    root = _find_class_root(folder, classes)
    found, ignored = _list_files(root, classes)
    with images.quiet_decoders(), ThreadPoolExecutor() as pool:
        facts = pool.map(_inspect, [path for _, path in found])
        results = list(tqdm(facts, total=len(found), desc="indexing images", unit="image"))
    rows, rejected = [], []
    for (label, path), result in zip(found, results, strict=True):
        name = path.relative_to(folder).as_posix()
        if result is None:
            ignored += 1
        elif isinstance(result, str):
            rejected.append({"path": name, "reason": result})
        else:
            rows.append({"path": name, "label": label, "number": file_number(path.name)} | result)
    table = pd.DataFrame(rows, columns=["path", "label", "number", *_FACTS])
    rejections = pd.DataFrame(rejected, columns=["path", "reason"])
    _require_images(root, table, rejections, classes)
    first = table.groupby("sha256")["path"].transform("first")
    table["duplicate_of"] = first.where(first != table["path"], "")
    return Catalog(_with_patients(table, folder, root), rejections, ignored)


def check_counts(table: pd.DataFrame, expected: Mapping[str, int]) -> None:
    """Check the number of images of each class against the numbers that are known.

    Raises
    ------
    CatalogError
        If they differ; the message gives the found and the expected counts.
    """
    found = table["label"].value_counts().to_dict()
    if found != dict(expected):
        raise CatalogError(
            f"found {_count_text(found)}, expected {_count_text(expected)}. Delete the data folder "
            "and fetch it again, or correct expected_counts."
        )


def decode_all(folder: Path | str, table: pd.DataFrame, size: int, cache: Path) -> np.ndarray:
    """Decode and resize every image of a catalog, once ever: later calls read the store.

    The store is keyed by the content of the files, and its folder by the size and the source of
    the decoder, so that a changed decoder never serves old pixels.

    Parameters
    ----------
    folder : path
        The folder that was indexed.
    table : DataFrame
        The catalog's table; uses path and sha256.
    size : int
        Side of the square images, in pixels.
    cache : path
        Folder of the stores.

    Returns
    -------
    uint8 array (len(table), size, size)
        Gray images in the table's row order.

    Raises
    ------
    CatalogError
        If an image has gone or changed since it was indexed.
    """
    source = hashlib.sha256(inspect.getsource(images).encode()).hexdigest()
    store = RowStore(Path(cache) / f"images-{size}-{source[:8]}", (size, size), np.uint8)
    keys = table["sha256"].tolist()
    paths = [Path(folder) / path for path in table["path"]]

    with images.quiet_decoders(), ThreadPoolExecutor() as pool:

        def compute(positions: np.ndarray) -> np.ndarray:
            wanted = [(paths[i], keys[i]) for i in positions]
            return np.stack(list(pool.map(partial(_decode_unchanged, size=size), wanted)))

        store.fill(keys, compute, batch=_DECODE_BATCH, label="decoding images")
    return store.take(keys)


def measure_plane(gray: np.ndarray) -> str:
    """Plane of an abdominal CT slice, from how its tissue meets the upper and lower edge.

    A coronal body runs off the image at the top and at the bottom, there about as wide as in the
    middle; an axial one ends before an edge or, closely cropped, meets it in a narrow arc. On a
    64 x 64 thumbnail, tissue is what is brighter than the darkest 1 % by more than 15 gray levels.
    The slice is coronal if the outermost tissue of the first row and of the last row each spans
    at least 0.8 of the median span in the middle half. An image without contrast counts as axial.

    Parameters
    ----------
    gray : uint8 array (H, W)
        The slice.

    Returns
    -------
    str
        "axial" or "coronal".
    """
    grid = cv2.resize(gray, (_PLANE_GRID, _PLANE_GRID), interpolation=cv2.INTER_AREA)
    tissue = grid > np.percentile(grid, 1) + _TISSUE_CONTRAST
    middle = np.median(_spans(tissue[_PLANE_GRID // 4 : 3 * _PLANE_GRID // 4]))
    edge = _spans(tissue[[0, -1]]).min()
    return "coronal" if edge > 0 and edge >= _CORONAL_EDGE_SPAN * middle else "axial"


def _spans(rows: np.ndarray) -> np.ndarray:
    """Distance from the first to the last True of each row, both counted; 0 where there is none."""
    width = rows.shape[1]
    first, last = rows.argmax(axis=1), width - rows[:, ::-1].argmax(axis=1)
    return np.where(rows.any(axis=1), last - first, 0)


def file_number(name: str) -> int:
    """Last number in a file name without its suffix; -1 if there is none that 64 bits hold."""
    numbers = re.findall(r"[0-9]+", Path(name).stem)
    return int(numbers[-1]) if numbers and int(numbers[-1]) < 2**63 else -1


def natural_key(name: str) -> tuple:
    """Sort key that orders numbers within names by value: "a (2)" before "a (10)"."""
    parts = re.split(r"([0-9]+)", name)  # text and digits take turns, so that like meets like
    return tuple(int(part) if i % 2 else part.casefold() for i, part in enumerate(parts)), name


_FACTS = ("sha256", "width", "height", "plane")


def _inspect(path: Path) -> dict[str, str | int] | str | None:
    """Facts of an image, or why it is rejected, or None if nothing says that it is an image."""
    try:
        with path.open("rb") as file:
            head = file.read(images.HEAD_BYTES)
            if images.format_of(head) is None and path.suffix.lower() not in images.SUFFIXES:
                return None
            data = head + file.read()
        gray = images.read_gray(data)
    except OSError as error:
        return f"the file can't be read ({error.strerror})."
    except ImageError as error:
        return str(error)
    height, width = gray.shape
    facts = (hashlib.sha256(data).hexdigest(), width, height, measure_plane(gray))
    return dict(zip(_FACTS, facts, strict=True))


def _decode_unchanged(wanted: tuple[Path, str], *, size: int) -> np.ndarray:
    path, sha256 = wanted
    try:
        data = path.read_bytes()
    except OSError as error:
        raise CatalogError(f"{path} can't be read ({error.strerror}); index again.") from error
    if hashlib.sha256(data).hexdigest() != sha256:
        raise CatalogError(f"{path} has changed since it was indexed; index the folder again.")
    return images.resize(images.read_gray(data), size)


def _list_files(root: Path, classes: Sequence[str]) -> tuple[list[tuple[str, Path]], int]:
    """Label and path of the files in the class folders, and the count of what lies beside."""
    found = []
    ignored = sum(entry.name not in classes for entry in _entries(root))
    for label in classes:
        entries = sorted(_entries(root / label), key=lambda entry: natural_key(entry.name))
        files = [(label, root / label / entry.name) for entry in entries if not entry.is_dir()]
        ignored += len(entries) - len(files)
        found += files
    return found, ignored


def _entries(folder: Path) -> Iterator[os.DirEntry]:
    """Entries of a folder, without hidden ones, the system's clutter and a cohort's own files."""
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if not entry.name.startswith(".") and entry.name not in _PASSED_OVER:
                    yield entry
    except PermissionError:
        return


def _subfolders(folder: Path) -> list[str]:
    return sorted(entry.name for entry in _entries(folder) if entry.is_dir())


def _find_class_root(folder: Path, classes: Sequence[str]) -> Path:
    """Return the folder itself, or the one folder beneath it, that holds a sub-folder per class."""
    if not folder.is_dir():
        raise CatalogError(
            f"{folder} is not a folder; give the folder that holds one sub-folder per class "
            f"({', '.join(classes)})."
        )
    incomplete = not set(classes).isdisjoint(_subfolders(folder))
    level = [folder]
    for _ in range(1 if incomplete else _SEARCH_DEPTH + 1):
        below = {parent: _subfolders(parent) for parent in level}
        holders = [parent for parent, names in below.items() if set(classes) <= set(names)]
        if len(holders) > 1:
            raise CatalogError(
                f"{folder} holds the classes {len(holders)} times ("
                + ", ".join(str(holder.relative_to(folder)) for holder in holders[:4])
                + "); give one of these folders."
            )
        if holders:
            return holders[0]
        level = [parent / name for parent, names in below.items() for name in names]
    raise _missing_classes(folder, classes)


def _missing_classes(folder: Path, classes: Sequence[str]) -> CatalogError:
    present = _subfolders(folder)
    by_case = {name.casefold(): name for name in present if name not in classes}
    missing = [name for name in classes if name not in present]
    hints = []
    for name in missing:
        if near := difflib.get_close_matches(name.casefold(), by_case, n=1, cutoff=0.8):
            hints.append(f"Is '{by_case[near[0]]}' the class {name}? Then rename that folder.")
    held = ", ".join(present[:8]) if present else "none"
    return CatalogError(
        " ".join(
            [
                f"{folder} has no sub-folder for the class {', '.join(missing)}",
                f"(sub-folders: {held}).",
                *hints,
                "Each class needs a folder of its images; set `classes` to the folders' names.",
            ]
        )
    )


def _require_images(
    root: Path, table: pd.DataFrame, rejected: pd.DataFrame, classes: Sequence[str]
) -> None:
    empty = [name for name in classes if name not in set(table["label"])]
    if not empty:
        return
    reason = f" The first of {len(rejected)} rejected files is " if len(rejected) else ""
    detail = reason and reason + f"{rejected['path'][0]}: {rejected['reason'][0]}"
    raise CatalogError(
        f"{root / empty[0]} holds no readable image; put the images of the class "
        f"{empty[0]} directly into it, or take the class out of `classes`.{detail}"
    )


def _with_patients(table: pd.DataFrame, folder: Path, root: Path) -> pd.DataFrame:
    """Add the patient of each image from patients.csv, whose paths are relative to it."""
    file = root / PATIENTS_FILE
    if not file.exists():
        return table
    try:
        known = pd.read_csv(file, dtype=str, keep_default_na=False)[["path", "patient"]]
    except (OSError, ValueError, KeyError) as error:
        raise CatalogError(
            f"{file} can't be read as a table with the columns path and patient ({error}); "
            "correct or remove it."
        ) from error
    prefix = root.relative_to(folder)
    known["path"] = [(prefix / path).as_posix() for path in known["path"]]
    told = known.groupby("path")["patient"].agg(set).to_dict()
    doubtful = [path for path in table["path"] if len(told.get(path, set()) - {""}) != 1]
    if doubtful:
        raise CatalogError(
            f"{file} gives no single patient for {len(doubtful)} images, {doubtful[0]} among them; "
            "complete it or remove it."
        )
    return table.assign(patient=[next(iter(told[path])) for path in table["path"]])


def _count_text(counts: Mapping[str, int]) -> str:
    each = ", ".join(f"{name} {count:,}" for name, count in sorted(counts.items()))
    return f"{sum(counts.values()):,} images ({each})"

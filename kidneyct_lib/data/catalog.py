"""The catalog: one row per image of a folder of class sub-folders, and the decoded image store."""

import hashlib
import inspect
import re
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import pandas as pd
from tqdm import tqdm

from kidneyct_lib.core.array_cache import RowStore
from kidneyct_lib.data import image_io
from kidneyct_lib.data.image_folder import PATIENTS_FILE, CatalogError, Layout, find_layout
from kidneyct_lib.data.image_io import ImageError

_DECODE_BATCH = 256

_PLANE_GRID = 64
_TISSUE_CONTRAST = 15
_CORONAL_EDGE_SPAN = 0.8


@dataclass(frozen=True)
class Catalog:
    """What `index_folder` found.

    Attributes
    ----------
    table : DataFrame
        One row per image: path (relative to the indexed folder, posix), label, number (the last
        number in the file name, -1 if none), sha256 (of the file), width, height (pixels), plane
        ("axial" or "coronal"), duplicate_of (path of the first identical file, "" if none), part
        ("train" or "test") where the folder comes divided, and patient where it has a
        patients.csv.
    rejected : DataFrame
        Images that can't be read, left out of `table`: path, reason.
    ignored : int
        Number of other files and folders beside and in the class folders. Hidden ones, those of
        the system, masks/ and patients.csv are not counted.
    """

    table: pd.DataFrame
    rejected: pd.DataFrame
    ignored: int


class Selection(NamedTuple):
    """The images that a study uses.

    Attributes
    ----------
    table : DataFrame
        Rows of a catalog's table, numbered anew.
    left_out : dict
        {why: number of images}, an entry for each rule that the study or its folder has.
    """

    table: pd.DataFrame
    left_out: dict[str, int]


def index_folder(
    folder: Path | str, classes: Sequence[str], class_folders: Mapping[str, str] | None = None
) -> Catalog:
    """Index the images that lie directly in the class sub-folders of a folder.

    Parameters
    ----------
    folder : path
        Holds one sub-folder per class, or a single folder that does, at most three levels down.
        Instead of one folder there may be two, named train and test in any case, each with a
        sub-folder per class: a test part that the images come with.
    classes : sequence of str
        Names of the class sub-folders. Rows follow their order, then the natural order of names,
        within each class training images first where the folder comes divided.
    class_folders : mapping, optional
        {sub-folder: class} of sub-folders that are not called as their class.

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
    layout = find_layout(folder, classes, class_folders or {})
    files, ignored = layout.files, layout.ignored
    with image_io.quiet_decoders(), ThreadPoolExecutor() as pool:
        facts = pool.map(_inspect, [path for _, path in files])
        results = list(tqdm(facts, total=len(files), desc="indexing images", unit="image"))
    rows, rejected = [], []
    for (place, path), result in zip(files, results, strict=True):
        name = path.relative_to(folder).as_posix()
        if result is None:
            ignored += 1
        elif isinstance(result, str):
            rejected.append({"path": name, "reason": result})
        else:
            known = {"path": name, "label": place.label, "number": file_number(path.name)}
            rows.append(known | result | {"duplicate_of": "", "part": place.part})
    columns = ["path", "label", "number", *_FACTS, "duplicate_of", "part"]
    table = pd.DataFrame(rows, columns=columns)
    rejections = pd.DataFrame(rejected, columns=["path", "reason"])
    _require_images(layout, table, rejections)
    table = _with_duplicates(table if layout.divided else table.drop(columns="part"))
    return Catalog(_with_patients(table, folder, layout), rejections, ignored)


def select(table: pd.DataFrame, classes: Sequence[str], *, plane: str | None) -> Selection:
    """Choose the images that a study uses.

    Where the folder came with a test part, a training image with the same bytes as a test image
    is left out, so that the test part stays what it was and stands on one side.

    Parameters
    ----------
    table : DataFrame
        From `index_folder`.
    classes : sequence of str
        The study's classes.
    plane : {"axial", "coronal"} or None
        Measured plane of the images to keep; None: every image.

    Raises
    ------
    CatalogError
        If a class has no image left.
    """
    left_out = {}
    if plane is not None:
        wanted = table["plane"] == plane
        left_out["other plane"] = int((~wanted).sum())
        for label in classes:
            if not (wanted & (table["label"] == label)).any():
                raise CatalogError(
                    f"None of the {(table['label'] == label).sum():,} images of the class {label} "
                    f"is {plane}, as measured from the images. Set `plane: null` to use images "
                    "of every plane, or give a folder that has this one."
                )
        table = table[wanted]
    if "part" in table:
        tested = table.loc[table["part"] == "test", "sha256"]
        copy = (table["part"] == "train") & table["sha256"].isin(tested)
        left_out["training copy of a test image"] = int(copy.sum())
        table = table[~copy]
    return Selection(_with_duplicates(table.reset_index(drop=True)), left_out)


def check_counts(table: pd.DataFrame, expected: Mapping[str, int]) -> None:
    """Check the number of images of each class against the numbers that are known.

    Raises
    ------
    CatalogError
        If they differ; the message gives the found and the expected counts.
    """
    counts = table["label"].value_counts().to_dict()
    if counts != dict(expected):
        raise CatalogError(
            f"found {_count_text(counts)}, expected {_count_text(expected)}. Delete the data "
            "folder and fetch it again, or correct expected_counts."
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
    source = hashlib.sha256(inspect.getsource(image_io).encode()).hexdigest()
    store = RowStore(Path(cache) / f"images-{size}-{source[:8]}", (size, size), np.uint8)
    keys = table["sha256"].tolist()
    paths = [Path(folder) / path for path in table["path"]]

    with image_io.quiet_decoders(), ThreadPoolExecutor() as pool:

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


_FACTS = ("sha256", "width", "height", "plane")


def _inspect(path: Path) -> dict[str, str | int] | str | None:
    """Facts of an image, or why it is rejected, or None if nothing says that it is an image."""
    try:
        with path.open("rb") as file:
            head = file.read(image_io.HEAD_BYTES)
            if image_io.format_of(head) is None and path.suffix.lower() not in image_io.SUFFIXES:
                return None
            data = head + file.read()
        gray = image_io.read_gray(data)
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
    return image_io.resize(image_io.read_gray(data), size)


def _require_images(layout: Layout, table: pd.DataFrame, rejected: pd.DataFrame) -> None:
    held = set(zip(table["label"], table["part"], strict=True))
    for label, part, path in layout.folders:
        if (label, part) not in held:
            reason = f" The first of {len(rejected)} rejected files is " if len(rejected) else ""
            detail = reason and reason + f"{rejected['path'][0]}: {rejected['reason'][0]}"
            raise CatalogError(
                f"{path} holds no readable image; put the images of the class {label} directly "
                f"into it, or take the class out of `classes`.{detail}"
            )


def _with_duplicates(table: pd.DataFrame) -> pd.DataFrame:
    """Name for each file the first of the table with the same bytes, where it is another."""
    first = table.groupby("sha256")["path"].transform("first")
    return table.assign(duplicate_of=first.where(first != table["path"], ""))


def _with_patients(table: pd.DataFrame, folder: Path, layout: Layout) -> pd.DataFrame:
    """Add the patient of each image from each patients.csv, whose paths are relative to it."""
    files = [place / PATIENTS_FILE for place in layout.places]
    files = [file for file in files if file.exists()]
    if not files:
        return table
    patients: dict[str, set[str]] = {}
    for file in files:
        for path, patient in _patients_in(file):
            name = (file.parent.relative_to(folder) / path).as_posix()
            patients.setdefault(name, set()).add(patient)
    doubtful = [path for path in table["path"] if len(patients.get(path, set()) - {""}) != 1]
    if doubtful:
        raise CatalogError(
            f"{files[0]} gives no single patient for {len(doubtful)} images, {doubtful[0]} among "
            "them; complete it or remove it."
        )
    return table.assign(patient=[next(iter(patients[path])) for path in table["path"]])


def _patients_in(file: Path) -> list[tuple[str, str]]:
    """Path and patient of each row of a patients.csv."""
    try:
        known = pd.read_csv(file, dtype=str, keep_default_na=False)[["path", "patient"]]
    except (OSError, ValueError, KeyError) as error:
        raise CatalogError(
            f"{file} can't be read as a table with the columns path and patient ({error}); "
            "correct or remove it."
        ) from error
    return list(known.itertuples(index=False, name=None))


def _count_text(counts: Mapping[str, int]) -> str:
    each = ", ".join(f"{name} {count:,}" for name, count in sorted(counts.items()))
    return f"{sum(counts.values()):,} images ({each})"

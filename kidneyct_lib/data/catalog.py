"""The catalog: one row per image of a folder of class sub-folders, and the decoded image store."""

import hashlib
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import repeat
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from tqdm import tqdm
from tqdm.contrib.concurrent import thread_map

from kidneyct_lib.core.array_cache import RowStore
from kidneyct_lib.data import image_io, known_patients
from kidneyct_lib.data.body import measure_plane
from kidneyct_lib.data.image_folder import CatalogError, Layout, find_layout
from kidneyct_lib.data.image_io import ImageError

_DECODE_BATCH = 256
# Modules whose code decides the pixels.
_DECODERS = ("image_io.py", "dicom.py", "dicom_values.py", "hounsfield.py")


@dataclass(frozen=True)
class Catalog:
    """What `index_folder` found.

    Attributes
    ----------
    table : DataFrame
        One row per image: path (relative to the indexed folder, posix), label, number (the last
        number in the file name, -1 if none), sha256 (of the file), width, height (pixels), plane
        ("axial" or "coronal"), duplicate_of (path of the first identical file, "" if none), part
        ("train" or "test") where the folder comes divided, warning ("" of most) where any image may
        not show a CT slice in its true gray levels, and patient where any is known ("" of the
        others): by a patients.csv, a sub-folder of the class, or DICOM.
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
    folder: Path | str,
    classes: Sequence[str],
    class_folders: Mapping[str, str] | None = None,
    *,
    salt: bytes = b"",
) -> Catalog:
    """Index the images in the class sub-folders of a folder, and in the sub-folders of these.

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
    salt : bytes, optional
        From `known_patients.salt`: the patients of DICOM files are known by their hash. Without
        one, they are not looked up.

    Raises
    ------
    CatalogError
        If the folder or a class sub-folder is missing, a class has no readable image, or
        patients.csv does not name the patient of each image.
    """
    folder = Path(folder)
    layout = find_layout(folder, classes, class_folders or {})
    files = [(place, path) for place in layout.folders for path in place.files]
    paths = [path for _, path in files]
    with image_io.quiet_decoders():
        inspect = partial(_inspect, salt=salt)
        results = thread_map(inspect, paths, tqdm_class=tqdm, desc="indexing images", unit="image")
    rows, rejected, ignored = [], [], layout.ignored
    for (place, path), result in zip(files, results, strict=True):
        name = path.relative_to(folder).as_posix()
        readable = name.encode(errors="backslashreplace").decode()
        if readable != name:  # bytes that are no text, which no table can hold
            rejected.append({"path": readable, "reason": "the file's name is no text; rename it."})
        elif result is None:
            ignored += 1
        elif isinstance(result, str):
            rejected.append({"path": name, "reason": result})
        else:
            known = {"path": name, "label": place.label, "number": file_number(path.name)}
            more = {"duplicate_of": "", "part": place.part, "warning": result.pop("warning")}
            of_file = result.pop("patient")
            more["patient"] = known_patients.of_folder(path, place) or of_file
            rows.append(known | result | more)
    _require_images(layout, rows, rejected)
    table = _with_duplicates(pd.DataFrame(rows))
    if table["patient"].nunique() == 1:  # anonymised files share a made-up number
        table["patient"] = ""
    if patients := known_patients.patients_of(folder, layout.places, table["path"].tolist()):
        table["patient"] = patients
    unknown = [name for name in ("part", "patient", "warning") if (table[name] == "").all()]
    table = table.drop(columns=unknown)
    return Catalog(table, pd.DataFrame(rejected, columns=["path", "reason"]), ignored)


def select(
    table: pd.DataFrame,
    classes: Sequence[str],
    *,
    plane: str | None,
    but: Sequence[str] = (),
) -> Selection:
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
    but : sequence of str
        sha256 of files to leave out, as those of the study from a set that is to be another one.

    Raises
    ------
    CatalogError
        If a class has no image left in the plane, or none is left at all.
    """
    left_out = {}
    if len(but):
        own = table["sha256"].isin(but)
        left_out["image of the study itself"] = int(own.sum())
        table = table[~own]
        if table.empty:
            raise CatalogError(
                "All of these images are the study's own: an external set has other ones."
            )
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


def of_two_classes(table: pd.DataFrame) -> list[str]:
    """List the files of a catalog that stand in several classes: each file's paths, joined."""
    several = table.groupby("sha256")["label"].transform("nunique") > 1
    return table[several].groupby("sha256", sort=False)["path"].agg(" and ".join).tolist()


def of_both_parts(table: pd.DataFrame) -> dict[str, int]:
    """Count the images of each known patient who stands in both parts that a folder came with."""
    if not {"part", "patient"} <= set(table):
        return {}
    known = table[table["patient"] != ""]
    both = known.groupby("patient")["part"].transform("nunique") > 1
    return dict(Counter(known.loc[both, "patient"]))


def doubts(table: pd.DataFrame) -> dict[str, int]:
    """Count the images that may not show a CT slice in its true gray levels, by why not."""
    warnings = table.get("warning", pd.Series(dtype=str))
    return dict(Counter(warnings[warnings != ""]))


def check_counts(table: pd.DataFrame, expected: Mapping[str, int]) -> None:
    """Check the number of images of each class against the numbers that are known.

    Raises
    ------
    CatalogError
        If they differ; the message gives the found and the expected counts.
    """
    counts = Counter(table["label"])
    if counts != dict(expected):
        raise CatalogError(
            f"found {_count_text(counts)}, expected {_count_text(expected)}. Complete the folder, "
            "name an empty one with DATA=path to fetch the set again, or correct expected_counts."
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
    store, keys = _decoded(folder, table, size, cache)
    return store.take(keys)


def decoded_blocks(
    folder: Path | str, table: pd.DataFrame, size: int, cache: Path, *, block: int
) -> Iterator[np.ndarray]:
    """Decode as `decode_all` does, and yield so many images at a time, (block, size, size)."""
    store, keys = _decoded(folder, table, size, cache)
    for start in range(0, len(keys), block):
        yield store.take(keys[start : start + block])


def thinned(table: pd.DataFrame, most: int | None) -> pd.DataFrame:
    """Keep at most so many slices of each group and class, spread evenly over its numbers.

    Adjacent slices tell next to nothing that is new: what is measured between patients hardly
    changes, and costs less.

    Parameters
    ----------
    table
        Catalog: ``label``, ``group``, ``number``.
    most
        Slices to keep of each, 1 or more; None: all.

    Returns
    -------
    DataFrame of the kept rows, in their order and with their index.
    """
    if most is None:
        return table
    kept: list = []
    for _, rows in table.sort_values("number").groupby(["label", "group"]):
        places = np.linspace(0, len(rows) - 1, min(most, len(rows))).round().astype(int)
        kept += rows.index[places].tolist()
    return table.loc[sorted(kept)]


def file_number(name: str) -> int:
    """Last number in a file name without its suffix; -1 if there is none that 64 bits hold."""
    numbers = re.findall(r"[0-9]+", Path(name).stem)
    return int(numbers[-1]) if numbers and int(numbers[-1]) < 2**63 else -1


def _inspect(path: Path, *, salt: bytes) -> dict[str, str | int] | str | None:
    """Facts of an image, or why it is rejected, or None if nothing says that it is an image."""
    try:
        data = image_io.read_file(path)
        if image_io.format_of(data) is None and path.suffix.lower() not in image_io.SUFFIXES:
            return None
        picture = image_io.read(data)
    except ImageError as error:
        return str(error)
    gray = picture.gray
    height, width = gray.shape
    sha256, plane = hashlib.sha256(data).hexdigest(), measure_plane(gray)
    facts = {"sha256": sha256, "width": width, "height": height, "plane": plane}
    patient = known_patients.of_dicom(data, salt) if salt else ""
    return facts | {"warning": picture.warning, "patient": patient}


def _decoded(
    folder: Path | str, table: pd.DataFrame, size: int, cache: Path
) -> tuple[RowStore, list[str]]:
    """Store of the decoded images, each in it, and their keys."""
    decoders = (Path(__file__).with_name(name).read_bytes() for name in _DECODERS)
    source = hashlib.sha256(b"".join(decoders)).hexdigest()
    store = RowStore(Path(cache) / f"images-{size}-{source[:8]}", (size, size), np.uint8)
    keys = table["sha256"].tolist()

    with image_io.quiet_decoders(), ThreadPoolExecutor() as pool:

        def compute(positions: np.ndarray) -> np.ndarray:
            wanted = table.iloc[positions]
            paths = [Path(folder) / path for path in wanted["path"]]
            return np.stack(list(pool.map(_decode, paths, wanted["sha256"], repeat(size))))

        store.fill(keys, compute, batch=_DECODE_BATCH, label="decoding images")
    return store, keys


def _decode(path: Path, sha256: str, size: int) -> np.ndarray:
    """Gray image at its new size, of a file that is still the one of this sha256."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise CatalogError(f"{path} can't be read ({error.strerror}); index again.") from error
    if hashlib.sha256(data).hexdigest() != sha256:
        raise CatalogError(f"{path} has changed since it was indexed; index the folder again.")
    return image_io.resize(image_io.read_gray(data), size)


def _require_images(layout: Layout, rows: Sequence[dict], rejected: Sequence[dict]) -> None:
    held = {(row["label"], row["part"]) for row in rows}
    for label, part, path, _ in layout.folders:
        if (label, part) not in held:
            first = " The first of {} rejected files is {path}: {reason}"
            detail = first.format(len(rejected), **rejected[0]) if rejected else ""
            raise CatalogError(
                f"{path} holds no readable image; put the images of the class {label} directly "
                f"into it, or take the class out of `classes`.{detail}"
            )


def _with_duplicates(table: pd.DataFrame) -> pd.DataFrame:
    """Name for each file the first of the table with the same bytes, where it is another."""
    first = table.groupby("sha256")["path"].transform("first")
    return table.assign(duplicate_of=first.where(first != table["path"], ""))


def _count_text(counts: Mapping[str, int]) -> str:
    each = ", ".join(f"{name} {count:,}" for name, count in sorted(counts.items()))
    return f"{sum(counts.values()):,} images ({each})"

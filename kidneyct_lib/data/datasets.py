"""Where a study's images come from: a generated cohort, the public set, or a folder."""

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pandas as pd
from filelock import FileLock

from kidneyct_lib.core.errors import StudyError
from kidneyct_lib.core.files import file_digest
from kidneyct_lib.data import image_io, kaggle, phantom
from kidneyct_lib.data.phantom import CohortSpec
from kidneyct_lib.study.parameters import digest


def obtain(
    source: str,
    data: str | None,
    cohort: CohortSpec,
    *,
    cache: Path,
    expected_counts: Mapping[str, int] | None = None,
) -> Path:
    """Folder of the study's images, made or fetched where it is not there yet.

    Parameters
    ----------
    source : {"phantom", "kaggle", "folder"}
        Where the images come from.
    data : str or None
        The folder itself (`folder`); a copy of the public set, or where its download goes
        (`kaggle`; None: the copy that a machine of Kaggle's holds, else the cache).
    cohort : CohortSpec
        What is generated (`phantom`); its classes are the study's.
    cache : Path
        Folder of everything that can be computed or fetched again.
    expected_counts : mapping, optional
        {class: number of images} that a copy of the public set must have (`kaggle`).

    Raises
    ------
    StudyError
        If the images can't be had; the message says how to go on.
    """
    if source == "phantom":
        return _generated(cohort, cache)
    if source == "kaggle":
        place = Path(data) if data else kaggle.mounted() or cache / "kaggle"
        return kaggle.fetch_kaggle(place, cohort.classes, expected_counts)
    if data is None:
        raise StudyError("This study needs a folder of images: give it as DATA=path.")
    return Path(data)


def obtain_external(
    source: str, external: str | None, cohort: CohortSpec, *, cache: Path
) -> Path | None:
    """Folder of external images: the given one, other phantoms on another scanner, or None.

    Parameters as in `obtain`; `external` is a folder of class sub-folders.
    """
    if external is not None:
        return Path(external)
    if source == "phantom":
        return _generated(replace(cohort, seed=cohort.seed + 1, scanner="B"), cache)
    return None


def mask_folder(source: str, folder: Path, masks: str | None) -> Path | None:
    """Folder of the lesions' masks: the given one, the phantom's own below its `folder`, or None.

    Raises
    ------
    StudyError
        If the given one is no folder.
    """
    if masks is None:
        return folder / "masks" if source == "phantom" else None
    if not Path(masks).is_dir():
        raise StudyError(f"MASKS={masks} is no folder: name the one that holds the class folders.")
    return Path(masks)


def lesion_masks(masks: Path | None, paths: Sequence[str], size: int) -> np.ndarray:
    """Read the lesions of N slices at another size: bool (N, size, size).

    True are the pixels of which at least half is lesion; one at least where there is any.

    Parameters
    ----------
    masks
        Folder of images that are white where the lesion is, each at its slice's path with the
        ending ".png"; None: no lesion is known.
    paths, size
        Of the slices, relative to their own folder; side of the result in pixels. A slice without
        a mask has none of its pixels in a lesion.

    Raises
    ------
    ImageError
        If a mask can't be read.
    """
    lesions = np.zeros((len(paths), size, size), bool)
    for lesion, path in zip(lesions, paths, strict=True):
        if masks and (file := masks / Path(path).with_suffix(".png")).exists():
            share = image_io.resize(image_io.read_gray(file), size) / 255
            lesion[:] = (share >= min(0.5, share.max())) & (share > 0)
    return lesions


def masked_classes(masks: Path | None, table: pd.DataFrame, classes: Sequence[str]) -> list[str]:
    """Classes of which a slice has a mask with a lesion, in their order.

    `masks` is as `lesion_masks` takes it, `table` a catalog with ``path`` and ``label``.
    """
    paths = table.groupby("label")["path"].agg(list)
    return [
        name
        for name in (classes if masks else ())
        if any(lesion_masks(masks, [path], 32).any() for path in paths.get(name, []))
    ]


def _generated(cohort: CohortSpec, cache: Path) -> Path:
    drawing = [
        path.read_text(encoding="utf-8")
        for path in sorted(Path(phantom.__file__).parent.glob("*.py"))
    ]
    folder = cache / f"phantom-{digest(asdict(cohort) | {'drawing': drawing})[:12]}"
    known = cache / f"{folder.name}.sha256"
    try:
        cache.mkdir(parents=True, exist_ok=True)
        with FileLock(cache / f"{folder.name}.lock"):
            if not known.exists() or known.read_bytes() != _digest_of(folder).encode():
                for remains in [folder, *cache.glob(f".{folder.name}.*")]:
                    shutil.rmtree(remains, ignore_errors=True)
                phantom.write_cohort(folder, cohort)
                known.write_text(_digest_of(folder), encoding="utf-8")
    except OSError as error:
        raise StudyError(
            f"{cache} can't hold the phantom's images: {error}; mend this or change cache_folder."
        ) from error
    return folder


def _digest_of(folder: Path) -> str:
    """sha256 (hex) of the names and contents of all files below a folder."""
    files = (path for path in folder.rglob("*") if path.is_file())
    return digest({path.relative_to(folder).as_posix(): file_digest(path) for path in files})

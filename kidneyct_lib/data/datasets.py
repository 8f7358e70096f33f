"""Where a study's images come from: a generated cohort, the public set, or a folder."""

import hashlib
import json
import shutil
from pathlib import Path

from filelock import FileLock

from kidneyct_lib.core.errors import StudyError
from kidneyct_lib.core.files import file_digest
from kidneyct_lib.data import kaggle, phantom
from kidneyct_lib.study.parameters import digest


def obtain(
    source: str,
    data: str | None,
    *,
    cache: Path,
    classes: list[str],
    patients: int,
    slices: list[int],
    size: int,
    seed: int,
    plane: str | None,
) -> Path:
    """Folder of the study's images, made or fetched where it is not there yet.

    Parameters
    ----------
    source : {"phantom", "kaggle", "folder"}
        Where the images come from.
    data : str or None
        The folder itself (`folder`), or where the download goes (`kaggle`; None: the cache).
    cache : Path
        Folder of everything that can be computed or fetched again.
    classes : list of str
        Names of the classes.
    patients, slices, size, seed, plane
        Of a generated cohort: patients per class, fewest and most slices of each, side in pixels,
        and "axial", "coronal" or None, which draws axial slices.

    Raises
    ------
    StudyError
        If the images can't be had; the message says how to go on.
    """
    if source == "phantom":
        return _generated(cache, classes, patients, slices, size, seed, plane, scanner="A")
    if source == "kaggle":
        return kaggle.fetch_kaggle(Path(data) if data else cache / "kaggle", classes)
    if data is None:
        raise StudyError("This study needs a folder of images: give it as DATA=path.")
    return Path(data)


def obtain_external(
    source: str,
    external: str | None,
    *,
    cache: Path,
    classes: list[str],
    patients: int,
    slices: list[int],
    size: int,
    seed: int,
    plane: str | None,
) -> Path | None:
    """Folder of external images: the given one, other phantoms on another scanner, or None.

    Parameters as in `obtain`; `external` is a folder of class sub-folders.
    """
    if external is not None:
        return Path(external)
    if source == "phantom":
        return _generated(cache, classes, patients, slices, size, seed + 1, plane, scanner="B")
    return None


def _generated(cache, classes, patients, slices, size, seed, plane, *, scanner) -> Path:
    cohort = {
        "classes": classes,
        "patients_per_class": patients,
        "slices_per_patient": tuple(slices),
        "size": size,
        "seed": seed,
        "plane": plane or "axial",
        "scanner": scanner,
    }
    drawing = [path.read_text() for path in sorted(Path(phantom.__file__).parent.glob("*.py"))]
    folder = cache / f"phantom-{digest(cohort | {'drawing': drawing})[:12]}"
    known = cache / f"{folder.name}.sha256"
    try:
        cache.mkdir(parents=True, exist_ok=True)
        with FileLock(cache / f"{folder.name}.lock"):
            if not known.exists() or known.read_bytes() != _digest_of(folder).encode():
                for remains in [folder, *cache.glob(f".{folder.name}.*")]:
                    shutil.rmtree(remains, ignore_errors=True)
                phantom.write_cohort(folder, **cohort)
                known.write_text(_digest_of(folder))
    except OSError as error:
        raise StudyError(
            f"{cache} can't hold the phantom's images: {error}; mend this or change cache_folder."
        ) from error
    return folder


def _digest_of(folder: Path) -> str:
    """sha256 (hex) of the names and contents of all files below a folder."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    names = [(path.relative_to(folder).as_posix(), file_digest(path)) for path in files]
    return hashlib.sha256(json.dumps(names).encode()).hexdigest()

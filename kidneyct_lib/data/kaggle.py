"""The public data set from Kaggle: an unzipped copy that is there, or else a download."""

import csv
import errno
import io
import shutil
import zipfile
import zlib
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import redirect_stdout
from pathlib import Path, PurePosixPath

from filelock import FileLock
from tqdm import tqdm

from kidneyct_lib.core.errors import StudyError
from kidneyct_lib.data.image_folder import CatalogError, find_layout
from kidneyct_lib.data.image_io import SUFFIXES

DATASET = "nazmul0087/ct-kidney-dataset-normal-cyst-tumor-and-stone"
INPUT = Path("/kaggle/input")
"""Where Kaggle's own machines hold the data sets that were added to a notebook."""

_SLUG = DATASET.split("/")[1]
_TABLE = "kidneyData.csv"  # the archive's own list of its images
_DATA = (
    "Name with DATA=path the folder of the unzipped archive, or an empty or new one to download it "
    "into; STUDY=folder studies other images."
)
_BY_HAND = f"""
  Without Kaggle's API, download and unzip https://www.kaggle.com/datasets/{DATASET}
  in a browser and run: make reproduce STUDY=kaggle DATA=path/of/the/unzipped/folder"""
_LOG_IN = """
  To log in, create a token at https://www.kaggle.com/settings/api and set KAGGLE_API_TOKEN to it
  or save it as ~/.kaggle/access_token (an older key: KAGGLE_USERNAME and KAGGLE_KEY, or
  ~/.kaggle/kaggle.json); then run the same command again, it resumes."""


class DownloadError(StudyError):
    """The data set can't be fetched; the message says why and what else can be done."""


def mounted() -> Path | None:
    """Folder of the set on a machine of Kaggle's, where it was added to the notebook; or None."""
    places = (INPUT / _SLUG, INPUT / "datasets" / DATASET)
    return next((place for place in places if place.is_dir()), None)


def fetch_kaggle(
    folder: Path | str, classes: Sequence[str], expected: Mapping[str, int] | None = None
) -> Path:
    """Find the public kidney CT set in a folder, or fetch it into one that is empty or new.

    A copy is taken as it lies, also below the archive's doubled folder; nothing is written beside
    it. Where the archive's own table kidneyData.csv lies in the folder, beside the class folders or
    between, its columns ``image_id`` and ``Class`` must say of each image what its folder does. A
    table whose first line does not name ``image_id`` is another one and passed over.

    The archive is downloaded by the kaggle package, which resumes a download that was cut off,
    with the user's credentials or anonymously. Its images are unpacked to `images/<Class>/<name>`,
    which takes this name when it is complete, so that an interrupted call leaves nothing that looks
    finished.

    Parameters
    ----------
    folder : path
        Of the copy, or where the download is kept; a folder that holds nothing but hidden files
        is empty.
    classes : sequence of str
        Names of the class folders; there must be images of each.
    expected : mapping, optional
        {class: number of images} of a complete copy, where it is known.

    Returns
    -------
    Path
        The folder that holds one sub-folder of images per class.

    Raises
    ------
    CatalogError
        If the folder holds something else than a complete copy, which is left as it is, or the
        table disagrees with the class folders.
    DownloadError
        If Kaggle can't be reached or refuses, the disk is full, or the archive is damaged or
        lacks a class.
    """
    folder = Path(folder)
    if folder.is_file():
        raise CatalogError(f"{folder} is a file; unzip it, if it is the archive. {_DATA}")
    try:
        if not _visible(folder):
            _fetch(folder, classes)
        return _checked_copy(folder, classes, expected)
    except OSError as error:
        raise DownloadError(_explain(error, folder)) from error


def _visible(folder: Path) -> list[str]:
    """Names of what a folder holds, without hidden ones."""
    if not folder.is_dir():
        return []
    entries = sorted(path for path in folder.iterdir() if path.name[0] != ".")
    return [f"{path.name}/" if path.is_dir() else path.name for path in entries]


def _checked_copy(folder: Path, classes: Sequence[str], expected: Mapping[str, int] | None) -> Path:
    """Folder of the class folders of a complete copy."""
    try:
        places = find_layout(folder, classes, {}).folders
    except CatalogError as error:
        raise _no_copy(folder, classes) from error
    root = places[0].path.parent
    if any(place.path.parent != root for place in places):
        raise _no_copy(folder, classes)
    images = {
        path: place.label
        for place in places
        for path in place.files
        if path.suffix.lower() in SUFFIXES
    }
    _check_counts(root, Counter(images.values()), expected)
    above = [root, *root.parents]
    for place in above[: above.index(folder) + 1]:
        if (place / _TABLE).is_file():
            _check_labels(place / _TABLE, images, classes)
    return root


def _no_copy(folder: Path, classes: Sequence[str]) -> CatalogError:
    names = _visible(folder)
    more = f" and {len(names) - 8} more" if len(names) > 8 else ""
    return CatalogError(
        f"{folder} is neither a copy of the public set nor empty: it holds "
        f"{', '.join(names[:8])}{more}, but not exactly one folder with a sub-folder "
        f"per class ({', '.join(classes)}). It was left as it is. {_DATA}"
    )


def _check_counts(root: Path, found: Counter[str], expected: Mapping[str, int] | None) -> None:
    wrong = [
        f"{label} has {found[label]:,} images, not {count:,}"
        for label, count in (expected or {}).items()
        if found[label] != count
    ]
    if wrong:
        raise CatalogError(
            f"{root} is no complete copy of the public set (expected_counts): {'; '.join(wrong)}. "
            f"It was left as it is. {_DATA}"
        )


def _check_labels(table: Path, images: Mapping[Path, str], classes: Sequence[str]) -> None:
    """Compare the class of each image, which its folder says, with the archive's own table."""
    rows = _rows(table)
    if rows is None:
        return
    again = "Take both from the archive again; without that table nothing is compared."
    listed = dict(rows)
    for path, label in images.items():
        if (said := listed.get(path.stem)) != label:
            says = f"says {said}" if said else "names no class for it"
            raise CatalogError(
                f"{path} lies in the folder of the class {label}, but {table} {says}. {again}"
            )
    names = {path.stem for path in images}
    found, count = Counter(images.values()), Counter(label for _, label in rows)
    for label in classes:
        if found[label] != count[label]:
            lost = next((name for name, of in rows if of == label and name not in names), None)
            raise CatalogError(
                f"{table} lists {count[label]:,} images of the class {label}, its folder holds "
                f"{found[label]:,}{f'; {lost} is missing' if lost else ''}. {again}"
            )


def _rows(table: Path) -> list[tuple[str, str]] | None:
    """Name and class of each image that the archive's table lists; None if it is another table."""
    lines = table.read_text("utf-8-sig", errors="replace").splitlines()
    if not lines or "image_id" not in lines[0]:
        return None
    try:
        return [(row["image_id"], row["Class"]) for row in csv.DictReader(lines)]
    except (csv.Error, KeyError) as error:
        raise CatalogError(
            f"{table} is no table with the columns image_id and Class, separated by commas; take "
            "it from the archive again, or remove it."
        ) from error


def _fetch(folder: Path, classes: Sequence[str]) -> None:
    images, work = folder / "images", folder / ".download"
    work.mkdir(parents=True, exist_ok=True)
    with FileLock(work / "lock"):
        if not images.is_dir():
            archive = _download(work)
            _unpack(archive, images, classes)
            archive.unlink()


def _download(work: Path) -> Path:
    """Archive of the data set; a complete one from an earlier call is not fetched again."""
    complete, arriving = work / "complete.zip", work / f"{_SLUG}.zip"
    if not complete.exists():
        try:
            with redirect_stdout(io.StringIO()):  # without credentials the import prints a manual
                import kaggle
            kaggle.api.dataset_download_files(DATASET, path=str(work), quiet=False)
        except (Exception, SystemExit) as error:  # older versions exit where they may not log in
            if not isinstance(error, OSError):  # what has arrived may be of another answer
                arriving.unlink(missing_ok=True)
            raise DownloadError(_explain(error, work.parent)) from error
        arriving.replace(complete)
    return complete


def _unpack(archive: Path, images: Path, classes: Sequence[str]) -> None:
    unpacking = archive.with_name("images")
    shutil.rmtree(unpacking, ignore_errors=True)
    try:
        with zipfile.ZipFile(archive) as bundle:
            members = _members(bundle, classes)
            need = sum(member.file_size for member, _ in members)
            free = shutil.disk_usage(images.parent).free
            if need > free:
                raise DownloadError(
                    f"unpacking needs {need / 1e9:.2f} GB and the disk of {images.parent} has "
                    f"{free / 1e9:.2f} GB; free some space or choose another data folder."
                )
            for member, place in tqdm(members, desc="unpacking", unit="image"):
                target = unpacking / place
                target.parent.mkdir(parents=True, exist_ok=True)
                with bundle.open(member) as source, target.open("xb") as sink:
                    shutil.copyfileobj(source, sink)
    except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, ValueError) as error:
        archive.unlink()
        raise DownloadError(
            f"the downloaded archive was damaged ({error}) and has been deleted; "
            "run the same command again."
        ) from error
    unpacking.replace(images)


def _members(bundle: zipfile.ZipFile, classes: Sequence[str]) -> list[tuple[zipfile.ZipInfo, str]]:
    """Images of the classes in the archive, each with its place, `<Class>/<name>`."""
    members, missing = [], dict.fromkeys(classes)
    for member in bundle.infolist():
        path = PurePosixPath(member.filename)
        hidden = path.name.startswith(".") or "__MACOSX" in path.parts
        if path.parent.name in classes and path.suffix.lower() in SUFFIXES and not hidden:
            # Only the last two parts of the path are used, so no member can leave the folder.
            members.append((member, f"{path.parent.name}/{path.name}"))
            missing.pop(path.parent.name, None)
    if missing:
        raise DownloadError(
            f"the archive of {DATASET} holds no images of the class {', '.join(missing)}; "
            "correct `classes`, or look at the data set's page for what has changed."
        )
    return members


def _explain(error: BaseException, folder: Path) -> str:
    """One message for whatever stopped the download."""
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return (
            f"the disk of {folder} is full. Free some space or choose another data folder, and run "
            "the same command again: the download resumes."
        )
    if isinstance(error, OSError) and error.filename is not None:
        return f"the data folder can't be used ({error}); name another one with DATA=path."
    if isinstance(error, SystemExit):
        return f"Kaggle refused the download of {DATASET}.{_LOG_IN}{_BY_HAND}"
    if (answer := getattr(error, "response", None)) is not None:
        return _explain_status(answer.status_code, answer.headers.get("Retry-After", ""))
    if isinstance(error, OSError):  # so are all connection errors, those of requests too
        problem = f"Kaggle can't be reached to download {DATASET}, or the connection broke"
        return f"{problem} (no network?); run the same command again, it resumes.{_BY_HAND}"
    problem = f"the download of {DATASET} failed ({type(error).__name__}: {error})"
    return f"{problem}; run the same command again.{_BY_HAND}"


def _explain_status(status: int, wait: str) -> str:
    """Message for an HTTP status that is no success; `wait` is the answer's Retry-After."""
    if status in (401, 403):
        return f"Kaggle refused the download of {DATASET} (HTTP {status}).{_LOG_IN}{_BY_HAND}"
    if status == 404:
        return (
            f"Kaggle has no data set {DATASET} any more (HTTP 404). Look for its new name at "
            'https://www.kaggle.com/datasets?search="CT KIDNEY DATASET", download and unzip it '
            "in a browser and run: make reproduce STUDY=kaggle DATA=path/of/the/unzipped/folder"
        )
    if status == 429:
        when = f"in {wait} seconds" if wait.isdigit() else "in some minutes"
        problem = f"Kaggle was asked too often (HTTP 429); run the same command again {when}"
        return f"{problem}.{_BY_HAND}"
    problem = f"Kaggle answered HTTP {status} to the download of {DATASET}"
    return f"{problem}; run the same command again later.{_BY_HAND}"

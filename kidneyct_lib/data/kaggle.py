"""The public data set from Kaggle: fetched once, resumed where it was interrupted."""

import errno
import io
import shutil
import zipfile
import zlib
from collections.abc import Sequence
from contextlib import redirect_stdout
from pathlib import Path, PurePosixPath

from filelock import FileLock
from tqdm import tqdm

from kidneyct_lib.core.errors import StudyError
from kidneyct_lib.data.image_io import SUFFIXES

DATASET = "nazmul0087/ct-kidney-dataset-normal-cyst-tumor-and-stone"

_WAYS_OUT = f"""
  To log in, create a token at https://www.kaggle.com/settings/api and set KAGGLE_API_TOKEN to it
  or save it as ~/.kaggle/access_token (an older key: KAGGLE_USERNAME and KAGGLE_KEY, or
  ~/.kaggle/kaggle.json); then run the same command again, it resumes.
  Without Kaggle's API, download and unzip https://www.kaggle.com/datasets/{DATASET}
  in a browser and run: make reproduce STUDY=folder DATA=path/of/the/unzipped/folder"""


class DownloadError(StudyError):
    """The data set can't be fetched; the message says why and what else can be done."""


def fetch_kaggle(folder: Path | str, classes: Sequence[str]) -> Path:
    """Fetch the public kidney CT set, unless it is there already.

    The archive is downloaded by the kaggle package, which resumes a download that was cut off,
    with the user's credentials or anonymously. Its images are unpacked to `<Class>/<name>` in a
    temporary folder, which takes its final name when it is complete, so that an interrupted call
    leaves nothing that looks finished.

    Parameters
    ----------
    folder : path
        Where the data set is kept; made if it is missing.
    classes : sequence of str
        Names of the class folders to unpack; the archive must hold images of each.

    Returns
    -------
    Path
        The folder that holds one sub-folder of images per class.

    Raises
    ------
    DownloadError
        If Kaggle can't be reached or refuses, the disk is full, or the archive is damaged or
        lacks a class.
    """
    folder = Path(folder)
    images = folder / "images"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(folder / ".lock"):
            if not images.is_dir():
                archive = _download(folder)
                _unpack(archive, images, classes)
                archive.unlink()
    except OSError as error:
        raise DownloadError(_explain(error, folder)) from error
    return images


def _download(folder: Path) -> Path:
    """Archive of the data set; a complete one from an earlier call is not fetched again."""
    complete = folder / "complete.zip"
    if not complete.exists():
        try:
            with redirect_stdout(io.StringIO()):  # without credentials the import prints a manual
                import kaggle
            kaggle.api.dataset_download_files(DATASET, path=str(folder), quiet=False)
        except (Exception, SystemExit) as error:  # older versions exit where they may not log in
            raise DownloadError(_explain(error, folder)) from error
        (folder / f"{DATASET.split('/')[1]}.zip").replace(complete)
    return complete


def _unpack(archive: Path, images: Path, classes: Sequence[str]) -> None:
    unpacking = images.with_name("images.unpacking")
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
    except (zipfile.BadZipFile, zlib.error, EOFError) as error:
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
    status = getattr(getattr(error, "response", None), "status_code", None)
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return (
            f"the disk of {folder} is full. Free some space or choose another data folder, and run "
            "the same command again: the download resumes."
        )
    if isinstance(error, OSError) and error.filename is not None:
        return f"writing to the data folder failed ({error}); empty it or choose another one."
    if status in (401, 403) or isinstance(error, SystemExit):
        code = f" (HTTP {status})" if status else ""
        problem = f"Kaggle refused the download of {DATASET}{code}"
    elif status is not None:
        problem = f"Kaggle answered HTTP {status} to the download of {DATASET}"
    elif isinstance(error, OSError):  # so are all connection errors, those of requests too
        problem = f"Kaggle can't be reached to download {DATASET} (no network?)"
    else:
        problem = f"the download of {DATASET} failed ({type(error).__name__}: {error})"
    return f"{problem}.{_WAYS_OUT}"

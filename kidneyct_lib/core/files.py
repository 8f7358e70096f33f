"""The project's root, files that are whole or not there, their digests, and JSON."""

import contextlib
import hashlib
import json
import os
import platform
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from kidneyct_lib.core.errors import StudyError

_MACHINE = platform.node()
_TEMPORARY = re.compile(r"\..+\.\d+(\.\w+)?")


PROJECT = "KIDNEYCT_PROJECT"
"""Environment variable that names the project's root, for commands given elsewhere."""


def project_root() -> Path:
    """The folder that holds `params/`: the one named, the nearest upwards, or the installed one.

    Notebooks start in their own folder in JupyterLab and in the project's root under papermill;
    both must mean the same run folder.

    Raises
    ------
    StudyError
        If `KIDNEYCT_PROJECT` names a folder without `params/`.
    """
    here = Path.cwd()
    if named := os.environ.get(PROJECT):
        root = Path(named).expanduser().resolve()
        if not (root / "params").is_dir():
            raise StudyError(
                f"{root} holds no params/ and so is no project; correct --project or {PROJECT}."
            )
        return root
    places = (here, *here.parents, Path(__file__).resolve().parents[2])
    return next((place for place in places if (place / "params").is_dir()), here)


@contextlib.contextmanager
def replacement(path: Path) -> Iterator[Path]:
    """Name to write a file under; on leaving it is renamed to `path`, after an error deleted.

    A reader never meets half a file. The suffix stays last, as Keras and Matplotlib choose the
    format by it. The folder is made.
    """
    # Machines that share the folder count their processes each by themselves.
    temporary = path.with_name(f".{path.stem}.{_MACHINE}.{os.getpid()}{path.suffix}")
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        yield temporary
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def duplicate(source: Path, target: Path) -> None:
    """Give a file a second name; copy it where the file system allows one name alone."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)


def discard_temporaries(folder: Path) -> None:
    """Delete what killed processes left under temporary names; nobody else may be writing here."""
    for path in folder.rglob(".*"):
        if path.is_file() and _TEMPORARY.fullmatch(path.name):
            path.unlink()


def read_json(path: Path, remedy: str) -> dict[str, Any]:
    """Content of a JSON file that holds an object.

    Raises
    ------
    StudyError
        If it does not; the message names the file and ends with the remedy.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:  # no JSON, or no text
        raise StudyError(f"{path} is damaged ({error}); {remedy}") from None
    if not isinstance(content, dict):
        raise StudyError(f"{path} is damaged (it holds no object); {remedy}")
    return content


def folder_bytes(folder: Path) -> int:
    """Bytes of the files below a folder, others may be writing there; 0 where there is none."""
    total = 0
    for path in folder.rglob("*"):
        with contextlib.suppress(FileNotFoundError):
            total += path.lstat().st_size if path.is_file() else 0
    return total


def file_digest(path: Path) -> str | None:
    """sha256 (hex) of a file; None if there is none that can be read."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return None

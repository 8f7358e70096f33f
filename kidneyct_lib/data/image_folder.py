"""Which files below a folder belong to which class, and to which part where it gives parts."""

import difflib
import itertools
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from kidneyct_lib.core.errors import StudyError

PATIENTS_FILE = "patients.csv"
GIVEN_PARTS = {
    "train": "train",
    "val": "train",
    "valid": "train",
    "validation": "train",
    "test": "test",
}
"""Part of each sub-folder that a folder may come divided into, of these names in any case.

Who validates is drawn anew in every study, so a validation part counts as training images."""

_PASSED_OVER = {"masks", PATIENTS_FILE, "thumbs.db", "desktop.ini", "__macosx"}  # in any case
_SEARCH_DEPTH = 3


class CatalogError(StudyError):
    """A folder that can't be indexed; the message names it and says what to do."""


class ClassFolder(NamedTuple):
    """A folder of one class's images."""

    label: str  # the class
    part: str  # "train" or "test", or "" where the folder is not divided
    path: Path
    files: list[Path]  # those in it, then those in its sub-folders, in the natural order of names


class Layout(NamedTuple):
    """How a folder is laid out."""

    folders: list[ClassFolder]  # class after class in the order asked for; of each, training first
    ignored: int  # entries beside the class folders and folders in them, as `_entries` counts
    places: list[Path]  # where a patients.csv may lie


def find_layout(folder: Path, classes: Sequence[str], spellings: Mapping[str, str]) -> Layout:
    """Find the class folders below a folder.

    Parameters
    ----------
    folder
        Holds one sub-folder per class, or Train/ and Test/ that do, Validation/ too if there is
        one, or a single folder that is one of these, at most three levels down.
    classes
        Names of the classes, which are names of sub-folders too.
    spellings
        {name of a sub-folder: class} of sub-folders that are called otherwise.

    Raises
    ------
    CatalogError
        If the folder or a class's sub-folder is missing, or it holds the classes several times.
    """
    label_of = {name: name for name in classes} | dict(spellings)
    roots = _find_roots(folder, classes, label_of)
    ignored = sum(e.name not in label_of for root in roots.values() for e in _entries(root))
    folders = []
    for label, (name, root) in itertools.product(classes, roots.items()):
        part = GIVEN_PARTS.get(name, "")
        for path in (root / name for name in _subfolders(root) if label_of.get(name) == label):
            loose, inner = _files_and_folders(path)
            below = [_files_and_folders(folder) for folder in inner]
            ignored += sum(len(deeper) for _, deeper in below)
            files = sum((files for files, _ in below), loose)
            folders.append(ClassFolder(label, part, path, files))
    above = [roots["train"].parent] if "train" in roots else []
    return Layout(folders, ignored, [*above, *roots.values()])


def natural_key(name: str) -> tuple:
    """Sort key that orders numbers within names by value: "a (2)" before "a (10)"."""
    parts = re.split(r"([0-9]+)", name)  # text and digits take turns, so that like meets like
    return tuple(int(part) if i % 2 else part.casefold() for i, part in enumerate(parts)), name


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    """Entries of a folder, without hidden ones, the system's clutter and a cohort's own files."""
    try:
        with os.scandir(folder) as entries:
            return [
                e for e in entries if e.name[0] != "." and e.name.casefold() not in _PASSED_OVER
            ]
    except PermissionError:
        return []


def _files_and_folders(folder: Path) -> tuple[list[Path], list[Path]]:
    entries = sorted(_entries(folder), key=lambda entry: natural_key(entry.name))
    folders = [folder / entry.name for entry in entries if entry.is_dir()]
    return [folder / entry.name for entry in entries if not entry.is_dir()], folders


def _subfolders(folder: Path) -> list[str]:
    return sorted(entry.name for entry in _entries(folder) if entry.is_dir())


def _find_roots(
    folder: Path, classes: Sequence[str], label_of: Mapping[str, str]
) -> dict[str, Path]:
    """Find the folders that hold a sub-folder per class: one (of part ""), or one of each part."""
    if not folder.is_dir():
        raise CatalogError(
            f"{folder} is not a folder; give the folder that holds one sub-folder per class "
            f"({', '.join(classes)})."
        )
    incomplete = not label_of.keys().isdisjoint(_subfolders(folder))
    level = [folder]
    for _ in range(1 if incomplete else _SEARCH_DEPTH + 1):
        below = {parent: _subfolders(parent) for parent in level}
        labels = {at: {label_of[name] for name in below[at] if name in label_of} for at in level}
        holders = [parent for parent in level if labels[parent] >= set(classes)]
        if parts := _parts(holders):
            return parts
        if len(holders) > 1:
            names = ", ".join(str(holder.relative_to(folder)) for holder in holders[:4])
            raise CatalogError(
                f"{folder} holds the classes {len(holders)} times ({names}); give one of these "
                "folders."
            )
        if holders:
            for other in level:
                if labels[other] and _parts([*holders, other]):
                    raise _missing_classes(other, classes, label_of)
            return {"": holders[0]}
        level = [parent / name for parent, names in below.items() for name in names]
    raise _missing_classes(folder, classes, label_of)


def _parts(roots: Sequence[Path]) -> dict[str, Path]:
    """Folder of each name, if these are the parts that one folder comes divided into."""
    named = {root.name.casefold(): root for root in roots}
    complete = {"train", "test"} <= named.keys() <= GIVEN_PARTS.keys()
    together = len(named) == len(roots) <= 3 and len({root.parent for root in roots}) == 1
    if not (complete and together):
        return {}
    return {name: named[name] for name in GIVEN_PARTS if name in named}


def _missing_classes(
    folder: Path, classes: Sequence[str], label_of: Mapping[str, str]
) -> CatalogError:
    present = _subfolders(folder)
    by_case = {name.casefold(): name for name in present if name not in label_of}
    held = {label_of.get(name) for name in present}
    missing = [name for name in classes if name not in held]
    hints = ""
    for name in missing:
        if near := difflib.get_close_matches(name.casefold(), by_case, n=1, cutoff=0.8):
            hints += f"Is '{by_case[near[0]]}' the class {name}? Then rename that folder. "
    return CatalogError(
        f"{folder} has no sub-folder for the class {', '.join(missing)} "
        f"(sub-folders: {', '.join(present[:8]) or 'none'}). {hints}"
        "Each class needs a folder of its images; set `classes` to the folders' names, or "
        "tell another name of a folder in `class_folders`."
    )
